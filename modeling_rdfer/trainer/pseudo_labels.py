# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pseudo-labels for frame-level guidance: a frozen teacher's probabilities for every frame of a training set."""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..checkpoint_weights import load_network
from ..models.labels_rdfer import canonical_label, class_names
from ..models.loss_aen import UNKNOWN


class FrameTeacher(NamedTuple):
    """The teacher whose pseudo-labels a dataset brings.

    Attributes:
        name (`str`): name of its checkpoint.
        labels (`list[str]`): its classes.
    """

    name: str
    labels: list[str]


def teacher_columns(teacher_labels: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """Maps each label of a model to the number of the teacher's class with that name.

    Args:
        teacher_labels (sequence of `str`): the teacher's classes.
        labels (sequence of `str`): labels of the model that learns.

    Returns:
        `list[int | None]`: for each label the number of the teacher's class, `None` if it has no such class.

    Raises:
        ValueError: if no label is known to both.
    """
    known = {canonical_label(label): number for number, label in enumerate(teacher_labels)}
    columns = [known.get(canonical_label(label)) for label in labels]
    if not any(column is not None for column in columns):
        raise ValueError(
            f"The frame teacher knows none of the labels {list(labels)}, only {list(teacher_labels)}: name another "
            "teacher, or set the weights of the guidance to 0."
        )
    return columns


def take_columns(probabilities: torch.Tensor, columns: Sequence[int | None]) -> torch.Tensor:
    """Reorders a teacher's probabilities `(N, C')` to `(N, C)` for a model's labels, see [`teacher_columns`]."""
    unknown = probabilities.new_full((len(probabilities),), UNKNOWN)
    return torch.stack([unknown if column is None else probabilities[:, column] for column in columns], dim=1)


def load_teacher(checkpoint: str, device=None) -> PreTrainedModel:
    """Loads a frozen frame teacher: an RDFER or AEN checkpoint, of which only the frame classifier is used.

    Args:
        checkpoint (`str`): folder or name on the Hub.
        device (`str` or `torch.device`, *optional*): device of the teacher.

    Returns:
        `PreTrainedModel`: in evaluation mode.

    Raises:
        OSError: if there is no such checkpoint, or tensors of it are missing.
        ValueError: if it has no classifier for single frames.
    """
    teacher = load_network(str(checkpoint))
    if not hasattr(teacher, "classify_frames") or getattr(teacher.config, "temporal_shift", False):
        raise ValueError(
            f"{checkpoint} cannot be a frame teacher: expected an RDFER or AEN checkpoint without temporal shift, "
            f"got {type(teacher).__name__}."
        )
    return teacher.eval().requires_grad_(False).to(device)


@torch.inference_mode()
def label_frames(teacher: PreTrainedModel, frames: torch.Tensor, labels: Sequence[str]) -> torch.Tensor:
    """Computes the teacher's probabilities of single frames for another model's labels. Classes are mapped by name.

    Args:
        teacher (`PreTrainedModel`): see [`load_teacher`].
        frames (`torch.ByteTensor` of shape `(N, 3, H, W)`): RGB 0..255, of any size.
        labels (sequence of C `str`): the other model's labels, in the order of their numbers.

    Returns:
        `torch.FloatTensor` of shape `(N, C)`: probabilities on the CPU; `UNKNOWN` for labels that the teacher does not
        have. The other values add up to less than 1 if the teacher has classes that the other model does not have.

    Raises:
        ValueError: if the frames are not uint8, or no label is known to both.
    """
    if frames.dtype != torch.uint8:
        raise ValueError(f"A frame teacher needs uint8 frames, which it normalises itself, got {frames.dtype}.")
    columns = teacher_columns(class_names(teacher.config), labels)
    size = (teacher.config.image_size,) * 2
    frames = frames.to(teacher.device)
    if tuple(frames.shape[-2:]) != size:
        frames = F.interpolate(frames.float(), size, mode="bilinear", antialias=True).round().to(torch.uint8)
    return take_columns(teacher.classify_frames(frames).float().softmax(-1).cpu(), columns)


def pseudo_labels_of(
    dataset: Dataset,
    teacher: PreTrainedModel,
    labels: Sequence[str],
    cache: str | Path | None = None,
    num_workers: int = 0,
    progress: bool = True,
) -> torch.Tensor:
    """Computes pseudo-labels for all frames of all videos of a training set, without augmentation.

    Args:
        dataset (`Dataset`): examples as [`collate_videos`] takes them, all of the same T. If it has an attribute
            `training`, it is read with that set to False.
        teacher (`PreTrainedModel`): see [`load_teacher`].
        labels (sequence of C `str`): labels of the model that learns.
        cache (`str` or `Path`, *optional*): file to read them from if it belongs to the same samples, teacher and
            labels, and to write them to otherwise. Samples are recognised by the dataset's
            `sample_columns["sample_id"]`; without it, nothing is cached.
        num_workers (`int`, *optional*, defaults to 0): number of processes that read videos.
        progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Returns:
        `torch.HalfTensor` of shape `(num_samples, T, C)`: `UNKNOWN` for padding, and for classes that the teacher does
        not know.

    Raises:
        ValueError: see [`label_frames`].
    """
    if hasattr(dataset, "training"):
        dataset = copy.copy(dataset)
        dataset.training = False
    first = dataset[0]["pixel_values_videos"]
    samples = getattr(dataset, "sample_columns", {}).get("sample_id")
    key = hashlib.blake2b(repr((list(labels), samples, tuple(first.shape))).encode(), digest_size=16)
    for tensor in (torch.as_tensor(first), *teacher.state_dict().values()):
        key.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    metadata = {"key": key.hexdigest(), "format": "pt"}
    if cache is not None and samples is not None and Path(cache).is_file():
        with safe_open(cache, "pt") as file:
            if file.metadata() == metadata:
                return file.get_tensor("pseudo_labels")
    found = torch.full((len(dataset), len(first), len(labels)), UNKNOWN, dtype=torch.half)
    # One example at a time: its frames are already a batch.
    examples = DataLoader(dataset, batch_size=None, num_workers=num_workers)
    for number, example in enumerate(tqdm(examples, desc="labelling frames", unit="video", disable=not progress)):
        frames = torch.as_tensor(example["pixel_values_videos"])
        mask = torch.as_tensor(example.get("frame_mask", torch.ones(len(frames)))).bool()
        found[number, mask] = label_frames(teacher, frames[mask], labels).half()
    if cache is not None and samples is not None:
        Path(cache).parent.mkdir(parents=True, exist_ok=True)
        save_file({"pseudo_labels": found}, cache, metadata=metadata)
    return found


__all__ = [
    "FrameTeacher",
    "label_frames",
    "load_teacher",
    "pseudo_labels_of",
    "take_columns",
    "teacher_columns",
]
