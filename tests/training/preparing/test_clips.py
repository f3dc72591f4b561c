# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import shutil

import pytest

from tests.helpers.prepared_sets import (
    SETTINGS,
    clip_names,
)
from training.datasets import load
from training.preparing.dataset import prepare_dataset


def test_folds_that_overlap_are_refused(frames_root, tmp_path):
    # DFEW's folds come from lists: the fourth tests a clip of the first.
    for number in range(10):
        shutil.copytree(frames_root / "face_aligned" / clip_names()[0], tmp_path / f"clip_224x224/{number:05}")
    for fold in range(1, 6):
        test = [2 * fold - 2, 2 * fold - 1] if fold != 4 else [0, 7]
        for split, rows in {"test": test, "train": [row for row in range(10) if row not in test]}.items():
            lines = "".join(f"{row},{row % 7}\n" for row in rows)
            (tmp_path / f"{split}_set_{fold}.csv").write_text("video_name,label\n" + lines)
    with pytest.raises(ValueError, match=r"1 clips are test clips of more than one fold: 00000.*--fold 1"):
        prepare_dataset("dfew", tmp_path, tmp_path / "out")


def test_a_list_with_folds_is_prepared_in_all_of_them(frames_root, tmp_path):
    rows = [("path", "label", "fold")]
    rows += [(f"face_aligned/{name}", name[9:12], number % 3 + 1) for number, name in enumerate(clip_names()[:9])]
    (frames_root / "list.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    prepare_dataset("videolist", frames_root / "list.csv", tmp_path, num_workers=1, **SETTINGS)
    for fold in (1, 2, 3):
        loaded = load("hub", tmp_path, fold=fold)
        expected = [path for path, _, number in rows[1:] if number == fold]
        assert sorted(loaded["test"]["sample_id"]) == expected and len(loaded["train"]) == 6
        assert loaded["test"].features["label"].names == ["ANG", "DIS", "FEA", "HAP", "NEU"]
