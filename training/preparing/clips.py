# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Finds the clips to prepare: each once, also if the dataset has folds."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import datasets
from tqdm.auto import tqdm

from modeling_rdfer.trainer.pseudo_labels import FrameTeacher
from training.data.labelled_videos import content_hash, source_column
from training.data.messages import first_few
from training.datasets import dataset_options, load

# Columns of a frame teacher's pseudo-labels: for each class the probability in each frame; and the teacher's name.
TEACHER_COLUMNS = ("pseudo_labels", "frame_teacher")


@dataclass
class ClipSource:
    """The clips of a dataset.

    Attributes:
        groups (`dict[str, datasets.Dataset]`): the clips by split; or by `fold_1`, `fold_2`, ..., the fold in which a
            clip is a test clip.
        labels (`list[str]`): names of the labels, in the dataset's order.
        column (`str`): the column to read, one of `SOURCE_COLUMNS`.
        has_folds (`bool`): whether the groups are folds.
    """

    groups: dict[str, datasets.Dataset]
    labels: list[str]
    column: str
    has_folds: bool

    def features(self, teacher: FrameTeacher | None) -> datasets.Features:
        """Columns of the prepared set, with pseudo-labels if there is a frame teacher."""
        own = next(iter(self.groups.values())).features
        made = {
            "video": datasets.Video(),
            "label": datasets.ClassLabel(names=self.labels),
            "sample_id": datasets.Value("string"),
            "path": datasets.Value("string"),
            "content_hash": datasets.Value("string"),
            "num_frames": datasets.Value("int32"),
            "num_unreadable": datasets.Value("int32"),
            "prepared": datasets.Value("bool"),
        }
        if teacher is not None:
            # The classes are field names, so their order cannot be mistaken.
            made["pseudo_labels"] = {name: datasets.List(datasets.Value("float32")) for name in teacher.labels}
            made["frame_teacher"] = datasets.Value("string")
        return datasets.Features({**made, **{k: v for k, v in own.items() if k not in (*made, self.column)}})

    def fingerprint(self) -> str:
        """Hash of all rows and of the sizes and dates of their files. It changes when the dataset changes."""
        digest = hashlib.blake2b(digest_size=16)
        for group, dataset in self.groups.items():
            described = dataset.remove_columns([self.column])
            for number in tqdm(range(len(dataset)), desc=f"checking files of {group}", unit="clip", leave=False):
                row = {**described[number], "file": _file_fingerprint(dataset[number][self.column])}
                digest.update(json.dumps([group, row], sort_keys=True, default=str).encode())
        return digest.hexdigest()


def find_clips_to_prepare(name: str, root, options: dict) -> ClipSource:
    """Loads all clips of a dataset. A dataset with folds is loaded in all folds, unless `options` has one.

    Args:
        name (`str`): name of the dataset's loader, a key of `training.datasets.DATASETS`.
        root (`str` or `Path`): folder of the dataset.
        options (`dict`): options of its loader.

    Raises:
        ValueError: if a clip is a test clip of several folds or of none, or a split has a name that `datasets` cannot
            load; or see [`training.datasets.load`].
        FileNotFoundError: see [`training.datasets.load`].
    """
    folds = dataset_options(name).get("fold", ())
    has_folds = len(folds) > 1 and "fold" not in options
    if has_folds:
        groups = _load_folds(name, root, options, folds)
    else:
        groups = dict(load(name, root, **options))
        if "fold" not in options and list(groups) == ["train"] and "fold" in groups["train"].column_names:
            groups, has_folds = _by_fold(groups["train"]), True
    if odd := [group for group in groups if not re.fullmatch(r"\w+", group)]:
        raise ValueError(f"Splits {odd}: `datasets` can load only names of letters, digits and _.")
    labels = list(dict.fromkeys(label for group in groups.values() for label in group.features["label"].names))
    groups = {group: _with_standard_columns(dataset) for group, dataset in groups.items()}
    column = source_column(next(iter(groups.values())))
    return ClipSource(groups, labels, column, has_folds)


def _load_folds(name: str, root, options: dict, folds: tuple[int, ...]) -> dict[str, datasets.Dataset]:
    groups, label_of = {}, {}
    for fold in folds:
        loaded = load(name, root, **options, fold=fold)
        groups[f"fold_{fold}"] = loaded["test"]
        label_of[fold] = {split: dict(zip(rows["sample_id"], _label_names(rows))) for split, rows in loaded.items()}
    _check_folds(label_of)
    return groups


def _by_fold(dataset: datasets.Dataset) -> dict[str, datasets.Dataset]:
    """The rows of a list by its column `fold`."""
    numbers = sorted(set(dataset["fold"]))
    return {f"fold_{fold}": dataset.filter(lambda row, fold=fold: row["fold"] == fold) for fold in numbers}


def _with_standard_columns(dataset: datasets.Dataset) -> datasets.Dataset:
    if isinstance(dataset.features.get("video"), datasets.Video):
        dataset = dataset.cast_column("video", datasets.Video(decode=False))
    # Pseudo-labels of a set that was prepared before are of its frames, and this one may take others.
    dataset = dataset.remove_columns([name for name in TEACHER_COLUMNS if name in dataset.column_names])
    if "path" not in dataset.column_names:
        dataset = dataset.add_column("path", list(dataset["sample_id"]))
    return dataset


def _label_names(dataset: datasets.Dataset) -> list[str]:
    return dataset.features["label"].int2str(list(dataset["label"]))


def _check_folds(label_of: dict[int, dict[str, dict[str, str]]]):
    """Checks that every clip is a test clip of one fold, and a training clip of all others with the same label.

    Args:
        label_of: fold -> split -> clip -> label.
    """
    hint = "They cannot be prepared all at once: prepare one, e.g. --fold 1."
    tested = Counter(clip for splits in label_of.values() for clip in splits["test"])
    if twice := sorted(clip for clip, count in tested.items() if count > 1):
        raise ValueError(f"{len(twice)} clips are test clips of more than one fold: {first_few(twice)}. {hint}")
    labels = {clip: label for splits in label_of.values() for clip, label in splits["test"].items()}
    for fold, splits in label_of.items():
        expected = {clip: label for clip, label in labels.items() if clip not in splits["test"]}
        if splits["train"] != expected:
            odd = sorted({clip for clip, _ in splits["train"].items() ^ expected.items()})
            raise ValueError(
                f"The training clips of fold {fold} and their labels are not the test clips of the other folds; "
                f"{len(odd)} differ: {first_few(odd)}. {hint}"
            )


def _file_fingerprint(source):
    """Shows whether a video has changed without reading it: size and date of a file, names and sizes of frames."""
    if isinstance(source, dict):
        if source.get("bytes") is not None:
            return content_hash(source)
        source = source["path"]
    path = Path(source)
    if path.is_dir():
        return content_hash(path)
    if not path.is_file():
        return None
    return [path.stat().st_size, path.stat().st_mtime_ns]


__all__ = ["ClipSource", "find_clips_to_prepare"]
