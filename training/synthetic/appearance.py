# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Draws at random who is filmed (identity) and what is around the face (scene, occluder)."""

from types import SimpleNamespace

import numpy as np

# Action units (Ekman and Friesen 1978) that the renderer knows. 18 (lip pucker) is used only for talking.
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 18, 20, 23, 25, 26, 43)

# Lengths of a face: ranges of uniform draws, in face units (see `faces.py`).
GEOMETRY = {
    "face_w": (0.86, 1.02),
    "face_top": (1.22, 1.42),
    "chin": (1.12, 1.34),
    "jaw": (0.62, 0.95),
    "square": (0.0, 0.7),
    "eye_x": (0.35, 0.44),
    "eye_y": (-0.24, -0.12),
    "eye_w": (0.17, 0.235),
    "eye_open": (0.085, 0.13),
    "eye_tilt": (-0.12, 0.2),
    "iris": (0.08, 0.105),
    "crease": (0.03, 0.08),
    "brow_gap": (0.2, 0.29),
    "brow_thick": (0.022, 0.058),
    "brow_len": (0.38, 0.5),
    "brow_inner": (0.12, 0.2),
    "brow_arch": (0.0, 0.06),
    "brow_slope": (-0.05, 0.05),
    "nose_y": (0.26, 0.4),
    "nose_w": (0.12, 0.21),
    "nose_hook": (0.3, 1.0),
    "mouth_gap": (0.3, 0.41),
    "mouth_w": (0.25, 0.35),
    "mouth_x": (-0.02, 0.02),
    "mouth_curve": (-0.035, 0.035),
    "lip_up": (0.04, 0.085),
    "lip_low": (0.055, 0.11),
    "cupid": (0.1, 0.6),
    "age": (0.0, 1.0),
}

# From the lightest to the darkest, sRGB, 0..1. Skin tones are drawn anywhere between two neighbours.
SKIN = np.array(
    [
        (0.98, 0.87, 0.80),
        (0.94, 0.79, 0.68),
        (0.87, 0.69, 0.55),
        (0.77, 0.57, 0.42),
        (0.64, 0.45, 0.32),
        (0.51, 0.34, 0.24),
        (0.38, 0.25, 0.18),
        (0.29, 0.19, 0.14),
    ]
)
HAIR = np.array(
    [
        (0.06, 0.05, 0.05),
        (0.10, 0.07, 0.06),
        (0.22, 0.13, 0.08),
        (0.38, 0.24, 0.13),
        (0.80, 0.64, 0.38),
        (0.60, 0.26, 0.12),
        (0.58, 0.57, 0.56),
        (0.86, 0.85, 0.83),
    ]
)
IRIS = np.array([(0.20, 0.11, 0.06), (0.34, 0.20, 0.10), (0.25, 0.38, 0.22), (0.28, 0.42, 0.56), (0.42, 0.46, 0.48)])
HAIR_STYLES = ("bald", "short", "fringe", "long", "afro", "hat")
BEARDS = ("none", "none", "none", "none", "stubble", "moustache", "goatee", "full")

# Action units that a face may show at rest, with their strength.
RESTING = (
    {},
    {},
    {4: 0.3},
    {4: 0.2, 7: 0.3},
    {15: 0.35},
    {12: 0.3},
    {1: 0.3, 4: 0.15},
    {2: 0.35, 1: 0.2},
    {5: 0.3},
    {43: 0.3},
    {23: 0.35},
    {10: 0.2, 25: 0.25},
    {17: 0.35},
)


