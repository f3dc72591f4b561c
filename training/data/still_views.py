# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Videos of still images: a still becomes a video of views of itself, so that clips differ. No view shows motion."""

import torch
from torch.nn import functional as F

# Views that a still becomes a video of: enough for four clips that differ.
NUM_VIEWS = 8


def random_views(images: torch.Tensor, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Draws a view of each image: crop, roll, mirroring, light and blur (ours).

    Args:
        images (`torch.Tensor` of shape `(N, C, H, W)`): uint8.
        size (`tuple[int, int]`): height and width of the views.
        generator (`torch.Generator`): what the views are drawn with.

    Returns:
        `torch.FloatTensor` of shape `(N, C, *size)`: 0..255.
    """
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    scale, roll = uniform(0.8, 1.05), torch.deg2rad(uniform(-15, 15))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cosine, sine = scale * torch.cos(roll), scale * torch.sin(roll)
    rows = [
        torch.stack([cosine * mirror, -sine, uniform(-0.1, 0.1)], 1),
        torch.stack([sine * mirror, cosine, uniform(-0.1, 0.1)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, *size], align_corners=False)
    pixels = images.float() / 255
    blurred = F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    share, gamma, gain = (uniform(*ends).view(-1, 1, 1, 1) for ends in ((-0.5, 1), (0.7, 1.4), (0.8, 1.2)))
    pixels = pixels + share.clamp(min=0) * (blurred - pixels)
    views = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return 255 * (gain * views.clamp(1e-3, 1) ** gamma).clamp(0, 1)


def video_of_still(
    frames: torch.Tensor, num_views: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Makes a video of a still image.

    Args:
        frames (`torch.ByteTensor` of shape `(T, 3, H, W)`): a video whose first frame is the image, and the others
            padding.
        num_views (`int`): how many views there are to be; at most T are.
        generator (`torch.Generator`): what they are drawn with.

    Returns:
        `tuple`: the frames `(T, 3, H, W)`, uint8: the views, then padding; and the mask `(T,)`, True for views.
    """
    num_views = min(num_views, len(frames))
    images = frames[:1].expand(num_views, -1, -1, -1)
    views = random_views(images, tuple(frames.shape[-2:]), generator).round().to(torch.uint8)
    padding = views[-1:].expand(len(frames) - num_views, -1, -1, -1)
    return torch.cat([views, padding]), torch.arange(len(frames)) < num_views


__all__ = ["NUM_VIEWS", "random_views", "video_of_still"]
