# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer import RDFERVideoProcessor
from tests.helpers.dataset_replicas import (
    dfew,
    draw_face,
    ferplus_csv,
    ferplus_folders,
    ferplus_parquet,
    write_video,
)
from training.data.checks import check_videos
from training.data.dataset_argument import SourceArguments, load_source, parse_options
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import VideoDataset
from training.datasets import DATASETS, dataset_options, load

PROCESSOR = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16})


def test_names_and_options_are_known_without_a_dataset(tmp_path):
    assert dataset_options("dfew") == {"fold": (1, 2, 3, 4, 5), "on_missing": ("error", "skip"), "persons": ()}
    assert dataset_options("crema_d")["label_source"] == ("acted", "face_vote", "multimodal_vote")
    assert all(isinstance(dataset_options(name), dict) for name in DATASETS)
    with pytest.raises(ValueError, match="no dataset 'DFEW'; expected one of.*'dfew'"):
        load("DFEW", tmp_path)
    with pytest.raises(ValueError, match=r"ferv39k has no options \['fold'\]; expected some of \['on_missing'\]"):
        load("ferv39k", tmp_path, fold=1)
    for name in DATASETS:
        with pytest.raises(FileNotFoundError, match=str(tmp_path)):
            load(name, tmp_path)


def test_splits_become_videos_that_the_processor_reads(tmp_path):
    frames = LabelledVideos.from_dataset(load("dfew", dfew(tmp_path / "dfew"), fold=2)["test"], "test")
    assert frames.labels == ["sad", "neutral", "anger"] and frames.columns["fold"] == [2, 2, 2]
    assert frames.columns["split"] == ["test"] * 3 and frames.columns["path"][0] == "Clip/clip_224x224/00008"
    for actor in (1, 5):
        write_video(tmp_path / "ravdess" / f"Actor_{actor:02d}" / f"02-01-03-01-01-01-{actor:02d}.mp4")
    files = LabelledVideos.from_dataset(load("ravdess", tmp_path / "ravdess")["test"], "test")
    for videos, count in [(frames, 2), (files, 3)]:
        kept = check_videos(videos)
        assert set(kept.columns["num_frames"]) == {count}
        example = VideoDataset(kept, {label: i for i, label in enumerate(kept.labels)}, PROCESSOR)[0]
        assert example["pixel_values_videos"].shape == (4, 3, 16, 16) and example["frame_mask"].sum() == count


@pytest.mark.parametrize("write", [ferplus_parquet, ferplus_csv, ferplus_folders])
def test_still_images_become_videos_of_one_frame(tmp_path, write):
    split = load("ferplus", write(tmp_path / "faces"))["validation"]
    videos = check_videos(LabelledVideos.from_dataset(split, "validation"))
    assert videos.labels == ["fear", "surprise"] and videos.columns["num_frames"] == [1, 1]
    assert videos.content_hash(0) != videos.content_hash(1)
    example = VideoDataset(videos, {"surprise": 0, "fear": 1}, PROCESSOR)[1]
    assert example["labels"] == 0 and example["frame_mask"].tolist() == [True, False, False, False]
    expected = PROCESSOR(draw_face(28639).convert("RGB"), return_tensors="pt")["pixel_values_videos"][0]
    assert torch.equal(example["pixel_values_videos"], expected)


def test_options_come_from_the_command_line(root):
    assert dataset_options("videolist")["fold"] == () and dataset_options("crema_d")["fold"] == (1, 2, 3, 4, 5)
    text = "label_source=face_vote,on_missing=skip"
    assert parse_options("crema_d", text) == {"label_source": "face_vote", "on_missing": "skip"}
    assert parse_options("mafw", "captions=true") == {"captions": True}
    with pytest.raises(ValueError, match=r"label_source=crowd: expected one of \['acted', 'face_vote'"):
        parse_options("crema_d", "label_source=crowd")
    with pytest.raises(ValueError, match=r"one of \['fold', 'on_missing', 'persons'\] for dfew, got 'captions=true'"):
        parse_options("dfew", "captions=true")
    with pytest.raises(ValueError, match="--dataset dfew needs --root"):
        load_source(SourceArguments(dataset="dfew"))
    with pytest.raises(ValueError, match="--fold: a folder of videos has no folds"):
        load_source(SourceArguments(dataset=str(root), fold=1))
    assert list(load_source(SourceArguments(dataset=str(root)))) == ["train", "validation"]
