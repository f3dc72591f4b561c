# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pyarrow.parquet as pq
import pytest
import torch

from tests.helpers.dataset_replicas import ferplus_parquet
from training.benchmarks.shared.still_views import cache_views, random_views


def test_views_differ_and_depend_on_the_generator_only():
    image = torch.arange(48 * 48, dtype=torch.float).view(48, 48).mul(255 / 48**2).to(torch.uint8)
    one, same = (random_views(image.expand(6, -1, -1), 32, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (6, 1, 32, 32) and one.min() >= 0 and one.max() <= 255
    assert torch.equal(one, same)
    assert len({view.numpy().tobytes() for view in one}) == 6
    # Each still shows the image: darker above than below, whatever the crop, roll and light.
    assert (one[:, 0, :8].mean((1, 2)) < one[:, 0, -8:].mean((1, 2)) - 50).all()


def test_labels_of_fer_2013_are_needed(tmp_path):
    root = ferplus_parquet(tmp_path)
    for file in root.glob("*.parquet"):
        pq.write_table(pq.read_table(file, columns=["image", "votes"]), file)
    with pytest.raises(ValueError, match="no column fer2013_label"):
        cache_views(root, tmp_path / "cache")
