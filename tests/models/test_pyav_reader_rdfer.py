# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Frames of container files are the right ones, at the right times, with every decoder that can be used here.

RDFER_REQUIRE_TORCHCODEC=1 makes the tests of torchcodec fail instead of skip if it cannot be loaded.
"""

import io
import os
import random
import subprocess
import sys
import textwrap
import wave
from importlib.metadata import version

import av
import numpy as np
import PIL.Image
import pytest
import torch
from packaging.version import Version

from modeling_rdfer.models import video_source_rdfer
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoReadError
from tests.helpers.paths import ROOT
from tests.helpers.video_fixtures import FILES, make
from tests.helpers.videos import (
    CLIP,
    HEIGHT,
    WIDTH,
    message_of,
    numbers_of,
    picture,
    with_zeros,
    write_face,
    write_video,
)

pytestmark = pytest.mark.decoding


def test_real_clip(decoder):
    video = open_video(CLIP)
    assert (video.num_frames, video.height, video.width) == (765, 300, 400)
    assert video.average_fps == pytest.approx(25) and video.duration_seconds == pytest.approx(30.6)
    np.testing.assert_allclose(video.pts_seconds, np.arange(765) / 25, atol=1e-6)
    frames = video.get_frames([700, 3, 3])
    assert frames.shape == (3, 3, 300, 400) and frames.dtype == torch.uint8
    assert torch.equal(frames[1], frames[2]) and not torch.equal(frames[0], frames[1])


@pytest.mark.parametrize(
    "file, settings",
    [
        ("b_frames.mp4", {"options": {"g": "12", "bf": "3"}}),
        ("open_gop.mp4", {"options": {"x264-params": "open-gop=1:keyint=10:bframes=4:b-pyramid=2"}}),
        ("short_gop.mp4", {"options": {"g": "2", "bf": "1"}}),
        ("fragmented.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("with_audio.mp4", {"audio": True}),
        ("a.mov", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("a.mkv", {"options": {"g": "12"}}),
        ("vp8.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("mjpeg.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("h264_b_frames.avi", {"options": {"bf": "3"}}),
        ("mpeg4_b_frames.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("a.flv", {"codec": "flv"}),
        ("a.ts", {"options": {"g": "12"}}),
        ("raw.h264", {}),
        ("a.gif", {"codec": "gif", "pixels": "rgb8"}),
        ("grey.mkv", {"codec": "ffv1", "pixels": "gray"}),
        ("ten_bit.mkv", {"codec": "ffv1", "pixels": "yuv420p10le"}),
        ("alpha.mov", {"codec": "qtrle", "pixels": "argb"}),
        ("odd_size.mkv", {"pixels": "yuv444p", "height": 47, "width": 81}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_index_is_the_frame_number_in_every_format(decoder, video_folder, file, settings):
    path = video_folder / file
    if not path.exists():
        write_video(path, **settings)
    video = open_video(path)
    assert video.num_frames == 40
    assert (video.height, video.width) == (settings.get("height", HEIGHT), settings.get("width", WIDTH))
    assert numbers_of(video.get_frames(range(40))) == list(range(40))
    scattered = [39, 0, 21, 20, 20, 11, 12, 13, 35]
    assert numbers_of(video.get_frames(scattered)) == scattered
    for index in scattered:  # each from where the one before left the decoder
        assert numbers_of(video.get_frames([index])) == [index]
    np.testing.assert_allclose(video.pts_seconds - video.pts_seconds[0], np.arange(40) / 25, atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"bf": "3", "g": "12"},
        {"x264-params": "open-gop=1:keyint=10:bframes=4:b-pyramid=strict:b-adapt=0"},
        {"x264-params": "keyint=250:bframes=16:b-pyramid=normal:b-adapt=0:ref=4"},
        {"x264-params": "bframes=2:b-adapt=0:interlaced=1"},
        {"tune": "zerolatency"},
    ],
    ids=["plain", "open_gop", "pyramid", "interlaced", "no_b_frames"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_scattered_frames_are_those_of_reading_all(decoder, tmp_path, monkeypatch, options, suffix):
    """Skipping frames that are neither wanted nor referred to changes no pixel, whatever was read before."""
    path = write_video(tmp_path / f"video.{suffix}", num_frames=60, options=options)
    expected = open_video(path).get_frames(range(60))
    assert numbers_of(expected) == numbers_of(
        torch.from_numpy(np.stack([picture(n) for n in range(60)])).movedim(-1, 1)
    )
    video, random_numbers = open_video(path), random.Random(0)
    for _ in range(12):
        indices = random_numbers.sample(range(60), random_numbers.randint(1, 8))
        assert torch.equal(video.get_frames(indices), expected[indices]), indices
    for first in range(0, 60, 10):  # as a timeline reads: parts that overlap
        indices = range(first, min(60, first + 14), 3)
        assert torch.equal(video.get_frames(indices), expected[list(indices)])
    # A read that breaks off does not affect the next one.
    monkeypatch.setattr(video_source_rdfer, "CHUNK_BYTES", 1)
    with pytest.raises(ZeroDivisionError):
        video.get_frames(range(3, 50, 11), size=lambda frames: 1 / 0)
    assert torch.equal(video.get_frames([4, 5, 6, 7]), expected[4:8])


def test_variable_frame_rate_has_exact_times(decoder, video_folder):
    times_ms = [0, 20, 50, 400, 410, 1000, 1033, 1500, 2400, 2500]
    video = open_video(write_video(video_folder / "vfr.mp4", num_frames=10, times_ms=times_ms))
    np.testing.assert_allclose(video.pts_seconds, np.array(times_ms) / 1000, atol=1e-4)
    assert numbers_of(video.get_frames(range(10))) == list(range(10))


def test_edit_list_hides_the_frames_before_its_start(decoder, video_folder, plain_mp4):
    # The first 0.4 s are cut off by time stamps below zero, which MP4 writes as an edit list.
    if decoder == "torchcodec" and Version(version("torchcodec")) < Version("0.10"):
        pytest.skip("this version of torchcodec cannot read edit lists; with decoder='auto' PyAV takes over")
    path = video_folder / "edit_list.mp4"
    with av.open(str(plain_mp4)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        offset = int(0.4 / source.streams.video[0].time_base)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, stream
                target.mux(packet)
    video = open_video(path)
    assert numbers_of(video.get_frames(range(video.num_frames))) == list(range(10, 40))
    assert video.pts_seconds[0] == pytest.approx(0, abs=1e-3)


def test_an_empty_packet_repeats_a_frame(decoder, video_folder):
    video = open_video(make("theora_repeats", video_folder))
    frames = video.get_frames(range(video.num_frames)).float()
    assert (video.pts_seconds * 25).round().tolist() == [*range(9), *range(10, 25)]
    expected = open_video(CLIP).get_frames([*range(74, 83), *range(84, 99)]).float()
    assert (frames - expected).abs().mean((1, 2, 3)).max() < 3


def test_frames_of_which_only_the_decoding_times_are_known(decoder, video_folder):
    frames = open_video(make("mxf_reordered", video_folder)).get_frames(range(25)).float()
    expected = open_video(CLIP).get_frames(range(74, 99)).float()
    assert [int((expected - frame).square().mean((1, 2, 3)).argmin()) for frame in frames] == list(range(25))


def test_images_that_move(video_folder):
    for name in ("animation_apng", "animation_mjpeg"):
        with open_video(make(name, video_folder)) as video:
            assert (video.num_frames, len(video.get_frames(range(10)))) == (10, 10)
    with pytest.raises(VideoReadError, match=r"animation_webp.webp.* an animation of 10 pictures; expected a still"):
        open_video(make("animation_webp", video_folder))


@pytest.mark.parametrize(
    "start, end",
    [
        (b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", b"\r\n"),
        (b"\r\n--frame\r\nX-Time: 5\r\nContent-type: image/jpeg\r\n\r\n", b""),
        (b"--frame\nContent-Type: image/jpeg\n\n", b"\n"),
    ],
)
def test_the_stream_of_a_network_camera_in_a_file(decoder, start, end, tmp_path):
    """As curl saves it: JPEG images, each after a line that separates them and some headers."""
    images = []
    with av.open(str(CLIP)) as clip:
        for frame, _ in zip(clip.decode(video=0), range(12)):
            file = io.BytesIO()
            frame.to_image().save(file, "JPEG")
            images.append(file.getvalue())
    content = b"".join((start % len(image) if b"%d" in start else start) + image + end for image in images)
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(content)
    expected = np.stack([np.asarray(PIL.Image.open(io.BytesIO(image))) for image in images])
    for source in (path, content):
        with open_video(source) as video:
            frames = video.get_frames(range(len(video))).permute(0, 2, 3, 1).numpy()
            assert frames.shape == expected.shape
            assert np.abs(frames.astype(int) - expected).mean() < 2  # two decoders
            assert video.pts_seconds == pytest.approx(np.arange(12) / 25)  # it does not say when they were taken
            assert not video.is_damaged
    with open_video(content[:-2000]) as video:  # curl was interrupted
        assert len(video.get_frames(range(len(video)))) == 12 and video.is_damaged


@pytest.mark.parametrize("name", ["size_200x150", "size_200x300"])
def test_frames_keep_their_shape_where_the_size_changes(decoder, video_folder, name):
    video = open_video(make(name, video_folder))
    assert (video.num_frames, video.height, video.width) == (50, 300, 400)
    frames, expected = video.get_frames([3, 30, 49]).float(), open_video(CLIP).get_frames([3, 30, 49]).float()
    if name == "size_200x300":  # the middle part is in the middle, between black bars
        expected[1:, ..., :100] = expected[1:, ..., 300:] = 0
    assert (frames - expected).abs().mean((1, 2, 3)).max() < 6
    assert video.get_frames([3, 30], size=(40, 60)).shape == (2, 3, 40, 60)


@pytest.mark.parametrize("name", ["second_stream", "thumbnail"])
def test_the_stream_that_a_player_shows_is_read(decoder, video_folder, name):
    video = open_video(make(name, video_folder))
    assert (video.num_frames, video.height, video.width) == (25, 300, 400)
    difference = video.get_frames([0, 24]).float() - open_video(CLIP).get_frames([0, 24]).float()
    assert difference.abs().mean() < 5


def test_time_stamps_of_a_live_stream_that_start_again_at_zero(decoder, video_folder):
    video = open_video(make("wrapped_times", video_folder))
    assert video.num_frames == 100 and video.duration_seconds == pytest.approx(4)
    np.testing.assert_allclose(video.pts_seconds - video.pts_seconds[0], np.arange(100) / 25, atol=1e-3)
    frames, expected = video.get_frames([99, 0, 60]).float(), open_video(CLIP).get_frames([99, 0, 60]).float()
    assert (frames - expected).abs().mean((1, 2, 3)).max() < 5


@pytest.mark.parametrize("name", ["clock_back_to_0", "clock_back_to_501"])
def test_recordings_put_one_after_the_other_go_on_in_time(decoder, video_folder, name):
    video = open_video(make(name, video_folder))
    assert video.num_frames == 100 and video.duration_seconds == pytest.approx(4)
    np.testing.assert_allclose(video.pts_seconds, np.arange(100) / 25)
    frames, expected = video.get_frames([99, 0, 55]).float(), open_video(CLIP).get_frames([99, 0, 55]).float()
    assert (frames - expected).abs().mean((1, 2, 3)).max() < 5


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(decoder, video_folder, rotation):
    video = open_video(write_video(video_folder / f"rotated_{rotation}.mp4", num_frames=5, rotation=rotation))
    expected = np.rot90(picture(3), rotation // 90)  # anticlockwise
    assert (video.height, video.width) == expected.shape[:2]
    difference = video.get_frames([3])[0].permute(1, 2, 0).float() - torch.tensor(expected.copy()).float()
    assert difference.abs().mean() < 6


def test_grey_video_is_grey_rgb(decoder, video_folder):
    path = video_folder / "grey_only.mkv"
    write_video(path, num_frames=3, codec="ffv1", pixels="gray")
    frames = open_video(path).get_frames([0, 2])
    assert torch.equal(frames[:, 0], frames[:, 1]) and torch.equal(frames[:, 0], frames[:, 2])


def test_one_frame_video(decoder, video_folder):
    video = open_video(write_video(video_folder / "one.mp4", num_frames=1))
    assert video.num_frames == 1 and numbers_of(video.get_frames([0, 0])) == [0, 0]


def test_colours_survive(decoder, plain_mp4):
    frame = open_video(plain_mp4).get_frames([5])[0].float()
    assert torch.allclose(frame[:, 6, 8], torch.tensor([220.0, 20, 20]), atol=8)
    assert torch.allclose(frame[:, 6, -8], torch.tensor([20.0, 220, 20]), atol=8)


# Broken files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cover", [False, True], ids=["audio", "audio_with_cover"])
def test_audio_only(decoder, tmp_path, cover):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        if cover:
            picture_stream = container.add_stream("mjpeg", rate=1)
            picture_stream.width, picture_stream.height, picture_stream.pix_fmt = 64, 64, "yuvj420p"
            picture_stream.disposition = av.stream.Disposition.attached_pic.value
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])
        if cover:
            image = av.VideoFrame.from_ndarray(picture(0, 64, 64), format="rgb24")
            container.mux([*picture_stream.encode(image), *picture_stream.encode()])
    assert "no video stream, only audio" in message_of(path)
    if not cover:
        path = tmp_path / "sound.mp4"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(32000))
        assert "no video stream, only audio" in message_of(path)


def test_damaged_file(decoder, faststart_mp4, tmp_path):
    data = bytearray(faststart_mp4.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 200] = bytes(b ^ 0xFF for b in data[middle : middle + 200])
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert "damaged.mp4" in message_of(path) and "be decoded (" in message_of(path)


@pytest.mark.parametrize("name", ["zeros_inside", "end_missing"])
def test_readable_frames_of_a_damaged_file(decoder, tmp_path, name, caplog):
    path = make(name, tmp_path)
    assert "be decoded" in message_of(path) or "truncated" in message_of(path)
    video = open_video(path, on_damage="use_readable")
    assert 8 <= video.num_frames < 25 and video.num_unreadable == 25 - video.num_frames
    frames = video.get_frames(range(video.num_frames))
    scattered = [video.num_frames - 1, 0, 6, 3]
    assert torch.equal(video.get_frames(scattered), frames[scattered])
    # They are those of the intact file at the same times.
    intact = tmp_path / "intact.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", *FILES[name].command.split(), intact], check=True)
    expected = open_video(intact).get_frames((video.pts_seconds * 25).round().astype(int).tolist())
    assert (frames.float() - expected.float()).abs().mean((1, 2, 3)).max() < 3
    assert f"{video.num_frames} of 25 frames can be decoded" in caplog.text


@pytest.mark.parametrize(
    "file, settings",
    [
        ("mpeg4.avi", {}),
        ("mpeg4.mp4", {}),
        ("mpeg2.mpg", {"codec": "mpeg2video"}),
        ("h264.ts", {"codec": "libx264", "options": {"g": "8"}}),
        ("h264.mkv", {"codec": "libx264", "options": {"g": "8"}}),
    ],
)
def test_damage_that_the_decoder_conceals_is_told(tmp_path, file, settings):
    path = write_face(tmp_path / file, **settings)
    intact = open_video(path, "pyav")
    expected = intact.get_frames(range(24))
    assert not intact.is_damaged
    video = open_video(with_zeros(path), "pyav")
    assert torch.equal(video.get_frames(range(8)), expected[:8])
    assert not torch.equal(video.get_frames(range(24)), expected) and video.is_damaged


def test_too_few_readable_frames(decoder, video_folder):
    path = make("noise", video_folder)
    with pytest.raises(VideoReadError, match=r"noise.mp4.*a damaged file of which \d+ of \d+ frames.*at least 25%"):
        open_video(path, on_damage="use_readable")


@pytest.mark.parametrize(
    "file, settings",
    [
        ("b_frames.mp4", {"options": {"g": "12", "bf": "3"}}),
        ("vp8.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
        ("mpeg4_b_frames.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("raw.h264", {}),
    ],
)
def test_intact_files_are_read_as_ever_where_damage_is_allowed(decoder, video_folder, file, settings):
    path = video_folder / file
    if not path.exists():
        write_video(path, **settings)
    video = open_video(path, on_damage="use_readable")
    assert (video.num_frames, video.num_unreadable, video.backend) == (40, 0, open_video(path).backend)
    assert numbers_of(video.get_frames([39, 0, 21])) == [39, 0, 21]


def test_unknown_on_damage(plain_mp4):
    with pytest.raises(ValueError, match="on_damage is 'skip'; expected 'error' or 'use_readable'"):
        open_video(plain_mp4, on_damage="skip")


def test_video_stream_without_frames(decoder, tmp_path):
    path = tmp_path / "no_frames.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert "no_frames.mp4" in message_of(path)


@pytest.mark.parametrize("name", ["cut", "zeros_inside", "noise", "hevc_zeros"])
def test_ffmpeg_stays_silent(decoder, plain_mp4, tmp_path, name):
    path = tmp_path / "cut.mp4"
    if name == "cut":
        path.write_bytes(plain_mp4.read_bytes()[:-500])
    else:
        path = make(name, tmp_path)
    code = f"""
        import av, torchvision
        av.logging.set_level(None)  # older versions of torchvision make FFmpeg print messages
        from modeling_rdfer.models.video_decoding_rdfer import open_video
        for on_damage in ("error", "use_readable"):
            try:
                video = open_video({str(path)!r}, on_damage=on_damage)
                video.get_frames(range(video.num_frames))
                assert on_damage == "use_readable"
            except ValueError as error:
                print(error)
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert result.returncode == 0 and path.name in result.stdout.splitlines()[0]
    warning = "' is damaged: "  # ours, if enough can be decoded
    assert [line for line in result.stderr.splitlines() if warning not in line] == []
