# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Folds in which nobody is in both training and test, for datasets whose own folds share people."""

from collections import Counter
from pathlib import Path

from training.data.messages import first_few

from .videolist import read_rows


def split_by_listed_person(
    splits: dict[str, list[dict]], persons: str | Path, fold: int, num_folds: int
) -> dict[str, list[dict]]:
    """Splits all rows of a dataset anew by person (ours).

    The persons, those with most clips first, go one by one to the fold that has the fewest clips so far. The folds do
    not depend on the order of the rows. The labels are not balanced.

    Args:
        splits (`dict[str, list[dict]]`): rows of the dataset's own splits, with ids of five digits as `sample_id`.
        persons (`str` or `Path`): CSV, TSV or JSON lines with `sample_id`, which may lack leading zeros, and `person`,
            for each clip. Instead of a person it may name a film, so that clips of the same film stay together.
        fold (`int`): the fold to test on, from 1.
        num_folds (`int`): number of folds.

    Returns:
        `dict[str, list[dict]]`: rows of `"train"` and `"test"`, with `person`.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if a column or a clip is missing in the list, a clip has two persons, or there are fewer persons
            than folds.
    """
    persons = Path(persons)
    if not persons.is_file():
        raise FileNotFoundError(f"persons: there is no file {persons}.")
    person_of: dict[str, str] = {}
    for number, row in enumerate(read_rows(persons), start=1):
        if row.get("sample_id") in (None, "") or row.get("person") in (None, ""):
            raise ValueError(f"{persons}: row {number} has no sample_id or no person: {row}.")
        name, person = str(row["sample_id"]).zfill(5), str(row["person"])
        if person_of.setdefault(name, person) != person:
            raise ValueError(f"{persons}: {name} has the persons {person_of[name]} and {person}.")
    rows = [row for split in splits.values() for row in split]
    if missing := sorted(row["sample_id"] for row in rows if row["sample_id"] not in person_of):
        raise ValueError(f"{persons}: {len(missing)} of the {len(rows)} clips have no person: {first_few(missing)}.")
    clips = Counter(person_of[row["sample_id"]] for row in rows)
    if len(clips) < num_folds:
        raise ValueError(f"{persons}: {len(clips)} persons are too few for {num_folds} folds.")
    fold_of: dict[str, int] = {}
    sizes = dict.fromkeys(range(1, num_folds + 1), 0)
    for person in sorted(clips, key=lambda name: (-clips[name], name)):
        fold_of[person] = min(sizes, key=lambda number: (sizes[number], number))
        sizes[fold_of[person]] += clips[person]
    rows = [{**row, "person": person_of[row["sample_id"]]} for row in rows]
    return {
        "train": [row for row in rows if fold_of[row["person"]] != fold],
        "test": [row for row in rows if fold_of[row["person"]] == fold],
    }


__all__ = ["split_by_listed_person"]
