# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""AFEW: film clips of EmotiW, 7 expressions, training and validation (Dhall et al., IEEE MultiMedia 2012)."""

from pathlib import Path

import datasets

from modeling_rdfer.models.labels_rdfer import canonical_label

from .loading import (
    OnMissing,
    build,
    find_clips,
    first_folder,
    first_lists,
    loader,
    number_names,
    read_lines,
)

LABELS = ["Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear"]
# How many videos the authors' lists have: of each label in its order, or in all. `training.check_data` compares.
PUBLISHED = {
    None: {"train": [150, 117, 142, 135, 74, 74, 81], "validation": [62, 61, 64, 63, 45, 40, 46]},
}
NAMES = {canonical_label(label): label for label in LABELS}
CLIPS = {
    "train": ("AFEW_Face/train", "Train_AFEW", "train"),
    "validation": ("AFEW_Face/validation", "Val_AFEW", "validation"),
}


@loader
def load(root, lists: bool = True, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """
    Loads AFEW.

    Args:
        root (`str` or `Path`): the folder that holds `AFEW_Face/train/<Emotion>/<clip>` and
            `AFEW_Face/validation/...` (folders of frames), or `Train_AFEW` and `Val_AFEW` (video files), and the lists
            `AFEW_train.txt` and `AFEW_validation.txt` (folder, number of frames, label).
        lists (`bool`): whether to follow the lists; otherwise the folders alone say which clips and labels there are.
        on_missing (`"error"` or `"skip"`): what to do with rows of the lists that have no clip.

    Returns:
        `datasets.DatasetDict` of `train` and `validation` with the columns of
        [`~training.datasets.loading.build`]. `sample_id` is `<split>/<Emotion>/<clip>`. The test part has no public
        labels.

    Raises:
        FileNotFoundError: a folder, list or clip is missing.
        ValueError: lists and clips disagree.
    """
    clips, splits = {}, {}
    for split, candidates in CLIPS.items():

        def clip_id(path: Path, split=split) -> str:
            return f"{split}/{path.parent.name}/{path.stem}"

        found = find_clips(first_folder(root, candidates), r"[\d_]+", key=clip_id)
        clips |= found
        splits[split] = [{"sample_id": name, "label": _folder_label(name)} for name in found]
    if lists:
        files = first_lists(root, [[f"AFEW_{split}.txt" for split in CLIPS]])
        for split, file in zip(CLIPS, files):
            fields = [line.rsplit(" ", 2) for line in read_lines(file)]
            if bad := [" ".join(row) for row in fields if len(row) != 3 or row[0].count("/") < 1]:
                raise ValueError(f"{file}: {bad[0]!r} is no row of the form folder frames label.")
            # The folders are those of whoever made the list: what counts are the expression and the clip.
            rows = [("/".join([split, *row[0].rstrip("/").split("/")[-2:]]), row[2]) for row in fields]
            labels = number_names(file, rows, LABELS, base=0)
            wrong = [name for name, number in rows if labels[number] != _folder_label(name)]
            if wrong:
                raise ValueError(
                    f"{file}: the labels of {len(wrong)} rows are not those of their folders: {wrong[0]}."
                )
            splits[split] = [{"sample_id": name, "label": labels[number]} for name, number in rows]
    return build(root, LABELS, splits, clips, on_missing)


def _folder_label(name: str) -> str:
    folder = name.split("/")[1]
    return NAMES.get(canonical_label(folder), folder)
