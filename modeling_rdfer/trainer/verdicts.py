# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Verdicts on samples: label margin, doubt, clean / hard / noisy, weights; and their thresholds. Pure functions."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

# Names of the codes that `partition_samples` returns, in this order.
PARTITIONS = ("clean", "hard", "noisy")
CLEAN, HARD, NOISY = range(3)
# Agreement with the given labels beyond chance (Cohen's kappa) from which the model's judgement counts, and from which
# it counts fully.
LEAST_KAPPA, FULL_KAPPA = 0.2, 0.4
# Largest number of losses that the mixture is fitted to. More change the threshold by less than 0.01 and take seconds.
MAX_FITTED_LOSSES = 100_000
# A sample is noisy only if the model speaks more strongly against its label than it speaks for the label in this share
# of the samples that it agrees with.
NOISY_QUANTILE = 0.6
# The same in an audit out of sample, whose losses come from several models and whose verdicts people look at.
OUT_OF_SAMPLE_NOISY_QUANTILE = 0.35
# Losses below this are raised to it where their log-odds are taken.
LEAST_LOSS = 1e-6


@dataclass
class VerdictThresholds:
    """Thresholds of the verdicts (docs/method.md, Verdicts and weights).

    Training arguments, sample record and audit all take them from this class.

    Args:
        noisy_loss_threshold (`str` or `float`, *optional*, defaults to `"auto"`): a sample is noisy only if its loss
            is above this; `"auto"` takes it from the losses of all samples, see [`noisy_loss_threshold`].
        max_noisy_share (`float`, *optional*, defaults to 0.5): largest share of a label's samples that can be noisy or
            doubted, 0..1.
        full_doubt_margin (`float`, *optional*, defaults to -0.6): label margin at which the given label is fully
            doubted; below 0.
        hard_agreement_threshold (`float`, *optional*, defaults to 0.75): a sample is hard if its agreement is not
            above this; 0..1.

    Raises:
        ValueError: if a threshold is out of its range; the message names it.
    """

    noisy_loss_threshold: str = field(
        default="auto",
        metadata={"help": "A sample is noisy only if its loss is above this; auto: taken from the losses of all."},
    )
    max_noisy_share: float = field(
        default=0.5,
        metadata={
            "help": "Largest share of a label's samples that can be noisy or doubted. It keeps labels that the model "
            "has not learnt yet from being wiped out."
        },
    )
    full_doubt_margin: float = field(
        default=-0.6,
        metadata={
            "help": "Label margin (probability of the given label minus that of the most probable other one, -1..1) "
            "at which the given label is fully doubted. As the margin falls from 0 to this, the weight of the sample "
            "falls, or, later in training, it learns the other label in more of the epochs."
        },
    )
    hard_agreement_threshold: float = field(
        default=0.75, metadata={"help": "A sample is hard if the agreement of its clips is not above this."}
    )

    def __post_init__(self):
        try:
            is_threshold = self.noisy_loss_threshold == "auto" or float(self.noisy_loss_threshold) < math.inf
        except ValueError:
            is_threshold = False
        if not is_threshold:
            raise ValueError(f"noisy_loss_threshold must be 'auto' or a number, got {self.noisy_loss_threshold!r}.")
        if self.full_doubt_margin >= 0:
            raise ValueError(f"full_doubt_margin must be below 0, got {self.full_doubt_margin}.")


def label_margin(probabilities: torch.Tensor, labels: torch.LongTensor) -> torch.Tensor:
    """Computes the margin of the given label, p_y - max_{c != y} p_c, where p is the mean of the clips' posteriors.

    Its use as a measure of agreement between clips is ours. It is far below 0 only if the clips agree on one other
    label. In a hard video they contradict each other or are unsure, so their mean is flat. One vote for each clip, as
    in [`clip_agreement`], would count an unsure clip like a sure one.

    Args:
        probabilities (`torch.FloatTensor` of shape `(N, C)`): mean over the clips of a video, and over epochs.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: -1..1, low for suspicious labels; below 0 if another label is more
        probable than the given one.
    """
    given = probabilities.gather(1, labels[:, None])
    others = probabilities.scatter(1, labels[:, None], -torch.inf)
    return given.squeeze(1) - others.amax(1)


