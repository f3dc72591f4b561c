# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Prepares a whole dataset, or continues where an interrupted run stopped."""

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers.utils import logging

from modeling_rdfer.hub.card_files import write_card
from modeling_rdfer.hub.dataset_card import dataset_card
from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.inference.ray_shards import map_on_ray, require_package
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.pseudo_labels import FrameTeacher, load_teacher
from training.data.messages import first_few
from training.preparing.card import card_facts
from training.preparing.clips import ClipSource, find_clips_to_prepare
from training.preparing.encoding import prepare_clip
from training.preparing.plan import (
    PlannedShard,
    begin_or_continue,
    make_settings,
    plan_shards,
    start_manifest,
    write_manifest,
)
from training.preparing.shards import read_shard, write_shard

logger = logging.get_logger(__name__)


def prepare_dataset(
    dataset: str,
    root,
    output_dir,
    dataset_options: dict | None = None,
    model: str | None = None,
    size: int | None = None,
    num_frames: int = 64,
    face_crop: bool | None = None,
    on_missing_face: str | None = None,
    on_damage: str | None = None,
    on_bad_video: str = "error",
    shard_size: int = 256,
    num_workers: int | None = None,
    frame_teacher: str | None = None,
    ray: str | None = None,
) -> dict:
    """Prepares a dataset for training, or continues where an interrupted run stopped.

    Args:
        dataset (`str`): name of its loader, a key of `training.datasets.DATASETS`.
        root (`str` or `Path`): folder of the dataset.
        output_dir (`str` or `Path`): folder to write: `data/*.parquet`, `manifest.json`, `README.md`.
        dataset_options (`dict`, *optional*): options of the loader. With `fold`, only that fold is prepared.
        model (`str`, *optional*): checkpoint whose processor is used; the embedded rdfer-small by default.
        size (`int`, *optional*): height and width of frames in pixels, even; the processor's by default.
        num_frames (`int`, *optional*, defaults to 64): most frames of a video.
        face_crop (`bool`, *optional*): whether to find and crop faces. By default for videos and images, but not for
            folders of frames: the datasets of the field distribute face crops as such folders.
        on_missing_face (`"error"` or `"full_frame"`, *optional*): whether a clip without a face cannot be read, or its
            whole frames are taken; the processor's setting by default.
        on_damage (`"error"` or `"use_readable"`, *optional*): whether a damaged video cannot be read, or its readable
            frames are taken; the processor's setting by default.
        on_bad_video (`"error"` or `"skip"`, *optional*, defaults to `"error"`): stop at a clip that cannot be read, or
            leave it out with a warning.
        shard_size (`int`, *optional*, defaults to 256): most clips of a shard.
        num_workers (`int`, *optional*): clips at a time; one for each core by default. The files do not depend on it.
        frame_teacher (`str`, *optional*): RDFER or AEN checkpoint whose predictions for each frame are stored as
            pseudo-labels.
        ray (`str`, *optional*): address of a Ray cluster, or `"auto"` for the one that runs on this computer, or else
            a new one with all its cores. Each core prepares one shard after the other; `num_workers` is not used. All
            machines need this package and see the same files. The files written are the same.

    Returns:
        `dict`: the manifest.

    Raises:
        ValueError: if an argument is wrong, the folder was begun with other settings or another dataset, no clip of a
            split can be read, or the checkpoint cannot be a frame teacher.
        OSError: if the checkpoint is not there.
        VideoReadError: if a clip cannot be read and `on_bad_video="error"`.
        ImportError: if `ray` is given and Ray is not installed.
    """
    output_dir, options = Path(output_dir), dataset_options or {}
    if ray is not None:
        require_package("ray")
        # Workers of Ray have other working folders.
        output_dir = output_dir.absolute()
        root = Path(root).absolute() if Path(root).exists() else root
    if shard_size < 1:
        raise ValueError(f"shard_size is {shard_size}, expected at least 1.")
    processor = _load_processor(model, size, num_frames, on_missing_face, on_damage)
    teacher = network = None
    if frame_teacher is not None:
        network = load_teacher(frame_teacher, "cuda" if torch.cuda.is_available() else None)
        teacher = FrameTeacher(public_name(frame_teacher), class_names(network.config))
    source = find_clips_to_prepare(dataset, root, options)
    processor.do_face_crop = source.column != "frames" if face_crop is None else face_crop
    shards = plan_shards(source, output_dir, shard_size)
    settings = make_settings(processor, options, model, shard_size, teacher, network)
    manifest = begin_or_continue(output_dir, start_manifest(dataset, source, settings))

    missing = [shard for shard in shards if not shard.file.exists()]
    total = sum(len(shard.numbers) for shard in shards)
    faces = "found and cropped" if processor.do_face_crop else "not looked for (--face-crop does)"
    logger.warning(
        f"{total} clips of {dataset} go into {len(shards)} shards, of which {len(shards) - len(missing)} are there "
        f"already; faces are {faces}."
    )
    arguments = (source, processor, teacher, network, on_bad_video, output_dir)
    num_missing = sum(len(shard.numbers) for shard in missing)
    with tqdm(total=total, initial=total - num_missing, desc="preparing", unit="clip") as bar:
        if ray is None:
            _ShardWriter(*arguments).write(missing, num_workers or os.cpu_count() or 1, bar.update)
        elif missing:
            _write_on_ray(missing, arguments, ray, bar.update)
    return _finish(output_dir, manifest, source, shards, on_bad_video)


