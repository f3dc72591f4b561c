# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest

from tests.helpers.dataset_replicas import (
    labels_of,
    write_frames,
    write_text,
    write_video,
)
from training.datasets import load

AFEW = ["Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear"]


@pytest.fixture
def afew(tmp_path):
    for split, words in {"train": AFEW, "validation": AFEW[1:3]}.items():
        lines = []
        for number, word in enumerate(words):
            write_frames(tmp_path / "AFEW_Face" / split / word / f"0_{number}_011756043")
            lines.append(f"/home/someone/AFEW_Face/{split}/{word}/0_{number}_011756043 41 {AFEW.index(word)}")
        write_text(tmp_path / "annotation" / f"AFEW_{split}.txt", lines)
    return tmp_path


def test_afew_follows_lists_made_elsewhere(afew):
    splits = load("afew", afew)
    assert list(splits) == ["train", "validation"] and splits["train"].features["label"].names == AFEW
    assert labels_of(splits["train"]) == {f"train/{w}/0_{n}_011756043": w for n, w in enumerate(AFEW)}
    assert list(labels_of(splits["validation"]).values()) == ["Sadness", "Neutral"]
    file = afew / "annotation" / "AFEW_validation.txt"
    file.write_text(file.read_text().replace("41 1", "41 4"))
    with pytest.raises(ValueError, match="AFEW_validation.txt: the labels of 1 rows are not those of.*Sadness/0_0"):
        load("afew", afew)
    shutil.rmtree(file.parent)
    with pytest.raises(FileNotFoundError, match="AFEW_train.txt and AFEW_validation.txt"):
        load("afew", afew)


def test_afew_as_distributed_needs_no_lists(tmp_path):
    for folder, word, name in [("Train", "Angry", "000046280"), ("Train", "Happy", "001124960"), ("Val", "Sad", "7")]:
        write_video(tmp_path / f"{folder}_AFEW" / word / f"{name}.avi")
    splits = load("afew", tmp_path, lists=False)
    assert labels_of(splits["train"]) == {"train/Angry/000046280": "Anger", "train/Happy/001124960": "Happiness"}
    assert splits["validation"]["path"] == ["Val_AFEW/Sad/7.avi"] and "video" in splits["train"].column_names
