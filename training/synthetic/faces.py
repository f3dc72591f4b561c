# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Draws synthetic parametric faces: an identity, whose face moves by action units, in a scene.

The faces are drawings. They say nothing about real faces.

Lengths are in face units: the face is about 2 wide, x to the right, y down, (0, 0) between the eyes and the nose.
Pixels are computed with + - * / sqrt min max floor only, which IEEE 754 defines to the last bit, so that the bytes of
a frame do not depend on the vector instructions of the processor.

In the drawing functions `me` is the identity, `a` has the mean strength of each action unit on both sides of the face,
and `b` that on one side, each (N, 1, 1) for N frames.
Source: ours; what an action unit does to a face follows the Facial Action Coding System (Ekman and Friesen 1978).
"""

import numpy as np

from .appearance import ACTION_UNITS
from .canvas import Canvas, cover, ellipse, soft, wave

POSE = ("yaw", "pitch", "roll", "shift_x", "shift_y", "scale", "gaze_x", "gaze_y")
# Half the side of the frame in face units at scale 1: the face fills the frame as in a crop by a face detector.
VIEW = 1.22
# Pixels of a channel that are drawn at once: a few arrays of this size stay in the processor's cache.
CHUNK_PIXELS = 40_000


def draw_faces(identity, scene, strengths, pose, size, generator):
    """Draws the frames of a video.

    Args:
        identity (`SimpleNamespace`): from [`~training.synthetic.appearance.make_identity`].
        scene (`SimpleNamespace`): from [`~training.synthetic.appearance.make_scene`].
        strengths (`numpy.ndarray` float (T, A)): strengths of `ACTION_UNITS`, 0 (relaxed) .. 1 (maximal). Those that
            the identity shows at rest are added here.
        pose (`numpy.ndarray` float (T, 8)): columns of `POSE`, in radians, face units, a factor and iris radii.
        size (`int`): height and width in pixels.
        generator (`numpy.random.Generator`): source of the sensor noise.

    Returns:
        `numpy.ndarray` uint8 (T, 3, size, size), RGB.
    """
    length = len(strengths)
    frames = np.empty((length, 3, size, size), np.uint8)
    background = _background(scene, size)
    # The stronger an expression, the less the face at rest shows.
    strengths = np.clip(identity.resting + strengths * (1 - 0.5 * identity.resting), 0, 1.15)
    step = max(1, CHUNK_PIXELS // size**2)
    for start in range(0, length, step):
        part = slice(start, min(start + step, length))
        frames[part] = _finish(_draw(identity, scene, strengths[part], pose[part], size, background), scene, generator)
    return frames


def _background(scene, size):
    s = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1)[None]
    x, y = s[:, None, :], s[:, :, None]
    wall = scene.wall.astype(np.float32)[:, :, None, None]
    image = np.repeat(wall[0] + (wall[1] - wall[0]) * (y * 0.5 + 0.5)[:, None], size, axis=3)
    px = np.float32(4 / size)  # a little out of focus
    for round_, cx, cy, rx, ry, colour in scene.clutter:
        cx, cy, rx, ry = (np.float32(value) for value in (cx, cy, rx, ry))
        if round_:
            distance = (np.sqrt(ellipse(x, y, cx, cy, rx, ry)) - 1) * min(rx, ry)
        else:
            distance = np.maximum(np.abs(x - cx) - rx, np.abs(y - cy) - ry)
        alpha = cover(distance, px)[:, None]
        image += alpha * (colour.astype(np.float32)[:, None, None] - image)
    return image


def _draw(me, scene, strengths, pose, size, background):
    """Frames without the effects of the camera, float32 (N, 3, size, size), 0..1."""
    mean = {unit: _column(strengths[:, i]) for i, unit in enumerate(ACTION_UNITS)}
    sides = {
        side: {unit: _column(strengths[:, i] * (1 + side * me.asymmetry[i])) for i, unit in enumerate(ACTION_UNITS)}
        for side in (-1, 1)
    }
    at = {name: pose[:, i] for i, name in enumerate(POSE)}
    yaw_sin, yaw_cos = _column(np.sin(at["yaw"])), _column(np.cos(at["yaw"]))
    pitch_sin, pitch_cos = _column(np.sin(at["pitch"])), _column(np.cos(at["pitch"]))
    x, y, px = _head_coordinates(at, size)
    u, v = _surface_coordinates(x, y, yaw_sin, yaw_cos, pitch_sin, pitch_cos)

    image = np.repeat(background, len(strengths), axis=0)
    back, face = Canvas(image, x, y, px), Canvas(image, u, v, px)
    head_distance = _head_distance(back, me, mean, yaw_sin)
    head = cover(head_distance, px)
    strands = 0.85 + 0.25 * wave(u * me.curls + v * 2.3) * wave(v * 3.7 - u)
    hair_colour = me.hair.astype(np.float32)[:, None, None] * strands[:, None]
    outline, lit = _draw_behind_face(back, me, scene, head_distance, head, hair_colour, yaw_cos)

    back.paint(head, me.skin)
    _draw_skin(face, me, mean, sides)
    for side in (-1, 1):
        _draw_eye(face, me, sides[side], side, _column(at["gaze_x"]), _column(at["gaze_y"]))
        _draw_brow(face, me, sides[side], mean, side)
    # The nose stands out from the face, so it moves further when the head turns.
    _draw_nose(face, me, mean, 0.22 * yaw_sin, 0.22 * pitch_sin)
    _draw_mouth(face, me, mean, sides)
    if me.beard != "none":
        _draw_beard(face, me, mean, head)
    _draw_moles(face, me)
    light = _light(back, me, scene)
    if me.hair_style != "bald":
        _draw_hair(face, me, outline, hair_colour)
    if me.glasses != "none":
        _draw_glasses(face, me, yaw_sin)
    image *= (1 + lit * (light - 1))[:, None] * np.asarray(scene.tint, np.float32)[:, None, None]
    if scene.occluder is not None:
        _draw_occluder(back, me, scene.occluder)
    return image


def _column(values):
    """One value for each frame, (N, 1, 1), to be combined with its pixels."""
    return np.asarray(values, np.float32)[:, None, None]


def _head_coordinates(at, size):
    """Coordinates x, y of the head seen from the front, for each pixel, and the width of a pixel in face units."""
    grid = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1) * np.float32(VIEW)
    px = _column(2 * VIEW / size / at["scale"])
    sx = (grid[None, None, :] - _column(at["shift_x"])) / _column(at["scale"])
    sy = (grid[None, :, None] - _column(at["shift_y"])) / _column(at["scale"])
    cos, sin = _column(np.cos(at["roll"])), _column(np.sin(at["roll"]))
    return sx * cos + sy * sin, sy * cos - sx * sin, px


def _surface_coordinates(x, y, yaw_sin, yaw_cos, pitch_sin, pitch_cos):
    """Coordinates u, v on the turned face, a paraboloid z(u, v): u cos(yaw) + z sin(yaw) = x, by fixed-point steps."""
    u, v = x, y
    for _ in range(3):
        z = 0.62 * np.maximum(1 - (u / 1.1) ** 2 - (v / 1.5) ** 2, 0)
        u, v = (x - z * yaw_sin) / yaw_cos, (y - z * pitch_sin) / pitch_cos
    return u, v


def _head_distance(back, me, mean, yaw_sin):
    """Distance from the outline of the head: an ellipse above, a jaw below that drops with the chin."""
    x, y = back.u, back.v
    chin = me.chin + 0.2 * mean[26] - 0.03 * mean[17]
    lower = np.clip(y / chin, 0, 1)
    width = me.face_w * (1 - (1 - me.jaw) * 0.55 * lower * lower)
    below = (y / chin) ** 2
    below = below * (1 - me.square) + below * below * me.square
    cx = 0.25 * yaw_sin * lower
    q = ((x - cx) / width) ** 2 + np.where(y < 0, (y / me.face_top) ** 2, below)
    return (np.sqrt(q) - 1) * 0.9


def _draw_behind_face(back, me, scene, head_distance, head, hair_colour, yaw_cos):
    """Draws hair, neck, clothes, ears. Returns the outline of hair and head, and the coverage of all that is lit."""
    x, y, px = back.u, back.v, back.px
    if me.hair_style == "bald":
        distance = head_distance
    elif me.hair_style == "long":
        distance = (np.sqrt(ellipse(x, y, 0, -0.35, 1.17, 1.22)) - 1) * 1.1
        distance = np.minimum(distance, np.maximum(np.abs(x) - 1.15, -0.3 - y))
    elif me.hair_style == "afro":
        distance = (np.sqrt(ellipse(x, y, 0, -0.5, 1.35, 1.25)) - 1) * 1.2
    else:
        distance = np.sqrt(ellipse(x, y, 0, -0.2, me.face_w * 1.08, me.face_top * 0.98)) - 1
        distance = np.maximum(distance, y - me.eye_y - 0.02)
    outline = np.maximum(cover(distance, px), head)
    if me.hair_style != "bald":
        back.paint(outline, hair_colour if me.hair_style != "hat" else me.hat)
    neck = cover(np.maximum(np.abs(x) - 0.55 * me.face_w, 0.6 - y), px)
    back.paint(neck, me.skin * 0.8)
    shirt = cover(1.38 + 0.25 * np.abs(x) - y - 0.3 * soft((x / 0.5) ** 2) * 0.5, px)
    back.paint(shirt, scene.clothes)
    lit = np.maximum(outline, np.maximum(neck, shirt))
    if me.hair_style != "long":
        for side in (-1, 1):
            q_ear = ellipse(x, y, side * me.face_w * yaw_cos, me.eye_y + 0.2, 0.13, 0.24)
            ear = cover((np.sqrt(q_ear) - 1) * 0.13, px)
            back.paint(ear, me.skin * 0.9)
            lit = np.maximum(lit, ear)
    # The chin throws a shadow on the neck.
    back.darken(0.35 * soft((np.maximum(head_distance, 0) / 0.25) ** 2) * neck * (1 - head))
    return outline, lit


def _draw_moles(face, me):
    for mole_u, mole_v, radius in me.moles:
        near = face.crop(mole_u - 0.1, mole_u + 0.1, mole_v - 0.1, mole_v + 0.1)
        if near is not None:
            distance = (np.sqrt(ellipse(near.u, near.v, mole_u, mole_v, radius, radius)) - 1) * radius
            near.darken(0.45 * cover(distance, face.px))


def _light(back, me, scene):
    """Light on the head: Lambert's law on an ellipsoid."""
    nx, ny = back.u * (0.85 / me.face_w), back.v * 0.55
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.04))
    lx, ly, lz = (np.float32(value) for value in scene.light)
    return scene.ambient + (1.05 - scene.ambient) * np.maximum(nx * lx + ny * ly + nz * lz, 0)


