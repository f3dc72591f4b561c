# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fixtures of the tests of video reading and of faces."""

import os

import av
import numpy as np
import pytest
import torch

from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.videos import CLIP, write_video


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


@pytest.fixture(scope="module")
def detector():
    return RDFERFaceDetector.from_file(CHECKPOINT / "face_detector.safetensors")


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(DATA / "face_expression_reference.npz"))


@pytest.fixture(scope="module")
def clip():
    """All frames of the real clip at 25 fps: uint8 (765, 3, 300, 400)."""
    with av.open(str(CLIP)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def reference_frames(clip, reference):
    return clip[[round(25 * second) for second in reference["seconds"]]]


@pytest.fixture(scope="module")
def face(clip):
    """A neutral face with its surroundings: a (3, 170, 170) picture; the face's centre and side are FACE_*."""
    return clip[10, :, 100:270, 115:285]