def model_trust(probabilities: torch.Tensor, labels: torch.LongTensor) -> float:
    """Computes how far the model knows enough for a judgement on labels (ours).

    A model that has learnt nothing yet contradicts right labels as readily as wrong ones. So the trust rises from 0 to
    1 as Cohen's kappa between its predictions and the given labels rises from `LEAST_KAPPA` to `FULL_KAPPA`. Chance
    gives a kappa of 0; a perfect model, with 30 % of the labels wrong at random, about 0.65.

    Args:
        probabilities (`torch.FloatTensor` of shape `(N, C)`): mean over the clips of a video, and over epochs.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.

    Returns:
        `float`: 0..1; 0 without samples.
    """
    if not len(labels):
        return 0.0
    num_labels = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    shares = [torch.bincount(values, minlength=num_labels) / len(labels) for values in (predicted, labels)]
    chance = (shares[0] * shares[1]).sum().item()
    if chance >= 1:
        return 0.0  # one label only: nothing to tell apart
    kappa = ((predicted == labels).float().mean().item() - chance) / (1 - chance)
    return min(max((kappa - LEAST_KAPPA) / (FULL_KAPPA - LEAST_KAPPA), 0.0), 1.0)


def limit_noisy_share(margin: torch.Tensor, labels: torch.LongTensor, max_noisy_share: float) -> torch.Tensor:
    """Limits the share of each label's samples that can be doubted, so that no label is wiped out (ours).

    Only the share `max_noisy_share` with the lowest margins can be doubted. A model that has not learnt a label yet
    contradicts all of its samples; if all were dropped, it would never learn the label.

    Args:
        margin (`torch.FloatTensor` of shape `(N,)`): [`label_margin`] of all samples of a training set.
        labels (`torch.LongTensor` of shape `(N,)`): given labels.
        max_noisy_share (`float`, 0..1): 1 changes nothing.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: `margin`, raised to at least 0 for the other samples.
    """
    limited = margin.clone()
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = margin[members].argsort(stable=True)
        spared = members[order[int(max_noisy_share * len(members)) :]]
        limited[spared] = limited[spared].clamp(min=0)
    return limited


def partition_samples(
    agreement: torch.Tensor,
    margin: torch.Tensor,
    losses: torch.Tensor,
    full_doubt_margin: float,
    noisy_loss_threshold: float,
    hard_agreement_threshold: float,
) -> torch.LongTensor:
    """Tells clean, hard and noisy samples apart (docs/method.md, Verdicts and weights; arXiv 2502.16129, figure 1).

    The values are those of one epoch, or running means over epochs.

    - noisy: the clips agree on another label than the given one and the loss is large:
      `margin < full_doubt_margin` and `losses > noisy_loss_threshold`;
    - hard: not noisy, and the clips disagree: `agreement <= hard_agreement_threshold`;
    - clean: everything else.

    Args:
        agreement (`torch.FloatTensor` of shape `(N,)`, 0..1): [`clip_agreement`].
        margin (`torch.FloatTensor` of shape `(N,)`, -1..1): [`label_margin`].
        losses (`torch.FloatTensor` of shape `(N,)`): cross-entropies without label smoothing.
        full_doubt_margin, hard_agreement_threshold (`float`): see [`VerdictThresholds`].
        noisy_loss_threshold (`float`): see [`VerdictThresholds`]; with infinity nothing is noisy.

    Returns:
        `torch.LongTensor` of shape `(N,)`: `CLEAN`, `HARD` or `NOISY`, indices into `PARTITIONS`.
    """
    partition = torch.full_like(agreement, CLEAN, dtype=torch.long)
    partition[agreement <= hard_agreement_threshold] = HARD
    partition[(margin < full_doubt_margin) & (losses > noisy_loss_threshold)] = NOISY
    return partition


def label_doubt(margin: torch.Tensor, partition: torch.LongTensor, full_doubt_margin: float) -> torch.Tensor:
    """Computes how far the given label is doubted (ours).

    The doubt rises from 0 to 1 as the margin falls from 0 to `full_doubt_margin`; it is 1 for noisy samples. Doubt
    decides what is learnt and grows gradually; the verdict "noisy" takes more evidence.

    Args:
        margin (`torch.FloatTensor` of shape `(N,)`, -1..1): [`label_margin`].
        partition (`torch.LongTensor` of shape `(N,)`): see [`partition_samples`].
        full_doubt_margin (`float`, below 0): see [`VerdictThresholds`].

    Returns:
        `torch.FloatTensor` of shape `(N,)`: 0..1.
    """
    return torch.where(partition == NOISY, 1.0, (margin / full_doubt_margin).clamp(0, 1))


