# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trainer with the agreement-weighted loss and a record of every sample."""

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import EvalPrediction, HubStrategy, SaveStrategy
from transformers.utils import PushInProgress, logging
from transformers.utils.hub import hf_api

from ..hub.card_facts import CardFacts, facts_of_loaded, hardware, library_versions, origins_of
from ..hub.card_files import write_card
from ..hub.model_card import model_card
from ..hub.public_names import public_name
from ..hub.push import files_to_push, prepare_repo, push_files, push_folder
from ..models.labels_rdfer import class_names, group_ids
from ..models.loss_aen import group_log_sums, sentiment_cross_entropy, unlabelled_losses
from ..models.modeling_rdfer import distinct_clips
from ..models.package_data_rdfer import embedded_checkpoint
from ..models.video_processing_rdfer import RDFERVideoProcessor
from .losses import PARTITIONS, cross_entropy, sample_loss_function, weighted_loss
from .metrics import recognition_metrics
from .pseudo_labels import load_teacher, pseudo_labels_of, teacher_columns
from .sample_record import SamplePredictions, SampleRecord

logger = logging.get_logger(__name__)

SAMPLE_TABLE_NAME = "sample_table.parquet"
RECORD_NAME = "sample_record.safetensors"
LOOKS_NAME = "sample_looks_{rank}.safetensors"
PSEUDO_LABELS_NAME = "pseudo_labels.safetensors"
MODEL_INPUTS = ("pixel_values_videos", "frame_mask", "clip_jitter")
# Settings of `TrainingArguments` that a card names where they differ from the defaults. A list, since others hold
# paths, names of machines and tokens; those of `RDFERTrainingArguments` are added.
CARD_SETTINGS = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "learning_rate"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "optim", "adam_beta1", "adam_beta2"),
    *("adam_epsilon", "max_grad_norm", "label_smoothing_factor", "seed", "data_seed", "full_determinism", "bf16"),
    *("fp16", "tf32", "torch_compile", "gradient_checkpointing", "load_best_model_at_end", "metric_for_best_model"),
)


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
        default=0.8,
        metadata={
            "help": "A sample is noisy only if its clips agree on another label: their mean probability of it exceeds "
            "that of the given one by more than this."
        },
    )
    full_suspicion: float = field(
        default=0.6,
        metadata={
            "help": "The excess at which the given label is fully doubted. The sample's weight falls, and later the "
            "share of epochs in which it learns the other label grows, in proportion up to there."
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
        default=0.35,
        metadata={
            "help": "Share of the epochs after which samples learn the label that their clips agree on instead of the "
            "given one: noisy ones always, suspicious ones the more often the more their clips agree on it. 1: never. "
            "Too early, a model confirms its own mistakes."
        },
    )
    hard_agreement_threshold: float = field(
        default=0.75,
        metadata={"help": "A sample is hard if its agreement, a running mean over epochs, is not above this."},
    )
    hard_sample_gain: float = field(
        default=0.0,
        metadata={
            "help": "Weight of hard samples is 1 + this x (1 - agreement). 0.5, nearer to the paper, measured no "
            "better with wrong labels, and half a point of WAR worse without."
        },
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
    # Emotion grouping and frame-level guidance (section 4 of the design), for both families.
    emotion_grouping: bool | None = field(
        default=None,
        metadata={
            "help": "Learn the sentiment, too: the group that the label is in. By default AEN does and RDFER does not."
        },
    )
    sentiment_loss_weight: float | None = field(
        default=None,
        metadata={"help": "Weight of the sentiment's cross-entropy with grouping; as the model says, or 0.5."},
    )
    frame_guidance_weight: float | None = field(
        default=None,
        metadata={
            "help": "Weight of the guidance of frames by a teacher's pseudo-labels; as the model says, or 0 (RDFER)."
        },
    )
    clip_guidance_weight: float | None = field(
        default=None,
        metadata={"help": "Weight of the guidance of videos by the pooled pseudo-labels; as the model says, or 0."},
    )
    frame_teacher: str | None = field(
        default=None,
        metadata={
            "help": "Checkpoint whose frame classifier gives the pseudo-labels; by default that of a prepared set "
            "that brings some, else the embedded rdfer-small. Its labels are mapped by name; those it does not know "
            "get no guidance."
        },
    )
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

    # The Hub.
    hub_include: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files to push beside weights, configurations, code, card and figures, which is all that goes to "
            "the Hub otherwise: e.g. sample_table.parquet (names and paths of videos), training_args.bin, *.pt."
        },
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
        for name in ("agreement_threshold", "full_suspicion"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("sentiment_loss_weight", "frame_guidance_weight", "clip_guidance_weight"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
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
            `(T,)`, `clip_jitter` `(K,)`, `sample_index`, `pseudo_labels` `(T, C)`.

    Raises:
        KeyError: naming the columns that are missing and those that are there.
    """
    missing = [name for name in ("pixel_values_videos", "labels") if name not in examples[0]]
    if missing:
        raise KeyError(f"The dataset's examples lack {missing}; they have {sorted(examples[0])}.")
    taken = [name for name in (*MODEL_INPUTS, "labels", "sample_index", "pseudo_labels") if name in examples[0]]
    return {name: torch.stack([torch.as_tensor(example[name]) for example in examples]) for name in taken}


class _RecordCallback(TrainerCallback):
    """Tells the trainer when training and epochs begin and end."""

    def __init__(self, trainer: "RDFERTrainer"):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.resumed = state.global_step > 0
        self.trainer.model.config.calibration_temperature = None  # it belongs to the weights before

    def on_epoch_begin(self, args, state, control, **kwargs):
        # In the middle of an epoch after resuming, else whole but for rounding.
        self.trainer.begin_epoch(int((state.epoch or 0) + 1e-6))

    def on_epoch_end(self, args, state, control, **kwargs):
        self.trainer.finish_epoch()


class _ShortLogs:
    """Mixed into a callback that prints: what is logged of every label would fill the screen."""

    def __init__(self, label_names: Sequence[str], **kwargs):
        super().__init__(**kwargs)
        self.endings = tuple(f"_{name}" for name in label_names)

    def on_log(self, args, state, control, logs=None, **kwargs):
        shown = {name: value for name, value in (logs or {}).items() if not name.endswith(self.endings)}
        super().on_log(args, state, control, logs=shown, **kwargs)


class _Printer(_ShortLogs, PrinterCallback):
    """As its parent."""


class _ProgressBar(_ShortLogs, ProgressCallback):
    """As its parent."""


class RDFERTrainer(Trainer):
    """
    `transformers.Trainer` that weights samples by the agreement of their clips and keeps a record of every sample.

    Beyond what `Trainer` does:
    - `--loss` chooses the loss. With `agreement`, the verdicts clean / hard / noisy come from running means over the
      epochs before, so weights are known before a sample is seen and are divided by one constant, their mean:
      accumulation and the number of processes change no gradient. Noisy samples are dropped, and from
      `relabel_start` on learnt with the label that their clips agree on, suspicious ones in proportion (ours).
    - `sample_table.parquet` in the output folder and in every checkpoint has a row for each training sample.
    - after each epoch it logs agreement, and the share and mean weight of clean, hard and noisy samples of each label.
    - evaluation gives WAR, UAR and the recall of each label.
    - emotion grouping and frame-level guidance, for RDFER as for AEN. Pseudo-labels come from the examples'
      `pseudo_labels` `(T, C)` (-100: unknown; a stream that brings them says whose in its attribute `frame_teacher`, a
      [`FrameTeacher`]), or once, before training, from `--frame_teacher`; then they are kept in
      `pseudo_labels.safetensors` in the output folder. These losses do not need the given label, so no weight of a
      sample applies to them (ours); to the sentiment's it does.
    - the card says what happened. What the trainer cannot know (the name of the dataset, how the epoch was chosen, the
      licence) is taken from its attribute `card_facts`, a [`CardFacts`].
    - pushing sends weights, configurations, code, card and figures only, and what `hub_include` names; with
      `hub_strategy="checkpoint"`, too.

    Args:
        train_dataset: examples as [`collate`] takes them, with `sample_index` numbering them 0, 1, ... It must have
            `labels`, a sequence of all given labels in that order. If it has `set_epoch`, it is called at the
            beginning of each epoch; if it has `sample_columns`, a `dict` of sequences (`sample_id`, `path`, ...), they
            go into the table. One that streams has a method `batches(batch_size, collate, rank, world_size,
            num_workers)` that returns an `IterableDataset` of this process's batches, with `mean_batch_size` and
            `skip` (`training.data.streaming.StreamingVideoDataset`); every sample then counts the same, whatever the
            size of its batch.
        Everything else: see `transformers.Trainer`. `args` is an [`RDFERTrainingArguments`].

    Raises:
        KeyError: a column is missing, naming it.
    """

    # `compute_loss` returns the mean of a batch; `Trainer` divides it by the accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(self, model=None, args: RDFERTrainingArguments | None = None, train_dataset=None, **kwargs):
        kwargs.setdefault("data_collator", collate)
        super().__init__(model=model, args=args, train_dataset=train_dataset, **kwargs)
        if self.args.label_names is None:
            # Not AEN's `pseudo_labels`, which evaluation has not.
            self.label_names = ["labels"]
        for callback, shorter in ((PrinterCallback, _Printer), (ProgressCallback, _ProgressBar)):
            if self.pop_callback(callback) is not None:
                self.add_callback(shorter(self.class_names))
        self.card_facts, self.resumed, self._evaluation = CardFacts(), False, None
        self._base_model = public_name(self.model.name_or_path) if self.model.name_or_path else None
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
        self._pseudo_labels = self._frame_teacher = None
        if train_dataset is not None:
            self._set_up_record(train_dataset)
            self._set_up_grouping_and_guidance(train_dataset)
            self.add_callback(_RecordCallback(self))

    @property
    def class_names(self) -> list[str]:
        """Names of the model's labels, in the order of their numbers (`label_names` of `Trainer` are columns)."""
        return class_names(self.model.config)

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
            full_suspicion=args.full_suspicion,
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

    def _set_up_grouping_and_guidance(self, dataset: Dataset):
        args, config = self.args, self.model.config

        def weight(name: str, default: float = 0.0) -> float:
            given = getattr(args, name, None)
            return getattr(config, name, default) if given is None else given

        is_grouped = args.emotion_grouping
        if is_grouped is None:
            is_grouped = hasattr(config, "sentiment_loss_weight")
        self._sentiment_loss_weight = weight("sentiment_loss_weight", 0.5) if is_grouped else 0.0
        self._unlabelled_loss_weights = {
            "consistency_loss_weight": weight("consistency_loss_weight") if is_grouped else 0.0,
            "frame_guidance_weight": weight("frame_guidance_weight"),
            "clip_guidance_weight": weight("clip_guidance_weight"),
        }
        needs_teacher = weight("frame_guidance_weight") or weight("clip_guidance_weight")
        brought = getattr(dataset, "frame_teacher", None)
        if needs_teacher and hasattr(dataset, "batches") and brought is None:
            raise ValueError(
                "Frame-level guidance labels all frames before training, which a stream does not allow unless it "
                "brings pseudo-labels (training.prepare --frame_teacher): do not stream, or set frame_guidance_weight "
                "and clip_guidance_weight to 0."
            )
        if (is_grouped or needs_teacher) and config.problem_type not in (None, "single_label_classification"):
            raise ValueError(f"Grouping and guidance need one label a video, problem_type is {config.problem_type!r}.")
        self._groups = None
        if needs_teacher:
            given = brought is not None or "pseudo_labels" in dataset[0]
            teacher = public_name(args.frame_teacher or embedded_checkpoint())
            self._frame_teacher = "the dataset's own pseudo-labels" if given else teacher
            if brought is not None:
                if args.frame_teacher and teacher != brought.name:
                    raise ValueError(
                        f"The dataset brings pseudo-labels of {brought.name}, not of frame_teacher={teacher}: leave "
                        "that out, or prepare the dataset with it."
                    )
                self._frame_teacher = brought.name
                columns = teacher_columns(brought.labels, self.class_names)
                without = [name for name, column in zip(self.class_names, columns) if column is None]
                if without:
                    logger.warning(f"{brought.name} does not know the labels {without}: they get no guidance.")
        if is_grouped:
            self._groups = group_ids(self.class_names, getattr(config, "emotion_groups", None))[1]
        if needs_teacher and not given:
            teacher = load_teacher(args.frame_teacher or embedded_checkpoint(), args.device)
            # Other processes find the file that the first has written.
            with args.main_process_first(local=False, desc="labelling frames"):
                self._pseudo_labels = pseudo_labels_of(
                    dataset,
                    teacher,
                    self.class_names,
                    cache=Path(args.output_dir) / PSEUDO_LABELS_NAME,
                    num_workers=args.dataloader_num_workers,
                    progress=not args.disable_tqdm,
                )

    # Epochs ----------------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int):
        """
        Fixes what the epoch learns from each sample: the given label with the weight of its verdict, later, for
        samples under suspicion, the suggested label. Weights are divided by their mean over the training set.
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
                # Keyed by (seed, epoch): processes and resuming change nothing.
                generator = torch.Generator().manual_seed(1000 * self.args.seed + epoch)
                targets, verdicts = self.record.relabelled(generator)
            weights = weights * verdicts
        self._targets = targets.to(self.args.device)
        mean = weights.mean()
        self._weights = (weights / mean if mean > 0 else weights).to(self.args.device)

    def finish_epoch(self):
        """Shares the looks of the epoch among processes, updates the record and logs it."""
        if not self._looks:
            return  # resumed where training had ended
        looks = SamplePredictions.concatenate([look.to("cpu") for look in self._looks])
        self._looks = []
        if self.args.world_size > 1:
            looks = SamplePredictions.concatenate(gather_object([looks]))
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
        config, index = self.model.config, inputs["sample_index"]
        sentiment_losses = None
        if self._sentiment_loss_weight:
            # A model without a head for sentiments tells them with the sums over its emotions.
            sentiments = outputs.get("sentiment_logits")
            if sentiments is None:
                sentiments = group_log_sums(outputs["logits"].float().log_softmax(-1), self._groups)
            sentiment_losses = sentiment_cross_entropy(sentiments, self._targets[index], self._groups)
            sentiment_losses = self._sentiment_loss_weight * sentiment_losses
        loss = weighted_loss(
            outputs["logits"],
            outputs["clip_logits"],
            outputs.get("detector_logits"),
            self._targets[index],
            clip_mask,
            self._weights[index],
            self.sample_loss,
            clip_loss_weight=getattr(config, "clip_loss_weight", 0.0),
            detector_loss_weight=getattr(config, "detector_loss_weight", 0.0),
            video_loss_weight=getattr(config, "emotion_loss_weight", 1.0),
            further_losses=sentiment_losses,
        )
        pseudo_labels = inputs.get("pseudo_labels")
        if pseudo_labels is None and self._pseudo_labels is not None:
            pseudo_labels = self._pseudo_labels[index.cpu()]
        loss = loss + unlabelled_losses(outputs, self._groups, pseudo_labels, **self._unlabelled_loss_weights).mean()
        if self._batches is not None:
            loss = loss * (len(labels) / self._batches.mean_batch_size)
        self._looks.append(SamplePredictions.of_outputs(outputs, labels, index))
        return (loss, outputs) if return_outputs else loss

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

    def evaluation_loop(self, dataloader, *args, metric_key_prefix: str = "eval", **kwargs):
        """As `Trainer`, with the mean loss of the samples, which `Trainer` only has by batches."""
        output = super().evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        for name in [name for name in output.metrics if name.endswith("_loss")]:
            logits, labels = torch.from_numpy(output.predictions), torch.from_numpy(output.label_ids)
            output.metrics[name] = cross_entropy(logits, labels).mean().item()
        self._evaluation = {
            "metrics": _without_prefix(output.metrics, metric_key_prefix),
            "num_samples": output.num_samples,
            "step": self.state.global_step,
            "in_training": self.is_in_train,
            "chose_the_epoch": getattr(dataloader, "dataset", None) is self.eval_dataset and self._epoch_is_chosen,
        }
        return output

    def _recognition_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        logits, references = prediction.predictions, prediction.label_ids
        probabilities = torch.from_numpy(np.asarray(logits)).float().softmax(-1).numpy()
        metrics = recognition_metrics(probabilities.argmax(-1), references, self.class_names, probabilities)
        return {name: value for name, value in metrics.items() if isinstance(value, float)}

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def _push_from_checkpoint(self, checkpoint_folder):
        """Does nothing: `Trainer` calls it before the checkpoint is complete. See `_push_checkpoint`."""

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)
        if self._looks:
            # An epoch in the middle: each process keeps what it has seen.
            looks = SamplePredictions.concatenate([look.to("cpu") for look in self._looks])
            state = {**looks.state(), "epoch": torch.tensor(self._looks_epoch)}
            save_file(state, folder / LOOKS_NAME.format(rank=self.args.process_index))
        if self.is_world_process_zero():
            save_file(self.record.state_dict(), folder / RECORD_NAME)
            self._write_table(folder)
            if self.args.push_to_hub and self.args.hub_strategy != HubStrategy.END:
                self._push_checkpoint(folder)

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
                self._looks.append(SamplePredictions(**{f.name: state[f.name] for f in fields(SamplePredictions)}))

    # Card and Hub ----------------------------------------------------------------------------------------------------

    @property
    def _epoch_is_chosen(self) -> bool:
        """Whether evaluations during training decide which weights are kept."""
        callbacks = self.callback_handler.callbacks
        return self.args.load_best_model_at_end or any(isinstance(c, EarlyStoppingCallback) for c in callbacks)

    def collect_card_facts(self) -> CardFacts:
        """What the trainer knows about the model, under what `card_facts` says."""
        args, state = self.args, self.state
        hub_model_id = self.hub_model_id or args.hub_model_id
        collected = CardFacts(
            model_name=hub_model_id.split("/")[-1] if hub_model_id else Path(args.output_dir).resolve().name,
            repo_id=self.hub_model_id,
        )
        has_face_detector = isinstance(self.processing_class, RDFERVideoProcessor)
        if state.global_step == 0:
            loaded = facts_of_loaded(self._base_model)
            collected.loaded_from, collected.license = loaded.loaded_from, loaded.license
            collected.origins = origins_of(self._base_model, has_face_detector, part="the weights as loaded")
        else:
            collected.base_model, collected.frame_teacher = self._base_model, self._frame_teacher
            collected.origins = origins_of(self._base_model, has_face_detector, self._frame_teacher)
        if state.global_step > 0 and self.record is not None:
            runtimes = [log["train_runtime"] for log in state.log_history if "train_runtime" in log]
            weighted = f"agreement, weighting {args.base_loss}"
            collected.loss = weighted if args.loss == "agreement" else args.loss
            weights = {"sentiment_loss_weight": self._sentiment_loss_weight, **self._unlabelled_loss_weights}
            collected.loss_weights = {name: weight for name, weight in weights.items() if weight}
            collected.hyperparameters = _changed_settings(args)
            collected.num_train_videos = len(self.train_dataset)
            collected.epochs = round(state.epoch, 2)
            collected.versions = library_versions()
            collected.hardware = hardware(args.device, args.world_size)
            collected.train_seconds = runtimes[-1] if runtimes and not self.resumed else None
            if self.record.epochs_seen.max() > 0:
                for number, label in enumerate(self.class_names):
                    verdicts = self.record.partition[self.record.given_labels == number]
                    counts = [(verdicts == code).sum().item() for code in range(len(PARTITIONS))]
                    collected.partitions[label] = dict(zip(PARTITIONS, counts))
        self._add_evaluation(collected)
        return self.card_facts.filled_from(collected)

    def _add_evaluation(self, facts: CardFacts):
        """Adds the figures of the weights that are in the model now, if these were evaluated."""
        evaluation, state = self._evaluation, self.state
        if evaluation is None:
            return
        metrics = evaluation["metrics"]
        if evaluation["in_training"] and not self.is_in_train and self.args.load_best_model_at_end:
            # The best weights have been loaded since.
            logs = [log for log in state.log_history if log["step"] == state.best_global_step]
            metrics = next((found for log in logs if "war" in (found := _without_prefix(log, "eval"))), {})
        elif evaluation["step"] != state.global_step:
            return
        shown = ("war", "uar", "ece")
        facts.metrics = {name: metrics[name] for name in metrics if name in shown or name.startswith("recall_")}
        facts.num_eval_videos = evaluation["num_samples"]
        if evaluation["chose_the_epoch"]:
            facts.model_selection = "best_on_test"
        elif not self._epoch_is_chosen:
            facts.model_selection = "last"

    def _save(self, output_dir=None, state_dict=None):
        self.model.card_facts = self.collect_card_facts()
        super()._save(output_dir, state_dict)

    def create_model_card(
        self,
        language=None,
        license=None,
        tags=None,
        model_name=None,
        finetuned_from=None,
        tasks=None,
        dataset_tags=None,
        dataset=None,
        dataset_args=None,
        overwrite_card: bool = False,
    ):
        """
        Writes the card of what happened into the output folder. A card that was edited is kept, with a warning.

        Args:
            language, license, model_name (`str`), tags (`str` or `list[str]`): go before `card_facts`.
            finetuned_from (`str`): the base model.
            dataset_tags, dataset (`str` or list of one): name on the Hub, and readable name, of the dataset.
            dataset_args (`str` or list of one): its configuration.
            tasks: is always video-classification.
            overwrite_card (`bool`): replace also an edited card.
        """
        if not self.is_world_process_zero():
            return
        first = lambda value: value[0] if isinstance(value, (list, tuple)) and value else value or None  # noqa: E731
        said = CardFacts(
            language=language,
            license=license,
            tags=[tags] if isinstance(tags, str) else list(tags or []),
            model_name=model_name,
            base_model=finetuned_from,
            dataset_id=first(dataset_tags),
            dataset_name=first(dataset),
            dataset_config=first(dataset_args),
        )
        facts = self.model.card_facts = said.filled_from(self.collect_card_facts())
        card = model_card(self.model.config, self.model.num_parameters(), facts, facts.model_name)
        write_card(self.args.output_dir, card, overwrite_card)

    def init_hf_repo(self, token=None, private=None):
        """As `Trainer`; a repository that shall be private and is public is an error before training starts."""
        super().init_hf_repo(token=token, private=private)
        if self.is_world_process_zero():
            private = self.args.hub_private_repo if private is None else private
            prepare_repo(self.hub_model_id, private, token or self.args.hub_token)

    def push_to_hub(
        self,
        commit_message="End of training",
        blocking=True,
        token=None,
        revision=None,
        private=None,
        overwrite_card: bool = False,
        **kwargs,
    ):
        """
        Saves, writes the card and uploads what is allowed, see [`files_to_push`], and what `hub_include` names.

        Args:
            overwrite_card (`bool`): replace also a card that was edited, here or on the Hub.
            kwargs: see `create_model_card`.
            Everything else: see `transformers.Trainer.push_to_hub`.

        Returns:
            `CommitInfo`, or a `Future` of it with `blocking=False`; None in processes other than the first.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        token = token or self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        self.create_model_card(overwrite_card=overwrite_card, **kwargs)
        self._finish_current_push()
        options = {
            "commit_message": commit_message,
            "token": token,
            "revision": revision or self.args.hub_revision,
            "include": self.args.hub_include,
            "overwrite_card": overwrite_card,
        }
        if blocking:
            return push_folder(self.args.output_dir, self.hub_model_id, **options)
        return hf_api().run_as_future(push_folder, self.args.output_dir, self.hub_model_id, **options)

    def _push_checkpoint(self, checkpoint: Path):
        """Pushes a checkpoint in the background, from a copy: the folder may be deleted or written meanwhile."""
        if not self.args.hub_always_push and self.push_in_progress is not None and not self.push_in_progress.is_done():
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        prefix = {HubStrategy.CHECKPOINT: "last-checkpoint/", HubStrategy.ALL_CHECKPOINTS: f"{checkpoint.name}/"}
        prefix = prefix.get(self.args.hub_strategy)
        files = files_to_push(checkpoint)
        if prefix:
            files |= {prefix + name: path for name, path in files_to_push(checkpoint, self.args.hub_include).items()}
        copies = tempfile.mkdtemp(prefix="rdfer-push-")
        for name, path in files.items():
            files[name] = Path(copies) / name
            files[name].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, files[name])
        unit = "step" if self.args.save_strategy == SaveStrategy.STEPS else "epoch"
        count = self.state.global_step if unit == "step" else int(self.state.epoch)
        job = hf_api().run_as_future(self._push_copies, copies, files, f"Training in progress, {unit} {count}")
        if self.push_in_progress is None or self.push_in_progress.is_done():
            self.push_in_progress = PushInProgress([job])
        else:
            self.push_in_progress.jobs.append(job)

    def _push_copies(self, copies: str, files: dict[str, Path], commit_message: str):
        options = {"token": self.args.hub_token, "revision": self.args.hub_revision}
        try:
            push_files(files, self.hub_model_id, commit_message=commit_message, pin=False, **options)
        except Exception as error:  # training goes on; the next push sends what is missing
            logger.warning(f"A push failed ({commit_message}): {error} {error.__cause__ or ''}")
        finally:
            shutil.rmtree(copies, ignore_errors=True)


def _without_prefix(metrics: dict, prefix: str) -> dict:
    return {name.removeprefix(f"{prefix}_"): value for name, value in metrics.items() if name.startswith(f"{prefix}_")}


def _changed_settings(args: RDFERTrainingArguments) -> dict:
    """Settings that a card names, where they differ from the defaults."""
    own = [name for name in RDFERTrainingArguments.__annotations__ if name != "hub_include"]
    changed = {}
    for setting in fields(args):
        if setting.name in CARD_SETTINGS or setting.name in own:
            default = setting.default if setting.default is not MISSING else setting.default_factory()
            value = getattr(args, setting.name)
            value, default = (getattr(v, "value", v) for v in (value, default))  # of enumerations
            if setting.name == "lr_scheduler_kwargs" and isinstance(value, str):
                value = json.loads(value)
            # Of those of `TrainingArguments` None becomes False without anybody's doing.
            if value != default and not (default is None and value is False and setting.name not in own):
                changed[setting.name] = value
    return changed


__all__ = ["BalancedSampler", "RDFERTrainer", "RDFERTrainingArguments", "collate"]
