# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Which videos `--dataset` means, and the arguments that say it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from training.data.labelled_videos import LabelledVideos
from training.datasets import DATASETS, dataset_options, load
from training.datasets.loader_tools import SPLIT_NAMES
from training.datasets.videolist import read_rows

# Loaders of people's own videos -> what they load, for messages.
OWN_VIDEOS = {"videofolder": "a folder of videos", "videolist": "a list of videos", "hub": "a dataset"}
REGISTERED = tuple(name for name in DATASETS if name not in OWN_VIDEOS)
LIST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
FORMS = f"""a registered name ({", ".join(REGISTERED)}) together with --root; a folder, D/<split>/<label>/<video> or \
D/<label>/<video>, or one written by training.prepare; a list file (.csv, .tsv or .jsonl with the columns path and \
label); or the id of a dataset on the Hub, e.g. user/name"""
DATASET_HELP = f"Videos or still images: {FORMS}."


@dataclass
class SourceArguments:
    """Which dataset to read."""

    _argument_group_name = "videos"

    dataset: str | None = field(default=None, metadata={"help": DATASET_HELP})
    root: str | None = field(default=None, metadata={"help": "Folder of a dataset that --dataset names."})
    fold: int | None = field(
        default=None, metadata={"help": "Fold of --dataset to test on, from 1; the others are for training."}
    )
    dataset_options: str | None = field(
        default=None,
        metadata={"help": "Options of the loader, e.g. label_source=face_vote,on_missing=skip."},
    )


@dataclass(frozen=True)
class VideoSource:
    """A dataset and the loader that reads it.

    Attributes:
        loader (`str`): a key of `training.datasets.DATASETS`.
        location (`str`): folder, list file, Hub id or URL.
    """

    loader: str
    location: str

    @property
    def is_registered(self) -> bool:
        """Whether it is one of the field's datasets."""
        return self.loader in REGISTERED

    @property
    def is_on_hub(self) -> bool:
        """Whether the location is the id of a dataset on the Hub."""
        return self.loader == "hub" and "://" not in self.location and not Path(self.location).exists()

    @property
    def has_splits(self) -> bool:
        """Whether the dataset itself has splits; plain folders and lists have none."""
        if self.loader == "videofolder":
            folders = [path.name.lower() for path in Path(self.location).iterdir() if path.is_dir()]
            return all(name in SPLIT_NAMES for name in folders if not name.startswith("."))
        if self.loader == "videolist":
            return "split" in set().union(*read_rows(Path(self.location))[:1])
        return True

    def __str__(self) -> str:
        return f"{self.loader} in {self.location}" if self.is_registered else self.location


def find_source(dataset: str, root: str | None = None, option: str = "--dataset") -> VideoSource:
    """Decides what a value of `--dataset` means: a registered name if `root` is given, else a folder or file that
    exists, else a Hub id.

    Args:
        dataset (`str`): the value.
        root (`str`, *optional*): folder of a registered dataset.
        option (`str`, *optional*, defaults to `"--dataset"`): name of the option, for messages.

    Returns:
        [`VideoSource`]: the dataset and its loader.

    Raises:
        ValueError: if the value has none of the forms, or `root` is given with a value that is no registered name.
    """
    root_option = "--eval-root" if option == "--eval-dataset" else "--root"
    path = Path(dataset)
    if root is not None:
        if dataset not in REGISTERED:
            raise ValueError(
                f"{root_option} goes with a registered name ({', '.join(REGISTERED)}), not with {option} {dataset}."
            )
        return VideoSource(dataset, root)
    if "://" in dataset:
        return VideoSource("hub", dataset)
    if path.is_dir():
        return VideoSource("hub" if _is_prepared(path) else "videofolder", dataset)
    if path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
        return VideoSource("videolist", dataset)
    if dataset in REGISTERED:
        raise ValueError(f"{option} {dataset} needs {root_option}, the folder of the dataset.")
    if not path.exists() and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", dataset) and path.suffix not in LIST_SUFFIXES:
        return VideoSource("hub", dataset)
    found = (
        "is a file of another kind" if path.exists() else "is no folder or file here, no registered name and no Hub id"
    )
    raise ValueError(f"{option} {dataset} {found}. Expected {FORMS}.")


def _is_prepared(folder: Path) -> bool:
    """Whether a folder is one of `training.prepare`, or a dataset of Parquet files like it."""
    patterns = ("manifest.json", "*.parquet", "*/*.parquet")
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def parse_options(loader: str, text: str | None) -> dict:
    """Parses `a=1,b=x` into the options of a dataset's loader.

    Raises:
        ValueError: if an option or its value is unknown; the message lists the known ones.
    """
    known, parsed = dataset_options(loader), {}
    for item in (text or "").split(","):
        if item:
            name, separator, value = (part.strip() for part in item.partition("="))
            if not separator or name not in known:
                raise ValueError(
                    f"--dataset-options: expected OPTION=VALUE with one of {list(known)} for "
                    f"{OWN_VIDEOS.get(loader, loader)}, got {item!r}."
                )
            choices = {str(choice).lower(): choice for choice in known[name]}
            if choices and value.lower() not in choices:
                raise ValueError(f"--dataset-options: {name}={value}: expected one of {list(known[name])}.")
            parsed[name] = choices[value.lower()] if choices else int(value) if value.isdigit() else value
    return parsed


def chosen_options(arguments: SourceArguments) -> dict:
    """The options of the dataset's loader, the fold among them.

    Raises:
        ValueError: see [`find_source`] and [`parse_options`]; or if there is a fold and the dataset has none.
    """
    source = find_source(arguments.dataset, arguments.root)
    options = parse_options(source.loader, arguments.dataset_options)
    if arguments.fold is not None:
        if "fold" not in dataset_options(source.loader):
            raise ValueError(f"--fold: {OWN_VIDEOS.get(source.loader, source.loader)} has no folds.")
        options["fold"] = arguments.fold
    return options


def load_source(arguments: SourceArguments) -> dict[str, LabelledVideos]:
    """Loads the videos of each split of the dataset that the arguments name.

    Raises:
        ValueError, FileNotFoundError: see [`chosen_options`] and [`training.datasets.load`].
    """
    source = find_source(arguments.dataset, arguments.root)
    return load_videos(source, chosen_options(arguments))


def load_splits(source: VideoSource, options: dict, option: str = "--dataset"):
    """Loads the splits of a source.

    Args:
        source ([`VideoSource`]): the source.
        options (`dict`): options of its loader.
        option (`str`, *optional*, defaults to `"--dataset"`): name of the option, for messages.

    Returns:
        `datasets.DatasetDict`: the splits.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or the Hub has no such dataset, or is
            unreachable.
    """
    try:
        return load(source.loader, source.location, **options)
    except (FileNotFoundError, ConnectionError) as error:
        if source.is_on_hub:  # often a misspelled folder
            reason = f"{option} {source.location} is no folder or file here, and as a Hub id: {error}"
            raise FileNotFoundError(reason) from error
        raise


def load_videos(source: VideoSource, options: dict, option: str = "--dataset") -> dict[str, LabelledVideos]:
    """Loads the videos of each split of a source. Arguments and errors are those of [`load_splits`]."""
    splits = load_splits(source, options, option)
    return {split: LabelledVideos.from_dataset(dataset, split) for split, dataset in splits.items()}


__all__ = [
    "SourceArguments",
    "VideoSource",
    "chosen_options",
    "find_source",
    "load_source",
    "load_splits",
    "load_videos",
    "parse_options",
]
