# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Videos whose frames show their own number, and reading the numbers back."""

from fractions import Fraction

import av
import numpy as np
import pytest

from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoReadError
from tests.helpers.paths import DATA

CLIP = DATA / "cap13_edit2.mp4"
HEIGHT, WIDTH = 48, 80


def picture(number, height=HEIGHT, width=WIDTH):
    """RGB frame whose grey level encodes its number, with a red corner at the left and a green one at the right."""
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


def write_face(path, codec="mpeg4", options=None):
    """Writes 24 frames of the real clip, 400x300, whose damage the decoders of most codecs notice and conceal."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 400, 300, "yuv420p", 1_000_000
        for frame in open_video(CLIP).get_frames(range(560, 584)):
            picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def with_zeros(path) -> bytes:
    """The content of a file with 40 zeros in its middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    return bytes(data)


def message_of(source):
    with pytest.raises(VideoReadError) as caught:
        video = open_video(source)
        video.get_frames(range(video.num_frames))
    return str(caught.value)


# Names of files that mean something to a shell, to FFmpeg (patterns, protocols, options) or to nobody.
ODD_NAMES = [
    b"a%d.mp4",
    b"a#1.mp4",
    b"a?b=1.mp4",
    b"new\nline.mp4",
    b"-i.mp4",
    b"concat:a.mp4",
    b"$a$.mp4",
    b"caf\xe9.mp4",
]
