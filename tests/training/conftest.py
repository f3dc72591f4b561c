# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A small dataset in CREMA-D's layout, prepared without and with pseudo-labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from tests.helpers.prepared_sets import SETTINGS, clip_names
from training.prepare import main
from training.preparing.dataset import prepare_dataset


@pytest.fixture(scope="session")
def frames_root(tmp_path_factory) -> Path:
    """Folders of frames: smooth, so that they survive compression, and different in each clip and frame."""
    root = tmp_path_factory.mktemp("frames") / "face_aligned"
    ramp = np.linspace(0, 120, 48)
    for clip, name in enumerate(clip_names()):
        (root / name).mkdir(parents=True)
        for number in range(12):
            base = np.add.outer(ramp * (clip % 4) / 3, ramp) / 2
            frame = np.stack([base + 4 * clip, base[::-1] + 8 * number, base.T + 60], -1)
            Image.fromarray(frame.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:02}.png")
    return root.parent


@pytest.fixture(scope="session")
def prepared(frames_root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare_dataset("crema_d", frames_root, out, num_workers=1, **SETTINGS)
    return out


@pytest.fixture(scope="session")
def teacher(tmp_path_factory) -> Path:
    """A checkpoint whose classes are others, in another order and under other names than the dataset's labels."""
    folder = tmp_path_factory.mktemp("teachers") / "my-teacher"
    torch.manual_seed(0)
    config = RDFERConfig.from_preset("tiny", id2label=["surprise", "joy", "Anger", "sad"], image_size=32)
    model = RDFERForVideoClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def guided(frames_root, teacher, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("guided") / "out"
    arguments = ["--dataset", "crema_d", "--root", str(frames_root), "--output-dir", str(out), "--num-workers", "2"]
    arguments += [f"--{name}={value}" for name, value in SETTINGS.items()]
    main([*arguments, "--frame-teacher", str(teacher)])
    return out
