# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labels that are trusted, and what they say about the other ones."""

from typing import NamedTuple

import torch

# Weight of what is known before counting, in labels, for each row of a noise matrix.
PRIOR_STRENGTH = 5.0


class TrustedLabels(NamedTuple):
    """Which labels of a training set are trusted, and how labels that are not come about.

    Attributes:
        mask (`torch.BoolTensor` of shape `(num_samples,)`): True for samples whose label is trusted.
        noise_matrix (`torch.FloatTensor` of shape `(C, C)`): see [`estimate_noise_matrix`].
    """

    mask: torch.Tensor
    noise_matrix: torch.Tensor


def estimate_noise_matrix(
    true_labels: torch.LongTensor, given_labels: torch.LongTensor, num_labels: int
) -> torch.Tensor:
    """Estimates how often a sample of each true label is given each label.

    Counts of the samples whose true label is known (as in gold loss correction, Hendrycks et al., NeurIPS 2018, but of
    given labels instead of a model's answers). As few samples are known, each row is drawn towards the mean of all
    (ours): the share of labels that are right in all, and for the rest the frequencies of the given labels. That
    weighs as much as `PRIOR_STRENGTH` samples.

    Args:
        true_labels, given_labels (`torch.LongTensor` of shape `(N,)`): labels of the samples that are known.
        num_labels (`int`): number of labels C.

    Returns:
        `torch.FloatTensor` of shape `(C, C)`: row: true label, column: given label; rows of sum 1.
    """
    counts = torch.zeros(num_labels, num_labels)
    counts.index_put_((true_labels, given_labels), torch.ones(len(true_labels)), accumulate=True)
    share_right = (counts.trace() + 1) / (len(true_labels) + 2)
    others = (counts.sum(0) + 1).expand(num_labels, -1) * (1 - torch.eye(num_labels))
    prior = share_right * torch.eye(num_labels) + (1 - share_right) * others / others.sum(1, keepdim=True)
    counts += PRIOR_STRENGTH * prior
    return counts / counts.sum(1, keepdim=True)


def given_label_logits(logits: torch.Tensor, noise_matrix: torch.Tensor) -> torch.Tensor:
    """Turns scores of true labels into scores of given ones (forward correction, Patrini et al., CVPR 2017).

    A model learns the true labels if the loss compares these scores with the given ones.

    Args:
        logits (`torch.FloatTensor` of shape `(..., C)`): scores before softmax.
        noise_matrix (`torch.FloatTensor` of shape `(C, C)`): see [`estimate_noise_matrix`].

    Returns:
        `torch.FloatTensor` of shape `(..., C)`: log-probabilities of the given labels.
    """
    return (logits.float().log_softmax(-1)[..., None] + noise_matrix.log()).logsumexp(-2)


__all__ = ["TrustedLabels", "estimate_noise_matrix", "given_label_logits"]
