# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Facts about a training that its model card states: dataset, settings, decisions."""

import json
from dataclasses import fields
from pathlib import Path

from modeling_rdfer.hub.card_facts import CardFacts
from modeling_rdfer.hub.public_names import public_name
from training.auditing.decisions import decisions_hash
from training.data.dataset_argument import VideoSource, find_source, parse_options
from training.data.known_labels import TRUSTED
from training.datasets import dataset_options

# Names of the datasets as their authors write them.
TITLES = {
    "dfew": "DFEW",
    "ferv39k": "FERV39k",
    "mafw": "MAFW",
    "afew": "AFEW",
    "crema_d": "CREMA-D",
    "ravdess": "RAVDESS",
    "enterface05": "eNTERFACE'05",
    "ferplus": "FER+",
}


def facts_of_run(model_arguments, data, train_videos) -> CardFacts:
    """The facts that the arguments of a training state, for the model card. The trainer adds the rest.

    Args:
        model_arguments ([`ModelArguments`]), data ([`DataArguments`]): the arguments.
        train_videos ([`LabelledVideos`]): the videos to train on.

    Returns:
        [`CardFacts`]: the facts.
    """
    changed = {}
    for arguments, names in (
        (model_arguments, ("config_overrides", "emotion_groups")),
        (data, ("face_crop", "on_damage", "crop_scale", "colour_jitter", "early_stopping_patience")),
    ):
        defaults = {setting.name: setting.default for setting in fields(arguments)}
        changed |= {name: getattr(arguments, name) for name in names if getattr(arguments, name) != defaults[name]}
    if TRUSTED in train_videos.columns:
        changed["trusted_labels"] = sum(train_videos.columns[TRUSTED])
    source = find_source(data.dataset, data.root)
    # Options with a fixed choice only: others could be paths.
    known = dataset_options(source.loader)
    chosen = parse_options(source.loader, data.dataset_options)
    by_person = ["folds by person"] if "persons" in chosen else []  # not the dataset's own folds
    chosen = {name: value for name, value in chosen.items() if known[name] and name != "on_missing"}
    return CardFacts(
        license=model_arguments.license,
        preset=model_arguments.preset,
        backbone=model_arguments.backbone,
        dataset_name=dataset_title(source),
        dataset_id=source.location if source.is_on_hub else None,
        dataset_config=", ".join([*(f"{name} {value}" for name, value in chosen.items()), *by_person]) or None,
        fold=data.fold,
        train_split=train_videos.columns["split"][0],
        decisions_hash=decisions_hash(data.decisions) if data.decisions else None,
        decision_counts=data.decision_counts or {},
        hyperparameters=changed,
    )


def dataset_title(source: VideoSource) -> str | None:
    """Name of a dataset for people: as its authors write it; its Hub id; for someone's own videos the name of the
    folder `D` of `D`, `D/train` or `D/list.csv`, without its path.
    """
    if source.is_registered:
        return TITLES.get(source.loader, source.loader)
    path = Path(source.location)
    if not path.exists():
        return source.location
    path = path.resolve()
    folder = path.parent if path.is_file() or path.name.lower() in ("train", "training") else path
    settings = folder / "dataset.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("synthetic"):
        return "synthetic"
    return public_name(folder) or None  # the name of a home folder is its user's


def dataset_key(source: VideoSource) -> str | None:
    """Name of a dataset in results: the registered name, else its [`dataset_title`]."""
    return source.loader if source.is_registered else dataset_title(source)


__all__ = ["dataset_key", "dataset_title", "facts_of_run"]
