# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Where a script's videos come from: the arguments that all scripts share."""

from dataclasses import dataclass, field

from training.data.labelled_videos import LabelledVideos
from training.datasets import DATASETS, dataset_options, load


@dataclass
class SourceArguments:
    """Which dataset to read."""

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "A dataset by name. The last three are for your own: a folder with one for each label, a list, a "
            "dataset of the datasets library.",
            "choices": list(DATASETS),
        },
    )
    root: str | None = field(
        default=None,
        metadata={"help": "Where --dataset is: a folder, a list for videolist, a name or folder for hub."},
    )
    fold: int | None = field(default=None, metadata={"help": "Fold of --dataset to test on, from 1."})
    dataset_options: str | None = field(
        default=None, metadata={"help": "Further options of --dataset, e.g. label_source=face_vote,on_missing=skip."}
    )


def parse_options(dataset: str, text: str | None) -> dict:
    """
    `a=1,b=x` to the options of a dataset's loader.

    Raises:
        ValueError: an option or its value is unknown, naming what is possible.
    """
    known, parsed = dataset_options(dataset), {}
    for item in (text or "").split(","):
        if item:
            name, separator, value = (part.strip() for part in item.partition("="))
            if not separator or name not in known:
                raise ValueError(
                    f"--dataset_options: expected OPTION=VALUE with one of {dataset}'s {list(known)}, got {item!r}."
                )
            choices = {str(choice).lower(): choice for choice in known[name]}
            if choices and value.lower() not in choices:
                raise ValueError(f"--dataset_options: {name}={value}: expected one of {list(known[name])}.")
            parsed[name] = choices[value.lower()] if choices else int(value) if value.isdigit() else value
    return parsed


def chosen_options(source: SourceArguments) -> dict:
    """The options of the dataset's loader, --fold among them. Raises ValueError: see [`parse_options`]."""
    fold = {} if source.fold is None else {"fold": source.fold}
    return parse_options(source.dataset, source.dataset_options) | fold


def load_source(source: SourceArguments) -> dict[str, LabelledVideos]:
    """
    The videos of each split of the dataset that the arguments name.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or --root is missing.
    """
    if not source.root:
        raise ValueError(f"--dataset {source.dataset} needs --root, where it is.")
    splits = load(source.dataset, source.root, **chosen_options(source))
    return {split: LabelledVideos.from_dataset(dataset, split) for split, dataset in splits.items()}


__all__ = ["SourceArguments", "chosen_options", "load_source", "parse_options"]
