# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads container files with PyAV, and makes the index of their frames for every decoder."""

import copy
import io
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from .container_checks_rdfer import (
    HEAD_BYTES,
    JPEG_STREAM_SUFFIXES,
    is_multipart_jpeg,
    missing_part,
    other_file_type,
)
from .decoder_choice_rdfer import load_pyav
from .frame_colours_rdfer import HLG, PQ, ToneMap, first_field, over_black
from .frame_geometry_rdfer import Orientation, square_pixel_size
from .frame_index_rdfer import FrameIndex, is_sparse
from .video_source_rdfer import VideoReadError, VideoSource

logger = logging.get_logger(__name__)

# Measured on two cores: with 400x300 frames one decoding thread is as fast as two (0.14 s for 765 frames), and is not
# slowed down by data-loader workers on the same cores; with 1920x1080 two are 1.6 times faster.
TWO_THREADS_FROM_PIXELS = 1280 * 720
# Containers in which seeking ends at or before the wanted key frame, and whose time stamps are presentation times.
SEEKABLE_FORMATS = ("mov", "matroska")
# In these codecs, frames that no other frame refers to can be skipped. x264 marks up to half of all frames as such;
# reading 64 of 15,300 frames of 1920x1080 then takes 0.6 of the processor time. (HEVC marks such frames within a
# temporal layer only.)
SKIPPING_CODECS = ("h264",)
# Sparse frames of a long video are read by one reader in each of torch's threads, up to this many: each holds the
# frames that its decoder refers to.
MAX_READERS = 8
# Frames are passed on, to be resized, when they have this many bytes: small ones several at once, which takes 0.8 of
# the time of one after the other (765 frames of 400x300, one thread).
RESIZED_AT_ONCE_BYTES = 2 * 1024 * 1024
# These codecs have packets that show nothing themselves; at their time the frame before them is displayed.
HIDDEN_FRAME_CODECS = ("vp8", "vp9", "av1")
# In MPEG streams, a decoding time before the last one, or more seconds after it, is of a clock that starts anew, as
# where recordings were put one after the other. FFmpeg's command has the same limit.
MAX_CLOCK_STEP_SECONDS = 10
# FFmpeg's own decoders of these codecs leave transparency out.
DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Of a damaged video at least this share of the frames must be readable, or its answer would be that of a few moments.
MIN_READABLE_SHARE = 0.25


class Display:
    """How the frames of a stream are shown on a usual screen.

    Args:
        stream (`av.VideoStream`): the stream.
        frame (`av.VideoFrame`): its first frame.

    Attributes:
        size (`tuple[int, int]`): height and width of that frame as displayed.
        is_plain (`bool`): whether its pixels are shown as they are stored, apart from the format of the colours.
    """

    def __init__(self, stream, frame):
        matrix = frame.side_data.get("DISPLAYMATRIX")
        self._orientation = Orientation() if matrix is None else Orientation.from_bytes(bytes(matrix))
        self._pixel_aspect = float(stream.sample_aspect_ratio or 1)
        height, width = square_pixel_size(frame.height, frame.width, self._pixel_aspect)
        self.size = (width, height) if self._orientation.transposed else (height, width)
        self._has_alpha = any(component.is_alpha for component in frame.format.components)
        context = stream.codec_context
        self._tone_map = (
            ToneMap(context.color_trc, context.color_primaries) if context.color_trc in (PQ, HLG) else None
        )
        is_special = self._has_alpha or self._tone_map is not None or frame.interlaced_frame
        is_special |= not self._orientation.is_identity
        self.is_plain = not is_special and (height, width) == (frame.height, frame.width)

    def to_rgb(self, frame, reformatter) -> np.ndarray:
        """Converts a frame.

        Args:
            frame (`av.VideoFrame`): a frame of the stream.
            reformatter (`av.video.reformatter.VideoReformatter`): one for all frames: by default each frame makes its
                own, which costs more than converting a small frame.

        Returns:
            `np.ndarray` of shape `(H, W, 3)`: uint8 RGB with square pixels, turned and mirrored as the container asks.
        """
        height, width = square_pixel_size(frame.height, frame.width, self._pixel_aspect)
        # FFmpeg 8.0 makes wrong pixels of rgb48.
        pixel_format = "gbrp16le" if self._tone_map is not None else "rgba" if self._has_alpha else "rgb24"
        pixels = reformatter.reformat(frame, width, height, pixel_format).to_ndarray()
        if self._tone_map is not None:
            pixels = self._tone_map.apply(pixels)
        elif self._has_alpha:
            pixels = over_black(pixels)
        if frame.interlaced_frame:
            pixels = first_field(pixels)
        return self._orientation.apply(pixels)


