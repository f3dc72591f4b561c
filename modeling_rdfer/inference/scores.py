# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Turns logits into the scores that answers show."""

import torch


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


__all__ = ["probabilities"]
