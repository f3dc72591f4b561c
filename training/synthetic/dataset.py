# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes synthetic videos in folders: `D/<split>/<given_label>/<sample_id>.mp4`, truth.csv, dataset.json, a card."""

import concurrent.futures
import csv
import json
import math
import multiprocessing
import os
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from modeling_rdfer.hub.card_files import write_card
from modeling_rdfer.hub.dataset_card import dataset_card

from .card import card_facts
from .labels import LABELS, noise_matrix
from .videos import FPS, make_truths, plan_video

SPLITS = ("train", "validation", "test")
TRUTH_COLUMNS = (
    "sample_id",
    "split",
    "path",
    "true_label",
    "given_label",
    "is_noisy",
    "is_hard",
    "second_label",
    "key_start",
    "key_end",
    "num_frames",
)
# Raise it when the same settings give other videos, so that no folder has videos of two renderers.
RENDERER_VERSION = 2


def write_video(path, frames, fps=FPS):
    """Writes frames as an MP4 file: H.264 at crf 18, or MPEG-4 if PyAV has no libx264.

    The file gets its name when it is complete. There is one encoder thread because the output depends on their number.

    Args:
        path (`str` or `os.PathLike`): file to write; its folder is made.
        frames (`numpy.ndarray` uint8 (T, 3, H, W)): RGB frames; H and W even, as yuv420p needs.
        fps (`int`, *optional*, defaults to 25): frames per second.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    codec = video_codec()
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = frames.shape[2:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        # The macroblock tree is off: x264 reads uninitialised memory there, so that, rarely, the same frames gave
        # other bytes.
        x264 = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
        stream.options = x264 if codec == "libx264" else {"qscale": "2"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.transpose(1, 2, 0)), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    os.replace(partial, path)


def video_codec():
    """Name of the encoder that [`write_video`] uses."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def split_ranges(num_videos, shares):
    """Divides videos among the splits. A split has consecutive videos, so the classes are balanced in each.

    Args:
        num_videos (`int`): number of all videos.
        shares (sequence of 3 `float`): shares of train, validation and test, which add up to 1.

    Returns:
        `dict[str, range]`: numbers of the videos by split.

    Raises:
        ValueError: if a share is negative or they do not add up to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(
            f"splits are {list(shares)}, expected the shares of train, validation and test, adding up to 1"
        )
    bounds = [0, round(num_videos * shares[0]), round(num_videos * (shares[0] + shares[1])), num_videos]
    return {split: range(bounds[i], bounds[i + 1]) for i, split in enumerate(SPLITS)}


def plan_dataset(
    num_videos,
    *,
    noise=None,
    noise_type="symmetric",
    hard=0.3,
    size=112,
    seed=0,
    noise_seed=None,
    splits=(0.7, 0.1, 0.2),
    noisy_splits=("train",),
    num_frames=(24, 96),
):
    """Plans a dataset without drawing it.

    Args:
        num_videos (`int`): number of videos in all splits.
        noise, noise_type, hard, size, seed, noise_seed, splits, noisy_splits, num_frames: see [`write_dataset`].

    Returns:
        `tuple[dict, list[dict]]`: all settings that decide what is in the folder; and the rows of truth.csv.

    Raises:
        ValueError: if an argument is out of range.
    """
    if size < 16 or size % 2:
        raise ValueError(f"size is {size}, expected an even number of pixels, at least 16")
    if num_videos < 1:
        raise ValueError(f"videos is {num_videos}, expected at least 1")
    unknown = set(noisy_splits) - {"train", "validation"}
    if unknown:
        raise ValueError(
            f"noisy_splits has {sorted(unknown)}, expected train, validation or both; the test set is clean"
        )
    matrix = noise_matrix(noise, noise_type)
    rows = []
    for split, indices in split_ranges(num_videos, splits).items():
        labels = {"noise_type": matrix if split in noisy_splits else np.eye(len(LABELS)), "noise_seed": noise_seed}
        options = {"hard": hard, "num_frames": tuple(num_frames)}
        for truth in make_truths(len(indices), seed, start=indices.start, **labels, **options):
            path = f"{split}/{truth.given_label}/{truth.sample_id}.mp4"
            rows.append(asdict(truth) | {"split": split, "path": path})

    # Of a matrix file the settings keep the content, not the path.
    named = str(noise_type) in ("symmetric", "asymmetric")
    settings = {
        "renderer_version": RENDERER_VERSION,
        "synthetic": True,
        "videos": num_videos,
        "seed": seed,
        "noise_seed": seed if noise_seed is None else noise_seed,
        "noise": (noise or 0.0) if named else None,
        "noise_type": str(noise_type) if named else "matrix",
        "noise_matrix": {label: dict(zip(LABELS, row)) for label, row in zip(LABELS, matrix.round(9).tolist())},
        "noisy_splits": sorted(noisy_splits),
        "hard": hard,
        "size": size,
        "splits": [float(share) for share in splits],
        "num_frames": list(num_frames),
        "fps": FPS,
        "codec": video_codec(),
    }
    return settings, rows


def write_dataset(folder, num_videos, *, num_workers=1, progress=True, **options):
    """Writes a dataset and its card, or what is missing of it.

    Args:
        folder (`str` or `os.PathLike`): folder that is new, empty, or begun with the same settings.
        num_videos (`int`): number of videos in all splits.
        num_workers (`int`, *optional*, defaults to 1): number of processes. The files do not depend on it.
        progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.
        noise, noise_type, hard, seed, noise_seed, num_frames: see [`~training.synthetic.videos.plan_video`].
        size (`int`, *optional*, defaults to 112): height and width in pixels, even, at least 16.
        splits (sequence of 3 `float`, *optional*, defaults to `(0.7, 0.1, 0.2)`): shares of train, validation, test.
        noisy_splits (sequence of `str`, *optional*, defaults to `("train",)`): which of `"train"` and `"validation"`
            get wrong labels. The test set has none.

    Returns:
        `list[dict]`: the rows of truth.csv.

    Raises:
        ValueError: if an argument is out of range, or the folder has other settings or other files.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers is {num_workers}, expected at least 1")
    settings, rows = plan_dataset(num_videos, **options)
    folder = Path(folder)
    drawing = {"hard": settings["hard"], "num_frames": tuple(settings["num_frames"])}
    jobs = [(folder / row["path"], settings["seed"], row["index"], settings["size"], drawing) for row in rows]
    _begin_or_continue(folder, settings)
    for split in SPLITS:
        for label in LABELS:
            (folder / split / label).mkdir(parents=True, exist_ok=True)
    _write_truth(folder / "truth.csv", rows)
    write_card(folder, dataset_card(card_facts(settings, rows)))

    missing = [job for job in jobs if not job[0].exists()]
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), desc="videos", disable=not progress) as bar:
        if num_workers == 1 or len(missing) < 2:
            for job in missing:
                _write_job(job)
                bar.update()
        else:
            # Spawned, not forked: the caller may run threads (PyTorch does).
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(num_workers, mp_context=context) as pool:
                futures = [pool.submit(_write_job, job) for job in missing]
                try:
                    for future in concurrent.futures.as_completed(futures):
                        future.result()
                        bar.update()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    return rows


