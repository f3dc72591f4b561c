# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Frames of every kind of video are the right ones, at the right times; broken videos give one clear error each.

Tests of container files run with every decoder that can be used here. RDFER_REQUIRE_TORCHCODEC=1 makes those of
torchcodec fail instead of skip where it cannot be loaded.
"""

import functools
import gc
import http.server
import io
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from packaging.version import Version
from PIL import Image

from modeling_rdfer.models import video_decoding_rdfer
from modeling_rdfer.models.video_decoding_rdfer import (
    VideoNotFoundError,
    VideoReadError,
    decoder_in_use,
    open_video,
    resize_frames,
)

pytestmark = pytest.mark.decoding

CLIP = Path(__file__).parents[1] / "data" / "cap13_edit2.mp4"
HEIGHT, WIDTH = 48, 80


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


def picture(number, height=HEIGHT, width=WIDTH):
    """RGB frame whose grey level tells its number, with a red corner at the top left and a green one at the right."""
    frame = np.full((height, width, 3), (30 + 5 * number) % 256, np.uint8)
    frame[: height // 3, : width // 4] = (220, 20, 20)
    frame[: height // 3, -(width // 4) :] = (20, 220, 20)
    return frame


def numbers_of(frames):
    """The numbers that `picture` wrote into frames (N, 3, H, W)."""
    height, width = frames.shape[-2:]
    centre = frames[:, :, height // 2 :, width // 3 : -(width // 3)].float().mean((1, 2, 3))
    return ((centre - 30) / 5).round().int().tolist()


def write_video(path, num_frames=40, height=HEIGHT, width=WIDTH, codec="libx264", pixels="yuv420p", times_ms=None,
                rotation=None, options=None, container_options=None, audio=False):  # fmt: skip
    """Writes a video of `picture` frames, at 25 frames per second or at the given times."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        if codec != "libx264":
            stream.bit_rate = 4_000_000
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            if not hasattr(av.VideoStream, "set_display_rotation"):
                pytest.skip("this version of PyAV cannot write a display matrix")
            stream.set_display_rotation(rotation)
        if audio:
            sound = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, height, width), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
            silence.sample_rate = 16000
            container.mux([*sound.encode(silence), *sound.encode()])
    return path


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


# ---------------------------------------------------------------------------------------------------------------------
# Which decoder
# ---------------------------------------------------------------------------------------------------------------------
def test_decoder_in_use_names_the_decoder_and_the_reason(monkeypatch):
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "pyav")
    assert decoder_in_use() == ("pyav", "RDFER_VIDEO_DECODER is 'pyav'")
    monkeypatch.delenv("RDFER_VIDEO_DECODER")
    name, reason = decoder_in_use()
    assert (name == "torchcodec" and reason is None) or (name == "pyav" and reason)
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "opencv")
    with pytest.raises(ValueError, match="RDFER_VIDEO_DECODER is 'opencv'; expected one of auto, torchcodec, pyav"):
        decoder_in_use()


def test_the_decoder_asked_for_is_used(decoder, plain_mp4):
    assert open_video(plain_mp4).backend == decoder


