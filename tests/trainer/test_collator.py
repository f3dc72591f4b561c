# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.trainer.collator import collate_videos


def test_missing_columns_are_named():
    with pytest.raises(KeyError, match="labels.*video"):
        collate_videos([{"video": 1, "pixel_values_videos": torch.zeros(2, 3, 8, 8)}])


def test_columns_that_nobody_takes_are_left_out():
    example = {"pixel_values_videos": torch.zeros(2, 3, 8, 8), "labels": 1, "sample_index": 4, "path": "a.mp4"}
    batch = collate_videos([example, {**example, "labels": 2}])
    assert set(batch) == {"pixel_values_videos", "labels", "sample_index"}
    assert batch["labels"].tolist() == [1, 2] and batch["pixel_values_videos"].shape == (2, 2, 3, 8, 8)
