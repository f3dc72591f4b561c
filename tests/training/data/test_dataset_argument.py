# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
from PIL import Image

from training.data.dataset_argument import REGISTERED, VideoSource, find_source
from training.running.arguments import DataArguments
from training.running.video_sets import load_split, load_video_sets


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory: a folder of videos with splits, a list and a prepared set."""
    for split, label in [("train", "happy"), ("train", "sad"), ("val", "happy"), ("val", "sad")]:
        folder = tmp_path / "own" / split / label / "a"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "0.png")
    (tmp_path / "labels.csv").write_text("path,label\nown/train/happy/a,happy\nown/val/sad/a,sad\n")
    (tmp_path / "prepared" / "fold_1").mkdir(parents=True)
    (tmp_path / "prepared" / "manifest.json").write_text("{}")
    (tmp_path / "parquet" / "data").mkdir(parents=True)
    (tmp_path / "parquet" / "data" / "train-00000.parquet").touch()
    (tmp_path / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "value, loader",
    [
        ("own", "videofolder"),
        ("own/train", "videofolder"),
        ("labels.csv", "videolist"),
        ("prepared", "hub"),
        ("parquet", "hub"),
        ("user/name", "hub"),
        ("s3://bucket/dfew", "hub"),
    ],
)
def test_the_form_of_a_value_says_what_it_is(here, value, loader):
    source = find_source(value)
    assert source == VideoSource(loader, value) and source.is_on_hub == (value == "user/name")


def test_registered_names_need_their_folder(here):
    assert find_source("dfew", "D") == VideoSource("dfew", "D") and find_source("dfew", "D").is_registered
    with pytest.raises(ValueError, match="--dataset dfew needs --root"):
        find_source("dfew")
    (here / "dfew").mkdir()
    assert find_source("dfew") == VideoSource("videofolder", "dfew")
    assert find_source("dfew", "D") == VideoSource("dfew", "D")
    with pytest.raises(ValueError, match=r"--root goes with a registered name \(dfew, .*not with --dataset own"):
        find_source("own", "D")
    with pytest.raises(ValueError, match="--eval-root goes with .* --eval-dataset own"):
        find_source("own", "D", "--eval-dataset")


@pytest.mark.parametrize(
    "value, found",
    [
        ("dfwe", "is no folder or file here"),
        ("/data/nothing", "is no folder or file here"),
        ("lists/labels.csv", "is no folder or file here"),
        ("a/b/c", "is no folder or file here"),
        ("notes.txt", "is a file of another kind"),
    ],
)
def test_other_values_are_answered_with_all_forms(here, value, found):
    with pytest.raises(ValueError, match=f"--dataset {value} {found}") as error:
        find_source(value)
    for form in (*REGISTERED, "--root", "D/<split>/<label>/<video>", "training.prepare", ".jsonl", "user/name"):
        assert form in str(error.value)


def test_splits_and_separate_evaluation_videos(here):
    def sets(**arguments):
        found = load_video_sets(DataArguments(**arguments), seed=0)
        return [
            part and (part.sample_ids, set(part.columns["split"])) for part in (found.train_videos, found.eval_videos)
        ]

    train, validation = ["train/happy/a", "train/sad/a"], ["val/happy/a", "val/sad/a"]
    assert sets(dataset="own") == [(train, {"train"}), (validation, {"validation"})]
    assert sets(dataset="own", split="validation", eval_split="train") == [
        (validation, {"validation"}),
        (train, {"train"}),
    ]
    alone = ["happy/a", "sad/a"]
    assert sets(dataset="own/train", eval_dataset="own/val") == [(alone, {"train"}), (alone, {"validation"})]
    assert sets(dataset="own/val") == [(alone, {"train"}), None]
    assert sets(dataset="own", eval_dataset="labels.csv")[1][1] == {"validation"}
    with pytest.raises(ValueError, match="--eval-split: own has no split 'test'; it has \\['train', 'validation'\\]"):
        sets(dataset="own", eval_split="test")
    with pytest.raises(ValueError, match="--eval-split: own/train has no split 'test'"):
        sets(dataset="own/train", eval_split="test")
    with pytest.raises(ValueError, match="pass --dataset"):
        sets()


def test_training_videos_are_not_evaluated_by_mistake(here):
    assert set(load_split(DataArguments(dataset="own/train"), ["test"]).columns["split"]) == {"train"}
    for split in ("val",):
        (here / "own" / split).rename(here / split)
    with pytest.raises(ValueError, match=r"own has none of the splits \['test', 'validation'\]; it has \['train'\]"):
        load_split(DataArguments(dataset="own"), ["test", "validation"])
