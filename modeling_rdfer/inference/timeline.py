# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Classifies the emotion in windows along one video."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Literal

from tqdm.auto import tqdm
from transformers.utils import logging

from ..models.video_decoding_rdfer import VideoReadError, open_video
from ..models.video_processing_rdfer import FACE_MAX_SIDE, RDFERVideoMetadata
from ..models.video_source_rdfer import fit_frames
from .face_stream import WINDOWS_PER_BATCH, FaceStream, Stretches, Window, frames_looked_at
from .loading import Engine, load
from .scores import check_min_confidence
from .warning_codes import in_order

logger = logging.get_logger(__name__)

# So many stretches are read at once: their last frames are one batch of the face detector.
STRETCHES_PER_READ = 4
# A frame that is shown for more than so many seconds is a gap, or its time is wrong: windows in it say nothing.
LONGEST_STILL = 600.0


def timeline(
    video,
    model: str | None = None,
    *,
    window: float = 2.0,
    step: float = 0.5,
    min_confidence: float | None = None,
    device: str | None = None,
    engine: Engine = "torch",
    do_face_crop: bool | None = None,
    face: Literal["largest", "all"] = "largest",
    on_damage: Literal["error", "use_readable"] | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> list[Window]:
    """Classifies the emotion in sliding windows along a video. It is read in parts, so it may be of any length.

    Args:
        video (`str`, `Path`, or anything [`RDFERVideoProcessor`] reads): one video, whose frames have times.
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        window (`float`, *optional*, defaults to 2.0): length of a window in seconds.
        step (`float`, *optional*, defaults to 0.5): seconds from the start of a window to the start of the next.
        min_confidence (`float`, *optional*): above 0, at most 1; a window whose best score is below it has the label
            `"uncertain"`. By default every window with a face has the label of the best score.
        device (`str`, *optional*): for example `"cpu"` or `"cuda:0"`; by default a GPU if one is available.
        engine (`"torch"` or `"onnx"`, *optional*, defaults to `"torch"`): `"onnx"` runs ONNX Runtime on the CPU and
            needs the extra `onnx`. The model is exported once and kept in a cache, see [`load_onnx_model`].
        do_face_crop (`bool`, *optional*): whether to find, track and crop the largest face; by default the
            checkpoint's setting. A window whose frames mostly do not show that face gets no scores.
        face (`"largest"` or `"all"`, *optional*, defaults to `"largest"`): the largest person of the whole video (sum
            of the face's side over all frames), with a warning if there are others; or all people. Someone who comes
            back within a shot is found again by place and size of the face. Otherwise, and after a cut, a face counts
            as a new person's, except where the picture around it stays as it was.
        on_damage (`"error"` or `"use_readable"`, *optional*): whether a damaged video file is an error, or the frames
            that can be decoded are used, with a warning that says how many (at least a quarter must be); by default
            the checkpoint's setting. A window without readable frames shows the last one before it.
        progress (`bool` or `Callable`, *optional*, defaults to `False`): whether to show a progress bar; or a function
            that is called with the number of finished windows and the number of all windows.

    Returns:
        `list[Window]`: the last window ends with the video. A video shorter than one window gives one window. Windows
        that show nothing but a frame from more than ten minutes before are left out. With `face="all"` those windows
        that show someone, person after person.

    Raises:
        VideoReadError: if the video cannot be read or its frames have no times.
        ValueError: if `window` or `step` is not above 0, `min_confidence` is not in its range, or `face` is unknown.
    """
    check_min_confidence(min_confidence)
    if not (window > 0 and step > 0):
        raise ValueError(f"window and step must be above 0 seconds, got {window=}, {step=}.")
    if face not in ("largest", "all"):
        raise ValueError(f"face must be 'largest' or 'all', got {face!r}.")
    network, processor = load(model, device, engine)
    if do_face_crop is None:
        do_face_crop = processor.do_face_crop
    with closing(open_video(video, on_damage=on_damage or processor.on_damage)) as source:
        if source.pts_seconds is None or any(time != time for time in source.pts_seconds):
            raise VideoReadError(source.name, "frames without times", "a video file by its path, URL or bytes")
        times = [float(time) - float(source.pts_seconds[0]) for time in source.pts_seconds]
        num_frames = network.config.num_frames
        spans = _windows(times, source.duration_seconds or times[-1], window, step)
        stream = FaceStream(network, processor, do_face_crop, small_faces=face == "all")
        frame_size = source.width, source.height
        looked_at = frames_looked_at(times)
        windows = [
            (start, end, window_frames(start, end, frames, looked_at, times, processor, num_frames))
            for start, end, frames in spans
        ]
        parts = _read(source, times, windows, Stretches(window, step), stream, do_face_crop)
        answers: dict[tuple[int, int], Window] = {}
        done = 0
        with tqdm(total=len(spans), unit="window", disable=progress is not True) as bar:
            for part in parts:
                for person, place, answer in stream.classify(part):
                    answers[person, done + place] = answer
                done += len(part)
                bar.update(len(part))
                if callable(progress):
                    progress(done, len(spans))
        is_damaged = source.is_damaged
    chosen = _choose(answers, stream.people, spans, face == "all", do_face_crop, source.name)
    for answer in chosen:
        answer.min_confidence, answer.frame_size = min_confidence, list(frame_size)
        if is_damaged:
            answer.warnings = in_order({*answer.warnings, "damaged_file"})
    return chosen


def _choose(answers, people, spans, everyone: bool, do_face_crop: bool, name: str) -> list[Window]:
    """The windows of all people, or those of the largest one, and the numbers of the people."""
    shown = {person for person, _ in answers}
    order = sorted(shown, key=lambda person: -people.sizes.get(person, 0.0))
    if everyone:
        windows = []
        for (person, _), answer in sorted(answers.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
            answer.person = order.index(person) if do_face_crop else None
            windows.append(answer)
        return windows
    if len(order) > 1:
        logger.warning(
            f"{name!r} shows {len(order)} people, where a cut or coming back to another place makes a new one; "
            'the answers are those of the largest. Use face="all" (--face all) for the others.'
        )
    windows = [Window(start, end) for start, end, _ in spans]
    for number in range(len(spans)):
        if order and (order[0], number) in answers:
            windows[number] = answers[order[0], number]
            windows[number].person = 0 if do_face_crop else None
            if any((person, number) in answers for person in order[1:]):
                windows[number].warnings = in_order({*windows[number].warnings, "several_faces"})
    return windows


def _windows(times: list[float], duration: float, window: float, step: float) -> list[tuple[float, float, range]]:
    """Start, end and frames of each window; the frame shown at its start is one of them, so no window is empty."""
    spans = []
    number, is_last = 0, False
    while not is_last:
        start = number * step
        is_last = start + window >= duration - 1e-3
        if start + window > duration + 1e-6:
            start = max(0.0, duration - window)
        end = min(start + window, duration)
        first = max(0, bisect_right(times, start + 1e-6) - 1)
        stop = max(first + 1, bisect_left(times, end - 1e-6))
        number += 1
        if stop - first > 1 or start - times[first] <= LONGEST_STILL:
            spans.append((start, end, range(first, stop)))
        elif stop < len(times):  # on to the first window that can have the next frame
            number = max(number, math.ceil((times[stop] - window) / step))
        else:
            break
    return spans


def window_frames(
    start: float, end: float, frames: range, looked_at: list[int], times, processor, num_frames: int
) -> list[int]:
    """Numbers of the frames that the model looks at in a window.

    Args:
        start, end (`float`): the window in seconds.
        frames (`range`): numbers of all its frames.
        looked_at (`list[int]`): numbers of the frames that may be looked at, ascending, see `frames_looked_at`.
        times (sequence or mapping): the time of each of these in seconds.
        processor ([`RDFERVideoProcessor`]): decides how frames are sampled.
        num_frames (`int`): number of frames that the model looks at.
    """
    # Where none of the window's own frames may be looked at, the last one before them.
    first, stop = bisect_left(looked_at, frames.start), bisect_left(looked_at, frames.stop)
    numbers = looked_at[min(first, stop - 1) : stop]
    metadata = RDFERVideoMetadata(total_num_frames=len(numbers), duration=end - start)
    metadata.pts_seconds = [max(times[number], start) for number in numbers]
    return [numbers[i] for i in processor.sample_frames(metadata, num_frames)]


def _read(source, times, windows, stretches: Stretches, stream: FaceStream, do_face_crop: bool) -> Iterator[list]:
    """Gives the frames of the windows to the stream. Yields windows, a few at a time, when their frames are there."""
    needed = sorted({number for _, _, numbers in windows for number in numbers})
    size = {"max_side": FACE_MAX_SIDE} if do_face_crop else {"size": stream.size}
    added, shape = 0, None
    for first in range(0, len(windows), WINDOWS_PER_BATCH):
        part = windows[first : first + WINDOWS_PER_BATCH]
        stream.forget_before(min(numbers[0] for _, _, numbers in part))
        until = bisect_right(needed, max(numbers[-1] for _, _, numbers in part))
        divided = list(stretches.divide(needed[added:until], times))
        for start in range(0, len(divided), STRETCHES_PER_READ):
            together = divided[start : start + STRETCHES_PER_READ]
            numbers = [number for stretch in together for number in stretch]
            images = source.get_frames(numbers, **size)
            # Frames that are read together have the size of their first one, which need not be that of the video.
            shape = shape or tuple(images.shape[-2:])
            images = fit_frames(images, shape)
            stream.add(images, together, [times[number] for number in numbers], (source.width, source.height))
        added = until
        yield part


__all__ = ["timeline", "window_frames"]
