# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Sample table: one row for each sample of a record, see docs/table_schema.md."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..complete_files import write_atomically
from .sample_record import SampleRecord
from .verdicts import NOISY, PARTITIONS

SAMPLE_TABLE_NAME = "sample_table.parquet"


def sample_table(
    record: SampleRecord,
    label_names: Sequence[str],
    columns: dict[str, Sequence],
    epoch: int | None = None,
    further: dict[str, Sequence] | None = None,
):
    """Makes the table of a sample record.

    Samples that were not seen are `clean`; those whose `decode_ok` is false have no verdict.

    Args:
        record ([`SampleRecord`]): means and verdicts.
        label_names (sequence of `str`): names of the labels; they also go into the metadata (`label_names`).
        columns (`dict` of sequences of num_samples values): what the dataset knows: `sample_id` and, where known,
            `path`, `content_hash`, `split`, `fold`, `num_frames`, `decode_ok`; `num_unreadable` makes a column only
            if it is known.
        epoch (`int`, *optional*): number of finished epochs.
        further (`dict` of sequences of num_samples values, *optional*): columns beyond the schema; NaN becomes null.

    Returns:
        `pyarrow.Table`: one row for each sample.
    """
    import pyarrow as pa

    names = np.array(label_names, dtype=object)
    count = len(record.given_labels)
    given, probabilities = record.given_labels.numpy(), record.means["probabilities"].numpy()
    predicted = probabilities.argmax(1)
    is_noisy = (record.partition == NOISY).numpy()
    suggested = np.where(is_noisy, names[record.suggested_labels.numpy()], None)
    seen = (record.epochs_seen > 0).numpy()
    readable = np.array(columns.get("decode_ok", [True] * count), dtype=bool)

    def column(name, kind):
        return pa.array(list(columns[name]) if name in columns else [None] * count, type=kind)

    def measure(values, kind=None):
        return pa.array(values.numpy(), type=kind or pa.float32(), mask=~seen)

    table = pa.table(
        {
            "sample_id": column("sample_id", pa.string()),
            "path": column("path", pa.string()),
            "content_hash": column("content_hash", pa.string()),
            "split": column("split", pa.string()),
            "fold": column("fold", pa.int32()),
            "epoch": pa.array([epoch] * count, type=pa.int32()),
            "given_label": pa.array(names[given], type=pa.string()),
            "predicted_label": pa.array(np.where(seen, names[predicted], None), type=pa.string()),
            "suggested_label": pa.array(suggested, type=pa.string()),
            "probabilities": pa.ListArray.from_arrays(
                pa.array(np.arange(count + 1) * len(names), type=pa.int32()),
                pa.array(probabilities.ravel(), type=pa.float32()),
                mask=pa.array(~seen),
            ),
            "label_quality": pa.array(probabilities[np.arange(count), given], type=pa.float32(), mask=~seen),
            "margin": measure(record.margin),
            "clip_agreement": measure(record.means["agreement"]),
            "clip_std": measure(record.means["clip_std"]),
            "num_valid_clips": measure(record.num_valid_clips, pa.int32()),
            "loss": measure(record.means["loss"]),
            "weight": pa.array(record.weights.numpy(), type=pa.float32(), mask=~readable),
            "partition": pa.array(
                np.array(PARTITIONS, dtype=object)[record.partition.numpy()], type=pa.string(), mask=~readable
            ),
            "num_frames": column("num_frames", pa.int32()),
            "decode_ok": pa.array(readable, type=pa.bool_()),
            **{name: column(name, pa.int32()) for name in ("num_unreadable",) if name in columns},
            **{name: pa.array(values, from_pandas=True) for name, values in (further or {}).items()},
        }
    )
    return table.replace_schema_metadata({"label_names": json.dumps(list(label_names))})


def write_sample_table(
    folder: str | Path, record: SampleRecord, label_names: Sequence[str], columns: dict[str, Sequence]
):
    """Writes the table of a training with its dynamics as `sample_table.parquet`.

    Args:
        folder (`str` or `Path`): made if it does not exist.
        record, label_names, columns: see [`sample_table`]; without `sample_id`, samples are numbered.
    """
    import pyarrow.parquet as pq

    columns = {"sample_id": [str(number) for number in range(len(record.given_labels))], **columns}
    dynamics = {name: values.float().numpy() for name, values in record.dynamics.items()}
    table = sample_table(record, label_names, columns, int(record.epochs_seen.max()), dynamics)
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_atomically(Path(folder) / SAMPLE_TABLE_NAME, lambda handle: pq.write_table(table, handle))


__all__ = ["SAMPLE_TABLE_NAME", "sample_table", "write_sample_table"]
