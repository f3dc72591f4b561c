# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.trainer.losses import (
    blended_loss_function,
    cross_entropy,
    generalized_cross_entropy,
    sample_loss_function,
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


def test_blended_loss():
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    first, second = sample_loss_function("ce", label_smoothing=0.1), sample_loss_function("gce")
    for share in (0.0, 0.3, 1.0):
        expected = (1 - share) * first(logits, labels) + share * second(logits, labels)
        torch.testing.assert_close(blended_loss_function(first, second, share)(logits, labels), expected)


def test_unknown_loss_is_named():
    with pytest.raises(ValueError, match="'focal'.*'ce', 'gce' or 'sce'"):
        sample_loss_function("focal")


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
