# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tells the people of a long video apart, which is read in parts."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from ..models.face_detection_rdfer import RDFERFaceDetector
from ..models.face_tracking_rdfer import FaceTrack, track_faces
from ..models.video_source_rdfer import resize_frames

# Levels, of 255, by which reduced frames differ on average: at most 7 in the test clip, 30 to 80 at cuts.
CUT_DIFFERENCE = 20
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
class People:
    """Follows faces from part to part and gives each person a number (ours).

    Within a shot a person who was away is found again by place and size. After a cut everyone gets a new number.

    Attributes:
        sizes (`dict[int, float]`): person -> sum of the face's side in pixels over the frames that show it.
    """

    sizes: dict[int, float] = field(default_factory=dict)
    # First frame of a shot -> the people in it -> frame -> box, of the last part that showed them.
    _shots: dict[int, dict[int, dict[int, torch.Tensor]]] = field(default_factory=dict)
    _last: tuple[int, torch.Tensor] | None = None  # number and reduced picture of the last frame

    def follow(
        self, images: torch.Tensor, numbers: list[int], detector: RDFERFaceDetector, small_faces: bool
    ) -> list[Appearance]:
        """Finds the people in a part of a video.

        Args:
            images (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB frames in time order.
            numbers (`list[int]`): their numbers in the video. Parts may share frames.
            detector (`RDFERFaceDetector`): the detector.
            small_faces (`bool`): whether to look for small faces beside large ones, too.

        Returns:
            `list[Appearance]`: an entry for each face of each shot.
        """
        reduced = resize_frames(images, (18, 32)).float()
        cuts = _cuts(reduced)
        if self._last is None or (self._last[0] < numbers[0] and len(_cuts(torch.stack([self._last[1], reduced[0]])))):
            self._shots[numbers[0]] = {}
        new_from = -1 if self._last is None else self._last[0]
        self._last = numbers[-1], reduced[-1]
        appearances = []
        for start, stop in zip([0, *cuts], [*cuts, len(images)]):
            if start > 0:
                self._shots.setdefault(numbers[start], {})
            known = self._shots[max(first for first in self._shots if first <= numbers[start])]
            net: Literal["auto", "back"] = "back" if small_faces else "auto"
            tracks = track_faces(images[start:stop], detector, net, across_cuts=False)
            seen = []
            for track in tracks:
                visible = track.visible().nonzero().flatten().tolist()
                seen.append({numbers[start + i]: track.boxes[i] for i in visible})
            for track, boxes, person in zip(tracks, seen, self._identify(seen, known)):
                known[person] = boxes
                new = [box for number, box in boxes.items() if number > new_from]
                self.sizes[person] = self.sizes.get(person, 0.0) + sum(_side(box) for box in new)
                appearances.append(Appearance(person, start, stop, track))
        # The next part begins no earlier than this one.
        current = max(first for first in self._shots if first <= numbers[0])
        self._shots = {first: known for first, known in self._shots.items() if first >= current}
        return appearances

    def _identify(self, seen: list[dict], known: dict[int, dict]) -> list[int]:
        distances = {}
        for number, boxes in enumerate(seen):
            for person, before in known.items():
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
