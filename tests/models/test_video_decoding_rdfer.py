# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Every kind of source is opened."""

import functools
import http.server
import io
import os
import shutil
import threading

import pytest
import torch

from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoNotFoundError, VideoReadError
from tests.helpers.videos import ODD_NAMES, message_of, numbers_of

pytestmark = pytest.mark.decoding


def test_missing_path(decoder, tmp_path):
    path = tmp_path / "missing.mp4"
    with pytest.raises(FileNotFoundError, match=r"missing.mp4.*no such file") as caught:
        open_video(path)
    assert isinstance(caught.value, VideoNotFoundError) and caught.value.filename == str(path)


def test_bytes_file_objects_and_datasets_dicts_give_the_frames_of_the_path(decoder, plain_mp4):
    data = plain_mp4.read_bytes()
    expected = open_video(plain_mp4).get_frames([0, 17])
    path = str(plain_mp4)
    sources = [path, data, bytearray(data), io.BytesIO(data), {"bytes": data, "path": None}]
    for source in [*sources, {"bytes": None, "path": path}]:
        assert torch.equal(open_video(source).get_frames([0, 17]), expected)
    with open(plain_mp4, "rb") as file:
        assert torch.equal(open_video(file).get_frames([0, 17]), expected)


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


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names(decoder, plain_mp4, tmp_path, monkeypatch, name):
    path = tmp_path / os.fsdecode(name)
    shutil.copy(plain_mp4, path)
    monkeypatch.chdir(tmp_path)
    (entry,) = os.scandir(os.fsencode(tmp_path))
    for source in (path, str(path), path.name, {"bytes": None, "path": str(path)}, entry):
        assert numbers_of(open_video(source).get_frames([9, 30])) == [9, 30]
    path.write_bytes(path.read_bytes()[:3000])
    assert repr(str(path)) in message_of(path)


def test_a_playlist_in_bytes_has_no_other_file_read(plain_mp4, monkeypatch):
    # A byte that is no text hides it from the check for text files.
    monkeypatch.chdir(plain_mp4.parent)
    playlist = b"ffconcat version 1.0\n#\xff\nfile " + plain_mp4.name.encode() + b"\n"
    with pytest.raises(VideoReadError, match="FFmpeg cannot read"):
        open_video(playlist)


def test_a_name_in_bytes_is_not_taken_for_a_file(plain_mp4):
    # Opening it would let whoever sends the bytes read files.
    message = r"mp4.*found \d+ bytes that end as a file's name; expected .*os.fsdecode\(name\)"
    for name in (os.fsencode(plain_mp4), b"caf\xe9.mp4"):
        with pytest.raises(VideoReadError, match=message):
            open_video(name)


def test_unknown_type():
    with pytest.raises(TypeError, match="Cannot read a video from int; expected a path"):
        open_video(7)
