# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Sample record: the model's predictions for each training sample over the epochs, and the verdicts from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..models.agreement_rdfer import distinct_clips
from .losses import cross_entropy
from .verdicts import (
    NOISY_QUANTILE,
    PARTITIONS,
    LossThresholds,
    VerdictThresholds,
    judge_samples,
    label_margin,
    log_odds_against,
    loss_at,
    sample_weights,
)

RECORD_NAME = "sample_record.safetensors"
PREDICTIONS_NAME = "sample_predictions_{rank}.safetensors"


@dataclass
class SamplePredictions:
    """Predictions for samples in one epoch: N rows, one for each time a sample was seen.

    Attributes:
        index (`torch.LongTensor` of shape `(N,)`): number of the sample in the training set.
        loss (`torch.FloatTensor` of shape `(N,)`): cross-entropy without label smoothing.
        agreement (`torch.FloatTensor` of shape `(N,)`): agreement of the clips, 0..1.
        clip_std (`torch.FloatTensor` of shape `(N,)`): standard deviation over clips of the given label's probability.
        probabilities (`torch.FloatTensor` of shape `(N, C)`): mean of the softmax of the video and of its clips.
        num_valid_clips (`torch.LongTensor` of shape `(N,)`): distinct clips.
    """

    index: torch.Tensor
    loss: torch.Tensor
    agreement: torch.Tensor
    clip_std: torch.Tensor
    probabilities: torch.Tensor
    num_valid_clips: torch.Tensor

    @classmethod
    @torch.no_grad()
    def from_outputs(cls, outputs, labels: torch.LongTensor, sample_index: torch.LongTensor) -> "SamplePredictions":
        """Takes the predictions from a model's outputs for a batch.

        Args:
            outputs: outputs of a model of either family: `logits` `(B, C)`, `clip_logits` `(B, K, C)`, `agreement`
                `(B,)` and `key_frame_indices` `(B, K, L)`.
            labels (`torch.LongTensor` of shape `(B,)`): given labels.
            sample_index (`torch.LongTensor` of shape `(B,)`): numbers of the samples.
        """
        clip_mask = distinct_clips(outputs["key_frame_indices"])
        clip_probabilities = outputs["clip_logits"].float().softmax(-1)
        num_clips = clip_mask.sum(1)
        mean = (clip_probabilities * clip_mask[..., None]).sum(1) / num_clips[:, None]
        given = clip_probabilities.gather(-1, labels[:, None, None].expand(-1, clip_probabilities.shape[1], 1))[..., 0]
        variance = ((given - mean.gather(1, labels[:, None])) ** 2 * clip_mask).sum(1) / num_clips
        return cls(
            index=sample_index,
            loss=cross_entropy(outputs["logits"], labels),
            agreement=outputs["agreement"].float(),
            clip_std=variance.sqrt(),
            probabilities=(outputs["logits"].float().softmax(-1) + mean) / 2,
            num_valid_clips=num_clips,
        )

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> "SamplePredictions":
        """Restores what `state_dict` returned."""
        return cls(**{field.name: state[field.name] for field in fields(cls)})

    @classmethod
    def concatenate(cls, parts: Sequence["SamplePredictions"]) -> "SamplePredictions":
        """Puts the rows of all parts together."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def to(self, device) -> "SamplePredictions":
        """Copies the predictions to another device."""
        return SamplePredictions(*(getattr(self, field.name).to(device) for field in fields(self)))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns the tensors to save."""
        return {field.name: getattr(self, field.name).contiguous() for field in fields(self)}


