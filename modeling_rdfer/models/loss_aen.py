# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Losses of emotion grouping and frame-level guidance (docs/method.md, AEN; the formulas are ours).

Pure functions of B videos, F frames, C labels (emotions) and G groups (sentiments).
"""

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional as F

# In pseudo-labels: a class that the teacher does not know, or a frame without any pseudo-label.
UNKNOWN = -100.0


def group_log_sums(scores: torch.Tensor, groups: Sequence[int]) -> torch.Tensor:
    """Computes log sum_{c in g} exp s_c for each group g: log-probabilities of emotions become those of groups.

    Args:
        scores (`torch.FloatTensor` of shape `(..., C)`): scores or log-probabilities of the emotions.
        groups (sequence of C `int`): the group of each label, 0..G-1; each group has at least one label.

    Returns:
        `torch.FloatTensor` of shape `(..., G)`: scores or log-probabilities of the groups.
    """
    group = torch.tensor(list(groups), device=scores.device)
    others = group != torch.arange(max(groups) + 1, device=scores.device)[:, None]
    return scores[..., None, :].masked_fill(others, -torch.inf).logsumexp(-1)


def grouped_log_probabilities(
    emotion_scores: torch.Tensor, group_scores: torch.Tensor, groups: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Classifies the sentiment first, then the emotion within its group.

    log P(c) = log P(g) + log P(c | g), where g is the group of c, P(g) is the softmax of the group scores, and
    P(c | g) the softmax of the emotion scores among the labels of g.

    Args:
        emotion_scores (`torch.FloatTensor` of shape `(..., C)`): scores of the emotions.
        group_scores (`torch.FloatTensor` of shape `(..., G)`): scores of the groups.
        groups (sequence of C `int`): the group of each label, 0..G-1.

    Returns:
        `tuple[torch.FloatTensor, torch.FloatTensor]`: log P(c) of shape `(..., C)`, and log P(g) of shape `(..., G)`.
    """
    group = torch.tensor(list(groups), device=emotion_scores.device)
    log_groups = group_scores.log_softmax(-1)
    within_group = emotion_scores - group_log_sums(emotion_scores, groups)[..., group]
    return log_groups[..., group] + within_group, log_groups


def sentiment_cross_entropy(
    sentiment_logits: torch.Tensor, labels: torch.LongTensor, groups: Sequence[int]
) -> torch.Tensor:
    """Computes -log P(g_y), the cross-entropy of the group of the given label.

    Args:
        sentiment_logits (`torch.FloatTensor` of shape `(B, G)`): scores of the groups before softmax.
        labels (`torch.LongTensor` of shape `(B,)`): given emotions; -100 gives 0.
        groups (sequence of C `int`): the group of each label.

    Returns:
        `torch.FloatTensor` of shape `(B,)`: the loss of each video.
    """
    group = torch.tensor(list(groups), device=labels.device)
    sentiments = torch.where(labels == -100, -100, group[labels.clamp(min=0)])
    return F.cross_entropy(sentiment_logits.float(), sentiments, reduction="none")


def consistency_loss(
    sentiment_logits: torch.Tensor, emotion_scores: torch.Tensor, groups: Sequence[int]
) -> torch.Tensor:
    """Computes how far the sentiments of both heads differ: sum_g P(g) log(P(g) / sum_{c in g} Q(c)).

    Q is the softmax over all emotion scores. (The final P(c) = P(g) P(c | g) cannot be used instead of Q: within a
    group it always adds up to P(g).) The loss is 0 if and only if both heads agree.

    Args:
        sentiment_logits (`torch.FloatTensor` of shape `(B, G)`): scores of the groups before softmax.
        emotion_scores (`torch.FloatTensor` of shape `(B, C)`): scores of the emotions.
        groups (sequence of C `int`): the group of each label.

    Returns:
        `torch.FloatTensor` of shape `(B,)`: the loss of each video, >= 0.
    """
    log_groups = sentiment_logits.float().log_softmax(-1)
    log_sums = group_log_sums(emotion_scores.float().log_softmax(-1), groups)
    return (log_groups.exp() * (log_groups - log_sums)).sum(-1)