def _load_processor(model, size, num_frames, on_missing_face, on_damage) -> RDFERVideoProcessor:
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}, expected at least 1.")
    processor = RDFERVideoProcessor.from_pretrained(
        model or embedded_checkpoint(), num_frames=num_frames, do_sample_frames=True, do_rescale=False
    )
    processor.do_normalize = False
    if size is not None:
        processor.size = {"height": size, "width": size}
    if on_missing_face is not None:
        processor.on_missing_face = on_missing_face
    if on_damage is not None:
        processor.on_damage = on_damage
    height, width = processor.size["height"], processor.size["width"]
    if not (height and width) or height % 2 or width % 2:
        raise ValueError(f"Frames of {height} x {width} cannot be encoded: --size must be an even number.")
    return processor


class _ShardWriter:
    """Prepares the clips of shards, several at a time, and writes one shard after the other."""

    def __init__(
        self,
        source: ClipSource,
        processor: RDFERVideoProcessor,
        teacher: FrameTeacher | None,
        network: PreTrainedModel | None,
        on_bad_video: str,
        output_dir: Path,
    ):
        self.source, self.processor, self.teacher, self.network = source, processor, teacher, network
        self.on_bad_video, self.output_dir = on_bad_video, output_dir

    def write(self, missing: list[PlannedShard], num_workers: int, on_clip: Callable[[], object]):
        """Writes the missing shards, and calls `on_clip` after each clip."""
        clips = [(shard.group, number) for shard in missing for number in shard.numbers]
        sources = (self.source.groups[group][number][self.source.column] for group, number in clips)
        # Threads, because decoders, torch and the encoder release Python's lock. On two cores they are as fast as
        # processes, which need as long to start as dozens of clips. Each thread opens its own decoder.
        executor, threads = ThreadPoolExecutor(num_workers), torch.get_num_threads()
        prepare = partial(prepare_clip, self.processor, teacher=self.network)
        results = _map_in_order(executor, prepare, sources, ahead=3 * num_workers)
        try:
            torch.set_num_threads(1)  # the workers share the cores
            for shard in missing:
                rows, skipped = self._rows(shard, results, on_clip)
                write_shard(shard.file, rows, skipped, self.source.features(self.teacher))
        finally:
            torch.set_num_threads(threads)
            executor.shutdown(cancel_futures=True)

    def _rows(
        self, shard: PlannedShard, results: Iterator[dict], on_clip: Callable[[], object]
    ) -> tuple[list[dict], list[dict]]:
        dataset = self.source.groups[shard.group]
        described, label = dataset.remove_columns([self.source.column]), dataset.features["label"]
        rows, skipped = [], []
        for number in shard.numbers:
            row = described[number]
            row["label"] = label.int2str(row["label"])
            made = next(results)
            if "reason" in made:
                skipped.append({"group": shard.group, "sample_id": row["sample_id"], "path": row["path"], **made})
                if self.on_bad_video == "error":
                    raise _bad_clip_error(skipped[0], 0, self.output_dir)
                logger.warning(f"Left out: {row['path']}: {made['reason']}.")
            else:
                video = {"bytes": made.pop("video"), "path": str(Path(row["path"]).with_suffix(".mp4"))}
                own = {} if self.teacher is None else {"frame_teacher": self.teacher.name}
                rows.append({**row, **made, **own, "video": video, "prepared": True})
            on_clip()
        return rows, skipped


