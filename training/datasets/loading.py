# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the loaders share: finding clips and lists on disk, checking them against each other, names of labels."""

import functools
import inspect
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin

import datasets
from transformers.utils import logging

from modeling_rdfer.models.video_decoding_rdfer import VIDEO_SUFFIXES
from training.data.messages import first_few

logger = logging.get_logger(__name__)

OnMissing = Literal["error", "skip"]
# What people call the splits.
SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLIT_NAMES |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
# Columns that say who is seen. People are kept apart when a part is held out of the training set.
PERSON_COLUMNS = ("actor", "subject", "person")


# ---------------------------------------------------------------------------------------------------------------------
# Loaders
# ---------------------------------------------------------------------------------------------------------------------
def loader(function: Callable, kind: Literal["folder", "list"] = "folder") -> Callable:
    """Makes a loader check that its root is there and that each option is one of those its `Literal` lists."""

    @functools.wraps(function)
    def load(root, *args, **kwargs):
        given = inspect.signature(function).bind(root, *args, **kwargs).arguments
        for name, choices in loader_options(function).items():
            if choices and name in given and given[name] not in choices:
                raise ValueError(f"{name}={given[name]!r}: expected one of {list(choices)}.")
        if not (Path(root).is_file() if kind == "list" else Path(root).is_dir()):
            raise FileNotFoundError(f"root: there is no {kind} {root}.")
        return function(Path(root), *args, **kwargs)

    return load


def loader_options(load: Callable) -> dict[str, tuple]:
    """The options of a loader and the values each can take; none for those that are free."""
    parameters = inspect.signature(load).parameters.values()
    annotations = {parameter.name: parameter.annotation for parameter in parameters if parameter.name != "root"}
    return {
        name: get_args(annotation)
        if get_origin(annotation) is Literal
        else (False, True)
        if annotation is bool
        else ()
        for name, annotation in annotations.items()
    }


def first_folder(root: Path, candidates: Sequence[str]) -> Path:
    """The first of some folders of a dataset that is there. Raises FileNotFoundError naming them all."""
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise FileNotFoundError(f"{root} has none of the folders {list(candidates)}; it has {_listing(root)}.")


def first_lists(root: Path, candidates: Sequence[Sequence[str]]) -> list[Path]:
    """
    The first group of lists, e.g. (train, test), that is complete in `root` or in one of its folders.

    Raises:
        FileNotFoundError: none is, naming what was looked for.
    """
    for candidate in candidates:
        for folder in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
            files = [folder / name for name in candidate]
            if all(file.is_file() for file in files):
                return files
    wanted = "; or ".join(" and ".join(candidate) for candidate in candidates)
    raise FileNotFoundError(f"{root} and its folders have no lists {wanted}; it has {_listing(root)}.")


def _listing(folder: Path) -> str:
    return first_few(sorted(path.name for path in folder.iterdir())) or "nothing"


