# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The parts of a loader, in the order in which it uses them.

[`loader`] checks the arguments; [`find_folder`] and [`find_clips`] find the clips; [`find_lists`], [`read_lines`] and
[`labels_by_number`] read the lists; [`split_by_person`] makes folds where there are no lists; [`build_splits`] checks
the rows against the clips and makes the result.
"""

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

from modeling_rdfer.models.video_decoding_rdfer import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from training.data.messages import first_few

logger = logging.get_logger(__name__)

OnMissing = Literal["error", "skip"]
# Names that people give to the splits.
SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLIT_NAMES |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
# Columns that say who is seen. Persons are kept apart when a part of the training set is held out.
PERSON_COLUMNS = ("actor", "subject", "person")


# ---------------------------------------------------------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------------------------------------------------------
def loader(kind: Literal["folder", "list"]) -> Callable:
    """Decorates the function `load(root, ...)` of a dataset: its root must be a folder (or a list file), and an option
    annotated with `Literal` or `bool` must have one of these values. `load` gets the root as a `Path`.
    """

    def decorate(load: Callable) -> Callable:
        @functools.wraps(load)
        def checked(root, *args, **kwargs):
            given = inspect.signature(load).bind(root, *args, **kwargs).arguments
            for name, choices in loader_options(load).items():
                if choices and name in given and given[name] not in choices:
                    raise ValueError(f"{name}={given[name]!r}: expected one of {list(choices)}.")
            if not (Path(root).is_file() if kind == "list" else Path(root).is_dir()):
                raise FileNotFoundError(f"root: there is no {kind} {root}.")
            return load(Path(root), *args, **kwargs)

        return checked

    return decorate


def loader_options(load: Callable) -> dict[str, tuple]:
    """The options of a loader and the values that each can have; an empty tuple if it can have any."""
    parameters = inspect.signature(load).parameters.values()
    return {parameter.name: _choices(parameter.annotation) for parameter in parameters if parameter.name != "root"}


def _choices(annotation) -> tuple:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return (False, True) if annotation is bool else ()


# ---------------------------------------------------------------------------------------------------------------------
# Clips
# ---------------------------------------------------------------------------------------------------------------------
def find_folder(root: Path, candidates: Sequence[str]) -> Path:
    """The first of some folders that is in `root`. Raises FileNotFoundError if none is."""
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise FileNotFoundError(f"{root} has none of the folders {list(candidates)}; it has {_listing(root)}.")


def find_clips(folder: Path, pattern: str, key: Callable[[Path], str] = lambda path: path.stem) -> dict[str, Path]:
    """Finds the clips below a folder, at any depth: video files and folders of frames.

    Folders of frames are not opened, so a large dataset is listed in seconds.

    Args:
        folder (`Path`): where to search.
        pattern (`str`): regular expression for the whole name of a clip, without suffix.
        key (`Callable`, *optional*): gives the id of a clip, from its path; by default its name without suffix.

    Returns:
        `dict[str, Path]`: path of each clip by its id.

    Raises:
        FileNotFoundError: if there is no clip.
        ValueError: if two clips have the same id.
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


# ---------------------------------------------------------------------------------------------------------------------
# Lists
# ---------------------------------------------------------------------------------------------------------------------
def find_lists(root: Path, candidates: Sequence[Sequence[str]]) -> list[Path]:
    """Finds the list files of a dataset, in `root` or in one of its folders.

    Args:
        root (`Path`): folder of the dataset.
        candidates (sequence of sequences of `str`): for each form in which the lists are distributed the names of its
            files, e.g. `[("train.csv", "test.csv"), ("train.txt", "test.txt")]`.

    Returns:
        `list[Path]`: the files of the first form that is complete.

    Raises:
        FileNotFoundError: if no form is complete.
    """
    for candidate in candidates:
        for folder in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
            files = [folder / name for name in candidate]
            if all(file.is_file() for file in files):
                return files
    expected = "; or ".join(" and ".join(candidate) for candidate in candidates)
    raise FileNotFoundError(f"{root} and its folders have no lists {expected}; it has {_listing(root)}.")


