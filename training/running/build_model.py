# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The model to train: a checkpoint, or a new one from a preset."""

import re
from pathlib import Path

import yaml
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.checkpoint_weights import load_network
from modeling_rdfer.models.labels_rdfer import group_labels
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from training.data.labels import map_labels
from training.running.arguments import ModelArguments

logger = logging.get_logger(__name__)

# The checkpoint of AEN, which only a checkout has.
AEN_SMALL = Path(__file__).parents[2] / "hub_cards" / "aen-small"
# Model type -> configuration class, model class.
FAMILIES = {"rdfer": (RDFERConfig, RDFERForVideoClassification), "aen": (AENConfig, AENForVideoClassification)}


def parse_overrides(text: str | None, config_class: type = RDFERConfig) -> dict:
    """Parses `a=1,b=x,c=[1,2]` into a dict with numbers, booleans and lists. Raises ValueError for unknown fields."""
    overrides = {}
    for item in re.split(r",(?![^\[]*\])", text or ""):
        if item:
            name, separator, value = item.partition("=")
            if not separator or not hasattr(config_class(), name):
                raise ValueError(
                    f"--config-overrides: expected FIELD=VALUE with a field of {config_class.__name__}, got {item!r}."
                )
            overrides[name] = yaml.safe_load(value)
    return overrides


def parse_groups(text: str | None) -> dict[str, str] | None:
    """Parses `bored=negative,...` into a dict; None for an empty text. Raises ValueError for anything else."""
    pairs = [item.partition("=") for item in (text or "").split(",") if item]
    if not all(label and group for label, _, group in pairs):
        raise ValueError(f"--emotion-groups: expected LABEL=GROUP,..., got {text!r}.")
    return {label: group for label, _, group in pairs} or None


def build_model(arguments: ModelArguments, labels: list[str]) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    """Loads or makes the model to train, and its processor. A checkpoint's labels and their order are kept if each
    label of the data has a counterpart among them ("angry" and "anger" are the same). Otherwise the model gets new
    heads for the data's labels, in the data's order, with a warning.

    Args:
        arguments ([`ModelArguments`]): which model.
        labels (`list[str]`): labels of the data.

    Returns:
        `tuple[PreTrainedModel, RDFERVideoProcessor]`: the model and its processor.

    Raises:
        ValueError: if a setting or a label does not fit the model.
        CheckpointReadError: if tensors of the checkpoint are missing or have other shapes, apart from those of heads
            that are replaced.
    """
    groups = parse_groups(arguments.emotion_groups)
    model_type = arguments.model_type or "rdfer"
    if not arguments.preset:
        name = arguments.model or (AEN_SMALL if model_type == "aen" else embedded_checkpoint())
        config = AutoConfig.from_pretrained(name)
        if config.model_type not in FAMILIES or arguments.model_type not in (None, config.model_type):
            raise ValueError(
                f"{name} is a checkpoint of type {config.model_type!r}, expected "
                f"{arguments.model_type or ' or '.join(FAMILIES)}."
            )
        model_type = config.model_type
    config_class, model_class = FAMILIES[model_type]
    overrides = parse_overrides(arguments.config_overrides, config_class)
    if model_type == "aen":
        try:
            group_labels(labels, groups)
        except ValueError as error:
            raise ValueError(f"{error} On the command line: --emotion-groups LABEL=GROUP,...") from error
    if arguments.preset and arguments.model:
        raise ValueError("--preset starts from scratch, --model from a checkpoint: give one of them.")
    if arguments.preset:
        # RDFER does not use the groups; the trainer reads them from its configuration.
        overrides |= {"emotion_groups": groups} if groups else {}
        config = config_class.from_preset(arguments.preset, id2label=dict(enumerate(labels)), **overrides)
        if arguments.backbone:
            model = model_class.from_backbone_pretrained(arguments.backbone, config=config)
        else:
            model = model_class(config)
        processor = RDFERVideoProcessor(
            num_frames=config.num_frames,
            size={"height": config.image_size, "width": config.image_size},
            image_mean=config.image_mean,
            image_std=config.image_std,
        )
        return model, processor
    config = config_class.from_pretrained(name, **overrides)
    new_heads, old_groups = None, getattr(config, "group_names", None)
    if groups:
        config.emotion_groups = groups
    try:
        map_labels(labels, list(config.label2id))
        logger.warning(f"Keeping the labels of {name}: {list(config.label2id)}.")
    except ValueError:
        logger.warning(
            f"The labels of the data, {labels}, are not those of {name}, {list(config.label2id)}: its heads are "
            "replaced by new ones for the data's labels."
        )
        config.id2label, new_heads = dict(enumerate(labels)), "classifier"
    if new_heads is None and old_groups is not None and config.group_names != old_groups:
        logger.warning(
            f"The emotion groups, {config.group_names}, are not those of {name}, {old_groups}: the head for them is "
            "replaced by a new one."
        )
        new_heads = "sentiment_classifier"
    model = load_network(str(name), config, new_heads)
    processor = RDFERVideoProcessor.from_pretrained(name, num_frames=config.num_frames)
    return model, processor


__all__ = ["build_model", "parse_groups", "parse_overrides"]
