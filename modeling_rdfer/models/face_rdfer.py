# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Finds the faces of a video, follows them over time and crops them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torchvision.ops import batched_nms
from torchvision.transforms.v2 import functional as tvF

# False alarms score 0.5 to 0.6, faces above 0.7.
_SURE = 0.65


class _BlazeBlock(nn.Module):
    """Depthwise and pointwise convolution with a shortcut; `stride=2` halves the map (MediaPipe BlazeFace)."""

    def __init__(self, in_channels, out_channels, stride=1, residual=True):
        super().__init__()
        self.stride, self.residual = stride, residual
        self.dw = nn.Conv2d(in_channels, in_channels, 3, stride, padding=2 - stride, groups=in_channels, bias=False)
        self.pw = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        # TensorFlow's SAME with stride 2 on an even size pads below and at the right only.
        out = self.pw(self.dw(F.pad(x, (0, 1, 0, 1)) if self.stride == 2 else x))
        if self.residual:
            shortcut = F.max_pool2d(x, 2) if self.stride == 2 else x
            out[:, : shortcut.shape[1]] += shortcut  # new channels have none
        return F.relu_(out)


class _BlazeFace(nn.Module):
    """One BlazeFace net: images (N, 3, size, size) -> score logits (N, 896), raw boxes (N, 896, 16) (MediaPipe)."""

    def __init__(self, size, channels1, strided1, channels2, residual2):
        super().__init__()
        self.size = size
        self.stem = nn.Conv2d(3, channels1[0], 5, 2)
        pairs1, pairs2 = pairwise(channels1), pairwise(channels2)
        self.b1 = nn.Sequential(*[_BlazeBlock(i, o, 1 + (n in strided1)) for n, (i, o) in enumerate(pairs1)])
        self.b2 = nn.Sequential(*[_BlazeBlock(i, o, 1 + (n == 0), residual2) for n, (i, o) in enumerate(pairs2)])
        self.c1, self.r1 = (nn.Conv2d(channels1[-1], 2, 1), nn.Conv2d(channels1[-1], 2 * 16, 1))
        self.c2, self.r2 = (nn.Conv2d(channels2[-1], 6, 1), nn.Conv2d(channels2[-1], 6 * 16, 1))

    def forward(self, images):
        map1 = self.b1(F.relu_(self.stem(F.pad(images, (1, 2, 1, 2)))))
        map2 = self.b2(map1)
        logits = [self.c1(map1), self.c2(map2)]
        boxes = [self.r1(map1), self.r2(map2)]
        return (
            torch.cat([x.permute(0, 2, 3, 1).reshape(len(images), -1) for x in logits], 1),
            torch.cat([x.permute(0, 2, 3, 1).reshape(len(images), -1, 16) for x in boxes], 1),
        )


