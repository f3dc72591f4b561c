# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""From video files to answers: `predict` for whole videos, `timeline` for windows along one video."""

import copy
import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from tqdm.auto import tqdm
from transformers import AutoModelForVideoClassification, AutoVideoProcessor, PreTrainedModel
from transformers.video_utils import VideoMetadata

from ..models.face_rdfer import crop_faces, track_faces
from ..models.modeling_rdfer import distinct_clips
from ..models.package_data_rdfer import embedded_checkpoint
from ..models.video_decoding_rdfer import VideoReadError, map_in_threads, open_video
from ..models.video_processing_rdfer import FACE_MAX_SIDE, RDFERVideoProcessor, split_batch

# The timeline reads a video in parts whose frames take at most this much memory.
PART_BYTES = 96 * 1024 * 1024
WINDOWS_PER_BATCH = 8
# Threads of `predict`, at most one for each of torch's. Each may hold 180 MB of whole frames while it looks for faces.
WORKERS_AT_MOST = 8


def load(
    model: str | None = None, device: str | None = None, engine: Literal["torch", "onnx"] = "torch"
) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    """
    Loads a model and its processor. The last two are kept and given again until their files change.

    Args:
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        device (`str`, *optional*): e.g. `"cpu"` or `"cuda:0"`; a GPU if there is one by default.
        engine (`"torch"` or `"onnx"`): what computes; with `"onnx"` the model comes as an
            [`~export.ONNXModel`], see [`~export.session`], on the CPU.

    Returns:
        The model in evaluation mode, on its device, and its processor.

    Raises:
        OSError: if there is no such checkpoint.
        RuntimeError: if there is no such device.
        ImportError: if ONNX Runtime is asked for and missing.
        ValueError: if `engine` is unknown or does not run on `device`.
    """
    if engine not in ("torch", "onnx"):
        raise ValueError(f"engine must be 'torch' or 'onnx', got {engine!r}.")
    if engine == "onnx":
        if device not in (None, "cpu"):
            raise ValueError(f"engine='onnx' runs on the CPU, got device={device!r}.")
        device = "cpu"
    model = str(model or embedded_checkpoint())
    folder = Path(model)
    if (folder.is_absolute() or model.startswith(".")) and not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {model}; expected a checkpoint's folder or a name on the Hub.")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{model} is not a checkpoint's folder: it has no config.json.")
    changed = max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0) if folder.is_dir() else 0
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    network, processor = _load(model, device, changed)
    if engine == "onnx":
        network = _load_onnx(model, changed, torch.get_num_threads())
    return network, copy.copy(processor)  # whose options can be changed by who asked for it


@functools.lru_cache(maxsize=2)
def _load(model: str, device: str, changed: int) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    network = AutoModelForVideoClassification.from_pretrained(model).eval()
    # Weights in the memory order that the backbones compute in, once instead of at each call.
    return network.to(device, memory_format=torch.channels_last), AutoVideoProcessor.from_pretrained(model)


@functools.lru_cache(maxsize=2)
def _load_onnx(model: str, changed: int, num_threads: int):
    from .export import session  # which needs this module

    return session(_load(model, "cpu", changed)[0])


def probabilities(model: PreTrainedModel, logits: torch.Tensor) -> torch.Tensor:
    """Logits `(..., C)` to what the video-classification pipeline calls score, by the model's problem type."""
    if model.config.problem_type == "regression":
        return logits.float()
    if model.config.problem_type == "multi_label_classification":
        return logits.float().sigmoid()
    return logits.float().softmax(-1)


