# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Classifies windows of a stream of frames, whose faces it follows: what a timeline and a live stream share."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from ..models.face_confidence_rdfer import face_confidence
from ..models.face_tracking_rdfer import FaceTrack, crop_faces
from .people import People
from .scores import UNCERTAIN, answer_scores
from .shared_features import SharedFeatures, can_share_features, distinct_backbones
from .warning_codes import face_warnings, in_order

# The network classifies so many windows at once.
WINDOWS_PER_BATCH = 8
# So many frames a second are looked at: the first one in each twelfth of a second. With all 25 or 30 frames of the
# labelled real clips no more windows were right, at twice the cost.
FRAMES_PER_SECOND = 12
# Faces are followed through stretches of at most so many seconds and frames, which bounds memory and delay.
STRETCH_SECONDS, STRETCH_FRAMES = 0.5, 32


@dataclass
class Window:
    """Answer for one window of a timeline. What is said about a face is None if the window shows none.

    Attributes:
        start_seconds, end_seconds (`float`): the window, in seconds from the start of the video.
        scores (`dict[str, float]`, *optional*): label -> probability, 0..1.
        agreement (`float`, *optional*): share of the clips that show the same expression, 0..1.
        key_frame_seconds (`float`, *optional*): time of the middle frame of the middle clip.
        key_frame (`torch.ByteTensor` of shape `(3, height, width)`, *optional*): that frame, the model's input.
        min_confidence (`float`, *optional*): least score, 0..1, of a label that is certain; None if all are.
        person (`int`, *optional*): number of the person, 0 for the largest of the video; None for whole frames.
        box (`list[float]` of length 4, *optional*): x1, y1, x2, y2 of the face in the middle of the window's frames,
            in pixels of the video, not beyond the frame.
        frame_size (`list[int]` of length 2, *optional*): width and height of the video in pixels, as displayed.
        num_frames (`int`): number of frames that were classified, 0 if the window shows no face.
        warnings (`list[str]`): what makes the answer less reliable, keys of
            `inference.warning_codes.WARNING_CODES`.
    """

    start_seconds: float
    end_seconds: float
    scores: dict[str, float] | None = None
    agreement: float | None = None
    key_frame_seconds: float | None = None
    key_frame: torch.Tensor | None = None
    min_confidence: float | None = None
    person: int | None = None
    box: list[float] | None = None
    frame_size: list[int] | None = None
    num_frames: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def label(self) -> str | None:
        """The most probable label; "uncertain" if its score is below `min_confidence`; None if there is no face."""
        if not self.scores:
            return None
        label, score = max(self.scores.items(), key=lambda item: item[1])
        return label if self.min_confidence is None or score >= self.min_confidence else UNCERTAIN


class Stretches:
    """Divides time into stretches through which faces are followed; every window ends with one (ours).

    Args:
        window (`float`): length of a window in seconds; the first one starts at 0.
        step (`float`): seconds from the end of a window to the end of the next.
    """

    def __init__(self, window: float, step: float):
        self._first_end, self._length = window, step / math.ceil(step / STRETCH_SECONDS)

    def number_of(self, time: float) -> int:
        """Number of the stretch that a time in seconds is in, ascending; negative before the first window's end."""
        return math.floor((time - self._first_end + 1e-6) / self._length)

    def divide(self, frames: Iterable[int], times: Sequence[float]) -> Iterator[list[int]]:
        """Yields the frames of each stretch, at most `STRETCH_FRAMES` at once, from ascending frame numbers."""
        for _, group in itertools.groupby(frames, lambda frame: self.number_of(times[frame])):
            stretch = list(group)
            yield from (stretch[start : start + STRETCH_FRAMES] for start in range(0, len(stretch), STRETCH_FRAMES))


def frames_looked_at(times: Sequence[float], before: float | None = None) -> list[int]:
    """Chooses the frames of a video or stream that are looked at, `FRAMES_PER_SECOND` at most (ours).

    Args:
        times (sequence of `float`): times of the frames in seconds, ascending.
        before (`float`, *optional*): time of the frame before them, if there was one.

    Returns:
        `list[int]`: places in `times`.
    """
    parts = [math.floor(time * FRAMES_PER_SECOND + 1e-6) for time in times]
    last = None if before is None else math.floor(before * FRAMES_PER_SECOND + 1e-6)
    return [place for place, part in enumerate(parts) if part != (parts[place - 1] if place else last)]


