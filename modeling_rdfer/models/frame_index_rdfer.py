# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Index of the frames of a container file: their times, and where decoding can start."""

import itertools
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np


@dataclass
class FrameIndex:
    """The frames of a container file in presentation order, as its packets describe them.

    Attributes:
        pts (`list[int]`): presentation time of each frame, ascending, in units of `time_base`.
        durations (`list[int]`): duration of each frame in the same units, 0 if the container does not state it.
        is_key (`list[bool]`): whether each frame is a key frame.
        time_base (`Fraction`): seconds per unit of time.
        seekable (`bool`): whether the reader can seek to a key frame.
        seek_points (`list[int]`): ascending numbers of the frames that decoding can start from; the first is 0.
    """

    pts: list[int]
    durations: list[int]
    is_key: list[bool]
    time_base: Fraction
    seekable: bool
    seek_points: list[int] = field(init=False)
    _index_of_pts: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self):
        self.seek_points = sorted({0} | {i for i, key in enumerate(self.is_key) if key and self.seekable})
        self._index_of_pts = {pts: i for i, pts in enumerate(self.pts)}

    def __len__(self) -> int:
        return len(self.pts)

    def find(self, pts: int) -> int | None:
        """Returns the number of the frame with this presentation time, `None` if there is none."""
        return self._index_of_pts.get(pts)

    def pts_seconds(self) -> np.ndarray:
        """Returns the presentation times in seconds, float64 of shape `(num_frames,)`."""
        # As exact as with Fractions, which would take a third of the time that opening a file takes.
        return np.array([pts * self.time_base.numerator / self.time_base.denominator for pts in self.pts])

    def duration_seconds(self) -> float:
        """Returns the seconds from the start of the first frame to the end of the last one."""
        # If the last duration is not stated, it is taken to be that of the frame before.
        gaps = np.diff(self.pts)
        last = self.durations[-1] or (int(gaps[-1]) if len(gaps) else 0)
        return float((self.pts[-1] + last - self.pts[0]) * self.time_base)

    def split(self, wanted: list[int], num_parts: int) -> list[list[int]]:
        """Splits frames into parts that start at seek points and take about the same time to decode.

        Frames after the same seek point stay together: a reader that continues does not decode from there again.

        Args:
            wanted (`list[int]`): frame numbers, ascending.
            num_parts (`int`): most parts to make.

        Returns:
            `list[list[int]]`: the frame numbers of each part, at least one.
        """
        groups = [list(group) for _, group in itertools.groupby(wanted, lambda i: bisect_right(self.seek_points, i))]
        costs = [group[-1] + 1 - self.seek_points[bisect_right(self.seek_points, group[0]) - 1] for group in groups]
        ends = np.cumsum(costs)
        # The middle of each group decides which part it belongs to.
        middles = ends - np.diff(ends, prepend=0) / 2
        parts = [[] for _ in range(num_parts)]
        for group, middle in zip(groups, middles):
            parts[int(middle * num_parts / ends[-1])] += group
        return [part for part in parts if part]


def is_sparse(wanted: list[int]) -> bool:
    """Tells whether fewer than half of the frames from the first to the last one are wanted."""
    return 2 * len(wanted) < wanted[-1] - wanted[0]
