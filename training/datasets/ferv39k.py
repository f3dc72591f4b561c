# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""FERV39k: 38,935 clips of 22 scenes, 7 expressions, one split (Wang et al., CVPR 2022)."""

import datasets

from modeling_rdfer.models.labels_rdfer import canonical_label

from .loading import OnMissing, build, find_clips, first_folder, first_lists, loader, read_lines

LABELS = ["Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"]
# How many videos the authors' lists have: of each label in its order, or in all. `training.check_data` compares.
PUBLISHED = {
    None: {
        "train": [5854, 5523, 7790, 5906, 2502, 1833, 1680],
        "test": [1473, 1393, 1958, 1487, 638, 467, 431],
    }
}
CLIPS = ("2_ClipsforFaceCrop", "2_ClipsforFaceCrop_224", "ClipsforFaceCrop")
NAMES = {canonical_label(label): label for label in LABELS}


@loader
def load(root, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """
    Loads FERV39k.

    Args:
        root (`str` or `Path`): the folder that holds `2_ClipsforFaceCrop/<Scene>/<Emotion>/<0267>/*.jpg` and
            `4_setups/All_scenes/train_All.csv` and `test_All.csv` (rows like `Interview/Happy/0118 Happy`, no header)
            or `Annotation/train.csv` and `test.csv` (header `path,id`, numbered labels), or `FERV39k_train.txt` and
            `FERV39k_test.txt` (folder, number of frames, numbered label).
        on_missing (`"error"` or `"skip"`): what to do with rows of the lists that have no clip.

    Returns:
        `datasets.DatasetDict` of `train` and `test` with the columns of [`~training.datasets.loading.build`], `scene`.
        `sample_id` is `<Scene>/<Emotion>/<number>`.

    Raises:
        FileNotFoundError: a folder, list or clip is missing.
        ValueError: lists and clips disagree, or numbered labels follow neither of the two orders in use.
    """
    clips = find_clips(first_folder(root, CLIPS), r"\d{4}", key=lambda path: _id(path.with_suffix("").as_posix()))
    files = first_lists(
        root,
        [
            ("All_scenes/train_All.csv", "All_scenes/test_All.csv"),
            ("train_All.csv", "test_All.csv"),
            ("train.csv", "test.csv"),
            ("FERV39k_train.txt", "FERV39k_test.txt"),
        ],
    )
    lists = {split: _rows(file) for split, file in zip(("train", "test"), files)}
    everything = [row for rows in lists.values() for row in rows]
    numbered = [row for row in everything if row[1].isdigit()]
    order = _order(files, numbered) if numbered else LABELS
    splits = {
        split: [
            {
                "sample_id": name,
                "label": order[int(label)] if label.isdigit() else NAMES.get(canonical_label(label), label),
                "scene": name.split("/")[0],
            }
            for name, label in rows
        ]
        for split, rows in lists.items()
    }
    return build(root, LABELS, splits, clips, on_missing)


def _id(path: str) -> str:
    return "/".join(path.rstrip("/").split("/")[-3:])


def _rows(file) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(read_lines(file)):
        fields = line.replace(",", " ").split()
        if number == 0 and fields == ["path", "id"]:
            continue
        if len(fields) not in (2, 3) or fields[0].count("/") < 2:
            raise ValueError(f"{file}: {line!r} is no row of the form Scene/Emotion/number label.")
        rows.append((_id(fields[0]), fields[-1]))
    return rows


def _order(files, rows) -> list[str]:
    """Which of the orders in use the numbers follow: the folder in a clip's path says its expression."""
    for order in (LABELS, sorted(LABELS)):
        if all(int(label) < 7 and order[int(label)] == name.split("/")[1] for name, label in rows):
            return order
    raise ValueError(
        f"{files[0]} and {files[1].name}: the numbered labels follow neither {LABELS} nor {sorted(LABELS)} "
        f"when compared with the folders, e.g. {rows[0][0]} has {rows[0][1]}."
    )
