# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Classes of the synthetic videos, and how wrong labels are drawn."""

import csv
import json
from pathlib import Path

import numpy as np

LABELS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")

# `--noise-type asymmetric`: probabilities of the wrong labels of each class. Fear and surprise, and anger and disgust,
# share action units (1 + 2 + 5; 4 or 9, which both lower the brows). Weak expressions are taken for neutral.
# Source: ours, after the confusions that people make most often.
CONFUSIONS = {
    "neutral": {"sad": 0.6, "angry": 0.2, "happy": 0.2},
    "happy": {"neutral": 1.0},
    "sad": {"neutral": 0.7, "disgust": 0.3},
    "angry": {"disgust": 0.7, "neutral": 0.3},
    "fear": {"surprise": 0.8, "sad": 0.2},
    "disgust": {"angry": 0.7, "sad": 0.3},
    "surprise": {"fear": 0.8, "happy": 0.2},
}


def noise_matrix(noise=None, noise_type="symmetric"):
    """The probability of each given label for each true label.

    Args:
        noise (`float`, *optional*): share of wrong labels, 0..1; 0 by default. Not allowed with a matrix file, which
            contains it.
        noise_type (`str` or `os.PathLike`, *optional*, defaults to `"symmetric"`): `"symmetric"` (all other classes,
            equally often), `"asymmetric"` (`CONFUSIONS`), or a matrix file. JSON:
            `{"fear": {"fear": 0.7, "surprise": 0.3}, ...}`, where missing labels have 0. CSV: a header with any word
            and the given labels, then for each true label a row that starts with its name.

    Returns:
        `numpy.ndarray` float64 (7, 7): a row for each true and a column for each given label, in the order of
        `LABELS`; rows add up to 1.

    Raises:
        ValueError: if `noise` is out of range or given with a file; or the file has unknown, repeated or missing
            classes, or a row that is not a probability distribution.
        FileNotFoundError: if there is no such file.

    Source: ours.
    """
    count = len(LABELS)
    if str(noise_type) in ("symmetric", "asymmetric"):
        noise = 0.0 if noise is None else noise
        if not 0 <= noise <= 1:
            raise ValueError(f"noise is {noise}, expected a share between 0 and 1")
        if noise_type == "symmetric":
            wrong = (1 - np.eye(count)) / (count - 1)
        else:
            wrong = np.array([[CONFUSIONS[true].get(given, 0.0) for given in LABELS] for true in LABELS])
        return (1 - noise) * np.eye(count) + noise * wrong
    path = Path(noise_type)
    if not path.is_file():
        raise FileNotFoundError(
            f"noise_type is {str(path)!r}: neither symmetric nor asymmetric nor a file that exists"
        )
    if noise is not None:
        raise ValueError(f"noise is {noise}, but the matrix file {path} already says how many labels are wrong")
    matrix = _read_matrix(path)
    return matrix / matrix.sum(1, keepdims=True)


def _read_matrix(path):
    rows = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    missing, unknown = set(LABELS) - set(rows), set(rows) - set(LABELS)
    if missing or unknown:
        raise ValueError(
            f"{path}: rows expected for {', '.join(LABELS)}; missing: {sorted(missing)}, unknown: {sorted(unknown)}"
        )
    matrix = np.zeros((len(LABELS), len(LABELS)))
    for true, row in rows.items():
        for given, probability in row.items():
            if given not in LABELS:
                raise ValueError(f"{path}: row {true!r} has unknown class {given!r}, expected {', '.join(LABELS)}")
            if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
                raise ValueError(
                    f"{path}: {true} -> {given} is {probability!r}, expected a probability between 0 and 1"
                )
            matrix[LABELS.index(true), LABELS.index(given)] = probability
        total = matrix[LABELS.index(true)].sum()
        if abs(total - 1) > 1e-3:
            raise ValueError(f"{path}: row {true!r} adds up to {total:.6g}, expected 1")
    return matrix


def _read_json(path):
    def unique(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError(f"{path}: a class occurs twice among {names}")
        return dict(pairs)

    try:
        rows = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError(f'{path}: expected {{"true label": {{"given label": probability, ...}}, ...}}')
    return rows


def _read_csv(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [[cell.strip() for cell in line] for line in csv.reader(file) if any(cell.strip() for cell in line)]
    header, rows = (lines[0][1:] if lines else []), {}
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: a class occurs twice in the header {header}")
    for name, *cells in lines[1:]:
        if name in rows:
            raise ValueError(f"{path}: row {name!r} occurs twice")
        if len(cells) != len(header):
            raise ValueError(f"{path}: row {name!r} has {len(cells)} values, the header {len(header)} classes")
        try:
            rows[name] = dict(zip(header, map(float, cells)))
        except ValueError:
            raise ValueError(f"{path}: row {name!r} has a value that is not a number: {cells}") from None
    return rows
