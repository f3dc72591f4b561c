# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The videos that a script trains or evaluates on."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers.utils import logging

from training.auditing.decisions import apply_decisions, describe
from training.data.checks import check_videos
from training.data.dataset_argument import (
    SourceArguments,
    VideoSource,
    find_source,
    load_source,
    load_videos,
    parse_options,
)
from training.data.known_labels import apply_trusted_labels, read_truth
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.data.video_shards import NoSuchSplitError, VideoShards, load_shards
from training.datasets.loader_tools import SPLIT_NAMES
from training.running.arguments import DataArguments

logger = logging.get_logger(__name__)


@dataclass
class VideoSets:
    """The videos of a training.

    Attributes:
        train_videos ([`LabelledVideos`] or [`VideoShards`]): to train on.
        eval_videos (the same, *optional*): whose metrics are reported.
        selection_videos (the same, *optional*): that select the epoch whose model is kept. Without them it is the last
            epoch, or one selected on `eval_videos`.
    """

    train_videos: LabelledVideos | VideoShards
    eval_videos: LabelledVideos | VideoShards | None = None
    selection_videos: LabelledVideos | None = None

    def map(self, function: Callable) -> "VideoSets":
        """Applies `function(videos, name)` to each set; the name is for messages."""
        names = {"train_videos": "training", "selection_videos": "held-out", "eval_videos": "evaluation"}
        sets = {key: (getattr(self, key), name) for key, name in names.items()}
        return VideoSets(
            **{k: None if videos is None else function(videos, name) for k, (videos, name) in sets.items()}
        )


def load_video_sets(data: DataArguments, seed: int) -> VideoSets:
    """Loads the videos of a training.

    Args:
        data ([`DataArguments`]): which videos.
        seed (`int`): seed of the draw of held-out videos.

    Returns:
        [`VideoSets`]: the videos.

    Raises:
        ValueError, FileNotFoundError: if the arguments do not fit each other or the data; see also [`load_videos`].
    """
    if not data.dataset:
        raise ValueError("There is nothing to train on: pass --dataset.")
    if data.streaming:
        return _load_streams(data)
    source = find_source(data.dataset, data.root)
    splits = load_source(data)
    train_videos = _take_split(splits, source, [data.split])
    if data.eval_dataset:
        eval_source = find_source(data.eval_dataset, data.eval_root, "--eval-dataset")
        eval_splits = load_videos(eval_source, {}, "--eval-dataset")
        wanted = [data.eval_split] if data.eval_split else ["validation", "test"]
        eval_videos = _take_split(eval_splits, eval_source, wanted)
    elif data.eval_split:
        if data.eval_split not in splits:
            raise ValueError(f"--eval-split: {source} has no split {data.eval_split!r}; it has {list(splits)}.")
        eval_videos = splits[data.eval_split]
    else:
        eval_videos = splits.get("test", splits.get("validation"))
    if data.decisions:
        others = {name for split, videos in splits.items() if split != data.split for name in videos.sample_ids}
        train_videos, data.decision_counts = apply_decisions(train_videos, data.decisions, others)
        print(f"Decisions of {data.decisions}: {describe(data.decision_counts)}.")
    if data.trusted_list:
        file = Path(data.trusted_list)
        labels, _ = read_truth(train_videos, file, "label")
        train_videos = apply_trusted_labels(train_videos, labels, file)
        print(f"Trusted labels of {file}: {len(labels) - labels.count(None)} of {len(labels)} training videos.")
    if data.model_selection != "last" and eval_videos is None:
        raise ValueError(
            f"--model-selection {data.model_selection} needs videos to evaluate on: a split test or validation, or "
            "--eval-dataset."
        )
    if data.model_selection != "held_out":
        return VideoSets(train_videos, eval_videos)
    selection_videos = splits.get("validation")
    if selection_videos is None or selection_videos is eval_videos:
        train_videos, selection_videos = train_videos.hold_out(data.held_out_share, seed)
    return VideoSets(train_videos, eval_videos, selection_videos)


def _load_streams(data: DataArguments) -> VideoSets:
    """The shards to train and to evaluate on. Raises ValueError for arguments that cannot be streamed."""
    refused = (data.decisions, data.trusted_list, data.eval_dataset)
    if any(refused) or data.model_selection == "held_out" or data.on_damage != "error":
        raise ValueError(
            "--streaming reads training and evaluation videos of --dataset during training: --decisions, "
            "--trusted-list, --eval-dataset, --model-selection held_out and --on-damage cannot be used with it."
        )
    source = find_source(data.dataset, data.root)
    if source.loader != "hub":
        raise ValueError(
            f"--streaming reads Parquet shards: --dataset must be a folder of training.prepare, a Hub id or a URL; "
            f"got {source}."
        )
    config = parse_options("hub", data.dataset_options).get("config")
    config = f"fold_{data.fold}" if data.fold is not None else config
    train_videos = load_shards(source.location, data.split, config)
    for split in [data.eval_split] if data.eval_split else ["test", "validation"]:
        try:
            return VideoSets(train_videos, load_shards(source.location, split, config))
        except NoSuchSplitError as error:
            logger.warning(str(error))
    return VideoSets(train_videos)


