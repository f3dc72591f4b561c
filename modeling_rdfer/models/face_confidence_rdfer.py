# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Lowers the confidence of answers for faces that are turned too far to the side."""

import torch
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

_READABLE_DEGREES, _UNREADABLE_DEGREES, _LEAST_CONFIDENCE = 45, 65, 0.5


def face_confidence(yaws: torch.Tensor) -> float:
    """Tells how far the answer for a face can be trusted, given how it is turned to the side (ours).

    A frame counts 1 up to 45 degrees, 0.5 from 65 degrees, in between linearly; the result is the mean over frames.
    With these factors for its logits a frame network, calibrated on frontal faces, is about as sure as it is right on
    faces of FER+ that are turned further (docs/method.md, Faces).

    Args:
        yaws (`torch.Tensor` of shape `(T,)`, T >= 1): those of `FaceTrack`, in radians.

    Returns:
        `float`: the confidence, 0.5 to 1.
    """
    beyond = (yaws.abs().rad2deg() - _READABLE_DEGREES) / (_UNREADABLE_DEGREES - _READABLE_DEGREES)
    return float((1 - beyond.clamp(0, 1) * (1 - _LEAST_CONFIDENCE)).mean())


def apply_face_confidence(outputs: ModelOutput, face_confidence: torch.Tensor, config: PreTrainedConfig):
    """Multiplies the logits of videos and clips, in place: the scores come closer to each other, in the same order.

    The logits of AEN stay log-probabilities, and those of its groups follow. A regression is not changed, since its
    numbers are no scores.

    Args:
        outputs (`ModelOutput`): with `logits` `(B, C)`, `clip_logits` `(B, K, C)` and for AEN `sentiment_logits`.
        face_confidence (`torch.FloatTensor` of shape `(B,)`): above 0, at most 1.
        config ([`RDFERConfig`] or [`AENConfig`]): the model's configuration.

    Raises:
        ValueError: if the shape is wrong.
    """
    if face_confidence.shape != outputs.logits.shape[:1]:
        raise ValueError(
            f"`face_confidence` must have shape (batch_size,) = {tuple(outputs.logits.shape[:1])}, got "
            f"{tuple(face_confidence.shape)}."
        )
    if config.problem_type == "regression":
        return
    factor = face_confidence.to(outputs.logits)[:, None]
    outputs["logits"] = outputs["logits"] * factor
    outputs["clip_logits"] = outputs["clip_logits"] * factor[:, None]
    if config.model_type == "aen":
        for name in ("logits", "clip_logits"):
            outputs[name] = outputs[name].float().log_softmax(-1).to(outputs[name])
        of_group: dict[int, list[torch.Tensor]] = {}
        for group, log_probability in zip(config.group_of_label, outputs["logits"].unbind(-1)):
            of_group.setdefault(group, []).append(log_probability)
        sums = [torch.stack(of_group[group], -1).logsumexp(-1) for group in sorted(of_group)]
        outputs["sentiment_logits"] = torch.stack(sums, -1)


__all__ = ["apply_face_confidence", "face_confidence"]