class PyAVVideo(VideoSource):
    """A container file or its bytes, decoded with PyAV.

    Args:
        file (`str` or `bytes`): path of the file, or its content.
        name (`str`): name of the video in messages.
        on_damage (`"error"` or `"use_readable"`): what to do with a damaged file. To find its readable frames the
            whole file is decoded.

    Attributes:
        file (`str` or `bytes`): path of the file, or its content.
        index (`FrameIndex`): times of the frames, and where decoding can start.
        stream_index (`int`): number of the video stream in the container.
        num_threads (`int`): threads of one decoder.
        torchcodec_can (`bool`): whether torchcodec finds the same frames and shows them in the same way.
        can_skip (`bool`): whether frames can be skipped that are neither wanted nor referred to.
    """

    def __init__(self, file: str | bytes, name: str, on_damage: str = "error"):
        self._av, self.file, self.name = load_pyav()[0], file, name
        self._container: Any = None
        self._stream: Any = None
        self._decoder: Any = None
        self._output: Iterator | None = None
        self.num_threads: int | None = None
        # Decode only the frames at these times and those that they refer to; None: all.
        self._wanted_pts: set[int] | None = None
        self._on_damage = on_damage
        self._goes_on = False  # after errors, in a damaged file
        # The decoder reports the errors that it conceals, until the first one; then it is asked to conceal them.
        self._is_strict = True
        # What its readers say of this file, see `is_damaged`: shared by its copies.
        self._damage: list[str] = []
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        size = len(file) if isinstance(file, bytes) else os.path.getsize(file)
        if size == 0:
            raise VideoReadError(name, "an empty file (0 bytes)")
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as handle:
            head = handle.read(HEAD_BYTES)
            # FFmpeg's own format for it, mpjpeg, takes the end of the file for damage; this one passes over headers.
            self._format = "mjpeg" if is_multipart_jpeg(head) else None
            other = other_file_type(head)
            if other is not None and not name.lower().endswith(JPEG_STREAM_SUFFIXES):
                raise VideoReadError(name, other)
            handle.seek(0)
            missing = missing_part(handle, size)
        try:
            self._make_index(is_complete=missing is None)
        except VideoReadError:
            raise
        except (self._av.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
            if missing is not None:
                raise VideoReadError(name, missing, "a complete file") from error
            reason = getattr(error, "strerror", None) or str(error)
            raise VideoReadError(name, f"{size:,} bytes that FFmpeg cannot read as a video ({reason})") from error
        finally:
            # It is opened again when frames are read, so that videos waiting in a batch hold no decoders.
            self.close()
        if missing is not None and on_damage == "error":
            found = f"{missing}; {self.num_frames}{self._of_stated} frames are there"
            raise VideoReadError(name, found, "a complete file")

    # Opening ---------------------------------------------------------------------------------------------------------

    def _open(self):
        file = io.BytesIO(self.file) if isinstance(self.file, bytes) else self.file
        # Bytes can come from strangers: a playlist among them must not have other files or addresses read.
        options = {"protocol_whitelist": "none"} if isinstance(self.file, bytes) else {}
        # Titles and other texts are not used, so their encoding does not matter.
        self._container = self._av.open(file, format=self._format, options=options, metadata_errors="ignore")
        kinds = sorted({stream.type for stream in self._container.streams})
        stream = self._container.streams.best("video")
        if stream is not None and stream.disposition & self._av.stream.Disposition.attached_pic:
            stream, kinds = None, [*(kind for kind in kinds if kind != "video"), "a cover picture"]
        if stream is None:
            raise VideoReadError(
                self.name, f"no video stream, {'only ' + ', '.join(kinds) if kinds else 'nor any other'}"
            )
        if stream.codec_context is None:
            raise ValueError("its codec is not known")
        context = stream.codec_context
        codec = DECODERS_WITH_ALPHA.get(stream.codec.canonical_name)
        if codec in self._av.codecs_available and stream.metadata.get("alpha_mode") == "1":
            context = self._av.CodecContext.create(codec, "r")
        if self.num_threads is None:
            self.num_threads = 2 if context.width * context.height > TWO_THREADS_FROM_PIXELS else 1
        context.thread_type, context.thread_count = "AUTO", self.num_threads
        # An intact file costs the same: errors are found in any case.
        context.options = {"err_detect": "explode"} if self._is_strict else {}
        self._stream, self._decoder, self._output, self._next_index = stream, context, None, None

    @property
    def is_damaged(self) -> bool:
        return bool(self._damage)

    def _make_index(self, is_complete: bool):
        self._open()
        stream, container_format = self._stream, self._container.format.name
        self.stream_index, self._codec = stream.index, stream.codec.canonical_name
        self._of_stated = f" of {stream.frames}" if stream.frames else ""
        packets = self._read_packets()
        # A file that is cut off can say how many frames it had.
        num_stated = max(len(packets), 0 if is_complete and not self._goes_on else stream.frames)
        times = [pts for pts, _, _ in packets]
        # AVI, raw streams and MXF without a table of them have decoding times at best, which are not presentation
        # times if frames are reordered.
        reordered = container_format == "avi" or (container_format.startswith("mxf") and times == sorted(times))
        reordered &= bool(stream.codec_context.has_b_frames)
        self._without_times = reordered or None in times or len(set(times)) < len(times) or self._clock_restarts
        average_rate = float(stream.average_rate or stream.guessed_rate or 25)
        if self._without_times:  # frames are numbered in the order in which the decoder returns them
            packets = [(i, 1, False) for i in range(self._count_by_decoding())]
            time_base = 1 / Fraction(average_rate).limit_denominator(100_000)
        else:
            packets.sort()
            time_base = stream.time_base
        seekable = container_format.startswith(SEEKABLE_FORMATS)
        pts, durations, is_key = map(list, zip(*packets))
        self.index = FrameIndex(pts, durations, is_key, time_base, seekable)
        # torchcodec finds frames by seeking to time stamps, which fails without them and in MPEG streams. It takes
        # no names that are not UTF-8, whose bytes are lone surrogates in Python.
        self.torchcodec_can = not self._without_times and not container_format.startswith("mpeg")
        self.torchcodec_can &= self._format is None
        self.torchcodec_can &= isinstance(self.file, bytes) or not re.search("[\ud800-\udfff]", self.file)
        self.can_skip = not self._without_times and self._codec in SKIPPING_CODECS
        if self._on_damage == "use_readable":
            self._leave_out_unreadable(num_stated)
        duration = self.index.duration_seconds()
        average_fps = len(self.index) / duration if duration > 0 else average_rate
        height, width = self._frame_size()
        super().__init__(
            self.name, "pyav", len(self.index), height, width, average_fps, self.index.pts_seconds(), duration
        )

    def _read_packets(self) -> list[tuple[int | None, int, bool]]:
        """(presentation time, duration, whether it is a key frame) of each packet, without decoding."""
        packets, corrupt, num_corrupt = [], False, 0
        is_mpeg, clock = self._container.format.name.startswith("mpeg"), None
        max_step, self._clock_restarts = MAX_CLOCK_STEP_SECONDS / self._stream.time_base, False
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:  # discarded: before the start that an edit list sets
                    packets.append((packet.pts, packet.duration or 0, packet.is_keyframe))
                    corrupt = packet.is_corrupt
                    num_corrupt += corrupt
                    if is_mpeg and packet.dts is not None:
                        self._clock_restarts |= clock is not None and not 0 <= packet.dts - clock <= max_step
                        clock = packet.dts
        except self._av.FFmpegError as error:
            if self._on_damage == "error":
                reason = f"{error.strerror}; it is truncated or damaged"
                found = f"a file that breaks off after {len(packets)} frames ({reason})"
                raise VideoReadError(self.name, found, "a complete file") from error
            self._goes_on = True
        if not packets:
            raise VideoReadError(self.name, "a video stream without frames", "at least one frame")
        if corrupt and "mpegts" not in self._container.format.name:
            if self._on_damage == "error":
                found = f"a file that ends inside frame {len(packets)}{self._of_stated} (it is truncated)"
                raise VideoReadError(self.name, found, "a complete file")
            self._goes_on = True
        # The last packet of a recorded MPEG stream is flagged because it does not say where it ends.
        if num_corrupt > corrupt:
            self._damage.append("packets")
        return packets

    def _count_by_decoding(self) -> int:
        self._restart()
        try:
            return sum(1 for _ in self._frames())
        except self._av.FFmpegError:
            if self._is_strict:
                self._conceal_errors()
            elif self._on_damage == "error" or self._goes_on:
                raise
            else:
                self._goes_on = True
            return self._count_by_decoding()
        finally:
            self._output = None

    def _leave_out_unreadable(self, num_stated: int):
        """Keeps only those frames of a damaged file in the index that can be decoded.

        Raises:
            VideoReadError: if they are too few of the `num_stated` frames.
        """
        if not self._goes_on:
            try:
                for number in range(len(self.index)):
                    self._decode_up_to(number)
            except VideoReadError:
                self._goes_on = True
        self._goes_on |= len(self.index) < num_stated and not self._without_times
        if not self._goes_on:
            return
        self._damage.append("frames")
        num_stated = max(num_stated, len(self.index))
        self._restart()
        numbers = sorted({number for number, _ in self._numbered_frames()})
        counts = f"{len(numbers)} of {num_stated} frames"
        if len(numbers) < MIN_READABLE_SHARE * num_stated or not numbers:
            found = f"a damaged file of which {counts} can be decoded"
            raise VideoReadError(self.name, found, f"at least {MIN_READABLE_SHARE:.0%} of the frames")
        # Once: training opens it in every epoch.
        logger.warning_once(  # type: ignore[attr-defined]
            f"{self.name!r} is damaged: {counts} can be decoded and are used (on_damage='use_readable')."
        )
        pts, durations, is_key = (
            [column[i] for i in numbers] for column in (self.index.pts, self.index.durations, self.index.is_key)
        )
        # Decoding after a seek can give other frames than decoding everything, so every read starts at the beginning.
        self.index = FrameIndex(pts, durations, is_key, self.index.time_base, seekable=False)
        self.torchcodec_can = self.can_skip = False
        self.num_unreadable = num_stated - len(numbers)
        self._output = None

    def _frame_size(self) -> tuple[int, int]:
        """Height and width as displayed, from the first decoded frame: the header can be wrong or incomplete."""
        frame = self._decode_up_to(0)
        self._display = Display(self._stream, frame)
        if not self._display.is_plain:  # torchcodec ignores all of it, older versions also rotation
            self.torchcodec_can = False
        return self._display.size

    # Reading ---------------------------------------------------------------------------------------------------------

    def _restart(self, seek_point: int = 0):
        """Makes the decoder start at or before the frame `seek_point`; 0 opens the file again."""
        if seek_point == 0 or self._container is None:
            self.close()
            self._open()
        if seek_point > 0:
            self._container.seek(self.index.pts[seek_point], stream=self._stream, backward=True)
            self._decoder.flush_buffers()
        self._next_index = 0 if self._without_times else None
        self._output = self._numbered_frames()

    def _conceal_errors(self):
        """Notes that the file is damaged, and has it opened again with a decoder that conceals errors if it can."""
        self._damage.append("decoding")
        self._is_strict = False
        self.close()

    def _frames(self):
        """Yields the frames as the decoder returns them (`av.VideoFrame`).

        After an error in a damaged file, frames come again from the next key frame on: those before it refer to what
        is lost, which the decoder does not always tell.
        """
        packets, is_lost = self._container.demux(self._stream), False
        while True:
            try:
                packet = next(packets)
                if not packet.size and packet.pts is not None:
                    continue  # it repeats a frame, as in Theora; the decoder refuses it
                skip = self._wanted_pts is not None and packet.pts is not None
                skip = skip and packet.pts < self._last_wanted_pts and packet.pts not in self._wanted_pts
                self._decoder.skip_frame = "NONREF" if skip else "DEFAULT"
                frames = self._decoder.decode(packet)
            except StopIteration:
                return
            except self._av.FFmpegError:
                if not self._goes_on:
                    raise
                is_lost = True
                continue
            for frame in frames:
                if self._goes_on and (is_lost or frame.is_corrupt):
                    is_lost = frame.is_corrupt or not frame.key_frame
                if not is_lost:
                    yield frame

    def _numbered_frames(self):
        """Yields (frame number, `av.VideoFrame`) of the frames in the index."""
        for count, frame in enumerate(self._frames()):
            index = self.index.find(count if self._without_times else frame.pts)
            if index is not None:
                self._next_index = index + 1
                yield index, frame

    def _decode_up_to(self, wanted: int):
        """Decodes until frame number `wanted` and returns it as an `av.VideoFrame`."""
        seek_points = self.index.seek_points
        number = bisect_right(seek_points, wanted) - 1
        seek_point = seek_points[number]
        not_passed = self._output is not None and self._next_index is not None and self._next_index <= wanted
        try:
            if not not_passed or seek_point > self._next_index:
                self._restart(seek_point)
            previous = None
            while True:
                for index, frame in self._output:
                    if index == wanted:
                        if frame.is_corrupt:
                            self._damage.append("frames")
                        return frame
                    if index > wanted:
                        break
                    previous = frame
                else:
                    break
                # Too far. Either seeking ended after the wanted frame (then start at an earlier seek point), or the
                # wanted frame is missing between its neighbours.
                if previous is not None or seek_point == 0:
                    break
                number = max(0, number - 1)
                seek_point = seek_points[number]
                self._restart(seek_point)
        except (self._av.FFmpegError, IndexError) as error:  # IndexError: a stream that appears late
            self._output = None
            if self._is_strict:
                self._conceal_errors()
                return self._decode_up_to(wanted)
            reason = f"{getattr(error, 'strerror', error)}; it is damaged"
        else:
            if previous is not None and self._codec.startswith(HIDDEN_FRAME_CODECS):
                return previous
            self._output = None
            reason = "it is truncated or damaged"
        if self._wanted_pts is not None:
            # Decode everything: an earlier read that broke off may have skipped the frame, or the gaps confuse the
            # decoder because the stream's header is incomplete.
            self._wanted_pts = None
            return self._decode_up_to(wanted)
        raise VideoReadError(
            self.name, f"a file of {len(self.index)} frames of which number {wanted} cannot be decoded ({reason})"
        )

    def copy(self) -> "PyAVVideo":
        """Makes a second reader of the same video, with its own decoder of one thread, to read in parallel."""
        other = copy.copy(self)
        other.num_threads = 1
        other._container = other._stream = other._decoder = other._output = other._wanted_pts = None
        other._reformatter = self._av.video.reformatter.VideoReformatter()
        return other

    def parts(self, wanted: list[int]) -> list[list[int]]:
        """Splits sparse frames into one part for each of torch's threads; dense frames stay in one part."""
        num_parts = min(torch.get_num_threads(), MAX_READERS)
        return [wanted] if num_parts == 1 or not is_sparse(wanted) else self.index.split(wanted, num_parts)

    def _split(self, wanted):
        parts = self.parts(wanted)
        return [(self, wanted)] if len(parts) == 1 else [(self.copy(), part) for part in parts]

    def _read(self, wanted):
        if self.can_skip:
            self._wanted_pts = {self.index.pts[index] for index in wanted}
            self._last_wanted_pts = self.index.pts[wanted[-1]]
        # Frames stay (H, W, 3) in memory: resizing is fastest then.
        frames: list[np.ndarray] = []
        for index in wanted:
            frame = self._display.to_rgb(self._decode_up_to(index), self._reformatter)
            if frames and (frame.shape != frames[0].shape or len(frames) * frame.nbytes >= RESIZED_AT_ONCE_BYTES):
                yield torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
                frames = []
            frames.append(frame)
        yield torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)

    def close(self):
        self._output = self._stream = self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None
