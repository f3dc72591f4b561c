# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.


import pytest
import torch

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.collator import collate_videos
from tests.helpers.prepared_sets import LABEL2ID, hub_videos
from tests.helpers.prepared_sets import PROCESSOR as CROP_PROCESSOR
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import VideoDataset
from training.datasets import load

PROCESSOR = RDFERVideoProcessor(num_frames=8, size={"height": 32, "width": 32})


def videos_of(root) -> LabelledVideos:
    return LabelledVideos.from_dataset(load("videofolder", root)["train"], "train")


def dataset_of(root, **options):
    return VideoDataset(videos_of(root), {"sad": 0, "happy": 1}, PROCESSOR, **options)


def test_unknown_labels_are_named(root):
    with pytest.raises(KeyError, match="sad.*happy"):
        VideoDataset(videos_of(root), {"happy": 0}, PROCESSOR)


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


def load_batches(dataset, workers: int) -> list[dict]:
    return list(torch.utils.data.DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=collate_videos))


def assert_equal(first: list[dict], second: list[dict]):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["files", "prepared"])
def test_workers_change_no_batch(frames_root, prepared, kind):
    videos = LabelledVideos.from_dataset(load("crema_d", frames_root)["train"], "train")
    if kind == "prepared":
        videos = hub_videos(str(prepared), "train", "fold_1")
    dataset = VideoDataset(videos, LABEL2ID, CROP_PROCESSOR, training=True, seed=3)
    dataset.set_epoch(2)
    assert_equal(load_batches(dataset, 0), load_batches(dataset, 2))


def test_a_video_of_other_frames_than_its_pseudo_labels_is_named(guided):
    videos = hub_videos(str(guided), "train", "fold_1")
    videos.pseudo_labels = [{name: [0.25] * 5 for name in videos.frame_teacher.labels}] * len(videos)
    with pytest.raises(ValueError, match=f"{videos.sample_ids[0]} has 8 frames and pseudo-labels for 5"):
        VideoDataset(videos, LABEL2ID, CROP_PROCESSOR, training=True)[0]
