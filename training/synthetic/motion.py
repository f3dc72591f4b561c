# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What happens on a face over time: the expressions, blinks, talk, and the motion of the head."""

import numpy as np

from .appearance import ACTION_UNITS
from .faces import POSE
from .labels import LABELS

# Action units of the expressions: those that always show -> strength at full intensity, and those that may show ->
# (strength, probability). Source: EMFACS prototypes (Friesen and Ekman 1983); strengths and optional units are ours.
PROTOTYPES = {
    "neutral": ({}, {}),
    "happy": ({6: 0.9, 12: 1.0}, {25: (0.7, 0.6), 26: (0.3, 0.2)}),
    "sad": ({1: 1.0, 4: 0.8, 15: 0.95}, {17: (0.6, 0.4), 43: (0.35, 0.25)}),
    "angry": ({4: 1.0, 5: 0.75, 7: 0.8, 23: 0.95}, {17: (0.4, 0.3), 10: (0.3, 0.15)}),
    "fear": ({1: 0.95, 2: 0.75, 4: 0.8, 5: 0.9, 7: 0.5, 20: 0.95, 26: 0.45}, {25: (0.5, 0.5)}),
    "disgust": ({9: 0.95, 15: 0.6, 16: 0.7}, {10: (0.7, 0.6), 4: (0.35, 0.3), 25: (0.4, 0.3)}),
    "surprise": ({1: 0.9, 2: 1.0, 5: 0.6, 26: 0.95}, {25: (0.5, 0.3)}),
}

# Share of the frames that a brief key expression fills, at most.
BRIEF = 0.3


