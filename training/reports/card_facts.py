# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What a run's model card says about its data and settings."""

import json
from dataclasses import fields
from pathlib import Path

from modeling_rdfer.hub.card_facts import CardFacts
from modeling_rdfer.hub.public_names import public_name
from training.auditing.decisions import decisions_hash
from training.data.sources import parse_options
from training.datasets import dataset_options

# As their authors write them.
TITLES = {
    "dfew": "DFEW",
    "ferv39k": "FERV39k",
    "mafw": "MAFW",
    "afew": "AFEW",
    "crema_d": "CREMA-D",
    "ravdess": "RAVDESS",
    "enterface05": "eNTERFACE'05",
}


def facts_of_run(model_arguments, data, training) -> CardFacts:
    """
    What the arguments of `training.train` say about a run, for the card; the trainer adds the rest.

    Args:
        model_arguments (`ModelArguments`), data (`DataArguments`): of `training.train`.
        training ([`LabelledVideos`]): the videos to train on.
    """
    changed = {}
    for arguments, names in (
        (model_arguments, ("config_overrides", "emotion_groups")),
        (data, ("face_crop", "crop_scale", "colour_jitter", "early_stopping_patience")),
    ):
        defaults = {setting.name: setting.default for setting in fields(arguments)}
        changed |= {name: getattr(arguments, name) for name in names if getattr(arguments, name) != defaults[name]}
    on_hub = data.dataset_name or (data.root if data.dataset == "hub" else None)
    # Options without a fixed choice could be paths.
    chosen = parse_options(data.dataset, data.dataset_options) if data.dataset else {}
    chosen = {
        name: value for name, value in chosen.items() if dataset_options(data.dataset)[name] and name != "on_missing"
    }
    return CardFacts(
        license=model_arguments.license,
        preset=model_arguments.preset,
        backbone=model_arguments.backbone,
        dataset_name=dataset_title(data),
        dataset_id=on_hub,
        dataset_config=", ".join(f"{name} {value}" for name, value in chosen.items()) or None,
        fold=data.fold,
        train_split=training.columns["split"][0],
        decisions_hash=decisions_hash(data.decisions) if data.decisions else None,
        decision_counts=data.decision_counts or {},
        hyperparameters=changed,
    )


def dataset_title(data) -> str | None:
    """Name of a dataset; of anyone's own that of the folder `D` of `D`, `D/train` or `D/list.csv`, or on the Hub."""
    if data.dataset not in (None, "videofolder", "videolist", "hub"):
        return TITLES.get(data.dataset, data.dataset)
    source = data.train_dir or data.train_list or data.dataset_name or data.root
    path = Path(source)
    if not path.exists():
        return source
    path = path.resolve()
    folder = path.parent if path.is_file() or path.name.lower() in ("train", "training") else path
    settings = folder / "dataset.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("synthetic"):
        return "synthetic"
    return public_name(folder) or None  # a home folder's name is its user's


__all__ = ["dataset_title", "facts_of_run"]
