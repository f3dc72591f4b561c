# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import datasets
import pytest

from modeling_rdfer import RDFERVideoProcessor
from tests.helpers.dataset_replicas import draw_face, png_of
from tests.helpers.paths import DATA
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import VideoDataset
from training.datasets import load

PROCESSOR = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16})


@pytest.mark.parametrize("labels", ["numbers", "words"])
def test_datasets_of_the_datasets_library(tmp_path, labels):
    """A local one in the layout that `datasets` writes itself, with labels of both kinds, read without decoding."""
    shutil.copy(DATA / "cap13_edit2.mp4", tmp_path / "clip.mp4")
    rows = {"video": [str(tmp_path / "clip.mp4")] * 2, "label": ["sad", "neutral"], "actor": [7, 8]}
    made = datasets.Dataset.from_dict(rows).cast_column("video", datasets.Video(decode=False))
    if labels == "numbers":
        made = made.cast_column("label", datasets.ClassLabel(names=["sad", "neutral"]))
    (tmp_path / "repository").mkdir()
    made.to_parquet(tmp_path / "repository" / "train-00000.parquet")
    videos = LabelledVideos.from_dataset(load("hub", tmp_path / "repository")["train"], "train")
    assert videos.labels == ["sad", "neutral"] and videos.sample_ids == ["train/0", "train/1"]
    assert videos.label_names == (["sad", "neutral"] if labels == "numbers" else ["neutral", "sad"])
    assert videos.persons == [7, 8]
    kept = check_videos(videos.select([1]))
    example = VideoDataset(kept, {"sad": 0, "neutral": 1}, PROCESSOR)[0]
    assert example["labels"] == 1 and example["frame_mask"].all() and kept.columns["num_frames"] == [765]


def test_datasets_of_images(tmp_path):
    images = [{"bytes": png_of(draw_face(number)), "path": None} for number in (1, 2)]
    rows = {"image": images, "label": ["sad", "fear"]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train-00000.parquet")
    videos = check_videos(LabelledVideos.from_dataset(load("hub", tmp_path)["train"], "train"))
    assert videos.labels == ["sad", "fear"] and videos.columns["num_frames"] == [1, 1]
    assert VideoDataset(videos, {"sad": 0, "fear": 1}, PROCESSOR)[1]["frame_mask"].sum() == 1


def test_hub_columns_that_lack_are_named(tmp_path):
    datasets.Dataset.from_dict({"clip": ["a"], "label": [0]}).to_parquet(tmp_path / "train-00000.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns \['video'\]; it has \['clip', 'label'\]"):
        load("hub", tmp_path)


def test_hub_datasets_with_wrong_labels_or_a_clip_in_two_splits_are_refused(tmp_path):
    made = datasets.Dataset.from_dict({"video": ["a.mp4"], "label": [-1], "sample_id": ["a"]})
    made.to_parquet(tmp_path / "test-00000.parquet")
    with pytest.raises(ValueError, match="without a label"):
        load("hub", tmp_path)
    made = datasets.Dataset.from_dict({"video": ["a.mp4"], "label": ["sad"], "sample_id": ["a"]})
    for split in ("train", "test"):
        made.to_parquet(tmp_path / f"{split}-00000.parquet")
    with pytest.raises(ValueError, match="1 clips are in train and in test: a"):
        load("hub", tmp_path)
    with pytest.raises(ValueError, match="--streaming"):
        load("hub", "https://host/set")
