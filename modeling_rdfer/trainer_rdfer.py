# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trainer with the agreement-weighted loss and a record of every sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import EvalPrediction
from transformers.utils import logging

from .loss_rdfer import NOISY, cross_entropy, sample_loss_function, weighted_loss
from .metrics_rdfer import recognition_metrics
from .modeling_rdfer import distinct_clips
from .sample_table_rdfer import SampleLooks, SampleRecord

logger = logging.get_logger(__name__)

SAMPLE_TABLE_NAME = "sample_table.parquet"
RECORD_NAME = "sample_record.safetensors"
LOOKS_NAME = "sample_looks_{rank}.safetensors"
MODEL_INPUTS = ("pixel_values_videos", "frame_mask", "clip_jitter")


@dataclass
class RDFERTrainingArguments(TrainingArguments):
    """
    `TrainingArguments` with the recipe's settings as defaults (section 3.6 of the design, by the authors where marked)
    and those of the agreement-weighted loss (section 3.5). Each field's help text says what it does.
    """

    # The recipe.
    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate (authors: 5e-4)."})
    lr_scheduler_type: str = field(
        default="cosine_with_min_lr", metadata={"help": "Schedule after the warm-up (authors: cosine to 5e-6)."}
    )
    lr_scheduler_kwargs: dict | str | None = field(
        default_factory=lambda: {"min_lr": 5e-6}, metadata={"help": "Arguments of the schedule (authors: to 5e-6)."}
    )
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Warm-up: steps, or a share of them below 1 (authors: 10 of 100 epochs)."}
    )
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW (authors: 0.05)."})
    num_train_epochs: float = field(default=100.0, metadata={"help": "Epochs (authors: 100)."})
    per_device_train_batch_size: int = field(
        default=128, metadata={"help": "Batch of a device (authors: 128 in all). Reduce it to fit your memory."}
    )
    label_smoothing_factor: float = field(
        default=0.1,
        metadata={"help": "Label smoothing of cross-entropy (authors: 0.1). The verdict on a sample never uses it."},
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Kept False: the loss needs sample_index, which the model does not take."}
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "False: every parameter of RDFER takes part in every step."}
    )
    # The loss.
    loss: Literal["agreement", "ce", "sce", "gce"] = field(
        default="agreement",
        metadata={
            "help": "agreement: weights samples by the agreement of their clips; ce: cross-entropy; sce: symmetric "
            "cross-entropy; gce: generalised cross-entropy."
        },
    )
    base_loss: Literal["ce", "sce", "gce"] = field(
        default="gce", metadata={"help": "The loss that --loss agreement weights."}
    )
    agreement_threshold: float = field(
        default=0.6,
        metadata={
            "help": "A sample is noisy only if its clips agree on another label: their mean probability of it exceeds "
            "that of the given one by more than this. Below it, the weight falls as the excess grows."
        },
    )
    noisy_loss_threshold: str = field(
        default="auto",
        metadata={"help": "A sample is noisy only if its loss is above this; auto: a mixture of two Gaussians says."},
    )
    max_noisy_share: float = field(
        default=0.5,
        metadata={
            "help": "Most of a label's samples that may be noisy or suspicious: keeps labels from being wiped out."
        },
    )
    noisy_sample_weight: float = field(default=0.0, metadata={"help": "Weight of noisy samples; 0 drops them."})
    relabel_start: float = field(
        default=0.5,
        metadata={
            "help": "Share of the epochs after which noisy samples learn the label that their clips agree on, at "
            "weight 1, instead of the given one; 1: never. Too early a model confirms its own mistakes."
        },
    )
    hard_agreement_threshold: float = field(
        default=0.75,
        metadata={"help": "A sample is hard if its agreement, a running mean over epochs, is not above this."},
    )
    hard_sample_gain: float = field(
        default=0.5, metadata={"help": "Weight of hard samples is 1 + this x (1 - agreement)."}
    )
    agreement_warmup_epochs: int = field(
        default=3, metadata={"help": "Epochs before the first verdicts take effect; all samples weigh 1 until then."}
    )
    running_mean_decay: str = field(
        default="auto",
        metadata={
            "help": "Share of the old running mean in the new one, after each epoch; 0: verdicts from the last epoch "
            "alone; auto: 1 - 4.5 / epochs, a memory of about a fifth of the training."
        },
    )
    gce_q: float = field(default=0.7, metadata={"help": "q of the generalised cross-entropy."})
    sce_alpha: float = field(default=0.1, metadata={"help": "Weight of the cross-entropy in sce."})
    sce_beta: float = field(default=1.0, metadata={"help": "Weight of the reverse cross-entropy in sce."})
    # The optimisation.
    backbone_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of both backbones; that of the rest by default."}
    )
    freeze_backbone: bool = field(default=False, metadata={"help": "Train everything but the backbones."})
    sampler: Literal["random", "balanced"] = field(
        default="random",
        metadata={"help": "balanced: labels equally often, rare ones' videos more than once an epoch (authors)."},
    )
    class_weights: Literal["none", "balanced"] = field(
        default="none", metadata={"help": "balanced: samples weigh inversely to the frequency of their label."}
    )

    def __post_init__(self):
        super().__post_init__()
        if self.remove_unused_columns:
            raise ValueError("remove_unused_columns=True would remove `sample_index`, which the loss needs.")
        for name, low, high in (("noisy_loss_threshold", -math.inf, math.inf), ("running_mean_decay", 0, 1)):
            value = getattr(self, name)
            try:
                fits = value == "auto" or low <= float(value) < high
            except ValueError:
                fits = False
            if not fits:
                bounds = f" from {low} to below {high}" if math.isfinite(high) else ""
                raise ValueError(f"{name} must be 'auto' or a number{bounds}, got {value!r}.")
        if self.agreement_threshold <= 0:
            raise ValueError(f"agreement_threshold must be above 0, got {self.agreement_threshold}.")
        if not 0 <= self.relabel_start <= 1:
            raise ValueError(
                f"relabel_start is a share of the epochs and must be in [0, 1], got {self.relabel_start}."
            )


