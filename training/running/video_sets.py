# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The videos that a script trains or evaluates on."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers.utils import logging

from training.auditing.decisions import apply_decisions, describe
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.data.sources import SourceArguments, load_source, parse_options
from training.data.video_shards import NoSuchSplitError, VideoShards, load_shards
from training.datasets import load
from training.running.arguments import DataArguments

logger = logging.get_logger(__name__)


@dataclass
class VideoSets:
    """
    The videos of a training.

    Attributes:
        train_videos ([`LabelledVideos`] or [`VideoShards`]): to train on.
        eval_videos (the same, *optional*): whose metrics are reported.
        selection_videos (the same, *optional*): which select the epoch whose model is kept, where that is neither the
            last one nor selected on `eval_videos`.
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


def load_videos(
    folder: str | None, file: str | None, dataset: str | None, splits: Sequence[str | None]
) -> LabelledVideos | None:
    """
    The videos of the one source that is given, None if none is: all of a folder; of a list with splits, and of a
    dataset, the first of `splits` that it has.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or it has no such split, naming those it has.
    """
    if folder:
        source, found = folder, load("videofolder", folder)
    elif file:
        source, found = file, load("videolist", file)
    elif dataset and any(splits):
        source, found = dataset, load("hub", dataset)
    else:
        return None
    if not dataset and len(found) == 1:
        # Without splits it is what it is given for.
        return LabelledVideos.from_dataset(next(iter(found.values())), splits[0])
    split = next((split for split in splits if split in found), None)
    if split is None:
        raise ValueError(f"{source} has none of the splits {[name for name in splits if name]}; it has {list(found)}.")
    return LabelledVideos.from_dataset(found[split], split)


def load_split(
    source: SourceArguments, folder: str | None, file: str | None, dataset: str | None, splits: Sequence[str]
) -> LabelledVideos | None:
    """
    The videos of the first of `splits` that --dataset has, or else those that [`load_videos`] finds.

    Raises:
        ValueError, FileNotFoundError: see there and [`load_source`]; or the dataset has no such split.
    """
    if not source.dataset:
        return load_videos(folder, file, dataset, splits)
    found = load_source(source)
    split = next((split for split in splits if split in found), None)
    if split is None:
        raise ValueError(f"{source.root} has none of the splits {list(splits)}; it has {list(found)}.")
    return found[split]


def load_streams(data: DataArguments) -> tuple[VideoShards, VideoShards | None]:
    """
    The shards to train on and those to report, if there are any.

    Raises:
        ValueError, FileNotFoundError: see [`load_shards`]; or what cannot be streamed is asked for.
    """
    if data.dataset != "hub" or not data.root or data.model_selection == "held_out":
        raise ValueError(
            "--streaming needs --dataset hub with --root, and nothing can be held out of a stream: --model_selection "
            "last or best_on_test."
        )
    config = parse_options("hub", data.dataset_options).get("config")
    config = f"fold_{data.fold}" if data.fold is not None else config
    train_videos = load_shards(data.root, "train", config)
    for split in ("test", "validation"):
        try:
            return train_videos, load_shards(data.root, split, config)
        except NoSuchSplitError as error:
            logger.warning(str(error))
    return train_videos, None


def load_video_sets(data: DataArguments, seed: int) -> VideoSets:
    """
    Loads the videos of a training.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or nothing is given to train on.
    """
    selection_videos = None
    others = ("train_dir", "validation_dir", "train_list", "validation_list", "dataset_name", "validation_split")
    if data.dataset and (given := [f"--{name}" for name in others if getattr(data, name)]):
        raise ValueError(f"--dataset {data.dataset} is a source by itself; {', '.join(given)} cannot be beside it.")
    if data.streaming and data.decisions:
        raise ValueError("--decisions needs all videos at hand: leave --streaming out.")
    elsewhere = set()
    if data.streaming:
        train_videos, eval_videos = load_streams(data)
    elif data.dataset:
        splits = load_source(data)
        train_videos = splits.get("train")
        eval_videos = splits.get("test", splits.get("validation"))
        selection_videos = splits.get("validation") if "test" in splits else None
        if train_videos is None:
            raise ValueError(f"{data.root} has no split for training, only {list(splits)}.")
        elsewhere = {name for split, videos in splits.items() if split != "train" for name in videos.sample_ids}
    else:
        train_videos = load_videos(data.train_dir, data.train_list, data.dataset_name, [data.train_split])
        validation = [data.validation_split] if data.dataset_name else ["validation", "test"]
        eval_videos = load_videos(data.validation_dir, data.validation_list, data.dataset_name, validation)
        if train_videos is None:
            raise ValueError("Nothing to train on: pass --dataset, --train_dir, --train_list or --dataset_name.")
    if data.decisions:
        train_videos, data.decision_counts = apply_decisions(train_videos, data.decisions, elsewhere)
        print(f"Decisions of {data.decisions}: {describe(data.decision_counts)}.")
    if data.model_selection == "last":
        return VideoSets(train_videos, eval_videos)
    if eval_videos is None:
        raise ValueError(f"--model_selection {data.model_selection} needs videos to report: a test or validation set.")
    if data.model_selection == "best_on_test":
        return VideoSets(train_videos, eval_videos)
    if selection_videos is None:
        train_videos, selection_videos = train_videos.hold_out(data.held_out_share, seed)
    return VideoSets(train_videos, eval_videos, selection_videos)


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
    """
    The videos under the model's names of their labels; and, of those that are left out since the model has not their
    label, how many there are of each.

    Raises:
        ValueError: the model has not all labels, with `on_unknown_label="error"`, or none of them.
    """
    occurring = [label for label in videos.label_names if label in set(videos.labels)]
    try:
        names = map_labels(occurring, list(label2id), leave_out=on_unknown_label == "skip")
    except ValueError as error:
        advice = " --on_unknown_label skip leaves their videos out." if on_unknown_label == "error" else ""
        raise ValueError(f"{error}{advice}") from error
    left_out = Counter(label for label in videos.labels if label not in names)
    if left_out:
        print(f"Left out, labels that the model has not: {dict(left_out)}.")
    return videos.rename_labels(names), left_out


def load_evaluation_videos(
    parser: argparse.ArgumentParser, source: SourceArguments, arguments: argparse.Namespace, label2id: dict[str, int]
) -> tuple[LabelledVideos, Counter]:
    """
    The videos that the arguments of [`evaluation_parser`] name, under a model's names of their labels, and how many
    were left out by label since the model has no such label. What does not fit ends the program with a message.
    """
    try:
        wanted = [arguments.split] if arguments.split else ["test", "validation"]
        if not any((source.dataset, arguments.test_dir, arguments.test_list, arguments.dataset_name)):
            parser.error("nothing to evaluate on: pass --dataset, --test_dir, --test_list or --dataset_name")
        videos = load_split(source, arguments.test_dir, arguments.test_list, arguments.dataset_name, wanted)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    try:
        videos, left_out = map_videos(videos, label2id, arguments.on_unknown_label)
        return check_videos(videos, arguments.on_bad_video), left_out
    except (ValueError, OSError) as error:
        parser.error(str(error))


__all__ = ["load_evaluation_videos", "load_split", "load_video_sets", "map_videos", "warn_of_overlap"]
