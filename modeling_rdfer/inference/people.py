# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tells the people of a long video apart, which is read in parts."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch

from ..models.face_detection_rdfer import RDFERFaceDetector
from ..models.face_tracking_rdfer import face_sides, track_faces
from ..models.video_source_rdfer import resize_frames

# Levels, of 255, by which reduced frames differ on average: at most 7 in the test clip, 30 to 80 at cuts.
CUT_DIFFERENCE = 20
# Frames of a part that are examined first: the one before it, and its last one.
NUM_DETECTIONS = 2
# The same face after an absence: the centre moved by at most its own size, the size changed by at most 1.6.
MAX_DISTANCE, MAX_RATIO = 1.0, 1.6
# The picture around a face, so many times as large as its box, is compared in so many cells across and down.
SURROUNDINGS, NUM_CELLS = 1.5, 16
# A cell has changed if it differs by more levels than this. From one frame looked at to the next at most a quarter of
# the cells do so in four real clips; between portraits of different people, in one place before one wall, 0.4 to 0.98.
# Hands and quick turns change up to a half.
MIN_CELL_CHANGE, MAX_CHANGE, MIN_CUT_CHANGE = 8, 0.3, 0.5
# Levels by which that place changes in reduced frames, below which it is not looked at more closely.
MIN_DIFFERENCE = 4
# Between frames further apart than so many seconds, a head that moves changes the picture as much as a cut does.
LONGEST_STEP = 0.2
# Frames looked at after which nobody comes back from before a cut: a flash is shorter.
FLASH_FRAMES = 3


@dataclass
class Appearance:
    """A person in the frames `start` to `stop` of a part, N of them.

    Attributes:
        boxes, rolls, yaws (`torch.Tensor` of shape `(N, 4)`, `(N,)` and `(N,)`): as in `FaceTrack`.
        visible (`torch.Tensor` of shape `(N,)`): bool, True for frames that show the face.
    """

    person: int
    start: int
    stop: int
    boxes: torch.Tensor
    rolls: torch.Tensor
    yaws: torch.Tensor
    visible: torch.Tensor


@dataclass
class _LastFrame:
    number: int
    time: float
    image: torch.Tensor  # (1, 3, H, W)
    reduced: torch.Tensor  # (2, 3, h, w), with the one before it
    boxes: torch.Tensor  # what the detector found


@dataclass
class _BeforeCut:
    """A person in the last frame before a cut."""

    box: torch.Tensor  # (4,), relative to the size of the frame
    look: torch.Tensor
    until: int  # number of frames looked at after which the person is gone


