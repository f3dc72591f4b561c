# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Elementary shapes, and the canvas on which they are painted.

Distances are positive outside a shape. The coverage of a pixel falls from 1 to 0 over its own width.
"""

import numpy as np


def cover(distance, px):
    """Coverage of pixels of width `px`, 0..1, at a distance from the edge of a shape."""
    return np.clip(0.5 - distance / px, 0, 1)


def soft(q):
    """Smooth bump of a squared normalised distance: 1 at 0, 0 from 1 on."""
    m = np.maximum(1 - q, 0)
    return m * m


def ellipse(x, y, cx, cy, rx, ry):
    """Squared normalised distance from the centre of an ellipse: 1 on its edge."""
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2


def wave(x):
    """Triangle wave of period 1 between 0 and 1."""
    return np.abs(x - np.floor(x) - 0.5) * 2


class Canvas:
    """Pixels of N frames.

    Args:
        image (`numpy.ndarray` float32 (N, 3, h, w)): colours, 0..1; painted in place.
        u, v (`numpy.ndarray` float32 (N, h, w)): face coordinates of the surface that each pixel shows.
        px (`numpy.ndarray` float32 (N, 1, 1)): width of a pixel in face units.
    """

    def __init__(self, image, u, v, px):
        self.image, self.u, self.v, self.px = image, u, v, px

    def crop(self, u0, u1, v0, v1):
        """The part with u0 < u < u1 and v0 < v < v1 in any frame, a view of the same image; or None."""
        inside = ((self.u > u0) & (self.u < u1) & (self.v > v0) & (self.v < v1)).any(0)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            return None
        r, c = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return Canvas(self.image[:, :, r, c], self.u[:, r, c].copy(), self.v[:, r, c].copy(), self.px)

    def paint(self, alpha, colour):
        """Paints a colour, (3,) or (N, 3, h, w), with the opacity `alpha` (N, h, w)."""
        if np.ndim(colour) == 1:
            colour = np.asarray(colour, np.float32)[:, None, None]
        self.image += alpha[:, None] * (colour - self.image)

    def darken(self, strength):
        """Darkens (negative: lightens) by `strength` (N, h, w), red a little less, as it is with skin."""
        strength = strength[:, None] * np.array([0.85, 1, 1], np.float32)[:, None, None]
        self.image *= 1 - strength
