# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""DFEW: 11,697 single-labelled film clips, 7 expressions, 5 folds (Jiang et al., ACM Multimedia 2020)."""

import re
from pathlib import Path
from typing import Literal

import datasets

from .loader_tools import (
    OnMissing,
    build_splits,
    find_clips,
    find_folder,
    find_lists,
    labels_by_number,
    loader,
    read_lines,
)
from .person_folds import split_by_listed_person

LABELS = ["happy", "sad", "neutral", "anger", "surprise", "disgust", "fear"]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    1: {"train": [1956, 1515, 2135, 1738, 1175, 116, 721], "test": [489, 379, 534, 435, 294, 29, 181]},
    2: {"train": 9356, "test": 2341},
    3: {"train": 9357, "test": 2340},
    4: {"train": 9358, "test": 2339},
    5: {"train": 9361, "test": 2336},
}
CLIPS = ("Clip/clip_224x224", "Clip/jpg_256", "Clip/clip_224x224_16f", "Clip/original", "clip_224x224", "jpg_256")


@loader("folder")
def load(
    root, fold: Literal[1, 2, 3, 4, 5] = 1, on_missing: OnMissing = "error", persons: str | None = None
) -> datasets.DatasetDict:
    """Loads a fold of DFEW.

    Args:
        root (`str` or `Path`): folder with `Clip/clip_224x224/<00001>/*.jpg` (also nested twice, `jpg_256`, or the 16
            frames of `clip_224x224_16f`) and the lists in one of three forms:
            `EmoLabel_DataSplit/train(single-labeled)/set_1.csv` with labels from 1, `train_set_1.csv` with labels from
            0, or `DFEW_set_1_train.txt` with folder, number of frames and label.
        fold (`int`, *optional*, defaults to 1): which of the 5 folds, from 1.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row of the lists without a
            clip is an error or left out.
        persons (`str`, *optional*): list of the person (or film) in each clip, see [`split_by_listed_person`]. The
            folds are then made anew, so that nobody is in both splits; the dataset's own folds share people.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`] and
        `fold`, and `person` if it is known. `sample_id` has five digits, also if a list has dropped leading zeros.

    Raises:
        FileNotFoundError: if a folder, list or clip is missing.
        ValueError: if lists and clips disagree, or `persons` lacks a clip.
    """
    clips = find_clips(find_folder(root, CLIPS), r"\d{1,5}", key=lambda path: path.stem.zfill(5))
    files = find_lists(
        root,
        [
            (f"train(single-labeled)/set_{fold}.csv", f"test(single-labeled)/set_{fold}.csv"),
            (f"train_set_{fold}.csv", f"test_set_{fold}.csv"),
            (f"DFEW_set_{fold}_train.txt", f"DFEW_set_{fold}_test.txt"),
        ],
    )
    lists = {split: _read_list(file) for split, file in zip(("train", "test"), files)}
    base = 1 if files[0].name.startswith("set_") else 0
    labels = labels_by_number(files[0], [row for rows in lists.values() for row in rows], LABELS, base)
    splits = {
        split: [{"sample_id": name, "label": labels[number], "fold": fold} for name, number in rows]
        for split, rows in lists.items()
    }
    if persons is not None:
        splits = split_by_listed_person(splits, persons, fold, num_folds=5)
    return build_splits(root, LABELS, splits, clips, on_missing)


def _read_list(file: Path) -> list[tuple[str, str]]:
    """Clips and the numbers of their labels: "name,label" after a header, or "folder frames label" without header."""
    rows = []
    for line in read_lines(file):
        fields = line.split(",") if file.suffix == ".csv" else line.rsplit(" ", 2)
        if fields[0] == "video_name":
            continue
        match = re.fullmatch(r"(?:.*[/\\])?(\d{1,5})(?:\.\w+)?", fields[0].strip().rstrip("/"))
        if not match or len(fields) != (2 if file.suffix == ".csv" else 3):
            raise ValueError(f"{file}: expected rows `name,label` or `folder frames label`, found {line!r}.")
        rows.append((match[1].zfill(5), fields[-1].strip()))
    return rows
