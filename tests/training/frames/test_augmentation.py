# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Augmented faces are different every time and keep what they show; the crop for evaluation is the middle."""

import pytest
import torch

from training.frames.augmentation import augment, crop
from training.frames.face_images import MARGIN, SIZE


def marked_faces(count):
    """Faces whose left half is dark, upper right quarter grey and lower right quarter bright."""
    faces = torch.full((count, SIZE, SIZE), 30, dtype=torch.uint8)
    faces[:, : SIZE // 2, SIZE // 2 :] = 120
    faces[:, SIZE // 2 :, SIZE // 2 :] = 220
    return faces


def test_the_crop_is_the_middle_of_the_face_image():
    faces = marked_faces(2)
    pixels = crop(faces, 48, 1.0)
    assert pixels.shape == (2, 1, 48, 48)
    middle = faces[0, SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] / 255  # MARGIN is 2: half of it
    assert MARGIN == 2 and (pixels[0, 0] - middle).abs().mean() < 0.01


def test_augmented_faces_are_pixels_and_differ():
    torch.manual_seed(0)
    pixels = augment(marked_faces(256), 48)
    assert pixels.shape == (256, 1, 48, 48) and pixels.min() >= 0 and pixels.max() < 1.0001
    assert len({image.numpy().tobytes() for image in pixels}) == 256
    torch.manual_seed(0)
    assert torch.equal(pixels, augment(marked_faces(256), 48))


def test_faces_are_mirrored_left_to_right_only():
    """The dark half is at the left or the right, half of the time each; the bright quarter stays below."""
    torch.manual_seed(0)
    pixels = augment(marked_faces(400), 48)[:, 0]
    left, right = pixels[:, 12:36, :16].mean((1, 2)), pixels[:, 12:36, 32:].mean((1, 2))
    assert 0.4 < (left > right).float().mean() < 0.6
    bright = torch.where((left > right)[:, None, None], pixels[:, :, :16], pixels[:, :, 32:])
    assert (bright[:, 32:].mean((1, 2)) > bright[:, :16].mean((1, 2))).float().mean() > 0.85


def test_the_given_faces_are_left_as_they_are():
    faces = marked_faces(8)
    augment(faces, 48)
    assert torch.equal(faces, marked_faces(8))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_batch_may_be_small(count):
    assert augment(marked_faces(count), 48).shape == (count, 1, 48, 48)
