# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pixels of decoded frames as a usual screen shows them: HDR tone-mapped, transparent parts black, one field."""

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvF

# Transfer characteristics of HDR, and the primaries of BT.2020 (ITU-T H.273).
PQ, HLG, BT_2020 = 16, 18, 9
# White of text and paper in HDR, in cd/m2, which is white in SDR (ITU-R BT.2408).
REFERENCE_WHITE = 203
# Up to this share of white, linear light stays as it is, so that faces keep their contrast; what is brighter, up to
# the lights that only HDR can show, gets the rest of the range (ours).
KNEE = 0.75
_LUMINANCE_2020 = torch.tensor([0.2627, 0.6780, 0.0593])
# From BT.2020 to BT.709 in linear light (ITU-R BT.2087).
_TO_709 = torch.tensor([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


class ToneMap:
    """Brings HDR pixels to the range of SDR.

    Args:
        transfer (`int`): `PQ` (SMPTE ST 2084) or `HLG` (ARIB STD-B67), numbered as in ITU-T H.273.
        primaries (`int`): colour primaries, numbered in the same way; those of BT.2020 become those of BT.709.
    """

    def __init__(self, transfer: int, primaries: int):
        self._is_hlg, self._primaries = transfer == HLG, primaries
        signal = torch.arange(1024, dtype=torch.float64) / 1023  # 10 bits, which the videos have
        # NumPy looks values up four times as fast as torch.
        self._light = (_hlg_to_scene(signal) if self._is_hlg else _pq_to_light(signal)).float().numpy()

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Converts a frame.

        Args:
            frame (`np.ndarray` of shape `(H, W, 3)`): uint16 RGB, 0..65535, as the video stores it.

        Returns:
            `np.ndarray` of shape `(H, W, 3)`: uint8 RGB of BT.709, for a screen of gamma 2.4 (ITU-R BT.1886).
        """
        light = torch.from_numpy(self._light[frame >> 6])
        if self._is_hlg:  # of a display of 1,000 cd/m2 (ITU-R BT.2100)
            light *= (light @ _LUMINANCE_2020).pow_(0.2)[..., None] * (1000 / REFERENCE_WHITE)
        if self._primaries == BT_2020:
            light = light @ _TO_709.T
        light.clamp_(min=0)
        brightest = light.amax(-1, keepdim=True)
        # One factor for the three colours keeps the hue.
        rolled_off = 1 - (1 - KNEE) * torch.exp((KNEE - brightest) / (1 - KNEE))
        light *= torch.where(brightest > KNEE, rolled_off / brightest.clamp(min=KNEE), 1)
        return light.pow_(1 / 2.4).mul_(255).round_().clamp_(max=255).to(torch.uint8).numpy()


def _pq_to_light(signal: torch.Tensor) -> torch.Tensor:
    """Light in units of the reference white, from the signal of PQ, 0..1 (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return 10_000 / REFERENCE_WHITE * ((power - c1).clamp(min=0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg_to_scene(signal: torch.Tensor) -> torch.Tensor:
    """Light of the scene, 0..1, from the signal of HLG, 0..1 (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return torch.where(signal <= 0.5, signal**2 / 3, (torch.exp((signal - c) / a) + b) / 12)


def over_black(frame: np.ndarray) -> np.ndarray:
    """Shows a frame `(H, W, 4)`, uint8 RGB and alpha, before black: uint8 `(H, W, 3)`."""
    alpha = frame[..., 3:]
    if alpha.min() == 255:
        return frame[..., :3]
    return ((frame[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def first_field(frame: np.ndarray) -> np.ndarray:
    """Fills an interlaced frame `(H, W, 3)`, uint8, from every second line, which show one moment: the same shape.

    The lines of the other field show another moment, which tears moving faces into combs.
    """
    field = torch.from_numpy(np.ascontiguousarray(frame[::2])).permute(2, 0, 1)
    full = tvF.resize(field, list(frame.shape[:2]), interpolation=tvF.InterpolationMode.BILINEAR, antialias=True)
    return full.permute(1, 2, 0).numpy()