def test_importing_costs_no_decoder():
    code = (
        "import sys, torchvision; before = set(sys.modules)\n"  # older versions of torchvision import av
        "import modeling_rdfer; print([m for m in ('av', 'torchcodec') if m in set(sys.modules) - before])"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert result.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------------------------------------------
# Container files: the right frames
# ---------------------------------------------------------------------------------------------------------------------
def test_real_clip(decoder):
    video = open_video(CLIP)
    assert (video.num_frames, video.height, video.width) == (765, 300, 400)
    assert video.average_fps == pytest.approx(25) and video.duration_seconds == pytest.approx(30.6)
    np.testing.assert_allclose(video.pts_seconds, np.arange(765) / 25, atol=1e-6)
    frames = video.get_frames([700, 3, 3])
    assert frames.shape == (3, 3, 300, 400) and frames.dtype == torch.uint8
    assert torch.equal(frames[1], frames[2]) and not torch.equal(frames[0], frames[1])


def test_real_clip_has_the_same_frames_with_both_decoders():
    if decoder_in_use("torchcodec")[0] is None:
        assert os.environ.get("RDFER_REQUIRE_TORCHCODEC") != "1", decoder_in_use("torchcodec")
        pytest.skip(f"torchcodec cannot be used: {decoder_in_use('torchcodec')[1]}")
    indices = list(range(5, 765, 40))
    for size in (None, (112, 112)):
        a, b = (open_video(CLIP, name).get_frames(indices, size=size).float() for name in ("pyav", "torchcodec"))
        assert (a - b).abs().mean((1, 2, 3)).max() < 2
        # Left to itself, the package takes PyAV for few frames of a file that torchcodec reads otherwise.
        with open_video(CLIP) as video:
            assert torch.equal(video.get_frames(indices, size=size).float(), a)
            few, all_of_them = video.get_frames([14, 15]), video.get_frames(range(10, 20))
            assert (few.float() - all_of_them[4:6].float()).abs().mean() < 2


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
    for index in scattered:  # each from wherever the one before left the decoder
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
def test_frames_read_here_and_there_are_those_of_reading_all(decoder, tmp_path, monkeypatch, options, suffix):
    """Not decoding what is neither wanted nor referred to changes no pixel, whatever was read before."""
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
    # A read that breaks off in its middle leaves nothing behind.
    monkeypatch.setattr(video_decoding_rdfer, "CHUNK_BYTES", 1)
    with pytest.raises(ZeroDivisionError):
        video.get_frames(range(3, 50, 11), size=lambda frames: 1 / 0)
    assert torch.equal(video.get_frames([4, 5, 6, 7]), expected[4:8])


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_threads_within_threads_share_those_of_torch(three_threads):
    torch.set_num_threads(8)

    def inside(_):
        return torch.get_num_threads()

    def outside(_):
        return torch.get_num_threads(), *video_decoding_rdfer.map_in_threads(inside, range(4), 2)

    for _ in range(20):
        assert list(video_decoding_rdfer.map_in_threads(outside, range(4), 2)) == [(4, 2, 2, 2, 2)] * 4
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 8


@pytest.mark.parametrize(
    "file, settings",
    [
        ("long.mp4", {"options": {"g": "12", "bf": "3"}}),
        ("long_open_gop.mkv", {"options": {"x264-params": "open-gop=1:keyint=10:bframes=4:b-pyramid=strict"}}),
        ("long.mov", {"codec": "mpeg4", "options": {"bf": "2", "g": "10"}}),
        ("long.webm", {"codec": "libvpx-vp9", "options": {"g": "10"}}),
        ("long_turned.mp4", {"options": {"g": "12"}, "rotation": 90}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_several_threads_read_the_same_frames_of_a_long_video(decoder, video_folder, three_threads, file, settings):
    path = write_video(video_folder / file, num_frames=60, **settings)
    expected = open_video(path).get_frames(range(60))
    random_numbers = random.Random(0)
    with open_video(path) as video:
        readers, parts = zip(*video._split(list(range(2, 60, 5))))
        assert len(set(map(id, readers))) == len(parts) == 3
        assert [index for part in parts for index in part] == list(range(2, 60, 5))
        for _ in range(12):
            indices = random_numbers.sample(range(60), random_numbers.randint(2, 9))
            assert torch.equal(video.get_frames(indices), expected[indices]), indices
            small = video.get_frames(indices, size=(16, 24))
            assert torch.equal(small, video_decoding_rdfer.resize_frames(expected[indices], (16, 24)))
        assert len(video._split(list(range(60)))) == 1  # one that reads on needs no way from a key frame
        video.close()
        open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        gc.disable()
        for _ in range(3):
            video.get_frames(range(2, 60, 5))
        gc.enable()
        assert open_files == (len(os.listdir("/proc/self/fd")) if open_files else 0)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("indices", [range(2, 40, 5), range(40), [9]], ids=["sparse", "all", "one"])
def test_frames_are_told_of_as_they_come(decoder, video_folder, three_threads, num_threads, indices):
    torch.set_num_threads(num_threads)
    path = write_video(video_folder / "told.mp4", num_frames=40, options={"g": "12"})
    told = []

    def meanwhile(frames, places):
        told.extend((place, number) for place in places for number in numbers_of(frames[place : place + 1]))

    with open_video(path) as video:
        assert numbers_of(video.get_frames(indices, meanwhile=meanwhile)) == list(indices)
        assert sorted(told) == list(enumerate(indices))  # each once, and it was there
        with pytest.raises(ZeroDivisionError):
            video.get_frames(indices, meanwhile=lambda frames, places: 1 / 0)


@pytest.mark.parametrize("damaged", [(1, 12), (24, 36), (48, 60)], ids=["first", "middle", "last"])
def test_damage_in_one_of_several_parts_is_named(decoder, video_folder, three_threads, damaged):
    path = write_video(video_folder / f"damaged{damaged[0]}.mp4", num_frames=60, options={"g": "12", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in packets[slice(*damaged)]:
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    with open_video(path) as video:
        with pytest.raises(VideoReadError, match=re.escape(f"{str(path)!r}")):
            video.get_frames(range(2, 60, 5), meanwhile=lambda frames, places: list(places))
        assert numbers_of(video.get_frames([14, 43])) == [14, 43]


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


def test_size_and_max_side_are_the_resize_of_the_full_frames(decoder, plain_mp4):
    video = open_video(plain_mp4)
    full = video.get_frames([1, 30])
    assert torch.equal(video.get_frames([1, 30], size=(20, 24)), resize_frames(full, (20, 24)))
    assert torch.equal(video.get_frames([1, 30], size=lambda x: x[..., :7]), full[..., :7])
    assert torch.equal(video.get_frames([1, 30], max_side=40), resize_frames(full, (24, 40)))
    assert torch.equal(video.get_frames([1, 30], max_side=80), full)


def test_bytes_file_objects_and_datasets_dicts_give_the_frames_of_the_path(decoder, plain_mp4):
    data = plain_mp4.read_bytes()
    expected = open_video(plain_mp4).get_frames([0, 17])
    path = str(plain_mp4)
    sources = [path, data, bytearray(data), io.BytesIO(data), {"bytes": data, "path": None}]
    for source in [*sources, {"bytes": None, "path": path}]:
        assert torch.equal(open_video(source).get_frames([0, 17]), expected)
    with open(plain_mp4, "rb") as file:
        assert torch.equal(open_video(file).get_frames([0, 17]), expected)


def test_index_out_of_range(decoder, plain_mp4):
    with pytest.raises(IndexError, match=r"plain.mp4: frames 0\.\.40 were asked for, it has 0\.\.39"):
        open_video(plain_mp4).get_frames([0, 40])


def test_url(decoder, plain_mp4):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=plain_mp4.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        video = open_video(url + "plain.mp4")
        assert video.name == url + "plain.mp4" and numbers_of(video.get_frames([9])) == [9]
        with pytest.raises(VideoReadError, match=r"missing.mp4.*HTTP status 404"):
            open_video(url + "missing.mp4")
        server.shutdown()
    with pytest.raises(VideoReadError, match="cannot be downloaded"):
        open_video(url + "plain.mp4")


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_torchcodec_decoder_of_the_user(plain_mp4, order):
    if decoder_in_use("torchcodec")[0] is None:
        pytest.skip("torchcodec cannot be used")
    from torchcodec.decoders import VideoDecoder

    video = open_video(VideoDecoder(str(plain_mp4), dimension_order=order))
    assert video.num_frames == 40
    assert torch.equal(video.get_frames([30, 2]), open_video(plain_mp4, "torchcodec").get_frames([30, 2]))
    assert video.pts_seconds[30] == pytest.approx(1.2) and np.isnan(video.pts_seconds[0])


# ---------------------------------------------------------------------------------------------------------------------
# Container files: broken ones
# ---------------------------------------------------------------------------------------------------------------------
def message_of(source):
    with pytest.raises(VideoReadError) as caught:
        video = open_video(source)
        video.get_frames(range(video.num_frames))
    return str(caught.value)


def test_missing_path(decoder, tmp_path):
    path = tmp_path / "missing.mp4"
    with pytest.raises(FileNotFoundError, match=r"missing.mp4.*no such file") as caught:
        open_video(path)
    assert isinstance(caught.value, VideoNotFoundError) and caught.value.filename == str(path)


def test_error_can_be_pickled():
    for error in (VideoReadError("a.mp4", "nothing"), VideoNotFoundError("a.mp4", "no such file")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error) and "'a.mp4'" in str(error)


@pytest.mark.parametrize(
    "content, found",
    [
        (b"", r"an empty file \(0 bytes\)"),
        (b"This is a text about a video.\n" * 5, "a text file that starts with 'This is a text"),
        ("Überschrift: kein Video\n".encode(), "a text file that starts with 'Überschrift"),
        (random.Random(0).randbytes(5000), "5,000 bytes that FFmpeg cannot read"),
        (bytes(3000), "3,000 bytes that FFmpeg cannot read"),
    ],
    ids=["empty", "text", "utf8", "random", "zeros"],
)
def test_file_that_is_no_video(decoder, tmp_path, content, found):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoReadError, match=rf"clip.mp4.*found {found}.*expected a video"):
        open_video(path)
    with pytest.raises(VideoReadError, match=found):
        open_video(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WebP"])
def test_image_named_mp4(decoder, tmp_path, kind):
    path = tmp_path / "clip.mp4"
    Image.fromarray(picture(0)).save(path, format=kind)
    assert f"a {kind} image" in message_of(path)


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


@pytest.mark.parametrize("percent", [10, 50, 95])
@pytest.mark.parametrize(
    "file", ["plain.mp4", "faststart.mp4", "a.mkv", "vp9.webm", "a.avi", "a.flv", "a.gif", "clip"]
)
def test_truncated_file(decoder, video_folder, tmp_path, file, percent, faststart_mp4, plain_mp4):
    source = CLIP if file == "clip" else video_folder / file
    settings = {"vp9.webm": {"codec": "libvpx-vp9"}, "a.flv": {"codec": "flv"}, "mpeg4.avi": {"codec": "mpeg4"}}
    settings["a.gif"] = {"codec": "gif", "pixels": "rgb8"}
    if not source.exists():
        write_video(source, **settings.get(file, {}))
    data = source.read_bytes()
    path = tmp_path / f"cut_{source.name}"
    path.write_bytes(data[: len(data) * percent // 100])
    message = message_of(path)
    assert path.name in message and "truncated" in message and "expected a complete file" in message


def test_truncated_file_tells_how_many_frames_are_there(decoder, faststart_mp4, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(faststart_mp4.read_bytes()[:-400])
    assert "of 40" in message_of(path)


def test_damaged_file(decoder, faststart_mp4, tmp_path):
    data = bytearray(faststart_mp4.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 200] = bytes(b ^ 0xFF for b in data[middle : middle + 200])
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert "damaged.mp4" in message_of(path) and "be decoded (" in message_of(path)


def test_video_stream_without_frames(decoder, tmp_path):
    path = tmp_path / "no_frames.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert "no_frames.mp4" in message_of(path)


def test_ffmpeg_stays_silent(plain_mp4, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(plain_mp4.read_bytes()[:-500])
    code = f"""
        import av, torchvision
        av.logging.set_level(None)  # older versions of torchvision make it talk
        from modeling_rdfer.models.video_decoding_rdfer import open_video
        try:
            open_video({str(path)!r})
        except ValueError:
            pass
    """
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# ---------------------------------------------------------------------------------------------------------------------
# Folders and lists of images
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def frame_folder(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, suffix in enumerate(["png", "PNG", "bmp", "webp", "jpg", "jpeg", "png", "png", "png", "png", "png"]):
        options = {"quality": 98} if suffix in ("jpg", "jpeg") else {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(picture(number)).save(folder / f"frame_{number}.{suffix}", **options)
    (folder / "._frame_0.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("not a frame")
    (folder / "more.png").mkdir()
    return folder


def test_folder_is_read_in_natural_order(frame_folder):
    video = open_video(frame_folder)
    assert (video.num_frames, video.height, video.width, video.pts_seconds) == (11, HEIGHT, WIDTH, None)
    assert numbers_of(video.get_frames(range(11))) == list(range(11))
    assert numbers_of(open_video(str(frame_folder)).get_frames([10, 2])) == [10, 2]


def test_folder_of_frames_that_differ_in_size(tmp_path):
    for number, (height, width) in enumerate([(48, 80), (96, 160), (47, 79)]):
        Image.fromarray(picture(number, height, width)).save(tmp_path / f"{number}.png")
    video = open_video(tmp_path)
    assert video.get_frames([0, 1, 2]).shape == (3, 3, 48, 80)
    assert numbers_of(video.get_frames([2, 1, 0], size=(40, 60))) == [2, 1, 0]


def test_folder_without_images(tmp_path):
    assert "an empty folder" in message_of(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    assert "a folder without images (1 other entries)" in message_of(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no image", "half"], ids=["empty", "text", "half"])
def test_folder_with_a_corrupt_image(frame_folder, content):
    bad = frame_folder / "frame_6.png"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2] if content == "half" else content)
    message = message_of(frame_folder)
    assert "frame_6.png" in message and "an image that cannot be read" in message


def test_image_modes_become_rgb(tmp_path):
    rgba = np.dstack([picture(0), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[-1, -1] = (10, 20, 30, 0)
    deep = Image.fromarray((picture(2)[..., 0].astype(np.uint16) << 8) + 7)
    images = [
        Image.fromarray(rgba),
        Image.fromarray(picture(1)).convert("L"),
        deep,
        Image.fromarray(picture(3)).quantize(),
    ]
    frames = open_video(images).get_frames(range(4))
    assert numbers_of(frames) == [0, 1, 2, 3]
    assert frames[0, :, -1, -1].tolist() == [255, 255, 255]  # transparent: white
    assert torch.equal(frames[1, 0], frames[1, 2])


def test_photo_turned_by_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    Image.fromarray(picture(0)).save(tmp_path / "0.png", exif=exif)
    assert open_video(tmp_path).get_frames([0]).shape == (1, 3, WIDTH, HEIGHT)


def test_lists_of_frames(frame_folder):
    paths = [str(frame_folder / "frame_2.bmp"), frame_folder / "frame_10.png"]
    assert numbers_of(open_video(paths).get_frames([0, 1])) == [2, 10]
    arrays = [picture(3), torch.tensor(picture(4)).permute(2, 0, 1), Image.fromarray(picture(5))]
    assert numbers_of(open_video(arrays).get_frames([0, 1, 2])) == [3, 4, 5]
    assert numbers_of(open_video([picture(3)[..., 2]]).get_frames([0])) == [3]
    assert numbers_of(open_video(paths[0]).get_frames([0])) == [2]  # one image: a video of one frame
    assert "missing.png" in message_of([paths[0], "missing.png"])
    assert "element 1" in message_of([picture(0), 7])
    assert "an empty list" in message_of([])


# ---------------------------------------------------------------------------------------------------------------------
# Arrays
# ---------------------------------------------------------------------------------------------------------------------
PIXELS = np.stack([picture(number) for number in range(6)])


@pytest.mark.parametrize("kind", ["tensor", "numpy"])
@pytest.mark.parametrize("layout", ["TCHW", "THWC"])
def test_arrays(kind, layout):
    pixels = PIXELS.transpose(0, 3, 1, 2) if layout == "TCHW" else PIXELS
    array = torch.tensor(pixels) if kind == "tensor" else pixels
    expected = torch.tensor(PIXELS).permute(0, 3, 1, 2)
    for same in (array, array / 255, (array / 255).astype(np.float32) if kind == "numpy" else array.half() / 255):
        video = open_video(same)
        assert (video.num_frames, video.height, video.width, video.backend) == (6, HEIGHT, WIDTH, "array")
        assert torch.equal(video.get_frames(range(6)), expected)
    assert torch.equal(open_video(array[::2] if kind == "tensor" else array[::-1]).get_frames([0]),
                       expected[[0 if kind == "tensor" else 5]])  # fmt: skip
    wide = array.to(torch.int64) if kind == "tensor" else array.astype(np.uint16)
    assert torch.equal(open_video(wide).get_frames([1, 4]), expected[[1, 4]])
    one_frame = open_video(array[2])
    assert one_frame.num_frames == 1 and torch.equal(one_frame.get_frames([0]), expected[[2]])


def test_grey_and_alpha_arrays():
    grey = open_video(PIXELS[..., 2:]).get_frames([4])
    assert numbers_of(grey) == [4] and torch.equal(grey[0, 0], grey[0, 1])
    alpha = np.concatenate([PIXELS, np.full_like(PIXELS[..., :1], 255)], -1)
    alpha[:, 0, 0, 3] = 0
    frames = open_video(alpha).get_frames(range(6))
    assert numbers_of(frames) == list(range(6)) and (frames[:, :, 0, 0] == 255).all()


def test_layout_decides_where_shape_does_not():
    array = torch.arange(3 * 3 * 5 * 3, dtype=torch.uint8).reshape(3, 3, 5, 3)
    assert torch.equal(open_video(array, layout="channels_last").get_frames([1])[0], array[1].permute(2, 0, 1))
    assert torch.equal(open_video(array, layout="channels_first").get_frames([1])[0], array[1])


@pytest.mark.parametrize(
    "array, found",
    [
        (torch.zeros(0, 3, 8, 8), r"nothing in shape \(0, 3, 8, 8\)"),
        (np.zeros((2, 0, 8, 3), np.uint8), "nothing in shape"),
        (torch.full((2, 3, 8, 8), float("nan")), "NaN pixels"),
        (torch.where(torch.arange(8) == 3, float("nan"), 0.5).expand(90, 3, 8, 8), "NaN pixels"),
        (torch.full((2, 3, 8, 8), 200.0), "float pixels from 200 to 200"),
        (torch.linspace(-2, 2, 384).reshape(2, 3, 8, 8), "float pixels from -2 to 2"),
        (np.full((2, 8, 8, 3), 300, np.int32), "pixels from 300 to 300"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.bool), "bool"),
        (np.zeros((2, 8, 8, 3), object), "dtype object"),
        (torch.zeros(2, 5, 8, 8), "no axis of 1, 3 or 4 channels"),
        (torch.zeros(8, 8), "2 axes"),
        (torch.zeros(1, 2, 3, 8, 8), "5 axes"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_video(array, found):
    with pytest.raises(VideoReadError, match=rf"my clip.*{found}"):
        video = open_video(array, name="my clip")
        video.get_frames(range(video.num_frames))


def test_unknown_type():
    with pytest.raises(TypeError, match="Cannot read a video from int; expected a path"):
        open_video(7)


# ---------------------------------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------------------------------
MEASURE = """
    import sys, torch
    torch.set_num_threads(1)
    from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
    RDFERVideoProcessor()(sys.argv[1])
    # Not getrusage: its peak is inherited from the process that started this one.
    print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the peak memory from /proc")
def test_ten_minutes_of_1080p_take_little_more_memory_than_ten_seconds_of_360p(decoder, tmp_path):
    small = write_video(tmp_path / "small.mp4", num_frames=250, height=360, width=640)
    part = write_video(tmp_path / "part.mp4", num_frames=50, height=1080, width=1920, options={"preset": "veryfast"})
    large = tmp_path / "large.mp4"
    with av.open(str(large), "w") as target:
        stream, offset = None, 0
        for _ in range(300):  # 300 times 2 s
            with av.open(str(part)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        target.mux(packet)
                offset += int(2 / source.streams.video[0].time_base)
    video = open_video(large)
    assert video.num_frames == 15_000 and video.duration_seconds == pytest.approx(600, abs=1)
    peaks = []
    for path in (small, large):
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(path)]
        result = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        peaks.append(int(result.stdout))
    print(f"peak RSS: {peaks[0] / 1024:.0f} MB for 10 s of 360p, {peaks[1] / 1024:.0f} MB for 10 min of 1080p")
    assert peaks[1] < 1.3 * peaks[0]
    shutil.rmtree(tmp_path)
