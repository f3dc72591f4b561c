# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Faces are read upright, in the middle, at the same size; what shows no face is named."""

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor, VideoReadError
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import DATA
from training.frames.face_images import SIZE, read_still_faces


@pytest.fixture(scope="module")
def detector():
    return RDFERVideoProcessor().face_detector()


@pytest.fixture(scope="module")
def frame():
    return open_video(DATA / "cap13_edit2.mp4").get_frames([10])[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("roll", [-30, 0, 30])
def test_a_photo_gives_the_upright_face_whatever_its_roll(detector, frame, tmp_path, roll):
    Image.fromarray(frame).rotate(roll, Image.Resampling.BILINEAR, fillcolor=(90, 90, 90)).save(tmp_path / "face.png")
    (face,) = read_still_faces([tmp_path / "face.png"], detector, "photos")
    assert face.shape == (SIZE, SIZE) and face.dtype == torch.uint8
    row = detector.detect(face.expand(1, 3, -1, -1))[0][0]
    (right_x, right_y), (left_x, left_y) = row[5:9].view(2, 2).tolist()
    assert abs(left_y - right_y) < 0.2 * (left_x - right_x)  # the eyes are level
    assert abs((left_x + right_x) / 2 - SIZE / 2) < 8


def test_a_tight_crop_without_a_face_fills_the_middle(detector, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (face,) = read_still_faces([tmp_path / "noise.png"], detector, "crops")
    assert face[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4].float().std() > 20  # not only repeated border pixels


def test_a_photo_without_a_face_is_named(detector, tmp_path):
    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "wall.png")
    with pytest.raises(VideoReadError, match=r"wall\.png.*no face"):
        read_still_faces([tmp_path / "wall.png"], detector, "photos")
