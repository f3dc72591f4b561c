# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil
from collections import Counter

import pytest

from training.data.labelled_videos import LabelledVideos, content_hash


def test_content_hash_follows_the_content(root, tmp_path):
    clip, copy = root / "sad" / "clip.mp4", tmp_path / "copy.mp4"
    shutil.copy(clip, copy)
    assert content_hash(clip) == content_hash(str(copy)) and len(content_hash(clip)) == 16
    assert content_hash({"bytes": clip.read_bytes(), "path": None}) == content_hash(clip)
    copy.write_bytes(copy.read_bytes() + b"x")
    assert content_hash(copy) != content_hash(clip)
    before = content_hash(root / "happy" / "a")
    (root / "happy" / "a" / "99.png").write_bytes(b"x")
    assert content_hash(root / "happy" / "a") != before


@pytest.mark.parametrize("persons", [False, True])
def test_held_out_parts_keep_labels_in_proportion_and_persons_apart(persons):
    labels = ["happy"] * 60 + ["sad"] * 30 + ["fear"] * 3
    people = [number % 20 for number in range(93)] if persons else None
    videos = LabelledVideos(list(range(93)), labels, [str(number) for number in range(93)], persons=people)
    rest, held_out = videos.hold_out(0.2, seed=3)
    assert sorted(rest.sources + held_out.sources) == list(range(93))
    counts = Counter(held_out.labels)
    assert abs(counts["happy"] - 12) <= 4 and abs(counts["sad"] - 6) <= 3 and 14 <= len(held_out) <= 24
    assert rest.label_names == held_out.label_names == ["fear", "happy", "sad"]
    if persons:
        assert not set(rest.persons) & set(held_out.persons)
    assert videos.hold_out(0.2, seed=3)[1].sources == held_out.sources != videos.hold_out(0.2, seed=4)[1].sources


def test_too_little_to_hold_out_is_said():
    videos = LabelledVideos(
        list(range(30)), ["happy", "sad"] * 15, [str(n) for n in range(30)], persons=[0, 1, 2] * 10
    )
    with pytest.raises(ValueError, match="3 persons are too few for 10 parts"):
        videos.hold_out(0.1, seed=0)
    with pytest.raises(ValueError, match="at most 0.5, got 0.9"):
        videos.hold_out(0.9, seed=0)
