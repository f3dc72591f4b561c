# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Classifies the emotion in whole videos."""

import math
import os
from collections.abc import Iterator
from typing import Literal

import torch
from tqdm.auto import tqdm

from ..models.agreement_rdfer import distinct_clips
from ..models.threads_rdfer import map_in_threads
from ..models.video_processing_rdfer import split_batch
from .explain import explain
from .loading import Engine, load
from .scores import UNCERTAIN, answer_scores, check_min_confidence
from .warning_codes import face_warnings, in_order

# Most threads of `predict` (never more than torch uses). Each may hold 180 MB of whole frames while it detects faces.
MAX_WORKERS = 8


def predict(
    videos,
    model: str | None = None,
    *,
    top_k: int | None = None,
    min_confidence: float | None = None,
    device: str | None = None,
    engine: Engine = "torch",
    batch_size: int = 1,
    do_face_crop: bool | None = None,
    on_missing_face: Literal["error", "full_frame"] | None = None,
    face: Literal["largest", "all"] | int | None = None,
    sampling: Literal["frames", "time"] | None = None,
    channel_order: Literal["rgb", "bgr"] | None = None,
    on_damage: Literal["error", "use_readable"] | None = None,
    on_error: Literal["raise", "report"] = "raise",
    return_clips: bool = False,
    return_heatmaps: bool = False,
    progress: bool = False,
) -> dict | list[dict]:
    """Classifies the emotion in videos.

    Args:
        videos (`str`, `Path`, or anything [`RDFERVideoProcessor`] reads; or an iterable of them):
            video files, URLs, folders of frame images, and so on. A list of images is one video, as for the
            processor; other lists hold several videos.
        model (`str`, *optional*): folder or name on the Hub; the embedded checkpoint by default.
        top_k (`int`, *optional*): number of labels in an answer, the most probable first; all by default.
        min_confidence (`float`, *optional*): above 0, at most 1; an answer whose best score is below it has the label
            `"uncertain"`. By default every answer has the label of the best score.
        device (`str`, *optional*): for example `"cpu"` or `"cuda:0"`; by default a GPU if one is available.
        engine (`"torch"` or `"onnx"`, *optional*, defaults to `"torch"`): `"onnx"` runs ONNX Runtime on the CPU and
            needs the extra `onnx`. The model is exported once and kept in a cache, see [`load_onnx_model`].
        batch_size (`int`, *optional*, defaults to 1): largest number of videos in one call of the model. Apart from
            that, several batches are processed at the same time, one in each thread of torch (at most 8).
        do_face_crop (`bool`, *optional*): whether to find and crop the face; by default the checkpoint's setting.
        on_missing_face (`"error"` or `"full_frame"`, *optional*): what to do if no face is found; by default the
            checkpoint's setting.
        face (`"largest"`, `"all"` or `int`, *optional*): the face to use if there are several; `"all"` returns an
            answer for each, a number counts from 0, the largest face first. By default the checkpoint's setting.
        sampling (`"frames"` or `"time"`, *optional*): whether frames are sampled evenly by their number or in time,
            which differs in videos with gaps, as screen recordings; by default the checkpoint's setting.
        channel_order (`"rgb"` or `"bgr"`, *optional*): order of the colours in arrays and tensors; OpenCV gives BGR.
            By default the checkpoint's setting.
        on_damage (`"error"` or `"use_readable"`, *optional*): whether a damaged video file is an error, or the frames
            that can be decoded are used (at least a quarter must be); by default the checkpoint's setting.
        on_error (`"raise"` or `"report"`, *optional*, defaults to `"raise"`): `"report"` returns an answer with
            `"error"` for a video that cannot be read, and continues with the others.
        return_clips (`bool`, *optional*, defaults to `False`): whether to add the clips that the model classified, as
            `"clips"`.
        return_heatmaps (`bool`, *optional*, defaults to `False`): whether to add the clips with heat maps of their
            frames, see [`explain`]. Needs `engine="torch"`.
        progress (`bool`, *optional*, defaults to `False`): whether to show a progress bar.

    Returns:
        `dict` or `list[dict]`: one `dict` for one video, a list for several videos or with `face="all"`. Keys:

        - `"file"`: path or description of the video.
        - `"label"`: the label of the best score; `"uncertain"` if that score is below `min_confidence`.
        - `"predictions"`: list of `{"label", "score"}`, scores 0..1, the best first, calibrated if the checkpoint is;
          `min_confidence` does not change them.
        - `"agreement"`: share of the clips that show the same expression, 0..1.
        - `"sentiment"` (AEN only): the most probable emotion group, as `{"label", "score"}`; the score is the sum over
          its emotions.
        - `"face"` (with `face="all"`): number of the face, the largest is 0.
        - `"num_frames"`: number of frames looked at.
        - `"start_seconds"` and `"end_seconds"`: times of the first and the last of them; None if the video has no
          times.
        - `"box"` (with `do_face_crop`): the face as `[x1, y1, x2, y2]` in pixels, the median over the frames in which
          it was detected, not beyond the frame; None if whole frames were classified.
        - `"frame_size"`: `[width, height]` of the video in pixels, as it is displayed.
        - `"warnings"`: what makes the answer less reliable, keys of `inference.warning_codes.WARNING_CODES`.
        - `"num_readable"` and `"num_unreadable"` (of damaged videos, with `on_damage="use_readable"`): numbers of
          frames that could and could not be decoded.
        - `"clips"` (with `return_clips=True`): the distinct clips, sorted in time, each with `"label"`, `"score"`,
          `"seconds"` (times of its L frames; None if the video has no times) and `"frames"` (uint8 tensor of shape
          `(L, 3, height, width)`, the model's input). With `return_heatmaps=True` also `"heatmaps"` (float tensor of
          shape `(L, height, width)`, 0..1): where the frames speak for the best label of the video.
        - `"error"` (with `on_error="report"`): what is wrong; the only other key is then `"file"`.

    Raises:
        VideoReadError: with `on_error="raise"`, if a video cannot be read or no face is found in it.
        OSError: if the checkpoint does not exist.
        ValueError: if `batch_size`, `top_k`, `min_confidence`, `on_error`, `engine` or the combination of options is
            not allowed.
    """
    check_min_confidence(min_confidence)
    if batch_size < 1 or (top_k is not None and top_k < 1):
        raise ValueError(f"batch_size and top_k must be at least 1, got {batch_size=}, {top_k=}.")
    if on_error not in ("raise", "report"):
        raise ValueError(f"on_error must be 'raise' or 'report', got {on_error!r}.")
    if return_heatmaps and engine != "torch":
        raise ValueError(f"return_heatmaps=True needs gradients, so engine='torch', got {engine!r}.")
    if isinstance(videos, Iterator):
        videos = list(videos)
    batch = split_batch(videos)
    # A list with one video in it counts as several videos; a list of frames is one video.
    is_single = len(batch) == 1 and (batch[0] is videos or not isinstance(videos, (list, tuple)))
    videos = batch
    network, processor = load(model, device, engine)
    chosen_face = processor.face if face is None else face
    by_face = chosen_face == "all"
    # None stands for the checkpoint's setting.
    options = {
        "do_face_crop": do_face_crop,
        "on_missing_face": on_missing_face,
        "face": chosen_face,
        "sampling": sampling,
        "channel_order": channel_order,
        "on_damage": on_damage,
    }
    workers = min(torch.get_num_threads(), MAX_WORKERS, len(videos))
    size = min(batch_size, math.ceil(len(videos) / workers))
    batches = [videos[start : start + size] for start in range(0, len(videos), size)]

    def answer(batch):
        read = [_read(video, processor, **options) for video in batch]
        margin = processor.face_margin
        shown = {"return_clips": return_clips or return_heatmaps, "return_heatmaps": return_heatmaps}
        return len(batch), _answer(network, read, top_k, min_confidence, by_face, on_error, margin=margin, **shown)

    results = []
    with tqdm(total=len(videos), unit="video", disable=not progress) as bar:
        # Each thread decodes and computes a whole batch: decoding uses one core, and two cores compute two videos
        # faster than one video. Both release Python's global lock.
        for done, answers in map_in_threads(answer, batches, workers):
            results.extend(answers)
            bar.update(done)
    return results[0] if is_single and not by_face else results


