# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""MAFW: 10,045 clips, 11 single or 43 single and compound expressions, 5 folds (Liu et al., ACM Multimedia 2022)."""

from typing import Literal

import datasets

from .loader_tools import OnMissing, build_splits, find_clips, find_folder, find_lists, loader, read_lines
from .person_folds import split_by_listed_person

# The order of the paper: AN DI FE HA NE SA SU CO AX HL DS.
LABELS = [
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    *("contempt", "anxiety", "helplessness", "disappointment"),
]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    1: {"train": [1112, 511, 500, 993, 910, 1176, 857, 188, 732, 209, 145], "test": 1839},
    2: {"train": 7335, "test": 1837},
    3: {"train": 7339, "test": 1833},
    4: {"train": 7340, "test": 1832},
    5: {"train": 7341, "test": 1831},
}
CLIPS = ("data/frames", "data/faces", "data/clips", "frames", "faces", "clips")


@loader("folder")
def load(
    root,
    fold: Literal[1, 2, 3, 4, 5] = 1,
    labels: Literal["single", "compound"] = "single",
    captions: bool = False,
    on_missing: OnMissing = "error",
    persons: str | None = None,
) -> datasets.DatasetDict:
    """Loads a fold of MAFW.

    Args:
        root (`str` or `Path`): folder with `data/frames/<00025>/*.png` or `data/faces/<00025>` (or video files of
            these names) and the lists `single/no_caption/set_1/train.txt` (rows like `00025.mp4 anger`), which may be
            one folder deeper.
        fold (`int`, *optional*, defaults to 1): which of the 5 folds, from 1.
        labels (`"single"` or `"compound"`, *optional*, defaults to `"single"`): 11 expressions, or these and compound
            ones such as `anger_disgust`.
        captions (`bool`, *optional*, defaults to `False`): whether to read the lists with captions (GBK text with
            tabs).
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row of the lists without a
            clip is an error or left out.
        persons (`str`, *optional*): list of the person (or film) in each clip, see [`split_by_listed_person`]. The
            folds are then made anew, so that nobody is in both splits; the dataset's own folds share people.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`],
        `fold`, `person` if it is known and, with captions, `caption_zh` and `caption_en`. The compound labels that
        occur in the fold's lists follow the single ones, in the order of their parts.

    Raises:
        FileNotFoundError: if a folder, list or clip is missing.
        ValueError: if lists and clips disagree, a list has another form, or `persons` lacks a clip.
    """
    clips = find_clips(find_folder(root, CLIPS), r"\d{5}")
    kind = "with_caption" if captions else "no_caption"
    files = find_lists(root, [[f"{labels}/{kind}/set_{fold}/{split}.txt" for split in ("train", "test")]])
    splits = {}
    for split, file in zip(("train", "test"), files):
        splits[split] = []
        for line in read_lines(file, "gbk" if captions else "utf-8-sig"):
            fields = line.split("\t", 3) if captions else line.split()
            if len(fields) != (4 if captions else 2):
                form = "clip, label, Chinese and English caption" if captions else "clip and label"
                raise ValueError(f"{file}: {line!r} has {len(fields)} fields; expected {form}.")
            row = {"sample_id": fields[0].strip().removesuffix(".mp4"), "label": fields[1].strip(), "fold": fold}
            if captions:
                row |= {"caption_zh": fields[2].strip(), "caption_en": fields[3].strip()}
            splits[split].append(row)
    names = LABELS
    if labels == "compound":
        given = {row["label"] for rows in splits.values() for row in rows}
        compound = [name for name in given if "_" in name and set(name.split("_")) <= set(LABELS)]
        names = LABELS + sorted(compound, key=lambda name: [LABELS.index(part) for part in name.split("_")])
    if persons is not None:
        splits = split_by_listed_person(splits, persons, fold, num_folds=5)
    return build_splits(root, names, splits, clips, on_missing)
