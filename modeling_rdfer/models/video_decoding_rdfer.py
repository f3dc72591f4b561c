# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Turns "a video" (file, URL, bytes, decoder, tensor, images, folder of images) into uint8 RGB frames.

Container files are read by torchcodec where it can be used, else by PyAV, whose wheels bring FFmpeg along. Either way
the list of frames and their times come from PyAV reading the packets (no decoding), so index i is the same frame with
both. The environment variable `RDFER_VIDEO_DECODER` ("auto", "torchcodec" or "pyav") forces one of them.
"""

import copy
import errno
import functools
import io
import itertools
import json
import math
import operator
import os
import queue
import re
import struct
import threading
import urllib.error
import urllib.request
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from torchvision.transforms.v2 import functional as tvF
from transformers.utils import logging

logger = logging.get_logger(__name__)

DECODERS = ("auto", "torchcodec", "pyav")
DECODER_VARIABLE = "RDFER_VIDEO_DECODER"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# What is taken for a video file when a folder is searched; a file named by the user may be called anything.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".gif", ".ogv", ".mpg", ".mpeg"),
    *(".vob", ".ts", ".mts", ".m2ts", ".mxf", ".h264", ".h265", ".hevc"),
)
URL_TIMEOUT_SECONDS = 60
# Frames are resized a few at a time: this many bytes of full-size RGB frames exist at once.
CHUNK_BYTES = 16 * 1024 * 1024
# Measured on two cores: with 400x300 frames one decoding thread is as fast as two (0.14 s for 765 frames), and does
# not degrade when data-loader workers share the cores; with 1920x1080 two are 1.6 times faster.
TWO_THREADS_FROM_PIXELS = 1280 * 720
# Where torchcodec and PyAV can both be used: setting torchcodec up takes longer than reading so small frames. Measured
# with 64 frames of 112x112: 8.8 ms against 7.5 ms, and 13.1 ms against 8.2 ms on busy cores; equal with 400x300.
PYAV_UP_TO_PIXELS = 256 * 256
# Containers whose seeking lands on or before the wanted key frame and whose time stamps are presentation times.
SEEKABLE_FORMATS = ("mov", "matroska")
# In these, frames that no other frame refers to need not be decoded to get at the others. They are up to half of what
# x264 writes; 64 of 15,300 frames of 1920x1080 then take 0.6 of the processor time. torchcodec cannot do it, so PyAV
# reads where fewer than half of the frames are wanted. (HEVC's mark of such frames holds in a temporal layer only.)
SPARING_CODECS = ("h264",)
# Few frames of a long video are read by one reader in each of torch's threads, but not by more than these: each holds
# the frames that its decoder refers to.
READERS_AT_MOST = 8
# These codecs have packets that show nothing themselves; at their time the frame before them is on display.
HIDDEN_FRAME_CODECS = ("vp8", "vp9", "av1")


class VideoReadError(ValueError):
    """A video could not be read. The message names it, and says what was found and what was expected."""

    def __init__(self, name: str, found: str, expected: str = "a video file, a folder of images, or frames"):
        # All three are kept as arguments so that the error can be pickled, e.g. out of a data-loader worker.
        super().__init__(name, found, expected)
        self.args = (name, found, expected)

    def __str__(self):
        return "Cannot read video {!r}: found {}; expected {}.".format(*self.args)


class VideoNotFoundError(VideoReadError, FileNotFoundError):
    """The path of a video does not exist."""

    def __init__(self, name: str, found: str, expected: str = "a video file or a folder of images"):
        super().__init__(name, found, expected)
        self.errno, self.strerror, self.filename = errno.ENOENT, found, name


def resize_frames(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resizes uint8 frames (N, 3, H, W) to (N, 3, *size): bilinear with antialiasing, in uint8."""
    return tvF.resize(frames, list(size), interpolation=tvF.InterpolationMode.BILINEAR, antialias=True)


# One at a time, or the number that is set for a moment would be taken for the common one.
_COMMON_NUMBER = threading.Lock()


