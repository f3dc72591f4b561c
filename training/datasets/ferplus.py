# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""FER+: ten people's votes on the expression of each image of FER-2013, 35,887 faces of 48x48 grey pixels (Barsoum et
al., ICMI 2016). The votes are under the MIT license; the images were collected from the web, without a license of the
photographers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from transformers.utils import logging

from .loader_tools import build_splits, find_lists, loader

logger = logging.get_logger(__name__)

# What people could vote for, in the order of the votes. NF is "not a face".
VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
LABELS = VOTES[:7]
# Numbers of images of each label with the default options, counted from the authors' votes; with contempt it is 25,045
# and 3,191 images. `training.check_data` compares with them.
PUBLISHED = {
    None: {
        "train": [8733, 7284, 3136, 3022, 2098, 116, 536],
        "validation": [1180, 862, 411, 348, 289, 25, 60],
    }
}
SPLITS = ("train", "validation", "test")


@loader("folder")
def load(
    root, keep: Literal["majority", "plurality", "all"] = "majority", contempt: bool = False
) -> datasets.DatasetDict:
    """Loads FER+. The images are not decoded.

    Args:
        root (`str` or `Path`): folder with `train.parquet`, `validation.parquet` and, optionally, `test.parquet`, with
            the columns `image` (`{"bytes", "path"}`), `votes` (ten whole numbers) and, optionally, `fer2013_label`.
        keep (`"majority"`, `"plurality"` or `"all"`, *optional*, defaults to `"majority"`): which images count.
            `"majority"` is the rule of FER+'s authors: expressions with a single vote are ignored, and one expression
            must have more than half of the other votes. With `"plurality"` one must have more votes than any
            other. With both, images whose winner is no label (unknown, not a face, contempt) are left out. `"all"`
            keeps each image with a vote for a label; the label with most votes is its label, in a tie the first one.
        contempt (`bool`, *optional*, defaults to `False`): whether contempt is the eighth label.

    Returns:
        `datasets.DatasetDict`: `train`, `validation` and, if it is there, `test` (FER-2013's Training, PublicTest and
        PrivateTest) with the columns of [`build_splits`] (`image` is `{"bytes", "path"}`); `votes`, the ten numbers of
        votes for `VOTES`; `soft_label`, the shares of the labels in the votes for labels, of sum 1; and
        `fer2013_label`, FER-2013's own label or `None`, if it is known. `sample_id` is the name of the image.

    Raises:
        FileNotFoundError: if files are missing.
        ValueError: if a column is missing, or a row has other than ten votes.
    """
    labels = VOTES[:8] if contempt else LABELS
    splits, images = {}, {}
    features = {"votes": datasets.List(datasets.Value("int8"), length=len(VOTES))}
    for split, rows in _read_parquet(root).items():
        kept = [made for row in rows if (made := _label_row(row, labels, keep))]
        logger.warning(f"FER+, keep={keep}: {len(kept):,} of the {len(rows):,} images of {split} are kept.")
        images |= {row["sample_id"]: row.pop("image") for row in kept}
        splits[split] = kept
    return build_splits(root, labels, splits, images, features=features)


def _label_row(row: dict, labels: Sequence[str], keep: str) -> dict | None:
    """The row with its label; `None` if the votes give it none."""
    votes = row["votes"]
    counts = votes[: len(labels)]
    if not sum(counts):
        return None
    label = labels[counts.index(max(counts))]
    winner = label if keep == "all" else _winner(votes, keep)
    if winner not in labels:
        return None
    return {**row, "label": winner, "soft_label": [count / sum(counts) for count in counts]}


def _winner(votes: Sequence[int], keep: str) -> str | None:
    """What has won the vote; `None` if nothing has."""
    most = max(votes)
    if keep == "majority":
        won = most > 1 and 2 * most > sum(count for count in votes if count > 1)
    else:
        won = votes.count(most) == 1
    return VOTES[votes.index(most)] if won else None


# ---------------------------------------------------------------------------------------------------------------------
# Parquet
# ---------------------------------------------------------------------------------------------------------------------
def _read_parquet(root: Path) -> dict[str, list[dict]]:
    """The rows of each split, with the image as `{"bytes", "path"}`."""
    files = find_lists(root, [("train.parquet", "validation.parquet")])
    files += [file for file in [files[0].with_name("test.parquet")] if file.is_file()]
    return {split: _read_table(file, split) for split, file in zip(SPLITS, files)}


def _read_table(file: Path, split: str) -> list[dict]:
    try:
        with pq.ParquetFile(file) as parquet:
            found = parquet.schema_arrow.names
            if missing := [column for column in ("image", "votes") if column not in found]:
                raise ValueError(f"{file} lacks the columns {missing}; it has {found}.")
            columns = ["image", "votes", *(["fer2013_label"] if "fer2013_label" in found else [])]
            rows = parquet.read(columns=columns).to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is no intact Parquet file: {error}.") from error
    for number, row in enumerate(rows):
        _check_votes(file, number, row["votes"])
        if not isinstance(row["image"], dict) or not row["image"].get("bytes") or not row["image"].get("path"):
            raise ValueError(f'{file}, row {number}: expected an image {{"bytes", "path"}}.')
        row["path"] = row["image"]["path"]
        row["sample_id"] = Path(row["path"]).stem
    return rows


def _check_votes(file: Path, number: int, votes):
    if not votes or len(votes) != len(VOTES) or any(count is None or count < 0 for count in votes):
        raise ValueError(f"{file}, row {number}: expected {len(VOTES)} numbers of votes for {VOTES}, found {votes}.")


__all__ = ["LABELS", "PUBLISHED", "VOTES", "load"]
