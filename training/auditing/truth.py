# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""True labels, where a file has them, and how well an audit finds the wrong ones."""

from pathlib import Path

from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.verdicts import NOISY
from training.auditing.metrics import detection_quality, label_scores
from training.auditing.scoring import Audit
from training.data.labelled_videos import LabelledVideos
from training.data.messages import first_few
from training.datasets.videolist import read_rows


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


def compare_with_truth(audit: Audit, record: SampleRecord, true_labels, is_hard, seed: int) -> list[dict]:
    """Measures how well the audit, and other scores of the same probabilities, find the wrong labels.

    Args:
        audit ([`Audit`]), record ([`SampleRecord`]): scores and verdicts.
        true_labels, is_hard (`list`): what [`read_truth`] returns.
        seed (`int`): seed of the intervals.

    Returns:
        `list[dict]`: see [`detection_quality`].

    Raises:
        ValueError: if none of the videos that could be read has a true label.
    """
    seen = [n for n in audit.predictions.index.sort().values.tolist() if true_labels[n] is not None]
    if not seen:
        raise ValueError("None of the videos that could be read has a true label.")
    wrong = [canonical_label(true_labels[n]) != canonical_label(audit.videos.labels[n]) for n in seen]
    scores = label_scores(
        record.means["probabilities"][seen].numpy(),
        record.given_labels[seen].numpy(),
        record.means["loss"][seen].numpy(),
        (record.partition[seen] == NOISY).numpy(),
    )
    known = [is_hard[n] for n in seen]
    return detection_quality(scores, wrong, None if None in known else known, seed)


__all__ = ["compare_with_truth", "read_truth"]
