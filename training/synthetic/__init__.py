# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Synthetic videos of drawn faces with expressions, for the demo, tests and experiments. See `render_video`."""

from .labels import LABELS, noise_matrix
from .videos import HARD_KINDS, Truth, make_truths, plan_video, render_video

__all__ = ["HARD_KINDS", "LABELS", "Truth", "make_truths", "noise_matrix", "plan_video", "render_video"]
