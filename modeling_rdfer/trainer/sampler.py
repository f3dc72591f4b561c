# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labels of different frequency: a sampler that draws them equally often, and weights that balance them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Sampler


class BalancedSampler(Sampler[int]):
    """Draws as many samples as there are, every label equally often (ours).

    Within a label, samples come in random order, and none comes again before all have come. The order depends on
    (seed, epoch) only, so resuming and the number of processes change nothing.

    Args:
        labels (sequence of `int`): label of each sample.
        seed (`int`): seed.
    """

    def __init__(self, labels: Sequence[int], seed: int):
        self.labels = np.asarray(labels)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int):
        """Sets the epoch that the next iteration draws for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self):
        generator = np.random.default_rng([self.seed, self.epoch])
        labels = np.unique(self.labels)
        # If the number does not divide evenly, the labels that get one more sample are drawn at random.
        shares = np.full(len(labels), len(self) // len(labels))
        shares[generator.permutation(len(labels))[: len(self) % len(labels)]] += 1
        drawn = []
        for label, share in zip(labels, shares):
            members = np.flatnonzero(self.labels == label)
            rounds = [generator.permutation(members) for _ in range(-(-share // len(members)))]
            drawn.append(np.concatenate(rounds)[:share] if share else members[:0])
        yield from generator.permutation(np.concatenate(drawn)).tolist()


def balanced_weights(labels: torch.LongTensor, num_labels: int) -> torch.Tensor:
    """Returns weights `(N,)` inverse to the frequency of each sample's label; their mean is 1."""
    counts = torch.bincount(labels, minlength=num_labels).float()
    return (len(labels) / (counts[counts > 0].numel() * counts))[labels]


__all__ = ["BalancedSampler", "balanced_weights"]
