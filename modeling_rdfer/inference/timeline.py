# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Classifies the emotion in windows along one video."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from tqdm.auto import tqdm
from transformers.utils import logging

from ..models.face_confidence_rdfer import face_confidence
from ..models.face_tracking_rdfer import FaceTrack, crop_faces
from ..models.video_decoding_rdfer import VideoReadError, open_video
from ..models.video_processing_rdfer import FACE_MAX_SIDE, RDFERVideoMetadata
from .loading import Engine, load
from .people import People
from .scores import UNCERTAIN, check_min_confidence, probabilities
from .shared_features import SharedFeatures, can_share_features
from .warning_codes import face_warnings, in_order

logger = logging.get_logger(__name__)

# The video is read in parts. The frames of a part take at most this much memory.
PART_BYTES = 96 * 1024 * 1024
WINDOWS_PER_BATCH = 8


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
            back within a shot is found again by place and size of the face. Otherwise, and after every cut, a face
            counts as a new person's.
        on_damage (`"error"` or `"use_readable"`, *optional*): whether a damaged video file is an error, or the frames
            that can be decoded are used, with a warning that says how many (at least a quarter must be); by default
            the checkpoint's setting. A window without readable frames shows the last one before it.
        progress (`bool` or `Callable`, *optional*, defaults to `False`): whether to show a progress bar; or a function
            that is called with the number of finished windows and the number of all windows.

    Returns:
        `list[Window]`: the last window ends with the video. A video shorter than one window gives one window. With
        `face="all"` those windows that show someone, person after person.

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
        spans = _windows(times, source.duration_seconds or times[-1], window, step)
        people, answers, done = People(), {}, 0
        with tqdm(total=len(spans), unit="window", disable=progress is not True) as bar:
            for part in _parts(spans, source, processor, do_face_crop):
                for person, number, answer in _answer_part(
                    part, source, times, network, processor, do_face_crop, people, face == "all"
                ):
                    answers[person, done + number] = answer
                done += len(part)
                bar.update(len(part))
                if callable(progress):
                    progress(done, len(spans))
        frame_size, is_damaged = [source.width, source.height], source.is_damaged
    windows = _choose(answers, people, spans, face == "all", do_face_crop, source.name)
    for answer in windows:
        answer.min_confidence, answer.frame_size = min_confidence, frame_size
        if is_damaged:
            answer.warnings = in_order({*answer.warnings, "damaged_file"})
    return windows


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
    starts = [0.0]
    while starts[-1] + step + window <= duration + 1e-6:
        starts.append(len(starts) * step)
    if starts[-1] + window < duration - 1e-3:
        starts.append(max(0.0, duration - window))
    spans = []
    for start in starts:
        end = min(start + window, duration)
        first = max(0, bisect_right(times, start + 1e-6) - 1)
        last = max(first + 1, bisect_left(times, end - 1e-6))
        spans.append((start, end, range(first, last)))
    return spans


def _parts(spans, source, processor, do_face_crop) -> Iterator[list]:
    """Groups consecutive windows so that the frames of a group fit into `PART_BYTES`."""
    if do_face_crop:
        pixels = source.height * source.width * min(1.0, FACE_MAX_SIDE / max(source.height, source.width)) ** 2
    else:
        pixels = math.prod(_frame_size(processor))
    most_frames = max(1, int(PART_BYTES / (3 * pixels)))
    part = []
    for span in spans:
        if part and span[2].stop - part[0][2].start > most_frames:
            yield part
            part = []
        part.append(span)
    if part:
        yield part


def _frame_size(processor) -> tuple[int, int]:
    size = processor.size
    if not (size.get("height") and size.get("width")):
        raise ValueError(f"A timeline needs a processor whose size has height and width, got {dict(size)}.")
    return size["height"], size["width"]


