# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pyarrow.parquet as pq
import pytest

from tests.helpers.dataset_replicas import ferplus_parquet
from training.benchmarks.shared.still_views import cache_views


def test_labels_of_fer_2013_are_needed(tmp_path):
    root = ferplus_parquet(tmp_path)
    for file in root.glob("*.parquet"):
        pq.write_table(pq.read_table(file, columns=["image", "votes"]), file)
    with pytest.raises(ValueError, match="no column fer2013_label"):
        cache_views(root, tmp_path / "cache")
