# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Synthetic videos: what happens in video `index` of seed `seed`, the truth about it, and its frames.

The faces are drawings (`faces.py`). They say nothing about real faces.
"""

import dataclasses
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from .appearance import make_identity, make_occluder, make_scene
from .faces import POSE, draw_faces
from .labels import LABELS, noise_matrix
from .motion import add_talk, move_head, plan_blinks, plan_expressions

FPS = 25

# Purposes of the random generators, numpy.random.default_rng([seed, index, purpose]). Draws for one purpose do not
# change those for another, so the same videos can be made with other labels, sizes or shares of hard clips.
_LABEL, _HARD, _IDENTITY, _SCENE, _SCRIPT, _MOTION, _SENSOR, _GIVEN = range(8)

# Reasons why a video is hard, with their shares: the key expression is brief (less than 30 % of the frames), weak or
# blended with a second one, or the face is partly occluded or turned away. A neutral video cannot be brief, weak or
# blended. It is "distracted" instead: it shows another expression, weakly and briefly.
HARD_KINDS = {"brief": 0.35, "weak": 0.2, "blend": 0.2, "occluded": 0.125, "turned": 0.125}


@dataclass(frozen=True)
class Truth:
    """The truth about a synthetic video.

    Attributes:
        sample_id (`str`): id of the video.
        index (`int`): number of the video.
        true_label (`str`): the expression that it shows.
        given_label (`str`): the label that it gets, right or wrong.
        is_noisy (`bool`): whether the given label is wrong.
        is_hard (`bool`): whether it is hard to recognise.
        hard_kind (`str`): one of `HARD_KINDS` or `"distracted"`; `""` if it is not hard.
        second_label (`str`): a second, weaker expression, blended in or elsewhere in the video; `""` if there is none.
        key_start, key_end (`int`, *optional*): the key expression shows in the frames `key_start` <= t < `key_end`,
            with onset and offset; `None` for neutral.
        num_frames (`int`): number of frames.
        intensity (`float`): strength of the key expression at its apex, 0..1.
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
    """A video that is not drawn yet.

    Attributes:
        truth ([`Truth`]): the truth about it.
        strengths (`numpy.ndarray` float64 (T, A)): strengths of `ACTION_UNITS`.
        other_strengths (`numpy.ndarray` float64 (T, A)): the same without the key expression.
        key (`numpy.ndarray` float64 (T,)): course of the key expression, 0..1.
        pose (`numpy.ndarray` float64 (T, 8)): columns of `faces.POSE`.
        identity, scene (`SimpleNamespace`): see [`~training.synthetic.faces.draw_faces`].
        sensor_key (`tuple` of `int`): seed of the sensor noise.
    """

    truth: Truth
    strengths: np.ndarray
    other_strengths: np.ndarray
    key: np.ndarray
    pose: np.ndarray
    identity: SimpleNamespace
    scene: SimpleNamespace
    sensor_key: tuple

    def render(self, size=64):
        """Draws the video: uint8 (T, 3, size, size), RGB."""
        sensor = np.random.default_rng(self.sensor_key)
        return draw_faces(self.identity, self.scene, self.strengths, self.pose, size, sensor)

    def render_apex(self, size=64):
        """Draws the frame with the key expression at its strongest, the middle frame if neutral: (3, size, size)."""
        apex = int(self.key.argmax()) if self.key.any() else self.truth.num_frames // 2
        return self.take(slice(apex, apex + 1)).render(size)[0]

    def without_key(self):
        """The same video without the key expression."""
        return dataclasses.replace(self, strengths=self.other_strengths)

    def take(self, frames):
        """The plan of some frames only (a slice or an index array)."""
        return dataclasses.replace(
            self,
            strengths=self.strengths[frames],
            other_strengths=self.other_strengths[frames],
            key=self.key[frames],
            pose=self.pose[frames],
        )


