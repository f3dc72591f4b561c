# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import os
from pathlib import Path

import evaluate
import numpy as np
import pytest

from modeling_rdfer.trainer.metrics import (
    answered_accuracy,
    area_under_risk_coverage,
    expected_calibration_error,
    fit_temperature,
    recognition_metrics,
    risk_coverage,
)

MODULE = str(Path(__file__).parents[2] / "training" / "metrics" / "war_uar")
LABELS = ["happy", "sad", "angry", "fear"]
REFERENCES = [0, 0, 0, 0, 1, 1, 2, 2]
PREDICTIONS = [0, 0, 0, 3, 1, 0, 0, 0]


def test_by_hand():
    metrics = recognition_metrics(PREDICTIONS, REFERENCES, LABELS)
    assert metrics["war"] == 4 / 8
    # Fear is predicted once and never occurs: it does not count as a label with recall 0.
    assert metrics["uar"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert metrics["recall_happy"] == 3 / 4 and metrics["recall_angry"] == 0 and "recall_fear" not in metrics
    assert metrics["absent_labels"] == ["fear"]
    assert metrics["confusion_matrix"] == [[3, 0, 0, 1], [1, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("predictions, references", [([], []), ([0], [0, 1]), ([4], [0]), ([0], [-1])])
def test_wrong_input_is_explained(predictions, references):
    with pytest.raises(ValueError, match=r"expected"):
        recognition_metrics(predictions, references, LABELS)


def of_two_labels(confidences, correct):
    """Probabilities of labels 0 and 1 with these confidences (above 0.5) for label 0, and the true labels."""
    confidences = np.asarray(confidences)
    return np.stack([confidences, 1 - confidences], 1), 1 - np.asarray(correct, dtype=int)


def test_calibration_error():
    # Confidence 0.75, right in 1 of 2; confidence 0.95, always right.
    error = expected_calibration_error(*of_two_labels([0.75, 0.75, 0.95, 0.95], [1, 0, 1, 1]))
    assert error == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1.0, 20000)
    assert expected_calibration_error(*of_two_labels(confidence, generator.random(20000) < confidence)) < 0.02
    # One bin: mean confidence against accuracy.
    assert expected_calibration_error(*of_two_labels([0.6, 1.0], [1, 1]), bins=1) == pytest.approx(0.2)


def test_risk_and_coverage_by_hand():
    answers = of_two_labels([0.6, 0.9, 0.7, 0.8], [0, 1, 1, 0])
    coverages, risks = risk_coverage(*answers)
    assert coverages.tolist() == [0.25, 0.5, 0.75, 1.0] and risks == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert area_under_risk_coverage(*answers) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_risk_of_equal_confidences_does_not_depend_on_their_order():
    for correct in ([1, 1, 0, 0], [0, 1, 0, 1]):
        coverages, risks = risk_coverage(*of_two_labels([0.8] * 4, correct))
        assert coverages.tolist() == [1.0] * 4 and risks.tolist() == [0.5] * 4


def test_accuracy_of_the_answers_at_a_least_confidence():
    rows = answered_accuracy(*of_two_labels([0.6, 0.9, 0.7, 0.8], [0, 1, 1, 0]), (0.5, 0.8, 0.95))
    assert rows == [
        {"min_confidence": 0.5, "coverage": 1.0, "accuracy": 0.5},
        {"min_confidence": 0.8, "coverage": 0.5, "accuracy": 0.5},
        {"min_confidence": 0.95, "coverage": 0.0, "accuracy": None},
    ]


def test_area_under_risk_coverage_is_low_if_wrong_answers_are_unsure():
    confidences, correct = np.linspace(0.51, 0.99, 100), np.arange(100) >= 20
    sorted_out = area_under_risk_coverage(*of_two_labels(confidences, correct))
    upside_down = area_under_risk_coverage(*of_two_labels(confidences, correct[::-1]))
    assert sorted_out < 0.03 and upside_down > 0.4


@pytest.mark.parametrize("function", [expected_calibration_error, risk_coverage, area_under_risk_coverage])
@pytest.mark.parametrize("shapes", [((0, 3), (0,)), ((4,), (4,)), ((4, 3), (5,))])
def test_shapes_that_do_not_fit_are_explained(function, shapes):
    with pytest.raises(ValueError, match="expected"):
        function(np.zeros(shapes[0]), np.zeros(shapes[1], dtype=int))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temperature_makes_probabilities_true_again(temperature):
    """Labels drawn from known probabilities, which a model then reports too sharply (or too dully)."""
    generator = np.random.default_rng(0)
    truth = generator.dirichlet(np.ones(4), size=4000)
    labels = (truth.cumsum(1) > generator.random((4000, 1))).argmax(1)
    reported = truth**temperature / (truth**temperature).sum(1, keepdims=True)
    assert fit_temperature(reported, labels) == pytest.approx(temperature, rel=0.06)
    with pytest.raises(ValueError, match="0 samples"):
        fit_temperature(np.zeros((0, 4)), [])


def test_calibration_of_probabilities_and_of_agreement():
    probabilities = np.eye(4)[PREDICTIONS] * 0.6 + 0.1
    metrics = recognition_metrics(PREDICTIONS, REFERENCES, LABELS, probabilities, agreement=[1.0] * 8)
    assert metrics["ece"] == pytest.approx(0.7 - 0.5) and metrics["ece_agreement"] == pytest.approx(0.5)
    assert metrics["aurc"] == 0.5  # all are equally sure: the error rate


def test_evaluate_module_by_path_and_by_class():
    os.environ["HF_EVALUATE_OFFLINE"] = "1"
    expected = recognition_metrics(PREDICTIONS, REFERENCES, LABELS)
    metric = evaluate.load(MODULE)
    assert metric.compute(predictions=PREDICTIONS, references=REFERENCES, label_names=LABELS) == expected
    from training.metrics.war_uar.war_uar import WarUar

    metric = WarUar()
    for start in range(0, 8, 3):
        metric.add_batch(predictions=PREDICTIONS[start : start + 3], references=REFERENCES[start : start + 3])
    assert metric.compute(label_names=LABELS) == expected


def test_evaluate_module_aggregates_over_processes(tmp_path):
    import threading

    from training.metrics.war_uar.war_uar import WarUar

    results = {}

    def work(process):
        metric = WarUar(num_process=2, process_id=process, experiment_id="t", cache_dir=str(tmp_path), timeout=60)
        metric.add_batch(predictions=PREDICTIONS[process::2], references=REFERENCES[process::2])
        results[process] = metric.compute(label_names=LABELS)

    threads = [threading.Thread(target=work, args=(process,)) for process in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[1] is None and results[0]["war"] == 0.5 and results[0]["absent_labels"] == ["fear"]
