# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Checks a dataset before training: its lists against its files, its numbers of videos against the published ones, and
whether every video can be decoded. Exits with status 1 if training would fail.
"""

import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from training.data.dataset_argument import SourceArguments, VideoSource, find_source, load_splits, parse_options
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.datasets import DATASETS, dataset_options
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.check_data --dataset dfew --root D              all folds
  python -m training.check_data --dataset crema_d --root D --fold 1 --dataset-options label_source=face_vote
  python -m training.check_data --dataset D --min-frames 16
  python -m training.check_data --dataset labels.csv
"""


def published_counts(name: str, chosen: dict, fold: int | None) -> dict[str, int | list[int]]:
    """The published numbers of videos by split: a list with a number for each label, or one number for all. Empty if
    they are not known, or if the chosen options change which videos the dataset has.

    Args:
        name (`str`): loader of the dataset.
        chosen (`dict`): options of the loader.
        fold (`int`, *optional*): fold.
    """
    known = getattr(importlib.import_module(DATASETS[name]), "PUBLISHED", {})
    only_reading = {"fold", "on_missing", "lists", "captions", "modality"}
    return {} if set(chosen) - only_reading else known.get(fold, {})


def describe_split(split: str, videos: LabelledVideos, published: int | list[int] | None) -> tuple[list[str], bool]:
    """Lines with the numbers of a split's videos and, in brackets, the published ones; and whether they agree."""
    counts = Counter(videos.labels)
    numbers = published if isinstance(published, list) else [None] * len(videos.label_names)
    total = sum(published) if isinstance(published, list) else published

    def line(name: str, count: int, expected: int | None) -> str:
        text = f"    {name:<16}{count:>7,}"
        if expected is None:
            return text
        return text + f"  (published {expected:,}{'' if count == expected else f', {count - expected:+,}'})"

    lines = [line(split, len(videos), total).replace("    ", "  ", 1)]
    lines += [line(name, counts[name], number) for name, number in zip(videos.label_names, numbers)]
    same = total in (None, len(videos)) and all(n in (None, counts[x]) for x, n in zip(videos.label_names, numbers))
    return lines, same


def read_video(source, num_frames: int) -> int | Exception:
    """Decodes evenly spaced frames of a video. Returns its number of frames, or the error."""
    try:
        with open_video(source) as video:
            indices = np.linspace(0, len(video) - 1, min(num_frames, len(video))).round().astype(int)
            video.get_frames(indices.tolist(), size=(16, 16))
            return len(video)
    except (VideoReadError, OSError) as error:
        return error


def read_videos(videos: dict, num_frames: int, num_workers: int) -> dict[str, int | Exception]:
    """Runs [`read_video`] on each source, by sample id, in threads."""
    with ThreadPoolExecutor(num_workers) as pool:
        results = pool.map(lambda source: read_video(source, num_frames), videos.values())
        return dict(zip(videos, tqdm(results, total=len(videos), desc="decoding", unit="video")))


def describe_reading(results: dict[str, int | Exception], min_frames: int) -> list[str]:
    """Lines on unreadable videos, grouped by reason, on short videos, and on the videos' numbers of frames."""
    lines, reasons = [], {}
    for name, result in results.items():
        if isinstance(result, Exception):
            reason = result.args[1] if isinstance(result, VideoReadError) else str(result)
            # The part in brackets differs from file to file.
            reasons.setdefault(reason.split(" (")[0], []).append(name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines.append(f"  cannot be read: {len(names):,}, {reason}: {first_few(names)}")
    lengths = {name: result for name, result in results.items() if not isinstance(result, Exception)}
    short = sorted((name for name, length in lengths.items() if length < min_frames), key=lengths.get)
    if short and max(lengths.values()) > 1:  # still images are meant to be short
        names = first_few(f"{name} ({lengths[name]})" for name in short)
        lines.append(f"  short: {len(short):,} have fewer than {min_frames} frames (they are padded): {names}")
    if lengths:
        least, middle, most = np.percentile(list(lengths.values()), [0, 50, 100]).astype(int)
        lines.append(f"  frames of a video: {least:,} to {most:,}, median {middle:,}")
    return lines


def check_splits(
    source: VideoSource, chosen: dict, fold: int | None, problems: list[str], differences: list[str]
) -> dict:
    """Checks lists, files and numbers of videos of a fold and prints the numbers.

    Args:
        source ([`VideoSource`]): the dataset.
        chosen (`dict`): options of its loader.
        fold (`int`, *optional*): the fold; without it the dataset is loaded with its default splits.
        problems (`list[str]`): problems that would make training fail are appended.
        differences (`list[str]`): splits whose numbers of videos are not the published ones are appended.

    Returns:
        `dict`: source of each video, by sample id.
    """
    options = chosen if fold is None else {**chosen, "fold": fold}
    name = f"fold {fold}" if fold is not None else "splits"
    try:
        splits = load_splits(source, options)
    except (ValueError, FileNotFoundError) as error:
        problems.append(f"{name}: {error}")
        try:
            splits = load_splits(source, {**options, "on_missing": "skip"})
        except (ValueError, FileNotFoundError):  # the error has another reason
            return {}
    print(f"{name}:")
    if "train" not in splits:
        problems.append(f"{name}: there is no split train, only {list(splits)}.")
    published, videos = published_counts(source.loader, chosen, fold), {}
    for split, dataset in splits.items():
        try:
            part = LabelledVideos.from_dataset(dataset, split)
            map_labels(part.label_names, part.label_names)
        except ValueError as error:
            problems.append(f"{name}, {split}: {error}")
            continue
        lines, same = describe_split(split, part, published.get(split))
        print("\n".join(lines))
        if not same:
            differences.append(f"{name}, {split}")
        if split == "train" and (without := [label for label in part.label_names if label not in part.labels]):
            print(f"    warning: no training video has the labels {without}")
        videos.update(zip(part.sample_ids, part.sources))
    return videos


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Returns 0 if training would run, 1 if it would fail."""
    parser = ScriptParser("check_data", __doc__, EXAMPLES, SourceArguments)
    parser.add_argument("--min-frames", type=int, default=16, help="videos with fewer frames are listed")
    parser.add_argument("--num-frames", type=int, default=64, help="evenly spaced frames to decode of each video")
    parser.add_argument(
        "--num-workers", type=int, default=os.cpu_count(), help="videos at a time (default: the number of CPUs)"
    )
    source_arguments, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    if not source_arguments.dataset:
        parser.error("pass --dataset")
    try:
        source = find_source(source_arguments.dataset, source_arguments.root)
        chosen = parse_options(source.loader, source_arguments.dataset_options)
    except ValueError as error:
        parser.error(str(error))
    fold = source_arguments.fold
    folds = [fold] if fold is not None else dataset_options(source.loader).get("fold") or [None]

    print(source)
    problems, differences, videos = [], [], {}
    for fold in folds:
        videos |= check_splits(source, chosen, fold, problems, differences)
    if videos:
        results = read_videos(videos, arguments.num_frames, arguments.num_workers)
        print(f"{len(results):,} videos:")
        print("\n".join(describe_reading(results, arguments.min_frames)))
        bad = sum(isinstance(result, Exception) for result in results.values())
        if bad:
            problems.append(
                f"{bad:,} of {len(results):,} videos cannot be read; --on-bad-video skip leaves them out,"
                " --on-damage use_readable takes the frames of damaged ones that can be decoded."
            )
    if differences:
        print(f"warning: the numbers of videos differ from the published ones: {first_few(differences)}")
    for problem in problems:
        print(f"training would fail: {problem}")
    if not problems:
        print("training would run")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
