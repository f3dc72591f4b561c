# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos: where they are, whether they can be read, and how they become the model's input."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2
from tqdm.auto import tqdm
from transformers.utils import logging

from modeling_rdfer.models.loss_aen import UNKNOWN
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.pseudo_labels import FrameTeacher, take_columns, teacher_columns
from modeling_rdfer.trainer.trainer import RDFERTrainingArguments

logger = logging.get_logger(__name__)


@dataclass
class LabelledVideos:
    """
    Labelled videos; nothing is decoded yet.

    Attributes:
        sources (`list`): what [`RDFERVideoProcessor`] reads: a path each, or what a dataset holds.
        labels (`list[str]`): given label of each, by name.
        sample_ids (`list[str]`): id of each, unique.
        columns (`dict[str, list]`): what else is known, for the sample table: `path`, `split`, `fold`, ...
        label_names (`list[str]`, *optional*): the dataset's labels in its own order, also those that no video here
            has; by default those of the videos in alphabetical order.
        persons (`list`, *optional*): who is seen in each.
        pseudo_labels (sequence of `dict[str, list[float]]`, *optional*): of each, a frame teacher's probabilities of a
            class in every frame of the source, by the name of the class.
        frame_teacher ([`FrameTeacher`], *optional*): whose they are.
    """

    sources: Sequence[Any]
    labels: list[str]
    sample_ids: list[str]
    columns: dict[str, list] = field(default_factory=dict)
    label_names: list[str] | None = None
    persons: list | None = None
    pseudo_labels: Sequence[dict[str, list[float]]] | None = None
    frame_teacher: FrameTeacher | None = None

    def __post_init__(self):
        if self.label_names is None:
            self.label_names = sorted(set(self.labels))
        twice = [name for name, count in Counter(self.sample_ids).items() if count > 1]
        if twice:
            raise ValueError(f"{len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.")

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, keep: list[int]) -> "LabelledVideos":
        """Some of the videos, by number."""
        take = lambda values: [values[number] for number in keep]  # noqa: E731
        return replace(
            self,
            # Others than paths are read when they are asked for.
            sources=take(self.sources) if isinstance(self.sources, list) else Subset(self.sources, keep),
            pseudo_labels=None if self.pseudo_labels is None else Subset(self.pseudo_labels, keep),
            labels=take(self.labels),
            sample_ids=take(self.sample_ids),
            columns={name: take(values) for name, values in self.columns.items()},
            persons=None if self.persons is None else take(self.persons),
        )

    def rename_labels(self, names: dict[str, str]) -> "LabelledVideos":
        """The videos whose label is a key of `names`, under its other name."""
        kept = self.select([number for number, label in enumerate(self.labels) if label in names])
        return replace(kept, labels=[names[label] for label in kept.labels], label_names=list(names.values()))

    def hold_out(self, share: float, seed: int) -> tuple["LabelledVideos", "LabelledVideos"]:
        """
        Splits the videos into a part to train on and a part held out, with about the same shares of labels. Where the
        persons are known, none is in both.

        Args:
            share (`float`): of the held-out part, 0..0.5; one in `round(1 / share)` is held out.
            seed (`int`): seed of the draw.

        Raises:
            ValueError: the share is no such number, or there are too few videos or persons for it.
        """
        if not 0 < share <= 0.5:
            raise ValueError(f"The share to hold out must be above 0 and at most 0.5, got {share}.")
        held_out = self.folds(round(1 / share), seed)[0]
        taken = set(held_out)
        return self.select([number for number in range(len(self)) if number not in taken]), self.select(held_out)

    def folds(self, count: int, seed: int) -> list[list[int]]:
        """
        Deals the videos out to folds with about the same shares of labels. Where the persons are known, each is in one
        fold only; where they are not, each file's content is.

        Args:
            count (`int`, at least 2): folds.
            seed (`int`): seed of the draw.

        Returns:
            The numbers of the videos of each fold, in their order.

        Raises:
            ValueError: there are too few videos or persons for so many folds.
        """
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        groups = self.persons
        units = {"videos of the most frequent label": max(Counter(self.labels).values())}
        if groups is not None:
            units["persons"] = len(set(groups))
        for kind, available in units.items():
            if available < count:
                raise ValueError(f"{available} {kind} are too few for {count} parts: it takes at least one each.")
        hashes = self.columns.get("content_hash", [])
        if groups is None and len(set(hashes) - {None}) < len(hashes) - hashes.count(None):
            groups = [value or number for number, value in enumerate(hashes)]
        splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
            count, shuffle=True, random_state=seed
        )
        with warnings.catch_warnings():
            # Labels with fewer videos than folds: the rest is stratified all the same.
            warnings.filterwarnings("ignore", message="The least populated class")
            return [held_out.tolist() for _, held_out in splitter.split(self.labels, self.labels, groups)]

    def content_hash(self, number: int) -> str | None:
        """[`content_hash`] of a video; of a prepared one that of its original."""
        known = self.columns["content_hash"][number] if "content_hash" in self.columns else None
        return known or content_hash(self.sources[number])


