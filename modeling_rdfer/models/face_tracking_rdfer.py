# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Follows the faces of a video over time, chooses one or all of them, and crops them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from .face_detection_rdfer import RDFERFaceDetector, check_frames, detection_batches

# False alarms score 0.5 to 0.6, faces above 0.7.
_SURE_SCORE = 0.65
# Mean scores of a video's best faces: 0.86 to 0.96 where they lean by up to 45 degrees (also dark, blurred and noisy
# ones), 0.70 to 0.85 where they lie on their side, 0.66 to 0.76 where they are upside down.
_UPRIGHT_SCORE, _LEAST_GAIN = 0.87, 0.05


@dataclass
class FaceTrack:
    """One face followed through a video of T frames (ours).

    Attributes:
        boxes (`torch.Tensor` of shape `(T, 4)`): float32 x1, y1, x2, y2 in pixels for every frame, smoothed;
            interpolated between examined frames, constant before the first and after the last detection; may reach
            outside the frame.
        rolls (`torch.Tensor` of shape `(T,)`): float32, angles in radians by which the face leans, clockwise in the
            picture, in (-pi, pi]; 0 for an upright face, pi for one upside down. Smoothed like the boxes.
        yaws (`torch.Tensor` of shape `(T,)`): float32, angles in radians by which it is turned to the person's left
            (right if negative), roughly; 0 for a frontal face, pi / 2 for a profile. Smoothed like the boxes.
        examined (`torch.Tensor` of shape `(T,)`): bool, True for frames that the detector ran on.
        detected (`torch.Tensor` of shape `(T,)`): bool, True for frames in which it found this face.
        presence (`float`): share of the video's time in which the face is there, 0..1: examined frames with the face,
            each weighted by the time up to the examined frames beside it.
        score (`float`): mean detection score, 0..1.
    """

    boxes: torch.Tensor
    rolls: torch.Tensor
    yaws: torch.Tensor
    examined: torch.Tensor
    detected: torch.Tensor
    presence: float
    score: float

    def visible(self) -> torch.Tensor:
        """Tells for each frame whether the nearest examined frame shows the face: bool of shape `(T,)`."""
        examined = self.examined.nonzero().flatten()
        frames = torch.arange(len(self.examined))
        nearest = (frames[:, None] - examined).abs().argmin(1)
        return self.detected[examined[nearest]]


def detect_ahead(
    frames: torch.Tensor,
    positions: Iterable[int],
    detector: RDFERFaceDetector,
    model: Literal["auto", "front", "back"] = "auto",
    num_detections: int = 16,
) -> dict[int, torch.Tensor]:
    """Runs the detector on the frames that `track_faces` needs first, while the video is still being decoded (ours).

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, still being filled.
        positions (iterable of `int`): positions in `frames` that are filled, each given once, in any order.
        detector, model, num_detections: see `track_faces`.

    Returns:
        `dict[int, torch.Tensor]`: frame -> boxes, as `RDFERFaceDetector.detect` returns them; for `track_faces`.
    """
    net: Literal["front", "back"] = "back" if model == "back" else "front"
    batches = detection_batches(_first_frames(len(frames), num_detections), net)
    batch_of = {frame: batch for batch in batches for frame in batch}
    filled, detections = set(), {}
    for position in positions:
        filled.add(position)
        batch = batch_of.get(position)
        if batch and filled.issuperset(batch):
            detections.update(zip(batch, detector.detect(frames, net, batch)))
    return detections


