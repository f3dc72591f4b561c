# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Key expression re-sampling: which frames the clips get."""

import pytest
import torch

from modeling_rdfer import distinct_clips, interpolate_saliency, resample_clips
from tests.helpers.tiny_models import assert_same

RESAMPLING = {"num_clips": 4, "frames_per_clip": 4, "saliency_floor": 0.1}


@pytest.mark.parametrize("clip_stride", [1, 2, 3])
@pytest.mark.parametrize("min_clip_separation", [0, 2, 4])
@pytest.mark.parametrize("jitter", [None, 0.0, 0.999])
def test_clips_are_well_formed_for_every_length(clip_stride, min_clip_separation, jitter):
    generator = torch.Generator().manual_seed(0)
    for length in range(1, 65):
        saliency = torch.rand(8, 64, generator=generator) ** 8
        jitters = None if jitter is None else torch.full((8, 4), jitter)
        positions = resample_clips(
            saliency,
            torch.full((8,), length),
            clip_stride=clip_stride,
            min_clip_separation=min_clip_separation,
            clip_jitter=jitters,
            **RESAMPLING,
        )
        assert positions.min() >= 0 and positions.max() < length
        assert (positions.diff(dim=1) >= 0).all() and (positions.diff(dim=2) >= 0).all()
        span = 3 * clip_stride
        if length > span:
            assert (positions.diff(dim=2) == clip_stride).all()
        if length - 1 - span >= 3 * min_clip_separation:
            assert (positions[:, :, 0].diff(dim=1) >= min_clip_separation).all()
        if min_clip_separation:
            # As many distinct clips as fit into the video.
            assert (distinct_clips(positions).sum(1) == min(4, max(length - span, 1))).all()


def test_clips_follow_the_saliency():
    saliency = torch.zeros(3, 64)
    saliency[0, 10:18] = saliency[1, 30:38] = saliency[2, 50:58] = 1
    length = torch.full((3,), 64)
    peaked = resample_clips(saliency, length, min_clip_separation=2, **RESAMPLING)
    uniform = resample_clips(torch.ones(3, 64), length, min_clip_separation=2, **RESAMPLING)
    inside = saliency[:, None, None].expand(-1, 4, 4, -1).gather(-1, peaked[..., None])
    inside_uniform = saliency[:, None, None].expand(-1, 4, 4, -1).gather(-1, uniform[..., None])
    assert (inside.mean((1, 2, 3)) >= 2.5 * inside_uniform.mean((1, 2, 3))).all()
    centres = peaked.float().mean((1, 2))
    assert centres[0] < centres[1] < centres[2]


def test_constant_saliency_takes_the_middles_of_equal_parts():
    positions = resample_clips(torch.ones(1, 64), torch.tensor([64]), **RESAMPLING)
    assert (positions.float().mean(-1) - torch.tensor([8.0, 24.0, 40.0, 56.0])).abs().max() <= 1


def test_every_frame_of_a_video_can_be_drawn():
    saliency = torch.zeros(1, 64)
    saliency[0, :8] = 1
    generator = torch.Generator().manual_seed(0)
    jitter = torch.rand(4000, 4, generator=generator)
    positions = resample_clips(saliency.expand(4000, -1), torch.full((4000,), 64), clip_jitter=jitter, **RESAMPLING)
    assert torch.bincount(positions.flatten(), minlength=64).min() > 0


def test_jitter_stays_in_its_stratum():
    generator = torch.Generator().manual_seed(0)
    jitter = torch.rand(1000, 4, generator=generator)
    positions = resample_clips(torch.ones(1000, 64), torch.full((1000,), 64), clip_jitter=jitter, **RESAMPLING)
    centres = positions.float().mean(-1)
    for clip in range(4):
        assert centres[:, clip].min() >= 16 * clip - 2 and centres[:, clip].max() <= 16 * clip + 18
        assert centres[:, clip].std() > 3


def test_interpolated_saliency():
    assert_same(
        interpolate_saliency(torch.tensor([[0.0, 1.0]]), torch.tensor([4]), 4), torch.tensor([[0, 0.25, 0.75, 1]])
    )
    saliency = torch.rand(1, 16)
    assert_same(interpolate_saliency(saliency, torch.tensor([16]), 16), saliency)
    # In a short video each detector frame keeps its place.
    assert_same(interpolate_saliency(torch.arange(4.0)[None], torch.tensor([2]), 5)[:, :2], torch.tensor([[0.5, 2.5]]))
