# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.real_faces_data import CHANGES, cap13


def test_stretches_of_cap13():
    stretches = cap13()
    assert [label for _, label in stretches] == ["neutral", "surprise", "surprise", "neutral", "neutral"]
    assert [len(frames) for frames, _ in stretches] == [15, 16, 15, 75, 62]


@pytest.fixture(scope="module")
def frames():
    """Three grey frames with a bright bar from the middle to the top."""
    frames = torch.full((3, 3, 80, 96), 80, dtype=torch.uint8)
    frames[..., 5:40, 44:52] = 200
    return frames


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_the_number_of_frames(frames, name):
    changed = CHANGES[name](frames)
    if isinstance(changed, bytes):
        changed = open_video(changed).get_frames([0, 1, 2])
    assert changed.dtype == torch.uint8 and changed.shape[:2] == (3, 3)
    if "size" not in name:
        assert changed.shape == frames.shape
    assert name == "as it is" or not torch.equal(changed, frames)


def test_rolled_frames_lean_by_the_angle_and_repeat_the_border(frames):
    left, right = (CHANGES[f"rolled by {angle}°"](frames) for angle in (45, -45))
    # 20 pixels from the middle, towards the corners at the top.
    assert left[0, 0, 40 - 14, 48 - 14] > 150 and right[0, 0, 40 - 14, 48 + 14] > 150
    assert left[0, 0, 40 - 20, 48] < 100
    assert left.min() > 70