def _listing(folder: Path) -> str:
    return first_few(sorted(path.name for path in folder.iterdir())) or "nothing"


def read_lines(file: Path, encoding: str = "utf-8-sig") -> list[str]:
    """The lines of a list that are not empty. Raises ValueError if the file has another encoding."""
    try:
        with open(file, encoding=encoding) as handle:
            return [line.strip("\r\n") for line in handle if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not {encoding} text: {error}.") from error


def labels_by_number(file: Path, rows: Sequence[tuple[str, str]], names: Sequence[str], base: int) -> dict[str, str]:
    """Finds out whether the labels in lists are numbered from 0 or from 1.

    Args:
        file (`Path`): the list, for messages.
        rows (list of (clip, number)): the rows of all lists that belong together.
        names (`list[str]`): labels in the order of their numbers.
        base (0 or 1): the first number, if the rows do not show it: neither 0 nor the number of labels occurs.

    Returns:
        `dict[str, str]`: the label of each number, as it is written in the list.

    Raises:
        ValueError: if a label is not a number or is out of range.
    """
    for clip, text in rows:
        if not re.fullmatch(r"\d+", text) or int(text) > len(names):
            raise ValueError(f"{file}: {clip} has label {text!r}; expected the number of one of {list(names)}.")
    numbers = {int(text) for _, text in rows}
    if {0, len(names)} <= numbers:
        raise ValueError(f"{file}: labels go from 0 to {len(names)}, but there are {len(names)}: {list(names)}.")
    base = 0 if 0 in numbers else 1 if len(names) in numbers else base
    return {text: names[int(text) - base] for _, text in rows}


# ---------------------------------------------------------------------------------------------------------------------
# Splits
# ---------------------------------------------------------------------------------------------------------------------
def split_by_person(rows: list[dict], column: str, folds: Sequence[Iterable[int]], fold: int) -> dict[str, list[dict]]:
    """Splits rows into train and test by person.

    Args:
        rows (`list[dict]`): the rows; they get a column `fold`.
        column (`str`): column with the number of the person.
        folds (sequence of iterables of `int`): the persons of each fold.
        fold (`int`): the fold to test on, from 1.

    Returns:
        `dict[str, list[dict]]`: the rows of `"train"` and `"test"`.
    """
    test = set(folds[fold - 1])
    rows = [{**row, "fold": fold} for row in rows]
    return {
        "train": [row for row in rows if row[column] not in test],
        "test": [row for row in rows if row[column] in test],
    }


def build_splits(
    root: Path,
    names: Sequence[str],
    splits: dict[str, list[dict]],
    clips: dict[str, Path] | dict[str, dict],
    on_missing: OnMissing = "error",
    features: dict | None = None,
) -> datasets.DatasetDict:
    """Checks the rows of a dataset against its clips and makes the result of a loader.

    Args:
        root (`Path`): folder of the dataset.
        names (`list[str]`): its labels, in its own order.
        splits (`dict[str, list[dict]]`): rows of each split. Each has `sample_id` (a key of `clips`), `label` (a name)
            and any other columns.
        clips (`dict[str, Path]` or `dict[str, dict]`): its clips by id: paths, or images as `{"bytes", "path"}`, whose
            rows have a `path`. A warning counts those without a row.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a row without a clip is an error
            or left out; a split of which no clip is there is left out, too.
        features (`dict`, *optional*): types of columns whose values do not show them, as in `datasets.Features`.

    Returns:
        `datasets.DatasetDict`: each split has the columns `frames` (if all clips are folders of frames), `image` (if
        all are still images) or `video` (otherwise), `label` (ClassLabel), `sample_id`, `path` (relative to the root)
        and the other columns of the rows. Paths are strings, and `video` is no `datasets.Video`: the processor opens
        it where it is used, so nothing is decoded here and processes share no decoder.

    Raises:
        ValueError: if an id occurs twice or in two splits, two ids have the same clip, a label is unknown, a split is
            empty, or the name of a clip is not UTF-8.
        FileNotFoundError: if a row has no clip.
    """
    _check_rows(root, names, splits)
    found = {split: [row for row in rows if row["sample_id"] in clips] for split, rows in splits.items()}
    for split, rows in splits.items():
        missing = [row["sample_id"] for row in rows if row["sample_id"] not in clips]
        if missing and (on_missing == "error" or not any(found.values())):
            raise FileNotFoundError(
                f"{root}: {len(missing)} of the {len(rows)} clips of {split} are not there: {first_few(missing)}. "
                f'There is, for example, {next(iter(clips.values()))}. on_missing="skip" leaves them out.'
            )
        if missing:
            logger.warning(f"{len(missing)} of the {len(rows)} clips of {split} are not there: {first_few(missing)}.")
        if missing and not found[split]:
            del found[split]
    used = {row["sample_id"] for rows in found.values() for row in rows}
    if unused := sorted(clips.keys() - used):
        logger.warning(f"{root}: {len(unused)} clips are in no split and are left out: {first_few(unused)}.")
    if odd := [ascii(str(clips[name])) for name in sorted(used) if not _is_utf8(str(clips[name]))]:
        raise ValueError(
            f"{root}: {len(odd)} clips have names that are not UTF-8, which tables cannot hold: {first_few(odd)}. "
            "Rename them."
        )
    id_of = {}
    for name in sorted(used):
        other = name if isinstance(clips[name], dict) else id_of.setdefault(os.path.normpath(clips[name]), name)
        if other != name:
            raise ValueError(f"{root}: {other} and {name} are the same clip, {clips[name]}.")
    if empty := [split for split, rows in found.items() if not rows]:
        raise ValueError(f"{root}: no clip is in {empty[0]}.")
    kinds = {_kind(clips[name]) for name in used}
    column = kinds.pop() if len(kinds) == 1 else "video"
    return datasets.DatasetDict(
        {split: _make_dataset(root, names, rows, clips, column, features or {}) for split, rows in found.items()}
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python stands lone surrogates for bytes that are not UTF-8
        return False
    return True


def _kind(clip: Path | dict) -> str:
    """The column that holds clips of this kind."""
    if isinstance(clip, dict) or clip.suffix.lower() in IMAGE_SUFFIXES:
        return "image"
    return "video" if clip.suffix.lower() in VIDEO_SUFFIXES else "frames"


def _check_rows(root: Path, names: Sequence[str], splits: dict[str, list[dict]]):
    listed = {}
    for split, rows in splits.items():
        ids = Counter(row["sample_id"] for row in rows)
        twice = [name for name, count in ids.items() if count > 1]
        if twice:
            raise ValueError(f"{root}: {len(twice)} clips are listed more than once in {split}: {first_few(twice)}.")
        for other, others in listed.items():
            if both := sorted(ids.keys() & others):
                raise ValueError(f"{root}: {len(both)} clips are in {other} and in {split}: {first_few(both)}.")
        listed[split] = ids.keys()
        if unknown := sorted({row["label"] for row in rows} - set(names)):
            raise ValueError(f"{root}: unknown labels {unknown} in {split}; expected {list(names)}.")


def _make_dataset(
    root: Path,
    names: Sequence[str],
    rows: list[dict],
    clips: dict[str, Path] | dict[str, dict],
    column: str,
    features: dict,
) -> datasets.Dataset:
    found = [clips[row["sample_id"]] for row in rows]
    columns = {
        "label": [row["label"] for row in rows],
        "sample_id": [row["sample_id"] for row in rows],
        "path": [row.get("path") or clip.relative_to(root).as_posix() for row, clip in zip(rows, found)],
    }
    columns |= {name: [row[name] for row in rows] for name in rows[0] if name not in columns}
    # Images as bytes are large, so they have no part in finding out the types of the columns.
    types = {column: datasets.Image(decode=False) if isinstance(found[0], dict) else datasets.Value("string")}
    types |= datasets.Dataset.from_dict(columns).features
    types |= {"label": datasets.ClassLabel(names=list(names)), **features}
    found = [clip if isinstance(clip, dict) else str(clip) for clip in found]
    return datasets.Dataset.from_dict({column: found, **columns}, features=datasets.Features(types))
