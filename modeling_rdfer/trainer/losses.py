# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Agreement-weighted loss: which samples are clean, hard or noisy, what they weigh, and the losses. Pure functions."""

import functools
from collections.abc import Callable

import torch
from torch.nn import functional as F

# Codes of `partition_samples`, in this order.
PARTITIONS = ("clean", "hard", "noisy")
CLEAN, HARD, NOISY = range(3)


# Losses of single samples --------------------------------------------------------------------------------------------


def cross_entropy(logits: torch.Tensor, labels: torch.LongTensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """
    Cross-entropy -sum_c q_c log p_c of each sample, where q is 1 - s for the label plus s / C for every class.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        label_smoothing (`float`, 0..1): s.

    Returns:
        `torch.FloatTensor` of shape `(N,)`.
    """
    return F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=label_smoothing)


def generalized_cross_entropy(logits: torch.Tensor, labels: torch.LongTensor, q: float = 0.7) -> torch.Tensor:
    """
    Generalised cross-entropy (1 - p_y^q) / q: cross-entropy for q -> 0, mean absolute error for q = 1. Wrong labels
    pull less (Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018).

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        q (`float`, 0 < q <= 1): robustness.

    Returns:
        `torch.FloatTensor` of shape `(N,)`.
    """
    # Through the logarithm, whose gradient exists where the probability underflows.
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
    """
    Symmetric cross-entropy alpha * CE + beta * RCE with the reverse cross-entropy RCE = -A (1 - p_y), A standing for
    log 0 (Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019).

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores before softmax.
        labels (`torch.LongTensor` of shape `(N,)`): classes.
        alpha, beta (`float`, >= 0): weights of the two terms.
        log_zero (`float`, < 0): A.
        label_smoothing (`float`, 0..1): of the cross-entropy.

    Returns:
        `torch.FloatTensor` of shape `(N,)`.
    """
    probability = logits.float().softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
    return alpha * cross_entropy(logits, labels, label_smoothing) - beta * log_zero * (1 - probability)


