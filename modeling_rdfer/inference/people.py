# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tells the people of a long video apart, which is read in parts."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import torch

from ..models.face_detection_rdfer import RDFERFaceDetector
from ..models.face_tracking_rdfer import FaceTrack, track_faces
from ..models.video_source_rdfer import resize_frames

# Levels, of 255, by which reduced frames differ on average: at most 7 in the test clip, 30 to 80 at cuts.
CUT_DIFFERENCE = 20
# Frames of a part that are examined first: the one before it, and its last one.
NUM_DETECTIONS = 2
# The same face after an absence: the centre moved by at most its own size, the size changed by at most 1.6.
MAX_DISTANCE, MAX_RATIO = 1.0, 1.6


@dataclass
class Appearance:
    """A person in the frames `start` to `stop` of a part."""

    person: int
    start: int
    stop: int
    track: FaceTrack


@dataclass
class _LastFrame:
    number: int
    image: torch.Tensor  # (1, 3, H, W)
    reduced: torch.Tensor  # (3, h, w)
    boxes: torch.Tensor  # what the detector found


@dataclass
class People:
    """Follows faces from part to part and gives each person a number (ours).

    Within a shot a person who was away is found again by place and size. After a cut, and where the size of the frames
    changes, everyone gets a new number.

    Attributes:
        sizes (`dict[int, float]`): person -> sum of the face's side in pixels over the frames that show it.
        shot_starts (`list[int]`): numbers of the first frames of shots; who uses them may remove old ones.
    """

    sizes: dict[int, float] = field(default_factory=dict)
    shot_starts: list[int] = field(default_factory=list)
    # The people of the present shot -> frame -> box, of the last part that showed them.
    _known: dict[int, dict[int, torch.Tensor]] = field(default_factory=dict)
    _last: _LastFrame | None = None

    def follow(
        self,
        images: torch.Tensor,
        numbers: list[int],
        detector: RDFERFaceDetector,
        small_faces: bool,
        last_boxes: torch.Tensor,
    ) -> list[Appearance]:
        """Finds the people in the next part of a video.

        Args:
            images (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB frames in time order.
            numbers (`list[int]`): their numbers in the video, above those of all parts before.
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
        if last is not None and last.image.shape != images[:1].shape:
            last = None
        if last is None or _cuts(torch.stack([last.reduced, reduced[0]])):
            last, cuts = None, [0, *cuts]
        appearances = []
        for start, stop in pairwise(sorted({0, *cuts, len(images)})):
            frames, frame_numbers, detections = images[start:stop], numbers[start:stop], {}
            if start in cuts:
                self._known = {}
                self.shot_starts.append(numbers[start])
            elif last is not None:
                # The frame before was examined, so the way from there is known.
                frames, detections = torch.cat([last.image, frames]), {0: last.boxes}
                frame_numbers = [last.number, *frame_numbers]
            before = len(frames) - (stop - start)
            if stop == len(images):
                detections[len(frames) - 1] = last_boxes
            net: Literal["auto", "back"] = "back" if small_faces else "auto"
            tracks = track_faces(frames, detector, net, NUM_DETECTIONS, detections=detections, across_cuts=False)
            seen = []
            for track in tracks:
                visible = track.visible().nonzero().flatten().tolist()
                seen.append({frame_numbers[i]: track.boxes[i] for i in visible})
            for track, boxes, person in zip(tracks, seen, self._identify(seen)):
                self._known[person] = boxes
                self.sizes[person] += sum(_side(box) for number, box in boxes.items() if number >= numbers[start])
                appearances.append(Appearance(person, start, stop, _without_first(track, before)))
            self._last = _LastFrame(
                numbers[stop - 1], frames[-1:].clone(), reduced[stop - 1], detections[len(frames) - 1]
            )
        return appearances

    def _identify(self, seen: list[dict]) -> list[int]:
        distances = {}
        for number, boxes in enumerate(seen):
            for person, before in self._known.items():
                distance = _distance(before, boxes)
                if distance <= MAX_DISTANCE:
                    distances[number, person] = distance
        persons: dict[int, int] = {}
        for number, person in sorted(distances, key=distances.__getitem__):
            if number not in persons and person not in persons.values():
                persons[number] = person
        answer = []
        for number in range(len(seen)):
            if number not in persons:
                persons[number] = len(self.sizes)
                self.sizes[persons[number]] = 0.0
            answer.append(persons[number])
        return answer


def _without_first(track: FaceTrack, count: int) -> FaceTrack:
    frames = {name: getattr(track, name)[count:] for name in ("boxes", "rolls", "yaws", "examined", "detected")}
    return replace(track, **frames)


def _cuts(reduced: torch.Tensor) -> list[int]:
    """Numbers of the frames that begin a new shot, from reduced frames `(N, 3, h, w)`."""
    differences = (reduced[1:] - reduced[:-1]).abs().mean((1, 2, 3))
    return [int(i) + 1 for i in (differences > CUT_DIFFERENCE).nonzero().flatten()]


def _side(box: torch.Tensor) -> float:
    return float((box[2:] - box[:2]).prod().clamp(min=1e-6).sqrt())


def _distance(before: dict[int, torch.Tensor], boxes: dict[int, torch.Tensor]) -> float:
    """Distance of two faces in units of their size: in the last frame that has both, else from the last to the first;
    infinite if their sizes differ too much.
    """
    common = before.keys() & boxes.keys()
    first, second = (max(common), max(common)) if common else (max(before), min(boxes))
    a, b = before[first], boxes[second]
    smaller, larger = sorted((_side(a), _side(b)))
    if larger > MAX_RATIO * smaller:
        return float("inf")
    return float(((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2).norm()) / smaller


__all__ = ["Appearance", "People"]
