# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Cards of an audit's page: frames and clips of the most suspicious videos."""

import heapq
import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

STRIP_FRAMES, STRIP_SIZE = 8, 112


class Cards:
    """Collects cards while videos are scored. It keeps those of the `limit` most suspicious videos so far, so memory
    does not grow with the dataset.

    Args:
        limit (`int`): number of cards to keep.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._heap: list[tuple[float, int, dict]] = []  # the least suspicious first

    def offer(self, number: int, loss: float, make: Callable[[], dict]):
        """Keeps the card that `make` returns if the video, known by its number, is among the most suspicious."""
        if len(self._heap) < self.limit:
            heapq.heappush(self._heap, (loss, number, make()))
        elif self._heap and (loss, number) > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (loss, number, make()))

    @property
    def cards(self) -> dict[int, dict]:
        """The cards by number of the video."""
        return {number: card for _, number, card in self._heap}


def make_card(example: dict, clips: torch.Tensor, key_frames: torch.LongTensor) -> dict:
    """Makes the card of a video: the frames at the centres of its clips, and others evenly spread, up to 8 in all. The
    card of a still image has the image itself instead of its views.

    Args:
        example (`dict`): the video, from [`ScoringVideoDataset`].
        clips (`torch.FloatTensor` of shape `(K, C)`): probabilities of the distinct clips.
        key_frames (`torch.LongTensor` of shape `(K, L)`): their frames.

    Returns:
        `dict`: a card as [`write_page`] takes it.
    """
    if "still" in example:
        return {
            "frames": [_webp(example["still"])],
            "frame_times": [None],
            "clips": _rounded(clips),
            "clip_frames": [0] * len(clips),
        }
    centres = key_frames[:, key_frames.shape[1] // 2].tolist()
    num_frames = int(example["frame_mask"].sum())
    count = max(STRIP_FRAMES - len(set(centres)), 1)
    strip = sorted({*centres, *np.linspace(0, num_frames - 1, count).round().astype(int).tolist()})
    seconds = example["seconds"]
    return {
        "frames": [_webp(example["pixel_values_videos"][place]) for place in strip],
        "frame_times": [None if seconds is None or not np.isfinite(seconds[p]) else float(seconds[p]) for p in strip],
        "clips": _rounded(clips),
        "clip_frames": [strip.index(centre) for centre in centres],
    }


def _rounded(clips: torch.Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in clip] for clip in clips.tolist()]


def _webp(frame: torch.Tensor) -> bytes:
    if max(frame.shape[-2:]) > STRIP_SIZE:
        frame = v2.functional.resize(frame, STRIP_SIZE - 1, max_size=STRIP_SIZE, antialias=True)
    file = io.BytesIO()
    Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()).save(file, "WEBP", quality=70, method=2)
    return file.getvalue()


__all__ = ["Cards", "make_card"]
