# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`rdfer predict --out`: Ray against this process on the same clips with one core, and the memory of the process that
hands out the work by the number of entries of the list.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import torch

from modeling_rdfer.inference.predict_shards import predict_shards
from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, machine, peak_megabytes, ratio, summary
from training.running.script_parser import ScriptParser

FILE = "many_videos.jsonl"
EXAMPLES = "example: python -m training.benchmarks.many_videos --clips 20 --output-dir output/many_videos"
SHARD_SIZE = 10
NUM_DISTINCT = 10


def write_clips(folder: Path) -> list[str]:
    """Parts of a real clip: 2 s of 400x300 each."""
    import av

    names = []
    with open_video(CLIP) as video:
        for number in range(NUM_DISTINCT):
            names.append(str(folder / f"{number}.mp4"))
            with av.open(names[-1], "w") as container:
                stream = container.add_stream("libx264", rate=25)
                stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
                for frame in video.get_frames(range(60 * number, 60 * number + 50)):
                    pixels = frame.permute(1, 2, 0).contiguous().numpy()
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                container.mux(stream.encode())
    return names


def cpu_seconds() -> dict[str, float]:
    """CPU seconds so far of the process that hands out the work, Ray's worker, and Ray's other processes."""
    this = psutil.Process()
    seconds = {"driver": sum(this.cpu_times()[:2]), "worker": 0.0, "others": 0.0}
    for process in this.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            is_worker = process.cmdline() and process.cmdline()[0].startswith("ray::MapWorker")
            seconds["worker" if is_worker else "others"] += sum(process.cpu_times()[:2])
    return seconds


def run_once(source: str, out: str, on_ray: bool) -> dict[str, float]:
    """Predicts a list in this process or on Ray with one core: seconds and CPU seconds up to the first file of
    answers and up to the last one, and the peak memory. For a process of its own.
    """
    torch.set_num_threads(1)
    if on_ray:
        import ray

        ray.init(num_cpus=1, num_gpus=0, log_to_driver=False, include_dashboard=False)
    first: dict[str, float] = {}

    def now() -> dict[str, float]:
        files = len(list(Path(out).glob("answers-*")))
        return {"files": files, "wall": time.time() - psutil.Process().create_time(), **cpu_seconds()}

    def watch():
        while not any(Path(out).glob("answers-*")):
            time.sleep(0.1)
        first.update(now())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    predict_shards(source, out, shard_size=SHARD_SIZE, device="cpu", ray="auto" if on_ray else None)
    watcher.join()
    last = now()
    peak = peak_megabytes()
    assert peak is not None, "Linux tells the peak memory"
    return {f"first {name}": value for name, value in first.items()} | last | {"peak MB": peak}


def in_process(source: Path, out: Path, on_ray: bool) -> dict[str, float]:
    """`run_once` in a new process."""
    command = [sys.executable, "-m", "training.benchmarks.many_videos", "--once", str(source), str(out), str(on_ray)]
    # Ray lowers the priority of its workers by default, which would compare other programs on this machine.
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RAY_worker_niceness": "0"})
    if run.returncode:
        raise RuntimeError(run.stderr[-4000:])
    return json.loads(run.stdout.splitlines()[-1])


def costs(run: dict[str, float]) -> dict[str, float]:
    """Start-up and cost of a further clip, of what `run_once` gave.

    Ray's driver and its other processes wake up by timers: they cost a share of a core as long as the run lasts, and
    the less a clip, the less else runs on the core. So they are counted by time, and not by clips.
    """
    seconds = {name: run[name] - run[f"first {name}"] for name in ("wall", "driver", "worker", "others")}
    clips = SHARD_SIZE * (run["files"] - run["first files"])
    on_ray = run["worker"] > 0
    a_clip = seconds["worker" if on_ray else "driver"] / clips
    started = sum(run[f"first {name}"] for name in ("driver", "worker", "others"))
    found = {"a clip": a_clip, "start-up": started - a_clip * SHARD_SIZE * run["first files"]}
    if on_ray:
        found |= {name: seconds[name] / seconds["wall"] for name in ("driver", "others")}
        # What is left of the core for the worker decides how much longer than alone it takes for a clip.
        found["alone"] = a_clip / (1 - found["driver"] - found["others"])
    return found | {"wall": seconds["wall"] / clips}


