# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Decisions about labels, as the page of an audit saves them: which videos to keep, relabel or drop before training.
The file has the columns `sample_id, content_hash, given_label, decision, label` and a row for each decision.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from modeling_rdfer.models.labels_rdfer import canonical_label
from training.data.labelled_videos import LabelledVideos
from training.data.messages import first_few

COLUMNS = ("sample_id", "content_hash", "given_label", "decision", "label")
DECISIONS = ("keep", "relabel", "drop")


def decisions_hash(file) -> str:
    """blake2b-64 of a file of decisions, for the model card."""
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()


def read_decisions(file) -> list[dict]:
    """Reads decisions.

    Args:
        file (`str` or `Path`): CSV in UTF-8 with the columns `COLUMNS`.

    Returns:
        `list[dict]`: one for each row, with its number in the file as `row` (the header is row 1).

    Raises:
        ValueError: if the file is no such CSV file, or rows are not valid; the message names these rows.
        FileNotFoundError: if there is no file.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            header = reader.fieldnames or []
            rows = [{name: row.get(name) or "" for name in COLUMNS} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is no CSV file in UTF-8 ({error}).") from error
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(f"{file} lacks the columns {missing}; it has {list(header)}, expected {list(COLUMNS)}.")
    problems, seen = [], {}
    for number, row in enumerate(rows, start=2):
        row["row"] = number
        if row["decision"] not in DECISIONS:
            problems.append(f"row {number}: decision {row['decision']!r}, expected one of {list(DECISIONS)}")
        elif (row["decision"] == "relabel") != bool(row["label"]):
            problems.append(f"row {number}: {row['decision']} with label {row['label']!r}; only relabel has one")
        if not row["sample_id"]:
            problems.append(f"row {number}: no sample_id")
        elif (other := seen.setdefault(row["sample_id"], number)) != number:
            problems.append(f"row {number}: {row['sample_id']} was already decided on in row {other}")
    _refuse(file, problems)
    return rows


def apply_decisions(
    videos: LabelledVideos, file, elsewhere: Collection[str] = ()
) -> tuple[LabelledVideos, dict[str, int]]:
    """Applies decisions to a training set.

    Args:
        videos ([`LabelledVideos`]): the training set.
        file (`str` or `Path`): the decisions, see [`read_decisions`].
        elsewhere (collection of `str`, *optional*): ids of the dataset's other videos, e.g. of a fold's test part:
            decisions on them are ignored.

    Returns:
        `tuple[LabelledVideos, dict[str, int]]`: the videos that are left, with their new labels; and the numbers of
        decisions `keep`, `relabel` and `drop` and, if there are any, of decisions on videos `elsewhere`.

    Raises:
        ValueError: see [`read_decisions`]; or if decisions do not fit the videos: a video is missing, its given label
            or content has changed, or the dataset does not have the new label. The message names the rows.
    """
    rows = read_decisions(file)
    places = {name: number for number, name in enumerate(videos.sample_ids)}
    known = {canonical_label(name): name for name in videos.label_names}
    labels, dropped, problems, counts = list(videos.labels), set(), [], Counter(dict.fromkeys(DECISIONS, 0))
    for row in rows:
        number = places.get(row["sample_id"])
        start = f"row {row['row']}: {row['sample_id']}"
        if number is None and row["sample_id"] in elsewhere:
            counts["elsewhere"] += 1
            continue
        if number is None:
            problems.append(f"{start} is not in the dataset")
            continue
        if canonical_label(row["given_label"]) != canonical_label(labels[number]):
            problems.append(f"{start} was labelled {row['given_label']!r}, now {labels[number]!r}")
        if row["label"] and canonical_label(row["label"]) not in known:
            problems.append(f"{start} has the new label {row['label']!r}, expected one of {videos.label_names}")
        if (now := videos.content_hash(number)) != (row["content_hash"] or None):
            problems.append(f"{start} has another content: hash {now}, decided on {row['content_hash'] or 'none'}")
        counts[row["decision"]] += 1
        if row["decision"] == "drop":
            dropped.add(number)
        elif row["decision"] == "relabel":
            labels[number] = known.get(canonical_label(row["label"]))
    _refuse(file, problems)
    kept = [number for number in range(len(videos)) if number not in dropped]
    if not kept:
        raise ValueError(f"{file} drops all {len(videos)} videos.")
    return replace(videos, labels=labels).select(kept), dict(counts)


def _refuse(file, problems: list[str]):
    if problems:
        raise ValueError(f"{file}: {len(problems)} of the decisions cannot be used: {first_few(problems, 10)}.")


def describe(counts: dict[str, int]) -> str:
    """The numbers of decisions in words, e.g. "3 kept, 2 relabelled, 1 dropped"."""
    words = {"keep": "kept", "relabel": "relabelled", "drop": "dropped", "elsewhere": "about videos of other splits"}
    return ", ".join(f"{counts[name]} {word}" for name, word in words.items() if name in counts)


__all__ = ["apply_decisions", "decisions_hash", "describe", "read_decisions"]
