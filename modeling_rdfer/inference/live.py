# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Recognises the expressions of people in frames as they come: from a camera, a stream, or any other source."""

import math
import time
from bisect import bisect_left, bisect_right
from typing import Literal

import numpy as np
import torch
from transformers.utils import logging

from ..models.video_processing_rdfer import FACE_MAX_SIDE
from ..models.video_source_rdfer import resize_frames
from .face_stream import STRETCH_FRAMES, FaceStream, Stretches, Window, frames_looked_at
from .loading import Engine, load
from .scores import check_min_confidence
from .timeline import window_frames

logger = logging.get_logger(__name__)

# Seconds by which a frame follows the one before it where its time does not: less than from frame to frame of a fast
# camera, so that one repeated time does not make all later frames late.
CLOCK_STEP = 1 / 120


class LiveRecognizer:
    """Recognises the expressions of all people in frames as they come (ours).

    It answers every `step` seconds about the last `window` seconds, which smooths the probabilities; at first about
    what there is. The answers are those that [`timeline`] with `face="all"` gives for the same windows of the same
    frames, up to rounding, where `window` is at most 5 seconds. Only the numbers of people can differ: here they count
    from 0 in the order in which people come.

    Like a timeline it looks at twelve frames a second, and passes over the others. Memory and the cost of a frame do
    not grow: of each frame only the faces are kept, and only for the last window. Answers come with the first frame
    after the window.

    Args:
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        window (`float`, *optional*, defaults to 1.0): seconds that an answer is about, above 0.
        step (`float`, *optional*, defaults to 0.5): seconds from answer to answer, above 0, at most `window`.
        min_confidence (`float`, *optional*): as in [`timeline`].
        device (`str`, *optional*): as in [`timeline`].
        engine (`"torch"` or `"onnx"`, *optional*, defaults to `"torch"`): as in [`timeline`].
        do_face_crop (`bool`, *optional*): whether to find and follow faces, or to classify whole frames; by default
            the checkpoint's setting.

    Raises:
        ValueError: if a number is not in its range.

    Example:

    ```python
    recognizer = LiveRecognizer(window=1.0)
    while True:
        ok, frame = camera.read()  # OpenCV: uint8 (height, width, 3), blue first
        for answer in recognizer.update(frame, channel_order="bgr"):
            print(answer.person, answer.label, answer.box)
    ```
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        window: float = 1.0,
        step: float = 0.5,
        min_confidence: float | None = None,
        device: str | None = None,
        engine: Engine = "torch",
        do_face_crop: bool | None = None,
    ):
        check_min_confidence(min_confidence)
        if not 0 < step <= window < math.inf:
            raise ValueError(f"step must be above 0 and at most window seconds, got {window=}, {step=}.")
        self._network, self._processor = load(model, device, engine)
        self._do_face_crop = self._processor.do_face_crop if do_face_crop is None else do_face_crop
        self._window, self._step, self._min_confidence = window, step, min_confidence
        self._stretches = Stretches(window, step)
        self._stream = FaceStream(self._network, self._processor, self._do_face_crop, small_faces=True)
        self._start: float | None = None  # time of the first frame, as it was given
        self._num_frames = 0
        self._times: dict[int, float] = {}  # of the frames that windows to come can need, by number
        self._looked_at: list[int] = []  # those of them that are looked at
        self._open: list[torch.Tensor] = []  # frames of the stretch that is not complete
        self._frame_size = (0, 0)
        self._answered_until = -math.inf
        # Windows end at window + n * step. The first end is above 0.
        self._next = 1 - math.ceil(window / step - 1e-6)

    def update(
        self, frame, time_seconds: float | None = None, channel_order: Literal["rgb", "bgr"] = "rgb"
    ) -> list[Window]:
        """Takes the next frame.

        Args:
            frame (`np.ndarray`, `torch.Tensor` or `PIL.Image.Image`): uint8 of shape `(height, width, 3)`. The size
                may change from frame to frame; people keep their numbers if the picture does not change its shape.
            time_seconds (`float`, *optional*): when it was taken, in seconds from any start; by default now. A time
                that is not after that of the frame before (a clock that was set back) counts as a moment after it.
            channel_order (`"rgb"` or `"bgr"`, *optional*, defaults to `"rgb"`): OpenCV gives `"bgr"`.

        Returns:
            `list[Window]`: the answers for windows that ended before this frame: one for each person who is seen in at
            least half of the window's frames. Times are seconds from the first frame. Empty for most frames.

        Raises:
            ValueError: if the frame is not of this shape and type, or a time is not finite.
        """
        image = _to_image(frame, channel_order)
        moment = self._moment(time.monotonic() if time_seconds is None else float(time_seconds))
        frame_size = image.shape[2], image.shape[1]
        if self._open:
            opened = self._times[self._looked_at[-1]]
            is_over = self._stretches.number_of(moment) != self._stretches.number_of(opened)
            if is_over or len(self._open) == STRETCH_FRAMES or frame_size != self._frame_size:
                self._close_stretch()
        answers = []
        if self._times:
            answers = self._answer(self._ends_until(moment))
            self._forget(moment)
        self._frame_size = frame_size
        if frames_looked_at([moment], before=self._last_time()):
            self._open.append(self._prepare(image))
            self._looked_at.append(self._num_frames)
        self._times[self._num_frames] = moment
        self._num_frames += 1
        return answers

    def finish(self) -> list[Window]:
        """Ends the stream. Returns the answers for the last `window` seconds, once."""
        last = self._last_time()
        if last is None:
            return []
        if self._open:
            self._close_stretch()
        end = last + (last - self._times.get(self._num_frames - 2, last))
        ends = self._ends_until(end)
        if max(ends, default=self._answered_until) < end - 1e-3:
            ends.append(end)
        return self._answer(ends)

    def _last_time(self) -> float | None:
        return self._times.get(self._num_frames - 1)

    def _moment(self, given: float) -> float:
        """Seconds since the first frame, always rising."""
        if not math.isfinite(given):
            raise ValueError(f"The time of a frame must be a finite number of seconds, got {given}.")
        if self._start is None:
            self._start = given
        moment = given - self._start
        last = self._last_time()
        if last is not None and moment <= last:
            later = last + CLOCK_STEP
            if moment < last - 1:
                logger.warning("The times of the frames went back by more than a second. They are counted on.")
                self._start = given - later
            moment = later
        return moment

    def _prepare(self, image: torch.Tensor) -> torch.Tensor:
        if not self._do_face_crop:
            return resize_frames(image[None], self._stream.size)[0]
        scale = FACE_MAX_SIDE / max(image.shape[-2:])
        if scale < 1:
            return resize_frames(image[None], tuple(max(1, round(side * scale)) for side in image.shape[-2:]))[0]
        return image.clone()  # who gives frames may use their memory again

    def _close_stretch(self):
        numbers = self._looked_at[-len(self._open) :]
        times = [self._times[number] for number in numbers]
        self._stream.add(torch.stack(self._open), [numbers], times, self._frame_size)
        self._open = []

    def _ends_until(self, moment: float) -> list[float]:
        """Ends of the windows that are complete at a time and were not before."""
        ends = []
        until = min(moment, self._times[self._num_frames - 1] + self._window)
        while (end := self._window + self._next * self._step) <= until + 1e-6:
            ends.append(end)
            self._next += 1
        if moment > until:  # nothing came for a while
            self._next = max(self._next, math.floor((moment - self._window) / self._step + 1e-6) + 1)
        return ends

    def _forget(self, moment: float):
        """Forgets the frames that neither the next window needs, nor one that ends now."""
        first = self._frames(min(self._next * self._step, moment - self._window), moment).start
        place = max(0, bisect_right(self._looked_at, first) - 1)
        self._looked_at = self._looked_at[place:]
        first = min(first, self._looked_at[0])
        self._times = {number: moment for number, moment in self._times.items() if number >= first}
        self._stream.forget_before(first)

    def _frames(self, start: float, end: float) -> range:
        """Numbers of the frames of a window, with the one that is shown at its start."""
        times = list(self._times.values())
        first = max(0, bisect_right(times, start + 1e-6) - 1)
        last = max(first + 1, bisect_left(times, end - 1e-6))
        offset = self._num_frames - len(times)
        return range(offset + first, offset + last)

    def _answer(self, ends: list[float]) -> list[Window]:
        """The answers for windows, by their ends."""
        self._answered_until = max(ends, default=self._answered_until)
        windows = []
        for end in ends:
            start = max(0.0, end - self._window)
            frames, count = self._frames(start, end), self._network.config.num_frames
            numbers = window_frames(start, end, frames, self._looked_at, self._times, self._processor, count)
            windows.append((start, end, numbers))
        answers = []
        for person, _, answer in self._stream.classify(windows):
            answer.person = person if self._do_face_crop else None
            answer.min_confidence = self._min_confidence
            answers.append(answer)
        return sorted(answers, key=lambda answer: answer.end_seconds)


def _to_image(frame, channel_order: str) -> torch.Tensor:
    """A frame as uint8 RGB `(3, height, width)`, in the memory of the frame where possible."""
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(f"channel_order must be 'rgb' or 'bgr', got {channel_order!r}.")
    image = frame
    if not isinstance(frame, torch.Tensor):
        pixels = np.require(frame, requirements=["C", "W"])  # a copy only of what torch cannot share
        if pixels.dtype.kind not in "uifb":  # such as None, which OpenCV gives when a camera ends
            raise ValueError(f"A frame must be uint8 of shape (height, width, 3), got {type(frame).__name__}.")
        image = torch.from_numpy(pixels)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != torch.uint8 or not image.numel():
        raise ValueError(
            f"A frame must be uint8 of shape (height, width, 3), got {image.dtype} of shape {tuple(image.shape)}."
        )
    if channel_order == "bgr":
        image = image.flip(-1)
    return image.movedim(-1, 0).cpu()


__all__ = ["LiveRecognizer"]
