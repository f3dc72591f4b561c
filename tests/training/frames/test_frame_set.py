# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Rare labels are drawn more often, sets get their shares, and faces that judge are left out."""

import pytest
import torch

from training.frames.frame_set import FrameSet, balanced_weights, combine


def frame_set(labels, num_labels=2, offset=0):
    faces = torch.arange(len(labels), dtype=torch.uint8)[:, None, None].expand(-1, 96, 96) + offset
    targets = torch.nn.functional.one_hot(torch.tensor(labels), num_labels).float()
    return FrameSet(faces, targets, balanced_weights(targets, 0.0))


@pytest.mark.parametrize("balance, rare_share", [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
def test_balance_draws_rare_labels_more_often(balance, rare_share):
    targets = frame_set([0] * 9 + [1]).targets
    weights = balanced_weights(targets, balance)
    assert weights.sum() == pytest.approx(1) and weights[-1] == pytest.approx(rare_share)


def test_sets_get_their_shares_whatever_their_sizes():
    both = combine([frame_set([0] * 6), frame_set([1] * 2, offset=100)], [0.9, 0.1])
    assert len(both) == 8 and both.weights[6:].sum() == pytest.approx(0.1)
    assert both.weights.sum() == pytest.approx(1)


def test_faces_that_judge_are_left_out():
    left = frame_set([0, 1, 0, 1]).without(frame_set([0, 1]).faces[1:])
    assert left.faces[:, 0, 0].tolist() == [0, 2, 3]
    assert left.targets[:, 1].tolist() == [0, 0, 1] and left.weights.sum() == pytest.approx(1)