class RDFERFaceDetector(nn.Module):
    """Face detector: the two BlazeFace nets of Google MediaPipe (Apache-2.0), float32, without training code.

    `front` (128 pixels, about 2.5 ms a frame) finds faces down to about a seventh of the frame's longer side, `back`
    (256 pixels, about 15 ms a frame) down to about a twentieth. Build it with `from_file`.
    """

    def __init__(self):
        super().__init__()
        self.front = _BlazeFace(128, [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88], (2, 5), [88] + [96] * 5, True)
        self.back = _BlazeFace(256, [24] * 16 + [48] * 8 + [96] * 8, (7, 15, 23), [96, 96], False)
        cells = [
            (grid, x, y) for grid, n in ((16, 2), (8, 6)) for y in range(grid) for x in range(grid) for _ in range(n)
        ]
        centres = torch.tensor([((x + 0.5) / grid, (y + 0.5) / grid) for grid, x, y in cells])
        self.register_buffer("_anchors", centres, persistent=False)

    @classmethod
    def from_file(cls, path):
        """Loads the detector's weights.

        Args:
            path (`str` or `os.PathLike`): safetensors file with the tensors of both nets, prefixed `front.` and
                `back.`; float16 or float32 (the originals fit in float16 without loss; computing is in float32).

        Returns:
            `RDFERFaceDetector` in eval mode, on the CPU.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file's tensors are not those of the two nets.

        Source: ours.
        """
        detector = cls()
        try:
            detector.load_state_dict(load_file(path))  # copies into float32 parameters
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(f"{path} does not hold the tensors of the face detector: {error}") from None
        # Channels last is twice as fast for these thin depthwise nets.
        return detector.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def detect(self, frames, model: Literal["front", "back"] = "front", indices=None, min_score=0.5, max_overlap=0.3):
        """Finds the faces of each frame.

        Args:
            frames (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB, 0..255, any size.
            model (`str`): net to use, "front" (fast, large faces) or "back" (slow, small faces too).
            indices (sequence of `int`, *optional*): look at these frames only; default: all.
            min_score (`float`): lowest score of a face, 0..1.
            max_overlap (`float`): of two boxes with an intersection over union above this the better one stays, 0..1.

        Returns:
            list with, for each looked-at frame, a float32 CPU tensor of shape `(n, 5)`: x1, y1, x2, y2 in pixels of
            the frame (a face cut by the border reaches outside it), score 0..1; best score first, `n` may be 0.

        Raises:
            ValueError: `frames` is not uint8 of shape `(N, 3, H, W)`, or `model` is unknown.

        Source: MediaPipe BlazeFace (anchors, decoding); plain non-maximum suppression instead of its blending.
        """
        _check_frames(frames)
        if model not in ("front", "back"):
            raise ValueError(f"model must be 'front' or 'back', got {model!r}")
        net = getattr(self, model)
        indices = list(range(len(frames)) if indices is None else indices)
        height, width = frames.shape[-2:]
        # Fitting into the square before padding equals padding first, and costs less.
        fit_h, fit_w = (max(1, round(side * net.size / max(height, width))) for side in (height, width))
        scale = self._anchors.new_tensor([width / fit_w, height / fit_h] * 2)
        found = []
        for chunk in _batches(indices, model):
            small = [tvF.resize(frames[i], [fit_h, fit_w], antialias=True) for i in chunk]
            images = F.pad(torch.stack(small), (0, net.size - fit_w, 0, net.size - fit_h)).to(self._anchors.device)
            with torch.inference_mode():
                logits, raw = net((images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
            scores = logits.sigmoid()
            frame, anchor = torch.nonzero(scores > min_score, as_tuple=True)
            centre = raw[frame, anchor, :2] + self._anchors[anchor] * net.size
            half = raw[frame, anchor, 2:4] / 2
            boxes, scores = torch.cat([centre - half, centre + half], 1), scores[frame, anchor]
            rows = torch.cat([boxes * scale, scores[:, None]], 1)
            keep = batched_nms(boxes, scores, frame, max_overlap)
            rows, frame = rows[keep].cpu(), frame[keep].cpu()
            found += [rows[frame == i] for i in range(len(small))]
        return found


@dataclass
class FaceTrack:
    """One face followed through a video of T frames (ours).

    Attributes:
        boxes (`torch.Tensor` of shape `(T, 4)`): float32 x1, y1, x2, y2 in pixels for every frame, smoothed; between
            looked-at frames interpolated, before the first and after the last sighting held; may leave the frame.
        looked (`torch.Tensor` of shape `(T,)`): bool, True where a detector looked.
        detected (`torch.Tensor` of shape `(T,)`): bool, True where a detector looked and found this face.
        presence (`float`): share of the video's time, 0..1, in which the face is there: looked-at frames with it, each
            weighted by the time up to its looked-at neighbours.
        score (`float`): mean detection score, 0..1.
    """

    boxes: torch.Tensor
    looked: torch.Tensor
    detected: torch.Tensor
    presence: float
    score: float

    def visible(self) -> torch.Tensor:
        """bool of shape `(T,)`: whether the looked-at frame nearest to each frame has the face."""
        looks = self.looked.nonzero().flatten()
        frames = torch.arange(len(self.looked))
        nearest = (frames[:, None] - looks).abs().argmin(1)
        return self.detected[looks[nearest]]


def look_ahead(frames, places, detector, model: Literal["auto", "front", "back"] = "auto", num_looks=16) -> dict:
    """Looks for faces where `track_faces` will look first, as soon as the frames are there.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, being filled.
        places (iterable of `int`): frames that are there, each told once, in any order.
        detector, model, num_looks: as for `track_faces`.

    Returns:
        dict from frame number to what `RDFERFaceDetector.detect` found there; for `track_faces`.

    Source: ours.
    """
    net = "back" if model == "back" else "front"
    groups = _batches(_spread(len(frames), num_looks), net)
    group_of = {frame: group for group in groups for frame in group}
    there, seen = set(), {}
    for place in places:
        there.add(place)
        group = group_of.get(place)
        if group and there.issuperset(group):
            seen.update(zip(group, detector.detect(frames, net, group)))
    return seen


def track_faces(
    frames,
    detector,
    model: Literal["auto", "front", "back"] = "auto",
    num_looks=16,
    max_looks=64,
    steadiness=0.08,
    seen=None,
):
    """Finds the faces of a video and follows them, running the detector on a few frames only.

    It looks at `num_looks` frames, then bisects where a large face moved far, is missing or jumped between two of
    them. A face that jumps from one frame to the next (a cut) goes on as one track, whose box jumps. Of four or more
    frames looked at, a face seen in one alone is dropped as a false alarm.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255, one video in time order.
        detector (`RDFERFaceDetector`): the detector.
        model (`str`): net to use. "auto": front, with back where front finds nothing sure, and back alone if that
            shows small faces; it may overlook a small face beside a large one. "back" finds all, five times slower.
        num_looks (`int`): frames to look at first, >= 1; at least one in 16 is looked at.
        max_looks (`int`): most frames to look at altogether, for a video of up to 256 frames; grows with T beyond.
        steadiness (`float`): how far the smoothed box may be from the detected one, in units of the face's size, >= 0.
        seen (`dict`, *optional*): what `look_ahead` found.

    Returns:
        list of `FaceTrack`, the largest persistent face (presence x size) first; empty if there is no face.

    Raises:
        ValueError: `frames` is not uint8 of shape `(T, 3, H, W)`, `model` is unknown, or a number is out of range.

    Source: ours.
    """
    _check_frames(frames)
    if model not in ("auto", "front", "back"):
        raise ValueError(f"model must be 'auto', 'front' or 'back', got {model!r}")
    if num_looks < 1 or max_looks < num_looks or steadiness < 0:
        raise ValueError(
            f"expected 1 <= num_looks <= max_looks, steadiness >= 0: {num_looks=}, {max_looks=}, {steadiness=}"
        )
    num_frames = len(frames)
    max_looks = max_looks * max(num_looks, num_frames // 16) // num_looks
    # Frame -> boxes found there: (n, 5) arrays, as NumPy takes a tenth of torch's time for so few numbers.
    seen = {frame: boxes.numpy() for frame, boxes in (seen or {}).items()}
    model = _look(frames, detector, model, _spread(num_frames, num_looks), seen)
    while len(seen) < max_looks:
        looked = sorted(seen)
        doubtful = [(p + q) // 2 for p, q in pairwise(looked) if q - p > 1 and _needs_look(seen[p], seen[q])]
        if not doubtful:
            break
        # Over budget, an even choice is better than the first ones.
        step = -(-len(doubtful) // (max_looks - len(seen)))
        model = _look(frames, detector, model, doubtful[::step], seen)
    looked = sorted(seen)
    weights = dict(zip(looked, _time_weights(looked, num_frames)))
    tracks = []
    for pieces in _link(seen):
        times = [t for piece in pieces for t, _ in piece]
        scores = [float(row[4]) for piece in pieces for _, row in piece]
        if max(scores) < _SURE or (len(times) == 1 and len(looked) > 3):
            continue
        looked_at, detected = torch.zeros(2, num_frames, dtype=torch.bool)
        looked_at[looked], detected[times] = True, True
        boxes = _fill(pieces, num_frames, steadiness)
        tracks.append(
            FaceTrack(
                boxes, looked_at, detected, sum(weights[t] for t in times) / num_frames, sum(scores) / len(scores)
            )
        )
    return sorted(tracks, key=lambda track: -track.presence * _sides(track.boxes[track.detected].numpy()).mean())


def crop_faces(frames, boxes, size: tuple[int, int] = (112, 112), margin=1.3, shift_up=0.12):
    """Cuts a square around the face out of each frame and resizes it.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255.
        boxes (`torch.Tensor` of shape `(T, 4)`): x1, y1, x2, y2 in pixels, one face a frame; may leave the frame.
        size (`tuple[int, int]`): height and width of the crops in pixels, >= 1.
        margin (`float`): side of the square in units of the box's larger side, > 0.
        shift_up (`float`): how far the square is moved up, in units of the box's height.

    Returns:
        `torch.Tensor` of shape `(T, 3, height, width)`, uint8. Outside the frame its border is repeated.

    Raises:
        ValueError: a shape or type is wrong, or a box is not finite or has no area.

    Source: ours (the frame classifier of rdfer-small is measured on such crops).
    """
    _check_frames(frames)
    if boxes.shape != (len(frames), 4):
        raise ValueError(f"boxes must have shape ({len(frames)}, 4), one for each frame, got {tuple(boxes.shape)}")
    boxes = boxes.detach().to("cpu", torch.float64)
    if not (boxes.isfinite().all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError("boxes must be finite with x1 < x2 and y1 < y2")
    width_height = boxes[:, 2:] - boxes[:, :2]
    sides = (width_height.amax(1) * margin).round().clamp(min=1).long()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centres[:, 1] -= shift_up * width_height[:, 1]
    corners = (centres - sides[:, None] / 2).round().long()
    height, width = frames.shape[-2:]
    crops = frames.new_empty(len(frames), 3, *size)
    for i, (side, (x, y)) in enumerate(zip(sides.tolist(), corners.tolist())):
        rows = torch.arange(y, y + side, device=frames.device).clamp_(0, height - 1)
        columns = torch.arange(x, x + side, device=frames.device).clamp_(0, width - 1)
        inside = x >= 0 and y >= 0 and x + side <= width and y + side <= height
        square = frames[i, :, y : y + side, x : x + side] if inside else frames[i][:, rows[:, None], columns]
        crops[i] = tvF.resize(square, list(size), antialias=True)
    return crops


def _batches(indices, net):
    """What the nets look at together: as many frames as stay in the cache."""
    size = 4 if net == "front" else 2
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _check_frames(frames):
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise ValueError(
            f"frames must be uint8 of shape (T, 3, H, W), not empty; got {frames.dtype} {tuple(frames.shape)}"
        )


def _sides(boxes):
    """Geometric mean of width and height: (n, 4+) -> (n,)."""
    return np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6))


def _spread(num_frames, num_looks):
    """Frames to look at first."""
    num_looks = min(num_frames, max(num_looks, num_frames // 16))
    return torch.linspace(0, num_frames - 1, num_looks, dtype=torch.float64).round().long().tolist()


def _look(frames, detector, model, indices, seen):
    """Detects faces at `indices` into `seen`, where they are not there yet; returns the model to go on with."""

    def detect(net, chunk):
        return {i: boxes.numpy() for i, boxes in zip(chunk, detector.detect(frames, net, chunk))}

    seen.update(detect("front" if model == "auto" else model, [i for i in indices if i not in seen]))
    if model != "auto":
        return model
    unsure = [i for i in indices if not (seen[i][:, 4] > _SURE).any()]
    found = {}
    # The back net is slow: if it finds nothing in every second of these frames, the others are taken as empty too.
    for chunk in (unsure[::2], unsure[1::2]):
        found.update(detect("back", chunk))
        if not any(len(boxes) for boxes in found.values()):
            break
    seen.update((i, found.get(i, np.empty((0, 5), np.float32))) for i in unsure)
    # Faces so small that the front net sees them now and then would give broken tracks: the back net for all frames.
    small = max(frames.shape[-2:]) / 6
    if any(((_sides(boxes) < small) & (boxes[:, 4] > _SURE)).any() for boxes in found.values()):
        seen.update(detect("back", [i for i in seen if i not in found]))
        return "back"
    return model


def _pair(a, b, max_distance=1.0, max_ratio=1.6):
    """Pairs boxes of two frames that can be the same face, the nearest first: list of (index in a, index in b)."""
    if not len(a) or not len(b):
        return []
    sides_a, sides_b = _sides(a)[:, None], _sides(b)
    side = np.minimum(sides_a, sides_b)
    ratio = np.maximum(sides_a, sides_b) / side
    apart = ((a[:, :2] + a[:, 2:4]) / 2)[:, None] - (b[:, :2] + b[:, 2:4]) / 2
    distance = np.hypot(apart[..., 0], apart[..., 1]) / side
    distance[(ratio > max_ratio) | (distance > max_distance)] = np.inf
    pairs = []
    for _ in range(min(len(a), len(b))):
        i, j = divmod(int(distance.argmin()), len(b))
        if distance[i, j] == np.inf:
            break
        pairs.append((i, j))
        distance[i], distance[:, j] = np.inf, np.inf
    return pairs


def _needs_look(a, b):
    """Whether what happened between two looked-at frames is unclear, as far as larger faces go."""
    sides_a, sides_b = _sides(a), _sides(b)
    large = max(sides_a.max(initial=0), sides_b.max(initial=0)) / 2
    a, b = a[sides_a >= large], b[sides_b >= large]
    return not len(a) == len(b) == len(_pair(a, b, max_distance=0.25, max_ratio=1.25))


def _time_weights(looked, num_frames):
    """How many frames each looked-at frame stands for."""
    edges = [0.0] + [(p + q + 1) / 2 for p, q in pairwise(looked)] + [float(num_frames)]
    return [right - left for left, right in pairwise(edges)]


def _link(seen):
    """Links boxes over time: list of tracks, each a list of pieces (a jump between), each a list of (frame, box)."""
    looked = sorted(seen)
    order = {t: n for n, t in enumerate(looked)}
    busy = [t for t in looked if len(seen[t])]
    pieces, last = [], []  # `last`: place in `busy` of each piece's newest box
    for n, t in enumerate(busy):
        # One miss while other faces are found is forgiven; frames without any face do not count.
        active = [k for k in range(len(pieces)) if n - last[k] <= 2]
        rows = np.stack([pieces[k][-1][1] for k in active]) if active else seen[t][:0]
        pairs = {j: active[i] for i, j in _pair(rows, seen[t])}
        for j, row in enumerate(seen[t]):
            k = pairs.get(j, len(pieces))
            if k == len(pieces):
                pieces.append([])
                last.append(n)
            pieces[k].append((t, row))
            last[k] = n
    tracks = []
    for piece in sorted(pieces, key=lambda piece: (piece[0][0], -_sides(piece[0][1][None])[0])):
        start, row = piece[0]
        ended = [track for track in tracks if track[-1][-1][0] < start]
        rows = np.stack([track[-1][-1][1] for track in ended]) if ended else row[None][:0]
        # Where one face ends and another begins in the next looked-at frame (a cut), the track jumps: large to large.
        cut = [n for n, track in enumerate(ended) if order[track[-1][-1][0]] == order[start] - 1]
        if cut:
            ended[max(cut, key=_sides(rows).__getitem__)].append(piece)
        elif back := _pair(rows, row[None]):  # after a longer absence the face is back at its place
            ended[back[0][0]][-1].extend(piece)
        else:
            tracks.append([piece])
    return tracks


def _fill(pieces, num_frames, steadiness):
    """Interpolates and smooths a track's boxes: (num_frames, 4)."""
    starts = [0] + [(a[-1][0] + b[0][0] + 1) // 2 for a, b in pairwise(pieces)] + [num_frames]
    parts = []
    for piece, start, stop in zip(pieces, starts, starts[1:]):
        times = torch.tensor([float(t) for t, _ in piece])
        rows = torch.from_numpy(np.stack([row[:4] for _, row in piece]))
        # centre, log size: a zoom is then as smooth as a move
        knots = torch.cat([(rows[:, :2] + rows[:, 2:]) / 2, (rows[:, 2:] - rows[:, :2]).clamp(min=1e-3).log()], 1)
        grid = torch.arange(start, stop, dtype=torch.float32).clamp(times[0], times[-1])
        right = torch.searchsorted(times, grid).clamp(1, max(1, len(times) - 1))
        if len(times) == 1:
            path = knots.expand(len(grid), 4)
        else:
            share = ((grid - times[right - 1]) / (times[right] - times[right - 1]))[:, None]
            path = knots[right - 1] * (1 - share) + knots[right] * share
        # Detections tremble by a few per cent of the face: average over three looks. Where that would leave the
        # detected path by more than `steadiness`, the face really moves: follow it at that distance.
        sigma = 1.5 * max(1.0, float(times[-1] - times[0]) / max(1, len(times) - 1))
        radius = min(int(3 * sigma), 4096)
        kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
        padded = F.pad(path.T[None], (radius, radius), mode="replicate")
        smooth = F.conv1d(padded.transpose(0, 1), (kernel / kernel.sum())[None, None])[:, 0].T
        unit = torch.cat([path[:, 2:].exp(), torch.ones_like(path[:, 2:])], 1) * steadiness
        rest = path - smooth
        path = smooth + rest.sign() * (rest.abs() - unit).clamp(min=0)
        half = path[:, 2:].exp() / 2
        parts.append(torch.cat([path[:, :2] - half, path[:, :2] + half], 1))
    return torch.cat(parts)


__all__ = ["FaceTrack", "RDFERFaceDetector", "crop_faces", "look_ahead", "track_faces"]