def measure_speed(folder: Path, clips: int, turns: int) -> dict[str, dict[str, float]]:
    """Ray and this process in turns: medians and ranges by name."""
    names = write_clips(folder)
    source = folder / "clips.txt"
    source.write_text("".join(f"{names[number % NUM_DISTINCT]}\n" for number in range(clips)))
    here, ray = [], []
    for turn in range(turns):
        here.append(costs(in_process(source, folder / f"here-{turn}", False)))
        ray.append(costs(in_process(source, folder / f"ray-{turn}", True)))
        print(f"turn {turn + 1}: here {here[-1]}, on Ray {ray[-1]}", flush=True)
    return speed_figures(here, ray)


def speed_figures(here: list[dict[str, float]], ray: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Medians and ranges of the [`costs`] of all turns, by name."""

    def all_of(runs, name, factor=1.0):
        return summary([factor * run[name] for run in runs])

    def ratios(name):
        return ratio([run[name] for run in ray], [run["a clip"] for run in here])

    return {
        "this process, CPU ms a clip": all_of(here, "a clip", 1000),
        "Ray's worker, CPU ms a clip": all_of(ray, "a clip", 1000),
        "Ray's worker : this process": ratios("a clip"),
        "driver, % of a core": all_of(ray, "driver", 100),
        "Ray's other processes, % of a core": all_of(ray, "others", 100),
        "time a clip on a core with nothing else, computed, Ray : this process": ratios("alone"),
        "start-up of this process, CPU s": all_of(here, "start-up"),
        "start-up of Ray with all its processes, CPU s": all_of(ray, "start-up"),
        "this process beside other programs, ms a clip": all_of(here, "wall", 1000),
        "Ray beside other programs, ms a clip": all_of(ray, "wall", 1000),
    }


def measure_memory(folder: Path, entries: tuple[int, ...]) -> dict[str, float]:
    """Peak memory of the process that hands out the work, by the length of the list."""
    figures = {}
    for count in entries:
        missing = folder / f"{count}.txt"
        missing.write_text("".join(f"/nowhere/{number:012}.mp4\n" for number in range(count)))
        run = in_process(missing, folder / f"out-{count}", True)
        figures[f"driver with {count:,} entries, peak MB"] = run["peak MB"]
    return figures


def render(results: dict[str, dict]) -> str:
    """The tables of docs/benchmarks.md."""

    def text(value: float) -> str:
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"

    tables: list[str] = []
    for name, run in results.items():
        rows: list[tuple[str, ...]]
        if name == "speed":
            header: tuple[str, ...] = (
                f"{run['clips']} clips of 2 s, 400x300, one core",
                f"median of {run['turns']} turns",
                "range",
            )
            rows = [
                (part, text(value["median"]), f"{text(value['low'])}..{text(value['high'])}")
                for part, value in run["figures"].items()
            ]
        else:
            header, rows = ("memory", ""), [(part, text(value)) for part, value in run["figures"].items()]
        tables.append(f"{markdown_table(header, rows)}\n\nMeasured with {measured_with(run['machine'])}.")
    return "\n\n".join(tables)


def main(argv: list[str] | None = None):
    """Measures and writes the table, as the command line says."""
    parser = ScriptParser("benchmarks.many_videos", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=200, help="clips to predict")
    parser.add_argument("--turns", type=int, default=3, help="turns of this process and Ray")
    parser.add_argument("--only", choices=["speed", "memory"], help="what to measure (default: both)")
    parser.add_argument(
        "--entries", type=int, nargs="+", default=[200, 20_000], help="lengths of lists for the memory of the driver"
    )
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the table of docs/benchmarks.md")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.once:
        source, out, on_ray = arguments.once
        print(json.dumps(run_once(source, out, on_ray == "True")))
        return
    path = arguments.output_dir / FILE
    if not arguments.render:
        with tempfile.TemporaryDirectory() as name:
            if arguments.only != "memory":
                speed = measure_speed(Path(name), arguments.clips, arguments.turns)
                run = {"clips": arguments.clips, "turns": arguments.turns, "machine": machine("ray"), "figures": speed}
                write_result(path, "speed", run)
            if arguments.only != "speed":
                memory = measure_memory(Path(name), tuple(arguments.entries))
                write_result(path, "memory", {"machine": machine("ray"), "figures": memory})
    print(render(load_results(path)))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("many_videos", render(load_results(path)))


if __name__ == "__main__":
    main()
