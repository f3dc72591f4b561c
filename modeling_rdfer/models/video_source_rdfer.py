# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Base class of all kinds of opened videos, and the errors of videos that cannot be read."""

import errno
import functools
import operator
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvF

from .threads_rdfer import map_in_threads

# Frames are resized a few at a time: this many bytes of full-size RGB frames exist at once.
CHUNK_BYTES = 16 * 1024 * 1024


class VideoReadError(ValueError):
    """A video could not be read. The message names it, what was found and what was expected."""

    def __init__(self, name: str, found: str, expected: str = "a video file, a folder of images, or frames"):
        # All three are kept as arguments so that the error can be pickled, e.g. by a data-loader worker.
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
    """Resizes uint8 frames `(N, 3, H, W)` to `(N, 3, *size)`: bilinear with antialiasing, in uint8."""
    return tvF.resize(frames, list(size), interpolation=tvF.InterpolationMode.BILINEAR, antialias=True)


def fit_frames(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resizes uint8 frames `(N, 3, H, W)` to `(N, 3, *size)` without changing the shape of what they show: where the
    aspect ratio differs, by more than rounding, black bars fill the rest, as in a player.
    """
    scale = min(size[0] / frames.shape[-2], size[1] / frames.shape[-1])
    height, width = (max(1, round(side * scale)) for side in frames.shape[-2:])
    if min(height / size[0], width / size[1]) > 0.98:
        return resize_frames(frames, size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    padding = [left, top, size[1] - width - left, size[0] - height - top]
    return tvF.pad(resize_frames(frames, (height, width)), padding)


class VideoSource:
    """An opened video.

    It holds no file handle or decoder until frames are read; `close`, or leaving a `with` block, frees them.

    Attributes:
        name (`str`): name in error messages: path, URL, or a description.
        backend (`str`): `"torchcodec"`, `"pyav"`, `"images"` or `"array"`.
        num_frames (`int`): number of frames, >= 1.
        height, width (`int`): size of a frame as displayed (turned as the container asks, square pixels), in pixels.
        average_fps (`float`, *optional*): frames per second on average; `None` for images and arrays.
        pts_seconds (`np.ndarray` of shape `(num_frames,)`, *optional*): float64, presentation time of each frame in
            seconds as the container states it, exact for variable frame rates, too; `None` for images and arrays. For
            a torchcodec decoder made by the user, NaN for frames that have not been decoded yet.
        duration_seconds (`float`, *optional*): from the first frame's time to the end of the last frame.
        num_unreadable (`int`): frames of a damaged file that were left out; they are not among `num_frames`.
    """

    num_unreadable = 0

    def __init__(self, name, backend, num_frames, height, width, average_fps=None, pts=None, duration_seconds=None):
        self.name, self.backend, self.num_frames, self.height, self.width = name, backend, num_frames, height, width
        self.average_fps, self.pts_seconds, self.duration_seconds = average_fps, pts, duration_seconds

    def __len__(self) -> int:
        return self.num_frames

    @property
    def is_damaged(self) -> bool:
        """Whether damage was found so far, by the decoder or in the container: what the frames show can be wrong.

        torchcodec conceals damage without telling.
        """
        return False

    def get_frames(
        self,
        indices: Sequence[int],
        size: tuple[int, int] | Callable[[torch.Tensor], torch.Tensor] | None = None,
        max_side: int | None = None,
        meanwhile: Callable[[torch.Tensor, Iterator[int]], None] | None = None,
    ) -> torch.Tensor:
        """Decodes frames.

        Frames are resized while they are decoded, a few at a time, so that memory does not grow with the size of the
        video's frames.

        Args:
            indices (sequence of `int`): frame numbers, 0 <= index < `num_frames`, in any order, repeats allowed.
            size (`tuple[int, int]` or `Callable`, *optional*): height and width of the result; or a function that
                resizes uint8 frames `(n, 3, H, W)`. By default frames keep their size.
            max_side (`int`, *optional*): frames whose longer side is above this many pixels are first reduced to it.
            meanwhile (`Callable`, *optional*): function to run while frames are read. It gets the tensor that is being
                filled (distinct frames in ascending order) and an iterator over the positions in it, which yields each
                position as soon as its frame is there, and ends early if reading fails. With several readers it starts
                when one of them is done; with one reader, after decoding.

        Returns:
            `torch.Tensor` of shape `(len(indices), 3, height, width)`: uint8 RGB frames, 0..255. If the frames of a
            video differ in size, all are fitted to the size of the first one, with black bars.

        Raises:
            ValueError: if `indices` is empty.
            IndexError: if an index is out of range.
            VideoReadError: if a frame could not be decoded.
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

        readers = self._split(wanted)
        starts = np.cumsum([0, *(len(part) for _, part in readers)]).tolist()
        buffer = _FrameBuffer(len(wanted), len(readers), resize, max_side)
        jobs = [
            functools.partial(buffer.fill, reader, part, start, close=len(readers) > 1)
            for (reader, part), start in zip(readers, starts)
        ]
        if meanwhile is not None:
            jobs.append(functools.partial(buffer.follow, meanwhile))
        # A single reader stays in this thread: frames come so fast that a second thread does not help.
        deque(map_in_threads(operator.call, jobs, len(readers)), maxlen=0)
        if indices == wanted:
            return buffer.frames
        position = {index: i for i, index in enumerate(wanted)}
        return buffer.frames[[position[index] for index in indices]]

    def _split(self, wanted: list[int]) -> list[tuple["VideoSource", list[int]]]:
        """Readers of this video that can read at the same time, each with the part of `wanted` that it reads."""
        return [(self, wanted)]

    def _read(self, wanted: list[int]) -> Iterator[torch.Tensor]:
        """Yields the frames of `wanted` (ascending, distinct) in order, as uint8 RGB chunks `(n, 3, H, W)`."""
        raise NotImplementedError

    def _chunks(self, wanted: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Splits frames into chunks: (number of frames before the chunk, frame numbers of the chunk)."""
        step = max(1, CHUNK_BYTES // (3 * self.height * self.width))
        return ((start, wanted[start : start + step]) for start in range(0, len(wanted), step))

    def close(self) -> None:
        """Releases file and decoder. They are opened again when frames are read."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class _FrameBuffer:
    """The result of `VideoSource.get_frames` while one or more readers fill it."""

    def __init__(self, num_frames: int, num_readers: int, resize: Callable | None, max_side: int | None):
        self.frames: torch.Tensor | None = None  # made when the first frame comes, which decides the size of all
        self._num_frames, self._num_readers, self._resize, self._max_side = num_frames, num_readers, resize, max_side
        self._started = threading.Event()
        self._filled = queue.SimpleQueue()  # ranges of positions, and None from each reader that ends

    def fill(self, reader: VideoSource, wanted: list[int], start: int, close: bool):
        """Reads `wanted` into the positions from `start` on; `close` closes the reader after that."""
        position = start
        try:
            for chunk in reader._read(wanted):
                if self._max_side is not None and max(chunk.shape[-2:]) > self._max_side:
                    scale = self._max_side / max(chunk.shape[-2:])
                    chunk = resize_frames(chunk, tuple(max(1, round(side * scale)) for side in chunk.shape[-2:]))
                chunk = chunk if self._resize is None else self._resize(chunk)
                if position == 0:
                    self._start(chunk)
                self._started.wait()
                if self.frames is None:
                    return  # the first frame cannot be read; its reader reports that
                if chunk.shape[1:] != self.frames.shape[1:]:
                    chunk = fit_frames(chunk, tuple(self.frames.shape[-2:]))
                self.frames[position : position + len(chunk)] = chunk
                self._filled.put(range(position, position + len(chunk)))
                position += len(chunk)
        finally:
            if start == 0:
                self._started.set()
            self._filled.put(None)
            if close:
                reader.close()

    def _start(self, first_chunk: torch.Tensor):
        # Whole frames stay (H, W, 3) in memory if the decoder returns them that way: transposing costs as much as
        # decoding, and cutting faces out of transposed frames takes twice as long.
        transposed = self._resize is not None or not first_chunk.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.contiguous_format if transposed else torch.channels_last
        shape = (self._num_frames, *first_chunk.shape[1:])
        self.frames = torch.empty(shape, dtype=torch.uint8, memory_format=memory_format)
        self._started.set()

    def follow(self, function: Callable[[torch.Tensor, Iterator[int]], None]):
        """Calls `function` with the frames and the positions that are filled, unless reading fails at once."""
        self._started.wait()
        if self.frames is not None:
            function(self.frames, self._positions())

    def _positions(self) -> Iterator[int]:
        num_reading = self._num_readers
        while num_reading:
            filled = self._filled.get()
            if filled is None:
                num_reading -= 1
            else:
                yield from filled
