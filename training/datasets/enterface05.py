# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""eNTERFACE'05: 43 people act 6 expressions in 5 sentences each; 5 folds (Martin et al., ICDE Workshops 2006)."""

import re
from pathlib import Path
from typing import Literal

import datasets

from modeling_rdfer.models.labels_rdfer import canonical_label

from .loader_tools import build_splits, find_clips, loader, split_by_person

LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
# Subject 6 is not cut into sentences and is in no fold. Subject 23 lacks three clips.
UNCUT_SUBJECT = 6
FOLDS = [range(1, 11), range(11, 20), range(20, 29), range(29, 38), range(38, 45)]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    fold: {"train": 1287 - test, "test": test} for fold, test in enumerate((270, 270, 267, 270, 210), start=1)
}


@loader("folder")
def load(root, fold: Literal[1, 2, 3, 4, 5] = 1) -> datasets.DatasetDict:
    """Loads a fold of eNTERFACE'05.

    Args:
        root (`str` or `Path`): folder with, at any depth, video files `subject 1/anger/sentence 1/s1_an_1.avi` or
            folders of frames `subject_1/anger/sentence_1/s1_an_1`.
        fold (`int`, *optional*, defaults to 1): test on subjects 1-10, 11-19, 20-28, 29-37 or 38-44 and train on the
            others.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`],
        `subject`, `sentence` and `fold`. `sample_id` is like `s1_an_1`; subject, expression and sentence come
        from the folders, not from the file name.

    Raises:
        FileNotFoundError: if there is no clip.
        ValueError: if a clip is there twice, its folders or expression are unknown, or a fold is empty.
    """
    clips = find_clips(root, r"s_?\d+_\w+", key=_sample_id)
    rows = []
    for name, path in clips.items():
        subject, label, sentence = _parse(path)
        if subject != UNCUT_SUBJECT:
            rows.append({"sample_id": name, "label": label, "subject": subject, "sentence": sentence})
    return build_splits(root, LABELS, split_by_person(rows, "subject", FOLDS, fold), clips)


def _parse(path: Path) -> tuple[int, str, int]:
    match = re.search(r"subject[ _]?(\d+)/([^/]+)/(?:sentence[ _]?(\d+)/)?[^/]+$", path.as_posix())
    if not match or not (match[3] or int(match[1]) == UNCUT_SUBJECT):
        raise ValueError(f"{path}: expected subject N/expression/sentence N/clip.")
    return int(match[1]), canonical_label(match[2]), int(match[3] or 0)


def _sample_id(path: Path) -> str:
    subject, label, sentence = _parse(path)
    return f"s{subject}_{label[:2]}_{sentence}"
