# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Finds videos that cannot be read before training starts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers.utils import logging

from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.data.labelled_videos import LabelledVideos
from training.data.messages import first_few
from training.data.video_dataset import ScoringVideoDataset

logger = logging.get_logger(__name__)


def open_videos(
    videos: LabelledVideos, on_damage: str = "error", description: str = "checking videos"
) -> dict[int, Exception]:
    """Opens every video, and adds the columns `num_frames` and `content_hash` (of a prepared video: those of the
    original), which are `None` for videos that cannot be opened.

    Args:
        videos ([`LabelledVideos`]): the videos.
        on_damage (`"error"` or `"use_readable"`, *optional*, defaults to `"error"`): whether a damaged video cannot be
            opened, or the frames that can be decoded are used. These are found by decoding every video, a warning
            counts them, and the column `num_unreadable` has the number of the others.
        description (`str`, *optional*): text of the progress bar.

    Returns:
        `dict[int, Exception]`: why a video cannot be opened, by its number.
    """

    def check(number: int):
        try:
            with open_video(videos.sources[number], on_damage=on_damage) as video:
                num_frames, num_unreadable = video.num_frames, video.num_unreadable
        except (VideoReadError, OSError) as error:
            return error
        known = videos.columns["num_frames"][number] if "num_frames" in videos.columns else None
        return known or num_frames, videos.content_hash(number), num_unreadable

    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(check, range(len(videos)))
        results = list(tqdm(found, total=len(videos), desc=description, unit="video"))
    for place, name in enumerate(("num_frames", "content_hash", "num_unreadable")):
        videos.columns[name] = [None if isinstance(result, Exception) else result[place] for result in results]
    if on_damage == "error":
        del videos.columns["num_unreadable"]
    elif damaged := [number for number, value in enumerate(videos.columns["num_unreadable"]) if value]:
        used, lost = (sum(videos.columns[name][n] for n in damaged) for name in ("num_frames", "num_unreadable"))
        logger.warning(
            f"{len(damaged)} of {len(videos)} videos are damaged: {used} of their {used + lost} frames can be decoded "
            f"and are used: {first_few(videos.sample_ids[number] for number in damaged)}."
        )
    return {number: result for number, result in enumerate(results) if isinstance(result, Exception)}


def check_videos(
    videos: LabelledVideos,
    on_bad_video: str = "error",
    on_damage: str = "error",
    description: str = "checking videos",
) -> LabelledVideos:
    """Opens every video, and notes its number of frames and its content hash for the sample table.

    Args:
        videos ([`LabelledVideos`]): the videos.
        on_bad_video (`"error"` or `"skip"`, *optional*, defaults to `"error"`): stop at a video that cannot be read,
            or leave it out with a warning.
        on_damage, description: see [`open_videos`].

    Returns:
        [`LabelledVideos`]: those that can be read, with the columns of [`open_videos`].

    Raises:
        VideoReadError: if a video cannot be read and `on_bad_video="error"`; the message names the first
            and states their number.
        ValueError: if no video can be read.
    """
    videos = replace(videos, columns=dict(videos.columns))
    errors = open_videos(videos, on_damage, description)
    report_bad_videos(list(errors.values()), len(videos), on_bad_video)
    return videos.select([number for number in range(len(videos)) if number not in errors])


def find_unreadable_videos(
    videos: LabelledVideos,
    label2id: dict[str, int],
    processor: RDFERVideoProcessor,
    args: RDFERTrainingArguments,
    description: str = "reading videos",
) -> dict[int, Exception]:
    """Reads every video once as training does, with face detection, so that none stops the training later.

    This finds more than [`check_videos`]: a video that opens can have frames that cannot be decoded, or no face.
    Prepared videos are not read: `training.prepare` has read them.

    Args:
        videos, label2id, processor: see [`~training.data.video_dataset.VideoDataset`].
        args ([`RDFERTrainingArguments`]): number of data-loader workers; the processes share the videos.
        description (`str`, *optional*): text of the progress bar.

    Returns:
        `dict[int, Exception]`: number of each unreadable video and why it cannot be read; the same in all processes.
    """
    prepared = videos.columns.get("prepared", [False] * len(videos))
    numbers = [number for number in range(len(videos)) if not prepared[number]]
    numbers = numbers[args.process_index :: args.world_size]
    dataset = ScoringVideoDataset(videos.select(numbers), label2id, processor)
    loader = DataLoader(dataset, batch_size=None, num_workers=args.dataloader_num_workers)
    results = tqdm(loader, desc=description, unit="video", disable=args.disable_tqdm or not args.should_log)
    errors = {number: result for number, result in zip(numbers, results) if isinstance(result, Exception)}
    if args.world_size > 1:
        errors = {number: error for part in gather_object([errors]) for number, error in part.items()}
    return dict(sorted(errors.items()))


def report_bad_videos(errors: Sequence[Exception], count: int, on_bad_video: str):
    """Warns of the videos that cannot be read, or raises.

    Args:
        errors (`list[Exception]`): why each bad video cannot be read.
        count (`int`): number of all videos.
        on_bad_video (`"error"` or `"skip"`): whether the first bad video is an error.

    Raises:
        VideoReadError: if there is a bad video and `on_bad_video="error"`; the message names the first
            and states their number.
        ValueError: if all videos are bad, or `count` is 0.
    """
    if errors and on_bad_video == "error":
        rest = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        error = errors[0]
        raise (
            VideoReadError(*error.args[:2], f"{error.args[2]}.{rest} --on-bad-video skip leaves them out")
            if isinstance(error, VideoReadError)
            else error
        )
    for error in errors:
        logger.warning(f"Left out: {error}")
    if errors:
        logger.warning(f"{len(errors)} of {count} videos cannot be read and are left out.")
    if len(errors) == count:
        raise ValueError(
            f"None of the videos can be read; the first: {errors[0]}" if errors else "There are no videos."
        )


__all__ = ["check_videos", "find_unreadable_videos", "open_videos", "report_bad_videos"]
