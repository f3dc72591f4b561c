# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""How frames are shown: turned or mirrored as the container asks, with square pixels."""

import struct
from collections.abc import Sequence

import numpy as np

# Pixels are taken to be square if their aspect ratio differs from 1 by less than this share, which nobody sees: it
# comes from rounding a size to whole pixels. Ratios above `MAX_PIXEL_ASPECT` or below its inverse are no sizes of
# pixels that exist (the largest in use is 2.67), but errors of the header.
MIN_PIXEL_STRETCH, MAX_PIXEL_ASPECT = 0.01, 8


def square_pixel_size(height: int, width: int, aspect: float | None) -> tuple[int, int]:
    """Gives the size that a frame has with square pixels. No pixels are lost: one side is enlarged, as browsers do.

    Args:
        height, width (`int`): stored size of the frame in pixels.
        aspect (`float`, *optional*): width of a pixel in units of its height (sample aspect ratio); `None` or 0 if it
            is not known.

    Returns:
        `tuple[int, int]`: height and width; those given if the pixels are square or `aspect` is out of range.
    """
    if not aspect or abs(aspect - 1) < MIN_PIXEL_STRETCH or not 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
        return height, width
    return (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)


class Orientation:
    """One of the eight ways to turn and mirror a frame by right angles.

    Args:
        matrix (sequence of 9 `int`): display matrix of a container. A pixel at (x, y), y downwards, is shown at
            (m[0] * x + m[3] * y, m[1] * x + m[4] * y) (libavutil/display.h). Other angles go to the nearest right one.

    Attributes:
        transposed (`bool`): whether rows become columns.
        is_identity (`bool`): whether nothing changes.
    """

    def __init__(self, matrix: Sequence[int] = (1, 0, 0, 0, 1, 0, 0, 0, 1)):
        self.transposed = abs(matrix[0]) + abs(matrix[4]) < abs(matrix[1]) + abs(matrix[3])
        from_x, from_y = (matrix[1], matrix[3]) if self.transposed else (matrix[0], matrix[4])
        # After transposing, rows are numbered by the old x, columns by the old y.
        self._flip_rows, self._flip_columns = (from_x < 0, from_y < 0) if self.transposed else (from_y < 0, from_x < 0)
        self.is_identity = not (self.transposed or self._flip_rows or self._flip_columns)

    @classmethod
    def from_bytes(cls, matrix: bytes) -> "Orientation":
        """Reads a display matrix as FFmpeg keeps it: 9 native int32."""
        return cls(struct.unpack("=9i", matrix))

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Turns a frame `(H, W, C)` to `(H, W, C)` or `(W, H, C)`; a view of it."""
        if self.transposed:
            frame = frame.transpose(1, 0, 2)
        return frame[:: -1 if self._flip_rows else 1, :: -1 if self._flip_columns else 1]