def predict(
    videos,
    model: str | None = None,
    *,
    top_k: int | None = None,
    device: str | None = None,
    engine: Literal["torch", "onnx"] = "torch",
    batch_size: int = 1,
    do_face_crop: bool | None = None,
    on_missing_face: Literal["error", "full_frame"] | None = None,
    face: Literal["largest", "all"] | int | None = None,
    on_error: Literal["raise", "report"] = "raise",
    return_clips: bool = False,
    progress: bool = False,
) -> dict | list[dict]:
    """
    Classifies the emotion in videos (ours).

    Args:
        videos (`str`, `Path`, or anything [`RDFERVideoProcessor`] reads; or an iterable of them):
            Video files, URLs, folders of frame images, ... Several are answered with a list. A list of images is one
            video, as for the processor.
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        top_k (`int`, *optional*): number of labels in an answer, the most probable first; all by default.
        device (`str`, *optional*): e.g. `"cpu"` or `"cuda:0"`; a GPU if there is one by default.
        engine (`"torch"` or `"onnx"`): what computes. ONNX Runtime needs the extra `onnx` and is for the CPU; the
            model is exported for it once and kept in a cache, see [`~export.session`].
        batch_size (`int`, defaults to 1): most videos that go through the model at once. Several videos are read and
            computed at a time in any case, one in each of torch's threads (at most 8).
        do_face_crop (`bool`, *optional*): whether to find and crop the face; as the checkpoint says by default.
        on_missing_face (`"error"` or `"full_frame"`, *optional*): as the checkpoint says by default.
        face (`"largest"`, `"all"` or `int`, *optional*): which face where there are several; `"all"` gives an answer
            for each. As the checkpoint says by default.
        on_error (`"raise"` or `"report"`): whether a video that cannot be read raises, or is answered with its
            `"error"` while the others go on.
        return_clips (`bool`, defaults to `False`): whether to add the clips the model looked at, as `"clips"`.
        progress (`bool`): whether to show a progress bar.

    Returns:
        For each video (for each face with `face="all"`) a `dict`: `"file"`, `"predictions"` (a list of `{"label",
        "score"}`, scores 0..1; if the checkpoint is calibrated also `"calibrated_score"`, 0..1), `"agreement"` (0..1),
        of an AEN checkpoint also `"sentiment"` (the most probable emotion group as such a dict, whose score is the sum
        over its emotions), with `face="all"` also `"face"` (number, by size); or `"file"` and `"error"`. A single dict
        for a single video, unless `face="all"`. `"clips"` is a list of the distinct clips in time: `"label"`,
        `"score"`, `"seconds"` (times of its L frames, or None where the video has none) and `"frames"` (uint8 tensor
        of shape `(L, 3, height, width)`, as the model saw them).

    Raises:
        VideoReadError: a video cannot be read or no face is found in it, with `on_error="raise"`.
        OSError: there is no such checkpoint.
    """
    if batch_size < 1 or (top_k is not None and top_k < 1):
        raise ValueError(f"batch_size and top_k must be at least 1, got {batch_size=}, {top_k=}.")
    if on_error not in ("raise", "report"):
        raise ValueError(f"on_error must be 'raise' or 'report', got {on_error!r}.")
    if isinstance(videos, Iterator):
        videos = list(videos)
    batch = split_batch(videos)
    # A list of one video is a list; a list of frames is one video.
    is_single = len(batch) == 1 and (batch[0] is videos or not isinstance(videos, (list, tuple)))
    videos = batch
    network, processor = load(model, device, engine)
    if face is None:
        face = processor.face
    # What is None is as the checkpoint says.
    options = {"do_face_crop": do_face_crop, "on_missing_face": on_missing_face, "face": face}
    workers = min(torch.get_num_threads(), WORKERS_AT_MOST, len(videos))
    batches = list(_batches(videos, min(batch_size, math.ceil(len(videos) / workers))))

    def answer(batch):
        read = [_read(video, processor, **options) for video in batch]
        return len(batch), _answer(network, read, top_k, face == "all", on_error, return_clips)

    results = []
    with tqdm(total=len(videos), unit="video", disable=not progress) as bar:
        # Each thread reads and computes by itself: decoding uses one core, and networks two cores better on two videos
        # than on one. All of it releases Python's lock.
        for done, answers in map_in_threads(answer, batches, workers):
            results.extend(answers)
            bar.update(done)
    return results[0] if is_single and face != "all" else results


def _read(video, processor, **options):
    """(video, inputs of the model or what is wrong with the video)."""
    try:
        return video, processor([video], return_tensors="pt", return_metadata=True, **options)
    except (ValueError, TypeError, OSError) as error:
        return video, error


