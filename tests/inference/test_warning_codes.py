# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer import predict
from modeling_rdfer.cli import main
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import resize_frames
from tests.helpers.faces import paste, turn_to_the_side
from tests.helpers.paths import DATA
from tests.helpers.video_fixtures import make
from tests.helpers.videos import with_zeros, write_face


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """24 frames of the real clip, whose face is 100 pixels wide: uint8 (24, 3, 300, 400)."""
    return open_video(DATA / "cap13_edit2.mp4").get_frames(range(560, 584))


def warnings_of(video, **options) -> list[str]:
    return predict(video, **options)["warnings"]


def test_a_face_that_is_easy_to_read_gets_no_warning(frames):
    answer = predict(frames)
    assert answer["warnings"] == [] and answer["num_frames"] == 24 and answer["frame_size"] == [400, 300]
    assert answer["box"] == pytest.approx([155, 135, 255, 235], abs=25)
    assert (answer["start_seconds"], answer["end_seconds"]) == (None, None)
    video = predict(DATA / "cap13_edit2.mp4")
    assert video["warnings"] == [] and video["num_frames"] == 64
    assert 0 < video["start_seconds"] < 0.5 and 30 < video["end_seconds"] < 30.6


def test_the_box_is_in_pixels_of_a_large_video(frames):
    small, large = predict(frames), predict(resize_frames(frames, (1500, 2000)))
    assert large["frame_size"] == [2000, 1500]
    assert large["box"] == pytest.approx([5 * value for value in small["box"]], abs=25)


def test_dark_and_small_faces(frames):
    assert warnings_of((frames * 0.2).to(torch.uint8)) == ["dark"]
    assert warnings_of((frames * 0.5).to(torch.uint8)) == []
    assert warnings_of(resize_frames(frames, (90, 120))) == ["small_face"]


def test_a_profile(frames):
    face = frames[0, :, 100:270, 115:285]
    assert "profile" in warnings_of(paste([turn_to_the_side(face, 75)] * 12, [(200, 100)] * 12))
    assert warnings_of(paste([face] * 12, [(200, 100)] * 12)) == []


def test_several_faces_and_a_cut(frames):
    beside = torch.cat([frames, resize_frames(frames, (150, 200)).repeat(1, 1, 2, 1)], -1)
    assert "several_faces" in warnings_of(beside, face=0)
    assert all("several_faces" not in answer["warnings"] for answer in predict(beside, face="all"))
    face = frames[0, :, 100:270, 115:285]
    places = [(30, 30)] * 10 + [(400, 200)] * 10
    assert warnings_of(paste([face] * 20, places)) == ["cut"]
    slow = [(30 + 10 * step, 100) for step in range(20)]
    assert warnings_of(paste([face] * 20, slow)) == []


def test_a_face_that_is_hardly_or_never_there(frames):
    grey = torch.full_like(frames, 90)
    grey[..., ::7, ::5] = 160
    assert warnings_of(torch.cat([frames, grey, grey])) == ["face_often_absent"]
    answer = predict(grey, on_missing_face="full_frame")
    assert answer["warnings"] == ["no_face"] and answer["box"] is None
    cropped = predict(grey, do_face_crop=False)
    assert cropped["warnings"] == [] and "box" not in cropped


def test_a_damaged_file(tmp_path):
    assert "damaged_file" in warnings_of(make("end_missing", tmp_path), on_damage="use_readable")


def test_damage_that_the_decoder_conceals(tmp_path, capsys):
    path = write_face(tmp_path / "face.avi")
    assert warnings_of(path) == []
    path.write_bytes(with_zeros(path))
    assert warnings_of(path) == ["damaged_file"]
    assert main(["predict", str(path)]) == 0 and "(damaged)" in capsys.readouterr().out
