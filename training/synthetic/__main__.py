# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Writes a data set of synthetic videos (drawn faces): a folder per split and given label, and truth.csv.

Examples:
  700 videos, 30 % of the training labels wrong, 30 % of the clips hard:
    python -m training.synthetic --out output/synthetic --videos 700 --noise 0.3 --hard 0.3 --workers 2
  Plausible confusions instead of any class:
    python -m training.synthetic --out output/asymmetric --videos 700 --noise 0.2 --noise_type asymmetric
  Your own confusions, {"fear": {"fear": 0.7, "surprise": 0.3}, ...} with a row for each class:
    python -m training.synthetic --out output/own --videos 700 --noise_type confusions.json
"""

import argparse
import sys

from .dataset import summary, write_dataset


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m training.synthetic", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", required=True, help="folder to write; a broken-off run with the same settings goes on"
    )
    parser.add_argument("--videos", type=int, required=True, help="number of videos of all splits")
    parser.add_argument(
        "--noise", type=float, help="share of wrong labels, 0 to 1 (default 0; not with a matrix file)"
    )
    parser.add_argument(
        "--noise_type",
        default="symmetric",
        help="symmetric (default: any other class), asymmetric (plausible confusions), or a JSON or CSV file with the "
        "probability of each given label (columns) for each true label (rows), by name",
    )
    parser.add_argument(
        "--noisy_splits",
        nargs="*",
        default=["train"],
        choices=["train", "validation"],
        help="splits that get wrong labels (default train); the test set is always clean",
    )
    parser.add_argument("--hard", type=float, default=0.3, help="share of hard clips, 0 to 1 (default 0.3)")
    parser.add_argument("--size", type=int, default=112, help="height and width in pixels, even (default 112)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the videos (default 0)")
    parser.add_argument("--noise_seed", type=int, help="seed of the wrong labels (default: --seed)")
    parser.add_argument(
        "--splits",
        nargs=3,
        type=float,
        default=[0.7, 0.1, 0.2],
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares of the splits (default 0.7 0.1 0.2)",
    )
    parser.add_argument(
        "--num_frames",
        nargs=2,
        type=int,
        default=[24, 96],
        metavar=("LEAST", "GREATEST"),
        help="frames of a video, at 25 per second (default 24 96)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1); changes nothing but the time")
    args = vars(parser.parse_args(arguments))
    try:
        rows = write_dataset(args.pop("out"), args.pop("videos"), **args)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
