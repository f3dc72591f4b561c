# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Finds videos that cannot be read before training starts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers.utils import logging

from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import ScoringVideoDataset

logger = logging.get_logger(__name__)


def open_videos(
    videos: LabelledVideos, description: str = "checking videos"
) -> list[tuple[int, str | None] | Exception]:
    """Opens every video without decoding its frames.

    Args:
        videos ([`LabelledVideos`]): the videos.
        description (`str`, *optional*): text of the progress bar.

    Returns:
        `list`: for each video its number of frames and its content hash (of a prepared video: those of the original),
        or the exception that was raised.
    """

    def check(number: int):
        try:
            with open_video(videos.sources[number]) as video:
                num_frames = video.num_frames
        except (VideoReadError, OSError) as error:
            return error
        known = videos.columns["num_frames"][number] if "num_frames" in videos.columns else None
        return known or num_frames, videos.content_hash(number)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(tqdm(pool.map(check, range(len(videos))), total=len(videos), desc=description, unit="video"))


def check_videos(
    videos: LabelledVideos, on_bad_video: str = "error", description: str = "checking videos"
) -> LabelledVideos:
    """Opens every video, and notes its number of frames and its content hash for the sample table.

    Args:
        videos ([`LabelledVideos`]): the videos.
        on_bad_video (`"error"` or `"skip"`, *optional*, defaults to `"error"`): stop at a video that cannot be read,
            or leave it out with a warning.
        description (`str`, *optional*): text of the progress bar.

    Returns:
        [`LabelledVideos`]: those that can be read, with the columns `num_frames` and `content_hash` (of a prepared
        video: those of the original).

    Raises:
        VideoReadError: if a video cannot be read and `on_bad_video="error"`; the message names the first
            and states their number.
        ValueError: if no video can be read.
    """
    results = open_videos(videos, description)
    bad = {number for number, result in enumerate(results) if isinstance(result, Exception)}
    report_bad_videos([results[number] for number in sorted(bad)], len(videos), on_bad_video)
    keep = [number for number in range(len(videos)) if number not in bad]
    kept = videos.select(keep)
    kept.columns["num_frames"] = [results[number][0] for number in keep]
    kept.columns["content_hash"] = [results[number][1] for number in keep]
    return kept


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