class SampleRecord:
    """Running means over the epochs of the predictions for each sample, and the verdicts from them (ours).

    One epoch is not enough: a model that has memorised wrong labels agrees with them. The mean of losses is the one at
    the mean of their log-odds, see [`log_odds_against`]: epochs in which the model was sure of the label count as much
    as those in which it was sure of another one.

    `update` takes the predictions of an epoch. After that, `partition`, `doubt` and `weights` hold for the next epoch.
    They depend on the predictions only, so processes with the same predictions have the same verdicts. Besides the
    running means, the record keeps plain sums over all epochs for `dynamics`.

    Args:
        given_labels (`torch.LongTensor` of shape `(num_samples,)`): labels of the training set.
        num_labels (`int`): number of labels C.
        thresholds ([`VerdictThresholds`], *optional*): thresholds of the verdicts; the defaults if not given.
        hard_sample_gain, noisy_sample_weight (`float`, *optional*, default to 0): see [`sample_weights`].
        running_mean_decay (`float`, *optional*, defaults to 0.9): largest share of the old mean in the new one, in
            [0, 1); 0 uses the last epoch alone. The first epochs count alike, so that the mean does not remember the
            first one, in which the model knew nothing.
        trusted (`torch.BoolTensor` of shape `(num_samples,)`, *optional*): samples whose label is never doubted.
        noisy_quantile (`float`, *optional*, defaults to `NOISY_QUANTILE`): see [`noisy_loss_threshold`]; 0..1.

    Attributes:
        loss_thresholds ([`LossThresholds`]): losses above which labels can be doubted and noisy, given or fitted.
        trust (`float`, 0..1): how far the model knows enough for a judgement, see [`model_trust`].
    """

    def __init__(
        self,
        given_labels: torch.Tensor,
        num_labels: int,
        thresholds: VerdictThresholds | None = None,
        hard_sample_gain: float = 0.0,
        noisy_sample_weight: float = 0.0,
        running_mean_decay: float = 0.9,
        trusted: torch.Tensor | None = None,
        noisy_quantile: float = NOISY_QUANTILE,
    ):
        num_samples = len(given_labels)
        self.given_labels = given_labels
        self.thresholds = thresholds or VerdictThresholds()
        self.hard_sample_gain, self.noisy_sample_weight = hard_sample_gain, noisy_sample_weight
        self.decay, self.noisy_quantile = running_mean_decay, noisy_quantile
        self.trusted = torch.zeros(num_samples, dtype=torch.bool) if trusted is None else trusted
        self.epochs_seen = torch.zeros(num_samples, dtype=torch.long)
        self.num_valid_clips = torch.zeros(num_samples, dtype=torch.long)
        shapes = {"loss": (), "agreement": (), "clip_std": (), "probabilities": (num_labels,)}
        self.means = {name: torch.zeros(num_samples, *shape) for name, shape in shapes.items()}
        # Over all epochs: sum and sum of squares of the given label's probability; epochs in which it was predicted.
        self.sums = torch.zeros(num_samples, 3, dtype=torch.float64)
        self.loss_thresholds, self.trust = LossThresholds(math.inf, math.inf), 0.0
        self.partition = torch.zeros(num_samples, dtype=torch.long)
        self.weights, self.doubt = torch.ones(num_samples), torch.zeros(num_samples)

    def update(self, predictions: SamplePredictions):
        """Takes the predictions of an epoch, in any order.

        A sample that was seen more than once (padding of the last batch among processes, balanced sampling) counts
        once, with the mean; one that was not seen keeps its means.
        """
        # In the order of the samples, so that sums do not depend on which process saw what.
        order = predictions.index.argsort(stable=True)
        index = predictions.index[order]
        samples, counts = index.unique(return_counts=True)
        position = torch.searchsorted(samples, index)
        before = self.epochs_seen[samples]
        share = (before / (before + 1)).clamp(max=self.decay)
        for name, means in self.means.items():
            values = getattr(predictions, name)[order].double()
            if name == "loss":
                values = log_odds_against(values)
            sums = torch.zeros(len(samples), *values.shape[1:], dtype=torch.float64).index_add_(0, position, values)
            new = sums / counts.view(-1, *[1] * (values.ndim - 1))
            decay = share.view(-1, *[1] * (values.ndim - 1))
            if name == "loss":
                means[samples] = loss_at(decay * log_odds_against(means[samples]) + (1 - decay) * new).float()
            else:
                means[samples] = (decay * means[samples] + (1 - decay) * new).float()
            if name == "probabilities":
                labels = self.given_labels[samples]
                given = new.gather(1, labels[:, None])[:, 0]
                self.sums[samples] += torch.stack([given, given**2, (new.argmax(1) == labels).double()], 1)
        self.num_valid_clips[index] = predictions.num_valid_clips[order]
        self.epochs_seen[samples] += 1
        self._judge()

    def _judge(self):
        seen = self.epochs_seen > 0
        verdicts = judge_samples(
            self.means["probabilities"],
            self.means["agreement"],
            self.means["loss"],
            self.given_labels,
            has_evidence=seen & (self.num_valid_clips >= 2) & ~self.trusted,
            seen=seen,
            thresholds=self.thresholds,
            noisy_quantile=self.noisy_quantile,
        )
        self.partition, self.doubt, self.loss_thresholds, self.trust = verdicts
        self.weights = sample_weights(
            self.partition, self.means["agreement"], self.doubt, self.hard_sample_gain, self.noisy_sample_weight
        )
        self.weights[~seen] = 1.0

    def relabelled(self, generator: torch.Generator) -> tuple[torch.LongTensor, torch.Tensor]:
        """Draws the labels to learn, instead of dropping samples (ours).

        The suggested label replaces the given one with a probability equal to the doubt, so always for noisy samples.
        The labels are drawn anew for each epoch, so a doubted sample learns both labels in proportion.

        Args:
            generator (`torch.Generator`): random generator on the CPU.

        Returns:
            `tuple[torch.LongTensor, torch.Tensor]`: labels and weights, both of shape `(num_samples,)`; noisy samples
            weigh 1, like clean ones.
        """
        suggested = torch.rand(len(self.given_labels), generator=generator) < self.doubt
        weights = sample_weights(
            self.partition, self.means["agreement"], torch.zeros_like(self.doubt), self.hard_sample_gain
        )
        return torch.where(suggested, self.suggested_labels, self.given_labels), weights

    @property
    def margin(self) -> torch.Tensor:
        """[`label_margin`] of the mean probabilities, `(num_samples,)`, -1..1; only for samples that were seen."""
        return label_margin(self.means["probabilities"], self.given_labels)

    @property
    def suggested_labels(self) -> torch.LongTensor:
        """The most probable label of each sample other than the given one, `(num_samples,)`."""
        return self.means["probabilities"].scatter(1, self.given_labels[:, None], -1.0).argmax(1)

    @property
    def dynamics(self) -> dict[str, torch.Tensor]:
        """Training dynamics of each sample (dataset cartography, Swayamdipta et al., EMNLP 2020).

        Returns:
            `dict[str, torch.Tensor]`: `confidence`, the mean over the epochs of the given label's probability;
            `variability`, its standard deviation; `correctness`, the share of the epochs in which the given label was
            the predicted one. Each is float64 of shape `(num_samples,)`, 0..1, NaN for samples not seen.
        """
        mean, square, correctness = (self.sums / self.epochs_seen[:, None]).unbind(1)
        return {
            "confidence": mean,
            "variability": (square - mean**2).clamp(min=0).sqrt(),
            "correctness": correctness,
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns the tensors from which `load_state_dict` restores the record."""
        state = {"epochs_seen": self.epochs_seen, "num_valid_clips": self.num_valid_clips, "sums": self.sums}
        return {**self.means, **state}

    def load_state_dict(self, state: dict[str, torch.Tensor]):
        """Restores the record.

        Args:
            state (`dict[str, torch.Tensor]`): what `state_dict` returned.

        Raises:
            ValueError: if the state belongs to another number of samples or labels.
        """
        shape = tuple(state["probabilities"].shape)
        if shape != tuple(self.means["probabilities"].shape):
            raise ValueError(
                f"The checkpoint's sample record has {shape[0]} samples and {shape[1]} labels, the training set has "
                f"{self.means['probabilities'].shape[0]} and {self.means['probabilities'].shape[1]}: resume with the "
                "data that training started with."
            )
        self.epochs_seen, self.num_valid_clips, self.sums = (
            state[name].clone() for name in ("epochs_seen", "num_valid_clips", "sums")
        )
        self.means = {name: state[name].clone() for name in self.means}
        if self.epochs_seen.any():
            self._judge()

    def summary(self, label_names: Sequence[str]) -> dict[str, float]:
        """Returns what is logged after an epoch.

        Args:
            label_names (sequence of `str`): names of the labels.

        Returns:
            `dict[str, float]`: mean agreement and loss threshold; of all samples and of each label the mean weight and
            the share of each verdict.
        """
        logs = {"agreement": self.means["agreement"].mean().item(), "noisy_loss_threshold": self.loss_thresholds.noisy}
        logs["trust"] = self.trust
        groups = {"": torch.ones_like(self.partition, dtype=torch.bool)}
        groups.update({f"_{name}": self.given_labels == index for index, name in enumerate(label_names)})
        for suffix, members in groups.items():
            if not members.any():
                continue
            logs[f"weight{suffix}"] = self.weights[members].mean().item()
            for code, partition in enumerate(PARTITIONS):
                logs[f"share_{partition}{suffix}"] = (self.partition[members] == code).float().mean().item()
        return logs

    def count_partitions(self, label_names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Returns how many samples of each given label are clean, hard and noisy."""
        counts = {}
        for number, label in enumerate(label_names):
            verdicts = self.partition[self.given_labels == number]
            counts[label] = {name: (verdicts == code).sum().item() for code, name in enumerate(PARTITIONS)}
        return counts


def save_predictions(folder: Path, rank: int, predictions: SamplePredictions, epoch: int):
    """Writes what a process has seen of an unfinished epoch into a checkpoint."""
    state = {**predictions.state_dict(), "epoch": torch.tensor(epoch)}
    save_file(state, folder / PREDICTIONS_NAME.format(rank=rank))


def load_predictions(folder: Path, rank: int, world_size: int) -> tuple[list[SamplePredictions], int]:
    """Reads what [`save_predictions`] has written, by any number of processes.

    Args:
        folder (`Path`): a checkpoint's folder.
        rank (`int`): number of this process.
        world_size (`int`): number of processes that read.

    Returns:
        `tuple[list[SamplePredictions], int]`: this process's share of the predictions, empty if the checkpoint was
        saved at the end of an epoch; and the number of the epoch.
    """
    predictions, epoch = [], 0
    for number, path in enumerate(sorted(folder.glob(PREDICTIONS_NAME.format(rank="*")))):
        if number % world_size == rank:
            state = load_file(path)
            epoch = int(state["epoch"])
            predictions.append(SamplePredictions.from_state_dict(state))
    return predictions, epoch


__all__ = ["RECORD_NAME", "SamplePredictions", "SampleRecord", "load_predictions", "save_predictions"]