@dataclass
class People:
    """Follows faces from part to part and gives each person a number (ours).

    Within a shot a person who was away is found again by place and size. After a cut everyone gets a new number but
    those around whom the picture did not change, as in a call where another camera is switched off. A cut can also be
    in a part of the picture, as where someone else takes a place in a call: then only the person there is new.

    Attributes:
        sizes (`dict[int, float]`): person -> sum of the face's side in pixels over the frames that show it.
        shot_starts (`list[int]`): numbers of the first frames of shots; who uses them may remove old ones.
    """

    sizes: dict[int, float] = field(default_factory=dict)
    shot_starts: list[int] = field(default_factory=list)
    # The people of the present shot -> frame -> box, of the last part that showed them.
    _known: dict[int, dict[int, torch.Tensor]] = field(default_factory=dict)
    _before_cut: dict[int, _BeforeCut] = field(default_factory=dict)
    _num_frames: int = 0  # looked at before this part
    _last: _LastFrame | None = None

    def follow(
        self,
        images: torch.Tensor,
        numbers: list[int],
        times: list[float],
        detector: RDFERFaceDetector,
        small_faces: bool,
        last_boxes: torch.Tensor,
    ) -> list[Appearance]:
        """Finds the people in the next part of a video.

        Args:
            images (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB frames in time order.
            numbers (`list[int]`): their numbers in the video, above those of all parts before.
            times (`list[float]`): their times in seconds.
            detector (`RDFERFaceDetector`): the detector.
            small_faces (`bool`): whether to look for small faces beside large ones, too.
            last_boxes (`torch.Tensor` of shape `(n, 11)`): what the detector finds in the last frame, with the back
                net if `small_faces`, else with the front net.

        Returns:
            `list[Appearance]`: an entry for each face of each shot.
        """
        reduced = resize_frames(images, (18, 32)).float()
        cuts = _cuts(reduced)
        last = self._last
        if last is None or last.image.shape != images[:1].shape or _cuts(torch.stack([last.reduced[1], reduced[0]])):
            cuts = [0, *cuts]
        net: Literal["auto", "back"] = "back" if small_faces else "auto"
        appearances = []
        for start, stop in pairwise(sorted({0, *cuts, len(images)})):
            frames, part_numbers, part_times = images[start:stop], numbers[start:stop], times[start:stop]
            detections = {}
            small = reduced[[start, *range(start, stop)]]
            count = self._num_frames + start
            self._before_cut = {person: was for person, was in self._before_cut.items() if was.until >= count}
            if start in cuts:
                self._begin_shot(numbers[start], count)
            elif last is not None:
                # The frame before was examined, so the way from there is known.
                frames, small = torch.cat([last.image, frames]), torch.cat([last.reduced, small[1:]])
                part_numbers, part_times = [last.number, *part_numbers], [last.time, *part_times]
                detections = {0: last.boxes}
            before = len(frames) - (stop - start)
            if stop == len(images):
                detections[len(frames) - 1] = last_boxes
            tracks = track_faces(frames, detector, net, NUM_DETECTIONS, detections=detections, across_cuts=False)
            differences = (small[1:] - small[:-1]).abs().mean(1)
            pieces = []  # of tracks, between the frames in which another picture takes the place
            for track in tracks:
                visible = track.visible()
                jumps = _jumps(frames, part_times, track.boxes, visible, differences)
                self.shot_starts += [part_numbers[jump] for jump in jumps]
                for first, end in pairwise([0, *jumps, len(frames)]):
                    shown = [i for i in range(first, end) if visible[i]]
                    if shown:
                        boxes = {part_numbers[i]: track.boxes[i] for i in shown}
                        pieces.append((track, visible, first, end, boxes))
            old = [boxes for _, _, first, _, boxes in pieces if first == 0]
            old_persons = iter(self._identify(old, frames[0], part_numbers[0]))
            for track, visible, first, end, boxes in pieces:
                person = next(old_persons) if first == 0 else self._new_person()
                self._known[person] = boxes
                if end < len(frames):
                    del self._known[person]
                new = [box for number, box in boxes.items() if number >= numbers[start]]
                self.sizes[person] += float(face_sides(torch.stack(new).numpy()).sum()) if new else 0.0
                part = slice(max(first, before), end)
                if part.start < part.stop:
                    shift = start - before
                    columns = (column[part] for column in (track.boxes, track.rolls, track.yaws, visible))
                    appearances.append(Appearance(person, part.start + shift, part.stop + shift, *columns))
            boxes = detections[len(frames) - 1]
            self._last = _LastFrame(part_numbers[-1], part_times[-1], frames[-1:].clone(), small[-2:], boxes)
        self._num_frames += len(images)
        return appearances

    def _begin_shot(self, number: int, count: int):
        """Starts a shot with the frame of this number, before which `count` frames were looked at."""
        self.shot_starts.append(number)
        last = self._last
        for person, boxes in self._known.items():
            if last is not None and last.number in boxes:
                box = boxes[last.number] / _frame_size(last.image[0])
                self._before_cut[person] = _BeforeCut(box, _look(last.image[0], box), count + FLASH_FRAMES)
        self._known = {}

    def _new_person(self) -> int:
        person = len(self.sizes)
        self.sizes[person] = 0.0
        return person

    def _identify(self, seen: list[dict], first_frame: torch.Tensor, first_number: int) -> list[int]:
        """The persons that faces belong to, from the box of each face in the frames of a part that show it."""
        distances = {}
        for number, boxes in enumerate(seen):
            for person, before in self._known.items():
                distances[number, person] = _distance(before, boxes)
        if not self._known:  # a shot has begun
            size = _frame_size(first_frame)
            for number, boxes in enumerate(seen):
                for person, was in self._before_cut.items():
                    if first_number in boxes:
                        change = _change(was.look, first_frame, was.box, boxes[first_number] / size)
                        if change <= MAX_CHANGE:
                            distances[number, person] = _distance({first_number: was.box * size}, boxes)
        persons: dict[int, int] = {}
        for number, person in sorted(distances, key=distances.__getitem__):
            is_near = distances[number, person] <= MAX_DISTANCE
            if is_near and number not in persons and person not in persons.values():
                persons[number] = person
        return [persons[number] if number in persons else self._new_person() for number in range(len(seen))]


