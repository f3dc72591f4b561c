# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Checks a dataset before training: its lists against its files, its counts against the published ones, and whether every
video can be decoded. Exit status 1 if training would fail.
"""

import argparse
import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.data.sources import SourceArguments, parse_options
from training.datasets import DATASETS, dataset_options, load
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.check_data --dataset dfew --root D              all folds
  python -m training.check_data --dataset crema_d --root D --fold 1 --dataset_options label_source=face_vote
  python -m training.check_data --dataset videofolder --root D --min_frames 16
  python -m training.check_data --dataset videolist --root labels.csv
"""


def published_counts(name: str, chosen: dict, fold: int | None) -> dict[str, int | list[int]]:
    """
    The published numbers of videos of each split of a dataset: of each label, or in all. Empty if they are not known,
    or if the options chosen make it another dataset than the one that was counted.
    """
    known = getattr(importlib.import_module(DATASETS[name]), "PUBLISHED", {})
    only_reading = {"fold", "on_missing", "lists", "captions", "modality"}
    return {} if set(chosen) - only_reading else known.get(fold, {})


def describe_split(split: str, videos: LabelledVideos, published: int | list[int] | None) -> tuple[list[str], bool]:
    """Lines with the numbers of a split's videos, the published ones in brackets; and whether they are the same."""
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
    """Decodes evenly spaced frames of a video as training does. Returns how many it has, or why it cannot be read."""
    try:
        with open_video(source) as video:
            indices = np.linspace(0, len(video) - 1, min(num_frames, len(video))).round().astype(int)
            video.get_frames(indices.tolist(), size=(16, 16))
            return len(video)
    except (VideoReadError, OSError) as error:
        return error


def read_videos(videos: dict, num_frames: int, workers: int) -> dict[str, int | Exception]:
    """[`read_video`] of each of the sources by id, a few at a time."""
    with ThreadPoolExecutor(workers) as pool:
        looks = pool.map(lambda source: read_video(source, num_frames), videos.values())
        return dict(zip(videos, tqdm(looks, total=len(videos), desc="decoding", unit="video")))


def describe_reading(looks: dict[str, int | Exception], min_frames: int) -> list[str]:
    """Lines on what cannot be read, grouped by the reason, what is short, and how long the videos are."""
    lines, reasons = [], {}
    for name, seen in looks.items():
        if isinstance(seen, Exception):
            reason = seen.args[1] if isinstance(seen, VideoReadError) else str(seen)
            # What stands in brackets differs from file to file.
            reasons.setdefault(reason.split(" (")[0], []).append(name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines.append(f"  cannot be read: {len(names):,}, {reason}: {first_few(names)}")
    lengths = {name: seen for name, seen in looks.items() if not isinstance(seen, Exception)}
    short = sorted((name for name, length in lengths.items() if length < min_frames), key=lengths.get)
    if short:
        names = first_few(f"{name} ({lengths[name]})" for name in short)
        lines.append(f"  short: {len(short):,} have fewer than {min_frames} frames (they are padded): {names}")
    if lengths:
        least, middle, most = np.percentile(list(lengths.values()), [0, 50, 100]).astype(int)
        lines.append(f"  frames of a video: {least:,} to {most:,}, median {middle:,}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Returns 0 if training would run, 1 if it would fail."""
    parser = ScriptParser(
        SourceArguments,
        prog="python -m training.check_data",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--min_frames", type=int, default=16, help="videos with fewer are listed (default: 16)")
    parser.add_argument(
        "--num_frames", type=int, default=64, help="frames to decode of each video, evenly spaced (default: 64)"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="videos at a time (default: as many as CPUs)"
    )
    source, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    if not source.dataset or not source.root:
        parser.error("pass --dataset and --root")
    try:
        chosen = parse_options(source.dataset, source.dataset_options)
    except ValueError as error:
        parser.error(str(error))
    folds = [source.fold] if source.fold is not None else dataset_options(source.dataset).get("fold") or [None]

    print(f"{source.dataset} in {source.root}")
    problems, differences, videos = [], [], {}
    for fold in folds:
        given = chosen if fold is None else {**chosen, "fold": fold}
        name = f"fold {fold}" if fold is not None else "splits"
        try:
            splits = load(source.dataset, source.root, **given)
        except (ValueError, FileNotFoundError) as error:
            problems.append(f"{name}: {error}")
            try:
                splits = load(source.dataset, source.root, **{**given, "on_missing": "skip"})
            except (ValueError, FileNotFoundError):  # something else is wrong
                continue
        print(f"{name}:")
        if "train" not in splits:
            problems.append(f"{name}: there is no split train, only {list(splits)}.")
        published = published_counts(source.dataset, chosen, fold)
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
    if videos:
        looks = read_videos(videos, arguments.num_frames, arguments.workers)
        print(f"{len(looks):,} videos:")
        print("\n".join(describe_reading(looks, arguments.min_frames)))
        bad = sum(isinstance(seen, Exception) for seen in looks.values())
        if bad:
            problems.append(f"{bad:,} of {len(looks):,} videos cannot be read; --on_bad_video skip leaves them out.")
    if differences:
        print(f"warning: other numbers of videos than published: {first_few(differences)}")
    for problem in problems:
        print(f"training would fail: {problem}")
    if not problems:
        print("training would run")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
