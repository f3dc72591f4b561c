# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Measuring time and memory: functions that take turns in one process, ratios within a turn, peak memory."""

import functools
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import torch

from modeling_rdfer.models.video_decoding_rdfer import decoder_in_use

REPOSITORY = Path(__file__).parents[3]
CLIP = REPOSITORY / "tests" / "data" / "cap13_edit2.mp4"
LIBRARIES = ("torch", "torchvision", "transformers", "torchcodec", "av")


def take_turns(functions: dict[str, Callable], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of functions that take turns, so that other load on the machine affects all of them alike.

    Args:
        functions (`dict[str, Callable]`): what to run, by name.
        repeats (`int`): turns.
        warm_up (`int`, *optional*, defaults to 1): turns before these that do not count.

    Returns:
        `dict[str, list[float]]`: seconds of each turn, by name.
    """
    seconds = {name: [] for name in functions}
    for turn in range(warm_up + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(values: list[float]) -> dict[str, float]:
    """Median and quartiles; with fewer than four values minimum and maximum instead of the quartiles."""
    if len(values) < 4:
        return {"median": statistics.median(values), "low": min(values), "high": max(values)}
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": median, "low": low, "high": high}


def measure(functions: dict[str, Callable], repeats: int) -> dict[str, dict[str, float]]:
    """Median and quartiles of the seconds of functions that take turns."""
    return {name: summary(values) for name, values in take_turns(functions, repeats).items()}


def ratio(numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """Median and quartiles of the ratios within a turn, so that other load affects both alike."""
    return summary([above / below for above, below in zip(numerator, denominator)])


class Stopwatch:
    """Seconds spent in named parts of a call. Functions are wrapped where they are looked up. The time of a part that
    runs inside another part counts for the inner one only.
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def timed(self, function: Callable, part: str) -> Callable:
        """A function whose calls count for a part."""

        @functools.wraps(function)
        def run(*args, **kwargs):
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - self._inner.pop()
                self._inner[-1] += spent

        return run

    @contextmanager
    def on(self, places: list[tuple[object, str, str]]):
        """Measures the parts, given as (owner, attribute, part), inside a `with` block."""
        patches = [
            mock.patch.object(owner, name, self.timed(getattr(owner, name), part)) for owner, name, part in places
        ]
        for patch in patches:
            patch.start()
        try:
            yield self
        finally:
            for patch in patches:
                patch.stop()


def machine(*more_libraries: str) -> dict:
    """What results depend on: processor, load and versions of libraries."""
    model = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return {
        "processor": (model[1] if model else platform.processor()) or platform.machine(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: version(name) for name in dict.fromkeys((*LIBRARIES, *more_libraries))},
        "decoder": decoder_in_use()[0],
        "seed": 0,
    }


def peak_megabytes(process: int | str = "self") -> float | None:
    """Peak resident memory of a process (Linux; None elsewhere). `resource.getrusage` would include the process that
    started it.
    """
    peak = re.search(r"VmHWM:\s+(\d+) kB", _read(f"/proc/{process}/status"))
    return int(peak[1]) / 1024 if peak else None


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).is_file() else ""
