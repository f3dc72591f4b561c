# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A small dataset in CREMA-D's layout, and what was prepared of it; see the fixtures in tests/training/conftest.py."""

from pathlib import Path

from modeling_rdfer import RDFERVideoProcessor
from training.data.labelled_videos import LabelledVideos
from training.data.streaming import StreamingVideoDataset
from training.data.video_shards import load_shards
from training.datasets import load

LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
LABEL2ID = {name: number for number, name in enumerate(LABELS)}
ACTORS = {1001: 5, 1019: 4, 1037: 6, 1055: 3, 1073: 4}  # with their number of clips; one in each fold
PROCESSOR = RDFERVideoProcessor(num_frames=8, size={"height": 32, "width": 32})
SETTINGS = {"size": 32, "num_frames": 8, "shard_size": 2}


def clip_names(actors=ACTORS) -> list[str]:
    codes = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    return [f"{actor}_DFA_{code}_XX" for actor, count in actors.items() for code in codes[:count]]


def hub_videos(root, split: str, config: str) -> LabelledVideos:
    return LabelledVideos.from_dataset(load("hub", root, config=config)[split], split)


def make_stream(prepared, **options) -> StreamingVideoDataset:
    return StreamingVideoDataset(
        load_shards(str(prepared), "train", "fold_1"), LABEL2ID, PROCESSOR, training=True, buffer_size=3, **options
    )


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