def plan_video(
    seed, index, *, hard=0.3, hard_kinds=None, num_frames=(24, 96), noise=None, noise_type="symmetric", noise_seed=None
):
    """Decides what happens in a video without drawing it, which is fast.

    Args:
        seed (`int`): seed of the dataset, at least 0.
        index (`int`): number of the video, at least 0. Seven videos in a row, from a multiple of 7, show the seven
            expressions. Every video shows another identity.
        hard (`float`, *optional*, defaults to 0.3): probability that the video is hard, 0..1. A video that is not hard
            with `hard=0.3` is the same with `hard=0`.
        hard_kinds (sequence of `str`, *optional*): the possible reasons, some of `HARD_KINDS`; all by default.
        num_frames (`tuple` of two `int`, *optional*, defaults to `(24, 96)`): least and greatest number of frames, at
            25 per second.
        noise, noise_type: share and kind of wrong labels, see [`~training.synthetic.labels.noise_matrix`];
            `noise_type` may also be its result.
        noise_seed (`int`, *optional*): seed of the wrong labels; `seed` by default.

    Returns:
        [`Plan`]: the plan of the video.

    Raises:
        ValueError: if an argument is out of range.
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

    label = _true_label(seed, index)
    given_label = _given_label(matrix, label, index, seed if noise_seed is None else noise_seed)
    identity, scene = make_identity(generator(_IDENTITY)), make_scene(generator(_SCENE))
    dice = generator(_HARD)
    is_hard = bool(_chance(seed, label, index // len(LABELS), _HARD) < hard)
    kind = _hard_kind(dice, kinds, label) if is_hard else ""
    length, key, intensity, strengths, other, second = plan_expressions(
        generator(_SCRIPT), dice, label, kind, num_frames
    )
    motion = generator(_MOTION)
    other = np.maximum(other, plan_blinks(motion, length))
    if motion.random() < 0.4:
        other = add_talk(motion, other)
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
    return Plan(truth, np.maximum(strengths, other), other, key, pose, identity, scene, (seed, index, _SENSOR))


def _true_label(seed, index):
    block = np.random.default_rng([seed, index // len(LABELS), _LABEL])
    return LABELS[block.permutation(len(LABELS))[index % len(LABELS)]]


def _given_label(matrix, label, index, seed):
    chance = _chance(seed, label, index // len(LABELS), _GIVEN)
    # The right label comes first: then shares of wrong labels such as 0.3 are met exactly by the tenths of `_chance`.
    order = np.roll(np.arange(len(LABELS)), -LABELS.index(label))
    cumulative = np.cumsum(matrix[LABELS.index(label)][order])
    return LABELS[order[np.searchsorted(cumulative, chance * cumulative[-1], side="right")]]


def _hard_kind(dice, kinds, label):
    chances = np.array([HARD_KINDS[name] for name in kinds])
    kind = kinds[dice.choice(len(kinds), p=chances / chances.sum())]
    return "distracted" if label == "neutral" and kind in ("brief", "weak", "blend") else kind


def render_video(seed, index, size=64, **options):
    """Draws a video.

    Args:
        seed, index (`int`): which video. The same numbers give the same bytes.
        size (`int`, *optional*, defaults to 64): height and width in pixels.
        options: options of [`plan_video`]: hard, hard_kinds, num_frames, noise, noise_type, noise_seed.

    Returns:
        `tuple`: RGB frames, 25 per second, `numpy.ndarray` uint8 (T, 3, size, size); and the [`Truth`] about them.
    """
    plan = plan_video(seed, index, **options)
    return plan.render(size), plan.truth


def make_truths(num_videos, seed, noise=None, noise_type="symmetric", hard=0.3, *, start=0, **options):
    """The truth about videos `start` .. `start + num_videos - 1`, without drawing them.

    Args:
        num_videos, start (`int`): which videos.
        seed, noise, noise_type, hard, options: see [`plan_video`].

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
    """A random number in [0, 1) for the `number`-th video of a class. Ten in a row, from a multiple of 10, have one in
    each tenth, so that the shares of wrong labels and of hard videos are close to those asked for.
    """
    generator = np.random.default_rng([seed, LABELS.index(label), number // group, purpose, group])
    chance = (generator.permutation(group)[number % group] + generator.random(group)[number % group]) / group
    return min(chance, 1 - 2.0**-53)  # the sum can be rounded up to 1
