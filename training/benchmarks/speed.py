# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Speed of inference as ratios of runs that alternate in one process: medians, with the spread between quartiles."""

import argparse
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import (
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEVideoProcessor,
    pipeline,
)

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.face_rdfer import crop_faces, track_faces
from modeling_rdfer.inference_rdfer import embedded_checkpoint
from modeling_rdfer.video_decoding_rdfer import decoder_in_use, open_video

CLIP = Path(__file__).parents[2] / "tests" / "data" / "cap13_edit2.mp4"


def measure(functions: dict, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of each function: median and quartiles of runs that take turns, after one run that does not count."""
    seconds = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    result = {}
    for name, values in seconds.items():
        low, median, high = statistics.quantiles(values, n=4)
        result[name] = {"median": median, "low": low, "high": high}
    return result


@torch.inference_mode()
def forward_against_backbones(repeats: int) -> dict:
    """Forward of `base`, one video, against its two backbones on the same frames."""
    model = RDFERForVideoClassification(RDFERConfig.from_preset("base", num_labels=7)).eval()
    video = torch.randint(0, 256, (1, 64, 3, 112, 112), dtype=torch.uint8)
    detector, recogniser = model.rdfer.detector.backbone, model.rdfer.backbone
    detector_frames = torch.randn(16, 3, 56, 56).contiguous(memory_format=torch.channels_last)
    clip_frames = torch.randn(16, 3, 112, 112).contiguous(memory_format=torch.channels_last)
    times = measure(
        {"base": lambda: model(video), "backbones": lambda: (detector(detector_frames), recogniser(clip_frames))},
        repeats,
    )
    times["ratio"] = times["base"]["median"] / times["backbones"]["median"]
    return times


@torch.inference_mode()
def aen_against_rdfer(repeats: int) -> dict:
    """Forward of AEN's `base`, one video, against that of RDFER's."""
    aen = AENForVideoClassification(AENConfig.from_preset("base")).eval()
    rdfer = RDFERForVideoClassification(RDFERConfig.from_preset("base", num_labels=7)).eval()
    video = torch.randint(0, 256, (1, 64, 3, 112, 112), dtype=torch.uint8)
    times = measure({"aen base": lambda: aen(video), "rdfer base": lambda: rdfer(video)}, repeats)
    times["aen : rdfer"] = times["aen base"]["median"] / times["rdfer base"]["median"]
    return times


def pipeline_against_videomae(repeats: int) -> dict:
    """File to label through transformers' pipeline, with and without face crop, against VideoMAE-base."""
    processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint())
    uncropped = RDFERVideoProcessor.from_pretrained(embedded_checkpoint(), do_face_crop=False)
    model = RDFERForVideoClassification.from_pretrained(embedded_checkpoint())
    # Random weights take as long as trained ones.
    videomae = pipeline(
        "video-classification",
        model=VideoMAEForVideoClassification(VideoMAEConfig()).eval(),
        video_processor=VideoMAEVideoProcessor(
            size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, do_sample_frames=True
        ),
    )
    classify = pipeline("video-classification", model=model, video_processor=uncropped)
    classify_face = pipeline("video-classification", model=model, video_processor=processor)
    path = str(CLIP)

    video = open_video(path)
    indices = list(uncropped.sample_frames(type("Metadata", (), {"total_num_frames": video.num_frames}), 64))
    frames = video.get_frames(indices)
    detector = processor.face_detector()

    def open_and_decode():
        with open_video(path) as source:
            source.get_frames(indices, size=(112, 112))

    times = measure(
        {
            "rdfer-small": lambda: classify(path),
            "rdfer-small with face crop": lambda: classify_face(path),
            "VideoMAE-base": lambda: videomae(path),
            "open + decode + resize": open_and_decode,
            "find, follow and crop the face": lambda: crop_faces(frames, track_faces(frames, detector)[0].boxes),
        },
        repeats,
    )
    median = {name: value["median"] for name, value in times.items()}
    times["VideoMAE-base : rdfer-small"] = median["VideoMAE-base"] / median["rdfer-small"]
    times["VideoMAE-base : rdfer-small with face crop"] = (
        median["VideoMAE-base"] / median["rdfer-small with face crop"]
    )
    times["face crop : decoding"] = median["find, follow and crop the face"] / median["open + decode + resize"]
    return times


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m training.benchmarks.speed --repeats 20 --out speed.json"
    )
    parser.add_argument("--repeats", type=int, default=15, help="runs of each (default: 15)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--markdown", action="store_true", help="print rows of a Markdown table")
    parser.add_argument("--out", help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    results = {
        "machine": {
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            **{name: version(name) for name in ("torch", "transformers", "torchcodec", "av")},
            "decoder": decoder_in_use()[0],
            "seed": 0,
        }
    }
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    for benchmark in (forward_against_backbones, aen_against_rdfer, pipeline_against_videomae):
        print(f"\n{benchmark.__doc__}")
        results[benchmark.__name__] = benchmark(arguments.repeats)
        for name, value in results[benchmark.__name__].items():
            if isinstance(value, dict):
                low, median, high = (1000 * value[key] for key in ("low", "median", "high"))
                figure = f"{median:.0f} ms ({low:.0f}..{high:.0f})"
            else:
                figure = f"{value:.2f} x"
            print(f"| {name} | {figure} |" if arguments.markdown else f"  {name:<45}{figure:>24}")
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
