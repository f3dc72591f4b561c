# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging

import pytest

from tests.helpers.dataset_replicas import draw_face, labels_of
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


@pytest.fixture
def faces(tmp_path):
    for number, path in enumerate(
        ("train/smiling/2.jpg", "train/smiling/10.PNG", "train/neutral/3.webp", "dev/sad/a.png")
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        draw_face(number).save(tmp_path / path)
    (tmp_path / "people.csv").write_text("who,age")
    return tmp_path


def test_still_images_are_videos_of_one_frame(faces):
    splits = load("videofolder", faces)
    assert list(splits) == ["validation", "train"] or list(splits) == ["train", "validation"]
    expected = {"train/neutral/3.webp": "neutral", "train/smiling/10.PNG": "smiling", "train/smiling/2.jpg": "smiling"}
    assert labels_of(splits["train"]) == expected
    assert splits["train"]["image"][0] == str(faces / "train" / "neutral" / "3.webp")
    alone = load("videofolder", faces / "train")["train"]
    assert alone.features["label"].names == ["neutral", "smiling"]
    videos = check_videos(LabelledVideos.from_dataset(alone, "train"))
    assert videos.columns["num_frames"] == [1, 1, 1] and videos.sample_ids[0] == "neutral/3.webp"


def test_images_beside_videos_are_left_out(root, warnings, monkeypatch):
    """Such as a preview of each video."""
    monkeypatch.setattr(logging.getLogger("training.datasets.videofolder"), "propagate", True)
    draw_face(0).save(root / "train" / "sad" / "c.jpg")
    assert "train/sad/c.jpg" not in load("videofolder", root)["train"]["sample_id"]
    assert "1 images beside the videos are left out: train/sad/c.jpg" in warnings.text
