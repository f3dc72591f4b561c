# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Loaders of the field's datasets and of your own videos.

    from training.datasets import load
    splits = load("dfew", "/data/DFEW", fold=1)

Each published dataset is read in the layout that its authors distribute or, where they publish only lists, in the
layout of these. Loaders compare lists and files. They decode nothing.

CONTRIBUTING.md, Add a dataset, has the steps to add one.
"""

import importlib
from collections.abc import Callable

# Name -> module with the function `load`, imported only when it is needed: a module can also run as a program.
DATASETS = {
    "dfew": "training.datasets.dfew",
    "ferv39k": "training.datasets.ferv39k",
    "mafw": "training.datasets.mafw",
    "afew": "training.datasets.afew",
    "crema_d": "training.datasets.crema_d",
    "ravdess": "training.datasets.ravdess",
    "enterface05": "training.datasets.enterface05",
    # Still images: a video of one frame each.
    "ferplus": "training.datasets.ferplus",
    # Your own videos: folders, a list, a dataset of the datasets library.
    "videofolder": "training.datasets.videofolder",
    "videolist": "training.datasets.videolist",
    "hub": "training.datasets.hub",
}


def load(name: str, root, **options):
    """Loads a dataset: which videos there are, their labels and their splits. No video is decoded.

    Args:
        name (`str`): name of the dataset: `"dfew"`, `"ferv39k"`, `"mafw"`, `"afew"`, `"crema_d"`, `"ravdess"`,
            `"enterface05"`, `"ferplus"`; or, for your own, `"videofolder"` (a folder of videos or images for each
            label), `"videolist"` (a CSV, TSV or JSON lines file) or `"hub"` (a dataset of the datasets library, or a
            prepared set).
        root (`str` or `Path`): folder of the dataset; for `"videolist"` the list file; for `"hub"` a folder or an id
            on the Hub.
        options: options of the dataset, e.g. `fold=1`. [`dataset_options`] lists them; the dataset's own
            module describes them.

    Returns:
        `datasets.DatasetDict`: the splits, `train` and most often `test` or `validation`, with these columns:

        - `video`, `frames` or `image` (`str`): path of a video file, of a folder of frames, or of an image, which is a
          video of one frame. Prepared sets, datasets of the datasets library and FER+ in Parquet have
          `{"bytes", "path"}` instead.
        - `label` (`ClassLabel`): the label. Its names are the dataset's own, in its own order.
        - `sample_id` (`str`): id of the clip, unique in all splits.
        - `path` (`str`): path relative to the root.
        - more columns of the dataset, such as `fold`, `actor` or `soft_label`; see its module.

    Raises:
        ValueError: if the name, an option or its value is unknown (the message lists the known ones), or lists
            and files disagree.
        FileNotFoundError: if a folder, list or clip is missing.

    Example:

    ```python
    >>> from training.datasets import dataset_options, load

    >>> dataset_options("dfew")
    {'fold': (1, 2, 3, 4, 5), 'on_missing': ('error', 'skip'), 'persons': ()}
    >>> splits = load("dfew", "/data/DFEW", fold=1)  # doctest: +SKIP
    >>> splits["train"].features["label"].names  # doctest: +SKIP
    ['happy', 'sad', 'neutral', 'anger', 'surprise', 'disgust', 'fear']
    ```
    """
    known = dataset_options(name)
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no options {unknown}; expected some of {list(known)}.")
    return get_loader(name)(root, **options)


def dataset_options(name: str) -> dict[str, tuple]:
    """The options of a dataset and the values that each can have.

    Args:
        name (`str`): name of the dataset.

    Returns:
        `dict[str, tuple]`: values by option, e.g. `{"fold": (1, 2, 3, 4, 5), ...}`; an empty tuple if it can have any.

    Raises:
        ValueError: if there is no such dataset.
    """
    from .loader_tools import loader_options

    return loader_options(get_loader(name))


def get_loader(name: str) -> Callable:
    """The function `load(root, ...)` of a dataset. Raises ValueError if there is no such dataset."""
    if name not in DATASETS:
        raise ValueError(f"There is no dataset {name!r}; expected one of {list(DATASETS)}.")
    return importlib.import_module(DATASETS[name]).load


__all__ = ["DATASETS", "dataset_options", "get_loader", "load"]