def _draw_occluder(back, me, occluder):
    x, y = back.u, back.v
    if occluder.box:
        distance = np.maximum(
            np.abs(x - occluder.centre[0]) - occluder.radii[0], np.abs(y - occluder.centre[1]) - occluder.radii[1]
        )
    else:
        q = ellipse(x, y, *occluder.centre.astype(np.float32), *occluder.radii.astype(np.float32))
        distance = (np.sqrt(q) - 1) * np.float32(occluder.radii.min())
    colour = me.skin * 0.85 if occluder.colour is None else occluder.colour
    back.paint(cover(distance, back.px), colour)


def _draw_skin(face, me, a, sides):
    """Relief of the skin: eye sockets, cheeks, forehead, folds between nose and mouth, chin."""
    u, v = face.u, face.v
    wrinkle = 0.55 + 0.45 * me.age
    for side in (-1, 1):
        b = sides[side]
        face.darken(0.16 * soft(ellipse(u, v, side * me.eye_x, me.eye_y - 0.05, 0.36, 0.26)))
        # 6 lifts and rounds the cheek, 12 fills it.
        cheek_y = me.eye_y + 0.5 - 0.1 * b[6] - 0.04 * b[12]
        full = 0.05 + 0.12 * b[6] + 0.05 * b[12]
        face.darken(-full * soft(ellipse(u, v, side * 0.52, cheek_y, 0.3, 0.2)))
        blush = (me.blush * soft(ellipse(u, v, side * 0.55, cheek_y + 0.02, 0.3, 0.24)))[:, None]
        face.image *= 1 - blush * np.array([0, 0.8, 0.6], np.float32)[:, None, None]
        # Fold from the wing of the nose to the corner of the mouth.
        top = me.nose_y - 0.05 * b[9]
        bottom = me.nose_y + me.mouth_gap + 0.02 - 0.1 * b[12]
        near = face.crop(*sorted((side * 0.08, side * 0.85)), top - 0.12, me.nose_y + me.mouth_gap + 0.15)
        if near is not None:
            t = (near.v - top) / (bottom - top)
            reach = me.mouth_w * 0.95 + 0.1 + 0.12 * b[12] + 0.06 * b[20]
            curve = me.nose_w * 1.05 + (reach - me.nose_w) * np.clip(t, 0, 1) * (0.75 + 0.25 * np.clip(t, 0, 1))
            strength = 0.04 + 0.12 * me.age + wrinkle * (0.26 * b[12] + 0.3 * b[9] + 0.25 * b[10] + 0.1 * b[15])
            distance = (near.u * side - curve) / 0.055
            near.darken(np.minimum(strength, 0.5) * soft(distance**2) * soft(((t - 0.45) / 0.75) ** 2))
    # Forehead: 1 folds its middle, 2 its sides.
    near = face.crop(-0.75, 0.75, me.eye_y - 0.75, me.eye_y - 0.2)
    if near is not None:
        brow = me.eye_y - me.brow_gap - 0.1 * a[1]
        folds = wrinkle * (
            0.22 * a[1] * soft((near.u / 0.45) ** 2)
            + 0.26 * a[2] * (0.35 + soft(((np.abs(near.u) - 0.42) / 0.4) ** 2)) * soft((near.u / 0.85) ** 2)
        )
        for i in range(3):
            height = brow - 0.14 - 0.11 * i + 0.04 * near.u**2
            near.darken((0.03 * me.age + folds) * soft(((near.v - height) / 0.035) ** 2) * soft((near.u / 0.8) ** 2))
    # Chin: 17 pushes it up and dimples it; the hollow under the lower lip.
    chin_y = me.nose_y + me.mouth_gap + 0.3 + 0.16 * a[26] - 0.04 * a[17]
    hollow = 0.1 + 0.16 * a[17]
    face.darken(hollow * soft(ellipse(u, v, me.mouth_x, chin_y - 0.08, 0.26, 0.06)))
    face.darken(-(0.04 + 0.08 * a[17]) * soft(ellipse(u, v, me.mouth_x, chin_y + 0.08, 0.22, 0.14)))


