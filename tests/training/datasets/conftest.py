# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging
from pathlib import Path

import pytest

from tests.helpers.dataset_replicas import (
    write_frames,
    write_video,
)


@pytest.fixture
def warnings(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("training.datasets.loader_tools"), "propagate", True)
    return caplog


@pytest.fixture
def root(tmp_path) -> Path:
    for path in ("train/sad/c.mp4", "train/happy/b.AVI", "val/sad/d.mp4"):
        write_video(tmp_path / path)
    write_frames(tmp_path / "train" / "happy" / "a")
    (tmp_path / "train" / "sad" / "notes.txt").write_text("no video")
    (tmp_path / "train" / "sad" / "empty").mkdir()
    (tmp_path / ".cache").mkdir()
    return tmp_path


@pytest.fixture
def ravdess(tmp_path):
    for actor in (1, 4, 5, 18, 24):
        for modality in ("01", "02", "03"):
            suffix = "wav" if modality == "03" else "mp4"
            for emotion in range(1, 9):
                path = tmp_path / f"Actor_{actor:02d}" / f"{modality}-01-{emotion:02d}-01-02-01-{actor:02d}.{suffix}"
                path.parent.mkdir(exist_ok=True)
                path.touch()
            for emotion in range(1, 7):
                if actor != 18:
                    name = f"{modality}-02-{emotion:02d}-02-02-01-{actor:02d}.{suffix}"
                    (tmp_path / f"Actor_{actor:02d}" / name).touch()
    (tmp_path / "Actor_01" / "._02-01-01-01-02-01-01.mp4").touch()  # what macOS leaves in zip files
    return tmp_path
