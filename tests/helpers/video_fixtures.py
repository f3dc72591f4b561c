# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Kinds of video files that people have, each with the ffmpeg command that makes it and what ffprobe says of it."""

import itertools
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.videos import CLIP

# 25 frames of 160x120: colour bars and a gradient that has no symmetry.
TEST_PICTURE = "-f lavfi -i testsrc=size=160x120:rate=25:duration=1"
# The real clip, one face.
FACE = f"-t 1 -i {CLIP}"


@dataclass(frozen=True)
class VideoFile:
    """How a file is made.

    Attributes:
        command: arguments of ffmpeg, split at spaces, before the name of the file.
        probe: arguments of ffprobe.
        fact: what ffprobe then prints, among other lines.
        suffix: suffix of the file.
        change: what happens to its bytes afterwards, where ffmpeg has no option for it.
    """

    command: str
    probe: str
    fact: str
    suffix: str = ".mp4"
    change: Callable[[bytes], bytes] | None = None


def with_matrix(*matrix: int) -> Callable[[bytes], bytes]:
    """Replaces the display matrix of an MP4 file; ffmpeg can write mirrored ones (-display_hflip) since version 6."""

    def change(data: bytes) -> bytes:
        a, b, c, d = (number << 16 for number in matrix)
        plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        start = data.index(plain, data.index(b"tkhd"))
        return data[:start] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[start + 36 :]

    return change


# All ways to turn and mirror a picture: (x, y) goes to (a x + c y, b x + d y).
ORIENTATIONS = {
    f"matrix_{a}_{b}_{c}_{d}": (a, b, c, d)
    for a, b, c, d in [
        *((a, 0, 0, d) for a, d in itertools.product((1, -1), repeat=2)),
        *((0, b, c, 0) for b, c in itertools.product((1, -1), repeat=2)),
    ]
}

FILES = {
    **{
        name: VideoFile(
            f"{TEST_PICTURE} -pix_fmt yuv420p",
            "-show_entries stream_side_data=displaymatrix -of compact=escape=none",
            f"{matrix[0] << 16:12d}{matrix[1] << 16:12d}{0:12d}\n00000001: {matrix[2] << 16:12d}{matrix[3] << 16:12d}",
            change=with_matrix(*matrix),
        )
        for name, matrix in ORIENTATIONS.items()
        if matrix != (1, 0, 0, 1)
    },
    "matrix_1_0_0_1": VideoFile(f"{TEST_PICTURE} -pix_fmt yuv420p", "-show_entries stream=width", "160"),
    "wide_pixels": VideoFile(
        f"{FACE} -vf scale=200:300,setsar=2/1 -pix_fmt yuv420p",
        "-show_entries stream=width,height,sample_aspect_ratio -of compact",
        "width=200|height=300|sample_aspect_ratio=2:1",
    ),
    "tall_pixels": VideoFile(
        f"{FACE} -vf scale=400:150,setsar=1/2 -pix_fmt yuv420p",
        "-show_entries stream=width,height,sample_aspect_ratio -of compact",
        "width=400|height=150|sample_aspect_ratio=1:2",
        suffix=".mkv",
    ),
    # A key frame each 5 frames: damage ends at the next one.
    "zeros_inside": VideoFile(
        f"{TEST_PICTURE} -g 5 -bf 0 -crf 10 -pix_fmt yuv420p -movflags faststart",
        "-count_frames -show_entries stream=nb_frames,nb_read_frames -of compact",
        "nb_frames=25",
        change=lambda data: data[: len(data) // 2] + bytes(4096) + data[len(data) // 2 + 4096 :],
    ),
    "noise": VideoFile(
        f"{TEST_PICTURE} -g 5 -pix_fmt yuv420p -bsf:v noise=amount=20",
        "-show_entries stream=nb_frames -of compact",
        "nb_frames=25",
    ),
    "end_missing": VideoFile(
        f"{FACE} -g 5 -pix_fmt yuv420p -movflags faststart",
        "-count_packets -show_entries stream=nb_frames -of compact",
        "nb_frames=25",
        change=lambda data: data[: len(data) * 6 // 10],
    ),
    # As `-metadata title=$'caf\xe9'` of a shell writes it; the byte is changed here because arguments are UTF-8.
    "latin1_title": VideoFile(
        f"{TEST_PICTURE} -metadata title=caf@ -metadata:s:v title=caf@",
        "-show_entries format_tags=title:stream=width",
        "caf\ufffd",
        suffix=".mkv",
        change=lambda data: data.replace(b"caf@", b"caf\xe9"),
    ),
}


def _runs(tool: str) -> bool:
    return shutil.which(tool) is not None and not subprocess.run([tool, "-version"], capture_output=True).returncode


def make(name: str, folder: Path) -> Path:
    """Makes one of `FILES` in a folder unless it is there; skips the test where ffmpeg is missing."""
    # They can be there without their libraries, which `.ci/run` hides for a part of the tests.
    if not all(map(_runs, ("ffmpeg", "ffprobe"))):
        pytest.skip("ffmpeg and ffprobe are not installed (apt-get install ffmpeg)")
    file = FILES[name]
    path = folder / f"{name}{file.suffix}"
    if not path.exists():
        made = folder / f"making_{name}{file.suffix}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", *file.command.split(), made], check=True)
        if file.change is not None:
            made.write_bytes(file.change(made.read_bytes()))
        probe = ["ffprobe", "-v", "error", *file.probe.split(), made]
        found = subprocess.run(probe, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        assert file.fact in found, (name, found)
        made.rename(path)
    return path
