# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor, VideoReadError
from tests.helpers.paths import DATA
from training.data.videos import LabelledVideos, VideoDataset, check_videos, content_hash
from training.datasets import load
from training.datasets.common import to_videos

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


def videos_of(root) -> LabelledVideos:
    return to_videos(load("videofolder", root)["train"], "train")


def test_bad_videos_stop_before_training_or_are_left_out(root, caplog, monkeypatch):
    (root / "happy" / "broken.mp4").write_bytes(b"nothing")
    (root / "sad" / "cut.mp4").write_bytes(CLIP.read_bytes()[:100_000])
    videos = videos_of(root)
    with pytest.raises(VideoReadError, match=r"broken.mp4.*And 1 more.*--on_bad_video skip"):
        check_videos(videos)
    monkeypatch.setattr(logging.getLogger("training.data.videos"), "propagate", True)
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
        VideoDataset(videos_of(root), {"happy": 0}, PROCESSOR)


def dataset_of(root, **options):
    return VideoDataset(videos_of(root), {"sad": 0, "happy": 1}, PROCESSOR, **options)


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


@pytest.mark.parametrize("persons", [False, True])
def test_held_out_parts_keep_labels_in_proportion_and_persons_apart(persons):
    labels = ["happy"] * 60 + ["sad"] * 30 + ["fear"] * 3
    people = [number % 20 for number in range(93)] if persons else None
    videos = LabelledVideos(list(range(93)), labels, [str(number) for number in range(93)], persons=people)
    rest, held_out = videos.hold_out(0.2, seed=3)
    assert sorted(rest.sources + held_out.sources) == list(range(93))
    counts = Counter(held_out.labels)
    assert abs(counts["happy"] - 12) <= 4 and abs(counts["sad"] - 6) <= 3 and 14 <= len(held_out) <= 24
    assert rest.label_names == held_out.label_names == ["fear", "happy", "sad"]
    if persons:
        assert not set(rest.persons) & set(held_out.persons)
    assert videos.hold_out(0.2, seed=3)[1].sources == held_out.sources != videos.hold_out(0.2, seed=4)[1].sources


def test_too_little_to_hold_out_is_said():
    videos = LabelledVideos(
        list(range(30)), ["happy", "sad"] * 15, [str(n) for n in range(30)], persons=[0, 1, 2] * 10
    )
    with pytest.raises(ValueError, match="3 persons are too few for 10 parts"):
        videos.hold_out(0.1, seed=0)
    with pytest.raises(ValueError, match="at most 0.5, got 0.9"):
        videos.hold_out(0.9, seed=0)