def sample_weights(
    partition: torch.LongTensor,
    agreement: torch.Tensor,
    doubt: torch.Tensor,
    hard_sample_gain: float = 0.0,
    noisy_sample_weight: float = 0.0,
) -> torch.Tensor:
    """Computes the weights of samples in the loss (docs/method.md, Verdicts and weights).

    Clean samples weigh 1, hard ones `1 + hard_sample_gain * (1 - agreement)`, noisy ones `noisy_sample_weight`. Doubt
    lowers the weight of the other samples, too (ours): by a factor from 1 to `noisy_sample_weight` as the doubt goes
    from 0 to 1.

    Args:
        partition (`torch.LongTensor` of shape `(N,)`): see [`partition_samples`].
        agreement (`torch.FloatTensor` of shape `(N,)`, 0..1): agreement of the clips.
        doubt (`torch.FloatTensor` of shape `(N,)`, 0..1): [`label_doubt`].
        hard_sample_gain (`float`, *optional*, defaults to 0.0): how much more hard samples weigh, >= 0 (arXiv
            2502.16129, figure 1).
        noisy_sample_weight (`float`, *optional*, defaults to 0.0): weight of noisy samples, >= 0; 0 drops them.

    Returns:
        `torch.FloatTensor` of shape `(N,)`.
    """
    weights = 1 - doubt * (1 - noisy_sample_weight)
    return torch.where(partition == HARD, weights * (1 + hard_sample_gain * (1 - agreement)), weights)


class LossThresholds(NamedTuple):
    """Losses from which a label can be doubted, and from which it can be noisy.

    Attributes:
        doubt (`float`): a label can be doubted only if the loss is above this; infinity if none can be.
        noisy (`float`): a sample can be noisy only if its loss is above this; at least `doubt`.
    """

    doubt: float
    noisy: float


def log_odds_against(losses: torch.Tensor) -> torch.Tensor:
    """Converts cross-entropies to the log-odds against the given label, log((1 - p) / p) where the loss is -log p.

    Args:
        losses (`torch.Tensor` of any shape): cross-entropies; what is below `LEAST_LOSS` is raised to it.

    Returns:
        `torch.DoubleTensor` of the same shape: about the loss where it is large, far below 0 where it is small.
    """
    return losses.double().clamp(min=LEAST_LOSS).expm1().log()


def loss_at(log_odds: torch.Tensor) -> torch.Tensor:
    """Converts log-odds against the given label to the cross-entropy; the inverse of [`log_odds_against`]."""
    return torch.nn.functional.softplus(log_odds, threshold=100)


def noisy_loss_threshold(losses: torch.Tensor, margin: torch.Tensor, quantile: float = NOISY_QUANTILE) -> float:
    """Finds the loss from which the model speaks more strongly against a label than it usually speaks for one (ours).

    A sample is noisy only if the log-odds against its label are above a quantile of the log-odds for the label among
    the samples whose given label is the most probable one. Hard samples seldom are: their clips give the model no such
    certainty. The comparison needs no knowledge of how many labels are wrong, and no scale: a model that is surer of
    everything is surer in both.

    Args:
        losses (`torch.FloatTensor` of shape `(N,)`): losses of all samples, or their running means.
        margin (`torch.FloatTensor` of shape `(N,)`, -1..1): [`label_margin`].
        quantile (`float`, *optional*, defaults to `NOISY_QUANTILE`): 0..1.

    Returns:
        `float`: the loss at that quantile; infinity if the given label is the most probable one of no sample.
    """
    supported = margin > 0
    if not supported.any():
        return math.inf
    return loss_at(torch.quantile(-log_odds_against(losses[supported]), quantile)).item()


def fit_doubt_loss_threshold(losses: torch.Tensor) -> float:
    """Finds the loss above which a sample belongs to the group with the larger losses.

    A mixture of two Gaussians is fitted to the losses of all samples (DivideMix, Li et al., ICLR 2020). The Bayesian
    information criterion decides whether there are two groups at all (ours). Of more than `MAX_FITTED_LOSSES` losses,
    as many are drawn, always the same.

    Args:
        losses (`torch.FloatTensor` of shape `(N,)`): losses of all samples, or their running means.

    Returns:
        `float`: the loss at which both groups are equally probable; infinity if one Gaussian describes the losses just
        as well, or if there are fewer than 10.
    """
    from sklearn.mixture import GaussianMixture

    values = losses.detach().double().cpu().numpy().reshape(-1, 1)
    if len(values) > MAX_FITTED_LOSSES:
        values = np.random.default_rng(0).choice(values, MAX_FITTED_LOSSES, replace=False)
    if len(values) < 10 or values.std() < 1e-6:
        return float("inf")
    one, two = (
        GaussianMixture(number, random_state=0, reg_covar=1e-4 * values.var(), max_iter=200).fit(values)
        for number in (1, 2)
    )
    if two.bic(values) >= one.bic(values):
        return float("inf")
    low, high = two.means_.ravel().argsort()
    # Between the means, the posterior of the upper group crosses one half.
    left, right = two.means_[low, 0], two.means_[high, 0]
    for _ in range(60):
        middle = (left + right) / 2
        if two.predict_proba([[middle]])[0, high] > 0.5:
            right = middle
        else:
            left = middle
    return float(right)


