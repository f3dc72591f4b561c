# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Your own videos: a list in CSV, TSV or JSON lines."""

import csv
import json
from pathlib import Path

import datasets
from transformers.utils import logging

from .loader_tools import PERSON_COLUMNS, SPLIT_NAMES, OnMissing, build_splits, loader

logger = logging.get_logger(__name__)

# Columns that a list may have besides path, label and sample_id. Others are ignored.
COLUMNS = ("split", "fold", *PERSON_COLUMNS)


@loader("list")
def load(root, fold: int | None = None, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """Loads the videos of a list.

    Args:
        root (`str` or `Path`): CSV or TSV file with a header, or JSON lines. Columns: `path` (of a video file or a
            folder of frame images; absolute, or relative to the list's folder) and `label`; optionally `split`,
            `fold`, `sample_id` (the path by default) and `actor`, `subject` or `person`.
        fold (`int`, *optional*): test on the rows of this fold and train on the others. Without it the column `split`
            decides (val, valid and dev mean validation); without that column all rows are for training.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row whose video is not there
            is an error or left out.

    Returns:
        `datasets.DatasetDict`: the splits with the columns of [`build_splits`]. Labels are
        in alphabetical order.

    Raises:
        FileNotFoundError: if the list or a video is missing.
        ValueError: if a column is missing, a row has no path or no label, or no row is in the fold.
    """
    rows = read_rows(root)
    columns = sorted(set().union(*rows) - {None})
    missing = [name for name in ("path", "label", *(["fold"] if fold is not None else [])) if name not in columns]
    if missing:
        raise ValueError(
            f"{root} lacks the columns {missing}; it has {columns}. Columns are separated by tabs in .tsv files, by "
            "commas otherwise."
        )
    splits, clips = {}, {}
    for number, row in enumerate(rows, start=1):
        made = _make_row(root, number, row, columns)
        splits.setdefault(_split_of(made, fold), []).append(made)
        video = root.parent / made["path"]
        if video.exists():
            clips[made["sample_id"]] = video
    if fold is not None and set(splits) != {"train", "test"}:
        folds = sorted({row["fold"] for rows in splits.values() for row in rows})
        raise ValueError(f"{root}: fold {fold} needs rows inside and outside of it; the rows have the folds {folds}.")
    if fold is None and "fold" in columns and list(splits) == ["train"]:
        logger.warning(f"{root} has folds, but no fold is chosen: all rows are for training.")
    labels = {row["label"] for rows in splits.values() for row in rows}
    return build_splits(root.parent, sorted(labels), splits, clips, on_missing)


def _make_row(root: Path, number: int, row: dict, columns: list[str]) -> dict:
    if row.get("path") in (None, "") or row.get("label") in (None, ""):
        raise ValueError(f"{root}: row {number} has no path or no label: {row}.")
    made = {"sample_id": str(row.get("sample_id") or row["path"]), "label": str(row["label"]).strip()}
    made |= {"path": str(row["path"])} | {name: row.get(name) for name in COLUMNS if name in columns}
    if "fold" in made:
        made["fold"] = _fold_number(root, number, made["fold"])
    return made


def _split_of(row: dict, fold: int | None) -> str:
    if fold is not None:
        return "test" if row["fold"] == fold else "train"
    split = row.get("split") or "train"
    return SPLIT_NAMES.get(split.lower(), split)


def read_rows(root: Path) -> list[dict]:
    """The rows of a CSV, TSV or JSON lines file. Raises ValueError if the file is none of these."""
    try:
        with open(root, newline="", encoding="utf-8-sig") as handle:
            if root.suffix.lower() in (".jsonl", ".json"):
                return [json.loads(line) for line in handle if line.strip()]
            return list(csv.DictReader(handle, delimiter="\t" if root.suffix.lower() == ".tsv" else ","))
    except UnicodeDecodeError as error:
        raise ValueError(f"{root} is not UTF-8 text: {error}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{root}: expected a JSON object in each line, found {error.doc[:60]!r} ({error})."
        ) from error


def _fold_number(root: Path, row: int, text) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        raise ValueError(f"{root}: row {row} has fold {text!r}; expected a whole number.") from None
