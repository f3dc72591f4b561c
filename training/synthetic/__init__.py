# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Synthetic videos of drawn faces with expressions, for the demo, tests and experiments; see [`render_video`].

`videos.py` plans a video; `appearance.py` decides who is filmed and where, `motion.py` what happens over time, and
`labels.py` which label is given. `faces.py` draws the frames with the shapes of `canvas.py`. `dataset.py` writes a
dataset, and `card.py` its card.
"""

from .labels import LABELS, noise_matrix
from .videos import HARD_KINDS, Truth, make_truths, plan_video, render_video

__all__ = ["HARD_KINDS", "LABELS", "Truth", "make_truths", "noise_matrix", "plan_video", "render_video"]