def _smooth(t):
    """Smooth step from 0 at t = 0 to 1 at t = 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def random_strengths(generator, label):
    """Strengths of the action units of an expression at full intensity, (A,), varied at random."""
    main, joining = PROTOTYPES[label]
    strengths = np.zeros(len(ACTION_UNITS))
    for unit, strength in main.items():
        strengths[ACTION_UNITS.index(unit)] = strength * generator.uniform(0.72, 1.12)
    for unit, (strength, probability) in joining.items():
        joins, varied = generator.random() < probability, generator.uniform(0.6, 1.2)
        if joins:
            strengths[ACTION_UNITS.index(unit)] = max(strengths[ACTION_UNITS.index(unit)], strength * varied)
    return strengths


def _course(length, start, end, onset, offset):
    """Course of an expression, (T,): above 0 for start <= t < end, with `onset` frames up to 1 and `offset` down."""
    t = np.arange(length)
    rise, fall = _smooth((t - start + 1) / (onset + 1)), _smooth((end - t) / (offset + 1))
    return np.where((t >= start) & (t < end), np.minimum(rise, fall), 0.0)


def _other_label(generator, *taken):
    """An expression other than neutral and those taken."""
    choices = [name for name in LABELS if name != "neutral" and name not in taken]
    return choices[generator.integers(len(choices))]


def plan_expressions(generator, dice, label, kind, num_frames):
    """Draws at random what the face shows.

    Args:
        generator (`numpy.random.Generator`): draws for all videos.
        dice (`numpy.random.Generator`): draws only for hard videos, so that the others do not depend on their share.
        label (`str`): the key expression.
        kind (`str`): why the video is hard; `""` if it is not.
        num_frames (`tuple` of two `int`): least and greatest number of frames.

    Returns:
        `tuple`: number of frames T; course of the key expression (T,), 0..1; its intensity, 0..1; strengths of its
        action units (T, A); those of a second expression elsewhere in the video (T, A); name of the second expression,
        or `""`.
    """
    length = int(generator.integers(num_frames[0], num_frames[1], endpoint=True))
    fraction, place, intensity = generator.uniform(0.4, 0.85), generator.random(), generator.uniform(0.75, 1.0)
    edges = generator.uniform(0.12, 0.32, 2)
    target = random_strengths(generator, label)
    wobble = 1 + 0.06 * np.sin(generator.uniform(0.1, 0.35) * np.arange(length) + generator.uniform(0, 6))
    distracted = generator.random() < 0.45
    distraction = _other_label(generator, label)
    distraction_strengths = random_strengths(generator, distraction)
    weight, extent, spot = generator.uniform((0.25, 0.3, 0), (0.5, 0.9, 1))

    if kind == "brief":
        fraction = dice.uniform(0.12, BRIEF - 0.02)
    elif kind == "weak":
        intensity = dice.uniform(0.35, 0.5)
    key_length = max(int(fraction * length), 3)
    start = int(place * (length - key_length + 1))
    end = start + key_length
    if label == "neutral":
        key, intensity = np.zeros(length), 0.0
    else:
        key = _course(length, start, end, *np.maximum((edges * key_length).round(), 1))
    strengths = (key * intensity * wobble)[:, None] * target

    second = ""
    other = np.zeros_like(strengths)
    if kind == "blend":
        second = _other_label(dice, label)
        share = dice.uniform(0.4, 0.62)
        strengths = np.maximum(strengths, (key * intensity * share * wobble)[:, None] * random_strengths(dice, second))
        distracted = False
    elif kind == "distracted":
        distracted, weight, extent = True, dice.uniform(0.42, 0.5), dice.uniform(0.7, 0.9)
    if distracted:
        # A weaker and shorter expression before or after the key expression, where there is more room; in a neutral
        # video anywhere.
        if label == "neutral":
            low, high, weight, extent = 0, length, weight * 0.7, extent * 0.35
        elif start > length - end:
            low, high = 0, start
        else:
            low, high = end, length
        longest = min(high - low, key_length if label != "neutral" else length)
        span = int(extent * longest)
        if span >= 4:
            second = distraction
            first = low + int(spot * (high - low - span + 1))
            course = _course(length, first, first + span, span // 4, span // 4)
            peak = weight * (intensity if label != "neutral" else 1.0)
            other = np.maximum(other, (course * peak)[:, None] * distraction_strengths)
    return length, key, intensity, strengths, other, second


def plan_blinks(generator, length):
    """Strengths (T, A) that close the eyes for five frames, about once in two and a half seconds."""
    strengths, closing = np.zeros((length, len(ACTION_UNITS))), ACTION_UNITS.index(43)
    at = generator.exponential(40)
    while at < length:
        t = np.abs(np.arange(length) - at)
        strengths[:, closing] = np.maximum(strengths[:, closing], np.clip(1.5 - t / 2, 0, 1))
        at += 12 + generator.exponential(50)
    return strengths


def add_talk(generator, strengths):
    """Adds talking in a part of the video: syllables of five to ten frames with parted, dropped and puckered lips."""
    length = len(strengths)
    span = int(length * generator.uniform(0.3, 1))
    start = int(generator.random() * (length - span + 1))
    loud = _course(length, start, start + span, 4, 4) * generator.uniform(0.5, 1)
    t = np.arange(length)
    rate, phase, slow = generator.uniform(0.6, 1.2), generator.uniform(0, 6, 2), generator.uniform(0.15, 0.3)
    syllable = np.clip(0.55 + 0.6 * np.sin(rate * t + phase[0]), 0, 1) * (0.6 + 0.4 * np.sin(slow * t + phase[1]))
    shape = np.sin(0.37 * rate * t + phase[1])
    strengths = strengths.copy()
    for unit, strength in ((25, syllable), (26, 0.4 * syllable), (18, 0.6 * np.maximum(shape, 0))):
        i = ACTION_UNITS.index(unit)
        strengths[:, i] = np.maximum(strengths[:, i], loud * strength)
    shape = loud * 0.3 * np.maximum(-shape, 0)
    strengths[:, ACTION_UNITS.index(20)] = np.maximum(strengths[:, ACTION_UNITS.index(20)], shape)
    return strengths


def move_head(generator, length):
    """Slow random motion of the head and the eyes: columns of `POSE` (length, 8)."""
    t = np.arange(length)

    def drift(amount, count=2):
        value = np.zeros(length)
        for _ in range(count):
            value += generator.uniform(0, amount) * np.sin(
                generator.uniform(0.02, 0.12) * t + generator.uniform(0, 6.3)
            )
        return value

    gaze = np.zeros((length, 2))
    at = 0
    while at < length:
        gaze[at:] = generator.normal(0, (0.35, 0.15))
        at += 5 + int(generator.exponential(20))
    # The spread between videos is so large that no pixel shows the same part of the face in all of them.
    columns = {
        "yaw": np.clip(generator.normal(0, 0.18), -0.35, 0.35) + drift(0.08),
        "pitch": np.clip(generator.normal(0, 0.12), -0.25, 0.25) + drift(0.05),
        "roll": np.clip(generator.normal(0, 0.15), -0.35, 0.35) + drift(0.04),
        "shift_x": np.clip(generator.normal(0, 0.12), -0.24, 0.24) + drift(0.03),
        "shift_y": np.clip(generator.normal(0, 0.13), -0.24, 0.24) + drift(0.03),
        "scale": generator.uniform(0.84, 1.18) + drift(0.015),
        "gaze_x": gaze[:, 0],
        "gaze_y": gaze[:, 1],
    }
    return np.stack([columns[name] for name in POSE], axis=1)


__all__ = ["PROTOTYPES", "add_talk", "move_head", "plan_blinks", "plan_expressions", "random_strengths"]
