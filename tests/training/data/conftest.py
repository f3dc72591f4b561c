# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.paths import DATA

CLIP = DATA / "cap13_edit2.mp4"


def write_frames(folder: Path, count=12, seed=0):
    folder.mkdir(parents=True)
    # A gradient, so that crops and flips show, and smooth, so that they can be compared.
    ramp = np.linspace(0, 200, 48, dtype=np.uint8)
    for number in range(count):
        frame = np.stack(
            [np.tile(ramp, (48, 1)), np.tile(ramp[:, None], (1, 48)), np.full((48, 48), seed + number)], -1
        )
        Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture
def root(tmp_path) -> Path:
    for label, names in {"happy": ["b", "a"], "sad": ["c"]}.items():
        for seed, name in enumerate(names):
            write_frames(tmp_path / "train" / label / name, seed=10 * seed)
    shutil.copy(CLIP, tmp_path / "train" / "sad" / "clip.mp4")
    (tmp_path / "train" / "sad" / "notes.txt").write_text("no video")
    (tmp_path / "train" / ".hidden").mkdir()
    return tmp_path / "train"
