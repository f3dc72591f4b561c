# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`rdfer predict --out`: Ray against this process on the same clips with one core, and the memory of the process that
hands out the work by the number of entries of the list.
"""

import argparse
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
from training.benchmarks.shared.timing import CLIP, machine, peak_megabytes
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
    """CPU seconds of what predicts (this process, or the worker of Ray), and of Ray's other processes."""
    this = psutil.Process()
    workers, others = [this], []
    for process in this.children(recursive=True):
        is_worker = process.cmdline() and process.cmdline()[0].startswith("ray::MapWorker")
        (workers if is_worker else others).append(process)
    seconds = {"predicting": workers, "others": others}
    return {name: sum(sum(p.cpu_times()[:2]) for p in processes) for name, processes in seconds.items()}


def run_once(source: str, out: str, on_ray: bool) -> dict[str, float]:
    """Predicts a list in this process or on Ray with one core: CPU seconds from the first file of answers on, and the
    peak memory. For a process of its own.
    """
    torch.set_num_threads(1)
    if on_ray:
        import ray

        ray.init(num_cpus=1, num_gpus=0, log_to_driver=False, include_dashboard=False)
    first: dict[str, float] = {}

    def watch():
        while not any(Path(out).glob("answers-*")):
            time.sleep(0.02)
        first.update(cpu_seconds(), time=time.time(), files=len(list(Path(out).glob("answers-*"))))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    predict_shards(source, out, shard_size=SHARD_SIZE, device="cpu", ray="auto" if on_ray else None)
    watcher.join()
    last, end = cpu_seconds(), time.time()
    peak = peak_megabytes()
    assert peak is not None, "Linux tells the peak memory"
    clips = max(1, len(list(Path(out).glob("answers-*"))) - first["files"]) * SHARD_SIZE
    return {
        "CPU seconds a clip": (last["predicting"] - first["predicting"]) / clips,
        "others, share of a core": (last["others"] - first["others"]) / max(1e-9, end - first["time"]),
        "peak MB": peak,
    }


def in_process(source: Path, out: Path, on_ray: bool) -> dict[str, float]:
    """`run_once` in a new process."""
    command = [sys.executable, "-m", "training.benchmarks.many_videos", "--once", str(source), str(out), str(on_ray)]
    # Ray lowers the priority of its workers by default, which would compare other programs on this machine.
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RAY_worker_niceness": "0"})
    if run.returncode:
        raise RuntimeError(run.stderr[-4000:])
    return json.loads(run.stdout.splitlines()[-1])


def measure_all(folder: Path, clips: int, entries: tuple[int, ...]) -> dict:
    """All figures, by name."""
    names = write_clips(folder)
    source = folder / "clips.txt"
    source.write_text("".join(f"{names[number % NUM_DISTINCT]}\n" for number in range(clips)))
    local, on_ray = (in_process(source, folder / f"out-{kind}", kind) for kind in (False, True))
    figures = {
        "this process, CPU ms a clip": 1000 * local["CPU seconds a clip"],
        "Ray's worker and the driver, CPU ms a clip": 1000 * on_ray["CPU seconds a clip"],
        "Ray : this process": on_ray["CPU seconds a clip"] / local["CPU seconds a clip"],
        "Ray's other processes, % of a core": 100 * on_ray["others, share of a core"],
    }
    for count in entries:
        missing = folder / f"{count}.txt"
        missing.write_text("".join(f"/nowhere/{number:012}.mp4\n" for number in range(count)))
        run = in_process(missing, folder / f"out-{count}", True)
        figures[f"driver with {count:,} entries, peak MB"] = run["peak MB"]
    return figures


def render(results: dict[str, dict]) -> str:
    """The table of docs/benchmarks.md."""
    (run,) = results.values()
    rows = [(name, f"{value:.3g}" if value < 1000 else f"{value:.0f}") for name, value in run["figures"].items()]
    table = markdown_table((f"{run['clips']} clips of 2 s, 400x300, one core", ""), rows)
    return f"{table}\n\nMeasured with {measured_with(run['machine'])}."


def main(argv: list[str] | None = None):
    """Measures and writes the table, as the command line says."""
    parser = ScriptParser("benchmarks.many_videos", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=200, help="clips to predict")
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
            figures = measure_all(Path(name), arguments.clips, tuple(arguments.entries))
        write_result(path, "predict", {"clips": arguments.clips, "machine": machine("ray"), "figures": figures})
    print(render(load_results(path)))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("many_videos", render(load_results(path)))


if __name__ == "__main__":
    main()
