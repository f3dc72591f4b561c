# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""torchcodec reads the frames that PyAV reads; decoders that the user made are read as they are."""

import os

import numpy as np
import pytest
import torch

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoReadError
from tests.helpers.videos import CLIP

pytestmark = pytest.mark.decoding


def test_real_clip_has_the_same_frames_with_both_decoders():
    if decoder_in_use("torchcodec")[0] is None:
        assert os.environ.get("RDFER_REQUIRE_TORCHCODEC") != "1", decoder_in_use("torchcodec")
        pytest.skip(f"torchcodec cannot be used: {decoder_in_use('torchcodec')[1]}")
    indices = list(range(5, 765, 40))
    for size in (None, (112, 112)):
        a, b = (open_video(CLIP, name).get_frames(indices, size=size).float() for name in ("pyav", "torchcodec"))
        assert (a - b).abs().mean((1, 2, 3)).max() < 2


@pytest.mark.needs_cuda
def test_a_gpu_decodes_the_same_frames():
    indices = list(range(5, 765, 40))
    for size in (None, (112, 112)):
        # With torchcodec forced, nothing else decodes if the GPU cannot.
        gpu, cpu = (
            open_video(CLIP, "torchcodec", device=device).get_frames(indices, size=size).float()
            for device in ("cuda", "cpu")
        )
        assert gpu.device.type == "cpu" and (gpu - cpu).abs().mean((1, 2, 3)).max() < 3
    inputs = RDFERVideoProcessor()(CLIP, return_tensors="pt", device="cuda")
    expected = RDFERVideoProcessor()(CLIP, return_tensors="pt")["pixel_values_videos"]
    assert inputs["pixel_values_videos"].is_cuda
    assert (inputs["pixel_values_videos"].cpu().float() - expected.float()).abs().mean() < 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU can decode")
def test_frames_come_from_the_cpu_if_the_gpu_cannot_decode():
    frames = open_video(CLIP, device="cuda").get_frames([5, 20])
    assert torch.equal(frames, open_video(CLIP, "pyav").get_frames([5, 20]))
    if decoder_in_use("torchcodec")[0] is not None:
        with pytest.raises(VideoReadError, match=r"0..5 cannot all be decoded \([^/]*CUDA[^/]*\); expected"):
            open_video(CLIP, "torchcodec", device="cuda").get_frames([0, 5])


def test_both_decoders_are_named_if_both_fail(faststart_mp4):
    if decoder_in_use("torchcodec")[0] is None:
        pytest.skip("torchcodec cannot be used")
    data = bytearray(faststart_mp4.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 200] = bytes(200)
    video = open_video(bytes(data), name="damaged.mp4", device="cuda")
    with pytest.raises(VideoReadError, match=r"damaged.mp4.* cannot be decoded \(.*\); torchcodec: [^/]+; exp"):
        video.get_frames(range(40))


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_torchcodec_decoder_of_the_user(plain_mp4, order):
    if decoder_in_use("torchcodec")[0] is None:
        pytest.skip("torchcodec cannot be used")
    from torchcodec.decoders import VideoDecoder

    video = open_video(VideoDecoder(str(plain_mp4), dimension_order=order))
    assert video.num_frames == 40
    assert torch.equal(video.get_frames([30, 2]), open_video(plain_mp4, "torchcodec").get_frames([30, 2]))
    assert video.pts_seconds[30] == pytest.approx(1.2) and np.isnan(video.pts_seconds[0])
