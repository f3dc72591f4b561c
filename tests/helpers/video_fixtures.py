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
        followed_by: arguments of ffmpeg for a second H.264 stream, which continues the first one.
    """

    command: str
    probe: str
    fact: str
    suffix: str = ".mp4"
    change: Callable[[bytes], bytes] | None = None
    followed_by: str | None = None


def hdr(transfer: str) -> VideoFile:
    """The real clip in HDR with these transfer characteristics, its white at 203 cd/m2 as ITU-R BT.2408 has it."""
    to_hdr = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709,zscale=t=linear:npl=203"
    to_hdr += f",format=gbrpf32le,zscale=t={transfer}:p=bt2020:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    return VideoFile(
        f"{FACE} -vf {to_hdr} -c:v libx265 -x265-params log-level=error",
        "-show_entries stream=color_transfer",
        f"color_transfer={transfer}",
    )


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
    "hevc_zeros": VideoFile(
        f"{FACE} -an -g 5 -c:v libx265 -x265-params log-level=error -pix_fmt yuv420p",
        "-show_entries stream=codec_name,nb_frames -of compact",
        "codec_name=hevc|nb_frames=25",
        change=lambda data: data[: len(data) // 2] + bytes(3000) + data[len(data) // 2 + 3000 :],
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
    "pq": hdr("smpte2084"),
    "hlg": hdr("arib-std-b67"),
    # The left half is transparent.
    **{
        f"alpha_{name}": VideoFile(
            f"{FACE} -vf format=rgba,geq=r=r(X\\,Y):g=g(X\\,Y):b=b(X\\,Y):a=255*gte(X\\,200){settings}",
            "-show_entries stream=pix_fmt:stream_tags=alpha_mode -of compact",
            fact,
            suffix=suffix,
        )
        for name, settings, fact, suffix in [
            ("qtrle", " -c:v qtrle", "pix_fmt=argb", ".mov"),
            ("prores", ",format=yuva444p10le -c:v prores_ks", "pix_fmt=yuva444p12le", ".mov"),
            ("vp9", ",format=yuva420p -c:v libvpx-vp9", "alpha_mode=1", ".webm"),
            ("vp8", ",format=yuva420p -c:v libvpx -auto-alt-ref 0", "alpha_mode=1", ".webm"),
        ]
    },
    # Each frame has the lines of two moments, between which the face moves.
    "interlaced": VideoFile(
        f"-ss 2.95 -t 0.6 -i {CLIP} -vf fps=50,crop=320:300:40+15*sin(t*20):0,tinterlace=mode=interleave_top "
        "-flags +ilme+ildct -crf 14 -pix_fmt yuv420p",
        "-show_entries stream=field_order",
        "field_order=tt",
    ),
    "interlaced_later": VideoFile(
        f"-ss 2.95 -t 0.4 -i {CLIP} -vf crop=320:300 -crf 14 -pix_fmt yuv420p",
        "-show_entries frame=interlaced_frame -of csv",
        "frame,0\nframe,1",
        followed_by=f"-ss 2.95 -t 0.6 -i {CLIP} -vf fps=50,crop=320:300:40+15*sin(t*20):0,"
        "tinterlace=mode=interleave_top -flags +ilme+ildct -crf 14 -pix_fmt yuv420p",
    ),
    "deinterlaced": VideoFile(
        f"-ss 2.95 -t 0.6 -i {CLIP} -vf fps=50,crop=320:300:40+15*sin(t*20):0,fps=25 -crf 14 -pix_fmt yuv420p",
        "-show_entries stream=field_order",
        "field_order=progressive",
    ),
    # From 400x300 to 200x150 and to 200x300, whose frames show parts of the picture that are twice as high.
    **{
        f"size_{width}x{height}": VideoFile(
            f"{FACE} -pix_fmt yuv420p",
            "-show_entries frame=width,height -of csv",
            f"frame,{width},{height}",
            followed_by=f"-ss 1 -t 1 -i {CLIP} -vf {change} -pix_fmt yuv420p",
        )
        for width, height, change in [(200, 150, "scale=200:150"), (200, 300, "crop=200:300")]
    },
    **{
        f"animation_{codec}": VideoFile(
            f"{FACE} -vf fps=10 {settings}",
            "-show_entries stream=codec_name -of csv",
            f"stream,{codec}",
            suffix=suffix,
        )
        for codec, settings, suffix in [
            ("apng", "-f apng", ".png"),
            ("webp", "-c:v libwebp_anim -loop 0 -f webp", ".webp"),
            ("mjpeg", "-c:v mjpeg -f mjpeg", ".mjpg"),
        ]
    },
    # The packet of the 10th frame is empty: the frame before it is shown again.
    "theora_repeats": VideoFile(
        f"-ss 2.95 -t 1 -i {CLIP} -an -c:v libtheora -q:v 7",
        "-count_packets -show_entries stream=nb_read_packets:format=duration -of csv",
        "stream,24\nformat,1.0",
        suffix=".ogv",
    ),
    # Its presentation times are those of decoding, although the frames are decoded in another order.
    "mxf_reordered": VideoFile(
        f"-ss 2.95 -t 1 -i {CLIP} -an -crf 4 -pix_fmt yuv420p",
        "-show_entries packet=pts,dts -of compact",
        "packet|pts=1|dts=0\npacket|pts=2|dts=1\npacket|pts=3|dts=2\n",
        suffix=".mxf",
    ),
    # The first stream is larger, the second one is to be shown.
    "second_stream": VideoFile(
        f"-f lavfi -i testsrc=size=640x480:rate=25:duration=1 {FACE} -map 0:v -map 1:v -pix_fmt yuv420p "
        "-disposition:v:0 0 -disposition:v:1 default",
        "-show_entries stream=width:stream_disposition=default -of compact",
        "width=640|disposition:default=0\nstream|width=400|disposition:default=1",
        suffix=".mkv",
    ),
    "thumbnail": VideoFile(
        f"{FACE} -f lavfi -i testsrc=size=640x480:rate=25:duration=0.04 -map 1:v -map 0:v -c:v:0 mjpeg -c:v:1 libx264 "
        "-pix_fmt:v:0 yuvj420p -pix_fmt:v:1 yuv420p -disposition:v:0 attached_pic",
        "-show_entries stream=width:stream_disposition=attached_pic -of compact",
        "width=640|disposition:attached_pic=1",
    ),
    # As screen recorders write it: nothing moves for 60 s after the 10th frame, a surprise.
    "gap": VideoFile(
        f"-ss 2.95 -t 4 -i {CLIP} -vf setpts=PTS+gte(N\\,10)*60/TB -fps_mode vfr -pix_fmt yuv420p",
        "-show_entries format=duration:stream=nb_frames -of compact",
        "nb_frames=100\nformat|duration=64.0",
    ),
    # Time stamps of 33 bits start again at 0 after 95,443.7 s.
    "wrapped_times": VideoFile(
        f"-t 4 -i {CLIP} -bf 0 -pix_fmt yuv420p -output_ts_offset 95440.2",
        "-correct_ts_overflow 0 -show_entries packet=pts -of csv=p=0",
        "8589934800,\n\n3808,",
        suffix=".ts",
    ),
    # Recordings put one after the other: the clock goes from 502 s back to 0, or to where the second one overlaps.
    **{
        f"clock_back_to_{start}": VideoFile(
            f"-t 4 -i {CLIP} -vf setpts=PTS+gte(N\\,50)*{jump}/TB -fps_mode passthrough -bf 0 -pix_fmt yuv420p "
            "-muxdelay 0 -output_ts_offset 500",
            "-correct_ts_overflow 0 -show_entries packet=pts -of csv=p=0",
            f"45176400,\n\n{first},",
            suffix=".ts",
        )
        for start, jump, first in [(0, 94941.8, 7408), (501, 95442.715, 45086608)]
    },
    **{
        f"{colour}_lead_in": VideoFile(
            f"-ss 2.95 -t 0.6 -i {CLIP} -vf tpad=start_duration=5:color={colour} -pix_fmt yuv420p",
            "-show_entries stream=nb_frames -of compact",
            "nb_frames=140",
        )
        for colour in ("black", "white")
    },
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


def _ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def make(name: str, folder: Path) -> Path:
    """Makes one of `FILES` in a folder unless it is there; skips the test where ffmpeg is missing."""
    # They can be there without their libraries, which `.ci/run` hides for a part of the tests.
    if not all(map(_runs, ("ffmpeg", "ffprobe"))):
        pytest.skip("ffmpeg and ffprobe are not installed (apt-get install ffmpeg)")
    file = FILES[name]
    path = folder / f"{name}{file.suffix}"
    if not path.exists():
        made = folder / f"making_{name}{file.suffix}"
        if file.followed_by is None:
            _ffmpeg(*file.command.split(), made)
        else:
            streams = [folder / f"{name}_{number}.h264" for number in range(2)]
            for command, stream in zip((file.command, file.followed_by), streams):
                _ffmpeg(*command.split(), "-bf", "0", stream)
            streams[0].write_bytes(b"".join(stream.read_bytes() for stream in streams))
            _ffmpeg("-r", "25", "-i", streams[0], "-c", "copy", made)
        if file.change is not None:
            made.write_bytes(file.change(made.read_bytes()))
        probe = ["ffprobe", "-v", "error", *file.probe.split(), made]
        found = subprocess.run(probe, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        assert file.fact in found, (name, found)
        made.rename(path)
    return path
