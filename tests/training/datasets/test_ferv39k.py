# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from tests.helpers.dataset_replicas import (
    WORDS,
    labels_of,
    write_frames,
    write_text,
)
from training.datasets import load

FERV_TRAIN = [("Interview", word, f"01{number:02d}") for number, word in enumerate(WORDS)]
FERV_TEST = [("War", "Sad", "0100"), ("DailyLife", "Fear", "0267")]


def ferv39k(root: Path, kind="words") -> Path:
    for row in [*FERV_TRAIN, *FERV_TEST]:
        write_frames(root.joinpath("2_ClipsforFaceCrop", *row))
    for split, rows in {"train": FERV_TRAIN, "test": FERV_TEST}.items():
        names = ["/".join(row) for row in rows]
        order = sorted(WORDS) if kind == "alphabetical" else WORDS
        if kind == "words":
            lines = [f"{name} {row[1]}" for name, row in zip(names, rows)]
            write_text(root / "4_setups" / "All_scenes" / f"{split}_All.csv", lines)
        elif kind == "frames":
            lines = [f"/x/2_ClipsforFaceCrop/{name} 31 {order.index(row[1])}" for name, row in zip(names, rows)]
            write_text(root / "annotation" / f"FERV39k_{split}.txt", lines)
        else:
            lines = ["path,id", *(f"{name},{order.index(row[1])}" for name, row in zip(names, rows))]
            write_text(root / "Annotation" / f"{split}.csv", lines)
    return root


@pytest.mark.parametrize("kind", ["words", "alphabetical", "by frequency", "frames"])
def test_ferv39k_loses_no_row_and_maps_both_orders_by_name(tmp_path, kind):
    splits = load("ferv39k", ferv39k(tmp_path, kind))
    assert labels_of(splits["train"]) == {"/".join(row): row[1] for row in FERV_TRAIN}
    assert labels_of(splits["test"]) == {"War/Sad/0100": "Sad", "DailyLife/Fear/0267": "Fear"}
    assert splits["test"].features["label"].names == WORDS
    assert list(splits["test"]["scene"]) == ["War", "DailyLife"]


def test_ferv39k_names_bad_rows(tmp_path):
    root = ferv39k(tmp_path)
    file = root / "4_setups" / "All_scenes" / "test_All.csv"
    text = file.read_text()
    file.write_text(text + "War/Sad/0100 Bored\n".replace("0100", "0101"))
    with pytest.raises(ValueError, match=r"unknown labels \['Bored'\] in test; expected \['Happy'"):
        load("ferv39k", root)
    file.write_text(text + "0100 Sad\n")
    with pytest.raises(ValueError, match="test_All.csv: expected rows .*found '0100 Sad'"):
        load("ferv39k", root)
    for name in ("train_All.csv", "test_All.csv"):
        (file.parent / name).unlink()
    write_text(root / "Annotation" / "train.csv", ["path,id", "Interview/Happy/0100,5", "Interview/Fear/0106,1"])
    write_text(root / "Annotation" / "test.csv", ["path,id", "War/Sad/0100,1"])
    with pytest.raises(ValueError, match="train.csv.*follow neither"):
        load("ferv39k", root)
