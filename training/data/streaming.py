# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads labelled videos from Parquet shards while training goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from training.data.video_dataset import BaseVideoDataset
from training.data.video_shards import VideoShards


# ---------------------------------------------------------------------------------------------------------------------
# Which process and worker reads which rows
# ---------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RowRange:
    """The rows `start` <= row < `stop` of a shard."""

    shard: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def split_ranges(ranges: list[RowRange], least: int) -> list[RowRange]:
    """Halves the largest range until there are at least `least` ranges, or each has one row."""
    ranges = list(ranges)
    while ranges and len(ranges) < least:
        place = max(range(len(ranges)), key=lambda number: len(ranges[number]))
        largest = ranges[place]
        if len(largest) < 2:
            break
        middle = (largest.start + largest.stop) // 2
        ranges[place : place + 1] = [replace(largest, stop=middle), replace(largest, start=middle)]
    return ranges


def distribute_ranges(ranges: list[RowRange], count: int) -> list[list[RowRange]]:
    """Distributes ranges among `count` readers: the largest first, each to the reader with fewest rows.

    Each reader keeps the order of `ranges`. Its number of rows depends on the sizes of the ranges, not on their order.
    """
    places, loads = [[] for _ in range(count)], [0] * count
    for place in sorted(range(len(ranges)), key=lambda place: -len(ranges[place])):
        reader = loads.index(min(loads))
        places[reader].append(place)
        loads[reader] += len(ranges[place])
    return [[ranges[place] for place in sorted(own)] for own in places]


