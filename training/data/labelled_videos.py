# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos: where they are and what is known about them. Nothing is decoded here."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
from torch.utils.data import Subset

from modeling_rdfer.trainer.pseudo_labels import FrameTeacher
from training.datasets.loader_tools import PERSON_COLUMNS

# Columns of a dataset that can hold the videos; it has one of them.
SOURCE_COLUMNS = ("video", "frames", "image")
# Columns of a dataset that go into the sample table. `prepared` also says how to read the video.
SAMPLE_COLUMNS = ("path", "fold", "content_hash", "num_frames", "prepared")


@dataclass
class LabelledVideos:
    """Labelled videos.

    Attributes:
        sources (sequence): what [`RDFERVideoProcessor`] reads: a path, or `{"bytes", "path"}`. A still image is a
            video of one frame.
        labels (`list[str]`): name of the given label of each video.
        sample_ids (`list[str]`): id of each video, unique.
        columns (`dict[str, list]`): what else is known, for the sample table: `path`, `split`, `fold`, ...
        label_names (`list[str]`, *optional*): all labels of the dataset, in its own order; by default those of the
            videos in alphabetical order.
        persons (`list`, *optional*): who is seen in each video.
        pseudo_labels (sequence of `dict[str, list[float]]`, *optional*): for each video and each class of the frame
            teacher, the probability of the class in every frame.
        frame_teacher ([`FrameTeacher`], *optional*): the model that made the pseudo-labels.

    Raises:
        ValueError: if a sample id occurs twice.
    """

    sources: Sequence[Any]
    labels: list[str]
    sample_ids: list[str]
    columns: dict[str, list] = field(default_factory=dict)
    label_names: list[str] | None = None
    persons: list | None = None
    pseudo_labels: Sequence[dict[str, list[float]]] | None = None
    frame_teacher: FrameTeacher | None = None

    def __post_init__(self):
        if self.label_names is None:
            self.label_names = sorted(set(self.labels))
        twice = [name for name, count in Counter(self.sample_ids).items() if count > 1]
        if twice:
            raise ValueError(f"{len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.")

    @classmethod
    def from_dataset(cls, dataset: datasets.Dataset, split: str) -> "LabelledVideos":
        """The videos of one split of a dataset.

        Args:
            dataset (`datasets.Dataset`): a split of what [`training.datasets.load`] returns.
            split (`str`): name of the split, for the sample table.
        """
        known = dataset.column_names
        columns = {name: list(dataset[name]) for name in SAMPLE_COLUMNS if name in known}
        person = next((name for name in PERSON_COLUMNS if name in known), None)
        source = dataset[source_column(dataset)]
        label = dataset.features["label"]
        teacher_names = dataset.unique("frame_teacher") if "frame_teacher" in known else []
        teacher = stored_frame_teacher(dataset.features, teacher_names)
        return cls(
            # Paths are small. The bytes of prepared videos are read only when they are needed.
            sources=list(source) if isinstance(source[0], str) else source,
            labels=label.int2str(list(dataset["label"])),
            sample_ids=list(dataset["sample_id"]),
            columns={"split": [split] * len(dataset), **columns},
            label_names=label.names,
            persons=list(dataset[person]) if person else None,
            pseudo_labels=None if teacher is None else dataset.select_columns(["pseudo_labels"])["pseudo_labels"],
            frame_teacher=teacher,
        )

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, keep: list[int]) -> "LabelledVideos":
        """The videos of these numbers."""

        def take(values: list) -> list:
            return [values[number] for number in keep]

        return replace(
            self,
            # What is not a list (videos in Parquet files) is read only when it is needed.
            sources=take(self.sources) if isinstance(self.sources, list) else Subset(self.sources, keep),
            pseudo_labels=None if self.pseudo_labels is None else Subset(self.pseudo_labels, keep),
            labels=take(self.labels),
            sample_ids=take(self.sample_ids),
            columns={name: take(values) for name, values in self.columns.items()},
            persons=None if self.persons is None else take(self.persons),
        )

    def rename_labels(self, names: dict[str, str]) -> "LabelledVideos":
        """The videos whose label is a key of `names`, with the label renamed to its value."""
        kept = self.select([number for number, label in enumerate(self.labels) if label in names])
        return replace(kept, labels=[names[label] for label in kept.labels], label_names=list(names.values()))

    def hold_out(self, share: float, seed: int) -> tuple["LabelledVideos", "LabelledVideos"]:
        """Splits the videos into a part to train on and a held-out part, stratified by label. If the persons are
        known, each is in one part only.

        Args:
            share (`float`): share of the held-out part, above 0 and at most 0.5. It is rounded to one in
                `round(1 / share)` videos.
            seed (`int`): seed of the draw.

        Returns:
            `tuple[LabelledVideos, LabelledVideos]`: the part to train on and the held-out part.

        Raises:
            ValueError: if the share is out of range, or there are too few videos or persons.
        """
        if not 0 < share <= 0.5:
            raise ValueError(f"The share to hold out must be above 0 and at most 0.5, got {share}.")
        held_out = self.folds(round(1 / share), seed)[0]
        taken = set(held_out)
        return self.select([number for number in range(len(self)) if number not in taken]), self.select(held_out)

    def folds(self, count: int, seed: int) -> list[list[int]]:
        """Divides the videos into folds, stratified by label. If the persons are known, all videos of a person are in
        the same fold. If not, all copies of the same file are.

        Args:
            count (`int`): number of folds, at least 2.
            seed (`int`): seed of the draw.

        Returns:
            `list[list[int]]`: the numbers of the videos of each fold, in ascending order.

        Raises:
            ValueError: if there are too few videos or persons for so many folds.
        """
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        groups = self.persons
        units = {"videos of the most frequent label": max(Counter(self.labels).values())}
        if groups is not None:
            units["persons"] = len(set(groups))
        for kind, available in units.items():
            if available < count:
                raise ValueError(f"{available} {kind} are too few for {count} parts: it takes at least one each.")
        hashes = self.columns.get("content_hash", [])
        if groups is None and len(set(hashes) - {None}) < len(hashes) - hashes.count(None):
            groups = [value or number for number, value in enumerate(hashes)]
        splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
            count, shuffle=True, random_state=seed
        )
        with warnings.catch_warnings():
            # A label with fewer videos than folds cannot be stratified; the others still are.
            warnings.filterwarnings("ignore", message="The least populated class")
            return [held_out.tolist() for _, held_out in splitter.split(self.labels, self.labels, groups)]

    def content_hash(self, number: int) -> str | None:
        """The content hash of a video (of a prepared video: that of the original); see [`content_hash`]."""
        known = self.columns["content_hash"][number] if "content_hash" in self.columns else None
        return known or content_hash(self.sources[number])


