# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Turns logits into the scores that answers show."""

import torch

from .errors import CheckpointReadError

# The label of an answer whose best score is below `min_confidence`.
UNCERTAIN = "uncertain"


def check_min_confidence(min_confidence: float | None):
    """Raises ValueError unless `min_confidence` is None or above 0 and at most 1."""
    if min_confidence is not None and not 0 < min_confidence <= 1:
        raise ValueError(f"min_confidence must be above 0 and at most 1, got {min_confidence}.")


def probabilities(model, logits: torch.Tensor) -> torch.Tensor:
    """Turns logits into scores, as the video-classification pipeline does for the model's problem type.

    Args:
        model (`PreTrainedModel` or [`ONNXModel`]): the model that computed the logits.
        logits (`torch.Tensor` of shape `(..., C)`): one number for each class.

    Returns:
        `torch.FloatTensor` of shape `(..., C)`: softmax; sigmoid for multi-label classification; the logits themselves
        for regression.
    """
    if model.config.problem_type == "regression":
        return logits.float()
    if model.config.problem_type == "multi_label_classification":
        return logits.float().sigmoid()
    return logits.float().softmax(-1)


def answer_scores(model, logits: torch.Tensor) -> torch.Tensor:
    """The `probabilities` of an answer; raises CheckpointReadError if they are not numbers."""
    scores = probabilities(model, logits)
    if scores.isnan().any():
        raise CheckpointReadError(
            f"Cannot use the checkpoint {model.config._name_or_path!r}: its scores are not numbers; config.json or "
            "model.safetensors is damaged, or the precision is too low."
        )
    return scores


__all__ = ["UNCERTAIN", "answer_scores", "check_min_confidence", "probabilities"]