def read_lines(file: Path, encoding: str = "utf-8-sig") -> list[str]:
    """The lines of a list that are not empty. Raises ValueError if they are in another encoding."""
    try:
        with open(file, encoding=encoding) as handle:
            return [line.strip("\r\n") for line in handle if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not {encoding} text: {error}.") from error


def number_names(file: Path, rows: Sequence[tuple[str, str]], names: Sequence[str], base: int) -> dict[str, str]:
    """
    What the numbers of lists mean, which count labels from 0 or from 1.

    Args:
        file (`Path`): the list, for messages.
        rows (list of (clip, number)): the rows of all lists that belong together.
        names (`list[str]`): labels in the order of their numbers.
        base (0 or 1): where numbers start if neither 0 nor the number of labels occurs, which would tell.

    Returns:
        `dict[str, str]`: the label of each number as it is written.

    Raises:
        ValueError: a label is no number or lies outside, naming its row.
    """
    for clip, text in rows:
        if not re.fullmatch(r"\d+", text) or int(text) > len(names):
            raise ValueError(f"{file}: {clip} has label {text!r}; expected the number of one of {list(names)}.")
    numbers = {int(text) for _, text in rows}
    if {0, len(names)} <= numbers:
        raise ValueError(f"{file}: labels go from 0 to {len(names)}, but there are {len(names)}: {list(names)}.")
    base = 0 if 0 in numbers else 1 if len(names) in numbers else base
    return {text: names[int(text) - base] for _, text in rows}


def find_clips(folder: Path, pattern: str, key: Callable[[Path], str] = lambda path: path.stem) -> dict[str, Path]:
    """
    Clips below a folder: video files, and folders of frames, whose name without suffix matches. It does not look into
    folders of frames, so a large dataset is listed in seconds, and how often a zip file nests makes no difference.

    Args:
        folder (`Path`): where to look.
        pattern (`str`): regular expression for the whole name.
        key (`Callable`, *optional*): what names a clip, given its path; its name without suffix by default.

    Raises:
        FileNotFoundError: there is no clip.
        ValueError: two clips have the same key, naming them.
    """
    found = {}
    matches = re.compile(pattern).fullmatch
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        clips = [name for name in folders if matches(name)]
        folders[:] = [name for name in folders if name not in set(clips)]
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in VIDEO_SUFFIXES and matches(stem):
                clips.append(name)
        for name in clips:
            path = Path(parent, name)
            other = found.setdefault(key(path), path)
            if other != path:
                raise ValueError(f"Clip {key(path)} is there twice: {other} and {path}; keep one of them.")
    if not found:
        raise FileNotFoundError(f"{folder} holds no video file or folder of frames named like {pattern}.")
    return found


def build(
    root: Path,
    names: Sequence[str],
    splits: dict[str, list[dict]],
    clips: dict[str, Path],
    on_missing: str = "error",
) -> datasets.DatasetDict:
    """
    Checks the rows of a dataset against its clips and makes its `DatasetDict`.

    Args:
        root (`Path`): of the dataset.
        names (`list[str]`): its labels in its order.
        splits (dict of lists of dicts): rows of each split, with `sample_id` (a key of `clips`), `label` (a name)
            and whatever else.
        clips (`dict[str, Path]`): its clips. Those without a row are counted in a warning.
        on_missing (`"error"` or `"skip"`): what to do with rows that have no clip.

    Returns:
        `datasets.DatasetDict` with the columns `video` (files, or files and folders) or `frames` (folders of images),
        `label` (ClassLabel), `sample_id`, `path` (relative to the root), and the rows' own. `video` is a string and
        not a `datasets.Video`: the processor opens paths itself, where they are used, so nothing is decoded here and
        no decoder is shared between processes.

    Raises:
        ValueError: an id occurs twice or in two splits, two ids are the same clip, a label is unknown, or a split is
            empty.
        FileNotFoundError: a row has no clip.
    """
    listed = {}
    for split, rows in splits.items():
        ids = Counter(row["sample_id"] for row in rows)
        twice = [name for name, count in ids.items() if count > 1]
        if twice:
            raise ValueError(f"{root}: {len(twice)} clips are listed more than once in {split}: {first_few(twice)}.")
        for other, theirs in listed.items():
            if both := sorted(ids.keys() & theirs):
                raise ValueError(f"{root}: {len(both)} clips are in {other} and in {split}: {first_few(both)}.")
        listed[split] = ids.keys()
        if unknown := sorted({row["label"] for row in rows} - set(names)):
            raise ValueError(f"{root}: unknown labels {unknown} in {split}; expected {list(names)}.")
        missing = [name for name in ids if name not in clips]
        if missing and (on_missing == "error" or len(missing) == len(rows)):
            raise FileNotFoundError(
                f"{root}: {len(missing)} of the {len(rows)} clips of {split} are not there: {first_few(missing)}. "
                f'There is, for example, {next(iter(clips.values()))}. on_missing="skip" leaves them out.'
            )
        if missing:
            logger.warning(f"{len(missing)} of the {len(rows)} clips of {split} are not there: {first_few(missing)}.")
    extra = sorted(clips.keys() - set().union(*listed.values()))
    if extra:
        logger.warning(f"{root}: {len(extra)} clips are in no split and are left out: {first_few(extra)}.")
    made, places = {}, {}
    for name in set().union(*listed.values()) & clips.keys():
        other = places.setdefault(os.path.normpath(clips[name]), name)
        if other != name:
            raise ValueError(f"{root}: {other} and {name} are the same clip, {clips[name]}.")
    for split, rows in splits.items():
        rows = [row for row in rows if row["sample_id"] in clips]
        if not rows:
            raise ValueError(f"{root}: no clip is in {split}.")
        made[split] = [(clips[row["sample_id"]], row) for row in rows]
    is_video = (path.suffix.lower() in VIDEO_SUFFIXES for rows in made.values() for path, _ in rows)
    source = "video" if any(is_video) else "frames"
    result = datasets.DatasetDict()
    for split, rows in made.items():
        columns = {
            source: [str(path) for path, _ in rows],
            "label": [row["label"] for _, row in rows],
            "sample_id": [row["sample_id"] for _, row in rows],
            "path": [row.get("path") or path.relative_to(root).as_posix() for path, row in rows],
        }
        columns |= {name: [row[name] for _, row in rows] for name in rows[0][1] if name not in columns}
        types = datasets.Dataset.from_dict(columns).features
        types["label"] = datasets.ClassLabel(names=list(names))
        result[split] = datasets.Dataset.from_dict(columns, features=types)
    return result


def folds_by_person(rows: list[dict], column: str, folds: Sequence[Iterable[int]], fold: int) -> dict[str, list[dict]]:
    """Splits rows into train and test: test holds the people of one fold (numbered from 1), train the others."""
    test = set(folds[fold - 1])
    rows = [{**row, "fold": fold} for row in rows]
    return {
        "train": [row for row in rows if row[column] not in test],
        "test": [row for row in rows if row[column] in test],
    }
