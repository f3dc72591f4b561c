# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Synthetic videos: what happens in video `index` of seed `seed`, its truth, and its frames.

The faces are drawings (`faces.py`). No claim about real faces is drawn from them.
"""

import dataclasses
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from .faces import AUS, POSE, draw_faces, make_identity, make_occluder, make_scene
from .labels import LABELS, noise_matrix

FPS = 25

# What each generator is for: numpy.random.default_rng([seed, index, purpose]). A draw for one purpose never moves
# another, so the same videos can be had with other labels, sizes or shares of hard clips.
_LABEL, _HARD, _IDENTITY, _SCENE, _SCRIPT, _MOTION, _SENSOR, _GIVEN = range(8)

# Action units of the seven expressions at full strength, and those that join in: unit -> (strength, probability).
# Source: EMFACS prototypes (Friesen & Ekman 1983); the strengths and the units that join in are ours.
PROTOTYPES = {
    "neutral": ({}, {}),
    "happy": ({6: 0.9, 12: 1.0}, {25: (0.7, 0.6), 26: (0.3, 0.2)}),
    "sad": ({1: 1.0, 4: 0.8, 15: 0.95}, {17: (0.6, 0.4), 43: (0.35, 0.25)}),
    "angry": ({4: 1.0, 5: 0.75, 7: 0.8, 23: 0.95}, {17: (0.4, 0.3), 10: (0.3, 0.15)}),
    "fear": ({1: 0.95, 2: 0.75, 4: 0.8, 5: 0.9, 7: 0.5, 20: 0.95, 26: 0.45}, {25: (0.5, 0.5)}),
    "disgust": ({9: 0.95, 15: 0.6, 16: 0.7}, {10: (0.7, 0.6), 4: (0.35, 0.3), 25: (0.4, 0.3)}),
    "surprise": ({1: 0.9, 2: 1.0, 5: 0.6, 26: 0.95}, {25: (0.5, 0.3)}),
}

# Why a clip is hard, and how often: brief (key expression < 30 % of the frames), weak, blended with a second
# expression, partly occluded, turned away. A neutral video has no key expression that could be brief, weak or blended:
# it is "distracted" instead, with another expression in it, as weak and short as in any neutral video.
HARD_KINDS = {"brief": 0.35, "weak": 0.2, "blend": 0.2, "occluded": 0.125, "turned": 0.125}
BRIEF = 0.3


@dataclass(frozen=True)
class Truth:
    """
    What is true of a synthetic video.

    `given_label` is what a careless annotator wrote; `is_noisy` whether it differs from `true_label`. `is_hard` clips
    have one of `HARD_KINDS` or "distracted" as `hard_kind` ("" otherwise); their `true_label` is right all the same.
    `second_label` is another expression that shows, blended in or elsewhere in the video ("" if none), always weaker.
    The key expression fills the frames `key_start` <= t < `key_end`, onset and offset included (None for neutral);
    `intensity` (0..1) is its strength at the apex.
    """

    sample_id: str
    index: int
    true_label: str
    given_label: str
    is_noisy: bool
    is_hard: bool
    hard_kind: str
    second_label: str
    key_start: int | None
    key_end: int | None
    num_frames: int
    intensity: float


@dataclass(frozen=True)
class Plan:
    """
    Everything [`Plan.render`] needs. `aus` and `other_aus` are float64 (T, A) strengths of the action units
    `faces.AUS`: all that happens, and all but the key expression. `key` (T,) is the course of that expression, 0..1.
    """

    truth: Truth
    aus: np.ndarray
    other_aus: np.ndarray
    key: np.ndarray
    pose: np.ndarray
    identity: SimpleNamespace
    scene: SimpleNamespace
    sensor_key: tuple

    def render(self, size=64):
        """Draws the video: uint8 (T, 3, size, size), RGB."""
        sensor = np.random.default_rng(self.sensor_key)
        return draw_faces(self.identity, self.scene, self.aus, self.pose, size, sensor)

    def without_key(self):
        """The same video had the key expression never shown."""
        return dataclasses.replace(self, aus=self.other_aus)

    def take(self, frames):
        """The plan of some frames only (a slice or an index array), for contact sheets and classifiers of frames."""
        aus, other, key, pose = self.aus[frames], self.other_aus[frames], self.key[frames], self.pose[frames]
        return dataclasses.replace(self, aus=aus, other_aus=other, key=key, pose=pose)


def plan_video(
    seed, index, *, hard=0.3, hard_kinds=None, num_frames=(24, 96), noise=None, noise_type="symmetric", noise_seed=None
):
    """
    Decides what happens in a video, without drawing it (fast).

    Args:
        seed (`int`): of the data set, >= 0.
        index (`int`): of the video in it, >= 0. Any 7 videos from a multiple of 7 on show the 7 expressions once each,
            and every video shows another identity.
        hard (`float`): probability that the video is hard, 0..1. A video that is not hard for `hard=0.3` is the same
            with `hard=0`.
        hard_kinds (sequence of `str`, *optional*): restricts what makes a video hard to some of `HARD_KINDS`.
        num_frames (`tuple` of two `int`): least and greatest number of frames, at 25 per second.
        noise, noise_type: wrong labels, see [`noise_matrix`]; `noise_type` may also be its (7, 7) result.
        noise_seed (`int`, *optional*): seed of the wrong labels; the data set's by default.

    Returns:
        [`Plan`].

    Raises:
        ValueError: an argument is out of its range.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed is {seed} and index {index}, expected neither to be negative")
    if not 0 <= hard <= 1:
        raise ValueError(f"hard is {hard}, expected a share between 0 and 1")
    if not 12 <= num_frames[0] <= num_frames[1]:
        raise ValueError(f"num_frames is {tuple(num_frames)}, expected (least, greatest), at least 12 frames")
    kinds = tuple(HARD_KINDS) if hard_kinds is None else tuple(hard_kinds)
    if not kinds or set(kinds) - set(HARD_KINDS):
        raise ValueError(f"hard_kinds is {kinds}, expected some of {tuple(HARD_KINDS)}")
    matrix = noise_type if isinstance(noise_type, np.ndarray) else noise_matrix(noise, noise_type)

    def generator(purpose):
        return np.random.default_rng([seed, index, purpose])

    block = np.random.default_rng([seed, index // len(LABELS), _LABEL])
    label = LABELS[block.permutation(len(LABELS))[index % len(LABELS)]]
    chance = _chance(seed if noise_seed is None else noise_seed, label, index // len(LABELS), _GIVEN)
    # The right label comes first, so that even shares of wrong ones fall on whole tenths of `_chance`.
    order = np.roll(np.arange(len(LABELS)), -LABELS.index(label))
    cumulative = np.cumsum(matrix[LABELS.index(label)][order])
    given_label = LABELS[order[np.searchsorted(cumulative, chance * cumulative[-1], side="right")]]

    identity, scene = make_identity(generator(_IDENTITY)), make_scene(generator(_SCENE))
    dice = generator(_HARD)
    is_hard = bool(_chance(seed, label, index // len(LABELS), _HARD) < hard)
    kind = ""
    if is_hard:
        chances = np.array([HARD_KINDS[name] for name in kinds])
        kind = kinds[dice.choice(len(kinds), p=chances / chances.sum())]
        if label == "neutral" and kind in ("brief", "weak", "blend"):
            kind = "distracted"

    length, key, intensity, aus, other, second = _script(generator(_SCRIPT), dice, label, kind, num_frames)
    motion = generator(_MOTION)
    other = np.maximum(other, _blinks(motion, length))
    if motion.random() < 0.4:
        other = _talk(motion, other)
    pose = move_head(motion, length)
    if kind == "turned":
        side = 1 if dice.random() < 0.5 else -1
        pose[:, POSE.index("yaw")] = side * dice.uniform(0.45, 0.68) + 0.3 * pose[:, POSE.index("yaw")]
        pose[:, POSE.index("pitch")] += dice.uniform(-0.15, 0.2)
    if kind == "occluded":
        scene.occluder = make_occluder(dice)
    shown = np.flatnonzero(key)
    truth = Truth(
        sample_id=f"{index:06d}",
        index=index,
        true_label=label,
        given_label=given_label,
        is_noisy=given_label != label,
        is_hard=is_hard,
        hard_kind=kind,
        second_label=second,
        key_start=int(shown[0]) if len(shown) else None,
        key_end=int(shown[-1]) + 1 if len(shown) else None,
        num_frames=length,
        intensity=float(intensity),
    )
    return Plan(truth, np.maximum(aus, other), other, key, pose, identity, scene, (seed, index, _SENSOR))


def render_video(seed, index, size=64, **options):
    """
    Draws a video.

    Args:
        seed, index (`int`): which video; the same two give the same bytes.
        size (`int`): height and width, pixels.
        options: those of [`plan_video`]: hard, hard_kinds, num_frames, noise, noise_type, noise_seed.

    Returns:
        frames, `numpy.ndarray` uint8 (T, 3, size, size), RGB, 25 frames per second; and their [`Truth`].
    """
    plan = plan_video(seed, index, **options)
    return plan.render(size), plan.truth


def make_truths(num_videos, seed, noise=None, noise_type="symmetric", hard=0.3, *, start=0, **options):
    """
    The truth of videos `start` .. `start + num_videos - 1`, without drawing them.

    Args:
        num_videos, start (`int`): which videos.
        seed, noise, noise_type, hard, options: those of [`plan_video`].

    Returns:
        `list` of [`Truth`].
    """
    if not isinstance(noise_type, np.ndarray):
        noise_type = noise_matrix(noise, noise_type)
    return [
        plan_video(seed, index, hard=hard, noise_type=noise_type, **options).truth
        for index in range(start, start + num_videos)
    ]


def _chance(seed, label, number, purpose, group=10):
    """
    A number in [0, 1) for the `number`-th video of a class. Each is uniform, and any 10 in a row (from a multiple of
    10) have one in each tenth, so that the shares of wrong labels and of hard clips come close to what was asked for.
    """
    generator = np.random.default_rng([seed, LABELS.index(label), number // group, purpose, group])
    chance = (generator.permutation(group)[number % group] + generator.random(group)[number % group]) / group
    return min(chance, 1 - 2.0**-53)  # where the sum was rounded up


def _smooth(t):
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _strengths(generator, label):
    """Action units of one showing of an expression at full intensity, (A,): no two are quite the same."""
    main, joining = PROTOTYPES[label]
    aus = np.zeros(len(AUS))
    for unit, strength in main.items():
        aus[AUS.index(unit)] = strength * generator.uniform(0.72, 1.12)
    for unit, (strength, probability) in joining.items():
        joins, varied = generator.random() < probability, generator.uniform(0.6, 1.2)
        if joins:
            aus[AUS.index(unit)] = max(aus[AUS.index(unit)], strength * varied)
    return aus


def _course(length, start, end, onset, offset):
    """0 outside start <= t < end, rising in `onset`, falling in `offset` frames, 1 between; never 0 inside; (T,)."""
    t = np.arange(length)
    rise, fall = _smooth((t - start + 1) / (onset + 1)), _smooth((end - t) / (offset + 1))
    return np.where((t >= start) & (t < end), np.minimum(rise, fall), 0.0)


def _other_label(generator, *taken):
    choices = [name for name in LABELS if name != "neutral" and name not in taken]
    return choices[generator.integers(len(choices))]


def _script(generator, dice, label, kind, num_frames):
    """
    Length, course of the key expression, its intensity, its action units, the others (T, A), the second expression.
    `dice` draws for hard clips only, so that the others do not depend on the share of hard ones.
    """
    length = int(generator.integers(num_frames[0], num_frames[1], endpoint=True))
    fraction, place, intensity = generator.uniform(0.4, 0.85), generator.random(), generator.uniform(0.75, 1.0)
    edges = generator.uniform(0.12, 0.32, 2)
    target = _strengths(generator, label)
    wobble = 1 + 0.06 * np.sin(generator.uniform(0.1, 0.35) * np.arange(length) + generator.uniform(0, 6))
    distracted = generator.random() < 0.45
    distraction = _other_label(generator, label)
    distraction_strengths = _strengths(generator, distraction)
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
    aus = (key * intensity * wobble)[:, None] * target

    second = ""
    other = np.zeros_like(aus)
    if kind == "blend":
        second = _other_label(dice, label)
        share = dice.uniform(0.4, 0.62)
        aus = np.maximum(aus, (key * intensity * share * wobble)[:, None] * _strengths(dice, second))
        distracted = False
    elif kind == "distracted":
        distracted, weight, extent = True, dice.uniform(0.42, 0.5), dice.uniform(0.7, 0.9)
    if distracted:
        # Before or after the key expression, where there is more room (anywhere in a neutral video); weaker, shorter.
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
    return length, key, intensity, aus, other, second


def _blinks(generator, length):
    """Closing of the eyes (T, A): about one in two and a half seconds, for five frames."""
    aus = np.zeros((length, len(AUS)))
    at = generator.exponential(40)
    while at < length:
        t = np.abs(np.arange(length) - at)
        aus[:, AUS.index(43)] = np.maximum(aus[:, AUS.index(43)], np.clip(1.5 - t / 2, 0, 1))
        at += 12 + generator.exponential(50)
    return aus


def _talk(generator, aus):
    """Adds a passage of talking, syllables of five to ten frames: parted, dropped and puckered lips."""
    length = len(aus)
    span = int(length * generator.uniform(0.3, 1))
    start = int(generator.random() * (length - span + 1))
    loud = _course(length, start, start + span, 4, 4) * generator.uniform(0.5, 1)
    t = np.arange(length)
    rate, phase, slow = generator.uniform(0.6, 1.2), generator.uniform(0, 6, 2), generator.uniform(0.15, 0.3)
    syllable = np.clip(0.55 + 0.6 * np.sin(rate * t + phase[0]), 0, 1) * (0.6 + 0.4 * np.sin(slow * t + phase[1]))
    shape = np.sin(0.37 * rate * t + phase[1])
    aus = aus.copy()
    for unit, strength in ((25, syllable), (26, 0.4 * syllable), (18, 0.6 * np.maximum(shape, 0))):
        i = AUS.index(unit)
        aus[:, i] = np.maximum(aus[:, i], loud * strength)
    shape = loud * 0.3 * np.maximum(-shape, 0)
    aus[:, AUS.index(20)] = np.maximum(aus[:, AUS.index(20)], shape)
    return aus


def move_head(generator, length):
    """Slow motion of the head and the eyes: columns of `POSE` (length, 8), drawn from `generator`."""
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
    # Spread enough, between videos, that no pixel belongs to the same part of the face in all of them.
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