def _answer_part(
    part, source, times, network, processor, do_face_crop, people, small_faces
) -> Iterator[tuple[int, int, Window]]:
    """Yields the person, the number of the window in the part, and the answer, of windows that show the person."""
    sampled = []  # the frames of each window
    for start, end, frames in part:
        metadata = RDFERVideoMetadata(total_num_frames=len(frames), duration=end - start)
        metadata.pts_seconds = [max(time, start) for time in times[frames.start : frames.stop]]
        sampled.append([frames[i] for i in processor.sample_frames(metadata, network.config.num_frames)])
    needed = sorted({frame for frames in sampled for frame in frames})
    size = _frame_size(processor)
    if not do_face_crop:
        images = source.get_frames(needed, size=size)
        place = {frame: index for index, frame in enumerate(needed)}
        chosen = {number: [place[frame] for frame in frames] for number, frames in enumerate(sampled)}
        answers = _answer(images, torch.zeros(len(needed)), chosen, network)
        for number, *answer in answers:
            yield 0, number, _window(part[number], needed, times, len(chosen[number]), *answer)
        return
    images = source.get_frames(needed, max_side=FACE_MAX_SIDE)
    for appearance in people.follow(images, needed, processor.face_detector(), small_faces):
        start, stop, track = appearance.start, appearance.stop, appearance.track
        place, visible = {frame: index for index, frame in enumerate(needed[start:stop])}, track.visible()
        chosen = {}
        for number, frames in enumerate(sampled):
            places = [place[frame] for frame in frames if frame in place]
            if 2 * int(visible[places].sum()) >= len(frames):
                chosen[number] = places
        if not chosen:
            continue
        crops = crop_faces(images[start:stop], track.boxes, track.rolls, size, processor.face_margin)
        for number, *answer in _answer(crops, track.yaws, chosen, network):
            places = chosen[number]
            window = _window(part[number], needed[start:stop], times, len(places), *answer)
            seen = _seen(track, places, visible, source.width / images.shape[-1])
            edges = zip(seen.boxes[len(places) // 2].tolist(), [source.width, source.height] * 2)
            window.box = [min(max(edge, 0.0), side) for edge, side in edges]
            codes = face_warnings(seen, crops[places], processor.face_margin)
            # A track does not go beyond its shot.
            window.warnings = codes if len(places) == len(sampled[number]) else in_order({*codes, "cut"})
            yield appearance.person, number, window


def _seen(track: FaceTrack, places: list[int], visible: torch.Tensor, scale: float) -> FaceTrack:
    """A face in some frames of its track, with boxes in pixels of the video."""
    return replace(
        track,
        boxes=track.boxes[places] * scale,
        rolls=track.rolls[places],
        yaws=track.yaws[places],
        examined=track.examined[places],
        detected=track.detected[places],
        presence=float(visible[places].float().mean()),
    )


def _window(span, numbers, times, num_frames, scores, agreement, key, image) -> Window:
    # The image is copied, as a view would keep all frames in memory.
    return Window(span[0], span[1], scores, agreement, times[numbers[key]], image.clone(), num_frames=num_frames)


def _answer(images, yaws, chosen: dict[int, list[int]], network):
    """Yields the number of each window in `chosen`, its scores and agreement, the place of its key frame among the
    images, and that image.
    """
    shared = SharedFeatures(network, max(images.shape[-2:])) if can_share_features(network) else None
    if shared is not None:
        for image in images:
            shared.add(image)
    numbers = list(chosen)
    for start in range(0, len(numbers), WINDOWS_PER_BATCH):
        batch = numbers[start : start + WINDOWS_PER_BATCH]
        longest = max(len(chosen[number]) for number in batch)
        padded = torch.tensor([chosen[n] + chosen[n][-1:] * (longest - len(chosen[n])) for n in batch])
        mask = torch.arange(longest) < torch.tensor([len(chosen[number]) for number in batch])[:, None]
        confidence = torch.tensor([face_confidence(yaws[chosen[number]]) for number in batch])
        options = {} if shared is None else {"shared_features": shared.of_windows(padded)}
        with torch.inference_mode():
            outputs = network(
                pixel_values_videos=images[padded].to(network.device),
                frame_mask=mask.to(network.device),
                face_confidence=confidence.to(network.device),
                **options,
            )
        scores = probabilities(network, outputs.logits).tolist()
        for row, number in enumerate(batch):
            _, num_clips, num_frames = outputs.key_frame_indices.shape
            key = chosen[number][outputs.key_frame_indices[row, num_clips // 2, num_frames // 2].item()]
            named = dict(zip((network.config.id2label[i] for i in range(len(scores[row]))), scores[row]))
            yield number, named, outputs.agreement[row].item(), key, images[key]


__all__ = ["Window", "timeline"]
