# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What training knows about each sample: running means over epochs, the verdicts from them, and the table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from ..models.modeling_rdfer import distinct_clips
from .losses import (
    CLEAN,
    NOISY,
    PARTITIONS,
    cross_entropy,
    fit_noisy_loss_threshold,
    label_suspicion,
    limit_suspicion,
    opposing_agreement,
    partition_samples,
    sample_weights,
)


@dataclass
class SamplePredictions:
    """
    What the model said about N looks at samples in one epoch, one row a look.

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
    def of_outputs(cls, outputs, labels: torch.LongTensor, sample_index: torch.LongTensor) -> "SamplePredictions":
        """
        What a model's outputs say about a batch.

        Args:
            outputs: of either family, with `logits` `(B, C)`, `clip_logits` `(B, K, C)`, `agreement` `(B,)` and
                `key_frame_indices` `(B, K, L)`.
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
    def concatenate(cls, looks: Sequence["SamplePredictions"]) -> "SamplePredictions":
        """All looks in one."""
        return cls(*(torch.cat([getattr(look, field.name) for look in looks]) for field in fields(cls)))

    def to(self, device) -> "SamplePredictions":
        """The same looks on another device."""
        return SamplePredictions(*(getattr(self, field.name).to(device) for field in fields(self)))

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors to save."""
        return {field.name: getattr(self, field.name).contiguous() for field in fields(self)}


class SampleRecord:
    """
    Running means over epochs of what the model says about each sample, and the verdicts from them (ours, beyond the
    paper: one look is not enough, since a model that has memorised wrong labels agrees with itself on them).

    After an epoch `update` takes its looks. Then `partition`, `suspicion` and `weights` hold for the next epoch.
    Everything is computed from the looks alone, so processes that share them share the verdicts.

    Beside the running means it keeps plain sums over all epochs, from which `dynamics` tells how a sample was learnt.

    Args:
        given_labels (`torch.LongTensor` of shape `(num_samples,)`): labels of the training set.
        num_labels (`int`): C.
        agreement_threshold, full_suspicion, noisy_loss_threshold, hard_agreement_threshold, max_noisy_share,
        hard_sample_gain, noisy_sample_weight: see [`~losses.partition_samples`],
            [`~losses.label_suspicion`], [`~losses.limit_suspicion`] and [`~losses.sample_weights`];
            `noisy_loss_threshold=None` fits it to the running losses ("auto").
        running_mean_decay (`float`, 0 <= decay < 1): share of the old mean in the new one; 0: the last look alone. The
            first look, at an untrained model, is a mean to begin with that knows nothing: verdicts come late.
    """

    def __init__(
        self,
        given_labels: torch.Tensor,
        num_labels: int,
        agreement_threshold: float = 0.8,
        full_suspicion: float = 0.6,
        noisy_loss_threshold: float | None = None,
        hard_agreement_threshold: float = 0.75,
        max_noisy_share: float = 0.5,
        hard_sample_gain: float = 0.0,
        noisy_sample_weight: float = 0.0,
        running_mean_decay: float = 0.9,
    ):
        num_samples = len(given_labels)
        self.given_labels = given_labels
        self.agreement_threshold, self.noisy_loss_threshold = agreement_threshold, noisy_loss_threshold
        self.full_suspicion = full_suspicion
        self.hard_agreement_threshold = hard_agreement_threshold
        self.max_noisy_share = max_noisy_share
        self.hard_sample_gain, self.noisy_sample_weight = hard_sample_gain, noisy_sample_weight
        self.decay = running_mean_decay
        self.epochs_seen = torch.zeros(num_samples, dtype=torch.long)
        self.num_valid_clips = torch.zeros(num_samples, dtype=torch.long)
        self.means = {
            name: torch.zeros(num_samples, *shape)
            for name, shape in {
                "loss": (), "agreement": (), "clip_std": (), "probabilities": (num_labels,),
            }.items()
        }  # fmt: skip
        # Over all epochs alike, of the given label's probability: sum, sum of squares; of epochs it was predicted in.
        self.sums = torch.zeros(num_samples, 3, dtype=torch.float64)
        self.last_threshold = float("inf")
        self.partition = torch.zeros(num_samples, dtype=torch.long)
        self.weights, self.suspicion = torch.ones(num_samples), torch.zeros(num_samples)

    def update(self, looks: SamplePredictions):
        """
        Takes the looks of an epoch, in any order. A sample looked at more than once (padding of the last batch among
        processes, balanced sampling) counts once with the mean of its looks; one not looked at keeps its means.
        """
        # In order of the samples, so that sums do not depend on which process saw what.
        order = looks.index.argsort(stable=True)
        index = looks.index[order]
        samples, counts = index.unique(return_counts=True)
        position = torch.searchsorted(samples, index)
        first = self.epochs_seen[samples] == 0
        for name, means in self.means.items():
            values = getattr(looks, name)[order].double()
            sums = torch.zeros(len(samples), *values.shape[1:], dtype=torch.float64).index_add_(0, position, values)
            new = (sums / counts.view(-1, *[1] * (values.ndim - 1))).float()
            decay = torch.where(first, 0.0, self.decay).view(-1, *[1] * (values.ndim - 1))
            means[samples] = decay * means[samples] + (1 - decay) * new
            if name == "probabilities":
                labels = self.given_labels[samples]
                given = new.gather(1, labels[:, None])[:, 0].double()
                self.sums[samples] += torch.stack([given, given**2, (new.argmax(1) == labels).double()], 1)
        self.num_valid_clips[index] = looks.num_valid_clips[order]
        self.epochs_seen[samples] += 1
        self._judge()

    def _judge(self):
        seen = self.epochs_seen > 0
        self.last_threshold = (
            fit_noisy_loss_threshold(self.means["loss"][seen])
            if self.noisy_loss_threshold is None
            else self.noisy_loss_threshold
        )
        opposing = opposing_agreement(self.means["probabilities"], self.given_labels)
        # A single clip agrees with itself by definition: no evidence (section 3.0 of the design).
        opposing[~seen | (self.num_valid_clips < 2) | (self.means["loss"] <= self.last_threshold)] = -1.0
        opposing = limit_suspicion(opposing, self.given_labels, self.max_noisy_share)
        self.partition = partition_samples(
            self.means["agreement"],
            opposing,
            self.means["loss"],
            agreement_threshold=self.agreement_threshold,
            noisy_loss_threshold=self.last_threshold,
            hard_agreement_threshold=self.hard_agreement_threshold,
        )
        self.partition[~seen] = CLEAN
        self.suspicion = label_suspicion(opposing, self.partition, self.full_suspicion)
        self.weights = sample_weights(
            self.partition, self.means["agreement"], self.suspicion, self.hard_sample_gain, self.noisy_sample_weight
        )
        self.weights[~seen] = 1.0

    def relabelled(self, generator: torch.Generator) -> tuple[torch.LongTensor, torch.Tensor]:
        """
        Labels to learn instead of dropping (ours): the suggested label in place of the given one with a probability
        that is the suspicion, so always for noisy samples. Drawn anew each epoch, a doubted sample learns both labels
        in proportion.

        Args:
            generator (`torch.Generator`): on the CPU.

        Returns:
            Labels and weights, both `(num_samples,)`; noisy samples weigh 1 like clean ones.
        """
        suggested = torch.rand(len(self.given_labels), generator=generator) < self.suspicion
        weights = sample_weights(
            self.partition, self.means["agreement"], torch.zeros_like(self.suspicion), self.hard_sample_gain
        )
        return torch.where(suggested, self.suggested_labels, self.given_labels), weights

    @property
    def suggested_labels(self) -> torch.LongTensor:
        """The most probable label of each sample apart from the given one, `(num_samples,)`."""
        return self.means["probabilities"].scatter(1, self.given_labels[:, None], -1.0).argmax(1)

    @property
    def dynamics(self) -> dict[str, torch.Tensor]:
        """
        How each sample was learnt (dataset cartography: Swayamdipta et al., "Dataset Cartography: Mapping and
        Diagnosing Datasets with Training Dynamics", EMNLP 2020), as `torch.DoubleTensor` of shape `(num_samples,)`,
        0..1, NaN where it is not known.

        Returns:
            `confidence`: mean over the epochs of the given label's probability; `variability`: its standard deviation;
            `correctness`: share of the epochs in which the given label was the predicted one.
        """
        mean, square, correctness = (self.sums / self.epochs_seen[:, None]).unbind(1)
        return {
            "confidence": mean,
            "variability": (square - mean**2).clamp(min=0).sqrt(),
            "correctness": correctness,
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Tensors from which `load_state_dict` restores the record."""
        state = {"epochs_seen": self.epochs_seen, "num_valid_clips": self.num_valid_clips, "sums": self.sums}
        return {**self.means, **state}

    def load_state_dict(self, state: dict[str, torch.Tensor]):
        """
        Restores the record.

        Raises:
            ValueError: if it belongs to another number of samples or labels.
        """
        shape = tuple(state["probabilities"].shape)
        if shape != tuple(self.means["probabilities"].shape):
            raise ValueError(
                f"The checkpoint's sample record has {shape[0]} samples and {shape[1]} labels, the training set has "
                f"{self.means['probabilities'].shape[0]} and {self.means['probabilities'].shape[1]}: resume with the "
                "data that training started with."
            )
        self.epochs_seen = state["epochs_seen"].clone()
        self.num_valid_clips = state["num_valid_clips"].clone()
        self.means = {name: state[name].clone() for name in self.means}
        # Records of before there were sums: a part of the epochs would tell another story than all of them.
        self.sums = state["sums"].clone() if "sums" in state else torch.full_like(self.sums, torch.nan)
        if self.epochs_seen.any():
            self._judge()

    def summary(self, label_names: Sequence[str]) -> dict[str, float]:
        """Mean agreement, and for all samples and each label the share and mean weight of each partition."""
        logs = {"agreement": self.means["agreement"].mean().item(), "noisy_loss_threshold": self.last_threshold}
        groups = {"": torch.ones_like(self.partition, dtype=torch.bool)}
        groups.update({f"_{name}": self.given_labels == index for index, name in enumerate(label_names)})
        for suffix, members in groups.items():
            if not members.any():
                continue
            logs[f"weight{suffix}"] = self.weights[members].mean().item()
            for code, partition in enumerate(PARTITIONS):
                logs[f"share_{partition}{suffix}"] = (self.partition[members] == code).float().mean().item()
        return logs

    def write_table(self, path, label_names: Sequence[str], columns: dict[str, Sequence], epoch: int):
        """
        Writes the table of section 6 of the design as Parquet, one row a sample, with the `dynamics`.

        Args:
            path (`str` or `Path`): file to write.
            label_names (sequence of `str`): names of the labels, also put into the file's metadata (`label_names`).
            columns (`dict` of sequences of num_samples values): what the training set knows: `sample_id` and, where
                known, `path`, `content_hash`, `split`, `fold`, `num_frames`.
            epoch (`int`): epochs finished.
        """
        import pyarrow.parquet as pq

        dynamics = {name: values.float().numpy() for name, values in self.dynamics.items()}
        table = self.table(label_names, columns, epoch, dynamics)
        pq.write_table(table, Path(path))

    def table(
        self,
        label_names: Sequence[str],
        columns: dict[str, Sequence],
        epoch: int | None = None,
        further: dict[str, Sequence] | None = None,
    ):
        """
        The table of section 6 of the design, one row a sample. Samples that have not been seen have no verdict but
        `clean`, and none at all where `decode_ok` is false.

        Args:
            label_names, columns, epoch: see `write_table`; `columns` may also have `decode_ok`.
            further (`dict` of sequences of num_samples values, *optional*): columns beyond those of the schema; NaN
                becomes null.

        Returns:
            `pyarrow.Table` with the `label_names` in its metadata.
        """
        import json

        import pyarrow as pa

        names = np.array(label_names, dtype=object)
        count = len(self.given_labels)
        given, probabilities = self.given_labels.numpy(), self.means["probabilities"].numpy()
        predicted = probabilities.argmax(1)
        is_noisy = (self.partition == NOISY).numpy()
        suggested = np.where(is_noisy, names[self.suggested_labels.numpy()], None)
        seen = (self.epochs_seen > 0).numpy()
        readable = np.array(columns.get("decode_ok", [True] * count), dtype=bool)

        def column(name, kind):
            return pa.array(list(columns[name]) if name in columns else [None] * count, type=kind)

        def mean(name):
            return pa.array(self.means[name].numpy(), type=pa.float32(), mask=~seen)

        table = pa.table(
            {
                "sample_id": column("sample_id", pa.string()),
                "path": column("path", pa.string()),
                "content_hash": column("content_hash", pa.string()),
                "split": column("split", pa.string()),
                "fold": column("fold", pa.int32()),
                "epoch": pa.array([epoch] * count, type=pa.int32()),
                "given_label": pa.array(names[given], type=pa.string()),
                "predicted_label": pa.array(np.where(seen, names[predicted], None), type=pa.string()),
                "suggested_label": pa.array(suggested, type=pa.string()),
                "probabilities": pa.array(
                    [row if known else None for row, known in zip(probabilities, seen)], type=pa.list_(pa.float32())
                ),
                "label_quality": pa.array(probabilities[np.arange(count), given], type=pa.float32(), mask=~seen),
                "clip_agreement": mean("agreement"),
                "clip_std": mean("clip_std"),
                "num_valid_clips": pa.array(self.num_valid_clips.numpy(), type=pa.int32(), mask=~seen),
                "loss": mean("loss"),
                "weight": pa.array(self.weights.numpy(), type=pa.float32(), mask=~readable),
                "partition": pa.array(
                    np.array(PARTITIONS, dtype=object)[self.partition.numpy()], type=pa.string(), mask=~readable
                ),
                "num_frames": column("num_frames", pa.int32()),
                "decode_ok": pa.array(readable, type=pa.bool_()),
                **{name: pa.array(values, from_pandas=True) for name, values in (further or {}).items()},
            }
        )
        return table.replace_schema_metadata({"label_names": json.dumps(list(label_names))})


__all__ = ["SamplePredictions", "SampleRecord"]
