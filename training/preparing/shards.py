# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Parquet shards of a prepared set: files that are complete or not there at all."""

import io
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from modeling_rdfer.complete_files import write_atomically

# Rows that a reader holds in memory at once: about 1 MB of videos.
ROW_GROUP_SIZE = 32


def write_shard(file: Path, rows: list[dict], skipped: list[dict], features: datasets.Features):
    """Writes a shard.

    Args:
        file (`Path`): Parquet file to write.
        rows (`list[dict]`): its rows.
        skipped (`list[dict]`): the clips that were left out, with the reason; kept in the file's metadata.
        features (`datasets.Features`): columns; kept in the file, so that `datasets` knows them.
    """
    schema = features.arrow_schema
    schema = schema.with_metadata({**schema.metadata, b"skipped": json.dumps(skipped).encode()})
    # Compression, statistics and dictionaries of videos cost time and gain nothing.
    others = [name for name in features if name != "video"]

    def write(handle):
        compression = {"video.bytes": "none", "video.path": "snappy", **dict.fromkeys(others, "snappy")}
        with pq.ParquetWriter(
            handle,
            schema,
            compression=_by_leaf(schema, compression),
            use_dictionary=others,
            write_statistics=others,
        ) as writer:
            for start in range(0, len(rows), ROW_GROUP_SIZE):
                encoded = [features.encode_example(row) for row in rows[start : start + ROW_GROUP_SIZE]]
                writer.write_table(pa.Table.from_pylist(encoded, schema=schema), row_group_size=ROW_GROUP_SIZE)

    write_atomically(file, write)


def read_shard(file: Path) -> tuple[list[int], int, list[dict]]:
    """The labels of a shard's rows, the number of damaged clips among them, and the clips that were left out."""
    with pq.ParquetFile(file) as shard:
        rows = shard.read(columns=["label", "num_unreadable"]).to_pydict()
        num_damaged = len(rows["label"]) - rows["num_unreadable"].count(0)
        return rows["label"], num_damaged, json.loads(shard.schema_arrow.metadata[b"skipped"])


def _by_leaf(schema: pa.Schema, compression: dict[str, str]) -> dict[str, str]:
    """Compression by leaf column. Parquet wants one for each leaf of a nested column, under its own name."""
    empty = io.BytesIO()
    pq.write_table(schema.empty_table(), empty)
    leaves = pq.ParquetFile(empty).schema
    paths = [leaves.column(number).path for number in range(len(leaves.names))]
    return {path: compression.get(path, compression.get(path.split(".")[0], "snappy")) for path in paths}


__all__ = ["read_shard", "write_shard"]
