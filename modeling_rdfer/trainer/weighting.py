# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What an epoch learns from each sample: its label and its weight in the loss."""

import torch

from .arguments import RDFERTrainingArguments
from .sample_record import SampleRecord
from .sampler import balanced_weights


class SampleWeighting:
    """Weights and labels of all samples for an epoch, from the arguments and the verdicts of the record.

    They are known before a sample is seen, and weights are divided by one constant, their mean over the training set.
    So gradient accumulation and the number of processes do not change the gradient.

    Args:
        record ([`SampleRecord`]): record of the training set.
        num_labels (`int`): number of labels C.
        args ([`RDFERTrainingArguments`]): loss, warm-up, relabelling, class weights, seed.
        num_epochs (`float`): length of the training.

    Attributes:
        weights (`torch.FloatTensor` of shape `(num_samples,)`): weights in the epoch, on the training's device.
        targets (`torch.LongTensor` of shape `(num_samples,)`): labels to learn in the epoch, on the same device.
    """

    def __init__(self, record: SampleRecord, num_labels: int, args: RDFERTrainingArguments, num_epochs: float):
        self.record, self.args, self.num_epochs = record, args, num_epochs
        self.label_weights = torch.ones(len(record.given_labels))
        if args.class_weights == "balanced":
            for mask in (record.trusted, ~record.trusted):
                self.label_weights[mask] = balanced_weights(record.given_labels[mask], num_labels)
        self.label_weights = torch.where(record.trusted, args.trusted_weight, 1.0) * self.label_weights
        self.weights = self.targets = None

    def takes_effect(self, epoch: int) -> bool:
        """Tells whether verdicts weight the samples in an epoch."""
        return self.args.loss == "agreement" and epoch >= self.args.agreement_warmup_epochs

    def begin_epoch(self, epoch: int):
        """Sets the weights by the verdicts, and the labels to learn: the given ones, later also suggested ones."""
        weights, targets = self.label_weights, self.record.given_labels
        if self.takes_effect(epoch):
            verdict_weights = self.record.weights
            if epoch >= self.args.relabel_start * self.num_epochs:
                # Seeded by (seed, epoch), so that the number of processes and resuming change nothing.
                generator = torch.Generator().manual_seed(1000 * self.args.seed + epoch)
                targets, verdict_weights = self.record.relabelled(generator)
            weights = weights * verdict_weights
        self.targets = targets.to(self.args.device)
        mean = weights.mean()
        self.weights = (weights / mean if mean > 0 else weights).to(self.args.device)


__all__ = ["SampleWeighting"]