def _write_job(job):
    path, seed, index, size, options = job
    write_video(path, plan_video(seed, index, **options).render(size))


def _begin_or_continue(folder, settings):
    """Writes the settings into a new folder; raises ValueError for a folder with other settings or other files."""
    path = folder / "dataset.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(key for key in settings.keys() | found.keys() if found.get(key) != settings.get(key))
        if other:
            # The matrix is long, and noise and noise_type usually tell how it differs.
            said = [key for key in other if key != "noise_matrix"]
            listed = [f"{key} is {found.get(key)} there and {settings.get(key)} asked for" for key in said]
            listed = "; ".join(listed) or "noise_matrix"
            raise ValueError(f"{path} was written with other settings ({listed}): choose another folder")
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and has no dataset.json: it cannot be continued")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _write_truth(path, rows):
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TRUTH_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        # The key interval of a neutral video is None, an empty cell.
        writer.writerows(rows)
    os.replace(partial, path)


def format_counts(rows):
    """A table as text: videos of each split and true label, and the shares of wrong labels and of hard videos."""
    lines = [f"{'split':<11}{'videos':>7} " + "".join(f"{label:>9}" for label in LABELS) + f"{'noisy':>10}{'hard':>8}"]
    for split in (*SPLITS, "all"):
        part = [row for row in rows if split in (row["split"], "all")]
        counts = [sum(row["true_label"] == label for row in part) for label in LABELS]
        shares = [sum(row[key] for row in part) / max(len(part), 1) for key in ("is_noisy", "is_hard")]
        lines.append(
            f"{split:<11}{len(part):>7} "
            + "".join(f"{count:>9}" for count in counts)
            + f"{shares[0]:>10.1%}{shares[1]:>8.1%}"
        )
    return "\n".join(lines)
