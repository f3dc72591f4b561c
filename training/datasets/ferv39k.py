# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""FERV39k: 38,935 clips of 22 scenes, 7 expressions, one split (Wang et al., CVPR 2022)."""

import datasets

from modeling_rdfer.models.labels_rdfer import canonical_label

from .loader_tools import OnMissing, build_splits, find_clips, find_folder, find_lists, loader, read_lines

LABELS = ["Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    None: {
        "train": [5854, 5523, 7790, 5906, 2502, 1833, 1680],
        "test": [1473, 1393, 1958, 1487, 638, 467, 431],
    }
}
CLIPS = ("2_ClipsforFaceCrop", "2_ClipsforFaceCrop_224", "ClipsforFaceCrop")
NAMES = {canonical_label(label): label for label in LABELS}


@loader("folder")
def load(root, on_missing: OnMissing = "error") -> datasets.DatasetDict:
    """Loads FERV39k.

    Args:
        root (`str` or `Path`): folder with `2_ClipsforFaceCrop/<Scene>/<Emotion>/<0267>/*.jpg` and the lists in one of
            three forms: `4_setups/All_scenes/train_All.csv` and `test_All.csv` (rows `Interview/Happy/0118 Happy`, no
            header), `Annotation/train.csv` and `test.csv` (header `path,id`, numbered labels), or `FERV39k_train.txt`
            and `FERV39k_test.txt` (folder, number of frames, numbered label).
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row of the lists without a
            clip is an error or left out.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`] and
        `scene`. `sample_id` is `<Scene>/<Emotion>/<number>`.

    Raises:
        FileNotFoundError: if a folder, list or clip is missing.
        ValueError: if lists and clips disagree, or numbered labels follow neither of the two known orders.
    """
    folder = find_folder(root, CLIPS)
    clips = find_clips(folder, r"\d{4}", key=lambda path: _sample_id(path.with_suffix("").as_posix()))
    files = find_lists(
        root,
        [
            ("All_scenes/train_All.csv", "All_scenes/test_All.csv"),
            ("train_All.csv", "test_All.csv"),
            ("train.csv", "test.csv"),
            ("FERV39k_train.txt", "FERV39k_test.txt"),
        ],
    )
    lists = {split: _read_rows(file) for split, file in zip(("train", "test"), files)}
    numbered = [row for rows in lists.values() for row in rows if row[1].isdigit()]
    order = _label_order(files, numbered) if numbered else LABELS
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
    return build_splits(root, LABELS, splits, clips, on_missing)


def _sample_id(path: str) -> str:
    return "/".join(path.rstrip("/").split("/")[-3:])


def _read_rows(file) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(read_lines(file)):
        fields = line.replace(",", " ").split()
        if number == 0 and fields == ["path", "id"]:
            continue
        if len(fields) not in (2, 3) or fields[0].count("/") < 2:
            raise ValueError(f"{file}: expected rows `Scene/Emotion/number label`, found {line!r}.")
        rows.append((_sample_id(fields[0]), fields[-1]))
    return rows


def _label_order(files, rows) -> list[str]:
    """The order of labels that the numbers follow, found from the folders, which have the names of the labels."""
    for order in (LABELS, sorted(LABELS)):
        if all(int(label) < 7 and order[int(label)] == name.split("/")[1] for name, label in rows):
            return order
    raise ValueError(
        f"{files[0]} and {files[1].name}: the numbered labels follow neither {LABELS} nor {sorted(LABELS)} "
        f"when compared with the folders, e.g. {rows[0][0]} has {rows[0][1]}."
    )