def track_faces(
    frames: torch.Tensor,
    detector: RDFERFaceDetector,
    model: Literal["auto", "front", "back"] = "auto",
    num_detections: int = 16,
    max_detections: int = 64,
    steadiness: float = 0.08,
    detections: dict[int, torch.Tensor] | None = None,
    across_cuts: bool = True,
) -> list[FaceTrack]:
    """Finds the faces of a video and follows them, running the detector on a few frames only (ours).

    It examines `num_detections` frames, then bisects where a large face moved far, is missing or jumped between two of
    them. A face that jumps from one frame to the next (a cut) stays one track, whose box jumps. If four or more frames
    were examined, a face found in one of them only is dropped as a false alarm. If the faces found first are doubtful,
    it tries whether they are upright when the frames are turned, and detects in turned frames then.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255, one video in time order.
        detector (`RDFERFaceDetector`): the detector.
        model (`str`, *optional*, defaults to `"auto"`): net to use. `"auto"` runs the front net; the back net on
            frames in which the front net finds no certain face; and the back net everywhere if small faces appear
            there. It may miss a small face beside a large one. `"back"` finds all faces, five times slower.
        num_detections (`int`, *optional*, defaults to 16): number of frames to examine first, >= 1; in long videos one
            frame in 16.
        max_detections (`int`, *optional*, defaults to 64): largest number of frames to examine in a video of up to 256
            frames; longer videos get proportionally more.
        steadiness (`float`, *optional*, defaults to 0.08): how far the smoothed box may be from the detected one, in
            units of the face's size, and the angles in radians, >= 0.
        detections (`dict`, *optional*): frame -> boxes that are known, as `detect_ahead` returns them. Those of the
            other frames that were examined are added.
        across_cuts (`bool`, *optional*, defaults to `True`): whether a face that ends where another begins stays one
            track, whose box jumps; otherwise they are two.

    Returns:
        `list[FaceTrack]`: the largest persistent face (presence x size) first; empty if there is no face.

    Raises:
        ValueError: if `frames` is not uint8 of shape `(T, 3, H, W)`, `model` is unknown, or a number is out of range.
    """
    check_frames(frames)
    if model not in ("auto", "front", "back"):
        raise ValueError(f"model must be 'auto', 'front' or 'back', got {model!r}")
    if num_detections < 1 or max_detections < num_detections or steadiness < 0:
        raise ValueError(
            "expected 1 <= num_detections <= max_detections, steadiness >= 0: "
            f"{num_detections=}, {max_detections=}, {steadiness=}"
        )
    num_frames = len(frames)
    max_detections = max_detections * max(num_detections, num_frames // 16) // num_detections
    # Frame -> boxes found there: (n, 11) arrays, as NumPy takes a tenth of torch's time for so few numbers.
    found = {frame: boxes.numpy() for frame, boxes in (detections or {}).items()}
    first = _first_frames(num_frames, num_detections)
    net = _detect(frames, detector, model, first, found)
    quarter_turns = _find_turn(frames, detector, net, found)
    if quarter_turns:
        found = {}
        net = _detect(frames, detector, model, first, found, quarter_turns)
    while len(found) < max_detections:
        examined = sorted(found)
        unclear = [(p + q) // 2 for p, q in pairwise(examined) if q - p > 1 and _is_unclear(found[p], found[q])]
        if not unclear:
            break
        # If these are too many, an even choice is better than the first ones.
        step = -(-len(unclear) // (max_detections - len(found)))
        net = _detect(frames, detector, net, unclear[::step], found, quarter_turns)
    if detections is not None:
        detections.update((frame, torch.from_numpy(boxes)) for frame, boxes in found.items())
    return _make_tracks(found, num_frames, steadiness, across_cuts)


def choose_faces(tracks: list[FaceTrack], face: Literal["largest", "all"] | int) -> list[FaceTrack]:
    """Chooses faces of a video: the largest persistent one, all, or one by its number.

    Args:
        tracks (`list[FaceTrack]`): what `track_faces` returned.
        face (`"largest"`, `"all"` or `int`): which face; numbers count from 0, the largest face first.

    Returns:
        `list[FaceTrack]`: the chosen faces; empty if there is no such face.
    """
    if face == "all":
        return tracks
    number = 0 if face == "largest" else face
    return tracks[number : number + 1]


def crop_faces(
    frames: torch.Tensor,
    boxes: torch.Tensor,
    rolls: torch.Tensor,
    size: tuple[int, int] = (112, 112),
    margin: float = 1.3,
    shift_up: float = 0.12,
) -> torch.Tensor:
    """Cuts a square around the face out of each frame, turns it so that the face is upright, and resizes it (ours).

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255.
        boxes (`torch.Tensor` of shape `(T, 4)`): x1, y1, x2, y2 in pixels, one face in each frame; may reach outside.
        rolls (`torch.Tensor` of shape `(T,)`): angles in radians by which the faces lean, clockwise in the picture.
        size (`tuple[int, int]`, *optional*, defaults to `(112, 112)`): height and width of the crops in pixels, >= 1.
        margin (`float`, *optional*, defaults to 1.3): side of the square in units of the box's larger side, > 0;
            a quarter larger for a face that leans by 45 degrees, whose box is smaller.
        shift_up (`float`, *optional*, defaults to 0.12): how far the square is moved towards the top of the head, in
            units of the box's height.

    Returns:
        `torch.Tensor` of shape `(T, 3, height, width)`: uint8, never mirrored. Outside the frame its border pixels are
        repeated.

    Raises:
        ValueError: if a shape or type is wrong, or a box is not finite or has no area.
    """
    check_frames(frames)
    if boxes.shape != (len(frames), 4):
        raise ValueError(f"boxes must have shape ({len(frames)}, 4), one for each frame, got {tuple(boxes.shape)}")
    if rolls.shape != (len(frames),) or not rolls.isfinite().all():
        raise ValueError(f"rolls must be {len(frames)} finite angles, one for each frame, got {rolls}")
    boxes, rolls = boxes.detach().to("cpu", torch.float64), rolls.detach().to("cpu", torch.float64)
    if not (boxes.isfinite().all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError("boxes must be finite with x1 < x2 and y1 < y2")
    # Places in the picture are complex numbers, x + iy, since these turn when they are multiplied.
    width_height = (boxes[:, 2:] - boxes[:, :2]).numpy()
    centres = (boxes[:, :2] + boxes[:, 2:]).numpy() @ [0.5, 0.5j]
    axis = np.exp(1j * rolls.numpy())
    centres -= shift_up * width_height[:, 1] * 1j * axis
    # The detector's boxes of leaning faces are smaller, most at 45 degrees: 0.95 at 15, 0.84 at 30, 0.80 at 45.
    enlarged = margin * (1 + 0.25 * np.sin(2 * rolls.numpy()) ** 2)
    sides = np.maximum(width_height.max(1) * enlarged, 1)
    # The part of the frame around each turned square, with a pixel more on every side, from which is interpolated.
    height, width = frames.shape[-2:]
    reaches = sides * (abs(axis.real) + abs(axis.imag)) / 2 + 1
    lefts, rights = _clip(centres.real - reaches, centres.real + reaches, width)
    tops, bottoms = _clip(centres.imag - reaches, centres.imag + reaches, height)
    offsets = centres - ((lefts + rights) / 2 + 0.5j * (tops + bottoms))
    # Turning blurs a little: with 1.2 pixels for a pixel of the crop the result is as sharp as a reduced picture.
    reductions = np.minimum(1.2 * max(size) / sides, 1)
    # Affine maps from places in the crop, -0.5 to 0.5, to places in the part, -1 to 1 as `grid_sample` takes them.
    turns = np.stack([sides * axis, 1j * sides * axis, offsets], 1)
    maps = np.stack([turns.real * (2 / (rights - lefts))[:, None], turns.imag * (2 / (bottoms - tops))[:, None]], 2)
    maps = torch.from_numpy(maps).float().to(frames.device)
    down, across = ((torch.arange(n, device=frames.device) + 0.5) / n - 0.5 for n in size)
    places = torch.stack([across.expand(size), down[:, None].expand(size), torch.ones_like(across.expand(size))], 2)

    crops = frames.new_empty(len(frames), 3, *size)
    geometry = (values.tolist() for values in (lefts, rights, tops, bottoms, reductions))
    for i, (x1, x2, y1, y2, reduction) in enumerate(zip(*geometry)):
        part = frames[i : i + 1, :, y1:y2, x1:x2]
        if reduction < 0.87:
            reduced = math.ceil((y2 - y1) * reduction), math.ceil((x2 - x1) * reduction)
            # With the colours of a pixel beside each other this takes half the time.
            part = part.contiguous(memory_format=torch.channels_last)
            part = F.interpolate(part, reduced, mode="bilinear", antialias=True)
        # Outside of the part, thus of the frame, the border is repeated.
        grid = (places @ maps[i])[None]
        crop = F.grid_sample(part.float(), grid, padding_mode="border", align_corners=False)
        crops[i] = crop[0].add_(0.5)  # rounded
    return crops


def _clip(starts, ends, length):
    """Whole pixels that cover the ranges, as far as they are in 0..length, at least one: starts and ends."""
    starts = np.clip(np.floor(starts).astype(int), 0, length - 1)
    return starts, np.clip(np.ceil(ends).astype(int), starts + 1, length)


# Detecting -----------------------------------------------------------------------------------------------------------


def _first_frames(num_frames, num_detections):
    """Frames to examine first, evenly spread."""
    num_detections = min(num_frames, max(num_detections, num_frames // 16))
    return torch.linspace(0, num_frames - 1, num_detections, dtype=torch.float64).round().long().tolist()


def _detect(frames, detector, model, indices, found, quarter_turns=0):
    """Adds the faces of the frames `indices` to `found`, unless they are there; returns the model to continue with."""

    def detect(net, chunk):
        rows = detector.detect(frames, net, chunk, quarter_turns=quarter_turns)
        return {i: boxes.numpy() for i, boxes in zip(chunk, rows)}

    found.update(detect("front" if model == "auto" else model, [i for i in indices if i not in found]))
    if model != "auto":
        return model
    unsure = [i for i in indices if not (found[i][:, 4] > _SURE_SCORE).any()]
    found_by_back = {}
    # The back net is slow: if it finds nothing in every second one of these frames, the others count as empty too.
    for chunk in (unsure[::2], unsure[1::2]):
        found_by_back.update(detect("back", chunk))
        if not any(len(boxes) for boxes in found_by_back.values()):
            break
    found.update((i, found_by_back.get(i, np.empty((0, 11), np.float32))) for i in unsure)
    # The front net would find faces this small only now and then and break their tracks: use the back net everywhere.
    small = max(frames.shape[-2:]) / 6
    if any(((face_sides(boxes) < small) & (boxes[:, 4] > _SURE_SCORE)).any() for boxes in found_by_back.values()):
        found.update(detect("back", [i for i in found if i not in found_by_back]))
        return "back"
    return model


def _find_turn(frames, detector, model, found):
    """Quarter turns, counter-clockwise, after which the faces of the first examined frames are upright.

    The detector finds faces that lie or stand on their head, but with low scores, and takes the latter for upright.
    """
    with_face, least_gain = [i for i in sorted(found) if len(found[i])], _LEAST_GAIN
    if with_face:
        mean = np.mean([found[i][0] for i in with_face], 0)  # over the best face of each frame
        across, down = mean[7:9] - mean[5:7]  # from the right eye to the left one
        if abs(down) > 1.7 * across:  # it leans by more than 60 degrees
            least_gain = 0.0
        elif mean[4] > _UPRIGHT_SCORE:
            return 0
    # Four frames, spread over those with a face if there are any.
    candidates = with_face or sorted(found)
    tried = sorted({candidates[k * len(candidates) // 4] for k in range(4)})
    net = "back" if model == "back" or not with_face else "front"
    scores = [np.mean([found[i][:1, 4].sum() for i in tried])]
    for quarter_turns in (1, 2, 3):
        rows = detector.detect(frames, net, tried, quarter_turns=quarter_turns)
        scores.append(np.mean([row[:1, 4].sum() for row in rows]))
    best = int(np.argmax(scores))
    return best if scores[best] > max(_SURE_SCORE, scores[0] + least_gain) else 0


def _is_unclear(a, b):
    """Whether it is unclear what happened to the larger faces between two examined frames."""
    sides_a, sides_b = face_sides(a), face_sides(b)
    large = max(sides_a.max(initial=0), sides_b.max(initial=0)) / 2
    a, b = a[sides_a >= large], b[sides_b >= large]
    return not len(a) == len(b) == len(_match(a, b, max_distance=0.25, max_ratio=1.25))


def _match(a, b, max_distance=1.0, max_ratio=1.6):
    """Pairs boxes of two frames that can be the same face, the nearest first: list of (index in a, index in b)."""
    if not len(a) or not len(b):
        return []
    sides_a, sides_b = face_sides(a)[:, None], face_sides(b)
    side = np.minimum(sides_a, sides_b)
    ratio = np.maximum(sides_a, sides_b) / side
    offset = ((a[:, :2] + a[:, 2:4]) / 2)[:, None] - (b[:, :2] + b[:, 2:4]) / 2
    distance = np.hypot(offset[..., 0], offset[..., 1]) / side
    distance[(ratio > max_ratio) | (distance > max_distance)] = np.inf
    pairs = []
    for _ in range(min(len(a), len(b))):
        i, j = divmod(int(distance.argmin()), len(b))
        if distance[i, j] == np.inf:
            break
        pairs.append((i, j))
        distance[i], distance[:, j] = np.inf, np.inf
    return pairs


def face_sides(boxes: np.ndarray) -> np.ndarray:
    """Geometric mean of width and height of boxes `(n, 4+)`: `(n,)`."""
    return np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6))


# Making tracks -------------------------------------------------------------------------------------------------------


def _make_tracks(found, num_frames, steadiness, across_cuts):
    """Tracks from the boxes of the examined frames, the largest persistent face first."""
    examined = sorted(found)
    weights = dict(zip(examined, _time_weights(examined, num_frames)))
    tracks = []
    for segments in _link(found, across_cuts):
        times = [t for segment in segments for t, _ in segment]
        scores = [float(row[4]) for segment in segments for _, row in segment]
        if max(scores) < _SURE_SCORE or (len(times) == 1 and len(examined) > 3):
            continue
        is_examined, is_detected = torch.zeros(2, num_frames, dtype=torch.bool)
        is_examined[examined], is_detected[times] = True, True
        path = torch.from_numpy(_interpolate(segments, num_frames, steadiness))
        boxes, rolls, yaws = path[:, :4], path[:, 4], path[:, 5]
        presence = sum(weights[t] for t in times) / num_frames
        tracks.append(FaceTrack(boxes, rolls, yaws, is_examined, is_detected, presence, sum(scores) / len(scores)))
    return sorted(tracks, key=lambda track: -track.presence * face_sides(track.boxes[track.detected].numpy()).mean())


def _time_weights(examined, num_frames):
    """How many frames each examined frame stands for."""
    edges = [0.0] + [(p + q + 1) / 2 for p, q in pairwise(examined)] + [float(num_frames)]
    return [right - left for left, right in pairwise(edges)]


def _link(found, across_cuts):
    """Links segments over time: list of tracks, each a list of segments; the box jumps between two segments."""
    order = {t: n for n, t in enumerate(sorted(found))}
    tracks = []
    segments = _link_segments(found)
    for segment in sorted(segments, key=lambda segment: (segment[0][0], -face_sides(segment[0][1][None])[0])):
        start, row = segment[0]
        ended = [track for track in tracks if track[-1][-1][0] < start]
        rows = np.stack([track[-1][-1][1] for track in ended]) if ended else row[None][:0]
        # If one face ends and another begins in the next examined frame (a cut), the track jumps, from the largest.
        cut = [n for n, track in enumerate(ended) if across_cuts and order[track[-1][-1][0]] == order[start] - 1]
        if cut:
            ended[max(cut, key=face_sides(rows).__getitem__)].append(segment)
        elif back := _match(rows, row[None]):  # after a longer absence the face is back where it was
            ended[back[0][0]][-1].extend(segment)
        else:
            tracks.append([segment])
    return tracks


def _link_segments(found):
    """Links boxes of consecutive frames that can be the same face: list of segments, each a list of (frame, box)."""
    with_faces = [t for t in sorted(found) if len(found[t])]
    segments, last = [], []  # `last`: number in `with_faces` of each segment's newest box
    for n, t in enumerate(with_faces):
        # One miss while other faces are found is tolerated; frames without any face do not count.
        active = [k for k in range(len(segments)) if n - last[k] <= 2]
        rows = np.stack([segments[k][-1][1] for k in active]) if active else found[t][:0]
        pairs = {j: active[i] for i, j in _match(rows, found[t])}
        for j, row in enumerate(found[t]):
            k = pairs.get(j, len(segments))
            if k == len(segments):
                segments.append([])
                last.append(n)
            segments[k].append((t, row))
            last[k] = n
    return segments


def _interpolate(segments, num_frames, steadiness):
    """Box, roll and yaw of every frame from those of a track's segments, smoothed: float32 (num_frames, 6)."""
    starts = [0] + [(a[-1][0] + b[0][0] + 1) // 2 for a, b in pairwise(segments)] + [num_frames]
    parts = []
    for segment, start, stop in zip(segments, starts, starts[1:]):
        times = np.array([t for t, _ in segment])
        rows = np.stack([row for _, row in segment]).astype(np.float64)
        centres, sizes = (rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]
        # The logarithm of the size makes a zoom as smooth as a move; a unit vector has no jump where an angle has one.
        knots = np.concatenate([centres, np.log(np.maximum(sizes, 1e-3)), _pose(rows[:, 5:])], 1)
        frames = np.arange(start, stop)
        path = np.stack([np.interp(frames, times, values) for values in knots.T], 1)
        path = _smooth(path, max(1.0, (times[-1] - times[0]) / max(1, len(times) - 1)), steadiness)
        half, roll = np.exp(path[:, 2:4]) / 2, np.arctan2(path[:, 5], path[:, 4])
        parts.append(np.concatenate([path[:, :2] - half, path[:, :2] + half, roll[:, None], path[:, 6:]], 1))
    return np.concatenate(parts).astype(np.float32)


def _pose(key_points):
    """Cosine and sine of the roll, and the yaw in radians, from key points (n, 6) of the detector: (n, 3)."""
    right_eye, left_eye, nose = key_points[:, :2], key_points[:, 2:4], key_points[:, 4:]
    eyes = left_eye - right_eye
    distance = np.hypot(eyes[:, 0], eyes[:, 1])
    axis = eyes / np.maximum(distance, 1e-12)[:, None]
    # The nose stands out about as far as the eyes are from the middle: at 45 degrees it covers one of them.
    offset = ((nose - (right_eye + left_eye) / 2) * axis).sum(1)
    return np.concatenate([axis, np.arctan2(offset, distance / 2)[:, None]], 1)


def _smooth(path, step, steadiness):
    """Smooths a path (n, 7) of centre, log size and pose that was interpolated between detections `step` frames apart.

    Detections vary by a few per cent of the face and a few degrees: the path is averaged over three of them. If the
    average is further than `steadiness` from the detected path, the face really moves: the result follows it at that
    distance.
    """
    sigma = 1.5 * step
    radius = min(int(3 * sigma), 4096)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = path[np.clip(np.arange(-radius, len(path) + radius), 0, len(path) - 1)]
    smooth = np.stack([np.convolve(values, kernel, mode="valid") for values in padded.T], 1)
    unit = np.concatenate([np.exp(path[:, 2:4]), np.ones_like(path[:, 2:])], 1) * steadiness
    rest = path - smooth
    return smooth + np.sign(rest) * np.maximum(np.abs(rest) - unit, 0)


__all__ = ["FaceTrack", "choose_faces", "crop_faces", "detect_ahead", "face_sides", "track_faces"]