def _read(video, processor, **options):
    """Returns the video, and the model's inputs or the error."""
    try:
        return video, processor([video], return_tensors="pt", return_metadata=True, **options)
    except (ValueError, TypeError, OSError) as error:
        return video, error


@torch.inference_mode()
def _answer(
    network,
    batch: list,
    top_k: int | None,
    min_confidence: float | None,
    by_face: bool,
    on_error: str,
    return_clips: bool,
    return_heatmaps: bool,
    margin: float,
) -> list[dict]:
    answers: list[dict] = []
    rows, times = [], []
    for video, inputs in batch:
        path = video.get("path") if isinstance(video, dict) else video
        name = os.fsdecode(path) if isinstance(path, (str, os.PathLike)) else type(video).__name__
        if isinstance(inputs, Exception):
            if on_error == "raise":
                raise inputs
            answers.append({"file": name, "error": str(inputs)})
            continue
        keys = {"pixel_values_videos", "frame_mask", "face_confidence"} & inputs.keys()
        metadata = inputs["video_metadata"][0]
        frames = {"num_readable": metadata.total_num_frames, "num_unreadable": metadata.num_unreadable}
        for face in range(len(inputs["pixel_values_videos"])):
            rows.append({key: inputs[key][face] for key in keys})
            times.append(metadata.pts_seconds)
            answers.append(
                {
                    "file": name,
                    **({"face": face} if by_face else {}),
                    **(frames if metadata.num_unreadable else {}),
                    **_facts(rows[-1], metadata, face, by_face, margin),
                }
            )
    if not rows:
        return answers
    tensors = {key: torch.stack([row[key] for row in rows]).to(network.device) for key in rows[0]}
    outputs = network(**tensors)
    scores, labels = answer_scores(network, outputs.logits).sort(dim=-1, descending=True)
    if return_heatmaps:
        heatmaps = explain(network, tensors["pixel_values_videos"], tensors.get("frame_mask"), labels[:, 0]).heatmaps
    for row, answer in enumerate(answer for answer in answers if "error" not in answer):
        is_certain = min_confidence is None or scores[row, 0].item() >= min_confidence
        answer["label"] = network.config.id2label[labels[row, 0].item()] if is_certain else UNCERTAIN
        answer["predictions"] = [
            {"label": network.config.id2label[label], "score": score}
            for label, score in zip(labels[row, :top_k].tolist(), scores[row, :top_k].tolist())
        ]
        answer["agreement"] = outputs.agreement[row].item()
        if outputs.get("sentiment_logits") is not None:
            score, group = outputs.sentiment_logits[row].float().softmax(-1).max(-1)
            answer["sentiment"] = {"label": network.config.group_names[group.item()], "score": score.item()}
        if return_clips:
            answer["clips"] = _clips(network, outputs, row, rows[row]["pixel_values_videos"], times[row])
        if return_heatmaps:
            for clip, heat in zip(
                answer["clips"], heatmaps[row, distinct_clips(outputs.key_frame_indices[row : row + 1])[0]]
            ):
                clip["heatmaps"] = heat.cpu()
    return answers


