# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Loaders of the field's datasets, each for the layout its authors distribute (or, where only derived lists are public,
the one those lists use), and of anyone's own videos. They check lists and files against each other and decode nothing:

    from training.datasets import load
    splits = load("dfew", "/data/DFEW", fold=1)
"""

import importlib
from collections.abc import Callable

# Name -> module with the function `load`. Imported when asked for, so that a module can also be run by itself.
DATASETS = {
    "dfew": "training.datasets.dfew",
    "ferv39k": "training.datasets.ferv39k",
    "mafw": "training.datasets.mafw",
    "afew": "training.datasets.afew",
    "crema_d": "training.datasets.crema_d",
    "ravdess": "training.datasets.ravdess",
    "enterface05": "training.datasets.enterface05",
    # Anyone's own.
    "videofolder": "training.datasets.videofolder",
    "videolist": "training.datasets.videolist",
    "hub": "training.datasets.hub",
}


def get_loader(name: str) -> Callable:
    """The loader of a dataset by name. Raises ValueError naming those there are."""
    if name not in DATASETS:
        raise ValueError(f"There is no dataset {name!r}; expected one of {list(DATASETS)}.")
    return importlib.import_module(DATASETS[name]).load


def dataset_options(name: str) -> dict[str, tuple]:
    """
    The options of a dataset's loader with the values each can take, e.g. `{"fold": (1, 2, 3, 4, 5), ...}`; an empty
    tuple where any value can be.
    """
    from .loading import loader_options

    return loader_options(get_loader(name))


def load(name: str, root, **chosen):
    """
    Loads a dataset by name.

    Args:
        name (`str`): a key of `DATASETS`.
        root (`str` or `Path`): folder of the dataset.
        chosen: options of its loader, see [`dataset_options`].

    Returns:
        `datasets.DatasetDict`, see the loader's own documentation.

    Raises:
        ValueError: the name, an option or its value is unknown, naming what is possible; or lists and files disagree.
        FileNotFoundError: a folder, list or clip is missing.
    """
    known = dataset_options(name)
    if unknown := sorted(set(chosen) - set(known)):
        raise ValueError(f"{name} has no options {unknown}; expected some of {list(known)}.")
    return get_loader(name)(root, **chosen)


__all__ = ["DATASETS", "dataset_options", "get_loader", "load"]
