# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""HDR, transparency and interlaced frames as a usual screen shows them."""

import numpy as np
import pytest

from modeling_rdfer import predict
from modeling_rdfer.models.frame_colours_rdfer import HLG, PQ, ToneMap, first_field, over_black
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.video_fixtures import make
from tests.helpers.videos import CLIP

pytestmark = pytest.mark.decoding


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_faces_in_hdr_keep_their_colours_and_contrast(decoder, video_folder, name):
    frames = open_video(make(name, video_folder)).get_frames([5, 20]).float()
    expected = open_video(CLIP).get_frames([5, 20]).float()
    assert (frames - expected).abs().mean() < 6
    assert (frames.mean((0, 2, 3)) - expected.mean((0, 2, 3))).abs().max() < 6
    face, original = (part[..., 120:250, 130:270] for part in (frames, expected))
    # Without tone mapping it is 0.46 (PQ) and 0.76 (HLG) of it.
    assert face.std().item() == pytest.approx(original.std().item(), rel=0.12)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_than_white_stays_in_range_and_in_order(transfer):
    ramp = np.linspace(0, 65535, 257).astype(np.uint16)
    grey = ToneMap(transfer, 9).apply(np.repeat(ramp[None, :, None], 3, 2))[0]
    assert (np.diff(grey.astype(int), axis=0) >= 0).all() and grey[[0, -1]].tolist() == [[0] * 3, [255] * 3]
    assert (np.ptp(grey.astype(int), 1) <= 1).all()  # grey stays grey
    # The reference white, 203 cd/m2, is at 58 % of PQ and 75 % of HLG (ITU-R BT.2408).
    white = np.full((1, 1, 3), round(65535 * (0.5807 if transfer == PQ else 0.75)), np.uint16)
    assert 240 <= ToneMap(transfer, 9).apply(white).min() <= 250


@pytest.mark.parametrize("name", ["alpha_qtrle", "alpha_prores", "alpha_vp9", "alpha_vp8"])
def test_transparent_parts_are_black(decoder, video_folder, name):
    video = open_video(make(name, video_folder))
    frames, expected = (source.get_frames([24, 3, 4]).float() for source in (video, open_video(CLIP)))
    assert frames[..., :196].max() <= 2
    assert (frames[..., 204:] - expected[..., 204:]).abs().mean() < 5
    half = np.array([[[200, 100, 50, 128], [200, 100, 50, 255]]], np.uint8)
    assert over_black(half).tolist() == [[[100, 50, 25], [200, 100, 50]]]


def test_interlaced_frames_show_one_moment(decoder, video_folder):
    interlaced, expected = (make(name, video_folder) for name in ("interlaced", "deinterlaced"))
    frames, moments = (open_video(path).get_frames(range(14)) for path in (interlaced, expected))
    combs = (frames[:, :, 1:-1].float() - (frames[:, :, :-2].float() + frames[:, :, 2:].float()) / 2).abs().mean()
    smooth = (moments[:, :, 1:-1].float() - (moments[:, :, :-2].float() + moments[:, :, 2:].float()) / 2).abs().mean()
    assert combs < 1.2 * smooth
    assert (frames.float() - moments.float()).abs().mean() < 5
    # As they are stored, both moments at once, the score of the expression is 0.72 instead of 0.96.
    scores = [predict(path)["predictions"][0] for path in (interlaced, expected)]
    assert scores[0]["label"] == scores[1]["label"] == "surprise"
    assert scores[0]["score"] == pytest.approx(scores[1]["score"], abs=0.05)


def test_interlacing_that_begins_later_in_a_file(video_folder):
    frames = open_video(make("interlaced_later", video_folder)).get_frames(range(10, 24)).float()
    moments = open_video(make("deinterlaced", video_folder)).get_frames(range(14)).float()
    combs, smooth = ((f[:, :, 1:-1] - (f[:, :, :-2] + f[:, :, 2:]) / 2).abs().mean() for f in (frames, moments))
    assert combs < 1.2 * smooth and (frames - moments).abs().mean() < 5


def test_first_field_is_of_every_second_line():
    frame = np.zeros((7, 6, 3), np.uint8)
    frame[::2] = 90
    assert (first_field(frame) == 90).all() and first_field(frame).shape == frame.shape
