# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Batches of labelled videos for scripts that run a model over them once, without augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from training.data.checks import report_bad_videos
from training.data.video_dataset import ScoringVideoDataset


@dataclass
class ScoringBatch:
    """The readable videos of a batch, B of them.

    Attributes:
        numbers (`list[int]`): position of each in the dataset.
        frames (`torch.Tensor` of shape `(B, T, 3, H, W)`): frames, on the model's device.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`): True for real frames, on the model's device.
        labels (`torch.LongTensor` of shape `(B,)`): numbers of the given labels, on the model's device.
        examples (`list[dict]`): what [`ScoringVideoDataset`] gives for each, on the CPU.
    """

    numbers: list[int]
    frames: torch.Tensor
    frame_mask: torch.Tensor
    labels: torch.Tensor
    examples: list[dict]

    def __len__(self) -> int:
        return len(self.numbers)


class ScoringBatches:
    """Iterates over a dataset once, in its order, with a progress bar. Videos that cannot be read are left out of the
    batches and collected in `errors`; a batch without a readable video does not appear.

    Args:
        dataset ([`ScoringVideoDataset`]): videos.
        device (`torch.device` or `str`): where the batches go.
        batch_size (`int`, *optional*, defaults to 8): most videos of a batch.
        num_workers (`int`, *optional*, defaults to 0): processes that read videos.
        on_bad_video (`"error"`, `"skip"` or `"collect"`, *optional*, defaults to `"error"`): `"error"` raises at the
            first batch with a bad video. `"skip"` warns at the end, and raises if no video can be read. `"collect"`
            leaves `errors` to the caller.
        description (`str`, *optional*, defaults to `"reading videos"`): of the progress bar.
        disable_progress (`bool`, *optional*, defaults to `False`): whether to show no progress bar.

    Attributes:
        errors (`dict[int, Exception]`): position in the dataset -> why the video cannot be read. Complete after the
            iteration.

    Raises:
        ValueError, OSError: while iterating; see [`report_bad_videos`].
    """

    def __init__(
        self,
        dataset: ScoringVideoDataset,
        device: torch.device | str,
        batch_size: int = 8,
        num_workers: int = 0,
        on_bad_video: Literal["error", "skip", "collect"] = "error",
        description: str = "reading videos",
        disable_progress: bool = False,
    ):
        self.dataset, self.device, self.batch_size, self.num_workers = dataset, device, batch_size, num_workers
        self.on_bad_video, self.description, self.disable_progress = on_bad_video, description, disable_progress
        self.errors: dict[int, Exception] = {}

    def __iter__(self) -> Iterator[ScoringBatch]:
        self.errors, first = {}, 0
        loader = DataLoader(self.dataset, self.batch_size, num_workers=self.num_workers, collate_fn=list)
        with tqdm(
            total=len(self.dataset), desc=self.description, unit="video", disable=self.disable_progress
        ) as progress:
            for examples in loader:
                numbered = list(enumerate(examples, start=first))
                first += len(examples)
                errors = {number: example for number, example in numbered if isinstance(example, Exception)}
                self.errors |= errors
                if self.on_bad_video == "error" and errors:
                    self._report()
                if len(errors) < len(numbered):
                    yield self._batch([pair for pair in numbered if pair[0] not in errors])
                progress.update(len(examples))
        if self.on_bad_video != "collect":
            self._report()

    def _report(self):
        report_bad_videos(list(self.errors.values()), len(self.dataset), self.on_bad_video)

    def _batch(self, numbered: list[tuple[int, dict]]) -> ScoringBatch:
        numbers, examples = [number for number, _ in numbered], [example for _, example in numbered]
        return ScoringBatch(
            numbers,
            torch.stack([example["pixel_values_videos"] for example in examples]).to(self.device),
            torch.stack([example["frame_mask"] for example in examples]).to(self.device),
            torch.tensor([self.dataset.labels[number] for number in numbers], device=self.device),
            examples,
        )


__all__ = ["ScoringBatch", "ScoringBatches"]
