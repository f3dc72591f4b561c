# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from tests.helpers.dataset_replicas import labels_of, write_frames
from training.datasets import load


@pytest.mark.parametrize("space", [" ", "_"])
def test_enterface05_folds_by_subject_without_the_uncut_one(tmp_path, warnings, space):
    for subject in (1, 7, 10, 11, 23, 44):
        for label in ("anger", "disgust", "fear", "happiness", "sadness", "surprise"):
            clip = tmp_path / f"subject{space}{subject}" / label / f"sentence{space}1" / f"s{subject}_{label[:2]}_1"
            if space == "_":
                write_frames(clip)
            else:
                clip.parent.mkdir(parents=True)
                clip.with_suffix(".avi").touch()
    (tmp_path / f"subject{space}6" / "anger").mkdir(parents=True)
    (tmp_path / f"subject{space}6" / "anger" / "s6_an.avi").touch()
    splits = load("enterface05", tmp_path)
    assert set(splits["test"]["subject"]) == {1, 7, 10} and set(splits["train"]["subject"]) == {11, 23, 44}
    labels = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    assert splits["test"].features["label"].names == labels
    assert labels_of(splits["test"])["s10_sa_1"] == "sadness" and len(splits["test"]) == 18
    assert "1 clips are in no split and are left out: s6_an_0" in warnings.text
    assert set(load("enterface05", tmp_path, fold=3)["test"]["subject"]) == {23}
