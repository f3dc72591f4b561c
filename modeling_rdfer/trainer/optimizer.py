# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Groups of parameters with learning rates of their own."""

import re
from collections.abc import Collection

from torch import nn
from transformers import PreTrainedModel

from .arguments import RDFERTrainingArguments


def decayed_names(model: nn.Module) -> list[str]:
    """Names of the parameters with weight decay: matrices and kernels, not biases and norms of any kind."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]


def layer_distances(model: PreTrainedModel) -> dict[str, int]:
    """Distance of each parameter of the main backbone from the heads, in blocks (as in BEiT, arXiv 2106.08254).

    Args:
        model (`PreTrainedModel`): RDFER or AEN.

    Returns:
        `dict[str, int]`: 0 after the last block, 1 in it, 2 in the block before, ...; the embeddings come last.

    Raises:
        ValueError: if the backbone's parameters do not show its blocks.
    """
    backbone = model.base_model.backbone
    prefix = next(name for name, module in model.named_modules() if module is backbone)
    blocks, embeddings = {}, []
    for name, _ in backbone.named_parameters():
        numbers = re.findall(r"(?:^|\.)(?:layers?|blocks|stages)(?:\.|_)(\d+)(?=\.)", name)
        if numbers:
            blocks[name] = tuple(map(int, numbers))
        elif not blocks:
            embeddings.append(name)
    if not blocks:
        raise ValueError(f"layer_decay: the blocks of the backbone, a {type(backbone).__name__}, are not known.")
    order = sorted(set(blocks.values()), reverse=True)
    distances = {name: 1 + order.index(block) for name, block in blocks.items()}
    distances |= dict.fromkeys(embeddings, 1 + len(order))
    return {f"{prefix}.{name}": distances.get(name, 0) for name, _ in backbone.named_parameters()}


def parameter_groups(model: PreTrainedModel, decayed: Collection[str], args: RDFERTrainingArguments) -> list[dict]:
    """Groups trainable parameters by learning rate and weight decay.

    Backbones learn with `backbone_learning_rate`, all other parameters with `learning_rate`. In the main backbone,
    `layer_decay` lowers the rate from block to block.

    Args:
        model (`PreTrainedModel`): RDFER or AEN.
        decayed (collection of `str`): names of the parameters with weight decay.
        args ([`RDFERTrainingArguments`]): learning rates and weight decay.

    Returns:
        `list[dict]`: parameter groups for an optimizer of torch.
    """
    groups, decayed = {}, set(decayed)
    backbone_rate = args.learning_rate if args.backbone_learning_rate is None else args.backbone_learning_rate
    distances = layer_distances(model) if args.layer_decay < 1 else {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = backbone_rate if "backbone" in name else args.learning_rate
            rate *= args.layer_decay ** distances.get(name, 0)
            groups.setdefault((rate, name in decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": args.weight_decay if is_decayed else 0.0}
        for (rate, is_decayed), parameters in groups.items()
    ]


__all__ = ["decayed_names", "layer_distances", "parameter_groups"]
