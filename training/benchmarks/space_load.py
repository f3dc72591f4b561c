# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Load on the demo: several clients send videos at once; each sends the next one after an answer.

Starts `rdfer demo`, measures the time from the start of an upload to the answer, the memory of the server, and which
uploaded files are left. Prints the figures as JSON; exits with 1 if a video was lost or a file is left.
"""

import json
import os
import platform
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio
import torch

from training.benchmarks.shared.timing import CLIP, peak_megabytes
from training.running.script_parser import ScriptParser

TIMEOUT = 1800.0  # seconds for an answer
EXAMPLES = "example: python -m training.benchmarks.space_load --clips 20 --clients 4"


def request(url: str, body: bytes | None, kind: str) -> bytes:
    """The reply to a POST of `body` with the content type `kind`, or to a GET if there is no body."""
    with urllib.request.urlopen(
        urllib.request.Request(url, body, {"Content-Type": kind} if body is not None else {}), timeout=TIMEOUT
    ) as reply:
        return reply.read()


def ask(url: str, video: bytes) -> str:
    """Uploads a video and returns its label; raises RuntimeError if there is none."""
    upload = json.loads(request(f"{url}/rdfer/upload", video, "application/octet-stream"))["upload"]
    body = json.dumps({"data": [upload, "rdfer-small (embedded)"]}).encode()
    event = json.loads(request(f"{url}/gradio_api/call/analyse", body, "application/json"))["event_id"]
    answer = request(f"{url}/gradio_api/call/analyse/{event}", None, "").decode()
    found = re.search(r'class=\\"rdfer-answer\\" data-label=\\"(.+?)\\"', answer)
    if found is None:
        raise RuntimeError(answer[:500])
    return found[1]


def page_latency(url: str) -> float:
    """Seconds until the page is there."""
    start = time.perf_counter()
    request(url, None, "")
    return time.perf_counter() - start


@contextmanager
def running_demo(folder: str) -> Iterator[tuple[int, str]]:
    """Process id and address of a demo whose uploads go into a folder; ends it afterwards."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "modeling_rdfer", "demo"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": folder},
    )
    try:
        yield server.pid, re.search(r"(http://\S+?)/? in", server.stdout.readline())[1]
    finally:
        server.terminate()
        server.wait()


@dataclass
class Answers:
    """What the clients saw: labels, seconds from upload to answer, and errors."""

    labels: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def start_clients(url: str, video: bytes, clips: int, clients: int, answers: Answers) -> list[threading.Thread]:
    """Starts clients that send a video `clips` times in all; each sends the next one after an answer."""
    waiting = queue.Queue()
    for number in range(clips):
        waiting.put(number)

    def client():
        while True:
            try:
                waiting.get_nowait()
            except queue.Empty:
                return
            start = time.perf_counter()
            try:
                answers.labels.append(ask(url, video))
                answers.seconds.append(time.perf_counter() - start)
            except Exception as error:
                answers.errors.append(str(error))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def main(argv: list[str] | None = None) -> int:
    """Prints the figures. Returns 0, or 1 if a video was lost or a file is left."""
    parser = ScriptParser("benchmarks.space_load", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=20, help="videos in all")
    parser.add_argument("--clients", type=int, default=4, help="clients at once")
    parser.add_argument("--video", type=Path, default=CLIP, help="video to send (default: the real clip, 30.6 s)")
    arguments = parser.parse_args(argv)

    answers, pages = Answers(), []
    with tempfile.TemporaryDirectory() as folder, running_demo(folder) as (process, url):
        memory = {"before": round(peak_megabytes(process))}
        begin = time.perf_counter()
        clients = start_clients(url, arguments.video.read_bytes(), arguments.clips, arguments.clients, answers)
        while any(thread.is_alive() for thread in clients):
            if 2 * len(answers.labels) >= arguments.clips:
                memory.setdefault("after half of the clips", round(peak_megabytes(process)))
            pages.append(page_latency(url))
            time.sleep(0.2)
        total = time.perf_counter() - begin
        memory["after all clips"] = round(peak_megabytes(process))
        left = [path.name for path in Path(folder).rglob("*") if path.is_file()]
    figures = {
        "clips": arguments.clips,
        "clients": arguments.clients,
        "answered": len(answers.labels),
        "lost": len(answers.errors),
        "labels": {label: answers.labels.count(label) for label in sorted(set(answers.labels))},
        "latency_median_seconds": round(statistics.median(answers.seconds), 2) if answers.seconds else None,
        "latency_worst_seconds": round(max(answers.seconds), 2) if answers.seconds else None,
        "total_seconds": round(total, 1),
        "page_median_seconds": round(statistics.median(pages), 3),
        "page_worst_seconds": round(max(pages), 3),
        "memory_peak_megabytes": memory,
        "files_left": len(left),
        "processor": f"{torch.get_num_threads()} threads, {platform.machine()}",
        "versions": f"torch {torch.__version__}, gradio {gradio.__version__}",
    }
    print(json.dumps(figures, indent=2))
    for error in answers.errors:
        print(f"lost: {error}", file=sys.stderr)
    return 1 if answers.errors or left else 0


if __name__ == "__main__":
    sys.exit(main())
