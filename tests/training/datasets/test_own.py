# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Anyone's own videos: folders, lists, datasets of the datasets library; and the arguments that name a dataset."""

import json
import shutil
from pathlib import Path

import datasets
import pytest

from modeling_rdfer import RDFERVideoProcessor
from tests.helpers.paths import DATA
from tests.training.datasets.test_published import labels_of, write_frames, write_video
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.data.sources import SourceArguments, load_source, parse_options
from training.data.video_dataset import VideoDataset
from training.datasets import dataset_options, load

PROCESSOR = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16})


@pytest.fixture
def root(tmp_path) -> Path:
    for path in ("train/sad/c.mp4", "train/happy/b.AVI", "val/sad/d.mp4"):
        write_video(tmp_path / path)
    write_frames(tmp_path / "train" / "happy" / "a")
    (tmp_path / "train" / "sad" / "notes.txt").write_text("no video")
    (tmp_path / "train" / "sad" / "empty").mkdir()
    (tmp_path / ".cache").mkdir()
    return tmp_path


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


def write_list(file: Path, header, rows) -> Path:
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(dict(zip(header, row))) for row in rows))
    else:
        comma = "\t" if file.suffix == ".tsv" else ","
        file.write_text("\n".join(comma.join(map(str, row)) for row in [header, *rows]), encoding="utf-8-sig")
    return file


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_lists_with_splits_folds_and_persons(root, kind):
    rows = [
        ("train/happy/a", "joy", "train", 1, "ann"),
        ("train/sad/c.mp4", "grief", "train", 2, "bob"),
        (str(root / "val/sad/d.mp4"), "grief", "test", 2, "ann"),
    ]
    file = write_list(root / f"labels.{kind}", ("path", "label", "split", "fold", "actor"), rows)
    splits = load("videolist", file)
    assert labels_of(splits["train"]) == {"train/happy/a": "joy", "train/sad/c.mp4": "grief"}
    assert list(splits["test"]["video"]) == [str(root / "val/sad/d.mp4")]
    by_fold = load("videolist", file, fold=1)
    assert list(by_fold["test"]["path"]) == ["train/happy/a"] and len(by_fold["train"]) == 2
    assert LabelledVideos.from_dataset(by_fold["train"], "train").persons == ["bob", "ann"]
    assert by_fold["train"].features["label"].names == ["grief", "joy"]
    with pytest.raises(ValueError, match=r"fold 3 needs rows inside and outside.*\[1, 2\]"):
        load("videolist", file, fold=3)


GOOD = ("val/sad/d.mp4", "sad")


@pytest.mark.parametrize(
    "header, rows, error, message",
    [
        (("file", "emotion"), [GOOD], ValueError, r"lacks the columns \['path', 'label'\].*'emotion', 'file'"),
        (("path", "label"), [GOOD, GOOD], ValueError, "listed more than once in train: val/sad/d.mp4"),
        (("path", "label"), [GOOD, ("val/sad/d.mp4", "")], ValueError, "row 2 has no path or no label"),
        (("path", "label"), [GOOD, ("no.mp4", "sad")], FileNotFoundError, "1 of the 2 clips.*no.mp4"),
        (("path", "label", "fold"), [(*GOOD, "two")], ValueError, "row 1 has fold 'two'"),
    ],
)
def test_wrong_lists_are_named(root, header, rows, error, message):
    with pytest.raises(error, match=message):
        load("videolist", write_list(root / "labels.csv", header, rows))


def test_missing_list(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no list .*labels.csv"):
        load("videolist", tmp_path / "labels.csv")


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


def test_hub_columns_that_lack_are_named(tmp_path):
    datasets.Dataset.from_dict({"clip": ["a"], "label": [0]}).to_parquet(tmp_path / "train-00000.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns \['video'\]; it has \['clip', 'label'\]"):
        load("hub", tmp_path)


def test_options_come_from_the_command_line(root):
    assert dataset_options("videolist")["fold"] == () and dataset_options("crema_d")["fold"] == (1, 2, 3, 4, 5)
    text = "label_source=face_vote,on_missing=skip"
    assert parse_options("crema_d", text) == {"label_source": "face_vote", "on_missing": "skip"}
    assert parse_options("mafw", "captions=true") == {"captions": True}
    with pytest.raises(ValueError, match=r"label_source=crowd: expected one of \['acted', 'face_vote'"):
        parse_options("crema_d", "label_source=crowd")
    with pytest.raises(ValueError, match=r"one of \['fold', 'on_missing'\] for dfew, got 'captions=true'"):
        parse_options("dfew", "captions=true")
    with pytest.raises(ValueError, match="--dataset dfew needs --root"):
        load_source(SourceArguments(dataset="dfew"))
    with pytest.raises(ValueError, match="--fold: a folder of videos has no folds"):
        load_source(SourceArguments(dataset=str(root), fold=1))
    assert list(load_source(SourceArguments(dataset=str(root)))) == ["train", "validation"]


def test_names_of_splits_are_those_that_people_use(root):
    rows = [("train/happy/a", "joy", "Train"), ("train/sad/c.mp4", "grief", "val"), ("val/sad/d.mp4", "grief", "TEST")]
    splits = load("videolist", write_list(root / "labels.csv", ("path", "label", "split"), rows))
    assert list(splits) == ["train", "validation", "test"]
    shutil.copytree(root / "val", root / "dev")
    with pytest.raises(ValueError, match="has dev and val, which mean the same split"):
        load("videofolder", root)


def test_a_clip_under_two_names_is_refused(root):
    rows = [("train/sad/c.mp4", "sad", "train", "one"), ("train/../train/sad/c.mp4", "sad", "test", "two")]
    file = write_list(root / "labels.csv", ("path", "label", "split", "sample_id"), rows)
    with pytest.raises(ValueError, match="(one and two|two and one) are the same clip"):
        load("videolist", file)


def test_lists_that_are_no_lists_are_named(root):
    (root / "latin.csv").write_bytes("path,label\n\xe4.mp4,sad\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.csv is not UTF-8"):
        load("videolist", root / "latin.csv")
    (root / "array.jsonl").write_text('{"path": "a",')
    with pytest.raises(ValueError, match="array.jsonl: expected a JSON object in each line"):
        load("videolist", root / "array.jsonl")


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
