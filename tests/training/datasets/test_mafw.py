# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from tests.helpers.dataset_replicas import labels_of, write_frames, write_text
from training.datasets import load

MAFW_TRAIN = {"00001": "anger", "00002": "contempt", "00003": "helplessness"}
MAFW_TEST = {"00025": "disappointment"}
COMPOUND_TRAIN = {"00001": "anger", "00004": "fear_surprise", "00005": "anger_disgust_fear"}
COMPOUND_TEST = {"00006": "anger_disgust"}


@pytest.fixture
def mafw(tmp_path):
    for name in ("00001", "00002", "00003", "00004", "00005", "00006", "00025"):
        write_frames(tmp_path / "data" / "frames" / "frames_crop_align_224" / name, "png")
    lists = tmp_path / "labels"
    for split, rows in {"train": MAFW_TRAIN, "test": MAFW_TEST}.items():
        plain = [f"{name}.mp4 {label}" for name, label in rows.items()]
        write_text(lists / "single" / "no_caption" / "set_1" / f"{split}.txt", plain)
        captions = [f"{name}.mp4\t{label}\t一个男人皱着眉头。\tA man frowns.\t" for name, label in rows.items()]
        write_text(lists / "single" / "with_caption" / "set_1" / f"{split}.txt", captions, "gbk", "\r\n")
    for split, rows in {"train": COMPOUND_TRAIN, "test": COMPOUND_TEST}.items():
        plain = [f"{name}.mp4 {label}" for name, label in rows.items()]
        write_text(lists / "compound" / "no_caption" / "set_1" / f"{split}.txt", plain)
    return tmp_path


def test_mafw_has_11_labels_in_the_papers_order(mafw):
    splits = load("mafw", mafw)
    assert labels_of(splits["train"]) == MAFW_TRAIN and labels_of(splits["test"]) == MAFW_TEST
    names = splits["test"].features["label"].names
    assert names[:4] == ["anger", "disgust", "fear", "happiness"] and names[-1] == "disappointment"
    assert len(names) == 11 and splits["test"]["path"] == ["data/frames/frames_crop_align_224/00025"]


def test_mafw_captions_are_gbk(mafw):
    train = load("mafw", mafw, captions=True)["train"]
    assert labels_of(train) == MAFW_TRAIN
    assert train[0]["caption_zh"] == "一个男人皱着眉头。" and train[0]["caption_en"] == "A man frowns."
    file = mafw / "labels" / "single" / "with_caption" / "set_1" / "test.txt"
    file.write_bytes(b"00025.mp4\tanger\t\xff\xff\tEnglish\r\n")
    with pytest.raises(ValueError, match="test.txt is not gbk text"):
        load("mafw", mafw, captions=True)
    file.write_text("00025.mp4\tanger\n")
    with pytest.raises(ValueError, match="test.txt.* has 2 fields; expected clip, label, Chinese and English"):
        load("mafw", mafw, captions=True)


def test_mafw_compound_labels_follow_the_single_ones(mafw):
    splits = load("mafw", mafw, labels="compound")
    assert labels_of(splits["train"]) == COMPOUND_TRAIN and labels_of(splits["test"]) == COMPOUND_TEST
    names = splits["train"].features["label"].names
    assert names[:11] == load("mafw", mafw)["train"].features["label"].names
    assert names[11:] == ["anger_disgust", "anger_disgust_fear", "fear_surprise"]
    assert splits["test"].features["label"].names == names
    with (mafw / "labels" / "compound" / "no_caption" / "set_1" / "test.txt").open("a") as handle:
        handle.write("00002.mp4 anger_hunger\n")
    with pytest.raises(ValueError, match=r"unknown labels \['anger_hunger'\]"):
        load("mafw", mafw, labels="compound")
