# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads the frames of a camera, a stream, a pipe or a growing file as they come."""

import errno
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from ..models.pyav_reader_rdfer import Display
from ..models.video_decoding_rdfer import VideoReadError

# Frames that wait for the recogniser. When more come from a camera or stream, the oldest are dropped.
MAX_WAITING = 32
# Seconds without data after which a source has ended: opening, reading.
TIMEOUT = 10.0, 10.0
# Of a file that no longer grows.
END_OF_FILE = 3.0
CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
# Titles and other texts are not used, so their encoding does not matter.
ANY_TEXT = {"metadata_errors": "ignore"}
# RTSP over TCP loses no packets, but some cameras only have UDP.
STREAM_OPTIONS = {"flags": "low_delay", "rtsp_flags": "prefer_tcp"}
# FFmpeg's flag of formats whose frames have no times, such as MJPEG over HTTP: FFmpeg makes some up, 25 a second.
AVFMT_NOTIMESTAMPS = 0x0080


class LiveSource:
    """Frames of a source as they come. They are read in a thread of their own.

    A camera or stream goes on while the recogniser works: when `MAX_WAITING` frames wait, the oldest are dropped. A
    pipe or file waits instead, so nothing of it is dropped. Pictures of a camera or stream that arrive damaged are
    dropped, too; a pipe or file with damage is an error.

    Args:
        camera (`str`, *optional*): number or name of a camera: 0 is `/dev/video0` on Linux, the first camera on
            macOS; on Windows it is the name that the system shows.
        url (`str`, *optional*): a stream (`rtsp://`, `http://`, ...), or a file, which is read as it grows, until it
            does not for 3 seconds. Standard input if there is neither camera nor url.

    Attributes:
        name (`str`): what it reads.
        num_dropped (`int`): frames that were dropped.

    Raises:
        VideoReadError: if the source cannot be opened or read as a video.
    """

    def __init__(self, camera: str | None = None, url: str | None = None):
        self.num_dropped = 0
        self._drops = camera is not None or (url is not None and not Path(url).exists())
        self._waiting: deque[tuple[av.VideoFrame, float]] = deque()
        self._changed = threading.Condition()
        self._display: Display | None = None  # once there is a frame
        self._is_open = self._ended = False
        self._error: VideoReadError | None = None
        self.name, self._is_growing = _without_secrets(url or "<standard input>"), url is not None and not self._drops
        if camera is not None:
            self.name = f"camera {camera}"
        # Also opened there: Ctrl-C cannot interrupt FFmpeg, but this thread while it waits.
        self._thread = threading.Thread(target=self._read, args=(camera, url), daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._ended)
        if self._error is not None and not self._is_open:
            raise self._error

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Yields frames as displayed, uint8 RGB `(height, width, 3)`, with their times in seconds."""
        reformatter = av.video.reformatter.VideoReformatter()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                frame, seconds = self._waiting.popleft()
                self._changed.notify_all()
            assert self._display is not None  # as there is a frame
            yield self._display.to_rgb(frame, reformatter), seconds
        if self._error is not None:
            raise self._error

    def close(self):
        """Stops reading."""
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()
        # A thread that waits for data cannot be woken up; it ends later, or with the process.
        self._thread.join(timeout=2)

    def _read(self, camera: str | None, url: str | None):
        expected = "a camera, a stream or a video that grows"
        try:
            with self._open(camera, url) as container:
                stream = container.streams.best("video")
                if stream is None:
                    raise VideoReadError(self.name, "no video in it", "a stream with video")
                with self._changed:
                    self._is_open = True
                    expected = "a stream that goes on" if self._drops else "a video without damage"
                    self._changed.notify_all()
                has_times = not container.format.flags & AVFMT_NOTIMESTAMPS
                seconds, step = None, 1 / float(stream.guessed_rate or 25)
                for frame in self._frames(container, stream):
                    self._display = self._display or Display(stream, frame)
                    if has_times and frame.pts is not None:
                        seconds = float(frame.pts * stream.time_base)  # frame.time is not known of the last frames
                    elif not has_times and self._drops:
                        seconds = time.monotonic()
                    else:  # as in AVI, and the first one of RTSP: it counts as in a file
                        seconds = 0.0 if seconds is None else seconds + step
                    with self._changed:
                        if not self._drops:
                            self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING or self._ended)
                        if self._ended:
                            return
                        if len(self._waiting) == MAX_WAITING:
                            self._waiting.popleft()
                            self.num_dropped += 1
                        self._waiting.append((frame, seconds))
                        self._changed.notify_all()
        except VideoReadError as error:
            self._error = error
        except (av.FFmpegError, OSError, ValueError) as error:
            self._error = VideoReadError(self.name, _reason(error), expected)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _open(self, camera: str | None, url: str | None):
        if camera is not None:
            return _open_camera(camera)
        if url is None:
            # Without the buffer, which waits until it is full.
            return av.open(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), **ANY_TEXT)
        options = {"follow": "1"} if self._is_growing else STREAM_OPTIONS
        timeout = (END_OF_FILE, END_OF_FILE) if self._is_growing else TIMEOUT
        return av.open(url, options=options, timeout=timeout, **ANY_TEXT)

    def _frames(self, container, stream) -> Iterator[av.VideoFrame]:
        for packet in self._packets(container, stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                if not self._drops:
                    raise
                self.num_dropped += 1
        yield from stream.codec_context.decode(None)  # what the decoder has held back

    def _packets(self, container, stream) -> Iterator[av.Packet]:
        """Reads until the end, which a file that no longer grows and a stream whose sender has left do not mark."""
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except av.error.ExitError:  # nothing came for a while
            if not self._is_growing:
                raise
        except (av.FFmpegError, OSError) as error:
            # FFmpeg takes the end of a stream of JPEG images over HTTP for damage.
            is_end = container.format.name == "mpjpeg" and isinstance(error, av.error.InvalidDataError)
            if not is_end and not (self._drops and error.errno == errno.EIO):
                raise


def _open_camera(camera: str):
    kind = CAMERA_FORMATS.get(sys.platform, "v4l2")
    name = camera
    if kind == "v4l2" and camera.isdecimal():
        name = f"/dev/video{camera}"
    elif kind == "dshow":
        name = f"video={camera}"
    return av.open(name, format=kind, options={"framerate": "30"}, timeout=TIMEOUT)


def _without_secrets(url: str) -> str:
    """An address as messages can show it: without the user, the password, and the query, which can hold them, too."""
    return re.sub(r"^(\w+://)([^/]*@)?([^?]*)(\?.*)?$", r"\1\3", url)


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):
        return "that nothing came for a while"
    return getattr(error, "strerror", None) or str(error)


__all__ = ["LiveSource"]