def _cuts(reduced: torch.Tensor) -> list[int]:
    """Numbers of the frames that begin a new shot, from reduced frames `(N, 3, h, w)`."""
    differences = (reduced[1:] - reduced[:-1]).abs().mean((1, 2, 3))
    return [int(i) + 1 for i in (differences > CUT_DIFFERENCE).nonzero().flatten()]


def _frame_size(image: torch.Tensor) -> torch.Tensor:
    """Width, height, width and height of an image (3, H, W)."""
    height, width = image.shape[-2:]
    return torch.tensor([width, height] * 2, dtype=torch.float32)


def _around(box: torch.Tensor, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the surroundings of a face in a frame, at least one; `box` is relative to its size."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * SURROUNDINGS
    edges = zip((centre - half).tolist(), (centre + half).tolist(), (width, height))
    parts = [(min(max(int(low * n), 0), n - 1), int(high * n) + 1, n) for low, high, n in edges]
    columns, rows = (slice(low, max(min(high, n), low + 1)) for low, high, n in parts)
    return rows, columns


def _look(image: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """The surroundings of a face in an image (3, H, W), reduced: (3, n, n)."""
    rows, columns = _around(box, *image.shape[-2:])
    return resize_frames(image[None, :, rows, columns], (NUM_CELLS, NUM_CELLS))[0].float()


def _change(look: torch.Tensor, image: torch.Tensor, *boxes: torch.Tensor) -> float:
    """Share of the cells that differ in an image (3, H, W), at that of the places `boxes` where it is the least."""
    return min(_share(look, _look(image, box)) for box in boxes)


def _share(look: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the cells that differ, also if light and contrast are made equal."""
    dull, vivid = sorted((look, other), key=lambda cells: float(cells.std()))
    matched = (dull - dull.mean()) * (vivid.std() / dull.std().clamp(min=1)) + vivid.mean()
    changes = torch.stack([dull - vivid, matched - vivid]).abs().mean(1)
    return float((changes > MIN_CELL_CHANGE).float().mean((1, 2)).min())


def _jumps(
    frames: torch.Tensor,
    times: list[float],
    boxes: torch.Tensor,
    visible: torch.Tensor,
    differences: torch.Tensor,
) -> list[int]:
    """Frames that show another picture around a face than the one before: cuts in a part of the picture.

    There nearly everything changes at once. Where a head moves, the frames before and after change, too.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): the frames.
        times (`list[float]`): their times in seconds.
        boxes, visible (`torch.Tensor` of shape `(T, 4)` and `(T,)`): a face in them.
        differences (`torch.Tensor` of shape `(T, h, w)`): mean change of each cell of the reduced frames up to each.
    """
    places = boxes / _frame_size(frames[0])
    regions = [_around(place, *differences.shape[1:]) for place in places]
    # A face that moves at the first frame may stop after it, which is no cut.
    moving, *coarse = (float(each[region].mean()) for each, region in zip(differences, regions[:1] + regions))
    if moving >= MIN_DIFFERENCE or max(coarse, default=0) < MIN_DIFFERENCE:
        return []
    looks = [_look(frame, place) for frame, place in zip(frames, places)]
    changes = [_change(looks[i], frames[i + 1], places[i]) for i in range(len(frames) - 1)]
    jumps = [i for i, change in enumerate(changes, 1) if change > MAX_CHANGE]
    if len(jumps) != 1 or not visible[jumps[0] - 1 : jumps[0] + 1].all():
        return []
    (jump,) = jumps
    if times[jump] - times[jump - 1] > LONGEST_STEP:
        return []
    return jumps if _change(looks[jump - 1], frames[jump], places[jump - 1], places[jump]) >= MIN_CUT_CHANGE else []


def _distance(before: dict[int, torch.Tensor], boxes: dict[int, torch.Tensor]) -> float:
    """Distance of two faces in units of their size: in the last frame that has both, else from the last to the first;
    infinite if their sizes differ too much.
    """
    common = before.keys() & boxes.keys()
    first, second = (max(common), max(common)) if common else (max(before), min(boxes))
    a, b = before[first], boxes[second]
    smaller, larger = sorted(face_sides(torch.stack([a, b]).numpy()).tolist())
    if larger > MAX_RATIO * smaller:
        return float("inf")
    return float(((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2).norm()) / smaller


__all__ = ["Appearance", "People"]
