# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Losses: cross-entropy and noise-robust variants of it for single samples, and the weighted loss of a batch."""

import functools
from collections.abc import Callable

import torch
from torch.nn import functional as F


def cross_entropy(logits: torch.Tensor, labels: torch.LongTensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Computes the cross-entropy -sum_c q_c log p_c of each sample.

    With label smoothing s, q_c is s / C for every class, plus 1 - s for the label.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        label_smoothing (`float`, *optional*, defaults to 0.0): s, 0..1.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: the loss of each sample.
    """
    return F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=label_smoothing)


def generalized_cross_entropy(logits: torch.Tensor, labels: torch.LongTensor, q: float = 0.7) -> torch.Tensor:
    """Computes the generalised cross-entropy (1 - p_y^q) / q of each sample (Zhang and Sabuncu, NeurIPS 2018).

    It is cross-entropy for q -> 0 and mean absolute error for q = 1. Wrong labels have less influence than with
    cross-entropy.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        q (`float`, *optional*, defaults to 0.7): robustness, 0 < q <= 1.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: the loss of each sample.
    """
    # Computed from log p_y, so that there is a gradient even where p_y underflows.
    log_probability = logits.float().log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
    return -torch.expm1(q * log_probability) / q


def symmetric_cross_entropy(
    logits: torch.Tensor,
    labels: torch.LongTensor,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Computes the symmetric cross-entropy alpha * CE + beta * RCE of each sample (Wang et al., ICCV 2019).

    RCE is the reverse cross-entropy -A (1 - p_y), in which A stands for log 0.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        alpha (`float`, *optional*, defaults to 0.1): weight of the cross-entropy, >= 0.
        beta (`float`, *optional*, defaults to 1.0): weight of the reverse cross-entropy, >= 0.
        log_zero (`float`, *optional*, defaults to -4.0): A, below 0.
        label_smoothing (`float`, *optional*, defaults to 0.0): label smoothing of the cross-entropy, 0..1.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: the loss of each sample.
    """
    probability = logits.float().softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
    return alpha * cross_entropy(logits, labels, label_smoothing) - beta * log_zero * (1 - probability)


def sample_loss_function(
    name: str, label_smoothing: float = 0.0, gce_q: float = 0.7, sce_alpha: float = 0.1, sce_beta: float = 1.0
) -> Callable[[torch.Tensor, torch.LongTensor], torch.Tensor]:
    """Returns the loss with this name as a function.

    Args:
        name (`str`): `"ce"`, `"gce"` or `"sce"`.
        label_smoothing (`float`, *optional*, defaults to 0.0): for `ce`, and for the cross-entropy in `sce`.
        gce_q (`float`, *optional*, defaults to 0.7): see [`generalized_cross_entropy`].
        sce_alpha (`float`, *optional*, defaults to 0.1): see [`symmetric_cross_entropy`].
        sce_beta (`float`, *optional*, defaults to 1.0): see [`symmetric_cross_entropy`].

    Returns:
        `Callable`: from logits `(N, C)` and labels `(N,)` to losses `(N,)`.

    Raises:
        ValueError: if there is no loss of that name.
    """
    if name == "ce":
        return functools.partial(cross_entropy, label_smoothing=label_smoothing)
    if name == "gce":
        return functools.partial(generalized_cross_entropy, q=gce_q)
    if name == "sce":
        return functools.partial(
            symmetric_cross_entropy, alpha=sce_alpha, beta=sce_beta, label_smoothing=label_smoothing
        )
    raise ValueError(f"Unknown loss {name!r}: expected 'ce', 'gce' or 'sce'.")


def blended_loss_function(
    first: Callable[[torch.Tensor, torch.LongTensor], torch.Tensor],
    second: Callable[[torch.Tensor, torch.LongTensor], torch.Tensor],
    share: float,
) -> Callable[[torch.Tensor, torch.LongTensor], torch.Tensor]:
    """Returns the loss (1 - share) x `first` + share x `second` of each sample.

    Args:
        first, second (`Callable`): losses as [`sample_loss_function`] returns them.
        share (`float`): 0..1.

    Returns:
        `Callable`: from logits `(N, C)` and labels `(N,)` to losses `(N,)`.
    """
    if share in (0, 1):
        return second if share else first
    return lambda logits, labels: (1 - share) * first(logits, labels) + share * second(logits, labels)


def weighted_loss(
    logits: torch.Tensor,
    clip_logits: torch.Tensor,
    detector_logits: torch.Tensor | None,
    labels: torch.LongTensor,
    clip_mask: torch.BoolTensor,
    weights: torch.Tensor,
    loss_function: Callable[[torch.Tensor, torch.LongTensor], torch.Tensor] = cross_entropy,
    clip_loss_weight: float = 0.1,
    detector_loss_weight: float = 0.1,
    video_loss_weight: float = 1.0,
    further_losses: torch.Tensor | None = None,
) -> torch.Tensor:
    """Computes the weighted loss of a batch.

    It is the mean over the batch of weight x (`video_loss_weight` x loss of the video + `clip_loss_weight` x mean loss
    of its distinct clips + `detector_loss_weight` x loss of the detecting network). The default weights of the terms
    are the authors' (arXiv 2502.16129). The sum is not divided by the weights of the batch: a batch of dropped samples
    gives 0, and gradient accumulation does not change the gradient.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores of the videos.
        clip_logits (`torch.FloatTensor` of shape `(N, K, C)`): scores of the clips.
        detector_logits (`torch.FloatTensor` of shape `(N, C)` or `None`): scores of the detecting network; `None` for
            models without one.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.
        clip_mask (`torch.BoolTensor` of shape `(N, K)`): True for distinct clips.
        weights (`torch.FloatTensor` of shape `(N,)`): weights of the samples; no gradient flows through them.
        loss_function (`Callable`, *optional*, defaults to `cross_entropy`): loss of each sample, see
            [`sample_loss_function`].
        clip_loss_weight, detector_loss_weight (`float`, *optional*, default to 0.1): weights of these terms.
        video_loss_weight (`float`, *optional*, defaults to 1.0): weight of the video's loss.
        further_losses (`torch.FloatTensor` of shape `(N,)`, *optional*): added to the losses of the samples.

    Returns:
        `torch.FloatTensor` of shape `()`: the loss of the batch.
    """
    num_clips = clip_logits.shape[1]
    clip_losses = loss_function(clip_logits.flatten(0, 1), labels.repeat_interleave(num_clips)).view(-1, num_clips)
    clip_losses = (clip_losses * clip_mask).sum(1) / clip_mask.sum(1)
    losses = video_loss_weight * loss_function(logits, labels) + clip_loss_weight * clip_losses
    if detector_logits is not None:
        losses = losses + detector_loss_weight * loss_function(detector_logits, labels)
    if further_losses is not None:
        losses = losses + further_losses
    return (weights.detach() * losses).mean()


__all__ = [
    "blended_loss_function",
    "cross_entropy",
    "generalized_cross_entropy",
    "sample_loss_function",
    "symmetric_cross_entropy",
    "weighted_loss",
]
