# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos: where they are, whether they can be read, and how they become the model's input."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2
from tqdm.auto import tqdm
from transformers.utils import logging

from modeling_rdfer.video_decoding_rdfer import IMAGE_SUFFIXES, VIDEO_SUFFIXES, VideoReadError, open_video
from modeling_rdfer.video_processing_rdfer import RDFERVideoProcessor

logger = logging.get_logger(__name__)


@dataclass
class Videos:
    """
    Labelled videos; nothing is decoded yet.

    Attributes:
        sources (`list`): what [`RDFERVideoProcessor`] reads: a path each, or what a dataset holds.
        labels (`list[str]`): given label of each, by name.
        sample_ids (`list[str]`): id of each, unique.
        columns (`dict[str, list]`): what else is known, for the sample table: `path`, `split`, `fold`, ...
    """

    sources: list[Any]
    labels: list[str]
    sample_ids: list[str]
    columns: dict[str, list] = field(default_factory=dict)

    def __post_init__(self):
        twice = [name for name, count in Counter(self.sample_ids).items() if count > 1]
        if twice:
            raise ValueError(f"{len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.")

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, keep: list[int]) -> "Videos":
        """Some of the videos, by number."""
        take = lambda values: [values[number] for number in keep]  # noqa: E731
        return replace(
            self,
            sources=self.sources.select(keep) if isinstance(self.sources, _Column) else take(self.sources),
            labels=take(self.labels),
            sample_ids=take(self.sample_ids),
            columns={name: take(values) for name, values in self.columns.items()},
        )


def load_folder(root) -> Videos:
    """
    Videos of a folder with a sub-folder for each label: `root/<label>/<video>`, where a video is a file or a folder of
    frame images.

    Raises:
        FileNotFoundError: the folder is missing or holds no videos, naming what was expected.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}; expected {root}/<label>/<video or folder of frames>.")
    paths, labels = [], []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in VIDEO_SUFFIXES or _is_frame_folder(path):
                paths.append(path)
                labels.append(folder.name)
    if not paths:
        raise FileNotFoundError(f"{root} holds no videos: expected {root}/<label>/<video file or folder of frames>.")
    relative = [path.relative_to(root).as_posix() for path in paths]
    return Videos([str(path) for path in paths], labels, relative, {"path": relative})


def _is_frame_folder(path: Path) -> bool:
    return path.is_dir() and any(image.suffix.lower() in IMAGE_SUFFIXES for image in path.iterdir())


def load_list(file, split: str | None = None) -> Videos:
    """
    Videos of a list: CSV or TSV with a header, or JSON lines, with columns `path` (relative to the list's folder, or
    absolute) and `label`, and optionally `split` and `fold`.

    Args:
        file (`str` or `Path`): the list.
        split (`str`, *optional*): take the rows of this split only.

    Raises:
        FileNotFoundError: the list is missing.
        ValueError: a column is missing or no row is left, naming what was found.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"There is no list {file}.")
    with open(file, newline="", encoding="utf-8-sig") as handle:
        if file.suffix in (".jsonl", ".json"):
            rows = [json.loads(line) for line in handle if line.strip()]
        else:
            rows = list(csv.DictReader(handle, delimiter="\t" if file.suffix == ".tsv" else ","))
    found = sorted(rows[0]) if rows else []
    missing = [name for name in ("path", "label", *(["split"] if split else [])) if name not in found]
    if missing:
        raise ValueError(f"{file} lacks the columns {missing}; it has {found}.")
    rows = [row for row in rows if split is None or row["split"] == split]
    if not rows:
        raise ValueError(f"{file} has no row with split {split!r}.")
    paths = [str(row["path"]) for row in rows]
    columns = {"path": paths}
    columns.update({name: [row[name] for row in rows] for name in ("split", "fold") if name in found})
    if "fold" in columns:
        columns["fold"] = [int(value) for value in columns["fold"]]
    ids = [str(row["sample_id"]) for row in rows] if "sample_id" in found else paths
    return Videos([str(file.parent / path) for path in paths], [str(row["label"]) for row in rows], ids, columns)


