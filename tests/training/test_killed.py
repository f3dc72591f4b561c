# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""kill -9 at random moments: nothing is lost, doubled, or half written under its name."""

import json
import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.helpers.prepared_sets import SETTINGS
from tests.helpers.training_options import FAST, TINY
from training import audit, prepare, train
from training.running.resume import missing_files

pytestmark = pytest.mark.slow
NUM_KILLS = 20
TRAINING = ["--num-train-epochs", "2", "--per-device-train-batch-size", "4", "--learning-rate", "3e-3", *TINY, *FAST]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """16 videos of two labels as folders of frames; the label is the colour."""
    root, generator = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for video in range(16):
        label = ("happy", "sad")[video % 2]
        folder = root / label / f"{video:02d}"
        folder.mkdir(parents=True)
        for number in range(6):
            frame = generator.integers(0, 120, (32, 32, 3))
            frame[..., 2 * (video % 2)] += 100
            Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def trained(out: Path, root: Path, frames_root: Path) -> list[str]:
    options = ["--dataset", str(root), "--output-dir", str(out), "--save-strategy", "steps", "--save-steps", "1"]
    return [*options, "--resume-from-checkpoint", "true", *TRAINING]


def prepared(out: Path, root: Path, frames_root: Path) -> list[str]:
    options = ["--dataset", "crema_d", "--root", str(frames_root), "--output-dir", str(out), "--num-workers", "1"]
    return [*options, *(f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items())]


def audited_by_folds(out: Path, root: Path, frames_root: Path) -> list[str]:
    return ["--dataset", str(root), "--output-dir", str(out), "--folds", "2", "--save-strategy", "epoch", *TRAINING]


def audited_in_sample(out: Path, root: Path, frames_root: Path) -> list[str]:
    return ["--dataset", str(root), "--output-dir", str(out), "--in-sample", "--no-face-crop", *FAST]


# Which script, its arguments, which of its files are the same in every run, and which are never made again.
JOBS = {
    "train": (train.main, trained, ["model.safetensors", "sample_table.parquet"], "checkpoint-*/model.safetensors"),
    "prepare": (prepare.main, prepared, ["**/*"], "data/*.parquet"),
    "audit by folds": (
        audit.main,
        audited_by_folds,
        ["audit.parquet", "audit.csv", "fold_*/*.safetensors"],
        "fold_*/held_out.safetensors",
    ),
    "audit in sample": (audit.main, audited_in_sample, ["audit.parquet", "audit.csv", "audit.html"], "none"),
}


def run(main, arguments: list[str]):
    torch.set_num_threads(1)
    main(arguments)


def same_files(out: Path, patterns: list[str]) -> dict[str, bytes]:
    paths = {path for pattern in patterns for path in out.glob(pattern) if path.is_file()}
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(paths)}


def assert_whole(out: Path):
    """Nothing that has its final name is cut off."""
    for path in sorted(out.rglob("*")):
        if "unfinished" in path.relative_to(out).parts:
            continue
        if path.is_dir() and path.name.startswith("checkpoint-"):
            assert missing_files(path) == [], path
        elif path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>"), path
        elif path.suffix in (".csv", ".md"):
            assert path.read_text().endswith("\n"), path


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_random_moments(job, root, frames_root, tmp_path):
    main, arguments_for, patterns, kept = JOBS[job]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["training.train", "training.prepare", "training.audit", "tests.training.test_killed"]
    )

    def start(out: Path):
        process = context.Process(target=run, args=(main, arguments_for(out, root, frames_root)))
        process.start()
        return process

    def finish(out: Path):
        process = start(out)
        process.join()
        assert process.exitcode == 0
        assert_whole(out)
        return same_files(out, patterns)

    finish(tmp_path / "first")  # the server starts
    begin = time.monotonic()
    expected = finish(tmp_path / "whole")
    duration = time.monotonic() - begin
    assert expected
    out, chance, kills = tmp_path / "killed", random.Random(0), 0
    finished: dict[Path, int] = {}
    while kills < NUM_KILLS:
        process = start(out)
        process.join(chance.uniform(0, duration))
        if process.is_alive():
            process.kill()
            process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if out.exists():
            assert_whole(out)
        now = {path: path.stat().st_mtime_ns for path in out.glob(kept)}
        assert finished.items() <= now.items()
        finished = now
        if process.exitcode == 0:
            assert same_files(out, patterns) == expected
            shutil.rmtree(out)
            finished = {}
        else:
            kills += 1
    assert finish(out) == expected