def make_identity(generator):
    """Draws an identity at random.

    Args:
        generator (`numpy.random.Generator`): source of all randomness.

    Returns:
        `SimpleNamespace`: the lengths of `GEOMETRY` (float, face units), colours `skin`, `lips`, `hair`, `brow`,
        `iris_colour` (float (3,), sRGB 0..1), `hair_style`, `beard`, `glasses` (str), `resting` and `asymmetry`
        (float (A,), in the order of `ACTION_UNITS`) and further drawing parameters.
    """
    low, high = np.array(list(GEOMETRY.values())).T
    identity = SimpleNamespace(**dict(zip(GEOMETRY, generator.uniform(low, high).tolist())))

    tone = generator.uniform(0, len(SKIN) - 1)
    i = min(int(tone), len(SKIN) - 2)
    skin = SKIN[i] + (SKIN[i + 1] - SKIN[i]) * (tone - i)
    identity.skin = np.clip(skin * generator.uniform(0.95, 1.05, 3), 0, 1)
    red = np.array([0.72, 0.36, 0.36]) if generator.random() < 0.75 else np.array([0.75, 0.15, 0.25])  # or lipstick
    identity.lips = identity.skin * 0.55 + 0.4 * red * (0.35 + 0.65 * identity.skin[0])
    # The darker the skin, the more often the hair is dark; a few have dyed hair.
    dark = generator.random() < 0.25 + 0.1 * tone
    hair = HAIR[generator.integers(2) if dark else generator.integers(len(HAIR))]
    if generator.random() < 0.04:
        hair = generator.uniform(0.1, 0.9, 3)
    identity.hair = np.clip(hair * generator.uniform(0.85, 1.15, 3), 0, 1)
    identity.brow = np.minimum(identity.hair * 0.75, identity.skin * generator.uniform(0.3, 0.62))
    identity.iris_colour = IRIS[generator.integers(2) if dark else generator.integers(len(IRIS))]
    identity.hair_style = HAIR_STYLES[generator.choice(6, p=[0.1, 0.28, 0.2, 0.24, 0.1, 0.08])]
    identity.hat = generator.uniform(0.05, 0.9, 3)
    identity.hairline = generator.uniform(-0.95, -0.68)
    identity.part = generator.uniform(-0.5, 0.5)
    identity.curls = generator.uniform(6, 16)
    identity.beard = BEARDS[generator.integers(len(BEARDS))]
    identity.beard_density = generator.uniform(0.5, 0.85)
    identity.glasses = "none"
    if generator.random() < 0.22:
        identity.glasses = ("round", "square")[generator.integers(2)]
    identity.frame_colour = (np.array([0.05, 0.05, 0.06]), np.array([0.4, 0.22, 0.1]), np.array([0.7, 0.65, 0.5]))[
        generator.integers(3)
    ]
    identity.lash = generator.uniform(0.012, 0.032)
    identity.blush = generator.uniform(0, 0.12)
    identity.moles = generator.uniform((-0.7, -0.9, 0.008), (0.7, 1.0, 0.03), (generator.integers(4), 3))
    identity.resting = np.zeros(len(ACTION_UNITS))
    for unit, strength in RESTING[generator.integers(len(RESTING))].items():
        identity.resting[ACTION_UNITS.index(unit)] = strength * generator.uniform(0.5, 1)
    identity.asymmetry = generator.uniform(-0.18, 0.18, len(ACTION_UNITS))
    return identity


def make_scene(generator):
    """Draws at random what is around a face and how it is filmed: light, background, clothes, camera.

    Args:
        generator (`numpy.random.Generator`): source of all randomness.

    Returns:
        `SimpleNamespace` for [`~training.synthetic.faces.draw_faces`]; `occluder` is None.
    """
    angle = generator.uniform(0, 2 * np.pi)
    side = generator.uniform(0, 0.8)
    return SimpleNamespace(
        light=np.array([side * np.cos(angle), side * np.sin(angle) - 0.25, 0.85]),
        ambient=generator.uniform(0.4, 0.8),
        tint=np.clip(1 + generator.uniform(-0.13, 0.13) * np.array([1, 0.1, -1]), 0, 2),
        exposure=generator.uniform(0.8, 1.2),
        contrast=generator.uniform(0.8, 1.15),
        wall=generator.uniform(0.05, 0.95, (2, 3)),
        clutter=[
            (generator.integers(2), *generator.uniform((-1, -1, 0.05, 0.05), (1, 1, 0.6, 0.6)), generator.random(3))
            for _ in range(generator.integers(2, 11))
        ],
        clothes=generator.uniform(0.03, 0.9, 3),
        blur=generator.uniform(0, 0.18),
        noise=generator.uniform(1, 8),
        occluder=None,
    )


def make_occluder(generator):
    """Draws at random what hides a part of a face: a box or disc, of the skin's or another colour, over the mouth, an
    eye or a side.

    Args:
        generator (`numpy.random.Generator`): source of all randomness.

    Returns:
        `SimpleNamespace`: centre and radii (face units), shape and colour, for `scene.occluder`.
    """
    where = generator.integers(3)
    side = 1 if generator.random() < 0.5 else -1
    centre = [(generator.uniform(-0.1, 0.1), 0.85), (side * 0.45, -0.3), (side * 0.85, 0.35)][where]
    radii = [(0.55, 0.3), (0.34, 0.3), (0.5, 0.8)][where]
    return SimpleNamespace(
        centre=np.array(centre) + generator.uniform(-0.06, 0.06, 2),
        radii=np.array(radii) * generator.uniform(0.85, 1.15, 2),
        box=generator.random() < 0.5,
        colour=generator.uniform(0.1, 0.9, 3) if generator.random() < 0.5 else None,
    )
