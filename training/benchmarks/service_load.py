# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Load on the service: several clients send videos at once; each sends the next one after an answer.

Starts `rdfer serve`, measures the time from the start of an upload to the answer and the memory of all its processes,
and ends it while videos are being analysed and others wait. Prints the figures as JSON; exits with 1 if a video was
lost, a request got no reply at the end, or a file is left.
"""

import http.client
import json
import os
import platform
import queue
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fastapi
import torch
import uvicorn

from training.benchmarks.shared.timing import CLIP
from training.running.script_parser import ScriptParser

TIMEOUT = 600.0  # seconds for an answer
EXAMPLES = "example: python -m training.benchmarks.service_load --clips 200 --clients 8 --workers 2"
HEAD = b'--b0undary\r\nContent-Disposition: form-data; name="video"; filename="clip.mp4"\r\n\r\n'


def ask(address: str, video: bytes) -> tuple[int, dict]:
    """Status and document of the reply to a video."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        body, kind = HEAD + video + b"\r\n--b0undary--\r\n", "multipart/form-data; boundary=b0undary"
        connection.request("POST", "/v1/predict", body, {"Content-Type": kind})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def memory_megabytes(process: int) -> float:
    """Memory of a process and its children now; what they share counts once."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True).stdout
    total = 0
    for number in (process, *map(int, found.split())):
        try:
            rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
        except OSError:  # it ended
            continue
        total += int(re.search(r"^Pss: +(\d+) kB", rollup, re.M)[1])
    return total / 1024


@contextmanager
def running_service(folder: str, workers: int) -> Iterator[tuple[subprocess.Popen, str]]:
    """A service and its host and port; its temporary files go into a folder. It is ended afterwards."""
    command = [sys.executable, "-u", "-m", "modeling_rdfer", "serve", "--port", "0", "--workers", str(workers)]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": folder})
    try:
        yield service, re.search(r"http://(\S+) and", service.stdout.readline())[1]
    finally:
        service.kill()
        service.wait()


def send_all(address: str, video: bytes, clips: int, clients: int, watch) -> tuple[list, list, float]:
    """Labels or errors, seconds of each answer, and seconds in all. `watch(number of replies)` is called meanwhile."""
    waiting, outcomes, seconds = queue.Queue(), [], []
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
                status, document = ask(address, video)
                outcomes.append(document["answers"][0]["label"] if status == 200 else f"lost: {document}")
            except Exception as error:
                outcomes.append(f"lost: {error!r}")
            seconds.append(time.perf_counter() - start)

    begin = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        watch(len(outcomes))
        time.sleep(0.5)
    return outcomes, seconds, time.perf_counter() - begin


def stop_under_load(service: subprocess.Popen, address: str, video: bytes, clients: int) -> dict:
    """Sends SIGTERM while all clients wait for answers."""
    replies = []

    def client():
        try:
            replies.append(ask(address, video)[0])
        except Exception as error:
            replies.append(type(error).__name__)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    start = time.perf_counter()
    service.send_signal(signal.SIGTERM)
    status = service.wait(timeout=TIMEOUT)
    seconds = time.perf_counter() - start
    for thread in threads:
        thread.join()
    replies = Counter(map(str, replies))
    return {"replies": dict(replies), "exit_status": status, "seconds": round(seconds, 1)}


def main(argv: list[str] | None = None) -> int:
    """Prints the figures. Returns 0, or 1 if something was lost or left."""
    parser = ScriptParser("benchmarks.service_load", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=200, help="videos in all")
    parser.add_argument("--clients", type=int, default=8, help="clients at once")
    parser.add_argument("--workers", type=int, default=2, help="processes of the service")
    parser.add_argument("--video", type=Path, default=CLIP, help="video to send (default: the real clip, 30.6 s)")
    arguments = parser.parse_args(argv)
    video, memory = arguments.video.read_bytes(), {}

    with tempfile.TemporaryDirectory() as folder, running_service(folder, arguments.workers) as (service, address):
        memory["before"] = round(memory_megabytes(service.pid))

        def watch(done: int):
            part = f"until {25 * (1 + 4 * done // arguments.clips)} % of the clips"
            memory[part] = max(memory.get(part, 0), round(memory_megabytes(service.pid)))

        outcomes, seconds, total = send_all(address, video, arguments.clips, arguments.clients, watch)
        stopped = stop_under_load(service, address, video, arguments.clients)
        left = [path.name for path in Path(folder).rglob("*") if path.is_file()]
    lost = [outcome for outcome in outcomes if outcome.startswith("lost")]
    figures = {
        "clips": arguments.clips,
        "clients": arguments.clients,
        "workers": arguments.workers,
        "answered": len(outcomes) - len(lost),
        "lost": len(lost),
        "labels": dict(Counter(outcome for outcome in outcomes if outcome not in lost)),
        "latency_median_seconds": round(statistics.median(seconds), 2),
        "latency_worst_seconds": round(max(seconds), 2),
        "total_seconds": round(total, 1),
        "memory_megabytes": memory,
        "stopped_under_load": stopped,
        "files_left": len(left),
        "processor": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}",
        "versions": f"torch {torch.__version__}, fastapi {fastapi.__version__}, uvicorn {uvicorn.__version__}",
    }
    print(json.dumps(figures, indent=2))
    for text in lost:
        print(text, file=sys.stderr)
    is_clean = set(stopped["replies"]) <= {"200", "503"} and stopped["exit_status"] == 0
    return 1 if lost or left or not is_clean else 0


if __name__ == "__main__":
    sys.exit(main())