def _batches(items: Iterable, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _answer(network, batch: list, top_k: int | None, by_face: bool, on_error: str, return_clips: bool) -> list[dict]:
    answers, rows, times = [], [], []
    for video, inputs in batch:
        path = video.get("path") if isinstance(video, dict) else video
        name = str(path) if isinstance(path, (str, Path)) else type(video).__name__
        if isinstance(inputs, Exception):
            if on_error == "raise":
                raise inputs
            answers.append({"file": name, "error": str(inputs)})
            continue
        for face in range(len(inputs["pixel_values_videos"])):
            rows.append({key: inputs[key][face] for key in ("pixel_values_videos", "frame_mask")})
            times.append(inputs["video_metadata"][0].pts_seconds)
            answers.append({"file": name, **({"face": face} if by_face else {})})
    if not rows:
        return answers
    tensors = {key: torch.stack([row[key] for row in rows]).to(network.device) for key in rows[0]}
    outputs = network(**tensors)
    scores, labels = probabilities(network, outputs.logits).sort(dim=-1, descending=True)
    temperature = network.config.calibration_temperature
    for row, answer in enumerate(answer for answer in answers if "error" not in answer):
        answer["predictions"] = [
            {"label": network.config.id2label[label], "score": score}
            for label, score in zip(labels[row, :top_k].tolist(), scores[row, :top_k].tolist())
        ]
        if temperature is not None:
            calibrated = probabilities(network, outputs.logits[row] / temperature)
            for prediction, label in zip(answer["predictions"], labels[row].tolist()):
                prediction["calibrated_score"] = calibrated[label].item()
        answer["agreement"] = outputs.agreement[row].item()
        if outputs.get("sentiment_logits") is not None:
            answer["sentiment"] = _sentiment(network.config, outputs.sentiment_logits[row], outputs.logits[row])
        if return_clips:
            answer["clips"] = _clips(network, outputs, row, rows[row]["pixel_values_videos"], times[row])
    return answers


def _sentiment(config, sentiment_logits: torch.Tensor, logits: torch.Tensor) -> dict:
    score, group = sentiment_logits.float().softmax(-1).max(-1)
    sentiment = {"label": config.group_names[group.item()], "score": score.item()}
    if config.calibration_temperature is not None:
        calibrated = (logits.float() / config.calibration_temperature).softmax(-1).tolist()
        inside = [p for p, number in zip(calibrated, config.group_of_label) if number == group.item()]
        sentiment["calibrated_score"] = sum(inside)
    return sentiment


def _clips(network, outputs, row: int, frames: torch.Tensor, times: list[float] | None) -> list[dict]:
    indices = outputs.key_frame_indices[row]
    scores, labels = probabilities(network, outputs.clip_logits[row]).max(dim=-1)
    return [
        {
            "label": network.config.id2label[labels[clip].item()],
            "score": scores[clip].item(),
            "seconds": None if times is None else [times[index] for index in indices[clip].tolist()],
            "frames": frames[indices[clip].cpu()],
        }
        for clip in distinct_clips(indices[None])[0].nonzero().flatten().tolist()
    ]


@dataclass
class Window:
    """
    Answer for one window of a timeline.

    Attributes:
        start_seconds, end_seconds (`float`): the window, from the beginning of the video.
        scores (`dict[str, float]` or `None`): label -> probability 0..1; None where there is no face.
        agreement (`float` or `None`): agreement of the clips, 0..1.
        key_frame_seconds (`float` or `None`): time of the frame in the middle of the clips the model looked at.
        key_frame (`torch.Tensor` of shape `(3, height, width)` or `None`): that frame as the model saw it, uint8.
    """

    start_seconds: float
    end_seconds: float
    scores: dict[str, float] | None = None
    agreement: float | None = None
    key_frame_seconds: float | None = None
    key_frame: torch.Tensor | None = None

    @property
    def label(self) -> str | None:
        """The most probable label, None where there is no face."""
        return max(self.scores, key=self.scores.get) if self.scores else None


def timeline(
    video,
    model: str | None = None,
    *,
    window: float = 2.0,
    step: float = 0.5,
    device: str | None = None,
    engine: Literal["torch", "onnx"] = "torch",
    do_face_crop: bool | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> list[Window]:
    """
    Classifies the emotion in sliding windows along a video of any length, which is read in parts (ours).

    Args:
        video (`str`, `Path`, or anything [`RDFERVideoProcessor`] reads): one video. It needs frame times.
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        window (`float`, defaults to 2.0): length of a window in seconds.
        step (`float`, defaults to 0.5): from the beginning of a window to that of the next, in seconds.
        device (`str`, *optional*): e.g. `"cpu"` or `"cuda:0"`; a GPU if there is one by default.
        engine (`"torch"` or `"onnx"`): what computes. ONNX Runtime needs the extra `onnx` and is for the CPU; the
            model is exported for it once and kept in a cache, see [`~export.session`].
        do_face_crop (`bool`, *optional*): whether to find, follow and crop the largest face; as the checkpoint says by
            default. Windows get no scores if more than half of their frames show no face. A long video is followed in
            parts, and another person may be the largest in another part.
        progress (`bool` or function): whether to show a progress bar; or what to call with the number of windows done
            and of all.

    Returns:
        `list[Window]`: the last window ends with the video; a video shorter than a window makes one.

    Raises:
        VideoReadError: the video cannot be read or has no frame times.
        ValueError: `window` or `step` is not above 0.
    """
    if not (window > 0 and step > 0):
        raise ValueError(f"window and step must be above 0 seconds, got {window=}, {step=}.")
    network, processor = load(model, device, engine)
    if do_face_crop is None:
        do_face_crop = processor.do_face_crop
    with closing(open_video(video)) as source:
        if source.pts_seconds is None or any(time != time for time in source.pts_seconds):
            raise VideoReadError(source.name, "frames without times", "a video file by its path, URL or bytes")
        times = [float(time) - float(source.pts_seconds[0]) for time in source.pts_seconds]
        spans = _windows(times, source.duration_seconds or times[-1], window, step)
        windows = []
        with tqdm(total=len(spans), unit="window", disable=progress is not True) as bar:
            for part in _parts(spans, source, processor, do_face_crop):
                for answered in _answer_part(part, source, times, network, processor, do_face_crop):
                    windows.extend(answered)
                    bar.update(len(answered))
                    if callable(progress):
                        progress(len(windows), len(spans))
    return windows


def _windows(times: list[float], duration: float, window: float, step: float) -> list[tuple[float, float, range]]:
    """(start, end, frames) of each window. The frame on display at the start belongs to it, so none is empty."""
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
    """Consecutive windows, so many that the frames of a part fit into `PART_BYTES`."""
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
        raise ValueError(f"A timeline needs a processor whose size has height and width, it has {dict(size)}.")
    return size["height"], size["width"]


def _answer_part(part, source, times, network, processor, do_face_crop) -> Iterator[list[Window]]:
    sampled = []  # the frames of each window
    for _, _, frames in part:
        window = VideoMetadata(total_num_frames=len(frames))
        sampled.append([frames[i] for i in processor.sample_frames(window, network.config.num_frames)])
    needed = sorted({frame for frames in sampled for frame in frames})
    place = {frame: index for index, frame in enumerate(needed)}
    size = _frame_size(processor)
    has_face = [True] * len(needed)
    if do_face_crop:
        images = source.get_frames(needed, max_side=FACE_MAX_SIDE)
        tracks = track_faces(images, processor.face_detector())
        if tracks:
            images = crop_faces(images, tracks[0].boxes, size, processor.face_margin)
        has_face = tracks[0].visible().tolist() if tracks else [False] * len(needed)
    else:
        images = source.get_frames(needed, size=size)

    answers = [Window(start, end) for start, end, _ in part]
    faces = [
        index for index, frames in enumerate(sampled) if 2 * sum(has_face[place[f]] for f in frames) >= len(frames)
    ]
    done = 0
    for batch in _batches(faces, WINDOWS_PER_BATCH):
        clips = [images[[place[frame] for frame in sampled[index]]] for index in batch]
        longest = max(map(len, clips))
        mask = torch.arange(longest) < torch.tensor([len(clip) for clip in clips])[:, None]
        padded = torch.stack([torch.cat([clip, clip[-1:].expand(longest - len(clip), -1, -1, -1)]) for clip in clips])
        with torch.inference_mode():
            outputs = network(pixel_values_videos=padded.to(network.device), frame_mask=mask.to(network.device))
        scores = probabilities(network, outputs.logits).tolist()
        for row, index in enumerate(batch):
            _, num_clips, num_frames = outputs.key_frame_indices.shape
            key = outputs.key_frame_indices[row, num_clips // 2, num_frames // 2].item()
            answer = answers[index]
            answer.scores = dict(zip((network.config.id2label[i] for i in range(len(scores[row]))), scores[row]))
            answer.agreement = outputs.agreement[row].item()
            answer.key_frame_seconds = times[sampled[index][key]]
            answer.key_frame = clips[row][key].clone()  # not a view, which would keep all frames
        yield answers[done : batch[-1] + 1]
        done = batch[-1] + 1
    yield answers[done:]


__all__ = ["Window", "load", "predict", "timeline"]