class _PreparedShard(NamedTuple):
    """What an actor of Ray says of a shard: its number of clips, and the error of a clip that cannot be read, if any,
    as JSON.
    """

    clips: int
    error: str


class _RayPreparer:
    """What an actor of Ray keeps: it prepares whole shards, unless their files exist."""

    def __init__(self, shards: list[PlannedShard], *arguments):
        self.shards, self.writer = shards, _ShardWriter(*arguments)
        if self.writer.network is not None and torch.cuda.is_available():
            self.writer.network.cuda()

    def __call__(self, number: int) -> _PreparedShard:
        shard = self.shards[number]
        try:
            if not shard.file.exists():  # Ray repeats what ran on a machine that died
                self.writer.write([shard], 1, lambda: None)
        except VideoReadError as error:
            return _PreparedShard(len(shard.numbers), json.dumps(error.args))
        return _PreparedShard(len(shard.numbers), "")


def _write_on_ray(missing: list[PlannedShard], arguments: tuple, address: str, on_clips: Callable[[int], object]):
    """Writes the missing shards on a Ray cluster; `arguments` are those of [`_ShardWriter`]."""
    network = arguments[3]
    if network is not None:
        network.cpu()  # to be pickled
    with closing(map_on_ray(_RayPreparer, (missing, *arguments), range(len(missing)), address)) as results:
        for result in results:
            if result["error"]:
                raise VideoReadError(*json.loads(result["error"]))
            on_clips(result["clips"])


def _map_in_order(executor: Executor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """Results in the order of the items, of which at most `ahead` are in progress at once."""
    waiting = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _finish(
    output_dir: Path, manifest: dict, source: ClipSource, shards: list[PlannedShard], on_bad_video: str
) -> dict:
    """Counts what the shards hold, and writes the card and the complete manifest."""
    counts, skipped, listed = {group: Counter() for group in source.groups}, [], []
    damaged = 0
    for shard in shards:
        labels, num_damaged, left_out = read_shard(shard.file)
        damaged += num_damaged
        counts[shard.group].update(source.labels[label] for label in labels)
        skipped += left_out
        size = shard.file.stat().st_size
        listed.append({"file": f"data/{shard.file.name}", "group": shard.group, "rows": len(labels), "bytes": size})
    if skipped and on_bad_video == "error":
        raise _bad_clip_error(skipped[0], len(skipped) - 1, output_dir)
    if empty := [group for group, number in counts.items() if not number]:
        error = _bad_clip_error(skipped[0], len(skipped) - 1, output_dir)
        raise ValueError(f"No clip of {', '.join(empty)} can be read: {error}")
    manifest |= {
        "complete": True,
        "counts": {group: {name: number[name] for name in source.labels} for group, number in counts.items()},
        "damaged": damaged,
        "skipped": skipped,
        "shards": listed,
    }
    write_card(output_dir, dataset_card(card_facts(manifest)))
    write_manifest(output_dir, manifest)
    if skipped:
        paths = first_few(entry["path"] for entry in skipped)
        logger.warning(f"{len(skipped)} clips cannot be read and are left out: {paths}.")
    if damaged:
        logger.warning(f"{damaged} clips are damaged: the frames that can be decoded are used.")
    return manifest


def _bad_clip_error(entry: dict, more: int, output_dir: Path) -> VideoReadError:
    found, _, expected = entry["reason"].removeprefix("found ").partition("; expected ")
    rest = f" And {more} more." if more else ""
    advice = f"{rest} --on-bad-video skip leaves it out and counts it; the finished part of {output_dir} is kept"
    return VideoReadError(entry["path"], found, (expected or "a video that can be read") + "." + advice)


__all__ = ["prepare_dataset"]
