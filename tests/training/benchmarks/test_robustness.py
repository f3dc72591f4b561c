# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import os
import subprocess
import sys
import time

import pytest

from tests.helpers.paths import ROOT
from training.benchmarks import robustness
from training.benchmarks.shared import mutations
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables


def test_tables_of_the_page_are_those_of_the_committed_results():
    results = load_results(RESULTS / robustness.FILE)
    assert read_tables("robustness") == robustness.render(results)
    for part in results.values():
        assert all(row["failure"] == 0 for row in part["table"].values())


def test_a_few_damaged_files(tmp_path):
    """Others than those of the committed results. In a process of its own, as it makes copies of its process."""
    options = ["--seed", "1234", "--files", "1", "--output-dir", str(tmp_path), "--kept", str(tmp_path / "kept")]
    command = [sys.executable, "-m", "training.benchmarks.robustness", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "| all | 4 |" in done.stdout, done.stderr
    results = load_results(tmp_path / robustness.FILE)
    videos, checkpoints = (results[part]["table"] for part in ("videos", "checkpoints"))
    assert len(videos) > 12 and set(checkpoints) == set(robustness.CHECKPOINT_FILES)
    for row in (*videos.values(), *checkpoints.values()):
        assert row["files"] == row["answer"] + row["error"] == 1


def _busy():
    start = time.process_time()
    while time.process_time() - start < 60:
        pass


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "read, failure",
    [
        (lambda: os.abort(), "signal SIGABRT"),
        (lambda: os._exit(3), "status 3"),
        (lambda: _raise(KeyError("moov")), "KeyError: 'moov'"),
        (lambda: {"outcome": len(bytearray(3 * 1024**3))}, "MemoryError"),
        (lambda: {"outcome": subprocess.run(["true"]).returncode}, "tried: subprocess.Popen"),
        (_busy, "1 s of processor time"),
    ],
    ids=["crash", "exit", "exception", "memory", "execution", "hang"],
)
def test_what_is_a_failure(monkeypatch, read, failure):
    monkeypatch.setattr(mutations, "CPU_SECONDS", 1)
    assert failure in mutations.read_in_process(read)["failure"]


def test_an_answer_of_a_process():
    result = mutations.read_in_process(lambda: {"bytes": len(b"x" * 300_000_000)})
    assert result["bytes"] == 300_000_000 and 250 < result["memory"] < 700
