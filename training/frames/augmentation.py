# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Turns still face images into what face crops of videos look like: framing, roll, light, blur, noise, compression.

All functions work on a batch at once. Strengths are ours, chosen on FER+ validation and the crops of real videos.
"""

import functools
import math

import torch
from torch.nn import functional as F

from training.frames.face_images import MARGIN

# Quantisation of luminance in JPEG at quality 50 (ITU-T T.81, Annex K).
_JPEG_LUMINANCE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""


def augment(faces: torch.Tensor, size: int) -> torch.Tensor:
    """Makes a random crop of each face and changes its light and quality. Draws from PyTorch's global generator.

    Args:
        faces (`torch.Tensor` of shape `(N, SIZE, SIZE)`): uint8, grey, see `read_still_faces`.
        size (`int`): height and width of the result, a multiple of 8.

    Returns:
        `torch.FloatTensor` of shape `(N, 1, size, size)`: values 0..1.
    """
    pixels = _random_backgrounds(faces[:, None].float() / 255, share=0.3)
    return _random_patches(_random_quality(_random_light(_random_crops(pixels, size))))


def crop(faces: torch.Tensor, size: int, margin: float) -> torch.Tensor:
    """Cuts the middle out as the video processor crops a face.

    Args:
        faces (`torch.Tensor` of shape `(N, SIZE, SIZE)`): uint8, grey, see `read_still_faces`.
        size (`int`): height and width of the result.
        margin (`float`): side of the square in units of the face's side.

    Returns:
        `torch.FloatTensor` of shape `(N, 1, size, size)`: values 0..1.
    """
    zero = torch.zeros(len(faces))
    matrices = _matrices(zero, zero, zero + margin, zero, zero + 1)
    return _warp(faces[:, None].float() / 255, matrices, size, "border")


# Drawing -------------------------------------------------------------------------------------------------------------


def _uniform(count: int, low: float, high: float) -> torch.Tensor:
    return torch.rand(count) * (high - low) + low


def _lognormal(count: int, deviation: float) -> torch.Tensor:
    return torch.exp(torch.randn(count) * deviation)


def _some(count: int, share: float) -> torch.Tensor:
    """Indices of a random share."""
    return (torch.rand(count) < share).nonzero().flatten()


def _per_image(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1)


# Framing -------------------------------------------------------------------------------------------------------------


def _random_backgrounds(pixels: torch.Tensor, share: float) -> torch.Tensor:
    """Other surroundings for a share of the faces: outside a soft ellipse another image, or a plain tone."""
    chosen = _some(len(pixels), share)
    count, width = len(chosen), pixels.shape[-1]
    axis = ((torch.arange(width) + 0.5) / width - 0.5) * MARGIN
    # The middle of the face lies a little below that of the crop.
    across, along = axis.view(1, 1, width), axis.view(1, width, 1) - 0.08
    half_width, half_height, sharpness = (
        _uniform(count, low, high).view(-1, 1, 1) for low, high in ((0.42, 0.6), (0.56, 0.8), (6.0, 40.0))
    )
    distance = ((across / half_width).square() + (along / half_height).square()).sqrt()
    inside = torch.sigmoid((1 - distance) * sharpness)[:, None]
    other = pixels[torch.randint(len(pixels), (count,))].flip(2)
    tone = _per_image(torch.rand(count)).expand_as(other)
    other = torch.where(_per_image(torch.rand(count)) < 0.5, other, tone)
    pixels[chosen] = pixels[chosen] * inside + other * (1 - inside)
    return pixels


def _random_crops(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Tighter and looser crops than the processor's; rolled, shifted, stretched, mirrored. What lies outside the face
    image is filled in three ways.
    """
    count = len(pixels)
    margin = torch.exp(_uniform(count, math.log(0.95), math.log(1.55)))
    shift_x, shift_y = (0.04 * margin * torch.randn(count) for _ in range(2))
    roll = torch.where(torch.rand(count) < 0.25, _uniform(count, -45, 45), 7.0 * torch.randn(count))
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    matrices = _matrices(shift_x, shift_y, margin, torch.deg2rad(roll), mirror)
    stretch = _lognormal(count, 0.04)[:, None]
    matrices = torch.stack([matrices[:, :, 0] * stretch, matrices[:, :, 1] / stretch, matrices[:, :, 2]], 2)
    parts = []
    fillings = ("border", "reflection", "tone")
    for part, filling in zip(torch.arange(count).tensor_split([round(count * 0.4), round(count * 0.7)]), fillings):
        if len(part):
            warped = _warp_toned if filling == "tone" else functools.partial(_warp, padding=filling)
            parts.append(warped(pixels[part], matrices[part], size))
    return torch.cat(parts)


