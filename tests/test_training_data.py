# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DATA
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor, VideoReadError
from training.data import VideoDataset, check_videos, content_hash, load_folder, load_hub_dataset, load_list

CLIP = DATA / "cap13_edit2.mp4"
PROCESSOR = RDFERVideoProcessor(num_frames=8, size={"height": 32, "width": 32})


def write_frames(folder: Path, count=12, seed=0):
    folder.mkdir(parents=True)
    # A gradient, so that crops and flips show, and smooth, so that they can be compared.
    ramp = np.linspace(0, 200, 48, dtype=np.uint8)
    for number in range(count):
        frame = np.stack(
            [np.tile(ramp, (48, 1)), np.tile(ramp[:, None], (1, 48)), np.full((48, 48), seed + number)], -1
        )
        Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture
def root(tmp_path) -> Path:
    for label, names in {"happy": ["b", "a"], "sad": ["c"]}.items():
        for seed, name in enumerate(names):
            write_frames(tmp_path / "train" / label / name, seed=10 * seed)
    shutil.copy(CLIP, tmp_path / "train" / "sad" / "clip.mp4")
    (tmp_path / "train" / "sad" / "notes.txt").write_text("no video")
    (tmp_path / "train" / ".hidden").mkdir()
    return tmp_path / "train"


def test_folder(root):
    videos = load_folder(root)
    assert videos.sample_ids == ["happy/a", "happy/b", "sad/c", "sad/clip.mp4"]
    assert videos.labels == ["happy", "happy", "sad", "sad"]


def test_missing_or_empty_folders_say_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="<label>"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no videos"):
        load_folder(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_lists(root, kind):
    rows = [("happy/a", "joy", "train"), ("sad/c", "grief", "test"), ("sad/clip.mp4", "grief", "train")]
    file = root / f"labels.{kind}"
    if kind == "jsonl":
        file.write_text("\n".join(json.dumps(dict(zip(("path", "label", "split"), row))) for row in rows))
    else:
        comma = "," if kind == "csv" else "\t"
        file.write_text("\n".join(comma.join(row) for row in [("path", "label", "split"), *rows]))
    assert load_list(file).labels == ["joy", "grief", "grief"]
    videos = load_list(file, split="train")
    assert videos.sample_ids == ["happy/a", "sad/clip.mp4"] and videos.columns["split"] == ["train", "train"]
    assert Path(videos.sources[1]).is_file()


def test_wrong_lists_are_named(tmp_path):
    (tmp_path / "labels.csv").write_text("file,emotion\na.mp4,sad\n")
    with pytest.raises(ValueError, match=r"\['path', 'label'\].*\['emotion', 'file'\]"):
        load_list(tmp_path / "labels.csv")
    (tmp_path / "twice.csv").write_text("path,label\na.mp4,sad\na.mp4,happy\n")
    with pytest.raises(ValueError, match="more than once.*'a.mp4'"):
        load_list(tmp_path / "twice.csv")


def test_datasets_of_the_datasets_library(tmp_path):
    shutil.copytree(DATA, tmp_path / "data", ignore=lambda _, names: [n for n in names if not n.endswith(".mp4")])
    (tmp_path / "data" / "metadata.csv").write_text("file_name,label\ncap13_edit2.mp4,neutral\n")
    videos = load_hub_dataset("videofolder", "train", data_dir=str(tmp_path / "data"))
    assert videos.labels == ["neutral"] and len(videos) == 1
    example = VideoDataset(videos, {"sad": 0, "neutral": 1}, PROCESSOR)[0]
    assert example["labels"] == 1 and example["pixel_values_videos"].shape == (8, 3, 32, 32)


def test_bad_videos_stop_before_training_or_are_left_out(root, caplog, monkeypatch):
    (root / "happy" / "broken.mp4").write_bytes(b"nothing")
    (root / "sad" / "cut.mp4").write_bytes(CLIP.read_bytes()[:100_000])
    videos = load_folder(root)
    with pytest.raises(VideoReadError, match=r"broken.mp4.*And 1 more.*--on_bad_video skip"):
        check_videos(videos)
    monkeypatch.setattr(logging.getLogger("training.data"), "propagate", True)
    kept = check_videos(videos, "skip")
    assert kept.sample_ids == ["happy/a", "happy/b", "sad/c", "sad/clip.mp4"]
    assert kept.columns["num_frames"] == [12, 12, 12, 765]
    text = caplog.text
    assert "broken.mp4" in text and "cut.mp4" in text and "2 of 6 videos" in text


def test_content_hash_follows_the_content(root, tmp_path):
    clip, copy = root / "sad" / "clip.mp4", tmp_path / "copy.mp4"
    shutil.copy(clip, copy)
    assert content_hash(clip) == content_hash(str(copy)) and len(content_hash(clip)) == 16
    assert content_hash({"bytes": clip.read_bytes(), "path": None}) == content_hash(clip)
    copy.write_bytes(copy.read_bytes() + b"x")
    assert content_hash(copy) != content_hash(clip)
    before = content_hash(root / "happy" / "a")
    (root / "happy" / "a" / "99.png").write_bytes(b"x")
    assert content_hash(root / "happy" / "a") != before


def test_unknown_labels_are_named(root):
    with pytest.raises(KeyError, match="sad.*happy"):
        VideoDataset(load_folder(root), {"happy": 0}, PROCESSOR)


def dataset_of(root, **options):
    return VideoDataset(load_folder(root), {"sad": 0, "happy": 1}, PROCESSOR, **options)


def test_evaluation_examples_are_what_the_processor_gives(root):
    dataset = dataset_of(root)
    example = dataset[1]
    expected = PROCESSOR(dataset.videos.sources[1], return_tensors="pt")
    assert torch.equal(example["pixel_values_videos"], expected["pixel_values_videos"][0])
    assert (example["labels"], example["sample_index"]) == (1, 1) and "clip_jitter" not in example


def test_augmentation_is_keyed_by_seed_epoch_and_sample(root):
    dataset = dataset_of(root, training=True, seed=5)
    state = torch.get_rng_state()
    first = dataset[0]
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone
    torch.rand(10)
    assert torch.equal(dataset[0]["pixel_values_videos"], first["pixel_values_videos"])
    assert torch.equal(dataset[0]["clip_jitter"], first["clip_jitter"])
    assert not torch.equal(dataset[1]["clip_jitter"], first["clip_jitter"])
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0]["pixel_values_videos"], first["pixel_values_videos"])
    other = dataset_of(root, training=True, seed=6)
    assert not torch.equal(other[0]["pixel_values_videos"], first["pixel_values_videos"])


def test_augmentation_is_the_same_for_all_frames(root):
    dataset = dataset_of(root, training=True, colour_jitter=0.0)
    for epoch in range(4):
        dataset.set_epoch(epoch)
        frames = dataset[0]["pixel_values_videos"][:, :2].float()  # red and green are the same in every frame
        assert (frames - frames[:1]).abs().max() <= 1


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_see_the_epoch(root, persistent):
    dataset = dataset_of(root, training=True)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=1, persistent_workers=persistent)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        loaded = torch.cat([batch["clip_jitter"] for batch in loader])
        assert torch.equal(loaded, torch.stack([dataset[index]["clip_jitter"] for index in range(4)]))
