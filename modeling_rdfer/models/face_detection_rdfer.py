# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Detects the faces in frames with BlazeFace of Google MediaPipe."""

from itertools import pairwise
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torchvision.ops import batched_nms
from torchvision.transforms.v2 import functional as tvF


class _BlazeBlock(nn.Module):
    """Depthwise and pointwise convolution with a shortcut; `stride=2` halves the map (MediaPipe BlazeFace)."""

    def __init__(self, in_channels, out_channels, stride=1, residual=True):
        super().__init__()
        self.stride, self.residual = stride, residual
        self.dw = nn.Conv2d(in_channels, in_channels, 3, stride, padding=2 - stride, groups=in_channels, bias=False)
        self.pw = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        # TensorFlow's SAME with stride 2 on an even size pads below and at the right only.
        out = self.pw(self.dw(F.pad(x, (0, 1, 0, 1)) if self.stride == 2 else x))
        if self.residual:
            shortcut = F.max_pool2d(x, 2) if self.stride == 2 else x
            out[:, : shortcut.shape[1]] += shortcut  # new channels have none
        return F.relu_(out)


class _BlazeFace(nn.Module):
    """One BlazeFace net: images `(N, 3, size, size)` -> score logits `(N, 896)`, raw boxes `(N, 896, 16)`."""

    def __init__(self, size, channels1, strided1, channels2, residual2):
        super().__init__()
        self.size = size
        self.stem = nn.Conv2d(3, channels1[0], 5, 2)
        pairs1, pairs2 = pairwise(channels1), pairwise(channels2)
        self.b1 = nn.Sequential(*[_BlazeBlock(i, o, 1 + (n in strided1)) for n, (i, o) in enumerate(pairs1)])
        self.b2 = nn.Sequential(*[_BlazeBlock(i, o, 1 + (n == 0), residual2) for n, (i, o) in enumerate(pairs2)])
        self.c1, self.r1 = (nn.Conv2d(channels1[-1], 2, 1), nn.Conv2d(channels1[-1], 2 * 16, 1))
        self.c2, self.r2 = (nn.Conv2d(channels2[-1], 6, 1), nn.Conv2d(channels2[-1], 6 * 16, 1))

    def forward(self, images):
        map1 = self.b1(F.relu_(self.stem(F.pad(images, (1, 2, 1, 2)))))
        map2 = self.b2(map1)
        logits = [self.c1(map1), self.c2(map2)]
        boxes = [self.r1(map1), self.r2(map2)]
        return (
            torch.cat([x.permute(0, 2, 3, 1).reshape(len(images), -1) for x in logits], 1),
            torch.cat([x.permute(0, 2, 3, 1).reshape(len(images), -1, 16) for x in boxes], 1),
        )