def load_hub_dataset(name: str, split: str, config: str | None = None, **kwargs) -> Videos:
    """
    Videos of a dataset of the datasets library, from the Hub or local, with a column `video` and a column `label`;
    also what `python -m training.prepare` writes. Of other columns, those of `KNOWN_COLUMNS` are taken over.

    Args:
        name (`str`): name or path for `datasets.load_dataset`.
        split (`str`): its split.
        config (`str`, *optional*): its configuration, e.g. `"fold_1"`.
        kwargs: passed to `datasets.load_dataset`.

    Raises:
        ValueError: a column is missing, naming those that are there.
    """
    import datasets

    dataset = datasets.load_dataset(name, config, split=split, **kwargs)
    missing = [column for column in ("video", "label") if column not in dataset.column_names]
    if missing:
        raise ValueError(f"{name} ({split}) lacks the columns {missing}; it has {dataset.column_names}.")
    # A decoder of a worker process is dead in another one: the processor decodes itself.
    if isinstance(dataset.features["video"], datasets.Video):
        dataset = dataset.cast_column("video", datasets.Video(decode=False))
    table = {name: list(dataset[name]) for name in TABLE_COLUMNS if name in dataset.column_names}
    return Videos(_Column(dataset, "video"), *_describe(table, dataset.features["label"], split))


# Columns of prepared sets that go into the sample table, or say how to read the video.
KNOWN_COLUMNS = ("path", "content_hash", "num_frames", "fold", "prepared")
TABLE_COLUMNS = ("label", "sample_id", *KNOWN_COLUMNS)


def _describe(table: dict[str, list], label, split: str) -> tuple[list[str], list[str], dict[str, list]]:
    """Names of the labels, sample ids and columns for [`Videos`], from columns of a dataset."""
    given = table["label"]
    names = [label.int2str(value) for value in given] if hasattr(label, "int2str") else [str(value) for value in given]
    ids = [str(value) for value in table["sample_id"]] if "sample_id" in table else None
    known = {name: table[name] for name in KNOWN_COLUMNS if name in table}
    return names, ids or [f"{split}/{i}" for i in range(len(names))], {"split": [split] * len(names), **known}


