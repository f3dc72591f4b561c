# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The field's metrics: WAR, UAR, recall of each label, confusion matrix, calibration error, risk and coverage."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """Computes the expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017).

    It is the mean distance between confidence (the largest probability) and accuracy over bins of equal width,
    weighted by their number of samples.

    Args:
        probabilities (array of shape `(N, C)`, 0..1): the model's probabilities.
        labels (array of shape `(N,)`, int): true labels, 0..C-1.
        bins (`int`, *optional*, defaults to 15): number of bins between 0 and 1.

    Returns:
        `float`: 0..1; 0 is best.

    Raises:
        ValueError: if there are no samples, or the shapes do not fit.
    """
    return _calibration_error(*_confidences(probabilities, labels), bins)


def _confidences(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    """Returns the largest probability of each sample, and whether it is the label's."""
    probabilities, labels = np.asarray(probabilities, dtype=float), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            f"Got probabilities of shape {probabilities.shape} and labels of shape {labels.shape}; expected (N, C) "
            "and (N,) with N > 0."
        )
    return probabilities.max(1), probabilities.argmax(1) == labels


def _calibration_error(confidences: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    numbers = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    error = 0.0
    for number in range(bins):
        inside = numbers == number
        if inside.any():
            error += inside.mean() * abs(confidences[inside].mean() - correct[inside].mean())
    return float(error)


def risk_coverage(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    """Computes how many samples are answered, and how many of these answers are wrong, at each least confidence.

    Each sample's largest probability serves as least confidence (`min_confidence` of [`predict`]) once: all samples
    below it are left unanswered (selective classification, Geifman and El-Yaniv, NeurIPS 2017).

    Args:
        probabilities (array of shape `(N, C)`, 0..1): the model's probabilities.
        labels (array of shape `(N,)`, int): true labels, 0..C-1.

    Returns:
        `tuple`: coverages `(N,)`, the share of samples that are answered, ascending, the last is 1; and risks `(N,)`,
        the share of wrong answers among these. Samples of the same confidence have the same coverage and risk.

    Raises:
        ValueError: if there are no samples, or the shapes do not fit.
    """
    confidences, correct = _confidences(probabilities, labels)
    order = np.argsort(-confidences)
    # Samples of the same confidence are answered together.
    num_answered = np.asarray(np.searchsorted(-confidences[order], -confidences[order], side="right"))
    num_wrong = np.cumsum(~correct[order])[num_answered - 1]
    return num_answered / len(order), num_wrong / num_answered


def area_under_risk_coverage(probabilities, labels) -> float:
    """Computes AURC, the mean risk over the least confidences of [`risk_coverage`] (Geifman et al., ICLR 2019).

    It is low if the model is mostly right, and less sure where it is wrong.

    Args:
        probabilities (array of shape `(N, C)`, 0..1): the model's probabilities.
        labels (array of shape `(N,)`, int): true labels, 0..C-1.

    Returns:
        `float`: 0..1; 0 is best. A model that is as sure where it is wrong as where it is right has its error rate.

    Raises:
        ValueError: if there are no samples, or the shapes do not fit.
    """
    return float(risk_coverage(probabilities, labels)[1].mean())


def answered_accuracy(probabilities, labels, min_confidences: Sequence[float]) -> list[dict[str, float | None]]:
    """Computes the share of samples that are answered with a `min_confidence` of [`predict`], and their accuracy.

    Args:
        probabilities (array of shape `(N, C)`, 0..1): the model's probabilities.
        labels (array of shape `(N,)`, int): true labels, 0..C-1.
        min_confidences (sequence of `float`, 0..1): least confidences.

    Returns:
        `list[dict]`: for each of them, `min_confidence`, `coverage` (0..1), and `accuracy` (0..1; None if no sample is
        answered).

    Raises:
        ValueError: if there are no samples, or the shapes do not fit.
    """
    confidences, correct = _confidences(probabilities, labels)
    rows: list[dict[str, float | None]] = []
    for least in min_confidences:
        answered = confidences >= least
        accuracy = float(correct[answered].mean()) if answered.any() else None
        rows.append({"min_confidence": least, "coverage": float(answered.mean()), "accuracy": accuracy})
    return rows


def fit_temperature(probabilities, references) -> float:
    """Finds the temperature that calibrates probabilities (temperature scaling, Guo et al., ICML 2017).

    It is the T for which softmax(log(probabilities) / T) has the lowest mean negative log-likelihood.

    Args:
        probabilities (array of shape `(N, C)`, rows sum to 1): probabilities of samples that the model was not
            trained on.
        references (array of shape `(N,)`, int): their labels, 0..C-1.

    Returns:
        `float`: the temperature, 0.05..20; above 1 if the probabilities were overconfident.

    Raises:
        ValueError: if there are no samples.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits, references = np.log(np.maximum(np.asarray(probabilities, dtype=float), 1e-30)), np.asarray(references)
    if not len(references):
        raise ValueError("There are 0 samples; expected at least one.")

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=-1)
        return -scaled[np.arange(len(references)), references].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded").x))


def recognition_metrics(
    predictions,
    references,
    label_names: Sequence[str],
    probabilities=None,
    agreement=None,
) -> dict:
    """Computes WAR, UAR, recall of each label, confusion matrix and calibration errors.

    Args:
        predictions (array of shape `(N,)`, int): predicted labels, 0..C-1.
        references (array of shape `(N,)`, int): true labels, 0..C-1.
        label_names (sequence of `str`, C of them): names of the labels.
        probabilities (array of shape `(N, C)`, *optional*): for the calibration error and the area under the
            risk-coverage curve; `predictions` are then the labels of the largest.
        agreement (array of shape `(N,)`, 0..1, *optional*): agreement of the clips, for its calibration error.

    Returns:
        `dict`: `war` (weighted average recall: accuracy), `uar` (unweighted average recall over the labels that
        occur in the references), `recall_<label>` for each of those, all 0..1; `absent_labels` (names that do not
        occur in the references); `confusion_matrix` (list of C rows of C counts, row: reference, column: prediction);
        `ece` and `aurc` with `probabilities`, `ece_agreement` with `agreement`.

    Raises:
        ValueError: if there are no samples, lengths differ, or a label is not 0..C-1.
    """
    from sklearn.metrics import confusion_matrix, recall_score

    predictions, references = np.asarray(predictions).ravel(), np.asarray(references).ravel()
    if len(references) == 0 or len(predictions) != len(references):
        raise ValueError(
            f"Got {len(predictions)} predictions and {len(references)} references; expected as many, > 0."
        )
    for name, values in (("predictions", predictions), ("references", references)):
        if values.min() < 0 or values.max() >= len(label_names):
            raise ValueError(
                f"`{name}` hold labels {values.min()}..{values.max()}, expected 0..{len(label_names) - 1}."
            )
    present = np.unique(references)
    recalls = recall_score(references, predictions, labels=present, average=None, zero_division=0)
    result: dict[str, Any] = {"war": float((predictions == references).mean()), "uar": float(recalls.mean())}
    result.update({f"recall_{label_names[label]}": float(recall) for label, recall in zip(present, recalls)})
    result["absent_labels"] = [name for index, name in enumerate(label_names) if index not in present]
    result["confusion_matrix"] = confusion_matrix(references, predictions, labels=range(len(label_names))).tolist()
    if probabilities is not None:
        result["ece"] = expected_calibration_error(probabilities, references)
        result["aurc"] = area_under_risk_coverage(probabilities, references)
    if agreement is not None:
        result["ece_agreement"] = _calibration_error(np.asarray(agreement, dtype=float), predictions == references)
    return result


__all__ = [
    "answered_accuracy",
    "area_under_risk_coverage",
    "expected_calibration_error",
    "fit_temperature",
    "recognition_metrics",
    "risk_coverage",
]
