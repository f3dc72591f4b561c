# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Load on the service: several clients send videos at once, each the next one after an answer; then several send live
frames at once, as fast as a camera.

Starts `rdfer serve`, measures the time from the start of an upload to the answer and the memory of all its processes,
and ends it while videos are being analysed, others wait, and live frames come. Exits with 1 if a video or a live frame
was lost, a request got no reply at the end, or a file is left.
"""

import http.client
import io
import json
import os
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
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, machine
from training.running.script_parser import ScriptParser

FILE = "service_load.jsonl"
FRAME_RATE = 25
TIMEOUT = 600.0  # seconds for an answer
EXAMPLES = "example: python -m training.benchmarks.service_load --clips 20 --output-dir output/service_load"
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
def running_service(folder: str, workers: int, sockets: int) -> Iterator[tuple[subprocess.Popen, str]]:
    """A service and its host and port; its temporary files go into a folder. It is ended afterwards."""
    command = [sys.executable, "-u", "-m", "modeling_rdfer", "serve", "--port", "0", "--workers", str(workers)]
    command += ["--live-sessions", str(sockets)]
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


def jpeg_frames(seconds: int) -> list[bytes]:
    """The first frames of the real clip as JPEG images, 400x300."""
    with av.open(str(CLIP)) as container:
        frames = [frame.to_image() for frame, _ in zip(container.decode(video=0), range(FRAME_RATE * seconds))]
    return [_jpeg(frame) for frame in frames]


def _jpeg(image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def send_live(address: str, frames: list[bytes]) -> dict:
    """Sends frames in real time over `/v1/live` and waits for the reply to the last one. Counts what came back."""
    counts: Counter = Counter(sent=len(frames))
    sent, waits = [0.0] * len(frames), []
    with connect(f"ws://{address}/v1/live", open_timeout=TIMEOUT) as socket:
        socket.recv(timeout=TIMEOUT)  # which model answers

        def receive():
            while True:
                reply = json.loads(socket.recv(timeout=TIMEOUT))
                waits.append(time.perf_counter() - sent[reply["frame"]])
                counts.update(looked_at=1, answers=len(reply.get("windows", ())), errors="error" in reply)
                counts["dropped"] = reply["num_dropped"]
                if reply["frame"] == len(frames) - 1:
                    return

        receiver = threading.Thread(target=receive)
        receiver.start()
        _send_in_time(socket, frames, sent)
        receiver.join()
    return {**counts, "waits": waits}


def _send_in_time(socket: ClientConnection, frames: list[bytes], sent: list[float]):
    begin = time.perf_counter()
    with suppress(ConnectionClosed):  # which is what receiving reports
        for number, frame in enumerate(frames):
            time.sleep(max(0.0, begin + number / FRAME_RATE - time.perf_counter()))
            sent[number] = time.perf_counter()
            socket.send(frame)


def send_all_live(address: str, frames: list[bytes], sockets: int, watch) -> dict:
    """Sends the frames over several connections at once. `watch(seconds)` is called meanwhile."""
    sessions: list[dict] = []

    def client():
        try:
            sessions.append(send_live(address, frames))
        except Exception as error:
            sessions.append({"sent": len(frames), "failed": repr(error), "waits": []})

    threads = [threading.Thread(target=client) for _ in range(sockets)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        watch(time.perf_counter() - begin)
        time.sleep(0.5)
    counts = {
        name: sum(each.get(name, 0) for each in sessions) for name in ("sent", "looked_at", "dropped", "answers")
    }
    waits = sorted(wait for each in sessions for wait in each.pop("waits"))
    lost = counts["sent"] - counts["looked_at"] - counts["dropped"]
    failed = [each["failed"] for each in sessions if "failed" in each]
    errors = sum(each.get("errors", 0) for each in sessions)
    median = round(1000 * statistics.median(waits)) if waits else None
    return {**counts, "lost": lost, "errors": errors, "failed": failed, "wait_median_milliseconds": median}


def stop_under_load(service: subprocess.Popen, address: str, video: bytes, clients: int, sockets: int) -> dict:
    """Sends SIGTERM while all clients wait for answers and live frames come."""
    replies, closed, frames = [], [], jpeg_frames(20)

    def client():
        try:
            replies.append(ask(address, video)[0])
        except Exception as error:
            replies.append(type(error).__name__)

    def live_client():
        try:
            with connect(f"ws://{address}/v1/live", open_timeout=TIMEOUT) as socket:
                threading.Thread(target=_send_in_time, args=(socket, frames, [0.0] * len(frames)), daemon=True).start()
                while True:
                    socket.recv(timeout=TIMEOUT)
        except Exception as error:
            received = getattr(error, "rcvd", None)  # the closing message
            closed.append(received.code if received else type(error).__name__)

    live = [threading.Thread(target=live_client) for _ in range(sockets)]
    for thread in live:
        thread.start()
    time.sleep(2)
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    start = time.perf_counter()
    service.send_signal(signal.SIGTERM)
    status = service.wait(timeout=TIMEOUT)
    seconds = time.perf_counter() - start
    for thread in (*threads, *live):
        thread.join()
    codes = {"replies": dict(Counter(map(str, replies))), "sockets_closed_with": dict(Counter(map(str, closed)))}
    return {**codes, "exit_status": status, "seconds": round(seconds, 1)}


def measure(video: bytes, clips: int, clients: int, workers: int, sockets: int, live_seconds: int) -> dict:
    """All figures."""
    memory: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, running_service(folder, workers, sockets) as (service, address):

        def watch(part: str):
            memory[part] = max(memory.get(part, 0), round(memory_megabytes(service.pid)))

        watch("at the start")
        quarters = ("first", "second", "third", "fourth")
        outcomes, seconds, total = send_all(
            address, video, clips, clients, lambda done: watch(f"{quarters[min(3, 4 * done // clips)]} quarter")
        )
        live = send_all_live(
            address,
            jpeg_frames(live_seconds),
            sockets,
            lambda gone: watch(f"live, {'first' if gone < live_seconds / 2 else 'second'} half"),
        )
        stopped = stop_under_load(service, address, video, clients, sockets)
        left = [path.name for path in Path(folder).rglob("*") if path.is_file()]
    lost = [outcome for outcome in outcomes if outcome.startswith("lost")]
    return {
        "answered": len(outcomes) - len(lost),
        "lost": lost,
        "labels": dict(Counter(outcome for outcome in outcomes if outcome not in lost)),
        "latency_median_seconds": round(statistics.median(seconds), 2),
        "latency_worst_seconds": round(max(seconds), 2),
        "total_seconds": round(total, 1),
        "live": live,
        "memory_megabytes": memory,
        "stopped_under_load": stopped,
        "files_left": left,
    }


def is_clean(figures: dict) -> bool:
    """Whether nothing was lost or left, and everyone got a reply at the end."""
    live, stopped = figures["live"], figures["stopped_under_load"]
    nothing_lost = not (figures["lost"] or figures["files_left"] or live["lost"] or live["errors"] or live["failed"])
    all_told = set(stopped["replies"]) <= {"200", "503"} and set(stopped["sockets_closed_with"]) <= {"1012"}
    return nothing_lost and all_told and stopped["exit_status"] == 0


def render(results: dict[str, dict]) -> str:
    """The table of docs/benchmarks.md."""
    (run,) = results.values()
    figures, options, live = run["figures"], run["options"], run["figures"]["live"]
    stopped, memory = figures["stopped_under_load"], figures["memory_megabytes"]
    seconds = f"{figures['latency_median_seconds']}, {figures['latency_worst_seconds']}"

    def listed(counts: dict) -> str:
        return ", ".join(f"{count} times {code}" for code, count in sorted(counts.items()))

    rows = [
        ("videos answered, lost", f"{figures['answered']}, {len(figures['lost'])}"),
        ("seconds from upload to answer, median, worst", seconds),
        ("seconds for all videos", f"{figures['total_seconds']:.0f}"),
        (f"live frames sent by {options['sockets']} clients", f"{live['sent']}"),
        ("of them looked at, dropped, lost", f"{live['looked_at']}, {live['dropped']}, {live['lost']}"),
        ("answers about windows", f"{live['answers']}"),
        ("milliseconds from a live frame to its reply, median", f"{live['wait_median_milliseconds']}"),
        *((f"peak MB of all processes, {part}", f"{value}") for part, value in memory.items()),
        ("SIGTERM under load: replies to videos", listed(stopped["replies"])),
        ("SIGTERM under load: connections closed with", listed(stopped["sockets_closed_with"])),
        ("SIGTERM under load: exit status, seconds", f"{stopped['exit_status']}, {stopped['seconds']}"),
        ("files left", f"{len(figures['files_left'])}"),
    ]
    title = f"{options['clips']} videos, {options['clients']} clients, {options['workers']} processes"
    return f"{markdown_table((title, ''), rows)}\n\nMeasured with {measured_with(run['machine'])}."


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the table. Returns 0, or 1 if something was lost or left."""
    parser = ScriptParser("benchmarks.service_load", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=200, help="videos in all")
    parser.add_argument("--clients", type=int, default=8, help="clients at once")
    parser.add_argument("--workers", type=int, default=2, help="processes of the service")
    parser.add_argument("--sockets", type=int, default=4, help="clients that send live frames at once")
    parser.add_argument("--live-seconds", type=int, default=30, help="seconds of live frames from each, at most 30")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the table of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    path, clean = arguments.output_dir / FILE, True
    if not arguments.render:
        names = ("clips", "clients", "workers", "sockets", "live_seconds")
        options = {name: getattr(arguments, name) for name in names}
        figures = measure(CLIP.read_bytes(), **options)
        clean = is_clean(figures)
        result = {"options": options, "machine": machine("fastapi", "uvicorn", "websockets"), "figures": figures}
        write_result(path, "service", result)
    print(render(load_results(path)))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("service_load", render(load_results(path)))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
