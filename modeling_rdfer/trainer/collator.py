# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Data collator, which makes a batch of examples, and the check of a training set."""

import numpy as np
import torch
from torch.utils.data import Dataset

# Columns of a batch that the models take.
MODEL_INPUTS = ("pixel_values_videos", "frame_mask", "clip_jitter")


def collate_videos(examples: list[dict]) -> dict[str, torch.Tensor]:
    """Stacks examples into a batch. Columns that neither the model nor the loss takes, such as strings, are left out.

    Args:
        examples (`list[dict]`): with `pixel_values_videos` `(T, 3, H, W)`, `labels`, and optionally `frame_mask`
            `(T,)`, `clip_jitter` `(K,)`, `sample_index`, `pseudo_labels` `(T, C)`.

    Returns:
        `dict[str, torch.Tensor]`: the same names, with the batch as first axis.

    Raises:
        KeyError: if columns are missing; the message names them and those that are there.
    """
    missing = [name for name in ("pixel_values_videos", "labels") if name not in examples[0]]
    if missing:
        raise KeyError(f"The dataset's examples lack {missing}; they have {sorted(examples[0])}.")
    taken = [name for name in (*MODEL_INPUTS, "labels", "sample_index", "pseudo_labels") if name in examples[0]]
    return {name: torch.stack([torch.as_tensor(example[name]) for example in examples]) for name in taken}


def check_train_dataset(dataset: Dataset, num_labels: int, sampler: str = "random") -> torch.LongTensor:
    """Checks a training set, see [`RDFERTrainer`], and returns its labels.

    Args:
        dataset (`Dataset`): a dataset with the attribute `labels`; its first example is read, unless it is a stream.
        num_labels (`int`): number of the model's labels.
        sampler (`str`, *optional*, defaults to `"random"`): see [`RDFERTrainingArguments`].

    Returns:
        `torch.LongTensor` of shape `(num_samples,)`: the labels.

    Raises:
        KeyError: if a column or the attribute `labels` is missing; the message names it.
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
