# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Files that are no videos or are cut off give one clear error each."""

import random

import pytest
from PIL import Image

from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoReadError
from tests.helpers.videos import CLIP, message_of, picture, write_video

pytestmark = pytest.mark.decoding


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