def _draw_eye(face, me, a, side, gaze_x, gaze_y):
    face = face.crop(*sorted((side * (me.eye_x - 0.36), side * (me.eye_x + 0.48))), me.eye_y - 0.36, me.eye_y + 0.42)
    if face is None:
        return
    px = face.px
    t = (face.u * side - me.eye_x) / me.eye_w  # -1 inner corner, 1 outer corner
    w = face.v - me.eye_y + me.eye_tilt * t * me.eye_w
    # 5 lifts the upper lid; 7 and 6 push the lower one up; 43 lets the upper one down to it.
    upper = me.eye_open * (1 + 0.75 * a[5] - 0.3 * a[7] * (1 - a[5]) - 0.2 * a[6] - 0.25 * a[9])
    lower = me.eye_open * (0.62 + 0.1 * a[5] - 0.42 * a[7] - 0.5 * a[6] - 0.25 * a[9] - 0.1 * a[12])
    closed = np.minimum(a[43], 1)
    upper = upper * (1 - closed) - lower * closed
    arch = 1 - t * t
    top, bottom = -upper * arch * (1 - 0.15 * t), lower * arch
    eye = cover(np.maximum(np.maximum(top - w, w - bottom) * 0.92, (np.abs(t) - 1) * me.eye_w), px)

    face.paint(eye, (0.93, 0.91, 0.89))
    face.paint(eye * 0.35 * soft(((w - top) / 0.06) ** 2), (0.35, 0.3, 0.3))  # the lid's shadow
    cx = me.eye_x + side * gaze_x * me.iris
    cy = -0.02 + gaze_y * me.iris
    r = np.sqrt((face.u * side - cx) ** 2 + (w + 0.012 - cy) ** 2)
    face.paint(eye * cover(r - me.iris, px), me.iris_colour * 0.75)
    face.paint(eye * cover(r - me.iris * 0.75, px), me.iris_colour * 1.2)
    face.paint(eye * cover(r - me.iris * 0.42, px), (0.02, 0.02, 0.02))
    glint = ellipse(face.u, w, side * cx + 0.03, cy - 0.045, 0.022, 0.022)
    face.paint(eye * cover((np.sqrt(glint) - 1) * 0.022, px), (1, 1, 1))

    # Lids: lashes above, a thin rim below, the crease of the upper lid, bags.
    within = soft(np.maximum(np.abs(t) - 0.75, 0) ** 2 / 0.09)
    slope = 2 * t * upper / me.eye_w
    lash = cover(np.abs(w - top) / np.sqrt(1 + slope * slope) - me.lash, px) * within
    face.paint(lash * 0.85, (0.08, 0.05, 0.05))
    face.darken(0.4 * soft(((w - bottom - 0.01) / 0.022) ** 2) * within)
    crease = top - me.crease * (1 - 0.6 * a[5]) * (1 + 0.5 * closed)
    face.darken(0.28 * soft(((w - crease) / 0.025) ** 2) * within)
    # 6 and 7 fold the skin below the eye; 6 makes crow's feet.
    wrinkle = 0.6 + 0.4 * me.age
    below = bottom + 0.07 - 0.02 * a[7]
    strength = 0.07 * me.age + wrinkle * (0.3 * a[6] + 0.22 * a[7] + 0.14 * a[9])
    face.darken(strength * soft(((w - below) / 0.035) ** 2) * soft((t / 1.25) ** 2))
    out = (t - 1.15) * me.eye_w
    for lean in (-0.5, 0.0, 0.5):
        feet = np.abs(w - lean * out) / 0.02
        face.darken(wrinkle * 0.28 * a[6] * soft(feet**2) * soft(((out - 0.1) / 0.1) ** 2))