def _warp_toned(pixels: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
    """As `_warp`, with a random tone around the face image."""
    warped = _warp(pixels - 2, matrices, size, "zeros")  # negative inside
    return torch.where(warped > -1, _per_image(torch.rand(len(warped))), (warped + 2).clamp(0, 1))


def _matrices(shift_x, shift_y, margin, angle, mirror) -> torch.Tensor:
    """Affine matrices `(N, 2, 3)` from the crop's coordinates to the face image's, as `affine_grid` takes them."""
    scale, cosine, sine = margin / MARGIN, torch.cos(angle), torch.sin(angle)
    return torch.stack(
        [
            torch.stack([scale * cosine * mirror, -scale * sine, 2 * shift_x / MARGIN], 1),
            torch.stack([scale * sine * mirror, scale * cosine, 2 * shift_y / MARGIN], 1),
        ],
        1,
    )


def _warp(pixels: torch.Tensor, matrices: torch.Tensor, size: int, padding: str) -> torch.Tensor:
    grid = F.affine_grid(matrices, [len(pixels), 1, size, size], align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode=padding, align_corners=False)


# Light and quality ---------------------------------------------------------------------------------------------------


def _random_light(pixels: torch.Tensor) -> torch.Tensor:
    """Gamma, light from one side, contrast, brightness."""
    count, size = len(pixels), pixels.shape[-1]
    pixels = pixels.clamp(1e-3, 1) ** _per_image(_lognormal(count, 0.25))
    chosen = _some(count, 0.2)
    ramp = torch.linspace(-1, 1, size)
    direction = _per_image(_uniform(len(chosen), -math.pi, math.pi))
    slope = torch.cos(direction) * ramp.view(1, 1, 1, size) + torch.sin(direction) * ramp.view(1, 1, size, 1)
    pixels[chosen] = pixels[chosen] * (1 + _per_image(_uniform(len(chosen), 0, 0.6)) * slope)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    contrast, brightness = (_per_image(_lognormal(count, 0.17)) for _ in range(2))
    return ((pixels - mean) * contrast + mean * brightness).clamp(0, 1)


def _random_quality(pixels: torch.Tensor) -> torch.Tensor:
    """Sharpening, blur and low resolution, noise, compression, darkness with few levels; each for a share."""
    count, size = len(pixels), pixels.shape[-1]
    chosen = _some(count, 0.18)
    blurred = F.avg_pool2d(pixels[chosen], 3, 1, 1, count_include_pad=False)
    strength = _per_image(_uniform(len(chosen), 0.3, 2.0))
    pixels[chosen] = (pixels[chosen] + strength * (pixels[chosen] - blurred)).clamp(0, 1)
    for part in _some(count, 0.21).tensor_split(4):
        if len(part):
            smaller = int(torch.randint(size // 3, size - size // 12, (1,)))
            reduced = F.interpolate(pixels[part], (smaller, smaller), mode="bilinear", antialias=True)
            enlarge = "bilinear" if torch.rand(1) < 0.85 else "nearest"
            pixels[part] = F.interpolate(reduced, (size, size), mode=enlarge)
    chosen = _some(count, 0.18)
    noise = torch.randn(len(chosen), 1, size, size) * _per_image(_uniform(len(chosen), 0.01, 0.08))
    pixels[chosen] = (pixels[chosen] + noise).clamp(0, 1)
    chosen = _some(count, 0.14)
    pixels[chosen] = _compress(pixels[chosen], _uniform(len(chosen), 6, 50))
    chosen = _some(count, 0.1)
    pixels[chosen] = (pixels[chosen] * _per_image(_uniform(len(chosen), 0.1, 0.5)) * 255).round() / 255
    return pixels


def _compress(pixels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What JPEG compression with a quality of 1..50 leaves of grey images."""
    count, _, size, _ = pixels.shape
    index = torch.arange(8.0)
    transform = torch.cos(math.pi * (2 * index + 1) * index[:, None] / 16) / 2
    transform[0] /= math.sqrt(2)
    steps = torch.tensor([float(step) for step in _JPEG_LUMINANCE.split()]).view(8, 8)
    steps = (steps * (50 / quality).view(-1, 1, 1, 1, 1)).clamp(min=1)
    blocks = (pixels * 255 - 128).view(count, size // 8, 8, size // 8, 8).transpose(2, 3)
    blocks = transform.T @ (((transform @ blocks @ transform.T) / steps).round() * steps) @ transform
    return ((blocks.transpose(2, 3).reshape(count, 1, size, size) + 128) / 255).clamp(0, 1)


def _random_patches(pixels: torch.Tensor) -> torch.Tensor:
    """A plain rectangle over a fifth of the faces: something in front of them."""
    size = pixels.shape[-1]
    chosen = _some(len(pixels), 0.2)
    height, width = (_uniform(len(chosen), 0.12, 0.4) * size for _ in range(2))
    top, left = torch.rand(len(chosen)) * (size - height), torch.rand(len(chosen)) * (size - width)
    axis = torch.arange(size)
    rows = (axis >= top[:, None]) & (axis < (top + height)[:, None])
    columns = (axis >= left[:, None]) & (axis < (left + width)[:, None])
    covered = rows[:, None, :, None] & columns[:, None, None, :]
    pixels[chosen] = torch.where(covered, _per_image(torch.rand(len(chosen))), pixels[chosen])
    return pixels


__all__ = ["augment", "crop"]