def sample_loss_function(
    name: str, label_smoothing: float = 0.0, gce_q: float = 0.7, sce_alpha: float = 0.1, sce_beta: float = 1.0
) -> Callable[[torch.Tensor, torch.LongTensor], torch.Tensor]:
    """
    The loss `(logits (N, C), labels (N,)) -> (N,)` called `name`.

    Args:
        name (`str`): `"ce"`, `"gce"` or `"sce"`.
        label_smoothing (`float`): for `ce`, and for the cross-entropy in `sce`.
        gce_q, sce_alpha, sce_beta (`float`): see [`generalized_cross_entropy`] and [`symmetric_cross_entropy`].

    Raises:
        ValueError: for another name.
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


# Verdicts ------------------------------------------------------------------------------------------------------------


def opposing_agreement(probabilities: torch.Tensor, labels: torch.LongTensor) -> torch.Tensor:
    """
    How far the clips speak with one voice for another label than the given one (ours): max_{c != y} p_c - p_y, where
    p is the mean of the clips' posteriors. It is large only if the clips agree on one other label; in a hard video
    they contradict each other or hesitate, and their mean is flat. One vote a clip, as in [`clip_agreement`], would
    not tell a clip that hesitates from one that is sure.

    Args:
        probabilities (`torch.FloatTensor` of shape `(N, C)`): mean over the clips of a video, and over epochs.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.

    Returns:
        `torch.FloatTensor` of shape `(N,)`, -1..1; above 0 if another label is more probable than the given one.
    """
    given = probabilities.gather(1, labels[:, None])
    others = probabilities.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - given.squeeze(1)


def limit_suspicion(opposing: torch.Tensor, labels: torch.LongTensor, max_share: float = 0.5) -> torch.Tensor:
    """
    Keeps a label from being wiped out (ours): of each label's samples only the `max_share` with the most opposing
    agreement can come under suspicion. A model that has not learnt a label yet contradicts all of its samples with one
    voice; without them it would never learn it.

    Args:
        opposing (`torch.FloatTensor` of shape `(N,)`): [`opposing_agreement`] of all samples of a training set.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.
        max_share (`float`, 0..1): 1 changes nothing.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: `opposing`, at most 0 for the samples that are spared.
    """
    limited = opposing.clone()
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = opposing[members].argsort(descending=True, stable=True)
        spared = members[order[int(max_share * len(members)) :]]
        limited[spared] = limited[spared].clamp(max=0)
    return limited


def label_suspicion(opposing: torch.Tensor, partition: torch.LongTensor, full_suspicion: float = 0.6) -> torch.Tensor:
    """
    How far the given label is doubted (ours): from 0 to 1 as `opposing` goes from 0 to `full_suspicion`; 1 for noisy
    samples. What is learnt follows the doubt, which comes early and by degrees; what is called noisy is a verdict, and
    takes more.

    Args:
        opposing (`torch.FloatTensor` of shape `(N,)`, -1..1): [`opposing_agreement`].
        partition (`torch.LongTensor` of shape `(N,)`): from [`partition_samples`].
        full_suspicion (`float`, above 0): opposing agreement at which the doubt is complete.

    Returns:
        `torch.FloatTensor` of shape `(N,)`, 0..1.
    """
    return torch.where(partition == NOISY, 1.0, (opposing / full_suspicion).clamp(0, 1))


def partition_samples(
    agreement: torch.Tensor,
    opposing: torch.Tensor,
    losses: torch.Tensor,
    agreement_threshold: float = 0.8,
    noisy_loss_threshold: float = float("inf"),
    hard_agreement_threshold: float = 0.75,
) -> torch.LongTensor:
    """
    Tells clean, hard and noisy samples apart (section 3.5 of the design, after figure 1 of the paper). All arguments
    may be those of one look or running means over epochs.

    - noisy: the clips agree on another label than the given one and the loss is significant:
      `opposing > agreement_threshold` and `losses > noisy_loss_threshold`;
    - hard: not noisy, and the clips disagree: `agreement <= hard_agreement_threshold`;
    - clean: everything else.

    Args:
        agreement (`torch.FloatTensor` of shape `(N,)`, 0..1): [`~modeling_rdfer.clip_agreement`].
        opposing (`torch.FloatTensor` of shape `(N,)`, -1..1): [`opposing_agreement`].
        losses (`torch.FloatTensor` of shape `(N,)`): cross-entropies without label smoothing.
        agreement_threshold (`float`, 0..1): how far the clips must agree against the label.
        noisy_loss_threshold (`float`): from which loss on; infinity: nothing is noisy.
        hard_agreement_threshold (`float`, 0..1): up to which agreement a sample is hard.

    Returns:
        `torch.LongTensor` of shape `(N,)`: `CLEAN`, `HARD` or `NOISY`, indices into `PARTITIONS`.
    """
    partition = torch.full_like(agreement, CLEAN, dtype=torch.long)
    partition[agreement <= hard_agreement_threshold] = HARD
    partition[(opposing > agreement_threshold) & (losses > noisy_loss_threshold)] = NOISY
    return partition


def sample_weights(
    partition: torch.LongTensor,
    agreement: torch.Tensor,
    suspicion: torch.Tensor,
    hard_sample_gain: float = 0.0,
    noisy_sample_weight: float = 0.0,
) -> torch.Tensor:
    """
    Weights of samples in the loss (section 3.5 of the design): 1 for clean, `1 + hard_sample_gain * (1 - agreement)`
    for hard, `noisy_sample_weight` for noisy ones. The more the given label is doubted without the sample being noisy
    yet, the less it weighs (ours): the factor falls from 1 to `noisy_sample_weight` as the suspicion goes from 0 to 1.

    Args:
        partition (`torch.LongTensor` of shape `(N,)`): from [`partition_samples`].
        agreement (`torch.FloatTensor` of shape `(N,)`, 0..1): agreement of the clips.
        suspicion (`torch.FloatTensor` of shape `(N,)`, 0..1): [`label_suspicion`].
        hard_sample_gain (`float`, >= 0): how much more a hard sample is learnt; the paper's figure 1 wants some.
        noisy_sample_weight (`float`, >= 0): 0 drops noisy samples.

    Returns:
        `torch.FloatTensor` of shape `(N,)`.
    """
    weights = 1 - suspicion * (1 - noisy_sample_weight)
    return torch.where(partition == HARD, weights * (1 + hard_sample_gain * (1 - agreement)), weights)


def fit_noisy_loss_threshold(losses: torch.Tensor) -> float:
    """
    The loss from which on a sample rather belongs to the upper of two groups: a mixture of two Gaussians is fitted to
    the losses of all samples (as in DivideMix, Li et al., ICLR 2020). Whether there are two groups at all is left to
    the Bayesian information criterion (ours).

    Args:
        losses (`torch.FloatTensor` of shape `(N,)`): losses of all samples, or their running means.

    Returns:
        `float`: the loss where both groups are equally probable; infinity if one Gaussian describes the losses as well
        or there are fewer than 10.
    """
    from sklearn.mixture import GaussianMixture

    values = losses.detach().double().cpu().numpy().reshape(-1, 1)
    if len(values) < 10 or values.std() < 1e-6:
        return float("inf")
    one, two = (
        GaussianMixture(number, random_state=0, reg_covar=1e-4 * values.var(), max_iter=200).fit(values)
        for number in (1, 2)
    )
    if two.bic(values) >= one.bic(values):
        return float("inf")
    low, high = two.means_.ravel().argsort()
    # The posterior of the upper group crosses one half between the means.
    left, right = two.means_[low, 0], two.means_[high, 0]
    for _ in range(60):
        middle = (left + right) / 2
        if two.predict_proba([[middle]])[0, high] > 0.5:
            right = middle
        else:
            left = middle
    return float(right)


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
    """
    Mean over the batch of weight x (loss of the video + `clip_loss_weight` x mean loss of its distinct clips +
    `detector_loss_weight` x loss of the detecting network); weights of the terms by the authors. The batch's own
    weights do not normalise it: a batch of dropped samples gives 0, and accumulating batches changes no gradient.

    Args:
        logits (`torch.FloatTensor` of shape `(N, C)`): scores of the videos.
        clip_logits (`torch.FloatTensor` of shape `(N, K, C)`): scores of the clips.
        detector_logits (`torch.FloatTensor` of shape `(N, C)`, *optional*): scores of the detecting network, which not
            every model has.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.
        clip_mask (`torch.BoolTensor` of shape `(N, K)`): True for distinct clips.
        weights (`torch.FloatTensor` of shape `(N,)`): weights of the samples, no gradient flows through them.
        loss_function: loss of each sample, see [`sample_loss_function`].
        clip_loss_weight, detector_loss_weight, video_loss_weight (`float`): weights of the terms.
        further_losses (`torch.FloatTensor` of shape `(N,)`, *optional*): added to the losses of the samples.

    Returns:
        `torch.FloatTensor` of shape `()`.
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
    "CLEAN",
    "HARD",
    "NOISY",
    "PARTITIONS",
    "cross_entropy",
    "fit_noisy_loss_threshold",
    "generalized_cross_entropy",
    "label_suspicion",
    "limit_suspicion",
    "opposing_agreement",
    "partition_samples",
    "sample_loss_function",
    "sample_weights",
    "symmetric_cross_entropy",
    "weighted_loss",
]
