# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil
from pathlib import Path

import pytest

from tests.helpers.dataset_replicas import (
    DFEW_LABELS,
    DFEW_TRAIN,
    dfew,
    labels_of,
    write_frames,
    write_text,
)
from training.datasets import load


@pytest.mark.parametrize("lists", ["authors", "padded", "former"])
@pytest.mark.parametrize("nested", ["Clip/clip_224x224", "Clip/clip_224x224/clip_224x224", "Clip/jpg_256"])
def test_dfew_is_the_same_in_all_nestings_and_lists(tmp_path, nested, lists):
    splits = load("dfew", dfew(tmp_path, nested, lists), fold=2)
    assert labels_of(splits["train"]) == {f"{name:05d}": DFEW_LABELS[label - 1] for name, label in DFEW_TRAIN.items()}
    assert labels_of(splits["test"]) == {"00008": "sad", "00090": "neutral", "16000": "anger"}
    assert splits["train"].features["label"].names == DFEW_LABELS
    assert splits["test"]["path"][0] == f"{nested}/00008" and set(splits["test"]["fold"]) == {2}
    assert Path(splits["test"]["frames"][0]).is_dir()


def test_dfew_names_what_is_wrong(tmp_path, warnings):
    root = dfew(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no lists train\(single-labeled\)/set_1.csv.*DFEW_set_1_test.txt"):
        load("dfew", root)
    with pytest.raises(ValueError, match=r"fold=6: expected one of \[1, 2, 3, 4, 5\]"):
        load("dfew", root, fold=6)
    with pytest.raises(FileNotFoundError, match="root: there is no folder .*nowhere"):
        load("dfew", root / "nowhere")
    with pytest.raises(FileNotFoundError, match="none of the folders.*Clip/clip_224x224.*it has .*set_2.csv"):
        load("dfew", root / "EmoLabel_DataSplit" / "test(single-labeled)", fold=2)
    write_frames(root / "Clip" / "clip_224x224" / "00500")
    load("dfew", root, fold=2)
    assert "1 clips are in no split and are left out: 00500" in warnings.text
    shutil.rmtree(root / "Clip" / "clip_224x224" / "00022")
    with pytest.raises(FileNotFoundError, match="1 of the 7 clips of train are not there: 00022.*on_missing"):
        load("dfew", root, fold=2)
    assert len(load("dfew", root, fold=2, on_missing="skip")["train"]) == 6
    assert "1 of the 7 clips of train are not there: 00022" in warnings.text


@pytest.mark.parametrize(
    "row, message",
    [
        ("1,1", "1 clips are in train and in test: 00001"),
        ("8,2", "1 clips are listed more than once in test: 00008"),
        ("00008,2", "1 clips are listed more than once in test: 00008"),
        ("333,happy", "00333 has label 'happy'"),
        ("333,8", "00333 has label '8'"),
        ("333,0", "labels go from 0 to 7"),
        ("a clip,3", "expected rows .*found 'a clip,3'"),
        ("333 3", "expected rows .*found '333 3'"),
    ],
)
def test_dfew_bad_rows_are_named(tmp_path, row, message):
    root = dfew(tmp_path)
    with (root / "EmoLabel_DataSplit" / "test(single-labeled)" / "set_2.csv").open("a") as handle:
        handle.write(row + "\n")
    with pytest.raises(ValueError, match=message):
        load("dfew", root, fold=2)


@pytest.mark.parametrize("file, base", [("{}(single-labeled)/set_2.csv", 1), ("{}_set_2.csv", 0)])
def test_dfew_lists_without_first_and_last_label_count_as_their_names_say(tmp_path, file, base):
    root = dfew(tmp_path / "dfew", lists="former")
    shutil.rmtree(root / "annotation")
    write_text(root / file.format("train"), ["video_name,label", "1,2", "22,3"])
    write_text(root / file.format("test"), ["video_name,label", "8,4"])
    splits = load("dfew", root, fold=2)
    assert labels_of(splits["train"]) == {"00001": DFEW_LABELS[2 - base], "00022": DFEW_LABELS[3 - base]}
    assert labels_of(splits["test"]) == {"00008": DFEW_LABELS[4 - base]}
    # The number 7, which shows the base of both lists, occurs in only one of them.
    write_text(root / file.format("train"), ["video_name,label", "1,2", "22,7"])
    assert labels_of(load("dfew", root, fold=2)["test"]) == {"00008": DFEW_LABELS[3]}


def test_clips_that_are_there_twice_are_named(tmp_path):
    root = dfew(tmp_path)
    (root / "Clip" / "clip_224x224" / "00022" / "00022.mp4").touch()  # inside a folder of frames: no clip
    assert len(load("dfew", root, fold=2)["train"]) == 7
    write_frames(root / "Clip" / "clip_224x224" / "copy" / "00022")
    with pytest.raises(ValueError, match="Clip 00022 is there twice: .*00022 and .*copy/00022"):
        load("dfew", root, fold=2)
