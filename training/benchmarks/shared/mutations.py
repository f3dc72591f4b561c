# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Damages the bytes of files at random, and reads what comes out in processes with limits."""

import faulthandler
import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from training.benchmarks.shared.timing import peak_megabytes

# A reader gets this much address space beyond what this process has, in bytes, and this much processor time.
MEMORY_LIMIT = 2 * 1024**3
CPU_SECONDS = 20
# A process that waits uses no processor time. Long, as other processes can slow it down.
WALL_SECONDS = 200
# What a file must not make its reader do, as events of `sys.addaudithook`.
FORBIDDEN_EVENTS = ("subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class")
FORBIDDEN_EVENTS += ("socket.connect", "socket.getaddrinfo")
# Values that someone may put into a JSON file.
ODD_VALUES = (None, "", "x", "../../etc/passwd", -1, 0, 1, 3, 10**9, 10**30, 1e300, -0.5, True, [], [[]], {}, {"a": 1})
ODD_VALUES += (float("nan"),)


def mutate_bytes(data: bytes, chance: random.Random, others: list[bytes]) -> tuple[str, bytes]:
    """Damages a file in one of eight ways.

    Args:
        data (`bytes`): content of the file.
        chance (`random.Random`): decides how, and where.
        others (`list[bytes]`): files of the same kind or others, for splicing.

    Returns:
        `tuple[str, bytes]`: name of the kind of damage, and the damaged content.
    """
    size, content = len(data), bytearray(data)
    first = chance.randrange(size)
    # Headers are a small part of a file and its most sensitive one.
    if chance.random() < 0.3:
        first = chance.randrange(min(size, 2048))
    length = min(size - first, int(2 ** chance.uniform(2, 13)))
    kind = chance.choice(
        ("truncated", "zeroed", "flipped bits", "random bytes", "swapped blocks", "spliced", "removed", "odd number")
    )
    if kind == "truncated":
        del content[first:]
    elif kind == "zeroed":
        content[first : first + length] = bytes(length)
    elif kind == "flipped bits":
        for _ in range(int(2 ** chance.uniform(0, 7))):
            place = chance.randrange(size) if chance.random() < 0.8 else first
            content[place] ^= 1 << chance.randrange(8)
    elif kind == "random bytes":
        content[first : first + length] = chance.randbytes(length)
    elif kind == "swapped blocks":
        second = chance.randrange(size)
        one, other = data[first : first + length], data[second : second + length]
        content[first : first + length], content[second : second + length] = other, one
    elif kind == "spliced":
        other = chance.choice(others)
        content[first:] = other[int(first / size * len(other)) :]
    elif kind == "removed":
        del content[first : first + length]
    else:
        number = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32)))
        content[first : first + 4] = number.to_bytes(4, chance.choice(("big", "little")))
    return kind, bytes(content)


def mutate_json(text: str, chance: random.Random) -> tuple[str, str]:
    """Changes one value of a JSON document; returns the kind of change and the new document."""
    document = json.loads(text)
    places = []

    def visit(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                visit(value[key])

    visit(document)
    holder, key = chance.choice(places)
    kind = chance.choice(("odd value", "odd value", "removed key", "renamed key", "exchanged values", "nested"))
    if kind == "removed key":
        del holder[key]
    elif kind == "renamed key" and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
    elif kind == "exchanged values":
        other, other_key = chance.choice(places)
        holder[key], other[other_key] = other[other_key], holder[key]
    elif kind == "nested":
        return kind, "[" * 100_000 + text
    else:
        holder[key] = chance.choice(ODD_VALUES)
    try:
        return kind, json.dumps(document)
    except (ValueError, RecursionError):  # a value exchanged with one inside of itself
        return mutate_json(text, chance)


def mutate_safetensors(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Damages header, header values, or tensors of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    part = chance.choice(("header", "header values", "tensors", "length"))
    if part == "header":
        kind, header = mutate_bytes(header, chance, [body])
        return f"header: {kind}", len(header).to_bytes(8, "little") + header + body
    if part == "header values":
        kind, text = mutate_json(header.decode(), chance)
        header = text.encode()
        return f"header: {kind}", len(header).to_bytes(8, "little") + header + body
    if part == "length":
        number = chance.choice((0, 1, length - 1, length + 1, 2 * length, 2**63, 2**64 - 1))
        return "header: length", number.to_bytes(8, "little") + header + body
    kind, body = mutate_bytes(body, chance, [header])
    return f"tensors: {kind}", data[: 8 + length] + body


def read_in_process(read: Callable[[], dict]) -> dict:
    """Runs a function in a copy of this process, with limits of memory and time.

    Args:
        read (`Callable`): returns a dictionary of JSON values; it catches the errors that are expected.

    Returns:
        `dict`: that of `read`, with `memory`, in megabytes, the most that the process took beyond this one. Else
        `{"failure": ...}`: what happened instead, e.g. the signal that ended it, the limit that it reached, another
        exception, or something that it tried to do.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(read, writing)
    os.close(writing)
    text, limit = b"", time.monotonic() + WALL_SECONDS
    while ready := select.select([reading], [], [], max(0.0, limit - time.monotonic()))[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        text += part
    os.close(reading)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not ready:
        return {"failure": f"no end within {WALL_SECONDS} s"}
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"failure": f"more than {CPU_SECONDS} s of processor time" if name == "SIGXCPU" else f"signal {name}"}
    try:
        return json.loads(text)
    except ValueError:
        return {"failure": f"it ended with status {os.WEXITSTATUS(status)} and no answer"}


def _answer(read: Callable[[], dict], writing: int):
    """What the copy of the process does; it never returns."""
    torch.set_num_threads(1)
    faulthandler.disable()  # a crash is reported by its signal
    tried: list[str] = []
    statm = Path("/proc/self/statm")
    sys.addaudithook(lambda event, _: tried.append(event) if event in FORBIDDEN_EVENTS else None)
    size, resident = (int(pages) * resource.getpagesize() for pages in statm.read_text().split()[:2])
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What FFmpeg says of damaged files is of no use here.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        result = read()
        result["memory"] = round(max(0.0, (peak_megabytes() or 0.0) - resident / 1024**2))
    except BaseException as error:
        result = {"failure": f"{type(error).__name__}: {str(error)[:300]}"}
    if tried:
        result = {"failure": f"tried: {', '.join(sorted(set(tried)))}"}
    os.write(writing, json.dumps(result).encode())
    os._exit(0)
