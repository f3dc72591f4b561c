# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from training.datasets import load


def test_ravdess_labels_and_folds_by_actor(ravdess):
    splits = load("ravdess", ravdess)
    names = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    assert splits["test"].features["label"].names == names
    assert set(splits["test"]["actor"]) == {1, 4} and set(splits["train"]["actor"]) == {5, 18, 24}
    assert splits["test"].num_rows == 16 and splits["train"].num_rows == 24
    row = next(row for row in splits["test"] if row["sample_id"] == "02-01-06-01-02-01-01")
    assert (row["label"], row["sex"], row["channel"], row["intensity"]) == (5, "male", "speech", "normal")
    assert (row["statement"], row["repetition"], row["fold"]) == (2, 1, 1)
    assert set(load("ravdess", ravdess, fold=6)["test"]["actor"]) == {24}
    with pytest.raises(ValueError, match="no clip is in test"):
        load("ravdess", ravdess, fold=3)


def test_ravdess_channels_and_modalities(ravdess):
    song = load("ravdess", ravdess, channel="song")
    assert song["train"].num_rows == 12 and set(song["train"]["intensity"]) == {"strong"}
    assert load("ravdess", ravdess, channel="both")["test"].num_rows == 28
    assert all(
        name.startswith("01-01") for name in load("ravdess", ravdess, modality="audio-video")["test"]["sample_id"]
    )
    (ravdess / "Actor_05" / "02-01-09-01-01-01-05.mp4").touch()
    with pytest.raises(ValueError, match=r"unknown labels \['09'\]"):
        load("ravdess", ravdess)
