# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Agreement of the clips of a video, for both families: which clips count, and which share of them agrees."""

import torch
from torch.nn import functional as F


def distinct_clips(key_frame_indices: torch.LongTensor) -> torch.BoolTensor:
    """Marks the clips that are not a copy of the clip before them (ours).

    Args:
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`): frames of the clips, sorted in time.

    Returns:
        `torch.BoolTensor` of shape `(B, K)`: True for distinct clips; always True for the first clip.
    """
    moved = (key_frame_indices[:, 1:] != key_frame_indices[:, :-1]).any(-1)
    return torch.cat([torch.ones_like(key_frame_indices[:, :1, 0], dtype=torch.bool), moved], dim=1)


def clip_agreement(clip_logits: torch.Tensor, clip_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Computes the agreement of the clips of a video: the share that predicts the most frequent class.

    A = max_c (1/K) sum_i [E_i = c], where clip i is classified as E_i (docs/method.md, Agreement; arXiv 2502.16129,
    figure 1).

    Args:
        clip_logits (`torch.FloatTensor` of shape `(B, K, C)`): scores of the clips.
        clip_mask (`torch.BoolTensor` of shape `(B, K)`, *optional*): True for the clips that count; all by default.

    Returns:
        `torch.FloatTensor` of shape `(B,)`: agreement, 1/K..1.
    """
    votes = F.one_hot(clip_logits.argmax(-1), clip_logits.shape[-1]).float()
    if clip_mask is None:
        return votes.mean(1).amax(-1)
    clip_mask = clip_mask.to(votes.dtype)
    return (votes * clip_mask[..., None]).sum(1).amax(-1) / clip_mask.sum(1)


__all__ = ["clip_agreement", "distinct_clips"]
