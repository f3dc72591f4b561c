# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging

import pytest

from modeling_rdfer import VideoReadError
from tests.helpers.paths import DATA
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos
from training.datasets import load

CLIP = DATA / "cap13_edit2.mp4"


def test_bad_videos_stop_before_training_or_are_left_out(root, caplog, monkeypatch):
    (root / "happy" / "broken.mp4").write_bytes(b"nothing")
    (root / "sad" / "cut.mp4").write_bytes(CLIP.read_bytes()[:100_000])
    videos = LabelledVideos.from_dataset(load("videofolder", root)["train"], "train")
    with pytest.raises(VideoReadError, match=r"broken.mp4.*And 1 more.*--on-bad-video skip"):
        check_videos(videos)
    monkeypatch.setattr(logging.getLogger("training.data.checks"), "propagate", True)
    kept = check_videos(videos, "skip")
    assert kept.sample_ids == ["happy/a", "happy/b", "sad/c", "sad/clip.mp4"]
    assert kept.columns["num_frames"] == [12, 12, 12, 765]
    text = caplog.text
    assert "broken.mp4" in text and "cut.mp4" in text and "2 of 6 videos" in text