def _draw_brow(face, me, a, mean, side):
    face = face.crop(*sorted((-side * 0.14, side * 0.95)), me.eye_y - 0.72, me.eye_y + 0.12)
    if face is None:
        return
    x = face.u * side
    base = me.eye_y - me.brow_gap
    # 1 lifts the inner end, 2 the outer; 4 lowers and draws together, but where 1 acts it only draws together.
    knit = a[4] * (1 - 0.85 * np.minimum(a[1], 1))
    inner = base - me.brow_slope - 0.16 * a[1] + 0.15 * knit + 0.05 * a[9] - 0.03 * a[2]
    outer = base + me.brow_slope - 0.17 * a[2] + 0.06 * a[4] + 0.035 * a[9]
    arch = me.brow_arch + 0.06 * a[2] * (1 - 0.5 * a[4]) - 0.025 * knit
    start = me.brow_inner * (1 - 0.38 * a[4] - 0.1 * a[9])
    t = (x - start) / (me.brow_len + me.brow_inner - start)
    c = np.clip(t, 0, 1)
    curve = inner + (outer - inner) * c - arch * 4 * c * (1 - c)
    slope = ((outer - inner) - arch * 4 * (1 - 2 * c)) / me.brow_len
    thick = me.brow_thick * (1.1 - 0.6 * c * c)
    distance = np.sqrt(((face.v - curve) ** 2) / (1 + slope * slope) + ((t - c) * me.brow_len) ** 2) - thick
    face.paint(cover(distance, face.px) * 0.92, me.brow)
    # Furrow beside the root of the nose.
    wrinkle = 0.6 + 0.4 * me.age
    furrow = soft(((x - 0.055) / 0.032) ** 2) * soft(((face.v - inner - 0.02) / 0.15) ** 2)
    face.darken(wrinkle * 0.42 * a[4] * furrow)
    # A lowered brow shades the eye.
    face.darken(0.2 * knit * soft(ellipse(x, face.v, me.eye_x - 0.08, inner + 0.1, 0.24, 0.09)))


