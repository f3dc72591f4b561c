# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import math

import pytest
import torch

from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.verdicts import VerdictThresholds
from tests.helpers.training_job import NUM_KNOWN, labels_and_known, predictions_and_known, predictions_of


def test_running_means_and_samples_seen_twice_or_not_at_all():
    record = SampleRecord(
        torch.tensor([0, 1, 2]), 3, VerdictThresholds(noisy_loss_threshold=1.0), running_mean_decay=0.75
    )
    odds = lambda *losses: [math.log(math.expm1(loss)) for loss in losses]  # noqa: E731
    record.update(predictions_of([1, 0, 1], [2.0, 1.0, 4.0]))
    assert record.means["loss"].tolist() == pytest.approx([1.0, math.log1p(math.exp(sum(odds(2, 4)) / 2)), 0.0])
    # The first epochs count alike; later ones by the decay.
    for loss in (5.0, 3.0, 7.0, 8.0):
        record.update(predictions_of([0], [loss]))
    mean = sum(odds(1, 5, 3)) / 3
    mean = 0.75 * (0.75 * mean + 0.25 * odds(7)[0]) + 0.25 * odds(8)[0]
    assert record.means["loss"][0].item() == pytest.approx(math.log1p(math.exp(mean)))
    assert record.epochs_seen.tolist() == [5, 1, 0]
    assert record.weights[2] == 1 and record.partition[2] == 0


def test_verdicts_follow_the_running_means_not_the_last_epoch():
    record = SampleRecord(
        labels_and_known([0, 1]),
        3,
        VerdictThresholds(full_doubt_margin=-0.25, max_noisy_share=1.0, noisy_loss_threshold=1.0),
        running_mean_decay=0.7,
    )
    for _ in range(4):
        record.update(predictions_and_known([0, 1], [3.0, 0.1], against=True))
    assert record.partition[:2].tolist() == [2, 0] and record.weights[:2].tolist() == [0.0, 1.0]
    # A change of mind: the margin -0.7 becomes -0.7 * 0.7 + 0.3 * 0.7 < -0.25 in one epoch, > 0 in two.
    record.update(predictions_and_known([0, 1], [3.0, 0.1]))
    assert record.partition[:2].tolist() == [2, 0]
    record.update(predictions_and_known([0, 1], [3.0, 0.1]))
    assert record.partition[:2].tolist() == [0, 0]


def test_what_keeps_a_label_from_being_wiped_out_weighs_fully():
    record = SampleRecord(
        labels_and_known([0] * 12), 3, VerdictThresholds(max_noisy_share=0.5, noisy_loss_threshold=1.0)
    )
    record.update(predictions_and_known(range(12), [3.0] * 12, probabilities=(0.05, 0.9, 0.05)))
    # Of 20 samples of the label 10 may be dropped.
    assert sorted(record.weights[:12].tolist()) == [0] * 10 + [1] * 2


def test_doubted_samples_learn_the_suggested_label_in_proportion():
    record = SampleRecord(
        labels_and_known([1, 1, 1, 1]),
        3,
        VerdictThresholds(max_noisy_share=1.0, noisy_loss_threshold=2.5),
        hard_sample_gain=0.5,
    )
    margin = torch.tensor([-0.8, -0.3, 0.2, -0.3])
    given = (0.9 + margin) / 2
    seen = predictions_and_known([0, 1, 2, 3], [3.0, 2.0, 3.0, 0.2])
    seen.probabilities[:4] = torch.stack([torch.full((4,), 0.1), given, given - margin], 1)
    seen.agreement[:4] = torch.tensor([1.0, 1.0, 0.5, 1.0])
    record.update(seen)
    torch.testing.assert_close(record.doubt[:4], torch.tensor([1, 0.5, 0, 0]))
    torch.testing.assert_close(record.weights[:4], torch.tensor([0, 0.5, 1.25, 1]))
    generator = torch.Generator().manual_seed(0)
    drawn = [record.relabelled(generator) for _ in range(200)]
    shares = torch.stack([labels == 2 for labels, _ in drawn]).float().mean(0)
    # The last one's loss is small: its label is not doubted, whatever the clips say.
    assert shares[0] == 1 and 0.35 < shares[1] < 0.65 and shares[2] == shares[3] == 0
    torch.testing.assert_close(drawn[0][1][:4], torch.tensor([1, 1, 1.25, 1]))


def test_a_single_distinct_clip_is_no_evidence():
    record = SampleRecord(
        labels_and_known([0, 1]),
        3,
        VerdictThresholds(max_noisy_share=1.0, noisy_loss_threshold=1.0),
    )
    seen = predictions_and_known([0, 1], [3.0, 3.0], against=True)
    seen.num_valid_clips[0] = 1
    record.update(seen)
    assert record.partition[:2].tolist() == [0, 2]


def test_a_model_that_knows_nothing_doubts_no_label():
    """It contradicts half of the labels for certain: that counts only if it agrees with others beyond chance."""
    thresholds = VerdictThresholds(noisy_loss_threshold=1.0)
    contradicted = predictions_of(range(NUM_KNOWN), [3.0] * NUM_KNOWN, against=True)
    record = SampleRecord(torch.arange(NUM_KNOWN) % 3, 3, thresholds)
    record.update(contradicted)
    assert record.trust == 0 and record.partition.eq(0).all() and record.weights.eq(1).all()
    record = SampleRecord(torch.arange(4 * NUM_KNOWN) % 3, 3, thresholds)
    right = predictions_of(range(NUM_KNOWN, 4 * NUM_KNOWN), [0.1] * 3 * NUM_KNOWN)
    record.update(SamplePredictions.concatenate([contradicted, right]))
    assert record.trust == 1 and record.doubt[:NUM_KNOWN].eq(1).all() and record.doubt[NUM_KNOWN:].eq(0).all()


def test_record_survives_saving_and_refuses_other_data():
    record = SampleRecord(torch.tensor([0, 1, 2]), 3, VerdictThresholds(noisy_loss_threshold=1.0))
    record.update(predictions_of([0, 1, 2], [2.0, 1.0, 4.0], agreement=0.5, against=True))
    again = SampleRecord(torch.tensor([0, 1, 2]), 3, VerdictThresholds(noisy_loss_threshold=1.0))
    again.load_state_dict(record.state_dict())
    assert torch.equal(again.weights, record.weights) and torch.equal(again.partition, record.partition)
    with pytest.raises(ValueError, match="3 samples.*4"):
        SampleRecord(torch.zeros(4, dtype=torch.long), 3).load_state_dict(record.state_dict())
