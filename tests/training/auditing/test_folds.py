# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import math

import pytest
import torch

from training.auditing.folds import with_training_losses


def loss_of(log_odds: float) -> float:
    """The loss of a label with these log-odds against it."""
    return math.log1p(math.exp(log_odds))


def test_half_of_a_loss_comes_from_the_trainings_however_many_had_the_video():
    held_out = torch.tensor([loss_of(6.0), loss_of(-2.0)])
    in_trainings = [[loss_of(1.0), loss_of(3.0)], [loss_of(4.0)]]
    assert with_training_losses(held_out, in_trainings).tolist() == pytest.approx([loss_of(4.0), loss_of(1.0)])