@dataclass
class _Frame:
    """What is kept of a face in a frame."""

    video_size: tuple[int, int]  # width and height
    crop: torch.Tensor
    box: torch.Tensor  # (4,), in pixels of the video
    yaw: float
    is_visible: bool


class FaceStream:
    """Follows faces through a stream of frames, stretch by stretch, and classifies windows of them (ours).

    A frame is looked at once: its faces are cropped when it is added, and their features are computed when a window
    first needs them. Of a frame only the crops are kept. The answers for a window depend on the frames since the first
    stretch that it touches, and on the people seen before.

    Args:
        network: the model, as `load` returns it.
        processor ([`RDFERVideoProcessor`]): its processor.
        do_face_crop (`bool`): whether to find, follow and crop faces, or to classify whole frames.
        small_faces (`bool`): whether to look for small faces beside large ones, too.

    Raises:
        ValueError: if the processor's size has no height and width.
    """

    def __init__(self, network, processor, do_face_crop: bool, small_faces: bool):
        size = processor.size
        if not (size.get("height") and size.get("width")):
            raise ValueError(f"A timeline needs a processor whose size has height and width, got {dict(size)}.")
        self.size = size["height"], size["width"]
        self.people = People()
        self._network, self._processor = network, processor
        self._do_face_crop, self._small_faces = do_face_crop, small_faces
        self._faces: dict[int, dict[int, _Frame]] = {}  # person -> frame -> face
        self._features: dict[int, SharedFeatures] = {}  # of each person
        shares = can_share_features(network)
        self._backbones = distinct_backbones(network, max(self.size)) if shares else None
        self._times: dict[int, float] = {}

    @torch.inference_mode()
    def add(self, images: torch.Tensor, stretches: list[list[int]], times: list[float], video_size: tuple[int, int]):
        """Adds the frames of one stretch, or of several that follow each other.

        Args:
            images (`torch.Tensor` of shape `(N, 3, H, W)`): uint8 RGB frames in time order; with whole frames as the
                model takes them.
            stretches (`list[list[int]]`): the numbers of the frames of each stretch, above those of all frames before.
            times (`list[float]`): the times of the frames in seconds.
            video_size (`tuple[int, int]`): width and height in pixels of what the images show.
        """
        numbers = [number for stretch in stretches for number in stretch]
        self._times.update(zip(numbers, times))
        if not self._do_face_crop:
            for number, image in zip(numbers, images):
                self._keep(0, number, _Frame(video_size, image.clone(), torch.zeros(4), 0.0, True))
            return
        scale = video_size[0] / images.shape[-1]
        ends = list(itertools.accumulate(map(len, stretches)))
        # Detecting in several frames at once takes less time.
        detector, net = self._processor.face_detector(), "back" if self._small_faces else "front"
        detections = detector.detect(images, net, [end - 1 for end in ends])
        for stretch, end, last_boxes in zip(stretches, ends, detections):
            of_stretch = slice(end - len(stretch), end)
            frames, at = images[of_stretch], times[of_stretch]
            for face in self.people.follow(frames, stretch, at, detector, self._small_faces, last_boxes):
                part = slice(face.start, face.stop)
                crops = crop_faces(frames[part], face.boxes, face.rolls, self.size, self._processor.face_margin)
                rows = zip(stretch[part], crops, face.boxes * scale, face.yaws.tolist(), face.visible.tolist())
                for number, *row in rows:
                    self._keep(face.person, number, _Frame(video_size, *row))

    def _keep(self, person: int, number: int, frame: _Frame):
        if person not in self._faces:
            self._faces[person] = {}
            if self._backbones is not None:
                self._features[person] = SharedFeatures(self._network, self._backbones)
        self._faces[person][number] = frame
        if person in self._features:
            self._features[person].add(number, frame.crop)

    def forget_before(self, number: int):
        """Forgets the frames with lower numbers, and who was in no other."""
        self._times = {frame: time for frame, time in self._times.items() if frame >= number}
        self.people.shot_starts = [first for first in self.people.shot_starts if first >= number]
        for person, faces in list(self._faces.items()):
            self._faces[person] = {frame: face for frame, face in faces.items() if frame >= number}
            if not self._faces[person]:
                del self._faces[person]
                self._features.pop(person, None)
            elif person in self._features:
                self._features[person].forget_before(number)

    def classify(self, windows: list[tuple[float, float, list[int]]]) -> Iterator[tuple[int, int, Window]]:
        """Classifies windows whose frames were added.

        Args:
            windows (`list`): start and end in seconds, and the numbers of the frames to look at.

        Yields:
            `tuple[int, int, Window]`: the person, the place of the window in `windows`, and the answer, for windows
            in which at least half of the frames show the person.
        """
        for person, faces in self._faces.items():
            shown = {}
            for place, (_, _, numbers) in enumerate(windows):
                seen = [number for number in numbers if number in faces]
                if seen and 2 * sum(faces[number].is_visible for number in seen) >= len(numbers):
                    shown[place] = seen
            for place, (scores, agreement, key) in zip(shown, self._answer(person, list(shown.values()))):
                start, end, numbers = windows[place]
                # The image is copied: one that is kept must not keep those beside it.
                window = Window(start, end, scores, agreement, self._times[key], faces[key].crop.clone())
                looked_at = [faces[number] for number in shown[place]]
                window.num_frames = len(looked_at)
                window.frame_size = list(looked_at[len(looked_at) // 2].video_size)
                if self._do_face_crop:
                    self._describe(window, looked_at)
                    # Whoever is seen before and after a cut is not concerned: only the rest of the picture changed.
                    cuts = [first for first in self.people.shot_starts if numbers[0] < first <= numbers[-1]]
                    if any(not shown[place][0] < first <= shown[place][-1] for first in cuts):
                        window.warnings = in_order({*window.warnings, "cut"})
                yield person, place, window

    def _answer(self, person: int, windows: list[list[int]]) -> Iterator[tuple[dict[str, float], float, int]]:
        """Yields scores, agreement and the number of the key frame for windows of a person, given by frame numbers."""
        network, faces = self._network, self._faces[person]
        for first in range(0, len(windows), WINDOWS_PER_BATCH):
            batch = windows[first : first + WINDOWS_PER_BATCH]
            longest = max(len(numbers) for numbers in batch)
            padded = [numbers + numbers[-1:] * (longest - len(numbers)) for numbers in batch]
            mask = torch.arange(longest) < torch.tensor([len(numbers) for numbers in batch])[:, None]
            crops = torch.stack([torch.stack([faces[number].crop for number in numbers]) for numbers in padded])
            confidence = [face_confidence(torch.tensor([faces[n].yaw for n in numbers])) for numbers in batch]
            options = {}
            if person in self._features:
                options["shared_features"] = self._features[person].of_windows(torch.tensor(padded))
            with torch.inference_mode():
                outputs = network(
                    pixel_values_videos=crops.to(network.device),
                    frame_mask=mask.to(network.device),
                    face_confidence=torch.tensor(confidence).to(network.device),
                    **options,
                )
            _, num_clips, num_frames = outputs.key_frame_indices.shape
            keys = outputs.key_frame_indices[:, num_clips // 2, num_frames // 2].tolist()
            labels = [network.config.id2label[index] for index in range(outputs.logits.shape[-1])]
            scores = answer_scores(network, outputs.logits).tolist()
            for row, numbers in enumerate(batch):
                yield dict(zip(labels, scores[row])), outputs.agreement[row].item(), numbers[keys[row]]

    def _describe(self, window: Window, faces: list[_Frame]):
        """Sets where the face is, and what makes the answer less reliable."""
        visible = torch.tensor([face.is_visible for face in faces])
        boxes = torch.stack([face.box for face in faces])
        middle = faces[len(faces) // 2]
        edges = zip(middle.box.tolist(), middle.video_size * 2)
        window.box = [min(max(edge, 0.0), limit) for edge, limit in edges]
        track = FaceTrack(
            boxes=boxes,
            rolls=torch.zeros(len(faces)),
            yaws=torch.tensor([face.yaw for face in faces]),
            examined=torch.ones(len(faces), dtype=torch.bool),
            detected=visible,
            presence=float(visible.float().mean()),
            score=1.0,
        )
        crops = torch.stack([face.crop for face in faces])
        window.warnings = face_warnings(track, crops, self._processor.face_margin)


__all__ = ["FaceStream", "Stretches", "Window", "frames_looked_at"]
