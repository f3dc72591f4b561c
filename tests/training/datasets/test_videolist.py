# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import json
import os
import shutil

import pytest

from tests.helpers.dataset_replicas import (
    labels_of,
    write_list,
)
from tests.helpers.videos import ODD_NAMES, write_video
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.datasets import load

GOOD = ("val/sad/d.mp4", "sad")


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


def test_names_of_splits_are_those_that_people_use(root):
    rows = [
        ("train/happy/a", "joy", "Train"),
        ("train/sad/c.mp4", "grief", "val"),
        ("val/sad/d.mp4", "grief", "TEST"),
    ]
    splits = load("videolist", write_list(root / "labels.csv", ("path", "label", "split"), rows))
    assert list(splits) == ["train", "validation", "test"]
    shutil.copytree(root / "val", root / "dev")
    with pytest.raises(ValueError, match="has dev and val, which mean the same split"):
        load("videofolder", root)


def test_names_of_videos(tmp_path):
    names = [os.fsdecode(name) for name in ODD_NAMES]
    for name in names:
        write_video(tmp_path / "a.mp4").rename(tmp_path / name)
    rows = [{"path": name, "label": "happy"} for name in names]
    file = tmp_path / "list.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    videos = check_videos(LabelledVideos.from_dataset(load("videolist", file)["train"], "train"))
    assert videos.sample_ids == names[:-1] and videos.columns["num_frames"] == [40] * len(names[:-1])
    with open(tmp_path / "list.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, ["path", "label"])
        writer.writeheader()
        writer.writerows(rows[:-1])
    assert load("videolist", tmp_path / "list.csv")["train"]["path"] == names[:-1]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"1 clips have names that are not UTF-8.*caf\\udce9.mp4'. Rename them"):
        load("videolist", file)


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
