# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Speed of a live stream: how many frames a second one core takes, how long an answer takes, and how much memory.

Feeds the real clip of the tests, enlarged to 640x480, to a `LiveRecognizer` again and again, and prints the figures as
JSON. An answer's time is that from the frame that completes a window to the answer.
"""

import json
import statistics
import time
from contextlib import closing

import torch

from modeling_rdfer import LiveRecognizer
from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.timing import CLIP, machine, peak_megabytes
from training.running.script_parser import ScriptParser

EXAMPLES = "example: python -m training.benchmarks.live --window 1 --step 0.5"
HEIGHT, WIDTH = 480, 640


def main(argv: list[str] | None = None) -> dict:
    """Prints and returns the figures."""
    parser = ScriptParser("benchmarks.live", __doc__, EXAMPLES)
    parser.add_argument("--window", type=float, default=1.0, help="seconds that an answer is about")
    parser.add_argument("--step", type=float, default=0.5, help="seconds from answer to answer")
    parser.add_argument("--rounds", type=int, default=3, help="times that the clip is shown")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    with closing(open_video(CLIP)) as video:
        times = [float(seconds) for seconds in video.pts_seconds]
        frames = video.get_frames(range(video.num_frames), size=(HEIGHT, WIDTH)).permute(0, 2, 3, 1).numpy()
    length = times[-1] - times[0] + 0.04
    recognizer = LiveRecognizer(window=arguments.window, step=arguments.step)
    waits, memory = [], []
    begin = time.process_time()
    for turn in range(arguments.rounds):
        for frame, seconds in zip(frames, times):
            start = time.perf_counter()
            answers = recognizer.update(frame, turn * length + seconds)
            if answers:
                waits.append(1000 * (time.perf_counter() - start))
        memory.append(peak_megabytes())
    taken = time.process_time() - begin
    figures = {
        "frames": arguments.rounds * len(frames),
        "frames for a second of one core": round(arguments.rounds * len(frames) / taken, 1),
        "milliseconds to an answer": {
            "median": round(statistics.median(waits), 1),
            "95 %": round(statistics.quantiles(waits, n=20)[-1], 1),
            "max": round(max(waits), 1),
        },
        # With the frames of the clip itself, which are all in memory here.
        "peak megabytes after each round": [round(value) for value in memory if value is not None],
        "of them the clip's frames": round(frames.nbytes / 2**20),
        "window": arguments.window,
        "step": arguments.step,
        "machine": machine(),
    }
    print(json.dumps(figures, indent=2))
    return figures


if __name__ == "__main__":
    main()