def _draw_nose(face, me, a, shift_x, shift_y):
    face = face.crop(-0.62, 0.62, me.eye_y - 0.25, me.nose_y + 0.28)
    if face is None:
        return
    px = face.px
    tip = me.nose_y - 0.055 * a[9] - 0.02 * a[10]
    along = np.clip((face.v - me.eye_y) / (tip - me.eye_y), 0, 1)
    u, v = face.u - shift_x * along, face.v - shift_y * along
    length = soft(((v - (me.eye_y + 0.7 * (tip - me.eye_y))) / (tip - me.eye_y)) ** 2)
    ridge = 0.055 + 0.03 * along
    face.darken(-0.13 * me.nose_hook * soft((u / ridge) ** 2) * length)
    for side in (-1, 1):
        face.darken(0.17 * me.nose_hook * soft(((u * side - ridge - 0.045) / 0.07) ** 2) * length)
    wide = me.nose_w * (1 + 0.2 * a[9] + 0.08 * a[10] + 0.07 * a[12])
    face.darken(-0.12 * soft(ellipse(u, v, 0, tip - 0.04, 0.09, 0.08)))
    face.darken(0.22 * soft(ellipse(u, v, 0, tip + 0.065, wide * 1.0, 0.06)))
    for side in (-1, 1):
        wing = np.abs(np.sqrt(ellipse(u, v, side * wide * 0.62, tip - 0.01, wide * 0.42, 0.1)) - 1)
        outside = soft(((u * side - wide * 1.02) / (wide * 0.4)) ** 2)
        face.darken((0.3 + 0.12 * a[9]) * soft((wing / 0.35) ** 2) * outside)
        hole = ellipse(u, v, side * wide * 0.45, tip + 0.04, wide * 0.28, 0.028 + 0.008 * a[9])
        face.darken(0.72 * cover((np.sqrt(hole) - 1) * 0.03, px))
    # 9 wrinkles the root and the sides of the nose.
    wrinkle = 0.7 + 0.3 * me.age
    for i in range(3):
        height = me.eye_y + 0.02 + 0.085 * i + 0.35 * np.abs(u)
        face.darken(wrinkle * 0.4 * a[9] * soft(((v - height) / 0.03) ** 2) * soft((u / 0.24) ** 2))


