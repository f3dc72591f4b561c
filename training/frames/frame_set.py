# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Faces with what the frame network is to say of them, and how often each is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass
class FrameSet:
    """Faces to learn from. C labels.

    Attributes:
        faces (`torch.Tensor` of shape `(N, SIZE, SIZE)`): uint8, grey, see `read_still_faces`.
        targets (`torch.Tensor` of shape `(N, C)`): float32, probabilities of the labels, of sum 1.
        weights (`torch.Tensor` of shape `(N,)`): float64, how often each face is drawn, of sum 1.
    """

    faces: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.faces)

    def without(self, faces: torch.Tensor) -> "FrameSet":
        """Leaves out the faces that are among `faces` `(M, SIZE, SIZE)`, to the last bit."""
        others = {face.numpy().tobytes() for face in faces}
        kept = torch.tensor([face.numpy().tobytes() not in others for face in self.faces])
        weights = self.weights[kept]
        return FrameSet(self.faces[kept], self.targets[kept], weights / weights.sum())


def balanced_weights(targets: torch.Tensor, balance: float) -> torch.Tensor:
    """How often to draw each face, so that rare labels come more often.

    Args:
        targets (`torch.Tensor` of shape `(N, C)`): probabilities of the labels.
        balance (`float`): 0 draws all faces alike, 1 all labels.

    Returns:
        `torch.Tensor` of shape `(N,)`: float64, of sum 1.
    """
    frequencies = targets.double().mean(0).clamp(min=1e-6)
    weights = targets.double() @ frequencies**-balance
    return weights / weights.sum()


def combine(sets: Sequence[FrameSet], shares: Sequence[float]) -> FrameSet:
    """Puts sets together.

    Args:
        sets (sequence of [`FrameSet`]): the sets.
        shares (sequence of `float`): share of each in the faces drawn, of sum 1.

    Returns:
        [`FrameSet`].
    """
    return FrameSet(
        torch.cat([part.faces for part in sets]),
        torch.cat([part.targets for part in sets]),
        torch.cat([share * part.weights for part, share in zip(sets, shares)]),
    )


__all__ = ["FrameSet", "balanced_weights", "combine"]
