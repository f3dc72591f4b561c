# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""AFEW: film clips of EmotiW, 7 expressions, training and validation (Dhall et al., IEEE MultiMedia 2012)."""

from pathlib import Path

import datasets

from modeling_rdfer.models.labels_rdfer import canonical_label

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

LABELS = ["Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear"]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    None: {"train": [150, 117, 142, 135, 74, 74, 81], "validation": [62, 61, 64, 63, 45, 40, 46]},
}
NAMES = {canonical_label(label): label for label in LABELS}
CLIPS = {
    "train": ("AFEW_Face/train", "Train_AFEW", "train"),
    "validation": ("AFEW_Face/validation", "Val_AFEW", "validation"),
}


@loader("folder")
def load(root, lists: bool = True, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """Loads AFEW.

    Args:
        root (`str` or `Path`): folder with `AFEW_Face/train/<Emotion>/<clip>` and `AFEW_Face/validation/...` (folders
            of frames), or `Train_AFEW` and `Val_AFEW` (video files), and the lists `AFEW_train.txt` and
            `AFEW_validation.txt` (folder, number of frames, label).
        lists (`bool`, *optional*, defaults to `True`): whether to use the lists; otherwise the folders say which clips
            and labels there are.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row of the lists without a
            clip is an error or left out.

    Returns:
        `datasets.DatasetDict`: `train` and `validation` with the columns of
        [`build_splits`]. `sample_id` is `<split>/<Emotion>/<clip>`. The labels of the test
        set are not public.

    Raises:
        FileNotFoundError: if a folder, list or clip is missing.
        ValueError: if lists and clips disagree.
    """
    clips, splits = {}, {}
    for split, candidates in CLIPS.items():

        def clip_id(path: Path, split=split) -> str:
            return f"{split}/{path.parent.name}/{path.stem}"

        found = find_clips(find_folder(root, candidates), r"[\d_]+", key=clip_id)
        clips |= found
        splits[split] = [{"sample_id": name, "label": _folder_label(name)} for name in found]
    if lists:
        files = find_lists(root, [[f"AFEW_{split}.txt" for split in CLIPS]])
        splits = {split: _read_list(file, split) for split, file in zip(CLIPS, files)}
    return build_splits(root, LABELS, splits, clips, on_missing)


def _read_list(file: Path, split: str) -> list[dict]:
    fields = [line.rsplit(" ", 2) for line in read_lines(file)]
    if bad := [" ".join(row) for row in fields if len(row) != 3 or "/" not in row[0]]:
        raise ValueError(f"{file}: expected rows `folder frames label`, found {bad[0]!r}.")
    # Paths in the list are those of another machine: only the last two folders, expression and clip, are used.
    rows = [("/".join([split, *row[0].rstrip("/").split("/")[-2:]]), row[2]) for row in fields]
    labels = labels_by_number(file, rows, LABELS, base=0)
    wrong = [name for name, number in rows if labels[number] != _folder_label(name)]
    if wrong:
        raise ValueError(f"{file}: the labels of {len(wrong)} rows are not those of their folders: {wrong[0]}.")
    return [{"sample_id": name, "label": labels[number]} for name, number in rows]


def _folder_label(name: str) -> str:
    folder = name.split("/")[1]
    return NAMES.get(canonical_label(folder), folder)