def _draw_mouth(face, me, a, sides):
    face = face.crop(-0.85, 0.85, me.nose_y + 0.04, me.nose_y + me.mouth_gap + 0.72)
    if face is None:
        return
    px = face.px
    u, v = face.u - me.mouth_x, face.v

    # Corners: 12 pulls them out and up, 15 down, 20 sideways, 23 and 18 together; the jaw narrows the mouth.
    half, lift = {}, {}
    for side, b in sides.items():
        half[side] = me.mouth_w * (1 + 0.34 * b[12] + 0.32 * b[20] - 0.22 * b[23] - 0.35 * b[18] - 0.14 * b[26])
        lift[side] = me.mouth_curve + 0.17 * b[12] - 0.15 * b[15] - 0.05 * b[20] - 0.02 * b[10]
    right = u > 0
    t = u / np.where(right, half[1], half[-1])
    lifted = np.where(right, lift[1], lift[-1])
    c = np.minimum(np.abs(t), 1)
    arch = 1 - c * c
    corner = lifted * c * (0.35 + 0.65 * c)
    centre = me.nose_y + me.mouth_gap + 0.05 * a[12] - 0.035 * a[17] - 0.03 * a[15] + 0.02 * a[26]

    # Lips: how far each goes from the line of the mouth, and how thick it stays.
    part = np.maximum(a[25], a[26])
    up = 0.035 * a[25] + 0.03 * a[26] + 0.085 * a[10] + 0.05 * a[9] + 0.02 * a[12] * part
    down = 0.05 * a[25] + 0.25 * a[26] + 0.075 * a[16] + 0.025 * a[20] * part - 0.05 * a[17]
    parted = np.minimum(1, part * 3 + a[16] * 2 + 0.5 * a[10])
    up_gap = up * (0.25 + 0.75 * parted) * arch
    down_gap = np.maximum(down, 0) * parted * arch * (1 + 0.25 * arch)
    tight = 1 - 0.62 * a[23]
    upper = me.lip_up * tight * (1 - 0.3 * a[12] - 0.2 * a[20] + 0.45 * a[18] - 0.15 * a[10])
    lower = me.lip_low * tight * (1 - 0.15 * a[12] - 0.2 * a[20] + 0.4 * a[18] - 0.25 * a[15] + 0.1 * a[16])
    bow = 1 - me.cupid * 0.45 * soft((t / 0.3) ** 2)
    line = centre - corner
    raised = up * (1 - parted) * 0.75 * arch  # closed lips rise as a whole
    in_top, in_bottom = line - up_gap - raised, line + down_gap - raised
    out_top, out_bottom = in_top - upper * np.sqrt(arch) * bow, in_bottom + lower * np.sqrt(arch)
    ends = (np.abs(t) - 1) * me.mouth_w

    # Shade above and below the lips, corners that dig in.
    face.darken(0.1 * soft(((u) / 0.045) ** 2) * soft(((v - out_top + 0.09) / 0.1) ** 2))
    face.darken(0.2 * soft(((v - out_bottom - 0.035) / 0.06) ** 2) * arch)
    for side, b in sides.items():
        cx, cy = half[side] * side, centre - lift[side]
        dig = 0.22 + 0.25 * b[12] + 0.25 * b[15] + 0.12 * b[20] + 0.1 * b[23]
        face.darken(dig * soft(ellipse(u, v, cx, cy, 0.07, 0.065)))
        # 15 draws a crease down from the corner.
        crease = soft(((u * side - half[side] - 0.03 - 0.35 * (v - cy)) / 0.035) ** 2)
        face.darken(0.35 * b[15] * crease * soft(((v - cy - 0.09) / 0.13) ** 2))

    lips = cover(np.maximum(np.maximum(out_top - v, v - out_bottom), ends), px)
    face.paint(lips, me.lips)
    face.darken(0.18 * lips * cover(v - line + raised, px))  # the upper lip faces down
    face.darken(-0.16 * lips * soft(ellipse(u, v - in_bottom, 0, lower * 0.5, me.mouth_w * 0.5, 0.03)))

    # Inside: dark, tongue, teeth.
    inner = cover(np.maximum(np.maximum(in_top - v, v - in_bottom), ends), px)
    opened = inner * np.minimum((in_bottom - in_top) / 0.03, 1)
    face.paint(opened, (0.16, 0.05, 0.05))
    tongue = soft(ellipse(u, v, 0, in_bottom + 0.02, me.mouth_w * 0.75, 0.13))
    face.paint(opened * np.minimum(tongue * 1.6, 0.9), (0.62, 0.28, 0.28))
    upper_teeth = 0.02 + 0.06 * a[12] + 0.05 * a[10] + 0.03 * a[20] + 0.02 * a[25] + 0.03 * a[9]
    teeth = cover(np.maximum(v - in_top - upper_teeth * (0.3 + 0.7 * arch), np.abs(t) - 0.86), px)
    face.paint(opened * teeth, (0.93, 0.91, 0.86))
    lower_teeth = 0.06 * a[16] + 0.035 * a[20]
    teeth = cover(np.maximum(in_bottom - lower_teeth * arch - v, np.abs(t) - 0.8), px) * np.minimum(
        lower_teeth * 60, 1
    )
    face.paint(opened * teeth, (0.88, 0.86, 0.8))
    # The line between closed lips.
    slope = lifted * (0.35 + 1.3 * c) / me.mouth_w
    closed = cover(np.abs(v - in_top) / np.sqrt(1 + slope * slope) - 0.012, px) * cover(ends, px)
    face.paint(closed * (1 - opened) * 0.75, me.lips * 0.3)


