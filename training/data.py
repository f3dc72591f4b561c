# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos: where they are, whether they can be read, and how they become the model's input."""

import csv
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
    Videos of a dataset of the datasets library, from the Hub or local, with a column `video` and a column `label`; also
    what `python -m training.prepare` writes. Of other columns, those of `KNOWN_COLUMNS` are taken over.

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


__all__ = ["VideoDataset", "Videos", "check_videos", "content_hash", "load_folder", "load_hub_dataset", "load_list"]
