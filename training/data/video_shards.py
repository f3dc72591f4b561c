# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos in Parquet shards, here or far away, of which only the labels are read at first."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import datasets
import fsspec
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from modeling_rdfer.trainer.pseudo_labels import FrameTeacher
from training.data.labelled_videos import SAMPLE_COLUMNS, stored_frame_teacher
from training.datasets.hub import check_complete

TABLE_COLUMNS = ("label", "sample_id", "frame_teacher", *SAMPLE_COLUMNS)
# Rows that are decoded from Parquet at once.
ROWS_AT_ONCE = 16


class NoSuchSplitError(ValueError):
    """The dataset has other splits."""


@dataclass
class VideoShards:
    """Labelled videos in Parquet files, for [`~training.data.streaming.StreamingVideoDataset`]. Only the small columns
    are in memory.

    Attributes:
        files (`list[str]`): path or URL of each shard, for fsspec.
        rows (`list[int]`): number of rows of each shard.
        labels, sample_ids, columns, label_names: those of all rows, shard after shard; see
            [`~training.data.labelled_videos.LabelledVideos`].
        storage_options (`dict`): for fsspec.
        frame_teacher ([`FrameTeacher`], *optional*): the model that made the pseudo-labels, which are read with the
            videos.
    """

    files: list[str]
    rows: list[int]
    labels: list[str]
    sample_ids: list[str]
    columns: dict[str, list]
    label_names: list[str]
    storage_options: dict = field(default_factory=dict)
    frame_teacher: FrameTeacher | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rename_labels(self, names: dict[str, str]) -> "VideoShards":
        """The videos with their labels renamed. Raises KeyError if a label has no new name."""
        return replace(self, labels=[names[label] for label in self.labels], label_names=list(names.values()))

    def read(self, shard: int, start: int, stop: int, with_pseudo_labels: bool = False) -> Iterator[tuple]:
        """Reads rows of a shard, with one row group in memory at a time.

        Args:
            shard (`int`): number of the shard.
            start, stop (`int`): the rows `start` <= row < `stop`.
            with_pseudo_labels (`bool`, *optional*, defaults to `False`): whether to read pseudo-labels, too.

        Yields:
            `tuple`: the video, `{"bytes", "path"}`, and its pseudo-labels or `None`.
        """
        columns = ["video", "pseudo_labels"] if with_pseudo_labels else ["video"]
        with _open_parquet(self.files[shard], self.storage_options) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if first < stop and first + count > start:
                    row = first
                    for batch in file.iter_batches(
                        ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False
                    ):
                        for number in range(len(batch)):
                            if start <= row < stop:
                                values = {name: batch.column(name)[number].as_py() for name in columns}
                                yield values["video"], values.get("pseudo_labels")
                            row += 1
                first += count


