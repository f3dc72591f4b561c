# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Backbones, temporal shift, and the agreement of distinct clips."""

import pytest
import torch

from tests.helpers.tiny_models import VARIANTS, assert_same, tiny_model, videos


def test_temporal_shift_moves_one_frame_and_stays_in_its_clip():
    from modeling_rdfer.models.video_backbone_rdfer import _temporal_shift

    frames = torch.arange(1.0, 9)[:, None, None, None].expand(8, 16, 1, 1).clone()  # two clips of four frames
    shifted = _temporal_shift(None, (frames,), num_frames=4)[:, :, 0, 0]
    assert shifted[:, 0].tolist() == shifted[:, 1].tolist() == [0, 1, 2, 3, 0, 5, 6, 7]
    assert shifted[:, 2].tolist() == shifted[:, 3].tolist() == [2, 3, 4, 0, 6, 7, 8, 0]
    assert shifted[:, 4:].eq(frames[:, 4:, 0, 0]).all()


@torch.no_grad()
def test_temporal_shift_in_large_batches_of_odd_clips():
    """On a CPU, frames go through the backbone in parts, which must not divide clips."""
    model = tiny_model(temporal_shift=True, frames_per_clip=3, num_detector_frames=5)
    frames = videos(batch=7)
    together = model(frames)
    for index in range(7):
        assert_same(together.logits[index], model(frames[index : index + 1]).logits[0])


def test_temporal_shift_needs_a_resnet():
    with pytest.raises(ValueError, match="temporal_shift.*rdfer_frame_net"):
        tiny_model(**VARIANTS["frame_net"], temporal_shift=True)