def map_in_threads(function: Callable, items: Sequence, workers: int) -> Iterator:
    """`map` in `workers` threads that share the threads of torch among them; at most two results wait for each.

    Where it is left before its end, by an error or Ctrl-C, no further item is begun.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    share = max(1, torch.get_num_threads() // workers)
    with ThreadPoolExecutor(workers, initializer=_use_threads, initargs=(share,)) as pool:
        pending = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _use_threads(count: int):
    """
    Lets torch compute with `count` threads where this is called from. `torch.set_num_threads` does that, and is also
    what threads go by that come later: that is set back, from a thread that ends here.
    """
    with _COMMON_NUMBER, ThreadPoolExecutor(1) as new_thread:
        common = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        torch.get_num_threads()  # a thread takes over the common number when it first asks for it
        new_thread.submit(torch.set_num_threads, common).result()


# ---------------------------------------------------------------------------------------------------------------------
# Which decoder
# ---------------------------------------------------------------------------------------------------------------------
@functools.cache
def _torchcodec():
    """(module, None), or (None, why it cannot decode here). Not imported with this file: that would cost 60 ms."""
    try:
        import torchcodec.decoders
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    if getattr(torchcodec, "ffmpeg_major_version", True) is not None:
        return torchcodec, None
    problem = "it found no FFmpeg"
    try:
        torchcodec.decoders.VideoDecoder(b"")
    except (ImportError, OSError, RuntimeError) as error:
        causes = re.findall(r"^(?:OSError|ImportError|RuntimeError): (.+)$", str(error), flags=re.MULTILINE)
        # torchcodec tries every FFmpeg version; "no such file" only says that this one is not installed.
        causes = [cause for cause in causes if not cause.startswith("Could not load this library")]
        others = [cause for cause in causes if not re.match(r"libav\w+\.so\S*: cannot open shared object file", cause)]
        if causes and not others:
            problem = "FFmpeg's shared libraries (libavutil and others) are not installed (`apt-get install ffmpeg`)"
        else:
            problem = others[0] if others else str(error).strip().splitlines()[0]
    return None, problem


@functools.cache
def _pyav():
    """(module, None), or (None, why it cannot be used here)."""
    try:
        import av
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"{type(error).__name__}: {error}"
    return av, None


def decoder_in_use(decoder: str = "auto") -> tuple[str | None, str | None]:
    """Tells which decoder reads video files.

    Args:
        decoder: "auto", "torchcodec" or "pyav"; with "auto" the environment variable `RDFER_VIDEO_DECODER` decides,
            and without it torchcodec is taken if it can be used, else PyAV.

    Returns:
        (name, reason): "torchcodec", "pyav" or None if none can be used; and why torchcodec is not in use: the root
        cause if it cannot be loaded, or who asked for another one; None if it is in use.

    Raises:
        ValueError: `decoder` or the variable has another value.
    """
    asked = "decoder"
    if decoder == "auto" and os.environ.get(DECODER_VARIABLE):
        asked, decoder = DECODER_VARIABLE, os.environ[DECODER_VARIABLE]
    if decoder not in DECODERS:
        raise ValueError(f"{asked} is {decoder!r}; expected one of {', '.join(DECODERS)}.")
    if decoder == "pyav":
        module, problem = _pyav()
        return ("pyav", f"{asked} is 'pyav'") if module is not None else (None, f"PyAV cannot be used: {problem}")
    module, problem = _torchcodec()
    if module is not None:
        return "torchcodec", None
    return "pyav" if decoder == "auto" and _pyav()[0] is not None else None, problem


# ---------------------------------------------------------------------------------------------------------------------
# What every kind of video offers
# ---------------------------------------------------------------------------------------------------------------------
class VideoSource:
    """An opened video.

    Attributes:
        name (str): what error messages call it: path, URL, or a description.
        backend (str): "torchcodec", "pyav", "images" or "array".
        num_frames (int): number of frames, >= 1.
        height, width (int): size of a frame as displayed (rotation applied), in pixels.
        average_fps (float | None): frames per second on average; None for images and arrays.
        pts_seconds (np.ndarray | None): float64 of shape (num_frames,): presentation time of each frame in seconds, as
            the container states it, also for variable frame rates; None for images and arrays. For a torchcodec
            decoder passed by the user, NaN for frames that were not decoded yet.
        duration_seconds (float | None): from the first frame's time to the end of the last frame.

    An opened video holds no file handle or decoder until frames are read; `close`, or leaving a `with` block, frees
    them.
    """

    def __init__(self, name, backend, num_frames, height, width, average_fps=None, pts=None, duration_seconds=None):
        self.name, self.backend, self.num_frames, self.height, self.width = name, backend, num_frames, height, width
        self.average_fps, self.pts_seconds, self.duration_seconds = average_fps, pts, duration_seconds

    def __len__(self) -> int:
        return self.num_frames

    def get_frames(
        self,
        indices: Sequence[int],
        size: tuple[int, int] | Callable[[torch.Tensor], torch.Tensor] | None = None,
        max_side: int | None = None,
        meanwhile: Callable[[torch.Tensor, Iterator[int]], None] | None = None,
    ) -> torch.Tensor:
        """Decodes frames.

        Frames are reduced while they are decoded, a few at a time, so that memory does not grow with the size of the
        video's frames.

        Args:
            indices: frame numbers, 0 <= index < num_frames, in any order, repeats allowed.
            size: (height, width) of the result; or a function that resizes uint8 frames (n, 3, H, W); None keeps them.
            max_side: frames whose longer side is above this many pixels are reduced to it first.
            meanwhile: called with the result, distinct frames in ascending order, while it is being filled, and with
                an iterator that waits for the frames and tells the place of each as soon as it is there; it ends early
                where reading fails. Runs once one of several readers is done, after the decoding where there is one.

        Returns:
            uint8 RGB frames of shape (len(indices), 3, height, width), 0..255. Where frames of one video differ in
            size, they are brought to the size of the first one.

        Raises:
            IndexError: an index is out of range.
            VideoReadError: a frame could not be decoded.
        """
        indices = [operator.index(index) for index in indices]
        if not indices:
            raise ValueError(f"{self.name}: indices is empty, expected at least one frame number.")
        if min(indices) < 0 or max(indices) >= self.num_frames:
            raise IndexError(
                f"{self.name}: frames {min(indices)}..{max(indices)} were asked for, it has 0..{self.num_frames - 1}."
            )
        wanted = sorted(set(indices))
        resize = functools.partial(resize_frames, size=size) if isinstance(size, (tuple, list)) else size

        parts = self._split(wanted)
        starts = np.cumsum([0, *(len(numbers) for _, numbers in parts)])
        frames, begun, filled = None, threading.Event(), queue.SimpleQueue()

        def read(part):
            nonlocal frames
            (reader, numbers), place = parts[part], int(starts[part])
            try:
                for chunk in reader._read(numbers):
                    if max_side is not None and max(chunk.shape[-2:]) > max_side:
                        scale = max_side / max(chunk.shape[-2:])
                        chunk = resize_frames(chunk, tuple(max(1, round(side * scale)) for side in chunk.shape[-2:]))
                    chunk = chunk if resize is None else resize(chunk)
                    if place == 0:
                        # Whole frames stay (H, W, 3) in memory where the decoder has them so: turning them costs as
                        # much as decoding them, and cutting faces out of turned ones takes twice as long.
                        turned = resize is not None or not chunk.is_contiguous(memory_format=torch.channels_last)
                        layout = torch.contiguous_format if turned else torch.channels_last
                        shape = (len(wanted), *chunk.shape[1:])
                        frames = torch.empty(shape, dtype=torch.uint8, memory_format=layout)
                        begun.set()
                    begun.wait()
                    if frames is None:
                        return  # the first frame cannot be read, which is what is reported
                    if chunk.shape[1:] != frames.shape[1:]:
                        chunk = resize_frames(chunk, tuple(frames.shape[-2:]))
                    frames[place : place + len(chunk)] = chunk
                    filled.put(range(place, place + len(chunk)))
                    place += len(chunk)
            finally:
                if part == 0:
                    begun.set()
                filled.put(None)
                if len(parts) > 1:
                    reader.close()

        def places():
            reading = len(parts)
            while reading:
                chunk = filled.get()
                if chunk is None:
                    reading -= 1
                else:
                    yield from chunk

        def accompany():
            begun.wait()
            if frames is not None:
                meanwhile(frames, places())

        jobs = [functools.partial(read, part) for part in range(len(parts))] + [accompany] * (meanwhile is not None)
        # A single reader stays in this thread: frames that follow each other come too fast for others to gain by it.
        deque(map_in_threads(operator.call, jobs, len(parts)), maxlen=0)
        if indices == wanted:
            return frames
        position = {index: i for i, index in enumerate(wanted)}
        return frames[[position[index] for index in indices]]

    def _split(self, wanted: list[int]) -> list[tuple["VideoSource", list[int]]]:
        """Readers of this video that can read at the same time, and what of `wanted` each of them is to read."""
        return [(self, wanted)]

    def _read(self, wanted: list[int]) -> Iterator[torch.Tensor]:
        """Yields the frames of `wanted` (ascending, distinct) in order, as uint8 RGB chunks (n, 3, H, W)."""
        raise NotImplementedError

    def _chunks(self, wanted: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Yields (number of frames before it, chunk)."""
        step = max(1, CHUNK_BYTES // (3 * self.height * self.width))
        return ((start, wanted[start : start + step]) for start in range(0, len(wanted), step))

    def close(self) -> None:
        """Releases file and decoder. They are opened again when frames are read."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


# ---------------------------------------------------------------------------------------------------------------------
# Container files
# ---------------------------------------------------------------------------------------------------------------------
def _what_it_is(head: bytes) -> str | None:
    """Names a file that is no video from its first bytes. Needed because FFmpeg plays images and text, too."""
    if head.startswith(b"\xff\xd8\xff"):
        return "a JPEG image"
    if head.startswith(b"\x89PNG") and b"acTL" not in head:  # acTL: animated
        return "a PNG image"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "a BMP image"
    try:
        text = head.decode("utf-8") if len(head) < 4096 else head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return None
    if all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text):
        return f"a text file that starts with {text[:30]!r}"
    return None


def _missing_part(file, size: int) -> str | None:
    """Says what a file lacks of what its own headers announce (MP4/MOV, Matroska/WebM, AVI, FLV, GIF), or None."""
    announced, index_found, is_mp4 = None, False, False
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        is_mp4, position = True, 0
        while position + 8 <= size:
            file.seek(position)
            box = file.read(16)
            length, kind = int.from_bytes(box[:4], "big"), box[4:8]
            if length == 1:
                length = int.from_bytes(box[8:16], "big")
            elif length == 0:
                length = size - position  # up to the end of the file
            if length < 8:
                break
            index_found |= kind in (b"moov", b"moof")
            if kind in (b"moov", b"moof", b"mdat", b"free") and position + length > size:
                announced = position + length
            position += length
    elif head[:4] == b"\x1aE\xdf\xa3":
        file.seek(0)
        header = file.read(4096)
        segment = header.find(b"\x18S\x80g")
        if segment >= 0 and segment + 12 < len(header):
            first = header[segment + 4]
            digits = 9 - first.bit_length()  # leading zero bits give the length of the number
            value = int.from_bytes(header[segment + 4 : segment + 4 + digits], "big") & ((1 << 7 * digits) - 1)
            if first and value != (1 << 7 * digits) - 1:  # all ones: unknown, as live recordings have it
                announced = segment + 4 + digits + value
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        value = int.from_bytes(head[4:8], "little")
        announced = value if 0 < value < 0xFFFFFFFF else None  # some writers count the 8 bytes of this header, too
    elif head[:3] == b"FLV":
        file.seek(0)
        _, found, value = file.read(4096).partition(b"filesize\0")  # a number of the script data: 0 and a double
        announced = int(struct.unpack(">d", value[:8])[0]) if found and len(value) >= 8 else None
    elif head[:4] == b"GIF8":
        file.seek(max(0, size - 16))
        if not file.read().rstrip(b"\0").endswith(b";"):
            return "a GIF without its end mark (it is truncated)"
    if announced is not None and announced > size:
        return f"only {size:,} of the {announced:,} bytes that its header announces (it is truncated)"
    if is_mp4 and not index_found:
        return "an MP4 file without its index (no moov box; it is truncated or was not finished)"
    return None


class _PyAVVideo(VideoSource):
    """A container file or its bytes, decoded with PyAV; also the index of frames for torchcodec."""

    def __init__(self, file: str | bytes, name: str):
        self._av, self._file, self.name = _pyav()[0], file, name
        self._container = self._stream = self._output = self.num_threads = None
        self._wanted = None  # times of the frames to decode, besides those that others refer to; None: all
        # One for all frames: each has its own otherwise, and setting it up costs more than converting a small frame.
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        size = len(file) if isinstance(file, bytes) else os.path.getsize(file)
        if size == 0:
            raise VideoReadError(name, "an empty file (0 bytes)")
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as handle:
            head = handle.read(4096)
            other = _what_it_is(head)
            if other is not None:
                raise VideoReadError(name, other)
            handle.seek(0)
            missing = _missing_part(handle, size)
        try:
            self._build_index()
        except VideoReadError:
            raise
        except (self._av.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
            if missing is not None:
                raise VideoReadError(name, missing, "a complete file") from error
            reason = getattr(error, "strerror", None) or str(error)
            raise VideoReadError(name, f"{size:,} bytes that FFmpeg cannot read as a video ({reason})") from error
        finally:
            # Opened again when frames are wanted: a batch of videos that wait for their turn holds no decoders.
            self.close()
        if missing is not None:
            found = f"{missing}; {self.num_frames}{self._of_how_many} frames are there"
            raise VideoReadError(name, found, "a complete file")

    def _open(self):
        self._container = self._av.open(io.BytesIO(self._file) if isinstance(self._file, bytes) else self._file)
        kinds = sorted({stream.type for stream in self._container.streams})
        stream = self._container.streams.best("video")
        if stream is not None and stream.disposition & self._av.stream.Disposition.attached_pic:
            stream, kinds = None, [*(kind for kind in kinds if kind != "video"), "a cover picture"]
        if stream is None:
            raise VideoReadError(self.name, f"no video stream, only {', '.join(kinds) or 'no streams at all'}")
        if stream.codec_context is None:
            raise ValueError("its codec is not known")
        context = stream.codec_context
        if self.num_threads is None:
            self.num_threads = 2 if context.width * context.height > TWO_THREADS_FROM_PIXELS else 1
        context.thread_type, context.thread_count = "AUTO", self.num_threads
        self._stream, self._output, self._next_index = stream, None, None

    def _build_index(self):
        self._open()
        stream, container_format = self._stream, self._container.format.name
        self.stream_index, self._codec = stream.index, stream.codec.canonical_name
        self._of_how_many = f" of {stream.frames}" if stream.frames else ""
        packets, corrupt = [], False
        try:
            for packet in self._container.demux(stream):
                if packet.size and not packet.is_discard:  # discarded: before the start that an edit list sets
                    packets.append((packet.pts, packet.duration or 0, packet.is_keyframe))
                    corrupt = packet.is_corrupt
        except self._av.FFmpegError as error:
            found = (
                f"a file that breaks off after {len(packets)} frames ({error.strerror}; it is truncated or damaged)"
            )
            raise VideoReadError(self.name, found, "a complete file") from error
        if not packets:
            raise VideoReadError(self.name, "a video stream without frames", "at least one frame")
        if corrupt and "mpegts" not in container_format:
            found = f"a file that ends inside frame {len(packets)}{self._of_how_many} (it is truncated)"
            raise VideoReadError(self.name, found, "a complete file")

        times = [pts for pts, _, _ in packets]
        # AVI and raw streams know decoding times at best, which are no presentation times where frames are reordered.
        reordered = container_format == "avi" and stream.codec_context.has_b_frames
        self._by_order = reordered or None in times or len(set(times)) < len(times)
        average_rate = float(stream.average_rate or stream.guessed_rate or 25)
        if self._by_order:
            packets = [(i, 1, False) for i in range(self._count_by_decoding())]
            self._time_base = 1 / Fraction(average_rate).limit_denominator(100_000)
        else:
            packets.sort()
            self._time_base = stream.time_base
        self._pts, self._durations, self._is_key = map(list, zip(*packets))
        # torchcodec finds frames by seeking to time stamps, which fails without them and in MPEG streams.
        self.torchcodec_can = not self._by_order and not container_format.startswith("mpeg")
        self.can_spare = not self._by_order and self._codec in SPARING_CODECS
        seekable = container_format.startswith(SEEKABLE_FORMATS)
        self._keys = sorted({0} | {i for i, key in enumerate(self._is_key) if key and seekable})
        self._index_of_pts = {pts: i for i, pts in enumerate(self._pts)}
        # An unstated last duration is taken to be that of the frame before.
        gaps = np.diff(self._pts)
        last = self._durations[-1] or (int(gaps[-1]) if len(gaps) else 0)
        duration = float((self._pts[-1] + last - self._pts[0]) * self._time_base)
        # As exact as with Fractions, which take a third of the time that opening takes.
        pts_seconds = np.array([pts * self._time_base.numerator / self._time_base.denominator for pts in self._pts])
        average_fps = len(self._pts) / duration if duration > 0 else average_rate
        size = self._frame_size()
        super().__init__(self.name, "pyav", len(self._pts), *size, average_fps, pts_seconds, duration)

    def _count_by_decoding(self) -> int:
        self._restart()
        count = sum(1 for _ in self._output)
        self._output = None
        return count

    def _frame_size(self) -> tuple[int, int]:
        """(height, width) as displayed, from the first frame as decoded: the header can be wrong or silent."""
        frame = self._decode_up_to(0)
        quarters = round(frame.rotation / 90) % 4
        if quarters:
            self.torchcodec_can = False  # older versions of it ignore the display matrix
        return (frame.width, frame.height) if quarters % 2 else (frame.height, frame.width)

    def _restart(self, key: int = 0):
        """Makes the decoder go on from the key frame number `key` or before; 0 starts the file again."""
        if key == 0 or self._container is None:
            self.close()
            self._open()
        if key > 0:
            self._container.seek(self._pts[key], stream=self._stream, backward=True)
        self._next_index = 0 if self._by_order else None
        self._output = self._numbered_frames()

    def _numbered_frames(self):
        count = 0
        for packet in self._container.demux(self._stream):
            spare = self._wanted is not None and packet.pts is not None
            spare = spare and packet.pts < self._last_wanted and packet.pts not in self._wanted
            self._stream.codec_context.skip_frame = "NONREF" if spare else "DEFAULT"
            for frame in packet.decode():
                index = count if self._by_order else self._index_of_pts.get(frame.pts)
                count += 1
                if index is not None:
                    self._next_index = index + 1
                    yield index, frame

    def _decode_up_to(self, wanted: int):
        """Decodes until frame number `wanted` and returns it as an av.VideoFrame."""
        key_position = bisect_right(self._keys, wanted) - 1
        key = self._keys[key_position]
        go_on = self._output is not None and self._next_index is not None and self._next_index <= wanted
        try:
            if not go_on or key > self._next_index:
                self._restart(key)
            previous = None
            while True:
                for index, frame in self._output:
                    if index == wanted:
                        return frame
                    if index > wanted:
                        break
                    previous = frame
                else:
                    break
                # Too far: either the seek landed behind the wanted frame (then start at an earlier key frame), or
                # there is no such frame between its neighbours.
                if previous is not None or key == 0:
                    break
                key_position = max(0, key_position - 1)
                key = self._keys[key_position]
                self._restart(key)
        except (self._av.FFmpegError, IndexError) as error:  # IndexError: a stream that shows up late
            self._output = None
            reason = f"{getattr(error, 'strerror', error)}; it is damaged"
        else:
            if previous is not None and self._codec.startswith(HIDDEN_FRAME_CODECS):
                return previous
            self._output = None
            reason = "it is truncated or damaged"
        if self._wanted is not None:
            # Left out for a read that broke off; or gaps confuse the decoder where the stream says little of itself.
            self._wanted = None
            return self._decode_up_to(wanted)
        raise VideoReadError(
            self.name, f"a file of {len(self._pts)} frames of which number {wanted} cannot be decoded ({reason})"
        )

    def copy(self) -> "_PyAVVideo":
        """A reader of the same video with a decoder of its own, of one thread, to read beside others."""
        other = copy.copy(self)
        other.num_threads = 1
        other._container = other._stream = other._output = other._wanted = None
        other._reformatter = self._av.video.reformatter.VideoReformatter()
        return other

    def split(self, wanted: list[int]) -> list[list[int]]:
        """
        Few frames of a long video in parts that begin at key frames and take about the same time to decode, one for
        each of torch's threads. Frames that follow each other closely stay together: who reads them reads on later,
        and a reader that goes on needs no way from a key frame.
        """
        workers = min(torch.get_num_threads(), READERS_AT_MOST)
        if workers == 1 or not _is_sparse(wanted):
            return [wanted]
        groups = [list(group) for _, group in itertools.groupby(wanted, lambda i: bisect_right(self._keys, i))]
        ends = np.cumsum([group[-1] + 1 - self._keys[bisect_right(self._keys, group[0]) - 1] for group in groups])
        # The middle of each group decides where it goes.
        middles = ends - np.diff(ends, prepend=0) / 2
        parts = [[] for _ in range(workers)]
        for group, middle in zip(groups, middles):
            parts[int(middle * workers / ends[-1])] += group
        return [part for part in parts if part]

    def _split(self, wanted):
        parts = self.split(wanted)
        return [(self, wanted)] if len(parts) == 1 else [(self.copy(), part) for part in parts]

    def _to_rgb(self, frame) -> np.ndarray:
        """uint8 (H, W, 3), turned as the container says it is to be displayed."""
        rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        return np.rot90(rgb, round(frame.rotation / 90)) if round(frame.rotation / 90) % 4 else rgb

    def _read(self, wanted):
        if self.can_spare:
            self._wanted = {self._pts[index] for index in wanted}
            self._last_wanted = self._pts[wanted[-1]]
        # Frames stay (H, W, 3) in memory, as torchcodec has them, too: that is what resizing is fast with.
        for index in wanted:
            frame = np.ascontiguousarray(self._to_rgb(self._decode_up_to(index)))
            yield torch.from_numpy(frame)[None].permute(0, 3, 1, 2)

    def close(self):
        self._output = self._stream = None
        if self._container is not None:
            self._container.close()
            self._container = None


class _TorchCodecVideo(VideoSource):
    """A container file or its bytes, decoded with torchcodec at the places that PyAV's index names."""

    def __init__(self, index: _PyAVVideo, fall_back: bool):
        super().__init__(
            index.name,
            "torchcodec",
            index.num_frames,
            index.height,
            index.width,
            index.average_fps,
            index.pts_seconds,
            index.duration_seconds,
        )
        self._index, self._fall_back, self._decoder = index, fall_back, None

    def _open(self):
        index = self._index
        frames = zip(index._pts, index._durations, index._is_key)
        mapping = {"frames": [{"pts": pts, "duration": d, "key_frame": int(key)} for pts, d, key in frames]}
        self._decoder = _torchcodec()[0].decoders.VideoDecoder(
            index._file,
            stream_index=index.stream_index,
            num_ffmpeg_threads=index.num_threads,
            custom_frame_mappings=json.dumps(mapping),
            device="cpu",
        )

    def _split(self, wanted):
        if self._spares(wanted):
            return self._index._split(wanted)
        parts = self._index.split(wanted)
        if len(parts) == 1:
            return [(self, wanted)]
        return [(_TorchCodecVideo(self._index.copy(), self._fall_back), part) for part in parts]

    def _spares(self, wanted) -> bool:
        return self._fall_back and self._index.can_spare and _is_sparse(wanted)

    def _read(self, wanted):
        if self._spares(wanted):
            yield from self._index._read(wanted)
            return
        for done, chunk in self._chunks(wanted):
            try:
                if self._decoder is None:
                    self._open()
                batch = self._decoder.get_frames_at(indices=chunk)
                pts = batch.pts_seconds.numpy()
                if np.abs(pts - self.pts_seconds[chunk]).max() > 1e-3:
                    raise RuntimeError(f"the frames at {pts} s came instead of those at {self.pts_seconds[chunk]} s")
            except (RuntimeError, ValueError, IndexError) as error:
                if not self._fall_back:
                    raise _undecodable(self, chunk, error) from error
                logger.info(f"torchcodec cannot decode {self.name!r}, PyAV goes on: {error}")
                yield from self._index._read(wanted[done:])
                return
            yield batch.data

    def close(self):
        self._decoder = None
        self._index.close()


class _UserDecoderVideo(VideoSource):
    """A `torchcodec.decoders.VideoDecoder` that the user made, with whatever options."""

    def __init__(self, decoder, name: str):
        metadata = decoder.metadata
        if len(decoder) == 0:
            raise VideoReadError(name, "a video stream without frames", "at least one frame")
        pts = np.full(len(decoder), np.nan)
        height, width = metadata.height, metadata.width
        super().__init__(
            name, "torchcodec", len(decoder), height, width, metadata.average_fps, pts, metadata.duration_seconds
        )
        self._decoder = decoder

    def _read(self, wanted):
        for _, chunk in self._chunks(wanted):
            try:
                batch = self._decoder.get_frames_at(indices=chunk)
            except (RuntimeError, ValueError, IndexError) as error:
                raise _undecodable(self, chunk, error) from error
            self.pts_seconds[chunk] = batch.pts_seconds.cpu().numpy()
            frames = batch.data if batch.data.shape[1] == 3 else batch.data.permute(0, 3, 1, 2)
            yield _to_uint8(frames.cpu(), self.name)


def _is_sparse(wanted: list[int]) -> bool:
    """Whether fewer than half of the frames from the first to the last are wanted."""
    return 2 * len(wanted) < wanted[-1] - wanted[0]


def _undecodable(video: VideoSource, chunk: list[int], error: Exception) -> VideoReadError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    found = f"a video of {video.num_frames} frames, of which {chunk[0]}..{chunk[-1]} cannot all be decoded ({reason})"
    return VideoReadError(video.name, found)


def _open_container(file: str | bytes, name: str, decoder: str) -> VideoSource:
    backend, reason = decoder_in_use(decoder)
    if backend is None:
        raise RuntimeError(f"No video decoder can be used to read {name!r}: {reason}.")
    if _pyav()[0] is None:
        raise RuntimeError(f"PyAV (`pip install av`) is needed to read {name!r} and cannot be used: {_pyav()[1]}.")
    video = _PyAVVideo(file, name)
    forced = "torchcodec" in (decoder, os.environ.get(DECODER_VARIABLE))
    small = video.height * video.width <= PYAV_UP_TO_PIXELS
    if backend == "pyav" or not video.torchcodec_can or (small and not forced):
        return video
    return _TorchCodecVideo(video, fall_back=not forced)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays and images
# ---------------------------------------------------------------------------------------------------------------------
def _to_uint8(frames: torch.Tensor, name: str) -> torch.Tensor:
    """uint8 from uint8, from floats in 0..1 (rounded) or from other integers in 0..255; VideoReadError otherwise."""
    if frames.dtype == torch.uint8:
        return frames
    expected = "uint8 pixels, or floats in 0..1"
    if frames.dtype == torch.bool or frames.is_complex():
        raise VideoReadError(name, f"pixels of dtype {frames.dtype}", expected)
    low, high = (value.item() for value in torch.aminmax(frames))
    if frames.is_floating_point():
        tolerance = 1e-3  # interpolation overshoots a little
        if not -tolerance <= low <= high <= 1 + tolerance:  # also false for NaN
            found = "NaN pixels" if math.isnan(low) or math.isnan(high) else f"float pixels from {low:g} to {high:g}"
            raise VideoReadError(name, found, expected)
        return (frames.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    if low < 0 or high > 255:
        raise VideoReadError(name, f"{frames.dtype} pixels from {low} to {high}", expected)
    return frames.to(torch.uint8)


def _to_rgb(frames: torch.Tensor) -> torch.Tensor:
    """uint8 RGB (N, 3, H, W) from uint8 grey, grey with alpha, RGB or RGBA (N, 1..4, H, W). Alpha is put on white."""
    channels = frames.shape[1]
    if channels in (2, 4):
        alpha = frames[:, -1:].float() / 255
        frames = (frames[:, :-1] * alpha + 255 * (1 - alpha)).round_().to(torch.uint8)
    return frames.expand(-1, 3, -1, -1) if frames.shape[1] == 1 else frames


def _channels_first(frames: torch.Tensor, name: str, layout: str | None) -> torch.Tensor:
    """(T, C, H, W) from that or from (T, H, W, C)."""
    if layout is None:
        if frames.shape[1] in (1, 3, 4):
            layout = "channels_first"
        elif frames.shape[3] in (1, 3, 4):
            layout = "channels_last"
    if str(getattr(layout, "value", layout)) == "channels_last":
        frames = frames.permute(0, 3, 1, 2)
    if frames.shape[1] not in (1, 3, 4):
        raise VideoReadError(
            name,
            "no axis of 1, 3 or 4 channels",
            "(frames, channels, height, width) or (frames, height, width, channels)",
        )
    return frames


class _ArrayVideo(VideoSource):
    """A torch tensor or numpy array of four axes (or three: one frame)."""

    def __init__(self, array, name: str | None, layout: str | None):
        kind = "tensor" if isinstance(array, torch.Tensor) else "array"
        shape = tuple(array.shape)
        name = name or f"{kind} of shape {shape}"
        expected = "(frames, channels, height, width) or (frames, height, width, channels)"
        if isinstance(array, np.ndarray):
            if array.dtype.kind not in "uif":
                raise VideoReadError(name, f"an array of dtype {array.dtype}", "uint8 pixels, or floats in 0..1")
            if not array.dtype.isnative or array.dtype.itemsize > 8:
                array = array.astype(array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.float64)
            # Negative strides are not for torch; a read-only array is only read here.
            array = torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())
        if len(shape) not in (3, 4):
            raise VideoReadError(name, f"{len(shape)} axes, {shape}", expected)
        if 0 in shape:
            raise VideoReadError(
                name, f"nothing in shape {shape}", f"at least one frame of at least one pixel, {expected}"
            )
        frames = _channels_first(array if len(shape) == 4 else array[None], name, layout)
        if frames.dtype in (torch.uint16, torch.uint32, torch.uint64):
            frames = frames.long()  # torch can do little with its unsigned types beyond uint8
        if frames.is_floating_point():  # one bad pixel in a frame that is not sampled is still a bad video
            low, high = torch.aminmax(frames)
            _to_uint8(torch.stack([low, high]), name)
        super().__init__(name, "array", len(frames), *frames.shape[-2:])
        self._frames = frames

    def _read(self, wanted):
        for _, chunk in self._chunks(wanted):
            yield _to_rgb(_to_uint8(self._frames[chunk].cpu(), self.name))


class _ImageVideo(VideoSource):
    """Frames that come one by one: paths of images, PIL images, or arrays of three axes (or two: grey)."""

    def __init__(self, images: Sequence, name: str, layout: str | None):
        self.name, self._images, self._layout = name, images, layout
        super().__init__(name, "images", len(images), *self._size(images[0], 0))
        for number, image in enumerate(images):
            if not isinstance(image, (str, os.PathLike)) and not isinstance(image, PIL.Image.Image):
                self._load(image, number)
            elif isinstance(image, (str, os.PathLike)) and not os.path.isfile(image):
                raise VideoNotFoundError(os.fspath(image), "no such file", "an image file")

    def _size(self, image, number) -> tuple[int, int]:
        return self._load(image, number).shape[-2:]

    def _load(self, image, number: int) -> torch.Tensor:
        """uint8 RGB (3, H, W)."""
        name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else f"frame {number} of {self.name}"
        if isinstance(image, (str, os.PathLike, PIL.Image.Image)):
            try:
                if isinstance(image, PIL.Image.Image):
                    return _pil_to_rgb(image)
                with PIL.Image.open(image) as opened:
                    return _pil_to_rgb(PIL.ImageOps.exif_transpose(opened))
            except FileNotFoundError:
                raise VideoNotFoundError(name, "no such file", "an image file") from None
            except Exception as error:  # PIL raises many kinds for damaged files
                raise VideoReadError(name, f"an image that cannot be read ({error})", "an intact image") from error
        if image.ndim == 2:
            image = image[None]
        elif image.ndim != 3:
            raise VideoReadError(name, f"{image.ndim} axes, {tuple(image.shape)}", "(channels, height, width)")
        return _ArrayVideo(image, name, self._layout if image.shape[0] != 1 else None).get_frames([0])[0]

    def _read(self, wanted):
        for index in wanted:
            yield self._load(self._images[index], index)[None]


def _pil_to_rgb(image: PIL.Image.Image) -> torch.Tensor:
    """uint8 RGB (3, H, W) from any PIL mode."""
    if image.mode.startswith("I;16"):
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "RGBA" if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return _to_rgb(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]


def _natural_key(name: str) -> tuple:
    """Sorts frame_2 before frame_10."""
    return tuple(int(part) if part.isdigit() else part.casefold() for part in re.split(r"([0-9]+)", name)), name


def _folder_images(folder: str) -> list[str]:
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    images = sorted((name for name in names if name.lower().endswith(IMAGE_SUFFIXES)), key=_natural_key)
    images = [os.path.join(folder, name) for name in images if os.path.isfile(os.path.join(folder, name))]
    if not images:
        found = f"a folder without images ({len(names)} other entries)" if names else "an empty folder"
        raise VideoReadError(folder, found, f"frame images ({', '.join(IMAGE_SUFFIXES)}) in it")
    return images


# ---------------------------------------------------------------------------------------------------------------------
# Any source
# ---------------------------------------------------------------------------------------------------------------------
def is_frame(source) -> bool:
    """Whether this is one frame (PIL image, array of two or three axes, path of an image), not a video."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source).lower().endswith(IMAGE_SUFFIXES) and not os.path.isdir(source)
    return isinstance(source, PIL.Image.Image) or (
        isinstance(source, (np.ndarray, torch.Tensor)) and source.ndim in (2, 3)
    )


def _download(url: str) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "modeling-rdfer"})
        with urllib.request.urlopen(request, timeout=URL_TIMEOUT_SECONDS) as response:
            return response.read()
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        reason = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise VideoReadError(url, f"an address that cannot be downloaded ({reason})", "a video at this URL") from error


def open_video(source, decoder: str = "auto", *, name: str | None = None, layout: str | None = None) -> VideoSource:
    """Opens one video of any kind.

    Open it in the process that reads it: an opened video must not be handed to a data-loader worker.

    Args:
        source: one of
            - path of a video file (str or os.PathLike), or an http(s) URL;
            - path of a folder of frame images (.jpg, .jpeg, .png, .bmp, .webp; others and hidden ones are ignored),
              taken in natural order, frame_2 before frame_10;
            - the bytes of a video file, or a binary file object;
            - {"bytes": ..., "path": ...} as `datasets.Video(decode=False)` gives it;
            - a `torchcodec.decoders.VideoDecoder`;
            - tensor or numpy array, (T, C, H, W) or (T, H, W, C) with 1, 3 or 4 channels (alpha is put on white), or
              one frame; uint8, or float in 0..1;
            - a list of frames: PIL images, arrays (C, H, W) or (H, W, C), or paths of images; or one such frame.
        decoder: "auto", "torchcodec" or "pyav", see `decoder_in_use`. Matters for video files only.
        name: what messages call the video, if it is not a path or URL.
        layout: "channels_first" or "channels_last" for arrays; by default the axis with 1, 3 or 4 entries.

    Returns:
        An opened `VideoSource`.

    Raises:
        VideoReadError: the source is no readable video; the message says what was found.
        VideoNotFoundError: the path does not exist (it is also a FileNotFoundError).
        TypeError: `source` is of none of these kinds.
        RuntimeError: no decoder can be used.
    """
    if isinstance(source, dict) and (source.get("bytes") is not None or source.get("path") is not None):
        if source.get("bytes") is None:
            return open_video(source["path"], decoder, name=name, layout=layout)
        return open_video(source["bytes"], decoder, name=source.get("path") or name, layout=layout)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if re.match(r"https?://", path, flags=re.IGNORECASE):
            return _open_container(_download(path), path, decoder)
        if os.path.isdir(path):
            return _ImageVideo(_folder_images(path), path, layout)
        if not os.path.exists(path):
            raise VideoNotFoundError(path, f"no such file or folder (working directory {os.getcwd()})")
        if not os.path.isfile(path):
            raise VideoReadError(path, "neither a file nor a folder")
        if path.lower().endswith(IMAGE_SUFFIXES):
            return _ImageVideo([path], path, layout)
        return _open_container(os.path.abspath(path), path, decoder)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return _open_container(data, name or f"<{len(data)} bytes>", decoder)
    if hasattr(source, "read") and hasattr(source, "seek"):
        source.seek(0)
        data = source.read()
        name = name or str(getattr(source, "name", None) or f"<file object of {len(data)} bytes>")
        if not isinstance(data, bytes):
            raise VideoReadError(name, "a file opened as text", "a file opened in binary mode, open(path, 'rb')")
        return _open_container(data, name, decoder)
    if hasattr(source, "get_frames_at") and hasattr(source, "metadata"):
        encoded = getattr(source, "_hf_encoded", None) or {}  # set by datasets.Video
        return _UserDecoderVideo(source, encoded.get("path") or name or f"<{type(source).__name__}>")
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return _ArrayVideo(source, name, layout)
    if isinstance(source, PIL.Image.Image):
        source = [source]
    if isinstance(source, (list, tuple)):
        name = name or f"<list of {len(source)} frames>"
        if not source:
            raise VideoReadError(name, "an empty list", "at least one frame")
        for number, frame in enumerate(source):
            if not is_frame(frame):
                found = f"a {type(frame).__name__} as element {number} of a list of frames"
                raise VideoReadError(name, found, "PIL images, arrays of three axes, or paths of images")
        return _ImageVideo(source, name, layout)
    raise TypeError(
        f"Cannot read a video from {type(source).__name__}; expected a path, URL, bytes, a torchcodec VideoDecoder, a "
        "tensor or array, a list of images, or a folder of images."
    )
