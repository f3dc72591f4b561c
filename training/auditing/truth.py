# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""How well an audit finds wrong labels, where the true ones are known."""

from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.verdicts import NOISY
from training.auditing.metrics import detection_quality, label_scores
from training.auditing.scoring import Audit


def compare_with_truth(audit: Audit, record: SampleRecord, true_labels, is_hard, seed: int) -> list[dict]:
    """Measures how well the audit, and other scores of the same probabilities, find the wrong labels.

    Args:
        audit ([`Audit`]), record ([`SampleRecord`]): scores and verdicts.
        true_labels, is_hard (`list`): what [`read_truth`] returns.
        seed (`int`): seed of the intervals.

    Returns:
        `list[dict]`: see [`detection_quality`].

    Raises:
        ValueError: if none of the videos that could be read has a true label.
    """
    seen = [n for n in audit.predictions.index.sort().values.tolist() if true_labels[n] is not None]
    if not seen:
        raise ValueError("None of the videos that could be read has a true label.")
    wrong = [canonical_label(true_labels[n]) != canonical_label(audit.videos.labels[n]) for n in seen]
    scores = label_scores(
        record.means["probabilities"][seen].numpy(),
        record.given_labels[seen].numpy(),
        record.means["loss"][seen].numpy(),
        (record.partition[seen] == NOISY).numpy(),
    )
    known = [is_hard[n] for n in seen]
    return detection_quality(scores, wrong, None if None in known else known, seed)


__all__ = ["compare_with_truth"]