# ---------------------------------------------------------------------------------------------------------------------
# Datasets
# ---------------------------------------------------------------------------------------------------------------------
class StreamingVideoDataset(BaseVideoDataset, IterableDataset):
    """Videos of Parquet shards, wherever fsspec can read, as [`RDFERTrainer`] takes them.

    The examples and their augmentation are the same as those of [`~training.data.video_dataset.VideoDataset`] for the
    same rows. Memory depends on the buffer, not on the number of videos.

    In training the order of an epoch is keyed by (seed, epoch): shards come in random order, and videos are drawn at
    random from a buffer. [`batches`] distributes whole shards among processes, and a process's shards among its
    data-loader workers. Only if there are fewer shards than readers, some read different rows of the same shard.

    Iterating over the dataset itself gives all rows (in a data-loader worker its share), whatever the number of
    processes, because accelerate distributes them in evaluation.

    Args:
        videos ([`~training.data.video_shards.VideoShards`]): the videos.
        label2id, processor, training, options: see [`~training.data.video_dataset.VideoDataset`].
        buffer_size (`int`, *optional*, defaults to 64): number of videos, not decoded, from which the next is drawn.

    Raises:
        KeyError: if a label is not in `label2id`.
        ValueError: if there are no videos.
    """

    def __init__(self, videos: VideoShards, label2id, processor, training=False, *, buffer_size: int = 64, **options):
        super().__init__(videos, label2id, processor, training, **options)
        if not videos.labels:
            raise ValueError("The shards hold no videos.")
        self.buffer_size = buffer_size

    def ranges(self, epoch: int, rank: int, world_size: int, num_workers: int) -> list[list[RowRange]]:
        """The rows that each data-loader worker of process `rank` reads in an epoch, in its order."""
        shards = [RowRange(shard, 0, count) for shard, count in enumerate(self.videos.rows) if count]
        if self.training:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(shards))
            shards = [shards[number] for number in order]
        own = distribute_ranges(split_ranges(shards, world_size), world_size)[rank]
        return distribute_ranges(split_ranges(own, num_workers), num_workers)

    def read(self, ranges: list[RowRange], key: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Reads rows, in training shuffled.

        Args:
            ranges (`list[RowRange]`): the rows.
            key (`list[int]`): seed of the shuffling.

        Yields:
            `tuple[int, tuple]`: number of the video, and the video with its pseudo-labels or `None`.
        """
        first = np.cumsum([0, *self.videos.rows])
        rows = (
            (int(first[part.shard]) + row, video)
            for part in ranges
            for row, video in enumerate(
                self.videos.read(part.shard, part.start, part.stop, self.uses_pseudo_labels), part.start
            )
        )
        return self._shuffle(rows, key) if self.training else rows

    def _shuffle(self, rows: Iterator, key: Sequence[int]) -> Iterator:
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
        for index, row in self.read(self.ranges(epoch, 0, 1, count)[number], [self.seed, epoch, number]):
            yield self.make_example(*row, index)

    def batches(
        self, batch_size: int, collate: Callable, rank: int = 0, world_size: int = 1, num_workers: int = 0
    ) -> "StreamingBatches":
        """The batches of one process, for `DataLoader(..., batch_size=None, num_workers=num_workers)`.

        All processes get the same number of batches, because otherwise they would wait for each other forever. A
        process whose shards have fewer rows gets smaller batches, so that every video comes exactly once in an epoch.
        Only a process with fewer videos than batches repeats some.

        Args:
            batch_size (`int`): most examples of a batch.
            collate (`Callable`): makes a batch of a list of examples.
            rank (`int`, *optional*, defaults to 0): number of the process.
            world_size (`int`, *optional*, defaults to 1): number of processes.
            num_workers (`int`, *optional*, defaults to 0): number of data-loader workers.

        Raises:
            ValueError: if there are fewer videos than processes.
        """
        return StreamingBatches(self, batch_size, collate, rank, world_size, num_workers)


class StreamingBatches(IterableDataset):
    """The batches of one process, see [`StreamingVideoDataset.batches`]. Its length is their number.

    Attributes:
        mean_batch_size (`float`): mean size of the batches of all processes. Every video counts the same if the loss
            of a batch is multiplied by the batch's size divided by this.
    """

    def __init__(self, videos: StreamingVideoDataset, batch_size, collate, rank, world_size, num_workers):
        self.videos, self.collate, self.rank, self.world_size = videos, collate, rank, world_size
        self.num_workers = max(1, num_workers)
        # Number of rows of each worker, by process. It is the same in every epoch.
        loads = [
            [sum(map(len, ranges)) for ranges in videos.ranges(0, rank, world_size, self.num_workers)]
            for rank in range(world_size)
        ]
        if not all(map(any, loads)):
            raise ValueError(f"{len(videos)} videos are too few for {world_size} processes.")
        self.length = max(sum(-(-rows // batch_size) for rows in process) for process in loads)
        self.mean_batch_size = sum(max(sum(process), self.length) for process in loads) / (self.length * world_size)
        self.rows = loads[rank]
        self.batches_by_worker = [-(-rows // batch_size) for rows in self.rows]
        while sum(self.batches_by_worker) < self.length:
            # One more for the worker with the largest batches.
            largest = max(
                (number for number, rows in enumerate(self.rows) if rows),
                key=lambda number: self.rows[number] / self.batches_by_worker[number],
            )
            self.batches_by_worker[largest] += 1
        self._skipped = torch.tensor([-1, 0]).share_memory_()  # epoch, number of batches

    def __len__(self) -> int:
        return self.length

    def skip(self, epoch: int, batches: int):
        """Makes the first batches of an epoch empty. When `Trainer` resumes in the middle of an epoch, it throws them
        away, so they need not be decoded.
        """
        self._skipped.copy_(torch.tensor([epoch, batches]))

    def __iter__(self) -> Iterator[dict]:
        worker, videos = torch.utils.data.get_worker_info(), self.videos
        number, num_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if num_workers != self.num_workers:
            raise ValueError(f"These batches are for {self.num_workers} workers, the data loader has {num_workers}.")
        epoch, count = videos.epoch, self.batches_by_worker[number]
        rows, skip = self._rows(epoch, number), self._num_skipped(epoch, number)
        total = max(self.rows[number], count)
        for batch in range(count):
            taken = [next(rows) for _ in range(total * batch // count, total * (batch + 1) // count)]
            yield self.collate([videos.make_example(*row, index) for index, row in taken]) if batch >= skip else {}

    def _rows(self, epoch: int, worker: int) -> Iterator[tuple[int, Any]]:
        """The rows of a worker, again and again: they are repeated only if it has fewer than batches."""
        ranges = self.videos.ranges(epoch, self.rank, self.world_size, self.num_workers)[worker]
        while True:
            yield from self.videos.read(ranges, [self.videos.seed, epoch, self.rank, worker])

    def _num_skipped(self, epoch: int, worker: int) -> int:
        """How many of the batches to skip are of this worker. The data loader takes one of each worker in turn."""
        skipped_epoch, skipped = self._skipped.tolist()
        if skipped_epoch != epoch:
            return 0
        turns = sorted(
            (batch, number) for number, count in enumerate(self.batches_by_worker) for batch in range(count)
        )
        return sum(number == worker for _, number in turns[:skipped])


__all__ = ["StreamingBatches", "StreamingVideoDataset"]