def _draw_beard(face, me, a, head):
    u, v = face.u, face.v
    mouth = me.nose_y + me.mouth_gap
    wide = me.mouth_w * (1 + 0.3 * a[12])
    outside_lips = 1 - soft(ellipse(u, v, 0, mouth + 0.06 * a[26], wide * 1.25, 0.19 + 0.12 * a[26]))
    if me.beard in ("full", "stubble"):
        edge = mouth - 0.2 - 0.45 * np.maximum(np.abs(u) - 0.3, 0)
        area = np.clip((v - edge) / 0.12, 0, 1)
    elif me.beard == "goatee":
        drop = 0.16 * a[26]
        area = np.minimum(2 * soft(ellipse(u, v, me.mouth_x, mouth + 0.36 + drop, 0.3, 0.3)), 1)
    else:
        area = np.zeros_like(u)
    if me.beard in ("full", "goatee", "moustache"):
        top = mouth - 0.17 + 0.35 * u * u - 0.05 * a[9] - 0.07 * a[10] - 0.3 * a[12] * u * u
        moustache = np.clip((0.055 - np.abs(v - top)) / 0.03, 0, 1) * np.clip((wide * 1.1 - np.abs(u)) / 0.05, 0, 1)
        area = np.maximum(area * outside_lips, moustache)
    else:
        area = area * outside_lips
    density = 0.3 if me.beard == "stubble" else me.beard_density
    grain = 0.7 + 0.3 * wave(u * 17 + v * 6.1) * wave(u * 12.7 - v * 7.3)
    face.paint(area * head * density * grain, me.hair * 0.85)