def _facts(row: dict, metadata, face: int, by_face: bool, margin: float) -> dict:
    """What was looked at: frames, times, the place of the face; and warnings."""
    num_frames, seconds = int(row["frame_mask"].sum()), metadata.pts_seconds
    facts = {
        "num_frames": num_frames,
        "start_seconds": None if seconds is None else seconds[0],
        "end_seconds": None if seconds is None else seconds[-1],
        "frame_size": [metadata.width, metadata.height],
    }
    codes = {"damaged_file"} if metadata.is_damaged else set()
    if metadata.num_faces is not None:  # with do_face_crop
        if metadata.faces:
            track = metadata.faces[face]
            codes |= {"several_faces"} if metadata.num_faces > 1 and not by_face else set()
            codes |= set(face_warnings(track, row["pixel_values_videos"][:num_frames], margin))
            box, sides = track.boxes[track.detected].median(0).values, [metadata.width, metadata.height] * 2
            facts["box"] = [round(min(max(value, 0.0), side), 1) for value, side in zip(box.tolist(), sides)]
        else:
            codes, facts["box"] = {*codes, "no_face"}, None
    return {**facts, "warnings": in_order(codes)}


def _clips(network, outputs, row: int, frames: torch.Tensor, times: list[float] | None) -> list[dict]:
    indices = outputs.key_frame_indices[row]
    scores, labels = answer_scores(network, outputs.clip_logits[row]).max(dim=-1)
    return [
        {
            "label": network.config.id2label[labels[clip].item()],
            "score": scores[clip].item(),
            "seconds": None if times is None else [times[index] for index in indices[clip].tolist()],
            "frames": frames[indices[clip].cpu()],
        }
        for clip in distinct_clips(indices[None])[0].nonzero().flatten().tolist()
    ]


__all__ = ["predict"]