def open_videos(
    videos: LabelledVideos, description: str = "checking videos"
) -> list[tuple[int, str | None] | Exception]:
    """
    Opens every video. Returns the number of frames and the hash of each, as a prepared set says them of its originals;
    or why it cannot be read.
    """

    def look(number: int):
        try:
            with open_video(videos.sources[number]) as video:
                num_frames = video.num_frames
        except (VideoReadError, OSError) as error:
            return error
        known = videos.columns["num_frames"][number] if "num_frames" in videos.columns else None
        return known or num_frames, videos.content_hash(number)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(tqdm(pool.map(look, range(len(videos))), total=len(videos), desc=description, unit="video"))


def check_videos(
    videos: LabelledVideos, on_bad_video: str = "error", description: str = "checking videos"
) -> LabelledVideos:
    """
    Opens every video before training starts, and notes its number of frames and its hash for the sample table. What a
    prepared set already says about its originals is kept.

    Args:
        videos ([`LabelledVideos`]): the videos.
        on_bad_video (`"error"` or `"skip"`): whether a video that cannot be read ends it, or is reported, counted and
            left out.
        description (`str`): of the progress bar.

    Returns:
        [`LabelledVideos`] that can be read, with the columns `num_frames` and `content_hash`.

    Raises:
        VideoReadError: with `on_bad_video="error"`, naming the first bad video and how many there are.
        ValueError: none can be read.
    """
    looks = open_videos(videos, description)
    bad = [number for number, seen in enumerate(looks) if isinstance(seen, Exception)]
    report_bad_videos([looks[number] for number in bad], len(videos), on_bad_video)
    keep = [number for number in range(len(videos)) if number not in set(bad)]
    kept = videos.select(keep)
    kept.columns["num_frames"] = [looks[number][0] for number in keep]
    kept.columns["content_hash"] = [looks[number][1] for number in keep]
    return kept


def report_bad_videos(errors: Sequence[Exception], count: int, on_bad_video: str):
    """
    Warns of those of `count` videos that cannot be read.

    Raises:
        VideoReadError: with `on_bad_video="error"`, naming the first bad video and how many there are.
        ValueError: all of them are bad, or there are none.
    """
    if errors and on_bad_video == "error":
        rest = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        error = errors[0]
        raise (
            VideoReadError(*error.args[:2], f"{error.args[2]}.{rest} --on_bad_video skip leaves them out")
            if isinstance(error, VideoReadError)
            else error
        )
    for error in errors:
        logger.warning(f"Left out: {error}")
    if errors:
        logger.warning(f"{len(errors)} of {count} videos cannot be read and are left out.")
    if len(errors) == count:
        raise ValueError(
            f"None of the videos can be read; the first: {errors[0]}" if errors else "There are no videos."
        )


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


