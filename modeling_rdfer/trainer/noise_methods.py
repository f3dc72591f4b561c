# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Two published ways to learn from wrong labels, to compare the agreement-weighted loss with. Both train weights that
the model itself does not have."""

from collections.abc import Callable

import torch
from torch import nn

from .arguments import RDFERTrainingArguments
from .losses import cross_entropy

NOISE_METHOD_NAME = "noise_method.safetensors"
# Co-teaching: epochs until the full share of samples is left out, as in its paper.
FORGET_EPOCHS = 10
# Self-cure: share of a batch that counts as important, least distance of the groups' means, lead of another label that
# replaces the given one; as in its paper.
IMPORTANT_SHARE, IMPORTANCE_GAP, RELABEL_LEAD = 0.7, 0.15, 0.2
# Relabelling begins after a quarter of the training, as in the paper (10 of 40 epochs).
RELABEL_START = 0.25

# (outputs, labels (B,), weights (B,)) -> loss of the batch.
BatchLoss = Callable[[dict, torch.Tensor, torch.Tensor], torch.Tensor]


class CoTeaching(nn.Module):
    """Co-teaching (Han et al., NeurIPS 2018): of each batch, each of two networks learns the samples of small loss.

    The second network has the same backbone weights at the start; its other weights are drawn anew. Each network picks
    the samples for the other one. The share that is left out rises from 0 to `forget_rate` within `FORGET_EPOCHS`
    epochs. The second network is only used in training.

    Args:
        model (`PreTrainedModel`): the first network.
        args ([`RDFERTrainingArguments`]): seed, `forget_rate`, `freeze_backbone`.
        labels, num_epochs: not used, see [`SelfCure`].
    """

    def __init__(self, model, args: RDFERTrainingArguments, labels: torch.LongTensor, num_epochs: float):
        super().__init__()
        self.forget_rate = args.forget_rate
        with torch.random.fork_rng():
            torch.manual_seed(args.seed + 1)
            self.peer = type(model)(model.config)
        for name in model.backbone_names:
            weights = model.base_model.get_submodule(name).state_dict()
            self.peer.base_model.get_submodule(name).load_state_dict(weights)
        if args.freeze_backbone:
            self.peer.freeze_backbone()

    def forward(self, outputs, inputs: dict, index, labels, weights, batch_loss: BatchLoss, epoch: int):
        """Computes the sum of both networks' losses.

        Args:
            outputs: of the model, for `inputs`.
            inputs (`dict`): what the model got.
            index (`torch.LongTensor` of shape `(B,)`): numbers of the samples; not used.
            labels (`torch.LongTensor` of shape `(B,)`): labels to learn.
            weights (`torch.FloatTensor` of shape `(B,)`): weights of the samples.
            batch_loss (`Callable`): computes the loss of a batch from outputs, labels and weights.
            epoch (`int`): the epoch, from 0.

        Returns:
            `torch.FloatTensor` of shape `()`.
        """
        theirs = self.peer(**inputs)
        forgotten = self.forget_rate * min((epoch + 1) / FORGET_EPOCHS, 1)
        kept = max(round((1 - forgotten) * len(labels)), 1)
        # The mean over the samples that are kept.
        picks = [
            torch.zeros_like(weights).scatter(
                0, cross_entropy(each["logits"].detach(), labels).argsort()[:kept], len(labels) / kept
            )
            for each in (theirs, outputs)
        ]
        return batch_loss(outputs, labels, weights * picks[0]) + batch_loss(theirs, labels, weights * picks[1])


class SelfCure(nn.Module):
    """Self-cure network (Wang et al., CVPR 2020): importance of samples, ranked; unimportant ones are relabelled.

    A layer on the clips' states gives each sample an importance, 0..1, by which its logits are multiplied. In each
    batch, the mean importance of the `IMPORTANT_SHARE` must exceed that of the rest by `IMPORTANCE_GAP`. After
    `RELABEL_START` of the training, a sample of the rest takes another label for good if that is more probable than
    its own by `RELABEL_LEAD`.

    Args:
        model (`PreTrainedModel`): the model that is trained.
        args ([`RDFERTrainingArguments`]): not used, see [`CoTeaching`].
        labels (`torch.LongTensor` of shape `(num_samples,)`): labels of the training set.
        num_epochs (`float`): length of the training.

    Attributes:
        labels (`torch.LongTensor` of shape `(num_samples,)`): the labels after relabelling.
    """

    def __init__(self, model, args: RDFERTrainingArguments, labels: torch.LongTensor, num_epochs: float):
        super().__init__()
        self.num_epochs = num_epochs
        head = model.short_term_classifier if hasattr(model, "short_term_classifier") else model.emotion_classifier
        self.importance = nn.Linear(head.in_features, 1)
        self.register_buffer("labels", labels.clone())

    def forward(self, outputs, inputs: dict, index, labels, weights, batch_loss: BatchLoss, epoch: int):
        """Computes the loss of a batch and relabels; the arguments are those of [`CoTeaching`]. `labels` is not used:
        the labels are those of the method.
        """
        states = outputs["short_term_state"] if "short_term_state" in outputs else outputs["clip_state"]
        importance = self.importance(states.float().mean(1)).sigmoid()[:, 0]
        order = importance.detach().argsort(descending=True)
        high, low = order.tensor_split([max(round(IMPORTANT_SHARE * len(order)), 1)])
        labels = self.labels[index]
        scaled = {
            **outputs,
            "logits": importance[:, None] * outputs["logits"],
            "clip_logits": importance[:, None, None] * outputs["clip_logits"],
        }
        loss = batch_loss(scaled, labels, weights)
        if len(low):
            loss = loss + (IMPORTANCE_GAP - importance[high].mean() + importance[low].mean()).clamp(min=0)
        if epoch >= RELABEL_START * self.num_epochs:
            probabilities = outputs["logits"].detach().float().softmax(-1)[low]
            most, other = probabilities.max(1)
            leads = most - probabilities.gather(1, labels[low, None])[:, 0] > RELABEL_LEAD
            self.labels[index[low[leads]]] = other[leads]
        return loss


NOISE_METHODS: dict[str, type[CoTeaching] | type[SelfCure]] = {"co_teaching": CoTeaching, "self_cure": SelfCure}

__all__ = ["NOISE_METHODS", "NOISE_METHOD_NAME", "CoTeaching", "SelfCure"]