def _draw_hair(face, me, outline, colour):
    u, v, px = face.u, face.v, face.px
    if me.hair_style == "hat":
        edge = me.hairline + 0.08 + 0.05 * u * u
        face.paint(outline * cover(v - edge, px), me.hat)
        face.paint(outline * cover(np.abs(v - edge + 0.07) - 0.05, px), me.hat * 0.6)
        return
    line = me.hairline + (0.35 if me.hair_style != "afro" else 0.2) * (u - me.part * 0.4) ** 2
    if me.hair_style == "fringe":
        line = line + 0.17 + 0.1 * (u - me.part) + 0.05 * wave(u * 2.7 + 0.3)
    else:
        line = line + 0.03 * wave(u * 3.1)
    # Temples: the hair comes down at the sides.
    down = me.eye_y + (0.12 if me.hair_style != "long" else 2.0)
    rim = np.maximum(0.93 * me.face_w + 0.05 * v - np.abs(u), v - down)
    distance = np.minimum(v - line, rim)
    face.paint(outline * cover(distance, px), colour)


def _draw_glasses(face, me, yaw_sin):
    face = face.crop(-1.1, 1.1, me.eye_y - 0.45, me.eye_y + 0.5)
    if face is None:
        return
    px = face.px
    u, v = face.u - 0.1 * yaw_sin, face.v - me.eye_y - 0.04
    x = np.abs(u)
    if me.glasses == "round":
        distance = (np.sqrt(ellipse(x, v, me.eye_x + 0.01, 0, 0.3, 0.25)) - 1) * 0.27
    else:
        dx, dy = np.maximum(np.abs(x - me.eye_x - 0.01) - 0.24, 0), np.maximum(np.abs(v) - 0.15, 0)
        distance = np.sqrt(dx * dx + dy * dy) - 0.07
    face.paint(cover(distance, px) * 0.08, (1, 1, 1))
    rim = np.abs(distance) - 0.018
    bridge = np.maximum(np.abs(v + 0.06) - 0.016, x - me.eye_x + 0.26)
    arm = np.maximum(np.abs(v + 0.06) - 0.02, me.eye_x + 0.29 - x)
    face.paint(cover(np.minimum(np.minimum(rim, bridge), arm), px) * 0.92, me.frame_colour)


def _finish(image, scene, generator):
    """Effects of the camera: exposure, contrast, blur, sensor noise, 8 bits."""
    image = (image * scene.exposure - 0.5) * scene.contrast + 0.5
    np.clip(image, 0, 1, out=image)
    b = np.float32(scene.blur)
    for axis in (2, 3):
        image = np.moveaxis(image, axis, -1)
        inner = image.copy()
        inner[..., 1:-1] += b * (image[..., :-2] + image[..., 2:] - 2 * image[..., 1:-1])
        image = np.moveaxis(inner, -1, axis)
    # Triangular noise from random bytes. Its standard deviation is 0.41 * scene.noise levels.
    dice = generator.integers(0, 256, (2, *image.shape), np.uint8).astype(np.float32)
    image = image * 255 + (dice[0] + dice[1] - 255) * np.float32(scene.noise / 255)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
