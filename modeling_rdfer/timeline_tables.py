# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes a timeline as a table: CSV or Parquet."""

import csv
import io
import json

from .complete_files import write_atomically
from .inference.face_stream import Window


def write_timeline_csv(windows: list[Window], path, with_people: bool = False):
    """Writes a timeline as CSV, one row for each window.

    The columns are start_seconds, end_seconds, label, one probability (0..1) for each label, and agreement. The label
    may be "uncertain", see [`timeline`]. For a window without a face, all columns but the times are empty.

    Args:
        windows (`list[Window]`): the result of [`timeline`].
        path (`str` or `Path`): file to write.
        with_people (`bool`, *optional*, defaults to `False`): whether there are columns person, the number of the
            person, before the others, and x1, y1, x2, y2, the face's box in pixels, after them.
    """
    labels = next((list(window.scores) for window in windows if window.scores), [])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    header = ["start_seconds", "end_seconds", "label", *labels, "agreement"]
    writer.writerow(["person", *header, "x1", "y1", "x2", "y2"] if with_people else header)
    for window in windows:
        scores = [f"{window.scores[label]:.6f}" if window.scores else "" for label in labels]
        agreement = "" if window.agreement is None else f"{window.agreement:.4f}"
        row = [f"{window.start_seconds:.3f}", f"{window.end_seconds:.3f}", window.label or "", *scores, agreement]
        if with_people:
            box = [""] * 4 if window.box is None else [f"{edge:.1f}" for edge in window.box]
            row = ["" if window.person is None else str(window.person), *row, *box]
        writer.writerow(row)
    write_atomically(path, text.getvalue())


def write_timeline_parquet(windows: list[Window], path, facts: dict, file: str):
    """Writes a timeline as Parquet, one row for each window.

    The columns file, start_seconds, end_seconds, box, label, probabilities, agreement, num_frames and warnings are as
    in the answers of `predict --out`; person, frame_size and key_frame_seconds are as in [`Window`]. For a window
    without a face, all columns but file, times and frame_size are null, 0 or empty. The metadata has the order of the
    probabilities, as JSON under the key label_names, and the checkpoint, under the key model.

    Args:
        windows (`list[Window]`): the result of [`timeline`].
        path (`str` or `Path`): file to write.
        facts (`dict`): what `model_facts` returned.
        file (`str`): the video as it was named.

    Raises:
        ImportError: if pyarrow is not installed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = facts["labels"]
    name = file.encode(errors="surrogateescape").decode(errors="replace")  # it may be no UTF-8, which Parquet needs

    def column(attribute, kind):
        return pa.array([getattr(window, attribute) for window in windows], type=kind)

    scores = [window.scores and [window.scores[label] for label in labels] for window in windows]
    table = pa.table(
        {
            "file": pa.array([name] * len(windows), type=pa.string()),
            "person": column("person", pa.int32()),
            "start_seconds": column("start_seconds", pa.float64()),
            "end_seconds": column("end_seconds", pa.float64()),
            "box": column("box", pa.list_(pa.float32())),
            "frame_size": column("frame_size", pa.list_(pa.int32())),
            "label": column("label", pa.string()),
            "probabilities": pa.array(scores, type=pa.list_(pa.float32())),
            "agreement": column("agreement", pa.float32()),
            "num_frames": column("num_frames", pa.int32()),
            "key_frame_seconds": column("key_frame_seconds", pa.float64()),
            "warnings": column("warnings", pa.list_(pa.string())),
        }
    )
    table = table.replace_schema_metadata({"label_names": json.dumps(labels), "model": json.dumps(facts)})
    write_atomically(path, lambda handle: pq.write_table(table, handle))


__all__ = ["write_timeline_csv", "write_timeline_parquet"]
