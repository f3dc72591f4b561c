# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Frames with a face pasted at known places or turned to the side, and how far boxes are from it."""

import math

import torch
from torchvision.transforms.v2 import functional as tvF

# Of the reference box of second 0.4 of the real clip, relative to the picture of the fixture `face`.
FACE_CENTRE = torch.tensor([202.7 - 115, 190.4 - 100])
FACE_SIDE = 99.4


def paste(pictures, lefts_tops, size=(400, 600), grey=90):
    """Pastes one picture (3, h, w), or None, per frame at (left, top) on a grey canvas, cut at its border."""
    frames = torch.full((len(pictures), 3, *size), grey, dtype=torch.uint8)
    for frame, picture, (left, top) in zip(frames, pictures, lefts_tops):
        if picture is None:
            continue
        left, top = round(left), round(top)
        y, x = max(0, top), max(0, left)
        target = frame[:, y : max(0, top + picture.shape[1]), x : max(0, left + picture.shape[2])]
        target.copy_(picture[:, y - top :, x - left :][:, : target.shape[1], : target.shape[2]])
    return frames


def centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:4]) / 2


def sides(boxes):
    return (boxes[:, 2:4] - boxes[:, :2]).prod(1).sqrt()


def furthest(boxes, lefts_tops, scale=1.0):
    """Largest distance of a box's centre from the pasted face's, in units of the face's side."""
    expected = torch.tensor(lefts_tops, dtype=torch.float32).round() + FACE_CENTRE * scale
    return float(((centres(boxes) - expected).norm(dim=1) / (FACE_SIDE * scale)).max())


def shrink(picture, scale):
    return tvF.resize(picture, [round(side * scale) for side in picture.shape[-2:]], antialias=True)


def turn_to_the_side(picture, degrees, grey=90):
    """The picture of the fixture `face` on an ellipsoid head with a nose, turned to the person's left."""
    height, width = picture.shape[1:]
    fine = tvF.resize(picture, [3 * height, 3 * width], antialias=True).flatten(1)
    down = (torch.arange(3 * height) + 0.5)[:, None].expand(-1, 3 * width).flatten() / 3
    across = (torch.arange(3 * width) + 0.5).repeat(3 * height) / 3
    x, y = (across - FACE_CENTRE[0]) / FACE_SIDE, (down - FACE_CENTRE[1]) / FACE_SIDE
    radius = (x / 0.55) ** 2 + (y / 0.8) ** 2
    z = 0.62 * (1 - radius).clamp(min=0).sqrt() + 0.16 * torch.exp(-((x / 0.07) ** 2) - ((y + 0.03) / 0.13) ** 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    column = ((x * cos + z * sin) * FACE_SIDE + FACE_CENTRE[0]).round().long()
    depth = (z * cos - x * sin).masked_fill((radius >= 0.98) | (column < 0) | (column >= width), -torch.inf)
    place = down.long() * width + column.clamp(0, width - 1)
    nearest = torch.full((height * width,), -torch.inf).scatter_reduce(0, place, depth, "amax")
    seen = (depth == nearest[place]) & depth.isfinite()
    turned = torch.full((3, height * width), grey, dtype=torch.uint8)
    turned[:, place[seen]] = fine[:, seen]
    return turned.unflatten(1, (height, width))
