# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch

from modeling_rdfer.trainer.verdicts import label_margin
from training.auditing.metrics import detection_quality, estimated_joint, label_scores


def test_detection_quality_by_hand():
    """Wrong ones at places 1 and 3 of 4: 3 of 4 pairs in order, average precision (1 + 2/3) / 2, at 2 one half."""
    score, wrong = np.array([0.1, 0.2, 0.3, 0.9]), np.array([True, False, True, False])
    (entry,) = detection_quality({"s": score}, wrong, hard=[False, True, False, False], seed=1)
    assert entry["auroc"]["value"] == 0.75 and entry["auprc"]["value"] == pytest.approx(5 / 6)
    assert entry["precision_at_k"]["value"] == 0.5 and entry["precision_at_k"]["k"] == 2
    assert entry["noisy_vs_clean"]["value"] == 1 and entry["hard_vs_noisy"]["value"] == 0.5
    assert entry["auroc"]["low"] < 0.75 < entry["auroc"]["high"] == 1
    assert detection_quality({"s": score}, wrong, [False] * 4, seed=1)[0]["auroc"] == entry["auroc"]
    (unknown,) = detection_quality({"s": score}, wrong)
    assert unknown["hard_vs_noisy"] is None
    # Ties are worth one half, however they are ordered.
    (tied,) = detection_quality({"s": np.zeros(4)}, wrong)
    assert tied["auroc"]["value"] == tied["auprc"]["value"] == tied["precision_at_k"]["value"] == 0.5


def test_intervals_hold_what_they_say():
    """Of many samples of one population, about 95 in 100 intervals hold its AUROC."""
    generator, holds = np.random.default_rng(0), 0
    true = 0.7602  # of N(0, 1) and N(1, 1): Phi(1 / sqrt 2)
    for _ in range(20):
        wrong = generator.random(150) < 0.4
        (entry,) = detection_quality({"s": generator.normal(size=150) - wrong}, wrong)
        holds += entry["auroc"]["low"] <= true <= entry["auroc"]["high"]
    assert holds >= 16


def test_joint_and_confused_pairs():
    labels = np.array([0] * 50 + [1] * 50)
    probabilities = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    probabilities[:10] = [0.1, 0.9]  # ten of the first label look like the second
    joint, pairs = estimated_joint(probabilities, labels, ["a", "b"])
    assert np.array(joint) == pytest.approx(np.array([[0.4, 0.1], [0.0, 0.5]]))
    assert pairs == [{"given": "a", "true": "b", "share": pytest.approx(0.1), "count": 10}]


def test_the_margin_is_the_trainings():
    generator = np.random.default_rng(0)
    probabilities, labels = generator.dirichlet(np.ones(4), 60), generator.integers(0, 4, 60)
    scores = label_scores(probabilities, labels, -np.log(probabilities[np.arange(60), labels]), np.zeros(60, bool))
    expected = label_margin(torch.from_numpy(probabilities), torch.from_numpy(labels)).numpy()
    np.testing.assert_allclose(scores["label margin"], expected, atol=1e-12)
