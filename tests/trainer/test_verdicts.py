# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from modeling_rdfer.trainer import verdicts
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.verdicts import (
    CLEAN,
    HARD,
    NOISY,
    VerdictThresholds,
    fit_doubt_loss_threshold,
    label_doubt,
    label_margin,
    limit_noisy_share,
    model_trust,
    noisy_loss_threshold,
    partition_samples,
    sample_weights,
)


def test_label_margin_is_of_the_given_label_against_one_other():
    probabilities = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.3, 0.35, 0.35], [0.0, 0.5, 0.5]])
    margin = label_margin(probabilities, torch.tensor([0, 1, 0, 2]))
    torch.testing.assert_close(margin, torch.tensor([-0.6, 0.5, -0.05, 0.0]))


def test_partition_and_weights():
    agreement = torch.tensor([1.0, 0.75, 1.0, 1.0, 0.75, 1.0, 0.5])
    margin = torch.tensor([0.9, 0.25, -1.0, -0.3, -0.75, 0.1, -0.3])
    losses = torch.tensor([0.1, 2.0, 3.0, 0.5, 3.0, 9.0, 3.0])
    partition = partition_samples(agreement, margin, losses, -0.6, 1.0, 0.75)
    # A large loss is not noisy as long as the clips do not agree on another label.
    assert partition.tolist() == [CLEAN, HARD, NOISY, CLEAN, NOISY, CLEAN, HARD]
    doubt = label_doubt(margin, partition, -0.6)
    torch.testing.assert_close(doubt, torch.tensor([0, 0, 1, 0.5, 1, 0, 0.5]))
    weights = sample_weights(partition, agreement, doubt, hard_sample_gain=0.5, noisy_sample_weight=0.0)
    torch.testing.assert_close(weights, torch.tensor([1, 1.125, 0, 0.5, 0, 1, 0.5 * 1.25]))
    kept = sample_weights(partition, agreement, doubt, hard_sample_gain=0.0, noisy_sample_weight=0.2)
    torch.testing.assert_close(kept, torch.tensor([1, 1, 0.2, 0.6, 0.2, 1, 0.6]))
    small = partition_samples(agreement, margin, losses.new_full((7,), 0.5), -0.6, 1.0, 0.75)
    assert NOISY not in small and NOISY not in partition_samples(agreement, margin, losses, -0.6, math.inf, 0.75)


@pytest.mark.parametrize(
    ("right", "trust"), [(0.0, 0.0), (0.25, 0.0), (0.4, 0.0), (0.475, 0.5), (0.6, 1.0), (1.0, 1.0)]
)
def test_trust_grows_with_the_agreement_beyond_chance(right, trust):
    """Four labels alike, so chance is 1/4 and kappa (right - 1/4) / (3/4)."""
    labels = torch.arange(4000) % 4
    shifted = (labels + 1 + torch.arange(4000) // 4 % 3) % 4  # each other label as often
    predicted = torch.where(torch.arange(4000) // 4 < right * 1000, labels, shifted)
    assert model_trust(torch.nn.functional.one_hot(predicted, 4).float(), labels) == pytest.approx(trust, abs=0.01)


def test_always_the_most_frequent_label_is_no_knowledge():
    labels = (torch.arange(100) < 10).long()
    assert model_trust(torch.tensor([[0.9, 0.1]]).expand(100, 2), labels) == 0
    assert model_trust(torch.tensor([[0.9, 0.1]]).expand(5, 2), torch.zeros(5, dtype=torch.long)) == 0
    assert model_trust(torch.empty(0, 2), torch.empty(0, dtype=torch.long)) == 0


def test_no_label_is_wiped_out():
    margin = torch.tensor([-0.4, -0.9, -0.8, -0.2, -0.5, 0.3])
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    limited = limit_noisy_share(margin, labels, 0.5)
    torch.testing.assert_close(limited, torch.tensor([0.0, -0.9, -0.8, 0.0, -0.5, 0.3]))
    assert limit_noisy_share(margin, labels, 0.4)[4] == 0
    assert torch.equal(limit_noisy_share(margin, labels, 1.0), margin)


def test_doubt_begins_between_two_groups_of_losses():
    generator = np.random.default_rng(0)
    losses = np.concatenate([generator.normal(0.4, 0.2, 700), generator.normal(3.0, 0.5, 300)])
    doubt = fit_doubt_loss_threshold(torch.from_numpy(losses))
    assert 1.0 < doubt < 2.2
    assert ((losses > doubt) == (np.arange(1000) >= 700)).mean() > 0.99


def test_noisy_is_what_the_model_contradicts_as_surely_as_it_supports_other_labels():
    log_odds = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -8.0], dtype=torch.double)
    losses, margin = -log_odds.sigmoid().log(), log_odds.sign()
    assert noisy_loss_threshold(losses, margin) == pytest.approx(-math.log(torch.tensor(-4.0).sigmoid()))
    # A model that is surer of everything is surer of what it contradicts, too.
    surer = -(2 * log_odds).sigmoid().log()
    assert noisy_loss_threshold(surer, margin) == pytest.approx(-math.log(torch.tensor(-8.0).sigmoid()))
    assert noisy_loss_threshold(losses, -margin.abs()) == math.inf


def test_threshold_of_many_losses_is_that_of_a_sample_of_them(monkeypatch):
    generator = np.random.default_rng(0)
    losses = torch.from_numpy(np.concatenate([generator.normal(0.4, 0.2, 7000), generator.normal(3.0, 0.5, 3000)]))
    of_all = fit_doubt_loss_threshold(losses)
    monkeypatch.setattr(verdicts, "MAX_FITTED_LOSSES", 1000)
    of_sample = fit_doubt_loss_threshold(losses)
    assert of_sample == fit_doubt_loss_threshold(losses)  # all processes must come to the same verdicts
    assert of_sample != of_all and abs(of_sample - of_all) < 0.1


@pytest.mark.parametrize("losses", [torch.full((50,), 0.7), torch.rand(5), torch.randn(500).mul(0.1).add(1)])
def test_one_group_of_losses_has_no_threshold(losses):
    assert fit_doubt_loss_threshold(losses) == math.inf


def test_thresholds_stand_once():
    """What trains, what is recorded and what audits have the defaults of one class."""
    theirs, ours = fields(VerdictThresholds), {item.name: item for item in fields(RDFERTrainingArguments)}
    assert {item.name: item.default for item in theirs} == {item.name: ours[item.name].default for item in theirs}
    assert SampleRecord(torch.zeros(3, dtype=torch.long), 2).thresholds == VerdictThresholds()
    args = RDFERTrainingArguments(full_doubt_margin=-0.5, noisy_loss_threshold="2")
    assert args.verdict_thresholds == VerdictThresholds(full_doubt_margin=-0.5, noisy_loss_threshold="2")