def _divergence(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(targets || softmax(logits)) among the known classes, times their probability; 0 if no class is known.

    The probability matters because a frame teaches little if it shows an expression that the model has no class for.
    """
    known = targets >= 0
    targets = torch.where(known, targets, 0.0)
    mass = targets.sum(-1)
    targets = targets / mass[..., None].clamp(min=1e-9)
    # A finite number: with -inf a row without any known class would give NaN.
    log_predicted = logits.float().masked_fill(~known, -1e9).log_softmax(-1)
    return mass.clamp(max=1) * (torch.xlogy(targets, targets) - targets * log_predicted).sum(-1)


def frame_guidance_loss(frame_logits: torch.Tensor, pseudo_labels: torch.Tensor) -> torch.Tensor:
    """Computes the mean over the frames f of KL(t_f || p_f), pseudo-label t_f against the model's prediction p_f.

    So each frame learns the expression that it shows, whatever the label of the video.

    Args:
        frame_logits (`torch.FloatTensor` of shape `(B, F, C)`): the model's scores of frames.
        pseudo_labels (`torch.FloatTensor` of shape `(B, F, C)`): a teacher's probabilities for these frames, `UNKNOWN`
            for classes it does not know: both sides are renormalised over the others. Frames without any known class
            do not count. If the teacher's probabilities of the labels add up to less than 1, because it has classes
            that the model does not have, the frame is weighted by this sum.

    Returns:
        `torch.FloatTensor` of shape `(B,)`: the loss of each video, >= 0; 0 for a video without any guidance.
    """
    pseudo_labels = pseudo_labels.float()
    guided = (pseudo_labels > 0).any(-1)
    divergences = _divergence(pseudo_labels, frame_logits) * guided
    return divergences.sum(1) / guided.sum(1).clamp(min=1)


def clip_guidance_loss(logits: torch.Tensor, pseudo_labels: torch.Tensor) -> torch.Tensor:
    """Computes KL(t || p), the pooled pseudo-labels t of a video's frames against the model's prediction p.

    t_c is proportional to the largest probability of c in any frame. The maximum is taken because most frames of most
    videos do not show the video's expression: by the mean, a short smile would be neutral.

    Args:
        logits (`torch.FloatTensor` of shape `(B, C)`): the model's scores of videos.
        pseudo_labels (`torch.FloatTensor` of shape `(B, F, C)`): as for [`frame_guidance_loss`].

    Returns:
        `torch.FloatTensor` of shape `(B,)`: the loss of each video, >= 0; 0 for a video without any guidance.
    """
    pooled = pseudo_labels.float().amax(1)
    return _divergence(pooled, logits) * (pooled > 0).any(-1)


def unlabelled_losses(
    outputs: Mapping[str, torch.Tensor],
    groups: Sequence[int] | None = None,
    pseudo_labels: torch.Tensor | None = None,
    consistency_loss_weight: float = 0.0,
    frame_guidance_weight: float = 0.0,
    clip_guidance_weight: float = 0.0,
) -> torch.Tensor:
    """Adds up, with weights, the losses that do not depend on the video's label, so that a wrong label does no harm.

    Args:
        outputs (mapping): a model's `logits` `(B, C)`, `frame_logits` `(B, F, C)` and `frame_indices` `(B, F)`; for
            the consistency also `sentiment_logits` `(B, G)` and `emotion_scores` `(B, C)`.
        groups (sequence of C `int`, *optional*): the group of each label, for the consistency.
        pseudo_labels (`torch.FloatTensor` of shape `(B, T, C)`, *optional*): for all T frames of the videos.
        consistency_loss_weight, frame_guidance_weight, clip_guidance_weight (`float`, *optional*, default to 0):
            weights, >= 0; a loss with weight 0 is left out.

    Returns:
        `torch.FloatTensor` of shape `(B,)`: the loss of each video.

    Raises:
        ValueError: if pseudo-labels are missing although a guidance weight is above 0, or have a wrong shape.
    """
    logits, frame_logits = outputs["logits"], outputs["frame_logits"]
    losses = logits.new_zeros(len(logits), dtype=torch.float)
    if consistency_loss_weight:
        losses = losses + consistency_loss_weight * consistency_loss(
            outputs["sentiment_logits"], outputs["emotion_scores"], groups
        )
    if not (frame_guidance_weight or clip_guidance_weight):
        return losses
    if pseudo_labels is None:
        raise ValueError(
            "Frame-level guidance needs `pseudo_labels`, a teacher's probabilities for each frame: pass them, train "
            "with RDFERTrainer, which computes them, or set `frame_guidance_weight` and `clip_guidance_weight` to 0."
        )
    if pseudo_labels.ndim != 3 or (len(pseudo_labels), pseudo_labels.shape[-1]) != tuple(logits.shape):
        raise ValueError(
            f"`pseudo_labels` must have shape (batch_size, num_frames, num_labels) with {len(logits)} videos and "
            f"{logits.shape[-1]} labels, got {tuple(pseudo_labels.shape)}."
        )
    index = outputs["frame_indices"][..., None].expand(-1, -1, logits.shape[-1])
    selected = pseudo_labels.to(logits.device).gather(1, index)
    if frame_guidance_weight:
        losses = losses + frame_guidance_weight * frame_guidance_loss(frame_logits, selected)
    if clip_guidance_weight:
        losses = losses + clip_guidance_weight * clip_guidance_loss(logits, selected)
    return losses


__all__ = [
    "UNKNOWN",
    "clip_guidance_loss",
    "consistency_loss",
    "frame_guidance_loss",
    "group_log_sums",
    "grouped_log_probabilities",
    "sentiment_cross_entropy",
    "unlabelled_losses",
]
