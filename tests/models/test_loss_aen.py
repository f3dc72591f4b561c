# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.models.loss_aen import (
    UNKNOWN,
    clip_guidance_loss,
    consistency_loss,
    frame_guidance_loss,
    group_log_sums,
    grouped_log_probabilities,
    sentiment_cross_entropy,
    unlabelled_losses,
)

GROUPS = [0, 1, 1, 2]  # two groups of one label


def scores(*shape, seed=0) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_emotion_within_its_group():
    emotions, groups = scores(5, 4), scores(5, 3, seed=1)
    answer, log_groups = grouped_log_probabilities(emotions, groups, GROUPS)
    p = groups.softmax(-1)
    inside = emotions[:, 1:3].softmax(-1) * p[:, 1:2]
    expected = torch.cat([p[:, :1], inside, p[:, 2:]], dim=1)
    torch.testing.assert_close(answer.exp(), expected)
    torch.testing.assert_close(log_groups.exp(), p)
    torch.testing.assert_close(answer.exp().sum(-1), torch.ones(5))
    # Group scores that are the sums over the emotions change nothing.
    answer, _ = grouped_log_probabilities(emotions, group_log_sums(emotions, GROUPS), GROUPS)
    torch.testing.assert_close(answer, emotions.log_softmax(-1))


def test_sentiment_cross_entropy():
    sentiment = scores(4, 3)
    losses = sentiment_cross_entropy(sentiment, torch.tensor([0, 2, 3, -100]), GROUPS)
    expected = -sentiment.log_softmax(-1)
    torch.testing.assert_close(
        losses, torch.stack([expected[0, 0], expected[1, 1], expected[2, 2], torch.tensor(0.0)])
    )


def test_consistency_is_zero_if_both_heads_give_the_same_sentiment():
    emotions = scores(5, 4)
    same = group_log_sums(emotions, GROUPS)
    torch.testing.assert_close(consistency_loss(same + 1.7, emotions, GROUPS), torch.zeros(5), atol=1e-6, rtol=0)
    other = same + scores(5, 3, seed=1)
    losses = consistency_loss(other, emotions, GROUPS)
    assert (losses > 0.01).all()
    # The formula of the divergence.
    p, q = other.softmax(-1), emotions.softmax(-1)
    q = torch.stack([q[:, 0], q[:, 1] + q[:, 2], q[:, 3]], dim=1)
    torch.testing.assert_close(losses, (p * (p / q).log()).sum(-1))
    # With one group for all, both heads always agree.
    assert consistency_loss(scores(5, 1), emotions, [0] * 4).abs().max() < 1e-6


def test_frame_guidance_pulls_frames_to_their_pseudo_labels():
    targets = scores(2, 6, 4, seed=1).softmax(-1)
    logits = torch.zeros(2, 6, 4, requires_grad=True)
    first = frame_guidance_loss(logits, targets)
    torch.testing.assert_close(first, (targets * (targets * 4).log()).sum(-1).mean(1))
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        frame_guidance_loss(logits, targets).sum().backward()
        optimizer.step()
    torch.testing.assert_close(logits.softmax(-1), targets, atol=0.01, rtol=0.05)


def test_unknown_pseudo_labels_give_no_guidance():
    logits = scores(2, 3, 4).requires_grad_()
    targets = scores(2, 3, 4, seed=1).softmax(-1)
    targets[:, :, 2] = UNKNOWN  # a class
    targets[0, 1] = UNKNOWN  # a frame
    targets[1] = UNKNOWN  # a video
    losses = frame_guidance_loss(logits, targets)
    losses.sum().backward()
    assert losses[0] > 0 and losses[1] == 0
    assert logits.grad[:, :, 2].abs().max() == 0 and logits.grad[0, 1].abs().max() == 0
    assert logits.grad[1].abs().max() == 0 and logits.grad.isfinite().all()
    kept = [0, 1, 3]
    p, t = logits[0][[0, 2]][:, kept].log_softmax(-1), targets[0][[0, 2]][:, kept]
    mass = t.sum(-1)
    t = t / mass[:, None]
    torch.testing.assert_close(losses[0], (mass * (t * (t.log() - p)).sum(-1)).mean())
    # Frames without guidance do not reduce the loss of the others.
    torch.testing.assert_close(frame_guidance_loss(logits[:1, [0, 2]], targets[:1, [0, 2]])[0], losses[0])


def test_clip_guidance_keeps_expressions_of_few_frames():
    targets = torch.tensor([[0.9, 0.05, 0.05]] * 7 + [[0.05, 0.9, 0.05]])[None]
    brief = torch.tensor([[0.9, 0.9, 0.05]])
    assert clip_guidance_loss(brief.log(), targets) < 1e-6
    assert clip_guidance_loss(targets.mean(1).log(), targets) > 0.05
    assert clip_guidance_loss(brief.log(), torch.full((1, 8, 3), UNKNOWN)) == 0


def test_guidance_takes_the_pseudo_labels_of_the_frames_that_were_used():
    index = torch.tensor([[0, 2, 5], [1, 1, 4]])
    pseudo_labels = scores(2, 6, 4, seed=1).softmax(-1)
    seen = torch.stack([pseudo_labels[video, index[video]] for video in range(2)])
    outputs = {"logits": scores(2, 4), "frame_logits": scores(2, 3, 4, seed=2), "frame_indices": index}
    losses = unlabelled_losses(outputs, None, pseudo_labels, frame_guidance_weight=0.5, clip_guidance_weight=2.0)
    expected = 0.5 * frame_guidance_loss(outputs["frame_logits"], seen)
    torch.testing.assert_close(losses, expected + 2 * clip_guidance_loss(outputs["logits"], seen))
    assert unlabelled_losses(outputs).tolist() == [0, 0]
    with pytest.raises(ValueError, match="needs `pseudo_labels`.*frame_guidance_weight"):
        unlabelled_losses(outputs, frame_guidance_weight=0.5)
    with pytest.raises(ValueError, match=r"4 labels, got \(2, 6, 3\)"):
        unlabelled_losses(outputs, None, pseudo_labels[..., :3], frame_guidance_weight=0.5)
