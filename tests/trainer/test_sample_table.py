# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.sample_table import write_sample_table
from modeling_rdfer.trainer.verdicts import VerdictThresholds
from tests.helpers.training_job import NUM_KNOWN, labels_and_known, predictions_and_known, predictions_of


def test_dynamics_are_those_of_all_epochs_alike(tmp_path):
    """Mean and standard deviation of the given label's probability, and how often it was predicted (cartography)."""
    record = SampleRecord(torch.tensor([0, 1, 2]), 3, running_mean_decay=0.9)
    given = np.array([[0.2, 0.7, 0.6], [0.5, 0.4, 0.9]])
    other = np.array([[0.5, 0.2, 0.3], [0.3, 0.5, 0.05]])

    def update(record, epochs):
        for epoch in epochs:
            for sample in range(2):
                row = np.full(3, 1 - given[sample, epoch] - other[sample, epoch])
                row[sample], row[(sample + 1) % 3] = given[sample, epoch], other[sample, epoch]
                seen = predictions_of([sample], [1.0], probabilities=torch.tensor(row[None], dtype=torch.float))
                record.update(seen) if sample else record.update(SamplePredictions.concatenate([seen, seen]))

    update(record, range(2))
    resumed = SampleRecord(torch.tensor([0, 1, 2]), 3, running_mean_decay=0.9)
    resumed.load_state_dict(record.state_dict())
    for each in (record, resumed):
        update(each, [2])
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in record.state_dict().items())
    write_sample_table(tmp_path, record, ["a", "b", "c"], {"sample_id": ["x", "y", "z"]})
    *rows, unseen = pq.read_table(tmp_path / "sample_table.parquet").to_pylist()
    for row, values, rivals in zip(rows, given, other):
        assert row["confidence"] == pytest.approx(values.mean())
        assert row["variability"] == pytest.approx(values.std())
        assert row["correctness"] == pytest.approx((values > rivals).mean())
    assert unseen["margin"] is unseen["confidence"] is unseen["variability"] is unseen["correctness"] is None


def test_table_has_the_schema_and_suggests_for_noisy_samples_only(tmp_path):
    thresholds = VerdictThresholds(noisy_loss_threshold=1.0, full_doubt_margin=-0.4)
    record = SampleRecord(labels_and_known([1, 1]), 3, thresholds)
    record.update(predictions_and_known([0, 1], [3.0, 0.1], probabilities=(0.1, 0.2, 0.7)))
    names = [f"{number}" for number in range(2 + NUM_KNOWN)]
    columns = {"sample_id": names, "path": [f"x/{name}.mp4" for name in names], "num_frames": [10] * len(names)}
    write_sample_table(tmp_path, record, ["sad", "happy", "angry"], columns)
    table = pq.read_table(tmp_path / "sample_table.parquet")
    expected = (
        "sample_id path content_hash split fold epoch given_label predicted_label suggested_label probabilities "
        "label_quality margin clip_agreement clip_std num_valid_clips loss weight partition num_frames decode_ok "
        "confidence variability correctness"
    )
    assert table.column_names == expected.split()
    assert json.loads(table.schema.metadata[b"label_names"]) == ["sad", "happy", "angry"]
    noisy, clean, *_ = table.to_pylist()
    assert (noisy["partition"], noisy["suggested_label"], noisy["weight"]) == ("noisy", "angry", 0.0)
    assert (clean["partition"], clean["suggested_label"], clean["weight"]) == ("clean", None, 1.0)
    assert (clean["given_label"], clean["predicted_label"]) == ("happy", "angry")
    assert clean["label_quality"] == pytest.approx(0.2) and clean["margin"] == pytest.approx(0.2 - 0.7)
    assert table.schema.field("margin").type == "float"