@dataclass
class VideoShards:
    """
    Labelled videos in Parquet files, of which only the small columns have been read; for [`StreamedVideos`].

    Attributes:
        files (`list[str]`): path or URL of each shard, for fsspec.
        rows (`list[int]`): rows of each shard.
        labels, sample_ids, columns: of all rows, shard after shard; see [`Videos`].
        storage_options (`dict`): for fsspec.
    """

    files: list[str]
    rows: list[int]
    labels: list[str]
    sample_ids: list[str]
    columns: dict[str, list]
    storage_options: dict = field(default_factory=dict)

    def read(self, shard: int, start: int, stop: int) -> Iterator:
        """Yields the videos of rows `start` to `stop` of a shard; holds one group of rows at a time."""
        with _open_parquet(self.files[shard], self.storage_options) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if first < stop and first + count > start:
                    row = first
                    for batch in file.iter_batches(16, row_groups=[group], columns=["video"], use_threads=False):
                        for video in batch.column(0):
                            if start <= row < stop:
                                yield video.as_py()
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
        ValueError: there is no such split or configuration, its files are no Parquet files, or they lack a column.
        FileNotFoundError: nothing is there.
    """
    import datasets

    files = _find_files(name, split, config, storage_options)

    def look(file: str):
        with _open_parquet(file, storage_options, pre_buffer=True) as shard:
            found = shard.schema_arrow.names
            if missing := [column for column in ("video", "label") if column not in found]:
                raise ValueError(f"{file} lacks the columns {missing}; it has {found}.")
            return shard.schema_arrow, shard.read(columns=[c for c in TABLE_COLUMNS if c in found]).to_pydict()

    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = list(tqdm(pool.map(look, files), total=len(files), desc="reading labels", unit="shard"))
    label = datasets.Features.from_arrow_schema(looks[0][0])["label"]
    table = {name: [value for _, part in looks for value in part[name]] for name in looks[0][1]}
    rows = [len(part["label"]) for _, part in looks]
    return VideoShards(files, rows, *_describe(table, label, split), storage_options)


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
        if manifest["folds"]:
            if config not in groups:
                raise ValueError(f"{name} has the configurations {groups}, not {config!r}.")
            groups, others = ["train", "test"], [fold for fold in groups if fold != config]
            wanted = {"train": others, "test": [config]}.get(split, [])
        files = [f"{name}/{shard['file']}" for shard in manifest["shards"] if shard["group"] in wanted]
    else:
        found = datasets.load_dataset_builder(name, config).config.data_files or {}
        groups, files = list(found), [str(file) for file in found.get(split, [])]
    if not files:
        raise ValueError(f"{name} has the splits {groups}, not {split!r}.")
    if other := [file for file in files if not file.endswith(".parquet")]:
        raise ValueError(f"Only Parquet files are streamed; {name} has {other[0]}. `load_hub_dataset` reads others.")
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


class _Column:
    """A column of a dataset as a list that reads its rows when asked for them."""

    def __init__(self, dataset, name: str):
        self.dataset, self.name = dataset.select_columns([name]), name

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index][self.name]

    def select(self, keep: list[int]) -> "_Column":
        return _Column(self.dataset.select(keep), self.name)


def check_videos(videos: Videos, on_bad_video: str = "error", description: str = "checking videos") -> Videos:
    """
    Opens every video before training starts, and notes its number of frames and its hash for the sample table. What a
    prepared set already says about its originals is kept.

    Args:
        videos ([`Videos`]): the videos.
        on_bad_video (`"error"` or `"skip"`): whether a video that cannot be read ends it, or is reported, counted and
            left out.
        description (`str`): of the progress bar.

    Returns:
        [`Videos`] that can be read, with the columns `num_frames` and `content_hash`.

    Raises:
        VideoReadError: with `on_bad_video="error"`, naming the first bad video and how many there are.
    """

    def known(column: str, number: int):
        return videos.columns[column][number] if column in videos.columns else None

    def look(number: int):
        source = videos.sources[number]
        try:
            with open_video(source) as video:
                num_frames = video.num_frames
        except (VideoReadError, OSError) as error:
            return error
        return known("num_frames", number) or num_frames, known("content_hash", number) or content_hash(source)

    with ThreadPoolExecutor(max_workers=2) as pool:
        looks = list(tqdm(pool.map(look, range(len(videos))), total=len(videos), desc=description, unit="video"))
    bad = [number for number, seen in enumerate(looks) if isinstance(seen, Exception)]
    if bad and on_bad_video == "error":
        rest = f" And {len(bad) - 1} more." if len(bad) > 1 else ""
        error = looks[bad[0]]
        raise (
            VideoReadError(*error.args[:2], f"{error.args[2]}.{rest} --on_bad_video skip leaves them out")
            if (isinstance(error, VideoReadError))
            else error
        )
    for number in bad:
        logger.warning(f"Left out: {looks[number]}")
    if bad:
        logger.warning(f"{len(bad)} of {len(videos)} videos cannot be read and are left out.")
    keep = [number for number in range(len(videos)) if number not in set(bad)]
    if not keep:
        raise ValueError("None of the videos can be read.")
    kept = videos.select(keep)
    kept.columns["num_frames"] = [looks[number][0] for number in keep]
    kept.columns["content_hash"] = [looks[number][1] for number in keep]
    return kept


def content_hash(source) -> str | None:
    """
    blake2b-64 of a file, or of the sorted frame names and sizes of a folder (section 6 of the design); None for what
    is neither.
    """
    if isinstance(source, dict):
        if source.get("bytes") is not None:
            return hashlib.blake2b(source["bytes"], digest_size=8).hexdigest()
        source = source.get("path")
    if not isinstance(source, (str, Path)):
        return None
    path = Path(source)
    if path.is_dir():
        names = "".join(f"{image.name} {image.stat().st_size}\n" for image in sorted(path.iterdir()))
        return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()
    if path.is_file():
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    return None


class _Examples:
    """
    Makes videos to examples as [`RDFERTrainer`] takes them. All randomness is keyed by (seed, epoch, sample).

    Args:
        videos: with `labels` (names), `sample_ids` and `columns`, as [`Videos`] has them.
        Everything else: see [`VideoDataset`].
    """

    def __init__(
        self,
        videos,
        label2id: dict[str, int],
        processor: RDFERVideoProcessor,
        training: bool = False,
        num_clips: int = 4,
        seed: int = 0,
        crop_scale: tuple[float, float] = (0.7, 1.0),
        colour_jitter: float = 0.4,
    ):
        unknown = sorted(set(videos.labels) - set(label2id))
        if unknown:
            raise KeyError(f"Labels {unknown} are not among the model's: {sorted(label2id)}.")
        self.videos, self.processor, self.training = videos, processor, training
        self.labels = [label2id[label] for label in videos.labels]
        self.prepared = videos.columns.get("prepared")
        self.num_clips, self.seed = num_clips, seed
        # Shared memory, so that persistent worker processes see the epoch change.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self.augment = v2.Compose(
            [
                v2.RandomResizedCrop(
                    (processor.size["height"], processor.size["width"]), scale=crop_scale, ratio=(0.9, 1.1)
                ),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(colour_jitter, colour_jitter, colour_jitter),
            ]
        )

    @property
    def sample_columns(self) -> dict[str, list]:
        """What is known about the samples, for the sample table."""
        return {"sample_id": self.videos.sample_ids, **self.videos.columns}

    def set_epoch(self, epoch: int):
        """Called at the beginning of an epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.labels)

    def _example(self, source, index: int) -> dict:
        # What is prepared is cropped already, if it was to be.
        prepared = self.prepared is not None and self.prepared[index]
        inputs = self.processor(source, return_tensors="pt", do_face_crop=False if prepared else None)
        example = {
            "pixel_values_videos": inputs["pixel_values_videos"][0],
            "frame_mask": inputs["frame_mask"][0],
            "labels": self.labels[index],
            "sample_index": index,
        }
        if self.training:
            # torchvision draws from torch's global generator: it is borrowed here and given back as it was.
            with torch.random.fork_rng(devices=[]):
                key = f"{self.seed} {self._epoch.item()} {index}".encode()
                torch.manual_seed(int.from_bytes(hashlib.blake2b(key, digest_size=7).digest(), "big"))
                example["clip_jitter"] = torch.rand(self.num_clips)
                example["pixel_values_videos"] = self.augment(example["pixel_values_videos"])
        return example


