# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Frames are what a player shows: turned, mirrored, with square pixels."""

import subprocess

import numpy as np
import pytest
import torch

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from modeling_rdfer.models.frame_geometry_rdfer import square_pixel_size
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.video_fixtures import ORIENTATIONS, make
from tests.helpers.videos import CLIP

pytestmark = pytest.mark.decoding


def shown_by_ffmpeg(path, height, width):
    """The frames as ffmpeg shows them: uint8 (N, 3, height, width)."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, np.uint8)
    return torch.from_numpy(pixels.reshape(-1, height, width, 3).copy()).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_turned_and_mirrored_frames_are_what_a_player_shows(decoder, video_folder, name):
    path = make(name, video_folder)
    video = open_video(path)
    assert (video.height, video.width) == ((120, 160) if ORIENTATIONS[name][0] else (160, 120))
    shown = shown_by_ffmpeg(path, video.height, video.width)
    difference = video.get_frames([0, 24])[1].float() - shown[24].float()
    assert difference.abs().mean() < 3


@pytest.mark.parametrize("name", ["wide_pixels", "tall_pixels"])
def test_pixels_are_square(decoder, video_folder, name):
    video = open_video(make(name, video_folder))
    assert (video.height, video.width) == (300, 400)
    squeezed, expected = video.get_frames([5, 20]), open_video(CLIP).get_frames([5, 20])
    assert squeezed.shape == expected.shape
    assert (squeezed.float() - expected.float()).abs().mean() < 5
    processor = RDFERVideoProcessor(num_frames=4, do_face_crop=True)
    inputs = processor(make(name, video_folder), return_tensors="pt", return_metadata=True)
    crops = inputs["pixel_values_videos"][0].float()
    original = processor(open_video(CLIP).get_frames(range(25)), return_tensors="pt")["pixel_values_videos"][0].float()
    assert (crops - original).abs().mean() < 8
    assert (inputs["video_metadata"][0].height, inputs["video_metadata"][0].width) == (300, 400)


def test_pixels_are_square_with_a_decoder_of_the_user(video_folder):
    if decoder_in_use("torchcodec")[0] is None:
        pytest.skip("torchcodec cannot be used")
    from torchcodec.decoders import VideoDecoder

    path = make("wide_pixels", video_folder)
    video = open_video(VideoDecoder(str(path)))
    assert (video.height, video.width) == (300, 400)
    difference = video.get_frames([5]).float() - open_video(path).get_frames([5]).float()
    assert difference.abs().mean() < 3


def test_stored_size_stays_where_the_aspect_ratio_is_rounded_or_absurd():
    assert square_pixel_size(480, 852, 1280 / 1279) == (480, 852)
    assert square_pixel_size(480, 640, 1000) == square_pixel_size(480, 640, None) == (480, 640)


def test_texts_in_another_encoding_do_not_matter(decoder, video_folder):
    assert open_video(make("latin1_title", video_folder)).get_frames([3, 24]).shape == (2, 3, 120, 160)
