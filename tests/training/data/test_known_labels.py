# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from training.data.known_labels import apply_trusted_labels, read_truth, trusted_labels_of
from training.data.labelled_videos import LabelledVideos


def videos_of(labels: list[str]) -> LabelledVideos:
    names = [f"{number}.mp4" for number in range(len(labels))]
    return LabelledVideos(names, labels, names, {"split": ["train"] * len(names)}, ["happy", "sad", "fear"])


def test_trusted_labels_replace_the_datasets_own(tmp_path):
    (tmp_path / "list.csv").write_text("sample_id,label\n1.mp4,happiness\n3.mp4,fear\n")
    videos = videos_of(["sad", "sad", "sad", "sad"])
    labels, _ = read_truth(videos, tmp_path / "list.csv", "label")
    trusted = apply_trusted_labels(videos, labels, tmp_path / "list.csv")
    assert trusted.labels == ["sad", "happy", "sad", "fear"]
    assert videos.labels == ["sad"] * 4
    # The model calls the labels otherwise, and has them in another order.
    label2id = {"fear": 0, "sadness": 1, "happiness": 2}
    renamed = trusted.rename_labels({"happy": "happiness", "sad": "sadness", "fear": "fear"}).select([1, 2, 3])
    known = trusted_labels_of(renamed, label2id)
    assert known.mask.tolist() == [True, False, True]
    # Both that are known were labelled sad: happiness and fear are mistaken for sadness.
    assert known.noise_matrix[[0, 2]].argmax(1).tolist() == [1, 1]
    torch.testing.assert_close(known.noise_matrix.sum(1), torch.ones(3))
    assert trusted_labels_of(videos, {"happy": 0, "sad": 1, "fear": 2}) is None


def test_labels_that_the_dataset_does_not_have_are_named():
    with pytest.raises(ValueError, match=r"list\.csv: trusted labels bored are none of the dataset's"):
        apply_trusted_labels(videos_of(["sad", "sad"]), ["bored", None], "list.csv")
