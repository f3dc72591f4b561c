# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from training.data.labelled_videos import LabelledVideos
from training.data.scoring_batches import ScoringBatches
from training.data.video_dataset import ScoringVideoDataset

LABEL2ID = {"happy": 0, "sad": 1}


@pytest.fixture
def dataset(tmp_path) -> ScoringVideoDataset:
    """Seven videos, of noise; numbers 2 to 4 and 6 cannot be read."""
    generator, sources = np.random.default_rng(0), []
    for number in range(7):
        folder = tmp_path / str(number)
        folder.mkdir()
        for image in range(3):
            Image.fromarray(generator.integers(0, 255, (16, 16, 3)).astype(np.uint8)).save(folder / f"{image}.png")
        if number in (2, 3, 4, 6):
            (folder / "1.png").write_bytes(b"no image")
        sources.append(str(folder))
    labels = ["happy", "sad", "sad", "sad", "happy", "happy", "sad"]
    videos = LabelledVideos(sources, labels, [f"video {number}" for number in range(7)])
    processor = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16}, do_face_crop=False)
    return ScoringVideoDataset(videos, LABEL2ID, processor)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_readable_videos_come_in_order_with_their_numbers_and_labels(dataset, num_workers):
    batches = ScoringBatches(dataset, "cpu", 3, num_workers, "collect", disable_progress=True)
    found = list(batches)
    # Of the batches 0-2, 3-5 and 6 the last has no readable video.
    assert [batch.numbers for batch in found] == [[0, 1], [5]] and [len(batch) for batch in found] == [2, 1]
    assert [batch.labels.tolist() for batch in found] == [[0, 1], [0]]
    for batch in found:
        for row, number in enumerate(batch.numbers):
            expected = dataset[number]["pixel_values_videos"]
            assert torch.equal(batch.frames[row], expected)
            assert torch.equal(batch.examples[row]["pixel_values_videos"], expected)
            assert batch.frame_mask[row].tolist() == [True, True, True, False]
    assert list(batches.errors) == [2, 3, 4, 6]
    assert all(str(number) in str(error) for number, error in batches.errors.items())


def test_bad_videos_stop_it_or_are_counted(dataset):
    batches = iter(ScoringBatches(dataset, "cpu", 2))
    assert next(batches).numbers == [0, 1]
    with pytest.raises(VideoReadError, match="And 1 more. --on-bad-video skip"):
        next(batches)
    skipping = ScoringBatches(dataset, "cpu", 2, on_bad_video="skip")
    assert [batch.numbers for batch in skipping] == [[0, 1], [5]] and len(skipping.errors) == 4


def test_no_readable_video_is_an_error_unless_errors_are_only_collected(dataset):
    bad = ScoringVideoDataset(dataset.videos.select([2, 6]), LABEL2ID, dataset.processor)
    with pytest.raises(ValueError, match="None of the videos can be read"):
        list(ScoringBatches(bad, "cpu", on_bad_video="skip"))
    collecting = ScoringBatches(bad, "cpu", on_bad_video="collect")
    assert list(collecting) == [] and list(collecting.errors) == [0, 1]
