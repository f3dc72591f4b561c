# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Scores from the sample table of a training: running means over its epochs."""

import json
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from training.auditing.scoring import Audit, load_scoring_model, make_cards
from training.auditing.video_cards import Cards
from training.data.labelled_videos import LabelledVideos
from training.data.messages import first_few
from training.running.arguments import DataArguments
from training.running.video_sets import load_split

# Columns that the scores are made of.
REQUIRED = ("sample_id", "given_label", "probabilities", "loss", "clip_agreement", "clip_std", "num_valid_clips")


def read_sample_table(file: Path, model_name: str | None, data: DataArguments, args: RDFERTrainingArguments) -> Audit:
    """`--sample-table`: takes the scores from the table that a training has written.

    Args:
        file (`Path`): the table.
        model_name (`str`, *optional*): model for the cards (default: that in the table's folder).
        data ([`DataArguments`]): the videos; without a dataset there are no cards.
        args ([`RDFERTrainingArguments`]): how to score for the cards.

    Returns:
        [`Audit`]: the scores.

    Raises:
        ValueError, OSError: if the table is not that of a training, or model or videos do not fit it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} is no Parquet file that can be read ({error}).") from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing or b"label_names" not in (table.schema.metadata or {}):
        raise ValueError(f"{file} is no sample table of a training: it lacks {missing or 'the names of its labels'}.")
    if "in_sample" in table.column_names:
        raise ValueError(f"{file} is the table of an audit already; expected {SAMPLE_TABLE_NAME} of a training.")
    label_names = json.loads(table.schema.metadata[b"label_names"])
    rows = table.to_pydict()
    seen = [number for number, values in enumerate(rows["probabilities"]) if values is not None]
    if not seen:
        raise ValueError(f"{file} has no video that was seen in training.")
    take = lambda name: torch.tensor([rows[name][number] for number in seen])  # noqa: E731
    predictions = SamplePredictions(
        index=torch.tensor(seen),
        loss=take("loss"),
        agreement=take("clip_agreement"),
        clip_std=take("clip_std"),
        probabilities=take("probabilities"),
        num_valid_clips=take("num_valid_clips"),
    )
    known = ("path", "content_hash", "split", "fold", "num_frames", "num_unreadable")
    columns = {name: rows[name] for name in known if name in rows}
    videos = LabelledVideos([None] * table.num_rows, rows["given_label"], rows["sample_id"], columns, label_names)
    folder = file.resolve().parent
    model_name = model_name or (str(folder) if (folder / "config.json").is_file() else None)
    audit = Audit(
        videos,
        label_names,
        predictions,
        {},
        model=public_name(model_name or str(folder)) or "a training run",
        out_of_sample=False,
        source="training run",
        epoch=max((value for value in rows.get("epoch", []) if value is not None), default=None),
        cards=Cards(0),
        missing_cards=lambda wanted: {},
        dynamics={n: np.array(rows[n], float) for n in ("confidence", "variability", "correctness") if n in rows},
    )
    if data.dataset is None:
        print("Without --dataset the page shows no frames.")
    elif model_name is None:
        raise ValueError(f"{folder} has no model to show clips of: pass --model, or leave --dataset out.")
    else:
        add_videos(audit, load_split(data, [data.split]), model_name, file, data, args)
    return audit


def add_videos(
    audit: Audit, found: LabelledVideos, model: str, file: Path, data: DataArguments, args: RDFERTrainingArguments
):
    """Adds the videos to the rows of a table, for the cards. Raises ValueError if they do not fit."""
    places = {name: place for place, name in enumerate(found.sample_ids)}
    if unknown := [name for name in audit.videos.sample_ids if name not in places]:
        raise ValueError(
            f"{file}: {len(unknown)} of its {len(audit.videos)} videos are not in the data given: "
            f"{first_few(unknown)}. Pass the data of the training."
        )
    network, processor = load_scoring_model(model, data, args)
    if class_names(network.config) != audit.label_names:
        raise ValueError(
            f"{model} has the labels {class_names(network.config)}, {file} has {audit.label_names}, in that order."
        )
    found = found.select([places[name] for name in audit.videos.sample_ids])
    audit.videos.sources = found.sources
    audit.videos.columns |= {name: values for name, values in found.columns.items() if name == "prepared"}
    hashes = audit.videos.columns.get("content_hash", [None] * len(found))

    def missing_cards(wanted: list[int]) -> dict[int, dict]:
        changed = [audit.videos.sample_ids[n] for n in wanted if hashes[n] and found.content_hash(n) != hashes[n]]
        if changed:
            raise ValueError(f"{file}: {len(changed)} videos have changed since the training: {first_few(changed)}.")
        return make_cards(network, processor, audit.videos, wanted, args, data.still_views)

    audit.missing_cards = missing_cards


__all__ = ["read_sample_table"]