def load_shards(name: str, split: str, config: str | None = None, **storage_options) -> VideoShards:
    """Finds the Parquet files of a dataset and reads all columns except the videos.

    Args:
        name (`str`): id on the Hub or local folder, as for `datasets.load_dataset`; or an fsspec URL, such as
            `s3://bucket/dfew` or `https://...`, of a folder that `python -m training.prepare` has written.
        split (`str`): name of the split.
        config (`str`, *optional*): name of the configuration, e.g. `"fold_1"`.
        storage_options: passed to fsspec.

    Returns:
        [`VideoShards`]: the videos.

    Raises:
        NoSuchSplitError: if there is no such split.
        ValueError: if there is no such configuration, a label is missing, an id occurs twice, a file is not a Parquet
            file, or a column is missing.
        FileNotFoundError: if nothing is there.
    """
    files = _find_files(name, split, config, storage_options)

    def read_small_columns(file: str):
        with _open_parquet(file, storage_options, pre_buffer=True) as shard:
            found = shard.schema_arrow.names
            if missing := [column for column in ("video", "label") if column not in found]:
                raise ValueError(f"{file} lacks the columns {missing}; it has {found}.")
            columns = [column for column in TABLE_COLUMNS if column in found]
            # Arrow's threads must not hold a Python file when Python shuts down (apache/arrow#34314, #50482).
            return shard.schema_arrow, shard.read(columns=columns, use_threads=False).to_pydict()

    with ThreadPoolExecutor(max_workers=8) as pool:
        results = pool.map(read_small_columns, files)
        schemas, tables = zip(*tqdm(results, total=len(files), desc="reading labels", unit="shard"))
    table = {column: [value for part in tables for value in part[column]] for column in tables[0]}
    if any(value is None or value == -1 for value in table["label"]):
        raise ValueError(f"{name} ({split}) has videos without a label (null or -1).")
    ids = table.get("sample_id") or [f"{split}/{number}" for number in range(len(table["label"]))]
    if twice := [value for value, count in Counter(ids).items() if count > 1]:
        raise ValueError(f"{name} ({split}): {len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.")
    features = datasets.Features.from_arrow_schema(schemas[0])
    label = features["label"]
    is_numbered = isinstance(label, datasets.ClassLabel)
    labels = label.int2str(table["label"]) if is_numbered else [str(value) for value in table["label"]]
    return VideoShards(
        files,
        rows=[len(part["label"]) for part in tables],
        labels=labels,
        sample_ids=ids,
        columns={"split": [split] * len(labels)} | {name: table[name] for name in SAMPLE_COLUMNS if name in table},
        label_names=label.names if is_numbered else sorted(set(labels)),
        storage_options=storage_options,
        frame_teacher=stored_frame_teacher(features, table.get("frame_teacher", [])),
    )


def _find_files(name: str, split: str, config: str | None, storage_options: dict) -> list[str]:
    if "://" in name:
        splits, files = _find_prepared_files(name, split, config, storage_options)
    else:
        check_complete(name)
        found = datasets.load_dataset_builder(name, config).config.data_files or {}
        splits, files = list(found), [str(file) for file in found.get(split, [])]
    if not files:
        raise NoSuchSplitError(f"{name} has the splits {splits}, not {split!r}.")
    if other := [file for file in files if not file.endswith(".parquet")]:
        raise ValueError(
            f"Only Parquet files can be streamed; {name} has {other[0]}. Without streaming, others are read, too."
        )
    return files


def _find_prepared_files(
    url: str, split: str, config: str | None, storage_options: dict
) -> tuple[list[str], list[str]]:
    """The splits of a prepared set at a URL, and the files of one, from its manifest."""
    with fsspec.open(f"{url}/manifest.json", "r", encoding="utf-8", **storage_options) as file:
        manifest = json.load(file)
    if not manifest["complete"]:
        raise ValueError(f"{url} is not complete: let `python -m training.prepare` finish.")
    groups = list(manifest["counts"])
    if manifest["folds"]:
        if config not in groups:
            raise ValueError(f"{url} has the configurations {groups}, not {config!r}.")
        groups_of = {"train": [fold for fold in groups if fold != config], "test": [config]}
    elif config is not None:
        raise ValueError(f"{url} has no configuration {config!r}: it was not prepared in folds.")
    else:
        groups_of = {group: [group] for group in groups}
    wanted = groups_of.get(split, [])
    return list(groups_of), [f"{url}/{shard['file']}" for shard in manifest["shards"] if shard["group"] in wanted]


@contextmanager
def _open_parquet(url: str, storage_options: dict, **options):
    system, path = fsspec.core.url_to_fs(url, **storage_options)
    # Parquet asks for exactly the bytes that it needs, so a cache that reads ahead would only read too much.
    with system.open(path, "rb", cache_type="none") as handle:
        if url.startswith("http"):
            try:
                handle.seek(1)
                handle.read(1)
            except ValueError:  # the server can send only whole files
                handle = io.BytesIO(system.cat_file(path))
        with pq.ParquetFile(handle, **options) as file:
            yield file


__all__ = ["NoSuchSplitError", "VideoShards", "load_shards"]
