# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Videos that are read from Parquet shards, here or far away, while training goes on."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from tqdm.auto import tqdm

from modeling_rdfer.trainer.pseudo_labels import FrameTeacher
from training.data.labelled_videos import SAMPLE_COLUMNS, stored_frame_teacher
from training.data.video_dataset import BaseVideoDataset
from training.datasets.hub import check_complete


class NoSuchSplitError(ValueError):
    """A dataset has other splits."""


TABLE_COLUMNS = ("label", "sample_id", "frame_teacher", *SAMPLE_COLUMNS)


@dataclass
class VideoShards:
    """
    Labelled videos in Parquet files, of which only the small columns have been read; for [`StreamingVideoDataset`].

    Attributes:
        files (`list[str]`): path or URL of each shard, for fsspec.
        rows (`list[int]`): rows of each shard.
        labels, sample_ids, columns, label_names: of all rows, shard after shard; see [`LabelledVideos`].
        storage_options (`dict`): for fsspec.
        frame_teacher: see [`LabelledVideos`]; the pseudo-labels are read with the videos.
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
        """The videos under other names of their labels. Raises KeyError for a label that has none."""
        return replace(self, labels=[names[label] for label in self.labels], label_names=list(names.values()))

    def read(self, shard: int, start: int, stop: int, with_pseudo_labels: bool = False) -> Iterator[tuple]:
        """
        Yields (video, pseudo-labels or None) of rows `start` to `stop` of a shard; holds one group of rows at a time.
        """
        columns = ["video", "pseudo_labels"] if with_pseudo_labels else ["video"]
        with _open_parquet(self.files[shard], self.storage_options) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if first < stop and first + count > start:
                    row = first
                    for batch in file.iter_batches(16, row_groups=[group], columns=columns, use_threads=False):
                        for number in range(len(batch)):
                            if start <= row < stop:
                                found = {name: batch.column(name)[number].as_py() for name in columns}
                                yield found["video"], found.get("pseudo_labels")
                            row += 1
                first += count


def load_shards(name: str, split: str, config: str | None = None, **storage_options) -> VideoShards:
    """
    Finds the Parquet files of a dataset and reads what they say of their videos, but not the videos.

    Args:
        name (`str`): name on the Hub or local folder, as for `datasets.load_dataset`; or an fsspec URL, such as
            `s3://bucket/dfew` or `https://...`, of a folder that `python -m training.prepare` has written.
        split (`str`): its split.
        config (`str`, *optional*): its configuration, e.g. `"fold_1"`.
        storage_options: passed to fsspec.

    Raises:
        NoSuchSplitError: there is no such split.
        ValueError: there is no such configuration, a label is none, an id occurs twice, or its files are no Parquet
            files or lack a column.
        FileNotFoundError: nothing is there.
    """
    import datasets

    files = _find_files(name, split, config, storage_options)

    def look(file: str):
        with _open_parquet(file, storage_options, pre_buffer=True) as shard:
            found = shard.schema_arrow.names
            if missing := [column for column in ("video", "label") if column not in found]:
                raise ValueError(f"{file} lacks the columns {missing}; it has {found}.")
            columns = [column for column in TABLE_COLUMNS if column in found]
            # Arrow's threads must not hold a Python file when Python shuts down (apache/arrow#34314, #50482).
            return shard.schema_arrow, shard.read(columns=columns, use_threads=False).to_pydict()

    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = list(tqdm(pool.map(look, files), total=len(files), desc="reading labels", unit="shard"))
    features = datasets.Features.from_arrow_schema(looks[0][0])
    label = features["label"]
    table = {name: [value for _, part in looks for value in part[name]] for name in looks[0][1]}
    rows = [len(part["label"]) for _, part in looks]
    is_numbered = isinstance(label, datasets.ClassLabel)
    if any(value is None or value == -1 for value in table["label"]):
        raise ValueError(f"{name} ({split}) has videos without a label (null or -1).")
    ids = table.get("sample_id") or [f"{split}/{number}" for number in range(len(table["label"]))]
    if twice := [value for value, count in Counter(ids).items() if count > 1]:
        raise ValueError(f"{name} ({split}): {len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.")
    labels = label.int2str(table["label"]) if is_numbered else [str(name) for name in table["label"]]
    return VideoShards(
        files,
        rows,
        labels,
        sample_ids=ids,
        columns={"split": [split] * len(labels)} | {name: table[name] for name in SAMPLE_COLUMNS if name in table},
        label_names=label.names if is_numbered else sorted(set(labels)),
        storage_options=storage_options,
        frame_teacher=stored_frame_teacher(features, table.get("frame_teacher", [])),
    )


def _find_files(name: str, split: str, config: str | None, storage_options: dict) -> list[str]:
    import datasets
    import fsspec

    if "://" in name:
        with fsspec.open(f"{name}/manifest.json", "r", encoding="utf-8", **storage_options) as file:
            manifest = json.load(file)
        if not manifest["complete"]:
            raise ValueError(f"{name} is not complete: let `python -m training.prepare` finish.")
        groups = list(manifest["counts"])
        wanted = [split] if split in groups else []
        if config is not None and not manifest["folds"]:
            raise ValueError(f"{name} has no configuration {config!r}: it was not prepared in folds.")
        if manifest["folds"]:
            if config not in groups:
                raise ValueError(f"{name} has the configurations {groups}, not {config!r}.")
            groups, others = ["train", "test"], [fold for fold in groups if fold != config]
            wanted = {"train": others, "test": [config]}.get(split, [])
        files = [f"{name}/{shard['file']}" for shard in manifest["shards"] if shard["group"] in wanted]
    else:
        check_complete(name)
        found = datasets.load_dataset_builder(name, config).config.data_files or {}
        groups, files = list(found), [str(file) for file in found.get(split, [])]
    if not files:
        raise NoSuchSplitError(f"{name} has the splits {groups}, not {split!r}.")
    if other := [file for file in files if not file.endswith(".parquet")]:
        raise ValueError(
            f"Only Parquet files are streamed; {name} has {other[0]}. Without streaming others are read, too."
        )
    return files


@contextmanager
def _open_parquet(url: str, storage_options: dict, **options):
    import fsspec
    import pyarrow.parquet as pq

    system, path = fsspec.core.url_to_fs(url, **storage_options)
    # Parquet knows which bytes it wants: nothing is read ahead.
    with system.open(path, "rb", cache_type="none") as handle:
        if url.startswith("http"):
            try:
                handle.seek(1)
                handle.read(1)
            except ValueError:  # a server that only sends whole files
                handle = io.BytesIO(system.cat_file(path))
        with pq.ParquetFile(handle, **options) as file:
            yield file


@dataclass(frozen=True)
class _Piece:
    """Rows of a shard."""

    shard: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def _split(pieces: list[_Piece], least: int) -> list[_Piece]:
    """At least so many pieces: the largest is halved until there are."""
    pieces = list(pieces)
    while pieces and len(pieces) < least:
        place = max(range(len(pieces)), key=lambda number: len(pieces[number]))
        piece = pieces[place]
        if len(piece) < 2:
            break
        middle = (piece.start + piece.stop) // 2
        pieces[place : place + 1] = [replace(piece, stop=middle), replace(piece, start=middle)]
    return pieces


def _deal(pieces: list[_Piece], hands: int) -> list[list[_Piece]]:
    """
    Deals pieces out, the largest first, each to who has fewest rows. How many rows each gets depends on the sizes
    alone, not on the order of the pieces, in which everyone keeps theirs.
    """
    dealt, loads = [[] for _ in range(hands)], [0] * hands
    for place in sorted(range(len(pieces)), key=lambda place: -len(pieces[place])):
        hand = loads.index(min(loads))
        dealt[hand].append(place)
        loads[hand] += len(pieces[place])
    return [[pieces[place] for place in sorted(hand)] for hand in dealt]


class StreamingVideoDataset(BaseVideoDataset, IterableDataset):
    """
    Videos of Parquet shards, read from wherever fsspec can read, as [`RDFERTrainer`] takes them: the same examples,
    with the same augmentation, that [`VideoDataset`] gives for the same rows. Memory depends on the buffer and not on
    the number of videos.

    In training, the order of an epoch is keyed by (seed, epoch): shards in random order, and a buffer from which
    videos are drawn at random. `batches` deals whole shards out to processes, and a process's shards to its
    data-loader workers; only where there are fewer shards than these, some share one and read different rows of it.

    Iterated by itself it yields all rows (or, in a data-loader worker, that worker's share), whatever the number of
    processes: evaluation leaves the sharding to accelerate.

    Args:
        videos ([`VideoShards`]): the videos.
        buffer_size (`int`): videos, still compressed, among which the next one is drawn.
        Everything else: see [`VideoDataset`].

    Raises:
        KeyError: a label is not in `label2id`, naming it.
        ValueError: there are no videos.
    """

    def __init__(self, videos: VideoShards, label2id, processor, training=False, *, buffer_size: int = 64, **options):
        super().__init__(videos, label2id, processor, training, **options)
        if not videos.labels:
            raise ValueError("The shards hold no videos.")
        self.buffer_size = buffer_size

    def pieces(self, epoch: int, rank: int, world_size: int, num_workers: int) -> list[list[_Piece]]:
        """What each data-loader worker of a process reads in an epoch, in its order."""
        shards = [_Piece(shard, 0, count) for shard, count in enumerate(self.videos.rows) if count]
        if self.training:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(shards))
            shards = [shards[number] for number in order]
        own = _deal(_split(shards, world_size), world_size)[rank]
        return _deal(_split(own, num_workers), num_workers)

    def read(self, pieces: list[_Piece], key: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yields (sample index, (video, pseudo-labels)) of some pieces, in training shuffled; `key` seeds that."""
        first = np.cumsum([0, *self.videos.rows])
        rows = (
            (int(first[piece.shard]) + row, video)
            for piece in pieces
            for row, video in enumerate(
                self.videos.read(piece.shard, piece.start, piece.stop, self.uses_pseudo_labels), piece.start
            )
        )
        if not self.training:
            yield from rows
            return
        generator, buffer = np.random.default_rng(key), []
        for row in rows:
            buffer.append(row)
            if len(buffer) > self.buffer_size:
                place = generator.integers(len(buffer))
                buffer[place], buffer[-1] = buffer[-1], buffer[place]
                yield buffer.pop()
        yield from (buffer[place] for place in generator.permutation(len(buffer)))

    def __iter__(self) -> Iterator[dict]:
        worker = torch.utils.data.get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        epoch = self.epoch
        for index, row in self.read(self.pieces(epoch, 0, 1, count)[number], [self.seed, epoch, number]):
            yield self.make_example(*row, index)

    def batches(
        self, batch_size: int, collate: Callable, rank: int = 0, world_size: int = 1, num_workers: int = 0
    ) -> "StreamingBatches":
        """
        The batches of one process, for `DataLoader(..., batch_size=None, num_workers=num_workers)`.

        Every process gets the same number of them, or training together would hang; a process whose shards hold fewer
        rows gets smaller ones, so that every video comes exactly once an epoch. Only a process with fewer videos than
        there are batches repeats some.

        Args:
            batch_size (`int`): most examples of a batch.
            collate (`Callable`): makes a batch of a list of examples.
            rank, world_size (`int`): which of how many processes this is.
            num_workers (`int`): of the data loader.

        Raises:
            ValueError: there are fewer videos than processes.
        """
        return StreamingBatches(self, batch_size, collate, rank, world_size, num_workers)


class StreamingBatches(IterableDataset):
    """
    The batches of one process, see [`StreamingVideoDataset.batches`]. Its length is their number.

    Attributes:
        mean_batch_size (`float`): mean size of the batches of all processes. Dividing a batch's size by it gives the
            weight with which each video counts the same.
    """

    def __init__(self, videos: StreamingVideoDataset, batch_size, collate, rank, world_size, num_workers):
        self.videos, self.collate, self.rank, self.world_size = videos, collate, rank, world_size
        self.num_workers = max(1, num_workers)
        # How many rows each worker has is the same in every epoch.
        loads = [
            [sum(map(len, pieces)) for pieces in videos.pieces(0, rank, world_size, self.num_workers)]
            for rank in range(world_size)
        ]
        if not all(map(any, loads)):
            raise ValueError(f"{len(videos)} videos are too few for {world_size} processes.")
        self.length = max(sum(-(-rows // batch_size) for rows in process) for process in loads)
        self.mean_batch_size = sum(max(sum(process), self.length) for process in loads) / (self.length * world_size)
        self.rows = loads[rank]
        self.counts = [-(-rows // batch_size) for rows in self.rows]
        while sum(self.counts) < self.length:
            # One more for the worker with the largest batches.
            largest = max(
                (number for number, rows in enumerate(self.rows) if rows),
                key=lambda number: self.rows[number] / self.counts[number],
            )
            self.counts[largest] += 1
        self._skipped = torch.tensor([-1, 0]).share_memory_()  # epoch, batches

    def __len__(self) -> int:
        return self.length

    def skip(self, epoch: int, batches: int):
        """
        Makes the first batches of an epoch come empty, which spares decoding them where they are thrown away:
        `Trainer` does that when it resumes in the middle of an epoch.
        """
        self._skipped.copy_(torch.tensor([epoch, batches]))

    def __iter__(self) -> Iterator[dict]:
        worker = torch.utils.data.get_worker_info()
        number, workers, videos = (worker.id, worker.num_workers, self.videos) if worker else (0, 1, self.videos)
        if workers != self.num_workers:
            raise ValueError(f"These batches are for {self.num_workers} workers, the data loader has {workers}.")
        count, rows = self.counts[number], self.rows[number]
        epoch = videos.epoch
        pieces = videos.pieces(epoch, self.rank, self.world_size, self.num_workers)[number]

        def endless():
            while True:  # more than once only where rows have to be repeated
                yield from videos.read(pieces, [videos.seed, epoch, self.rank, number])

        source = endless()
        # A data loader takes a batch of each worker in turn.
        turns = sorted((batch, worker) for worker, count in enumerate(self.counts) for batch in range(count))
        skipped_epoch, skipped = self._skipped.tolist()
        skip = sum(worker == number for _, worker in turns[:skipped]) if skipped_epoch == epoch else 0
        total = max(rows, count)
        for batch in range(count):
            taken = [next(source) for _ in range(total * batch // count, total * (batch + 1) // count)]
            yield self.collate([videos.make_example(*row, index) for index, row in taken]) if batch >= skip else {}


__all__ = ["NoSuchSplitError", "StreamingBatches", "StreamingVideoDataset", "VideoShards", "load_shards"]
