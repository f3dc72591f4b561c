# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Anyone's own videos: a CSV, TSV or JSONL list."""

import csv
import functools
import json
from pathlib import Path

import datasets

from .loading import PERSON_COLUMNS, SPLIT_NAMES, OnMissing, build, loader, logger

# What a list may say besides path and label; other columns are left alone.
COLUMNS = ("split", "fold", *PERSON_COLUMNS)


@functools.partial(loader, kind="list")
def load(root, fold: int | None = None, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """
    Loads the videos of a list.

    Args:
        root (`str` or `Path`): CSV or TSV file with a header, or JSON lines. Columns: `path` (relative to the list's
            folder, or absolute; a video file or a folder of frame images) and `label`; optionally `split`, `fold`,
            `sample_id` (the path by default) and `actor`, `subject` or `person`.
        fold (`int`, *optional*): test on the rows of this fold, train on the others. Without it, the column `split`
            says what a row is for (val, valid and dev are validation); without that, too, all rows are for training.
        on_missing (`"error"` or `"skip"`): what to do with rows whose video is not there.

    Returns:
        `datasets.DatasetDict` with the columns of [`~training.datasets.loading.build`]. Labels are in alphabetical
        order.

    Raises:
        FileNotFoundError: the list or a video is missing.
        ValueError: a column is missing, a row has no path or no label, or no row is in the fold.
    """
    rows = read_rows(root)
    found = sorted(set().union(*rows) - {None})
    missing = [name for name in ("path", "label", *(["fold"] if fold is not None else [])) if name not in found]
    if missing:
        raise ValueError(
            f"{root} lacks the columns {missing}; it has {found}. Columns are separated by tabs in .tsv files, by "
            "commas otherwise."
        )
    splits, clips = {}, {}
    for number, row in enumerate(rows, start=1):
        if row.get("path") in (None, "") or row.get("label") in (None, ""):
            raise ValueError(f"{root}: row {number} has no path or no label: {row}.")
        made = {"sample_id": str(row.get("sample_id") or row["path"]), "label": str(row["label"]).strip()}
        made |= {"path": str(row["path"])} | {name: row.get(name) for name in COLUMNS if name in found}
        if "fold" in made:
            made["fold"] = _number(root, number, made["fold"])
        if fold is not None:
            split = "test" if made["fold"] == fold else "train"
        else:
            split = made.get("split") or "train"
            split = SPLIT_NAMES.get(split.lower(), split)
        splits.setdefault(split, []).append(made)
        video = root.parent / made["path"]
        if video.exists():
            clips[made["sample_id"]] = video
    if fold is not None and set(splits) != {"train", "test"}:
        folds = sorted({row["fold"] for rows in splits.values() for row in rows})
        raise ValueError(f"{root}: fold {fold} needs rows inside and outside of it; the rows have the folds {folds}.")
    if fold is None and "fold" in found and list(splits) == ["train"]:
        logger.warning(f"{root} has folds; without --fold all of its rows are for training.")
    labels = {row["label"] for rows in splits.values() for row in rows}
    return build(root.parent, sorted(labels), splits, clips, on_missing)


def read_rows(root: Path) -> list[dict]:
    """The rows of a CSV, TSV or JSONL file. Raises ValueError if it is none."""
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


def _number(root: Path, row: int, text) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        raise ValueError(f"{root}: row {row} has fold {text!r}; expected a whole number.") from None
