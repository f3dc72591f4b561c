# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""WAR and UAR as a module of the evaluate library: `evaluate.load("training/metrics/war_uar")`."""

import datasets
import evaluate

from modeling_rdfer.trainer.metrics import recognition_metrics

_DESCRIPTION = """
Metrics of dynamic facial expression recognition. WAR (weighted average recall) is accuracy; UAR (unweighted average
recall) is the mean recall over the labels that occur in the references; labels that do not occur are named in
`absent_labels`.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of int): predicted labels.
    references (list of int): true labels.
    label_names (list of str): names of the labels, in the order of their numbers.
Returns:
    war, uar, recall_<label> (0..1), absent_labels (names), confusion_matrix (rows: references).
Example:
    >>> metric = evaluate.load("training/metrics/war_uar")
    >>> metric.compute(predictions=[0, 1, 1], references=[0, 1, 0], label_names=["happy", "sad"])["war"]
    0.6666666666666666
"""

_CITATION = ""


class WarUar(evaluate.Metric):
    """WAR, UAR, recall of each label and confusion matrix; `add_batch` aggregates over batches and processes."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
            ),
        )

    def _compute(self, predictions, references, label_names):
        return recognition_metrics(predictions, references, label_names)
