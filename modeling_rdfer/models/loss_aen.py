# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Emotion grouping and frame-level guidance (section 4 of the design, after the abstract of the AEN paper; the formulas
are ours). Pure functions: B videos, F frames, C labels (emotions), G groups (sentiments).
"""

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional as F

# In pseudo-labels: a class that the teacher does not know, or a frame that it has no answer for.
UNKNOWN = -100.0


def group_log_sums(scores: torch.Tensor, groups: Sequence[int]) -> torch.Tensor:
    """
    log sum_{c in g} exp s_c for each group g. Of log-probabilities of emotions it gives those of the groups.

    Args:
        scores (`torch.FloatTensor` of shape `(..., C)`): scores or log-probabilities of the emotions.
        groups (sequence of C `int`): the group of each label, 0..G-1; each group has a label.

    Returns:
        `torch.FloatTensor` of shape `(..., G)`.
    """
    group = torch.tensor(list(groups), device=scores.device)
    others = group != torch.arange(max(groups) + 1, device=scores.device)[:, None]
    return scores[..., None, :].masked_fill(others, -torch.inf).logsumexp(-1)


def grouped_log_probabilities(
    emotion_scores: torch.Tensor, group_scores: torch.Tensor, groups: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Sentiment first, then the emotion inside its group: log P(c) = log P(g) + log P(c | g), where g is the group of c,
    P(g) = softmax of the group scores, and P(c | g) = softmax of the emotion scores among the labels of g.

    Args:
        emotion_scores (`torch.FloatTensor` of shape `(..., C)`): scores of the emotions.
        group_scores (`torch.FloatTensor` of shape `(..., G)`): scores of the groups.
        groups (sequence of C `int`): the group of each label, 0..G-1.

    Returns:
        `torch.FloatTensor` of shape `(..., C)`, log P(c), and `(..., G)`, log P(g).
    """
    group = torch.tensor(list(groups), device=emotion_scores.device)
    log_groups = group_scores.log_softmax(-1)
    inside = emotion_scores - group_log_sums(emotion_scores, groups)[..., group]
    return log_groups[..., group] + inside, log_groups


def sentiment_cross_entropy(
    sentiment_logits: torch.Tensor, labels: torch.LongTensor, groups: Sequence[int]
) -> torch.Tensor:
    """
    -log P(g_y): cross-entropy of the group of the given label.

    Args:
        sentiment_logits (`torch.FloatTensor` of shape `(B, G)`): scores of the groups before softmax.
        labels (`torch.LongTensor` of shape `(B,)`): given emotions; -100 gives 0.
        groups (sequence of C `int`): the group of each label.

    Returns:
        `torch.FloatTensor` of shape `(B,)`.
    """
    group = torch.tensor(list(groups), device=labels.device)
    sentiments = torch.where(labels == -100, -100, group[labels.clamp(min=0)])
    return F.cross_entropy(sentiment_logits.float(), sentiments, reduction="none")


def consistency_loss(
    sentiment_logits: torch.Tensor, emotion_scores: torch.Tensor, groups: Sequence[int]
) -> torch.Tensor:
    """
    sum_g P(g) log(P(g) / sum_{c in g} Q(c)) with Q = softmax over all emotion scores at once: both heads shall tell
    the same sentiment. (The product P(g) P(c | g) itself adds up to P(g) whatever the scores are, so it cannot be what
    is compared.) 0 if and only if they do.

    Args:
        sentiment_logits (`torch.FloatTensor` of shape `(B, G)`): scores of the groups before softmax.
        emotion_scores (`torch.FloatTensor` of shape `(B, C)`): scores of the emotions.
        groups (sequence of C `int`): the group of each label.

    Returns:
        `torch.FloatTensor` of shape `(B,)`, >= 0.
    """
    log_groups = sentiment_logits.float().log_softmax(-1)
    log_sums = group_log_sums(emotion_scores.float().log_softmax(-1), groups)
    return (log_groups.exp() * (log_groups - log_sums)).sum(-1)


def _divergence(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """
    KL(targets || softmax(logits)) `(...)` among the known classes, times how much of the teacher's answer they hold: a
    frame that shows what the model has no class for says little. 0 where no class is known.
    """
    known = targets >= 0
    targets = torch.where(known, targets, 0.0)
    mass = targets.sum(-1)
    targets = targets / mass[..., None].clamp(min=1e-9)
    # A finite number, since a row without any known class has no softmax.
    log_predicted = logits.float().masked_fill(~known, -1e9).log_softmax(-1)
    return mass.clamp(max=1) * (torch.xlogy(targets, targets) - targets * log_predicted).sum(-1)


def frame_guidance_loss(frame_logits: torch.Tensor, pseudo_labels: torch.Tensor) -> torch.Tensor:
    """
    Mean over the frames f of KL(t_f || p_f), where t_f is the pseudo-label of a frame and p_f the model's answer: each
    frame learns the expression it shows, whatever the video is called.

    Args:
        frame_logits (`torch.FloatTensor` of shape `(B, F, C)`): the model's answers for frames.
        pseudo_labels (`torch.FloatTensor` of shape `(B, F, C)`): a teacher's probabilities for these frames, `UNKNOWN`
            for classes it does not know: both sides are renormalised over the others. Frames with no known class do
            not count; where the teacher's probabilities for the labels add up to less than 1, since it has classes
            that the model has not, a frame counts as much as they add up to.

    Returns:
        `torch.FloatTensor` of shape `(B,)`, >= 0; 0 for a video without any guidance.
    """
    pseudo_labels = pseudo_labels.float()
    guided = (pseudo_labels > 0).any(-1)
    divergences = _divergence(pseudo_labels, frame_logits) * guided
    return divergences.sum(1) / guided.sum(1).clamp(min=1)


def clip_guidance_loss(logits: torch.Tensor, pseudo_labels: torch.Tensor) -> torch.Tensor:
    """
    KL(t || p) of the video's answer p and the pooled pseudo-labels t of its frames: t_c is proportional to the largest
    probability of c in any frame. The maximum, since the frames of most videos deviate from their expression for most
    of the time: the mean would call a short smile neutral.

    Args:
        logits (`torch.FloatTensor` of shape `(B, C)`): the model's answers for videos.
        pseudo_labels (`torch.FloatTensor` of shape `(B, F, C)`): as for [`frame_guidance_loss`].

    Returns:
        `torch.FloatTensor` of shape `(B,)`, >= 0; 0 for a video without any guidance.
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
    """
    Weighted sum of the losses that do not need the video's label: a wrong label says nothing against them.

    Args:
        outputs (mapping): a model's `logits` `(B, C)`, `frame_logits` `(B, F, C)` and `frame_indices` `(B, F)`; for
            the consistency also `sentiment_logits` `(B, G)` and `emotion_scores` `(B, C)`.
        groups (sequence of C `int`, *optional*): the group of each label, for the consistency.
        pseudo_labels (`torch.FloatTensor` of shape `(B, T, C)`, *optional*): for all T frames of the videos.
        consistency_loss_weight, frame_guidance_weight, clip_guidance_weight (`float`, >= 0): 0 leaves a loss out.

    Returns:
        `torch.FloatTensor` of shape `(B,)`.

    Raises:
        ValueError: pseudo-labels are missing although the weight of a guidance is above 0, or have another shape.
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
    seen = pseudo_labels.to(logits.device).gather(1, index)
    if frame_guidance_weight:
        losses = losses + frame_guidance_weight * frame_guidance_loss(frame_logits, seen)
    if clip_guidance_weight:
        losses = losses + clip_guidance_weight * clip_guidance_loss(logits, seen)
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