class Verdicts(NamedTuple):
    """Verdicts on all samples of a training set.

    Attributes:
        partition (`torch.LongTensor` of shape `(N,)`): see [`partition_samples`].
        doubt (`torch.FloatTensor` of shape `(N,)`, 0..1): see [`label_doubt`].
        loss_thresholds ([`LossThresholds`]): given or fitted.
        trust (`float`, 0..1): see [`model_trust`].
    """

    partition: torch.LongTensor
    doubt: torch.Tensor
    loss_thresholds: LossThresholds
    trust: float


def judge_samples(
    probabilities: torch.Tensor,
    agreement: torch.Tensor,
    losses: torch.Tensor,
    labels: torch.LongTensor,
    has_evidence: torch.BoolTensor,
    seen: torch.BoolTensor,
    thresholds: VerdictThresholds,
    noisy_quantile: float = NOISY_QUANTILE,
) -> Verdicts:
    """Judges all samples of a training set (docs/method.md, Verdicts and weights).

    1. The loss thresholds are taken from the samples that were seen, see [`fit_doubt_loss_threshold`] and
       [`noisy_loss_threshold`]. A given one takes the place of the second; what is above it can be doubted, too.
    2. A label is only doubted with evidence: at least two distinct clips (one always agrees with itself) and a loss
       above the threshold. Its margin is multiplied by the trust in the model, see [`model_trust`].
    3. Of each label at most `max_noisy_share` of the samples are doubted.
    4. Partition and doubt follow from the remaining margins; without full trust nothing is noisy. Samples that were
       not seen are clean.

    Args:
        probabilities (`torch.FloatTensor` of shape `(N, C)`): mean over the clips of a video, and over epochs.
        agreement, losses (`torch.FloatTensor` of shape `(N,)`): see [`partition_samples`].
        labels (`torch.LongTensor` of shape `(N,)`): given labels.
        has_evidence (`torch.BoolTensor` of shape `(N,)`): seen, with at least two distinct clips.
        seen (`torch.BoolTensor` of shape `(N,)`): whether the model has seen the sample.
        thresholds ([`VerdictThresholds`]): the thresholds.
        noisy_quantile (`float`, *optional*, defaults to `NOISY_QUANTILE`): see [`noisy_loss_threshold`]; 0..1.

    Returns:
        [`Verdicts`]: the verdicts and what they rest on.
    """
    margin = label_margin(probabilities, labels)
    doubt_threshold = fit_doubt_loss_threshold(losses[seen])
    if thresholds.noisy_loss_threshold == "auto":
        noisy_threshold = max(doubt_threshold, noisy_loss_threshold(losses[seen], margin[seen], noisy_quantile))
        loss_thresholds = LossThresholds(doubt_threshold, noisy_threshold)
    else:
        given = float(thresholds.noisy_loss_threshold)
        loss_thresholds = LossThresholds(min(doubt_threshold, given), given)
    trust = model_trust(probabilities[seen], labels[seen])
    margin *= trust
    margin[~has_evidence | (losses <= loss_thresholds.doubt)] = 1.0
    margin = limit_noisy_share(margin, labels, thresholds.max_noisy_share)
    partition = partition_samples(
        agreement,
        margin,
        losses,
        full_doubt_margin=thresholds.full_doubt_margin,
        noisy_loss_threshold=loss_thresholds.noisy if trust == 1 else math.inf,
        hard_agreement_threshold=thresholds.hard_agreement_threshold,
    )
    partition[~seen] = CLEAN
    return Verdicts(partition, label_doubt(margin, partition, thresholds.full_doubt_margin), loss_thresholds, trust)


__all__ = [
    "CLEAN",
    "HARD",
    "NOISY",
    "NOISY_QUANTILE",
    "OUT_OF_SAMPLE_NOISY_QUANTILE",
    "PARTITIONS",
    "LossThresholds",
    "VerdictThresholds",
    "Verdicts",
    "fit_doubt_loss_threshold",
    "judge_samples",
    "label_doubt",
    "label_margin",
    "limit_noisy_share",
    "log_odds_against",
    "loss_at",
    "model_trust",
    "noisy_loss_threshold",
    "partition_samples",
    "sample_weights",
]
