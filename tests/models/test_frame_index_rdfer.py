# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Times of the frames, where decoding can start, and parts that take the same time to decode."""

from fractions import Fraction

import pytest

from modeling_rdfer.models.frame_index_rdfer import FrameIndex, is_sparse


def make_index(num_frames=40, key_every=10, seekable=True, last_duration=2):
    durations = [2] * (num_frames - 1) + [last_duration]
    is_key = [i % key_every == 0 for i in range(num_frames)]
    return FrameIndex([4 + 2 * i for i in range(num_frames)], durations, is_key, Fraction(1, 50), seekable)


def test_times_and_seek_points():
    index = make_index()
    assert len(index) == 40 and index.find(4 + 2 * 7) == 7 and index.find(5) is None
    assert index.pts_seconds()[:3] == pytest.approx([0.08, 0.12, 0.16]) and index.duration_seconds() == 1.6
    assert make_index(last_duration=0).duration_seconds() == 1.6  # as long as the frame before
    assert make_index(last_duration=4).duration_seconds() == 1.64
    assert index.seek_points == [0, 10, 20, 30] and make_index(seekable=False).seek_points == [0]


def test_parts_start_at_seek_points_and_cost_the_same():
    index = make_index()
    wanted = [1, 8, 12, 19, 21, 29, 39]
    assert index.split(wanted, 2) == [[1, 8, 12, 19], [21, 29, 39]]
    assert index.split(wanted, 4) == [[1, 8], [12, 19], [21, 29], [39]]
    assert index.split([2, 5], 4) == [[2, 5]]  # one group of frames is not split
    assert make_index(seekable=False).split(wanted, 3) == [wanted]


def test_sparse_is_fewer_than_half():
    assert is_sparse([0, 3, 7]) and not is_sparse([0, 2, 4]) and not is_sparse([3])
