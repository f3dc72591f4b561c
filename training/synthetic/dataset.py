# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes synthetic videos as a folder data set: `D/<split>/<given_label>/<sample_id>.mp4`, truth.csv, dataset.json."""

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

from modeling_rdfer.hub.card_facts import PEOPLE, DatasetCardFacts
from modeling_rdfer.hub.card_files import write_card
from modeling_rdfer.hub.dataset_card import dataset_card

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
# Raise whenever the same settings give other videos: a folder is never continued by another renderer.
RENDERER_VERSION = 2


def write_video(path, frames, fps=FPS):
    """
    Writes frames as .mp4: H.264 at crf 18, or MPEG-4 where PyAV comes without libx264.

    The file appears under its name when it is complete. One encoder thread: its output depends on their number.

    Args:
        path (`str` or `os.PathLike`): file to write; its folder is made.
        frames (`numpy.ndarray` uint8 (T, 3, H, W)): RGB; H and W even, as yuv420p needs.
        fps (`int`): frames per second.
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
        # x264's macroblock tree reads memory that was never written: rarely, the same frames gave other bytes.
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
    """
    Which videos belong to which split: consecutive ones, so that each split has all classes alike.

    Args:
        num_videos (`int`): of all splits.
        shares (sequence of 3 `float`): of train, validation and test; they add up to 1.

    Returns:
        dict of split to `range` of indices.

    Raises:
        ValueError: shares are negative or do not add up to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(
            f"splits are {list(shares)}, expected the shares of train, validation and test, adding up to 1"
        )
    bounds = [0, round(num_videos * shares[0]), round(num_videos * (shares[0] + shares[1])), num_videos]
    return {split: range(bounds[i], bounds[i + 1]) for i, split in enumerate(SPLITS)}


def plan(
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
    """
    What a data set will hold; nothing is drawn yet. Arguments: see [`write_dataset`].

    Returns:
        Everything that decides what is in the folder, a dict; and the rows of truth.csv, a `list` of dict.

    Raises:
        ValueError: an argument is out of range.
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

    # Of a matrix file that is what it says, not where it lies.
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


def write_dataset(folder, num_videos, *, workers=1, progress=True, **options):
    """
    Writes a data set, or what is missing of it, and its card.

    Args:
        folder (`str` or `os.PathLike`): new, empty, or begun with the same settings.
        num_videos (`int`): of all splits.
        workers (`int`): processes. It changes nothing but the time.
        progress (`bool`): whether to show a progress bar.
        options: of [`plan`]:
            noise, noise_type, hard, seed, noise_seed, num_frames: see [`plan_video`].
            size (`int`): height and width, pixels; even.
            splits: shares of train, validation and test.
            noisy_splits (sequence of `str`): which of "train" and "validation" get wrong labels; the test set never.

    Returns:
        `list` of dict, the rows of truth.csv.

    Raises:
        ValueError: an argument is out of range, or the folder holds something else.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    settings, rows = plan(num_videos, **options)
    folder = Path(folder)
    drawing = {"hard": settings["hard"], "num_frames": tuple(settings["num_frames"])}
    jobs = [(folder / row["path"], settings["seed"], row["index"], settings["size"], drawing) for row in rows]
    _claim(folder, settings)
    for split in SPLITS:
        for label in LABELS:
            (folder / split / label).mkdir(parents=True, exist_ok=True)
    _write_truth(folder / "truth.csv", rows)
    write_card(folder, dataset_card(card_facts(settings, rows)))

    missing = [job for job in jobs if not job[0].exists()]
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), desc="videos", disable=not progress) as bar:
        if workers == 1 or len(missing) < 2:
            for job in missing:
                _write_job(job)
                bar.update()
        else:
            # Spawned, not forked: the caller may run threads (PyTorch does).
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
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


def _claim(folder, settings):
    """Records the settings in a new folder; refuses a folder of other settings or with other things."""
    path = folder / "dataset.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(key for key in settings.keys() | found.keys() if found.get(key) != settings.get(key))
        if other:
            # The matrix is long, and noise and noise_type mostly say what differs in it.
            said = [key for key in other if key != "noise_matrix"]
            listed = [f"{key} is {found.get(key)} there and {settings.get(key)} asked for" for key in said]
            listed = "; ".join(listed) or "noise_matrix"
            raise ValueError(f"{path} was written with other settings ({listed}): choose another folder")
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and has no dataset.json: not a synthetic data set to go on with")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _write_truth(path, rows):
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TRUTH_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        # None is written as an empty cell: the key interval of a neutral video.
        writer.writerows(rows)
    os.replace(partial, path)


def card_facts(settings, rows):
    """What the card of a data set says, from its settings and the rows of its truth.csv; [`DatasetCardFacts`]."""
    share = {key: sum(row[key] for row in rows) / len(rows) for key in ("is_noisy", "is_hard")}
    noise = {"symmetric": "any other label", "asymmetric": "a label that is easily confused", "matrix": "own matrix"}
    counts = {
        split: {label: sum(row["split"] == split and row["true_label"] == label for row in rows) for label in LABELS}
        for split in SPLITS
    }
    height = settings["size"]
    return DatasetCardFacts(
        name="Synthetic facial expressions",
        license="apache-2.0",
        tags=["synthetic", "noisy-labels"],
        summary="""\
Videos of drawn faces that show seven expressions, some of them with wrong labels and some of them hard to tell. What
is true of each video is known, so methods for wrong labels can be measured. Drawn by `python -m training.synthetic`
of modeling-rdfer.""",
        use="""\
```bash
python -m training.train --train_dir train --validation_dir validation --output_dir out
python -m training.evaluate --model out --test_dir test --output_dir out/test
```""",
        counts={split: labels for split, labels in counts.items() if sum(labels.values())},
        settings={
            "videos": f"{len(rows):,}, {height} x {height} pixels, {settings['num_frames'][0]} to "
            f"{settings['num_frames'][1]} frames at {settings['fps']} per second",
            "wrong labels": f"{share['is_noisy']:.1%} of the videos, all in {', '.join(settings['noisy_splits'])}; "
            f"the wrong label is {noise[settings['noise_type']]}"
            if share["is_noisy"]
            else "none",
            "hard videos": f"{share['is_hard']:.1%}: the expression is brief, weak, blended with another, occluded or "
            "turned away; their true label is known all the same",
            "seeds": f"{settings['seed']} (videos), {settings['noise_seed']} (wrong labels)",
            "renderer": f"version {settings['renderer_version']}",
        },
        files={
            "<split>/<given label>/<sample id>.mp4": "the videos, by the label that they were given",
            "truth.csv": "for each video the true and the given label, whether it is hard, and in which frames the "
            "expression shows",
            "dataset.json": "the settings",
        },
        people=PEOPLE["synthetic"],
        limits=[
            "Whoever draws the faces decides what an expression looks like: seven fixed patterns of facial action "
            "units with random strengths.",
            "Figures on these videos compare methods. They say nothing about how well a model reads people.",
        ],
    )


def summary(rows):
    """Table of videos per split and true label, true share of wrong labels and of hard clips; text."""
    lines = [
        f"{'split':<11}{'videos':>7} " + "".join(f"{label:>9}" for label in LABELS) + f"{'flipped':>10}{'hard':>8}"
    ]
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
