# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables
from training.benchmarks.starting_points import FILE, STARTS, execute, render
from training.frames.face_images import SIZE
from training.frames.frame_set import FrameSet
from training.train_frames import LABELS


def test_table_of_the_page_is_that_of_the_committed_results():
    results = load_results(RESULTS / FILE)
    assert set(results) == set(STARTS)
    assert read_tables("starting_points") == render(results)


@pytest.mark.slow
def test_a_start_is_trained_and_measured(tmp_path):
    torch.manual_seed(0)
    labels = torch.arange(28) % len(LABELS)
    # The label is the place of a bright stripe.
    faces = torch.zeros(28, SIZE, SIZE, dtype=torch.uint8)
    for face, label in zip(faces, labels.tolist()):
        face[30 + 5 * label : 34 + 5 * label] = 255
    frames = FrameSet(faces, torch.eye(len(LABELS))[labels], torch.full((28,), 1 / 28, dtype=torch.float64))
    run = execute(STARTS["random"], 0.3, frames, frames, labels, tmp_path)
    assert run["accuracy"] > 0.4 and run["mean_recall"] == pytest.approx(run["accuracy"])
    assert run["minutes_taken"] == pytest.approx(0.3, rel=0.5)
    assert run["faces_seen"] % run["settings"]["per_device_train_batch_size"] == 0
