# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Groups of parameters with learning rates of their own."""

from collections.abc import Collection

from torch import nn
from transformers import PreTrainedModel

from .arguments import RDFERTrainingArguments


def decayed_names(model: nn.Module) -> list[str]:
    """Names of the parameters with weight decay: matrices and kernels, not biases and norms of any kind."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]


def parameter_groups(model: PreTrainedModel, decayed: Collection[str], args: RDFERTrainingArguments) -> list[dict]:
    """Groups trainable parameters by learning rate and weight decay.

    Backbones learn with `backbone_learning_rate`, all other parameters with `learning_rate`.

    Args:
        model (`PreTrainedModel`): RDFER or AEN.
        decayed (collection of `str`): names of the parameters with weight decay.
        args ([`RDFERTrainingArguments`]): learning rates and weight decay.

    Returns:
        `list[dict]`: parameter groups for an optimizer of torch.
    """
    groups, decayed = {}, set(decayed)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(("backbone" in name, name in decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": args.backbone_learning_rate if is_backbone else args.learning_rate,
            "weight_decay": args.weight_decay if is_decayed else 0.0,
        }
        for (is_backbone, is_decayed), parameters in groups.items()
    ]


__all__ = ["decayed_names", "parameter_groups"]
