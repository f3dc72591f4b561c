# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Data collator: examples of videos to a batch; and the check that a training set has what it takes."""

import numpy as np
import torch
from torch.utils.data import Dataset

# What the models take of a batch.
MODEL_INPUTS = ("pixel_values_videos", "frame_mask", "clip_jitter")


def collate_videos(examples: list[dict]) -> dict[str, torch.Tensor]:
    """
    Stacks examples to a batch. Columns that neither the model nor the loss takes, such as strings, are left out.

    Args:
        examples (`list[dict]`): with `pixel_values_videos` `(T, 3, H, W)`, `labels`, and optionally `frame_mask`
            `(T,)`, `clip_jitter` `(K,)`, `sample_index`, `pseudo_labels` `(T, C)`.

    Returns:
        `dict[str, torch.Tensor]`: the same names, with the batch as first axis.

    Raises:
        KeyError: if columns are missing, naming them and those that are there.
    """
    missing = [name for name in ("pixel_values_videos", "labels") if name not in examples[0]]
    if missing:
        raise KeyError(f"The dataset's examples lack {missing}; they have {sorted(examples[0])}.")
    taken = [name for name in (*MODEL_INPUTS, "labels", "sample_index", "pseudo_labels") if name in examples[0]]
    return {name: torch.stack([torch.as_tensor(example[name]) for example in examples]) for name in taken}


def check_train_dataset(dataset: Dataset, num_labels: int, sampler: str = "random") -> torch.LongTensor:
    """
    Checks a training set, see [`RDFERTrainer`].

    Args:
        dataset (`Dataset`): with `labels`; the first example is read, unless it is a stream.
        num_labels (`int`): of the model.
        sampler (`str`, *optional*, defaults to `"random"`): see [`RDFERTrainingArguments`].

    Returns:
        `torch.LongTensor` of shape `(num_samples,)`: its labels.

    Raises:
        KeyError: if a column or the attribute `labels` is missing, naming it.
        ValueError: if a label is not one of the model's, or the sampler does not fit a stream.
    """
    if not hasattr(dataset, "labels"):
        raise KeyError(
            "The training set has no attribute `labels` (all given labels, in the order of `sample_index`)."
        )
    if not hasattr(dataset, "batches"):
        example = dataset[0]
        missing = [name for name in ("pixel_values_videos", "labels", "sample_index") if name not in example]
        if missing:
            raise KeyError(f"The training set's examples lack {missing}; they have {sorted(example)}.")
    elif sampler != "random":
        raise ValueError(
            f"sampler={sampler!r} needs samples in any order, which a stream does not give: use "
            "class_weights='balanced', or do not stream."
        )
    labels = torch.as_tensor(np.asarray(dataset.labels), dtype=torch.long)
    if labels.min() < 0 or labels.max() >= num_labels:
        raise ValueError(f"Labels {labels.min()}..{labels.max()} do not fit a model of {num_labels} labels.")
    return labels


__all__ = ["MODEL_INPUTS", "check_train_dataset", "collate_videos"]
