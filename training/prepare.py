# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Prepares a dataset for training: reads each video as the processor does, finds and crops the face, and writes the
frames that training sees as small videos into Parquet shards, which `datasets` loads and streams.

With --frame-teacher it also stores the predictions of a frozen frame classifier for every frame. Training uses them as
pseudo-labels for frame-level guidance without computing them again, also when it streams.

A prepared video has exactly the frames that the processor takes from the original, at their final size, at 25 frames
per second. `content_hash`, `num_frames` and `num_unreadable` are those of the original. Rows are shuffled, the same
way every time.
"""

import sys
from pathlib import Path

from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from training.data.dataset_argument import SourceArguments, chosen_options, find_source
from training.preparing.dataset import prepare_dataset
from training.running.script_parser import BooleanAction, ScriptParser

EXAMPLES = """examples:
  A dataset of face crops, all folds at once:
    python -m training.prepare --dataset dfew --root D --output-dir prepared/dfew
  Videos of whole scenes: faces are found and cropped; clips without a face are left out and counted:
    python -m training.prepare --dataset crema_d --root D --output-dir prepared/crema_d \\
      --dataset-options label_source=face_vote --on-bad-video skip
  On a Ray cluster of machines that see the same files (extra ray):
    python -m training.prepare --dataset dfew --root D --output-dir prepared/dfew --ray 10.0.0.1:6379
  If it is interrupted, the same command continues. Then:
    datasets.load_dataset("prepared/dfew", "fold_1", split="train", streaming=True)
  With pseudo-labels of each frame by rdfer-small, or by your own checkpoint, for AEN or --frame-guidance-weight:
    python -m training.prepare --dataset dfew --root D --output-dir prepared/dfew --frame-teacher
    python -m training.prepare --dataset dfew --root D --output-dir prepared/dfew --frame-teacher user/model
"""


def build_parser() -> ScriptParser:
    """The command line of the script."""
    parser = ScriptParser("prepare", __doc__, EXAMPLES, SourceArguments)
    parser.add_argument("--output-dir", required=True, type=Path, help="folder to write")
    parser.add_argument("--model", help="checkpoint whose processor is used (default: the embedded rdfer-small)")
    parser.add_argument("--size", type=int, help="height and width of frames, even (default: the processor's)")
    parser.add_argument("--num-frames", type=int, default=64, help="most frames of a video")
    parser.add_argument(
        "--face-crop",
        action=BooleanAction,
        help="find and crop faces (default: not in folders of frames, which are usually face crops)",
    )
    parser.add_argument(
        "--on-missing-face",
        choices=["error", "full_frame"],
        help="what to do with a clip without a face: treat it as unreadable, or take its whole frames (default: the "
        "processor's setting)",
    )
    parser.add_argument(
        "--on-damage",
        choices=["error", "use_readable"],
        help="what to do with a damaged video: treat it as unreadable, or take the frames that can be decoded "
        "(default: the processor's setting)",
    )
    parser.add_argument(
        "--on-bad-video",
        choices=["error", "skip"],
        default="error",
        help="what to do with a clip that cannot be read: stop, or leave it out",
    )
    parser.add_argument("--shard-size", type=int, default=256, help="most clips of a shard")
    parser.add_argument("--num-workers", type=int, help="clips at a time (default: one for each core)")
    parser.add_argument(
        "--frame-teacher",
        nargs="?",
        const=embedded_checkpoint(),
        metavar="CHECKPOINT",
        help="store predictions of this RDFER or AEN checkpoint for each frame (without a name: the embedded "
        "rdfer-small; default: no pseudo-labels)",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="prepare on the Ray cluster at ADDRESS, or on that of this computer, or on all its cores, a shard at a "
        "time on each core; the files are the same",
    )
    return parser


def main(argv: list[str] | None = None) -> dict:
    """Prepares a dataset as the command line says."""
    parser = build_parser()
    source, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    if not source.dataset:
        parser.error("pass --dataset")
    try:
        options = chosen_options(source)
        found = find_source(source.dataset, source.root)
        manifest = prepare_dataset(found.loader, found.location, dataset_options=options, **vars(arguments))
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error
    written = sum(shard["rows"] for shard in manifest["shards"])
    size = sum(shard["bytes"] for shard in manifest["shards"]) / 2**20
    print(f"{arguments.output_dir}: {written} clips, {len(manifest['shards'])} shards, {size:.1f} MB")
    return manifest


if __name__ == "__main__":
    main()
