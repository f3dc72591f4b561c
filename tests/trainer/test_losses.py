# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import math

import numpy as np
import pytest
import torch

from modeling_rdfer.trainer.losses import (
    CLEAN,
    HARD,
    NOISY,
    cross_entropy,
    fit_noisy_loss_threshold,
    generalized_cross_entropy,
    label_suspicion,
    limit_suspicion,
    opposing_agreement,
    partition_samples,
    sample_loss_function,
    sample_weights,
    symmetric_cross_entropy,
    weighted_loss,
)

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 2])
P = LOGITS.softmax(-1).gather(1, LABELS[:, None])[:, 0]


def test_formulas():
    torch.testing.assert_close(cross_entropy(LOGITS, LABELS), -P.log())
    torch.testing.assert_close(generalized_cross_entropy(LOGITS, LABELS, q=0.7), (1 - P**0.7) / 0.7)
    torch.testing.assert_close(
        symmetric_cross_entropy(LOGITS, LABELS, alpha=0.1, beta=2.0), -0.1 * P.log() + 2.0 * 4.0 * (1 - P)
    )
    smoothed = -(0.7 + 0.1) * LOGITS.log_softmax(-1)[0, 0] - 0.1 * LOGITS.log_softmax(-1)[0, 1:].sum()
    torch.testing.assert_close(cross_entropy(LOGITS, LABELS, label_smoothing=0.3)[0], smoothed)


def test_generalized_cross_entropy_between_cross_entropy_and_absolute_error():
    torch.testing.assert_close(generalized_cross_entropy(LOGITS, LABELS, q=1e-4), -P.log(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(generalized_cross_entropy(LOGITS, LABELS, q=1.0), 1 - P)


@pytest.mark.parametrize("name", ["ce", "gce", "sce"])
def test_gradients_are_finite_where_probabilities_underflow(name):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = sample_loss_function(name)(logits, torch.tensor([1, 1]))
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad.isfinite().all()


def test_unknown_loss_is_named():
    with pytest.raises(ValueError, match="'focal'.*'ce', 'gce' or 'sce'"):
        sample_loss_function("focal")


def test_opposing_agreement_is_of_one_other_label_against_the_given():
    probabilities = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.3, 0.35, 0.35], [0.0, 0.5, 0.5]])
    opposing = opposing_agreement(probabilities, torch.tensor([0, 1, 0, 2]))
    torch.testing.assert_close(opposing, torch.tensor([0.6, -0.5, 0.05, 0.0]))


def test_partition_and_weights():
    agreement = torch.tensor([1.0, 0.75, 1.0, 1.0, 0.75, 1.0, 0.5])
    opposing = torch.tensor([-0.9, -0.25, 1.0, 0.3, 0.75, -0.1, 0.3])
    losses = torch.tensor([0.1, 2.0, 3.0, 0.5, 3.0, 9.0, 3.0])
    partition = partition_samples(agreement, opposing, losses, agreement_threshold=0.6, noisy_loss_threshold=1.0)
    # A large loss is not noisy as long as the clips do not agree on another label.
    assert partition.tolist() == [CLEAN, HARD, NOISY, CLEAN, NOISY, CLEAN, HARD]
    suspicion = label_suspicion(opposing, partition, 0.6)
    torch.testing.assert_close(suspicion, torch.tensor([0, 0, 1, 0.5, 1, 0, 0.5]))
    weights = sample_weights(partition, agreement, suspicion, hard_sample_gain=0.5, noisy_sample_weight=0.0)
    torch.testing.assert_close(weights, torch.tensor([1, 1.125, 0, 0.5, 0, 1, 0.5 * 1.25]))
    kept = sample_weights(partition, agreement, suspicion, hard_sample_gain=0.0, noisy_sample_weight=0.2)
    torch.testing.assert_close(kept, torch.tensor([1, 1, 0.2, 0.6, 0.2, 1, 0.6]))
    small = partition_samples(agreement, opposing, losses.new_full((7,), 0.5), noisy_loss_threshold=1.0)
    assert NOISY not in small and NOISY not in partition_samples(agreement, opposing, losses)  # no threshold yet


def test_no_label_is_wiped_out():
    opposing = torch.tensor([0.4, 0.9, 0.8, 0.2, 0.5, -0.3])
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    limited = limit_suspicion(opposing, labels, max_share=0.5)
    torch.testing.assert_close(limited, torch.tensor([0.0, 0.9, 0.8, 0.0, 0.5, -0.3]))
    assert limit_suspicion(opposing, labels, max_share=0.4)[4] == 0
    assert torch.equal(limit_suspicion(opposing, labels, max_share=1.0), opposing)


def test_threshold_stands_between_two_groups_of_losses():
    generator = np.random.default_rng(0)
    losses = np.concatenate([generator.normal(0.4, 0.2, 700), generator.normal(3.0, 0.5, 300)])
    threshold = fit_noisy_loss_threshold(torch.from_numpy(losses))
    assert 1.0 < threshold < 2.2
    assert ((losses > threshold) == (np.arange(1000) >= 700)).mean() > 0.99


@pytest.mark.parametrize("losses", [torch.full((50,), 0.7), torch.rand(5), torch.randn(500).mul(0.1).add(1)])
def test_one_group_of_losses_has_no_threshold(losses):
    assert fit_noisy_loss_threshold(losses) == math.inf


def batch(size=4, clips=4, labels=3):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, requires_grad=True)  # noqa: E731
    return (
        draw(size, labels),
        draw(size, clips, labels),
        draw(size, labels),
        torch.arange(size) % labels,
        torch.ones(size, clips, dtype=torch.bool),
    )


def test_weighted_loss_is_linear_in_the_weights():
    arguments = batch()
    single = [weighted_loss(*arguments, weights=torch.eye(4)[i]) for i in range(4)]
    weights = torch.tensor([1.0, 0.0, 2.0, 0.5])
    combined = sum(weight * loss for weight, loss in zip(weights, single))
    torch.testing.assert_close(weighted_loss(*arguments, weights=weights), combined)


def test_a_batch_of_dropped_samples_contributes_zero():
    arguments = batch()
    loss = weighted_loss(*arguments, weights=torch.zeros(4))
    loss.backward()
    assert loss.item() == 0 and all(tensor.grad.abs().sum() == 0 for tensor in arguments[:3])


def test_copies_of_clips_do_not_count_in_the_clip_loss():
    logits, clip_logits, detector_logits, labels, mask = batch()
    mask[:, 2:] = False
    loss = weighted_loss(logits, clip_logits, detector_logits, labels, mask, torch.ones(4), clip_loss_weight=1.0)
    changed = clip_logits.detach().clone()
    changed[:, 2:] = 5.0
    again = weighted_loss(logits, changed, detector_logits, labels, mask, torch.ones(4), clip_loss_weight=1.0)
    torch.testing.assert_close(loss, again)
