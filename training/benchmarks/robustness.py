# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What damaged files do: small videos of many containers and codecs, and the files of a checkpoint, each damaged at
random and read in a process of its own. Expected is an answer, or one error of the package that names the file. No
crash, no end without an answer, no other exception, nothing executed, no more than 2 GB and 20 s of processor time.
"""

import argparse
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import torch
from tqdm.auto import tqdm

from modeling_rdfer import predict
from modeling_rdfer.inference.errors import CheckpointReadError
from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from modeling_rdfer.models.video_source_rdfer import resize_frames
from training.benchmarks.shared.mutations import mutate_bytes, mutate_json, mutate_safetensors, read_in_process
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, machine
from training.running.script_parser import ScriptParser

FILE = "robustness.jsonl"
EXAMPLES = """examples:
  python -m training.benchmarks.robustness                          about 4 minutes of one core
  python -m training.benchmarks.robustness --seed 1 --files 20      others, and fewer
  python -m training.benchmarks.robustness --render                 only writes the tables
"""
# Name of a file -> encoder, pixel format, options of the encoder, options of the container.
VIDEOS: dict[str, tuple[str, str, dict, dict]] = {
    "h264.mp4": ("libx264", "yuv420p", {"g": "8"}, {"movflags": "faststart"}),
    "h264_fragments.mp4": ("libx264", "yuv420p", {"g": "8"}, {"movflags": "frag_keyframe+empty_moov"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none:keyint=8"}, {}),
    "av1.mp4": ("libaom-av1", "yuv420p", {"cpu-used": "8", "g": "8"}, {}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "8"}, {}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "8", "cpu-used": "8"}, {}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "8", "cpu-used": "8"}, {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"bf": "2"}, {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}, {}),
    "mjpeg.mov": ("mjpeg", "yuvj420p", {}, {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}, {}),
    "h264.ts": ("libx264", "yuv420p", {"g": "8"}, {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {}, {}),
    "flv1.flv": ("flv", "yuv420p", {}, {}),
    "wmv2.wmv": ("wmv2", "yuv420p", {}, {}),
    "animation.gif": ("gif", "rgb8", {}, {}),
    "raw.h264": ("libx264", "yuv420p", {"g": "8"}, {}),
}
CHECKPOINT_FILES = ("config.json", "video_preprocessor_config.json", "model.safetensors", "face_detector.safetensors")


# Videos --------------------------------------------------------------------------------------------------------------


def make_videos(folder: Path) -> dict[str, bytes]:
    """Contents of the intact videos by name: 24 frames of the real clip, 160x120. Kinds that this PyAV cannot encode
    are left out.
    """
    with open_video(CLIP) as video:
        frames = resize_frames(video.get_frames(range(560, 584)), (120, 160)).permute(0, 2, 3, 1).numpy()
    contents = {}
    for name, (codec, pixels, options, container_options) in VIDEOS.items():
        if codec not in av.codecs_available:
            continue
        with av.open(str(folder / name), "w", options=container_options) as container:
            stream: Any = container.add_stream(codec, rate=25, options=options)
            stream.height, stream.width, stream.pix_fmt = 120, 160, pixels
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        contents[name] = (folder / name).read_bytes()
    return contents


def strict_decoder_complains(content: bytes) -> bool:
    """Whether FFmpeg, told to stop at every error, cannot decode all of a file."""
    try:
        with av.open(io.BytesIO(content), metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            stream.codec_context.options = {"err_detect": "explode"}
            return any(frame.is_corrupt for frame in container.decode(stream))
    except (av.FFmpegError, OSError, ValueError, IndexError, AttributeError):
        return True


def read_video(path: Path, decoder: str, on_damage: str) -> dict:
    """What reading all frames of a damaged video leads to."""
    try:
        with open_video(path, decoder, on_damage=on_damage) as video:
            video.get_frames(range(min(len(video), 200)), size=(56, 56))
            warned, backend = video.is_damaged, video.backend
    except VideoReadError as error:
        return _error(error, path.name)
    return {"outcome": "answer", backend: 1, "warned": warned, "strict": strict_decoder_complains(path.read_bytes())}


def _error(error: Exception, name: str) -> dict:
    text = str(error)
    if name not in text or len(text.splitlines()) > 1:
        return {"failure": f"an error that does not name {name} in one line: {text[:300]}"}
    return {"outcome": "error"}


def video_jobs(folder: Path, seed: int, files: int) -> Iterator[tuple[str, str, Path, Any]]:
    """(kind of file, kind of damage, damaged file, what reads it) of each damaged video."""
    contents = make_videos(folder)
    decoders = ["pyav"] if decoder_in_use("torchcodec")[0] is None else ["pyav", "torchcodec"]
    for name, content in contents.items():
        for number in range(files):
            chance = random.Random(f"{seed} {name} {number}")
            damage, damaged = mutate_bytes(content, chance, list(contents.values()))
            path = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
            path.write_bytes(damaged)
            decoder, on_damage = chance.choice(decoders), chance.choice(("error", "use_readable"))
            yield name, f"{damage} ({decoder}, {on_damage})", path, partial(read_video, path, decoder, on_damage)
            path.unlink()


# Checkpoints ---------------------------------------------------------------------------------------------------------


def read_checkpoint(folder: Path, name: str, frames: torch.Tensor) -> dict:
    """What an answer by a checkpoint of which one file is damaged leads to."""
    try:
        answer = predict(frames, model=str(folder), device="cpu", on_missing_face="full_frame")
    except CheckpointReadError as error:
        return _error(error, name)
    scores = [prediction["score"] for prediction in answer["predictions"]]
    if not all(0 <= score <= 1 for score in scores):
        return {"failure": f"scores {scores}"}
    return {"outcome": "answer"}


def checkpoint_jobs(folder: Path, seed: int, files: int) -> Iterator[tuple[str, str, Path, Any]]:
    """(file, kind of damage, damaged file, what reads it) of each damaged checkpoint."""
    checkpoint = folder / "checkpoint"
    shutil.copytree(embedded_checkpoint(), checkpoint)
    with open_video(CLIP) as video:
        frames = video.get_frames(range(560, 584, 4))
    predict(frames, device="cpu")  # what the readers share is loaded once, in this process
    for name in CHECKPOINT_FILES:
        path = checkpoint / name
        content = path.read_bytes()
        for number in range(files):
            chance = random.Random(f"{seed} {name} {number}")
            if path.suffix == ".safetensors":
                damage, damaged = mutate_safetensors(content, chance)
            elif chance.random() < 0.7:
                damage, text = mutate_json(content.decode(), chance)
                damaged = text.encode()
            else:
                damage, damaged = mutate_bytes(content, chance, [content])
            path.write_bytes(damaged)
            yield name, damage, path, partial(read_checkpoint, checkpoint, name, frames)
        path.write_bytes(content)


# Running -------------------------------------------------------------------------------------------------------------


def run(jobs: Iterator[tuple[str, str, Path, Any]], kept: Path, total: int) -> tuple[dict[str, dict], list[str]]:
    """Reads the damaged files.

    Args:
        jobs: as `video_jobs` and `checkpoint_jobs` give them.
        kept (`Path`): folder for the files that led to a failure.
        total (`int`): number of jobs, for the display.

    Returns:
        `tuple`: `{kind of file: {figure: number}}`, and a line for each failure.
    """
    tables: dict[str, Counter] = {}
    failures = []
    for number, (name, damage, path, read) in enumerate(tqdm(jobs, total=total, desc="files")):
        result = read_in_process(read)
        row = tables.setdefault(name, Counter(dict.fromkeys(("files", "answer", "error", "failure"), 0)))
        row["files"] += 1
        if "failure" in result:
            row["failure"] += 1
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept / f"{number}_{path.name}")
            failures.append(f"{kept / f'{number}_{path.name}'}, {damage}: {result['failure']}")
            tqdm.write(failures[-1], file=sys.stderr)
            continue
        row[result["outcome"]] += 1
        row["memory"] = max(row["memory"], result["memory"])
        if result.get("pyav") and result["strict"]:
            row["strict"] += 1
            row["warned"] += result["warned"]
    return {name: dict(row) for name, row in tables.items()}, failures


def render(results: dict[str, dict]) -> str:
    """The tables of the page."""
    lines = []
    for part, title in (("videos", "Damaged videos"), ("checkpoints", "Damaged files of a checkpoint")):
        if part not in results:
            continue
        table, seed = results[part]["table"], results[part]["seed"]
        header = (title, "files", "answers", "errors", "failures", "most memory, MB")
        keys = ["files", "answer", "error", "failure", "memory"]
        if part == "videos":
            header = (*header, "answers by PyAV, refused by a strict decoder", "of them with a warning")
            keys += ["strict", "warned"]
        rows = [(name, *(str(row.get(key, 0)) for key in keys)) for name, row in table.items()]
        sums = [sum(row.get(key, 0) for row in table.values()) for key in keys]
        sums[4] = max(row.get("memory", 0) for row in table.values())
        rows.append(("all", *map(str, sums)))
        lines += [
            markdown_table(header, rows),
            f"Seed {seed}. Measured with {measured_with(results[part]['machine'])}.",
        ]
    return "\n\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs what the command line says. Returns 0, or 1 if there was a failure."""
    parser = ScriptParser("benchmarks.robustness", __doc__, EXAMPLES)
    parser.add_argument("--seed", type=int, default=0, help="decides how files are damaged")
    parser.add_argument("--files", type=int, default=200, help="damaged files of each kind")
    parser.add_argument("--only", choices=["videos", "checkpoints"], help="one of the parts (default: both)")
    parser.add_argument(
        "--kept", type=Path, default=Path("output/robustness"), help="folder for the files that led to a failure"
    )
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    failures = [] if arguments.render else run_parts(arguments)
    text = render(load_results(arguments.output_dir / FILE))
    print(text)
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("robustness", text)
    return 1 if failures else 0


def run_parts(arguments: argparse.Namespace) -> list[str]:
    """Runs the parts that were asked for and adds them to the results; returns the failures."""
    torch.set_num_threads(1)  # copies of a process do not have its threads
    parts = {
        "videos": (video_jobs, len(VIDEOS)),
        "checkpoints": (checkpoint_jobs, len(CHECKPOINT_FILES)),
    }
    failures = []
    for name, (jobs, kinds) in parts.items():
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            made = jobs(Path(folder), arguments.seed, arguments.files)
            table, failed = run(made, arguments.kept, kinds * arguments.files)
        failures += failed
        write_result(arguments.output_dir / FILE, name, {"machine": machine(), "seed": arguments.seed, "table": table})
    return failures


if __name__ == "__main__":
    sys.exit(main())
