# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from tests.helpers.dataset_replicas import labels_of
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.datasets import load


def test_folder_with_and_without_splits(root):
    splits = load("videofolder", root)
    assert list(splits) == ["train", "validation"]
    expected = {"train/happy/a": "happy", "train/happy/b.AVI": "happy", "train/sad/c.mp4": "sad"}
    assert labels_of(splits["train"]) == expected
    # Labels are numbered alike in all splits, also where one is not there.
    assert splits["validation"].features["label"].names == ["happy", "sad"]
    alone = load("videofolder", root / "train")
    assert list(alone) == ["train"] and alone["train"]["sample_id"][0] == "happy/a"
    videos = check_videos(LabelledVideos.from_dataset(alone["train"], "train"))
    assert videos.columns["num_frames"] == [2, 3, 3]


def test_missing_or_empty_folders_say_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        load("videofolder", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no videos: expected .*<label>"):
        load("videofolder", tmp_path)