class BaseVideoDataset:
    """
    Makes videos to examples as [`RDFERTrainer`] takes them. All randomness is keyed by (seed, epoch, sample).

    Args:
        videos: with `labels` (names), `sample_ids` and `columns`, as [`LabelledVideos`] has them.
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
        self.frame_teacher, self._teacher_columns = videos.frame_teacher if training else None, None
        if self.frame_teacher is not None:
            # That they do not fit is an error if they are wanted, which the trainer knows.
            with suppress(ValueError):
                self._teacher_columns = teacher_columns(
                    self.frame_teacher.labels, sorted(label2id, key=label2id.__getitem__)
                )
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

    def process(self, source, index: int, **options):
        """What the processor makes of a video."""
        # What is prepared is cropped already, if it was to be.
        prepared = self.prepared is not None and self.prepared[index]
        return self.processor(source, return_tensors="pt", do_face_crop=False if prepared else None, **options)

    def _pseudo_labels(self, probabilities: dict[str, list[float]], metadata, num_frames: int, index: int):
        """Of the frames that the processor has chosen, padded to `(num_frames, C)`."""
        by_class = torch.tensor([probabilities[name] for name in self.frame_teacher.labels])
        if by_class.shape[1] != metadata.total_num_frames:
            raise ValueError(
                f"{self.videos.sample_ids[index]} has {metadata.total_num_frames} frames and pseudo-labels for "
                f"{by_class.shape[1]}: prepare the dataset anew."
            )
        chosen = take_columns(by_class[:, metadata.frames_indices].T, self._teacher_columns)
        return torch.nn.functional.pad(chosen, (0, 0, 0, num_frames - len(chosen)), value=UNKNOWN)

    def _example(self, row: tuple[Any, dict[str, list[float]] | None], index: int) -> dict:
        source, pseudo_labels = row
        inputs = self.process(source, index, return_metadata=True)
        example = {
            "pixel_values_videos": inputs["pixel_values_videos"][0],
            "frame_mask": inputs["frame_mask"][0],
            "labels": self.labels[index],
            "sample_index": index,
        }
        if self._teacher_columns is not None:
            num_frames, metadata = len(example["frame_mask"]), inputs["video_metadata"][0]
            example["pseudo_labels"] = self._pseudo_labels(pseudo_labels, metadata, num_frames, index)
        if self.training:
            # torchvision draws from torch's global generator: it is borrowed here and given back as it was.
            with torch.random.fork_rng(devices=[]):
                key = f"{self.seed} {self._epoch.item()} {index}".encode()
                torch.manual_seed(int.from_bytes(hashlib.blake2b(key, digest_size=7).digest(), "big"))
                example["clip_jitter"] = torch.rand(self.num_clips)
                example["pixel_values_videos"] = self.augment(example["pixel_values_videos"])
        return example


class VideoDataset(BaseVideoDataset, Dataset):
    """
    Videos as [`RDFERTrainer`] takes them. In training every frame of a video gets the same random crop, flip and
    colour jitter, and clips are jittered. All randomness is keyed by (seed, epoch, sample): the number of workers, of
    processes and resuming change nothing.

    Args:
        videos ([`LabelledVideos`]): the videos. In those whose column `prepared` is true, no face is looked for.
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
        pseudo_labels = None if self._teacher_columns is None else self.videos.pseudo_labels[index]
        return self._example((self.videos.sources[index], pseudo_labels), index)


class ScoringVideoDataset(BaseVideoDataset, Dataset):
    """Videos as the model takes them in evaluation, with the times of their frames; or why one cannot be read."""

    def __getitem__(self, index: int) -> dict | Exception:
        try:
            inputs = self.process(self.videos.sources[index], index, return_metadata=True)
        except (ValueError, TypeError, OSError) as error:
            return error
        return {
            "pixel_values_videos": inputs["pixel_values_videos"][0],
            "frame_mask": inputs["frame_mask"][0],
            "seconds": inputs["video_metadata"][0].pts_seconds,
        }


def unreadable_videos(
    videos: LabelledVideos,
    label2id: dict[str, int],
    processor: RDFERVideoProcessor,
    args: RDFERTrainingArguments,
    description: str = "reading videos",
) -> dict[int, Exception]:
    """
    Reads every video once as training does, faces included, so that none stops it later. What opens can still have
    frames that cannot be decoded, or no face. What `training.prepare` has read is not read again.

    Args:
        videos, label2id, processor: see [`VideoDataset`].
        args ([`RDFERTrainingArguments`]): number of workers; processes share the videos.
        description (`str`): of the progress bar.

    Returns:
        Number of the video -> why it cannot be read; in each process all of them.
    """
    prepared = videos.columns.get("prepared", [False] * len(videos))
    numbers = [number for number in range(len(videos)) if not prepared[number]]
    numbers = numbers[args.process_index :: args.world_size]
    dataset = ScoringVideoDataset(videos.select(numbers), label2id, processor)
    loader = DataLoader(dataset, batch_size=None, num_workers=args.dataloader_num_workers)
    read = tqdm(loader, desc=description, unit="video", disable=args.disable_tqdm or not args.should_log)
    errors = {number: seen for number, seen in zip(numbers, read) if isinstance(seen, Exception)}
    if args.world_size > 1:
        errors = {number: error for part in gather_object([errors]) for number, error in part.items()}
    return dict(sorted(errors.items()))


__all__ = [
    "BaseVideoDataset",
    "LabelledVideos",
    "ScoringVideoDataset",
    "VideoDataset",
    "check_videos",
    "content_hash",
    "open_videos",
    "report_bad_videos",
    "unreadable_videos",
]
