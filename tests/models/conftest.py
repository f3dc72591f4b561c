# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fixtures of the tests of video reading."""

import os

import pytest
import torch

from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from tests.helpers.videos import write_video


@pytest.fixture(params=["pyav", "torchcodec"])
def decoder(request, monkeypatch):
    """Runs a test once with each decoder, chosen as a user would."""
    monkeypatch.setenv("RDFER_VIDEO_DECODER", request.param)
    name, reason = decoder_in_use()
    if name is None:
        if os.environ.get("RDFER_REQUIRE_TORCHCODEC") == "1":
            pytest.fail(f"{request.param} cannot be used: {reason}")
        pytest.skip(f"{request.param} cannot be used: {reason}")
    return request.param


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def plain_mp4(video_folder):
    """40 frames, B-frames, a key frame every 12."""
    return write_video(video_folder / "plain.mp4", options={"g": "12", "bf": "3"})


@pytest.fixture(scope="session")
def faststart_mp4(video_folder):
    return write_video(video_folder / "faststart.mp4", container_options={"movflags": "faststart"})


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
