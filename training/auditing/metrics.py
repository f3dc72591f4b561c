# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Estimates from the probabilities of an audit: given x true labels, and the quality of scores against the truth."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from modeling_rdfer.trainer.verdicts import label_margin

# Number of bootstrap resamples.
RESAMPLES = 1000


def label_scores(probabilities, labels, losses, noisy) -> dict[str, np.ndarray]:
    """Computes scores that find wrong labels from the same probabilities, all low for suspicious labels: the audit's
    own and, for comparison, others.

    Args:
        probabilities (array of shape `(N, C)`): probabilities of the labels.
        labels (array of shape `(N,)`, int): given labels.
        losses (array of shape `(N,)`): losses of the given labels.
        noisy (array of shape `(N,)`, bool): whether the verdict is noisy.

    Returns:
        `dict`: name of the score -> array of shape `(N,)`.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities = np.asarray(probabilities, dtype=float)
    probabilities = probabilities / probabilities.sum(1, keepdims=True)
    labels = np.asarray(labels)
    quality = probabilities[np.arange(len(labels)), labels]
    losses = np.asarray(losses, dtype=float)
    noisy_first = np.empty(len(labels))
    noisy_first[np.lexsort([-losses, ~np.asarray(noisy, dtype=bool)])] = np.arange(len(labels))
    entropy = get_label_quality_scores(labels, probabilities, method="confidence_weighted_entropy")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues")  # of labels with few videos
        issues = find_label_issues(labels, probabilities, n_jobs=1)
    return {
        "loss: the audit's suspicion_rank": -losses,
        "noisy first, then loss": noisy_first,
        "label_quality (self-confidence)": quality,
        "label margin": label_margin(torch.from_numpy(probabilities), torch.from_numpy(labels)).numpy(),
        "cleanlab confidence-weighted entropy": entropy,
        "cleanlab confident learning, then self-confidence": quality - issues,
    }


def estimated_joint(probabilities, labels, label_names: Sequence[str]) -> tuple[list[list[float]], list[dict]]:
    """Estimates which labels are mistaken for which, by confident learning (Northcutt et al., JAIR 2021; cleanlab).

    Args:
        probabilities (array of shape `(N, C)`): out of sample; otherwise too few mistakes are found.
        labels (array of shape `(N,)`, int): given labels.
        label_names (sequence of C `str`): names.

    Returns:
        `tuple[list[list[float]], list[dict]]`: the estimated share of videos with each given (row) and true (column)
        label, C x C; and the pairs of different labels `{"given", "true", "share", "count"}` that occur at least once,
        the most frequent first.
    """
    from cleanlab.count import estimate_joint

    probabilities = np.asarray(probabilities, dtype=float)
    joint = estimate_joint(np.asarray(labels), probabilities / probabilities.sum(1, keepdims=True))
    pairs = [
        {"given": label_names[given], "true": label_names[true], "share": float(joint[given, true])}
        for given, true in np.ndindex(joint.shape)
        if given != true
    ]
    for pair in pairs:
        pair["count"] = round(pair["share"] * len(labels))
    return joint.tolist(), sorted((p for p in pairs if p["count"]), key=lambda pair: -pair["share"])


class _Ranking:
    """Videos ordered by a score, with ties; metrics that are quick to compute for many weights of the videos."""

    def __init__(self, score, wrong):
        order = np.argsort(score, kind="stable")
        ordered = np.asarray(score)[order]
        self.wrong = np.asarray(wrong, dtype=float)[order]
        self.ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)

    def _counts(self, weights) -> tuple[np.ndarray, np.ndarray]:
        """Number of wrong and of all videos up to the end of each tie."""
        return np.cumsum(weights * self.wrong)[self.ends], np.cumsum(weights)[self.ends]

    def auroc(self, weights) -> float:
        """Area under the receiver operating characteristic."""
        found, taken = self._counts(weights)
        other = taken - found
        if not found[-1] or not other[-1]:
            return np.nan
        return float(np.trapezoid(np.append(0, found), np.append(0, other)) / (found[-1] * other[-1]))

    def auprc(self, weights) -> float:
        """Average precision."""
        found, taken = self._counts(weights)
        if not found[-1]:
            return np.nan
        return float((np.diff(found, prepend=0) * found / np.maximum(taken, 1e-12)).sum() / found[-1])

    def precision_at_k(self, weights) -> float:
        """Precision among the k most suspicious, k being the number of wrong ones; within a tie the expectation."""
        found, taken = self._counts(weights)
        if not found[-1]:
            return np.nan
        return float(np.interp(found[-1], np.append(0, taken), np.append(0, found)) / found[-1])


def _with_interval(measure: Callable[[np.ndarray], float], count: int, seed: int) -> dict[str, float | None]:
    generator = np.random.default_rng(seed)
    values = [
        measure(np.bincount(generator.integers(0, count, count), minlength=count).astype(float))
        for _ in range(RESAMPLES)
    ]
    values = [value for value in values if np.isfinite(value)]
    value = measure(np.ones(count))
    if not values or not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(values, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def detection_quality(scores: dict[str, np.ndarray], wrong, hard=None, seed: int = 0) -> list[dict]:
    """Measures how well scores find wrong labels, with 95 % intervals of a bootstrap over videos (percentiles, 1000
    resamples).

    Args:
        scores (`dict` of arrays of shape `(N,)`): low for suspicious labels.
        wrong (array of shape `(N,)`, bool): whether the given label is wrong.
        hard (array of shape `(N,)`, bool, *optional*): whether the video is hard.
        seed (`int`, *optional*, defaults to 0): seed of the resamples.

    Returns:
        `list[dict]`: for each score `score` (its name), and as `{"value", "low", "high"}`, 0..1: `auroc`, `auprc`,
        `precision_at_k` (with `k`, the number of wrong labels); if `hard` is given, the AUROC of wrong labels against
        right ones of videos that are not hard, `noisy_vs_clean`, and that are hard, `hard_vs_noisy`. Values that are
        not defined (e.g. without wrong labels) are None.
    """
    wrong = np.asarray(wrong, dtype=bool)
    result = []
    for name, score in scores.items():
        ranking = _Ranking(score, wrong)
        entry = {"score": name}
        for metric in ("auroc", "auprc", "precision_at_k"):
            entry[metric] = _with_interval(getattr(ranking, metric), len(wrong), seed)
        entry["precision_at_k"]["k"] = int(wrong.sum())
        for metric, is_other in (("noisy_vs_clean", False), ("hard_vs_noisy", True)):
            entry[metric] = None
            if hard is not None:
                among = wrong | (np.asarray(hard, dtype=bool) == is_other)
                ranking = _Ranking(np.asarray(score)[among], wrong[among])
                entry[metric] = _with_interval(ranking.auroc, int(among.sum()), seed)
        result.append(entry)
    return result


__all__ = ["detection_quality", "estimated_joint", "label_scores"]
