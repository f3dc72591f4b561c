# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes a dataset of synthetic videos (drawn faces): a folder for each split and given label, and truth.csv."""

import sys
from pathlib import Path

from training.running.script_parser import ScriptParser

from .dataset import format_counts, write_dataset

EXAMPLES = """examples:
  700 videos, 30 % of the training labels wrong, 30 % of the videos hard:
    python -m training.synthetic --output-dir output/synthetic --videos 700 --noise 0.3 --hard 0.3 --num-workers 2
  Likely confusions instead of any class:
    python -m training.synthetic --output-dir output/asymmetric --videos 700 --noise 0.2 --noise-type asymmetric
  Your own confusions, {"fear": {"fear": 0.7, "surprise": 0.3}, ...} with a row for each class:
    python -m training.synthetic --output-dir output/own --videos 700 --noise-type confusions.json
"""


def build_parser() -> ScriptParser:
    """The command line of the script."""
    parser = ScriptParser("synthetic", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--output-dir", required=True, type=Path, help="folder to write; an interrupted run is continued")
    add("--videos", type=int, required=True, help="number of videos in all splits")
    add("--noise", type=float, help="share of wrong labels, 0 to 1; not with a matrix file (default: 0)")
    add(
        "--noise-type",
        default="symmetric",
        help="symmetric (any other class), asymmetric (likely confusions), or a JSON or CSV file with the probability "
        "of each given label (columns) for each true label (rows), by name",
    )
    add(
        "--noisy-splits",
        nargs="*",
        default=["train"],
        choices=["train", "validation"],
        help="splits that get wrong labels; the test set has none (default: train)",
    )
    add("--hard", type=float, default=0.3, help="share of hard videos, 0 to 1")
    add("--size", type=int, default=112, help="height and width in pixels, even")
    add("--seed", type=int, default=0, help="seed of the videos")
    add("--noise-seed", type=int, help="seed of the wrong labels (default: --seed)")
    add(
        "--splits",
        nargs=3,
        type=float,
        default=[0.7, 0.1, 0.2],
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares of the splits (default: 0.7 0.1 0.2)",
    )
    add(
        "--num-frames",
        nargs=2,
        type=int,
        default=[24, 96],
        metavar=("LEAST", "GREATEST"),
        help="number of frames of a video, at 25 per second (default: 24 96)",
    )
    add("--num-workers", type=int, default=1, help="processes; the files do not depend on it")
    return parser


def main(argv: list[str] | None = None):
    """Writes a dataset as the command line says, and prints how many videos it has."""
    (arguments,) = build_parser().parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    options = vars(arguments)
    try:
        rows = write_dataset(options.pop("output_dir"), options.pop("videos"), **options)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error
    print(format_counts(rows))


if __name__ == "__main__":
    main()