class VideoDataset(_Examples, torch.utils.data.Dataset):
    """
    Videos as [`RDFERTrainer`] takes them. In training every frame of a video gets the same random crop, flip and
    colour jitter, and clips are jittered. All randomness is keyed by (seed, epoch, sample): the number of workers, of
    processes and resuming change nothing.

    Args:
        videos ([`Videos`]): the videos. In those whose column `prepared` is true, no face is looked for.
        label2id (`dict[str, int]`): numbers of the labels.
        processor ([`RDFERVideoProcessor`]): reads them.
        training (`bool`): whether to augment.
        num_clips (`int`): K of the model, for the jitter.
        seed (`int`): seed.
        crop_scale (`tuple[float, float]`): share of the area kept by the random resized crop.
        colour_jitter (`float`): strength of the jitter of brightness, contrast and saturation (authors: 0.4).

    Raises:
        KeyError: a label is not in `label2id`, naming it.
    """

    def __getitem__(self, index: int) -> dict:
        return self._example(self.videos.sources[index], index)


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


class StreamedVideos(_Examples, torch.utils.data.IterableDataset):
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
        """Yields (sample index, video) of some pieces, in training shuffled; `key` seeds that."""
        first = np.cumsum([0, *self.videos.rows])
        rows = (
            (int(first[piece.shard]) + row, video)
            for piece in pieces
            for row, video in enumerate(self.videos.read(piece.shard, piece.start, piece.stop), start=piece.start)
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
        epoch = int(self._epoch)
        for index, video in self.read(self.pieces(epoch, 0, 1, count)[number], [self.seed, epoch, number]):
            yield self._example(video, index)

    def batches(
        self, batch_size: int, collate: Callable, rank: int = 0, world_size: int = 1, num_workers: int = 0
    ) -> "StreamedBatches":
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
        return StreamedBatches(self, batch_size, collate, rank, world_size, num_workers)


class StreamedBatches(torch.utils.data.IterableDataset):
    """
    The batches of one process, see [`StreamedVideos.batches`]. Its length is their number.

    Attributes:
        mean_batch_size (`float`): mean size of the batches of all processes. Dividing a batch's size by it gives the
            weight with which each video counts the same.
    """

    def __init__(self, videos: StreamedVideos, batch_size, collate, rank, world_size, num_workers):
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
        epoch = int(videos._epoch)
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
            yield self.collate([videos._example(video, index) for index, video in taken]) if batch >= skip else {}


__all__ = [
    "StreamedBatches",
    "StreamedVideos",
    "VideoDataset",
    "VideoShards",
    "Videos",
    "check_videos",
    "content_hash",
    "load_folder",
    "load_hub_dataset",
    "load_list",
    "load_shards",
]
