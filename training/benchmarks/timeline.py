# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""CPU time and peak memory of a timeline of a long video, also against other versions of the package.

The video is the real clip of the tests, shown again and again, by default with 360x288 pixels. Each version runs in
processes of its own, on one core, in turns. Prints the figures as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.timing import CLIP, REPOSITORY, machine
from training.running.script_parser import ScriptParser

EXAMPLES = (
    "example: git worktree add ../earlier COMMIT\n"
    "         python -m training.benchmarks.timeline --earlier ../earlier --seconds 200 600"
)
FPS = 25
# Runs with any version of the package.
MEASURE = """
import json, re, sys, time, torch
torch.set_num_threads(1)
from modeling_rdfer import timeline
warm, video, window, step = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
timeline(warm, window=10.0, step=10.0)
start = time.process_time()
windows = timeline(video, window=window, step=step)
seconds = time.process_time() - start
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({"windows": len(windows), "CPU seconds": seconds, "peak MB": peak}))
"""


def write_video(path: Path, seconds: float, width: int, height: int):
    """The clip, shown again and again, with frames of this size in pixels."""
    import av

    with open_video(CLIP) as video, av.open(str(path), "w") as container:
        frames = video.get_frames(range(video.num_frames)).permute(0, 2, 3, 1).numpy()
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="rgb24")
            # Enlarged one by one: all frames of the clip in full HD would take 5 GB.
            frame = frame.reformat(width, height, "yuv420p", interpolation="BILINEAR")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measure(version: Path, video: Path, window: float, step: float) -> dict[str, float]:
    """Windows, CPU seconds and peak memory of the package in this folder, in a new process."""
    environment = os.environ | {"PYTHONPATH": str(version.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, str(CLIP), str(video), str(window), str(step)]
    run = subprocess.run(command, cwd=version, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"The package in {version} failed: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> dict:
    """Prints and returns the figures."""
    parser = ScriptParser("benchmarks.timeline", __doc__, EXAMPLES)
    parser.add_argument("--seconds", type=float, nargs="+", default=[200.0], help="lengths of the video")
    parser.add_argument(
        "--size", type=int, nargs=2, default=[360, 288], metavar=("WIDTH", "HEIGHT"), help="even numbers of pixels"
    )
    parser.add_argument("--window", type=float, default=1.0, help="length of a window in seconds")
    parser.add_argument("--step", type=float, default=0.5, help="seconds from window to window")
    parser.add_argument("--earlier", type=Path, help="checkout of another version, for the first length")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each version")
    arguments = parser.parse_args(argv)
    width, height = arguments.size
    figures: dict = {"window": arguments.window, "step": arguments.step, "machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        for number, seconds in enumerate(arguments.seconds):
            video = Path(folder) / f"{number}.mp4"
            write_video(video, seconds, width, height)
            versions = {"this version": REPOSITORY}
            if arguments.earlier is not None and number == 0:
                versions["earlier version"] = arguments.earlier
            runs: dict[str, list] = {name: [] for name in versions}
            for _ in range(arguments.repeats):
                for name, version in versions.items():
                    runs[name].append(measure(version, video, arguments.window, arguments.step))
            medians = {
                name: {key: round(statistics.median(run[key] for run in each), 2) for key in each[0]}
                for name, each in runs.items()
            }
            if len(versions) > 1:
                this, earlier = (medians[name]["CPU seconds"] for name in ("this version", "earlier version"))
                medians["this version : earlier version"] = round(this / earlier, 3)
            figures[f"{seconds:g} s of {width}x{height}"] = medians
    print(json.dumps(figures, indent=2))
    return figures


if __name__ == "__main__":
    main()
