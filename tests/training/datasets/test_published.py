# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The loaders against miniature replicas of the datasets, in their layouts."""

import logging
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import VideoDataset
from training.datasets import DATASETS, dataset_options, load

DFEW = ["happy", "sad", "neutral", "anger", "surprise", "disgust", "fear"]
WORDS = ["Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"]
PROCESSOR = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16})


@pytest.fixture
def warnings(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("training.datasets.loading"), "propagate", True)
    return caplog


def write_frames(folder: Path, suffix="jpg"):
    folder.mkdir(parents=True)
    for number in range(1, 3):
        Image.new("RGB", (16, 16), (number * 40, 90, 30)).save(folder / f"{number:05d}.{suffix}")


def write_video(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 60 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_text(path: Path, lines, encoding="utf-8", end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode(encoding))


def labels_of(dataset) -> dict[str, str]:
    return dict(zip(dataset["sample_id"], dataset.features["label"].int2str(list(dataset["label"]))))


# ---------------------------------------------------------------------------------------------------------------------
# DFEW
# ---------------------------------------------------------------------------------------------------------------------
# One clip of each label in train, three in test; ids of one to five digits.
TRAIN = {1: 1, 22: 2, 333: 3, 4444: 4, 15555: 5, 6: 6, 7: 7}
TEST = {8: 2, 90: 3, 16000: 4}


def dfew(root: Path, nested="Clip/clip_224x224", lists="authors") -> Path:
    for number in [*TRAIN, *TEST]:
        write_frames(root / nested / f"{number:05d}")
    for split, rows in {"train": TRAIN, "test": TEST}.items():
        if lists == "authors":
            file = root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / "set_2.csv"
            write_text(file, ["video_name,label", *(f"{name},{label}" for name, label in rows.items())])
        elif lists == "padded":
            file = root / "annotation" / f"{split}_set_2.csv"
            write_text(file, ["video_name,label", *(f"{name:05d},{label - 1}" for name, label in rows.items())])
        else:
            file = root / "annotation" / f"DFEW_set_2_{split}.txt"
            write_text(file, [f"/data2/my clips/{name:05d} 77 {label - 1}" for name, label in rows.items()])
    return root


@pytest.mark.parametrize("lists", ["authors", "padded", "former"])
@pytest.mark.parametrize("nested", ["Clip/clip_224x224", "Clip/clip_224x224/clip_224x224", "Clip/jpg_256"])
def test_dfew_is_the_same_in_all_nestings_and_lists(tmp_path, nested, lists):
    splits = load("dfew", dfew(tmp_path, nested, lists), fold=2)
    assert labels_of(splits["train"]) == {f"{name:05d}": DFEW[label - 1] for name, label in TRAIN.items()}
    assert labels_of(splits["test"]) == {"00008": "sad", "00090": "neutral", "16000": "anger"}
    assert splits["train"].features["label"].names == DFEW
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
    assert labels_of(splits["train"]) == {"00001": DFEW[2 - base], "00022": DFEW[3 - base]}
    assert labels_of(splits["test"]) == {"00008": DFEW[4 - base]}
    # The number 7, which shows the base of both lists, occurs in only one of them.
    write_text(root / file.format("train"), ["video_name,label", "1,2", "22,7"])
    assert labels_of(load("dfew", root, fold=2)["test"]) == {"00008": DFEW[3]}


def test_clips_that_are_there_twice_are_named(tmp_path):
    root = dfew(tmp_path)
    (root / "Clip" / "clip_224x224" / "00022" / "00022.mp4").touch()  # inside a folder of frames: no clip
    assert len(load("dfew", root, fold=2)["train"]) == 7
    write_frames(root / "Clip" / "clip_224x224" / "copy" / "00022")
    with pytest.raises(ValueError, match="Clip 00022 is there twice: .*00022 and .*copy/00022"):
        load("dfew", root, fold=2)


# ---------------------------------------------------------------------------------------------------------------------
# FERV39k
# ---------------------------------------------------------------------------------------------------------------------
FERV_TRAIN = [("Interview", word, f"01{number:02d}") for number, word in enumerate(WORDS)]
FERV_TEST = [("War", "Sad", "0100"), ("DailyLife", "Fear", "0267")]


def ferv39k(root: Path, kind="words") -> Path:
    for row in [*FERV_TRAIN, *FERV_TEST]:
        write_frames(root.joinpath("2_ClipsforFaceCrop", *row))
    for split, rows in {"train": FERV_TRAIN, "test": FERV_TEST}.items():
        names = ["/".join(row) for row in rows]
        order = sorted(WORDS) if kind == "alphabetical" else WORDS
        if kind == "words":
            lines = [f"{name} {row[1]}" for name, row in zip(names, rows)]
            write_text(root / "4_setups" / "All_scenes" / f"{split}_All.csv", lines)
        elif kind == "frames":
            lines = [f"/x/2_ClipsforFaceCrop/{name} 31 {order.index(row[1])}" for name, row in zip(names, rows)]
            write_text(root / "annotation" / f"FERV39k_{split}.txt", lines)
        else:
            lines = ["path,id", *(f"{name},{order.index(row[1])}" for name, row in zip(names, rows))]
            write_text(root / "Annotation" / f"{split}.csv", lines)
    return root


@pytest.mark.parametrize("kind", ["words", "alphabetical", "by frequency", "frames"])
def test_ferv39k_loses_no_row_and_maps_both_orders_by_name(tmp_path, kind):
    splits = load("ferv39k", ferv39k(tmp_path, kind))
    assert labels_of(splits["train"]) == {"/".join(row): row[1] for row in FERV_TRAIN}
    assert labels_of(splits["test"]) == {"War/Sad/0100": "Sad", "DailyLife/Fear/0267": "Fear"}
    assert splits["test"].features["label"].names == WORDS
    assert list(splits["test"]["scene"]) == ["War", "DailyLife"]


def test_ferv39k_names_bad_rows(tmp_path):
    root = ferv39k(tmp_path)
    file = root / "4_setups" / "All_scenes" / "test_All.csv"
    text = file.read_text()
    file.write_text(text + "War/Sad/0100 Bored\n".replace("0100", "0101"))
    with pytest.raises(ValueError, match=r"unknown labels \['Bored'\] in test; expected \['Happy'"):
        load("ferv39k", root)
    file.write_text(text + "0100 Sad\n")
    with pytest.raises(ValueError, match="test_All.csv: expected rows .*found '0100 Sad'"):
        load("ferv39k", root)
    for name in ("train_All.csv", "test_All.csv"):
        (file.parent / name).unlink()
    write_text(root / "Annotation" / "train.csv", ["path,id", "Interview/Happy/0100,5", "Interview/Fear/0106,1"])
    write_text(root / "Annotation" / "test.csv", ["path,id", "War/Sad/0100,1"])
    with pytest.raises(ValueError, match="train.csv.*follow neither"):
        load("ferv39k", root)


# ---------------------------------------------------------------------------------------------------------------------
# MAFW
# ---------------------------------------------------------------------------------------------------------------------
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


# ---------------------------------------------------------------------------------------------------------------------
# AFEW
# ---------------------------------------------------------------------------------------------------------------------
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


# ---------------------------------------------------------------------------------------------------------------------
# RAVDESS
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def ravdess(tmp_path):
    for actor in (1, 4, 5, 18, 24):
        for modality in ("01", "02", "03"):
            suffix = "wav" if modality == "03" else "mp4"
            for emotion in range(1, 9):
                path = tmp_path / f"Actor_{actor:02d}" / f"{modality}-01-{emotion:02d}-01-02-01-{actor:02d}.{suffix}"
                path.parent.mkdir(exist_ok=True)
                path.touch()
            for emotion in range(1, 7):
                if actor != 18:
                    name = f"{modality}-02-{emotion:02d}-02-02-01-{actor:02d}.{suffix}"
                    (tmp_path / f"Actor_{actor:02d}" / name).touch()
    (tmp_path / "Actor_01" / "._02-01-01-01-02-01-01.mp4").touch()  # what macOS leaves in zip files
    return tmp_path


def test_ravdess_labels_and_folds_by_actor(ravdess):
    splits = load("ravdess", ravdess)
    names = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    assert splits["test"].features["label"].names == names
    assert set(splits["test"]["actor"]) == {1, 4} and set(splits["train"]["actor"]) == {5, 18, 24}
    assert splits["test"].num_rows == 16 and splits["train"].num_rows == 24
    row = next(row for row in splits["test"] if row["sample_id"] == "02-01-06-01-02-01-01")
    assert (row["label"], row["sex"], row["channel"], row["intensity"]) == (5, "male", "speech", "normal")
    assert (row["statement"], row["repetition"], row["fold"]) == (2, 1, 1)
    assert set(load("ravdess", ravdess, fold=6)["test"]["actor"]) == {24}
    with pytest.raises(ValueError, match="no clip is in test"):
        load("ravdess", ravdess, fold=3)


def test_ravdess_channels_and_modalities(ravdess):
    song = load("ravdess", ravdess, channel="song")
    assert song["train"].num_rows == 12 and set(song["train"]["intensity"]) == {"strong"}
    assert load("ravdess", ravdess, channel="both")["test"].num_rows == 28
    assert all(
        name.startswith("01-01") for name in load("ravdess", ravdess, modality="audio-video")["test"]["sample_id"]
    )
    (ravdess / "Actor_05" / "02-01-09-01-01-01-05.mp4").touch()
    with pytest.raises(ValueError, match=r"unknown labels \['09'\]"):
        load("ravdess", ravdess)


# ---------------------------------------------------------------------------------------------------------------------
# eNTERFACE'05
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("space", [" ", "_"])
def test_enterface05_folds_by_subject_without_the_uncut_one(tmp_path, warnings, space):
    for subject in (1, 7, 10, 11, 23, 44):
        for label in ("anger", "disgust", "fear", "happiness", "sadness", "surprise"):
            clip = tmp_path / f"subject{space}{subject}" / label / f"sentence{space}1" / f"s{subject}_{label[:2]}_1"
            if space == "_":
                write_frames(clip)
            else:
                clip.parent.mkdir(parents=True)
                clip.with_suffix(".avi").touch()
    (tmp_path / f"subject{space}6" / "anger").mkdir(parents=True)
    (tmp_path / f"subject{space}6" / "anger" / "s6_an.avi").touch()
    splits = load("enterface05", tmp_path)
    assert set(splits["test"]["subject"]) == {1, 7, 10} and set(splits["train"]["subject"]) == {11, 23, 44}
    labels = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    assert splits["test"].features["label"].names == labels
    assert labels_of(splits["test"])["s10_sa_1"] == "sadness" and len(splits["test"]) == 18
    assert "1 clips are in no split and are left out: s6_an_0" in warnings.text
    assert set(load("enterface05", tmp_path, fold=3)["test"]["subject"]) == {23}


# ---------------------------------------------------------------------------------------------------------------------
# All of them
# ---------------------------------------------------------------------------------------------------------------------
def test_names_and_options_are_known_without_a_dataset(tmp_path):
    assert dataset_options("dfew") == {"fold": (1, 2, 3, 4, 5), "on_missing": ("error", "skip")}
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