class RDFERFaceDetector(nn.Module):
    """Face detector: the two BlazeFace nets of Google MediaPipe (Apache-2.0), in float32, for inference only.

    `front` (128 pixels, about 2.5 ms a frame) finds faces down to about a seventh of the frame's longer side, `back`
    (256 pixels, about 15 ms a frame) down to about a twentieth. Use `from_file` to load it.
    """

    def __init__(self):
        super().__init__()
        self.front = _BlazeFace(128, [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88], (2, 5), [88] + [96] * 5, True)
        self.back = _BlazeFace(256, [24] * 16 + [48] * 8 + [96] * 8, (7, 15, 23), [96, 96], False)
        cells = [
            (grid, x, y) for grid, n in ((16, 2), (8, 6)) for y in range(grid) for x in range(grid) for _ in range(n)
        ]
        centres = torch.tensor([((x + 0.5) / grid, (y + 0.5) / grid) for grid, x, y in cells])
        self.register_buffer("_anchors", centres, persistent=False)

    @classmethod
    def from_file(cls, path):
        """Loads the detector's weights.

        Args:
            path (`str` or `os.PathLike`): safetensors file with the tensors of both nets, prefixed `front.` and
                `back.`; float16 or float32 (the originals fit in float16 without loss; computing is in float32).

        Returns:
            `RDFERFaceDetector`: in evaluation mode, on the CPU.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file's tensors are not those of the two nets.
        """
        detector = cls()
        try:
            detector.load_state_dict(load_file(path))  # copies into float32 parameters
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(f"{path} does not hold the tensors of the face detector: {error}") from None
        # Channels last is twice as fast for these thin depthwise nets.
        return detector.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def detect(
        self,
        frames,
        model: Literal["front", "back"] = "front",
        indices=None,
        min_score=0.5,
        max_overlap=0.3,
        quarter_turns: int = 0,
    ):
        """Finds the faces of each frame (MediaPipe BlazeFace, with plain non-maximum suppression instead of blending).

        Args:
            frames (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB, 0..255, any size.
            model (`str`, *optional*, defaults to `"front"`): net to use, `"front"` (fast, large faces) or `"back"`
                (slow, small faces too).
            indices (sequence of `int`, *optional*): run on these frames only; all by default.
            min_score (`float`, *optional*, defaults to 0.5): lowest score of a face, 0..1.
            max_overlap (`float`, *optional*, defaults to 0.3): of two boxes whose intersection over union is above
                this, the one with the higher score stays; 0..1.
            quarter_turns (`int`, *optional*, defaults to 0): how often the net sees the frames turned by 90 degrees,
                counter-clockwise, 0..3. It finds few faces that lean by more than 90 degrees.

        Returns:
            `list[torch.Tensor]`: for each frame examined, a float32 CPU tensor of shape `(n, 11)`: x1, y1, x2, y2 of
            the upright box, score 0..1, then x, y of the person's right eye, left eye and nose. Positions are
            in pixels of the frame as it is given (outside of it if the border cuts the face), whatever
            `quarter_turns` is. The highest score comes first; `n` may be 0.

        Raises:
            ValueError: if `frames` is not uint8 of shape `(N, 3, H, W)`, or `model` is unknown.
        """
        check_frames(frames)
        if model not in ("front", "back"):
            raise ValueError(f"model must be 'front' or 'back', got {model!r}")
        net = getattr(self, model)
        indices = list(range(len(frames)) if indices is None else indices)
        height, width = frames.shape[-2:]
        # Fitting into the square before padding equals padding first, and costs less.
        fit_h, fit_w = (max(1, round(side * net.size / max(height, width))) for side in (height, width))
        scale = self._anchors.new_tensor([width / fit_w, height / fit_h])
        found = []
        for batch in detection_batches(indices, model):
            small = [tvF.resize(frames[i], [fit_h, fit_w], antialias=True) for i in batch]
            turned = torch.rot90(torch.stack(small), quarter_turns, (2, 3))
            padding = (0, net.size - turned.shape[3], 0, net.size - turned.shape[2])
            images = F.pad(turned, padding).to(self._anchors.device)
            with torch.inference_mode():
                logits, raw = net((images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
            scores = logits.sigmoid()
            frame, anchor = torch.nonzero(scores > min_score, as_tuple=True)
            centre, sides, *key_points = raw[frame, anchor, :10].unflatten(1, (5, 2)).unbind(1)
            places = torch.stack([centre - sides / 2, centre + sides / 2, *key_points], 1)
            places += self._anchors[anchor, None] * net.size
            scores = scores[frame, anchor]
            keep = batched_nms(places[:, :2].flatten(1), scores, frame, max_overlap)
            places = _turn_back(places, quarter_turns, fit_w, fit_h) * scale
            corners, key_points = places[:, :2], places[:, 2:].flatten(1)
            rows = torch.cat([corners.amin(1), corners.amax(1), scores[:, None], key_points], 1)
            rows, frame = rows[keep].cpu(), frame[keep].cpu()
            found += [rows[frame == i] for i in range(len(small))]
        return found


def _turn_back(places, quarter_turns, width, height):
    """Places (..., 2) in a picture that was turned counter-clockwise -> places in the picture of this size."""
    x, y = places.unbind(-1)
    return torch.stack([(x, y), (width - y, x), (width - x, height - y), (y, height - x)][quarter_turns], -1)


def detection_batches(indices: list[int], model: str) -> list[list[int]]:
    """Splits frames into batches for a net: as many frames as stay in the processor's cache."""
    size = 4 if model == "front" else 2
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def check_frames(frames: torch.Tensor):
    """Raises ValueError unless `frames` is uint8 of shape `(T, 3, H, W)` and not empty."""
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise ValueError(
            f"frames must be uint8 of shape (T, 3, H, W), not empty; got {frames.dtype} {tuple(frames.shape)}"
        )


__all__ = ["RDFERFaceDetector"]