def load_split(arguments: SourceArguments, splits: Sequence[str]) -> LabelledVideos:
    """Loads the videos of the first of `splits` that --dataset has. A folder or list without splits is taken as a
    whole.

    Raises:
        ValueError, FileNotFoundError: if there is no such split, or no --dataset; see also [`load_videos`].
    """
    if not arguments.dataset:
        raise ValueError("There are no videos: pass --dataset.")
    return _take_split(load_source(arguments), find_source(arguments.dataset, arguments.root), splits)


def _take_split(found: dict[str, LabelledVideos], source: VideoSource, splits: Sequence[str]) -> LabelledVideos:
    for split in splits:
        if split in found:
            return found[split]
    if source.has_splits or len(found) != 1:
        raise ValueError(f"{source} has none of the splits {list(splits)}; it has {list(found)}.")
    # The split that the folder's name means, as in D/test, or else the one that was asked for first.
    split = SPLIT_NAMES.get(Path(source.location).name.lower(), splits[0])
    videos = next(iter(found.values()))
    return replace(videos, columns={**videos.columns, "split": [split] * len(videos)})


def warn_of_overlap(train_videos: LabelledVideos, eval_videos: LabelledVideos):
    """Warns of videos and people that are both in the training set and among what is reported."""
    hashes = set(train_videos.columns.get("content_hash", ())) - {None}
    same = [
        name
        for name, value in zip(eval_videos.sample_ids, eval_videos.columns.get("content_hash", ()))
        if value in hashes
    ]
    if same:
        logger.warning(
            f"{len(same)} videos of the reported set are also in the training set (same content): {first_few(same)}."
        )
    if training_people := set(getattr(train_videos, "persons", None) or ()):
        people = sorted(training_people & set(eval_videos.persons or ()), key=str)
        if people:
            logger.warning(
                f"{len(people)} people are in the training set and in the reported set: {first_few(people)}."
            )


def map_videos(
    videos: LabelledVideos, label2id: dict[str, int], on_unknown_label: str
) -> tuple[LabelledVideos, Counter]:
    """Renames the labels of videos to the model's.

    Args:
        videos ([`LabelledVideos`]): the videos.
        label2id (`dict[str, int]`): labels of the model.
        on_unknown_label (`"error"` or `"skip"`): what to do with videos whose label the model does not have.

    Returns:
        `tuple[LabelledVideos, Counter]`: the videos whose label the model has; and for each other label, the number of
        videos that were left out.

    Raises:
        ValueError: if the model lacks a label and `on_unknown_label="error"`, or if it has none of the labels.
    """
    occurring = [label for label in videos.label_names if label in set(videos.labels)]
    try:
        names = map_labels(occurring, list(label2id), leave_out=on_unknown_label == "skip")
    except ValueError as error:
        advice = " --on-unknown-label skip leaves their videos out." if on_unknown_label == "error" else ""
        raise ValueError(f"{error}{advice}") from error
    left_out = Counter(label for label in videos.labels if label not in names)
    if left_out:
        print(f"Left out, labels that the model does not have: {dict(left_out)}.")
    return videos.rename_labels(names), left_out


def load_evaluation_videos(
    parser: argparse.ArgumentParser, source: SourceArguments, arguments: argparse.Namespace, label2id: dict[str, int]
) -> tuple[LabelledVideos, Counter]:
    """Loads and checks the videos that the arguments of [`evaluation_parser`] name. Wrong arguments and bad videos end
    the program with a message.

    Args:
        parser, source, arguments: the parser and what it has parsed.
        label2id (`dict[str, int]`): labels of the model.

    Returns:
        `tuple[LabelledVideos, Counter]`: the videos, with the model's names of their labels; and for each label that
        the model does not have, the number of videos that were left out.
    """
    try:
        videos = load_split(source, [arguments.split] if arguments.split else ["test", "validation"])
        videos, left_out = map_videos(videos, label2id, arguments.on_unknown_label)
        return check_videos(videos, arguments.on_bad_video, arguments.on_damage), left_out
    except (ValueError, OSError) as error:
        parser.error(str(error))


__all__ = ["VideoSets", "load_evaluation_videos", "load_split", "load_video_sets", "map_videos", "warn_of_overlap"]