def source_column(dataset: datasets.Dataset) -> str:
    """The column of a dataset that holds its videos, one of `SOURCE_COLUMNS`."""
    return next(name for name in SOURCE_COLUMNS if name in dataset.column_names)


def content_hash(source) -> str | None:
    """Hash of a video's content, which shows later whether the video has changed (docs/table_schema.md).

    Args:
        source (`str`, `Path` or `dict`): a file, a folder of frames, or `{"bytes", "path"}`.

    Returns:
        `str` or `None`: hexadecimal blake2b-64 of the file, or of the sorted frame names and sizes of a folder; `None`
        if the source is neither.
    """
    if isinstance(source, dict):
        if source.get("bytes") is not None:
            return hashlib.blake2b(source["bytes"], digest_size=8).hexdigest()
        source = source.get("path")
    if not isinstance(source, (str, Path)):
        return None
    path = Path(source)
    if path.is_dir():
        names = "".join(f"{image.name} {image.stat().st_size}\n" for image in sorted(path.iterdir()))
        return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()
    if path.is_file():
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    return None


def stored_frame_teacher(features: datasets.Features, names: Iterable[str]) -> FrameTeacher | None:
    """The model whose pseudo-labels a prepared set stores in its columns `pseudo_labels` and `frame_teacher`.

    Args:
        features (`datasets.Features`): features of the dataset.
        names (iterable of `str`): values of its column `frame_teacher`.

    Returns:
        [`FrameTeacher`] or `None`: `None` if the dataset has no pseudo-labels.

    Raises:
        ValueError: if they are of several teachers.
    """
    names = sorted(set(names))
    if not names or not isinstance(features.get("pseudo_labels"), dict):
        return None
    if len(names) > 1:
        raise ValueError(f"The pseudo-labels are of several frame teachers, {names}; expected one.")
    return FrameTeacher(names[0], list(features["pseudo_labels"]))


__all__ = ["SAMPLE_COLUMNS", "LabelledVideos", "content_hash", "source_column", "stored_frame_teacher"]