class BalancedSampler(Sampler[int]):
    """
    Draws as many samples as there are, every label equally often. Within a label, samples come in random order and
    none comes again before all have come. Keyed by (seed, epoch): resuming and processes change nothing (ours).

    Args:
        labels (sequence of `int`): label of each sample.
        seed (`int`): seed.
    """

    def __init__(self, labels: Sequence[int], seed: int):
        self.labels = np.asarray(labels)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int):
        """Called at the beginning of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self):
        generator = np.random.default_rng([self.seed, self.epoch])
        labels = np.unique(self.labels)
        # Which labels get the samples that do not divide evenly is drawn, too.
        shares = np.full(len(labels), len(self) // len(labels))
        shares[generator.permutation(len(labels))[: len(self) % len(labels)]] += 1
        drawn = []
        for label, share in zip(labels, shares):
            members = np.flatnonzero(self.labels == label)
            rounds = [generator.permutation(members) for _ in range(-(-share // len(members)))]
            drawn.append(np.concatenate(rounds)[:share] if share else members[:0])
        yield from generator.permutation(np.concatenate(drawn)).tolist()


def collate(examples: list[dict]) -> dict[str, torch.Tensor]:
    """
    Stacks examples to a batch; strings and other columns that the model and the loss do not take are left out.

    Args:
        examples (`list[dict]`): with `pixel_values_videos` `(T, 3, H, W)`, `labels`, and optionally `frame_mask`
            `(T,)`, `clip_jitter` `(K,)`, `sample_index`.

    Raises:
        KeyError: naming the columns that are missing and those that are there.
    """
    missing = [name for name in ("pixel_values_videos", "labels") if name not in examples[0]]
    if missing:
        raise KeyError(f"The dataset's examples lack {missing}; they have {sorted(examples[0])}.")
    taken = [name for name in (*MODEL_INPUTS, "labels", "sample_index") if name in examples[0]]
    return {name: torch.stack([torch.as_tensor(example[name]) for example in examples]) for name in taken}


class _RecordCallback(TrainerCallback):
    """Tells the trainer when epochs begin and end."""

    def __init__(self, trainer: "RDFERTrainer"):
        self.trainer = trainer

    def on_epoch_begin(self, args, state, control, **kwargs):
        # In the middle of an epoch after resuming, else whole but for rounding.
        self.trainer.begin_epoch(int((state.epoch or 0) + 1e-6))

    def on_epoch_end(self, args, state, control, **kwargs):
        self.trainer.finish_epoch()


class RDFERTrainer(Trainer):
    """
    `transformers.Trainer` that weights samples by the agreement of their clips and keeps a record of every sample.

    Beyond what `Trainer` does:
    - `--loss` chooses the loss. With `agreement`, the verdicts clean / hard / noisy come from running means over the
      epochs before, so weights are known before a sample is seen and are divided by one constant, their mean:
      accumulation and the number of processes change no gradient. Noisy samples are dropped, and in the second half
      of training learnt with the label that their clips agree on (ours).
    - `sample_table.parquet` in the output folder and in every checkpoint has a row for each training sample.
    - after each epoch it logs agreement, and the share and mean weight of clean, hard and noisy samples of each label.
    - evaluation gives WAR, UAR and the recall of each label.

    Args:
        train_dataset: examples as [`collate`] takes them, with `sample_index` numbering them 0, 1, ... It must have
            `labels`, a sequence of all given labels in that order. If it has `set_epoch`, it is called at the
            beginning of each epoch; if it has `sample_columns`, a `dict` of sequences (`sample_id`, `path`, ...), they
            go into the table. One that streams has a method `batches(batch_size, collate, rank, world_size,
            num_workers)` that returns an `IterableDataset` of this process's batches, with `mean_batch_size` and
            `skip` (`training.data.StreamedVideos`); every sample then counts the same, whatever its batch's size.
        Everything else: see `transformers.Trainer`. `args` is an [`RDFERTrainingArguments`].

    Raises:
        KeyError: a column is missing, naming it.
    """

    # `compute_loss` returns the mean of a batch; `Trainer` divides it by the accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(self, model=None, args: RDFERTrainingArguments | None = None, train_dataset=None, **kwargs):
        kwargs.setdefault("data_collator", collate)
        super().__init__(model=model, args=args, train_dataset=train_dataset, **kwargs)
        if self.args.freeze_backbone:
            self.model.freeze_backbone()
        if self.compute_metrics is None:
            self.compute_metrics = self._recognition_metrics
        base_loss = self.args.base_loss if self.args.loss == "agreement" else self.args.loss
        self.sample_loss = sample_loss_function(
            base_loss,
            label_smoothing=self.args.label_smoothing_factor,
            gce_q=self.args.gce_q,
            sce_alpha=self.args.sce_alpha,
            sce_beta=self.args.sce_beta,
        )
        self.record, self._looks, self._looks_epoch, self._sampler, self._batches = None, [], 0, None, None
        if train_dataset is not None:
            self._set_up_record(train_dataset)
            self.add_callback(_RecordCallback(self))

    @property
    def class_names(self) -> list[str]:
        """Names of the model's labels, in the order of their numbers (`label_names` of `Trainer` are columns)."""
        return [self.model.config.id2label[number] for number in range(self.model.config.num_labels)]

    @property
    def _num_epochs(self) -> float:
        args = self.args
        if args.max_steps <= 0:
            return args.num_train_epochs
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return args.max_steps * batch / len(self.train_dataset)

    def _set_up_record(self, dataset: Dataset):
        if not hasattr(dataset, "labels"):
            raise KeyError(
                "The training set has no attribute `labels` (all given labels, in the order of `sample_index`)."
            )
        if not hasattr(dataset, "batches"):
            example = dataset[0]
            missing = [n for n in ("pixel_values_videos", "labels", "sample_index") if n not in example]
            if missing:
                raise KeyError(f"The training set's examples lack {missing}; they have {sorted(example)}.")
        elif self.args.sampler != "random":
            raise ValueError(
                f"sampler={self.args.sampler!r} needs samples in any order, which a stream does not give: use "
                "class_weights='balanced', or do not stream."
            )
        labels = torch.as_tensor(np.asarray(dataset.labels), dtype=torch.long)
        num_labels = self.model.config.num_labels
        if labels.min() < 0 or labels.max() >= num_labels:
            raise ValueError(f"Labels {labels.min()}..{labels.max()} do not fit a model of {num_labels} labels.")
        args = self.args
        self.record = SampleRecord(
            labels,
            num_labels,
            agreement_threshold=args.agreement_threshold,
            noisy_loss_threshold=None if args.noisy_loss_threshold == "auto" else float(args.noisy_loss_threshold),
            hard_agreement_threshold=args.hard_agreement_threshold,
            max_noisy_share=args.max_noisy_share,
            hard_sample_gain=args.hard_sample_gain,
            noisy_sample_weight=args.noisy_sample_weight,
            running_mean_decay=(
                max(0.0, 1 - 4.5 / self._num_epochs)
                if args.running_mean_decay == "auto"
                else float(args.running_mean_decay)
            ),
        )
        self._class_weights = torch.ones(len(labels))
        if args.class_weights == "balanced":
            counts = torch.bincount(labels, minlength=num_labels).float()
            self._class_weights = (len(labels) / (counts[counts > 0].numel() * counts))[labels]
        self._weights = self._targets = None  # of the epoch, set at its beginning

    # Epochs ----------------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int):
        """
        Fixes what the epoch learns from each sample: the given label with the weight of its verdict, later the label
        suggested for a noisy sample. Weights are divided by their mean over the training set.
        """
        if self._looks and self._looks_epoch < epoch:
            self.finish_epoch()  # resumed from a checkpoint that was saved at the very end of an epoch
        self._looks_epoch = epoch
        if hasattr(self.train_dataset, "set_epoch"):
            self.train_dataset.set_epoch(epoch)
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)
        if self._batches is not None and not self.args.ignore_data_skip:
            accumulation = self.args.gradient_accumulation_steps
            done = self.state.global_step - epoch * math.ceil(len(self._batches) / accumulation)
            self._batches.skip(epoch, done * accumulation)
        weights, targets = self._class_weights, self.record.given_labels
        if self.args.loss == "agreement" and epoch >= self.args.agreement_warmup_epochs:
            verdicts = self.record.weights
            if epoch >= self.args.relabel_start * self._num_epochs:
                noisy = self.record.partition == NOISY
                targets = torch.where(noisy, self.record.suggested_labels, targets)
                verdicts = torch.where(noisy, 1.0, verdicts)
            weights = weights * verdicts
        self._targets = targets.to(self.args.device)
        mean = weights.mean()
        self._weights = (weights / mean if mean > 0 else weights).to(self.args.device)

    def finish_epoch(self):
        """Shares the looks of the epoch among processes, updates the record and logs it."""
        if not self._looks:
            return  # resumed where training had ended
        looks = SampleLooks.concatenate([look.to("cpu") for look in self._looks])
        self._looks = []
        if self.args.world_size > 1:
            looks = SampleLooks.concatenate(gather_object([looks]))
        self.record.update(looks)
        summary = self.record.summary(self.class_names)
        takes_effect = self.args.loss == "agreement" and self._looks_epoch + 1 >= self.args.agreement_warmup_epochs
        for name in self.class_names:
            wiped_out = summary.get(f"share_noisy_{name}", 0.0)
            if takes_effect and wiped_out > 0.4:
                logger.warning(
                    f"{wiped_out:.0%} of the training videos labelled {name!r} are taken to be noisy: the label is "
                    "being wiped out. Look at sample_table.parquet; lower max_noisy_share or raise "
                    "agreement_threshold."
                )
        # What is not a number (no threshold yet) is no use to a logger.
        self.log({key: value for key, value in summary.items() if np.isfinite(value)})
        if self.is_world_process_zero():
            self._write_table(self.args.output_dir)

    def _write_table(self, folder: str):
        Path(folder).mkdir(parents=True, exist_ok=True)
        columns = dict(getattr(self.train_dataset, "sample_columns", {}))
        columns.setdefault("sample_id", [str(number) for number in range(len(self.record.given_labels))])
        epochs = int(self.record.epochs_seen.max())
        self.record.write_table(Path(folder) / SAMPLE_TABLE_NAME, self.class_names, columns, epochs)

    # Steps -----------------------------------------------------------------------------------------------------------

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Loss of a batch, see the class; in evaluation the mean cross-entropy of the videos."""
        labels = inputs["labels"]
        outputs = model(**{name: inputs[name] for name in MODEL_INPUTS if name in inputs})
        if not model.training:
            loss = cross_entropy(outputs["logits"], labels).mean()
            return (loss, outputs) if return_outputs else loss
        clip_mask = distinct_clips(outputs["key_frame_indices"])
        config = self.model.config
        loss = weighted_loss(
            outputs["logits"],
            outputs["clip_logits"],
            outputs["detector_logits"],
            self._targets[inputs["sample_index"]],
            clip_mask,
            self._weights[inputs["sample_index"]],
            self.sample_loss,
            clip_loss_weight=config.clip_loss_weight,
            detector_loss_weight=config.detector_loss_weight,
        )
        if self._batches is not None:
            loss = loss * (len(labels) / self._batches.mean_batch_size)
        self._look(outputs, labels, clip_mask, inputs["sample_index"])
        return (loss, outputs) if return_outputs else loss

    @torch.no_grad()
    def _look(self, outputs, labels, clip_mask, sample_index):
        clip_probabilities = outputs["clip_logits"].float().softmax(-1)
        num_clips = clip_mask.sum(1)
        mean = (clip_probabilities * clip_mask[..., None]).sum(1) / num_clips[:, None]
        given = clip_probabilities.gather(-1, labels[:, None, None].expand(-1, clip_probabilities.shape[1], 1))[..., 0]
        variance = ((given - mean.gather(1, labels[:, None])) ** 2 * clip_mask).sum(1) / num_clips
        self._looks.append(
            SampleLooks(
                index=sample_index,
                loss=cross_entropy(outputs["logits"], labels),
                agreement=outputs["agreement"].float(),
                clip_std=variance.sqrt(),
                probabilities=(outputs["logits"].float().softmax(-1) + mean) / 2,
                num_valid_clips=num_clips,
            )
        )

    def get_train_dataloader(self) -> DataLoader:
        """As `Trainer`; a stream deals its samples out to the processes itself: accelerate must not do it again."""
        if not hasattr(self.train_dataset, "batches"):
            return super().get_train_dataloader()
        args = self.args
        self._batches = self.train_dataset.batches(
            self._train_batch_size,
            self.data_collator,
            rank=args.process_index,
            world_size=args.world_size,
            num_workers=args.dataloader_num_workers,
        )
        return DataLoader(
            self._batches,
            batch_size=None,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )

    def num_examples(self, dataloader: DataLoader) -> int:
        """As `Trainer`; a stream's data loader knows only its batches."""
        return super().num_examples(dataloader) if self._batches is None else len(self.train_dataset)

    def _get_train_sampler(self, train_dataset=None):
        if self.args.sampler == "balanced":
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            self._sampler = BalancedSampler(self.record.given_labels, seed)
            return self._sampler
        return super()._get_train_sampler(train_dataset)

    def create_optimizer(self, model=None):
        """As `Trainer`, with `backbone_learning_rate` for both backbones."""
        if self.optimizer is None and self.args.backbone_learning_rate is not None:
            decayed = set(self.get_decay_parameter_names(self.model))
            groups = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault(("backbone" in name, name in decayed), []).append(parameter)
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = optimizer_class(
                [
                    {
                        "params": parameters,
                        "lr": self.args.backbone_learning_rate if is_backbone else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if is_decayed else 0.0,
                    }
                    for (is_backbone, is_decayed), parameters in groups.items()
                ],
                **options,
            )
        return super().create_optimizer(model)

    def evaluation_loop(self, *args, **kwargs):
        """As `Trainer`, with the mean loss of the samples, which `Trainer` only has by batches."""
        output = super().evaluation_loop(*args, **kwargs)
        for name in [name for name in output.metrics if name.endswith("_loss")]:
            logits, labels = torch.from_numpy(output.predictions), torch.from_numpy(output.label_ids)
            output.metrics[name] = cross_entropy(logits, labels).mean().item()
        return output

    def _recognition_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        logits, references = prediction.predictions, prediction.label_ids
        probabilities = torch.from_numpy(np.asarray(logits)).float().softmax(-1).numpy()
        metrics = recognition_metrics(probabilities.argmax(-1), references, self.class_names, probabilities)
        return {name: value for name, value in metrics.items() if isinstance(value, float)}

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)
        if self._looks:
            # An epoch in the middle: each process keeps what it has seen.
            looks = SampleLooks.concatenate([look.to("cpu") for look in self._looks])
            state = {**looks.state(), "epoch": torch.tensor(self._looks_epoch)}
            save_file(state, folder / LOOKS_NAME.format(rank=self.args.process_index))
        if self.is_world_process_zero():
            save_file(self.record.state_dict(), folder / RECORD_NAME)
            self._write_table(folder)

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        # Called once at the beginning of training, before the first epoch begins, with None if nothing is resumed.
        self._looks = []
        if checkpoint is not None and (Path(checkpoint) / RECORD_NAME).exists():
            self._load_record(Path(checkpoint))

    def _load_record(self, folder: Path):
        self.record.load_state_dict(load_file(folder / RECORD_NAME))
        for rank, path in enumerate(sorted(folder.glob(LOOKS_NAME.format(rank="*")))):
            if rank % self.args.world_size == self.args.process_index:
                state = load_file(path)
                self._looks_epoch = int(state.pop("epoch"))
                self._looks.append(SampleLooks(**{f.name: state[f.name] for f in fields(SampleLooks)}))


__all__ = ["BalancedSampler", "RDFERTrainer", "RDFERTrainingArguments", "collate"]
