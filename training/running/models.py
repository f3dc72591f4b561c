# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The model that a training starts from."""

import yaml
from transformers import AutoConfig, AutoModelForVideoClassification, PreTrainedModel
from transformers.utils import logging

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.models.labels_rdfer import group_labels
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from training.build.aen_small import FOLDER as AEN_SMALL
from training.data.labels import map_labels
from training.running.arguments import ModelArguments

logger = logging.get_logger(__name__)

# By their names in checkpoints: configuration, model.
FAMILIES = {"rdfer": (RDFERConfig, RDFERForVideoClassification), "aen": (AENConfig, AENForVideoClassification)}


def parse_overrides(text: str | None, config_class: type = RDFERConfig) -> dict:
    """`a=1,b=x` to a dict, numbers and booleans as such."""
    overrides = {}
    for item in (text or "").split(","):
        if item:
            name, separator, value = item.partition("=")
            if not separator or not hasattr(config_class(), name):
                raise ValueError(
                    f"--config_overrides: expected FIELD=VALUE with a field of {config_class.__name__}, got {item!r}."
                )
            overrides[name] = yaml.safe_load(value)
    return overrides


def parse_groups(text: str | None) -> dict[str, str] | None:
    """`bored=negative,...` to a dict; None if nothing is given."""
    pairs = [item.partition("=") for item in (text or "").split(",") if item]
    if not all(label and group for label, _, group in pairs):
        raise ValueError(f"--emotion_groups: expected LABEL=GROUP,..., got {text!r}.")
    return {label: group for label, _, group in pairs} or None


def build_model(arguments: ModelArguments, labels: list[str]) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    """
    The model to train and its processor. A checkpoint's labels, and their order, are kept if each of the data's has a
    counterpart among them ("angry" and "anger" are one); otherwise new heads are made for the data's labels, in the
    data's order, which is said.

    Raises:
        ValueError: a setting or a label does not fit the model, naming it.
    """
    groups = parse_groups(arguments.emotion_groups)
    model_type = arguments.model_type or "rdfer"
    if not arguments.preset:
        name = arguments.model_name_or_path or (AEN_SMALL if model_type == "aen" else embedded_checkpoint())
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
            raise ValueError(f"{error} On the command line: --emotion_groups LABEL=GROUP,...") from error
    if arguments.preset and arguments.model_name_or_path:
        raise ValueError("--preset starts from scratch, --model_name_or_path from a checkpoint: give one of them.")
    if arguments.preset:
        # RDFER has no groups of its own: the trainer finds them there all the same.
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
        config.id2label = dict(enumerate(labels))
    model = AutoModelForVideoClassification.from_pretrained(name, config=config, ignore_mismatched_sizes=True)
    processor = RDFERVideoProcessor.from_pretrained(name, num_frames=config.num_frames)
    return model, processor


__all__ = ["build_model", "parse_groups", "parse_overrides"]
