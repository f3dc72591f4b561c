# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Lists of labels that are known to be right: to measure an audit by, or to be trusted in training."""

from dataclasses import replace
from pathlib import Path

import torch

from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.trainer.trusted_labels import TrustedLabels, estimate_noise_matrix
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.datasets.videolist import read_rows

# Columns of the videos: whether the label is trusted, and the dataset's own label.
TRUSTED, OWN_LABEL = "trusted", "own_label"


def read_truth(videos: LabelledVideos, file: Path, column: str) -> tuple[list[str | None], list[bool | None]]:
    """Reads true labels from a list. Rows are matched by `sample_id`, `path` or the name of the file without its
    suffix.

    Args:
        videos ([`LabelledVideos`]): videos of the audit.
        file (`Path`): CSV, TSV or JSONL.
        column (`str`): the column with the true labels.

    Returns:
        `tuple` of two lists: for each video its true label, None if the file has none; and from the column `is_hard`
        whether it is hard, None if the file does not say it.

    Raises:
        ValueError: if a column is missing, a row fits several videos, or no row fits any.
    """
    rows = read_rows(file)
    found = sorted(set().union(*rows) - {None})
    if column not in found or not {"sample_id", "path"} & set(found):
        raise ValueError(f"{file} lacks the column {column!r}, or sample_id or path; it has {found}.")
    paths = videos.columns.get("path") or [None] * len(videos)
    for keys, name in (
        (videos.sample_ids, "sample_id"),
        (paths, "path"),
        (videos.sample_ids, "path"),
        ([Path(path or name).stem for path, name in zip(paths, videos.sample_ids)], "sample_id"),
    ):
        known = {}
        for row in rows:
            if row.get(name) and known.setdefault(str(row[name]), row) is not row:
                raise ValueError(f"{file}: {name} {row[name]!r} is there twice.")
        matched = [known.get(str(key)) for key in keys]
        if any(matched):
            break
    else:
        theirs = first_few(row.get("sample_id") or row.get("path") for row in rows)
        raise ValueError(
            f"{file}: no row is about any of the videos: {theirs} there, {first_few(videos.sample_ids)} here."
        )
    taken = [key for key, row in zip(keys, matched) if row is not None]
    if len(set(taken)) < len(taken):
        raise ValueError(f"{file}: rows fit several videos of the same file name; give sample_id as in audit.csv.")
    labels = [(row or {}).get(column) or None for row in matched]
    hard = [None if row is None or row.get("is_hard") in (None, "") else _is_true(row["is_hard"]) for row in matched]
    return labels, hard


def _is_true(value) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")


def apply_trusted_labels(videos: LabelledVideos, labels: list[str | None], file: str | Path) -> LabelledVideos:
    """Replaces labels by trusted ones.

    Args:
        videos ([`LabelledVideos`]): the training set.
        labels (`list[str | None]`): for each video its trusted label, None if there is none.
        file (`str` or `Path`): where they come from, for messages.

    Returns:
        [`LabelledVideos`]: the videos, with the columns `TRUSTED` and `OWN_LABEL`.

    Raises:
        ValueError: if a trusted label is not one of the dataset's.
    """
    known = {canonical_label(name): name for name in videos.label_names}
    if unknown := sorted({label for label in labels if label is not None and canonical_label(label) not in known}):
        raise ValueError(
            f"{file}: trusted labels {first_few(unknown)} are none of the dataset's {videos.label_names}."
        )
    return replace(
        videos,
        labels=[own if label is None else known[canonical_label(label)] for own, label in zip(videos.labels, labels)],
        columns={**videos.columns, TRUSTED: [label is not None for label in labels], OWN_LABEL: videos.labels},
    )


def trusted_labels_of(videos: LabelledVideos, label2id: dict[str, int]) -> TrustedLabels | None:
    """What the trainer has to know about the trusted labels of a training set.

    Args:
        videos ([`LabelledVideos`]): the training set, labelled with the model's names.
        label2id (`dict[str, int]`): labels of the model.

    Returns:
        [`TrustedLabels`] or `None`: `None` without trusted labels.
    """
    mask = torch.tensor(videos.columns.get(TRUSTED, []), dtype=torch.bool)
    if not mask.any():
        return None
    chosen = mask.nonzero().flatten().tolist()
    own = [videos.columns[OWN_LABEL][number] for number in chosen]
    names = map_labels(sorted(set(own)), list(label2id))
    true, given = (
        torch.tensor([label2id[label] for label in labels])
        for labels in ([videos.labels[number] for number in chosen], [names[label] for label in own])
    )
    return TrustedLabels(mask, estimate_noise_matrix(true, given, len(label2id)))


__all__ = ["OWN_LABEL", "TRUSTED", "apply_trusted_labels", "read_truth", "trusted_labels_of"]
