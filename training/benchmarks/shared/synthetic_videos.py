# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Synthetic videos with known truth, the same for every run: drawn once, then read from a cache."""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from training.synthetic.videos import make_truths, plan_video

# Name -> first index, number of videos, options of `plan_video`. Every index is another identity.
VIDEO_SETS = {
    "train": (0, 490, {}),
    "test": (1_000_000, 1400, {}),
    "brief": (2_000_000, 700, {"hard": 1.0, "hard_kinds": ("brief",)}),
}
NUM_FRAMES, SIZE, MARGIN = 64, 64, 8


def _draw(job) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sampled frames `(T, 3, size, size)` of a video; which are real, and which show the key expression, `(T,)`."""
    index, options = job
    plan = plan_video(0, index, **options)
    metadata = argparse.Namespace(total_num_frames=plan.truth.num_frames, fps=None)
    sampled = RDFERVideoProcessor().sample_frames(metadata, NUM_FRAMES)
    frames = plan.render(SIZE + MARGIN)[sampled]
    missing = NUM_FRAMES - len(sampled)
    frames = np.concatenate([frames, frames[-1:].repeat(missing, 0)])
    return frames, np.arange(NUM_FRAMES) < len(sampled), np.pad(plan.key[sampled] > 0, (0, missing))


def cache_frames(folder: Path):
    """Draws the videos, unless they are there: `<set>_frames.npy`, uint8 `(N, T, 3, size, size)`; `<set>_mask.npy` and
    `<set>_key.npy`, bool `(N, T)`: which frames are real, and which show the key expression.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (start, count, options) in VIDEO_SETS.items():
        if (folder / f"{name}_key.npy").exists():
            continue
        shape = (count, NUM_FRAMES, 3, SIZE + MARGIN, SIZE + MARGIN)
        frames = np.lib.format.open_memmap(folder / f"{name}_frames.npy", "w+", np.uint8, shape)
        masks, keys = np.empty(shape[:2], bool), np.empty(shape[:2], bool)
        jobs = [(start + number, options) for number in range(count)]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            drawn = tqdm(pool.map(_draw, jobs, chunksize=8), total=count, desc=f"drawing {name} videos")
            for number, video in enumerate(drawn):
                frames[number], masks[number], keys[number] = video
        frames.flush()
        np.save(folder / f"{name}_mask.npy", masks)
        np.save(folder / f"{name}_key.npy", keys)


class CachedVideos(torch.utils.data.Dataset):
    """The cached videos of a set. In training they are cropped and flipped at random.

    Args:
        folder (`Path`): the cache.
        name (`str`): name of the set.
        labels (`list[int]`): label of each video.
        num_clips (`int`): clips of the model.
        training (`bool`): whether to augment.
        seed (`int`): seed of the augmentation.
        numbers (`list[int]`, *optional*): the videos of the set to use; all by default.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        labels: list[int],
        num_clips: int,
        training: bool,
        seed: int = 0,
        numbers: list[int] | None = None,
    ):
        self.numbers = list(range(len(labels))) if numbers is None else numbers
        self.frames = np.load(folder / f"{name}_frames.npy", mmap_mode="c")
        self.masks = np.load(folder / f"{name}_mask.npy")
        self.labels, self.num_clips, self.training = labels, num_clips, training
        self.seed, self.epoch = seed, 0
        self.sample_columns = {"sample_id": [f"{number:06d}" for number in self.numbers]}

    def set_epoch(self, epoch: int):
        """Called by the trainer at the beginning of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        number = self.numbers[index]
        example = {"labels": self.labels[index], "sample_index": index, "frame_mask": self.masks[number]}
        top = left = MARGIN // 2
        flip = False
        if self.training:
            generator = np.random.default_rng([self.seed, self.epoch, number])
            top, left = generator.integers(0, MARGIN, 2, endpoint=True)
            flip = generator.random() < 0.5
            example["clip_jitter"] = torch.from_numpy(generator.random(self.num_clips, dtype=np.float32))
        frames = torch.from_numpy(self.frames[number, :, :, top : top + SIZE, left : left + SIZE])
        example["pixel_values_videos"] = frames.flip(-1) if flip else frames.contiguous()
        return example


def video_truths(name: str, **noise):
    """The truth about each video of a set; `noise` are options of `make_truths`."""
    start, count, options = VIDEO_SETS[name]
    return make_truths(count, 0, start=start, **options, **noise)


def counted_videos(name: str, truths) -> np.ndarray:
    """Which videos of a set are measured: all, except the neutral ones of "brief", which only balance the labels."""
    return np.array([name != "brief" or truth.hard_kind == "brief" for truth in truths])
