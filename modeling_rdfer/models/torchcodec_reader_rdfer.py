# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads videos with torchcodec: container files, and decoders made by the user."""

import json
import re
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from .decoder_choice_rdfer import load_torchcodec
from .frame_geometry_rdfer import square_pixel_size
from .image_reader_rdfer import to_uint8
from .pyav_reader_rdfer import PyAVVideo
from .video_source_rdfer import VideoReadError, VideoSource, resize_frames

logger = logging.get_logger(__name__)


class TorchCodecVideo(VideoSource):
    """A container file or its bytes, decoded with torchcodec using the index that PyAV made.

    Args:
        video (`PyAVVideo`): the same file, opened with PyAV.
        fall_back (`bool`): whether PyAV may read frames that torchcodec cannot decode.
        device (`str`, *optional*, defaults to `"cpu"`): `"cpu"`, or the GPU that decodes. A chunk of frames is resized
            there, before it is copied.
    """

    def __init__(self, video: PyAVVideo, fall_back: bool, device: str = "cpu"):
        super().__init__(
            video.name,
            "torchcodec",
            video.num_frames,
            video.height,
            video.width,
            video.average_fps,
            video.pts_seconds,
            video.duration_seconds,
        )
        self._video, self._fall_back, self._device = video, fall_back, device
        self._decoder: Any = None
        self._one_by_one = False  # for videos whose size changes, which torchcodec cannot decode in batches

    @property
    def is_damaged(self) -> bool:
        return self._video.is_damaged

    def _open(self):
        index = self._video.index
        frames = zip(index.pts, index.durations, index.is_key)
        mapping = {"frames": [{"pts": pts, "duration": d, "key_frame": int(key)} for pts, d, key in frames]}
        self._decoder = load_torchcodec()[0].decoders.VideoDecoder(
            self._video.file,
            stream_index=self._video.stream_index,
            num_ffmpeg_threads=self._video.num_threads,
            custom_frame_mappings=json.dumps(mapping),
            device=self._device,
        )

    def _split(self, wanted):
        parts = self._video.parts(wanted)
        if len(parts) == 1 or self._device != "cpu":
            return [(self, wanted)]
        return [(TorchCodecVideo(self._video.copy(), self._fall_back), part) for part in parts]

    def _read(self, wanted):
        for done, chunk in self._chunks(wanted):
            try:
                if self._decoder is None:
                    self._open()
                parts, pts = self._decode(chunk)
                if np.abs(pts - self.pts_seconds[chunk]).max() > 1e-3:
                    raise RuntimeError(f"the frames at {pts} s came instead of those at {self.pts_seconds[chunk]} s")
            except (RuntimeError, ValueError, IndexError) as error:
                if not self._fall_back:
                    raise _undecodable(
                        self, chunk, error, "one that torchcodec decodes; 'auto' also tries PyAV"
                    ) from error
                logger.info(f"torchcodec cannot decode {self.name!r}, PyAV continues: {error}")
                yield from self._continue_with_pyav(wanted[done:], error)
                return
            yield from parts

    def _decode(self, chunk: list[int]) -> tuple[list[torch.Tensor], np.ndarray]:
        """Frames in parts `(n, 3, H, W)` of one size each, and their times in seconds."""
        if not self._one_by_one:
            try:
                batch = self._decoder.get_frames_at(indices=chunk)
                return [batch.data], batch.pts_seconds.cpu().numpy()
            except RuntimeError:
                if self._fall_back:
                    raise
                self._one_by_one = True
                self._open()  # after an error it does not know where it is
        frames = [self._decoder.get_frame_at(index) for index in chunk]
        return [frame.data[None] for frame in frames], np.array([frame.pts_seconds for frame in frames])

    def _continue_with_pyav(self, wanted, error: Exception):
        try:
            yield from self._video._read(wanted)
        except VideoReadError as second:
            found = f"{second.args[1]}; torchcodec: {_first_line(error)}"
            raise VideoReadError(self.name, found, second.args[2]) from second

    def close(self):
        self._decoder = None
        self._video.close()


class UserDecoderVideo(VideoSource):
    """A `torchcodec.decoders.VideoDecoder` made by the user, with any options."""

    def __init__(self, decoder, name: str):
        metadata = decoder.metadata
        if len(decoder) == 0:
            raise VideoReadError(name, "a video stream without frames", "at least one frame")
        pts = np.full(len(decoder), np.nan)
        aspect = float(getattr(metadata, "pixel_aspect_ratio", None) or 1)
        if round((getattr(metadata, "rotation", None) or 0) / 90) % 2:  # its size is that after rotation
            aspect = 1 / aspect
        height, width = square_pixel_size(metadata.height, metadata.width, aspect)
        super().__init__(
            name, "torchcodec", len(decoder), height, width, metadata.average_fps, pts, metadata.duration_seconds
        )
        self._decoder, self._decoded_size = decoder, (metadata.height, metadata.width)

    def _read(self, wanted):
        for _, chunk in self._chunks(wanted):
            try:
                batch = self._decoder.get_frames_at(indices=chunk)
            except (RuntimeError, ValueError, IndexError) as error:
                raise _undecodable(self, chunk, error, "an intact video") from error
            self.pts_seconds[chunk] = batch.pts_seconds.cpu().numpy()
            frames = batch.data if batch.data.shape[1] == 3 else batch.data.permute(0, 3, 1, 2)
            frames = to_uint8(frames.cpu(), self.name)
            # Frames of another size were resized by a transform of the decoder, which decides then.
            if frames.shape[-2:] == self._decoded_size != (self.height, self.width):
                frames = resize_frames(frames, (self.height, self.width))
            yield frames


def _undecodable(video: VideoSource, chunk: list[int], error: Exception, expected: str) -> VideoReadError:
    reason = _first_line(error)
    found = f"a video of {video.num_frames} frames, of which {chunk[0]}..{chunk[-1]} cannot all be decoded ({reason})"
    return VideoReadError(video.name, found, expected)


def _first_line(error: Exception) -> str:
    line = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"^\w+, \S+\.(?:cpp|h):\d+, ", "", line)  # without the place in torchcodec's source
