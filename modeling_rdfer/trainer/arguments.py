# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Arguments of a training."""

from dataclasses import dataclass, field, fields
from typing import Literal

from transformers import TrainingArguments

from .verdicts import VerdictThresholds


@dataclass
class RDFERTrainingArguments(VerdictThresholds, TrainingArguments):
    """`TrainingArguments` with the recipe's settings as defaults, and the settings of the agreement-weighted loss.

    The recipe is described in docs/method.md, Recipe; settings marked (authors) are published in arXiv 2502.16129. The
    [`VerdictThresholds`] are arguments, too. The help text of each field describes it.

    Raises:
        ValueError: if a setting is out of its range; the message names it.
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
        default=0.1, metadata={"help": "Warm-up: steps, or below 1 a share of them (authors: 10 of 100 epochs)."}
    )
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW (authors: 0.05)."})
    num_train_epochs: float = field(default=100.0, metadata={"help": "Epochs (authors: 100)."})
    per_device_train_batch_size: int = field(
        default=128, metadata={"help": "Batch size of a device (authors: 128 in all). Reduce it to fit your memory."}
    )
    label_smoothing_factor: float = field(
        default=0.1,
        metadata={"help": "Label smoothing of cross-entropy (authors: 0.1). The verdict on a sample never uses it."},
    )
    remove_unused_columns: bool = field(
        default=False,
        metadata={"help": "Must stay False: the loss needs the column sample_index, which the model does not take."},
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "False: every parameter of RDFER takes part in every step."}
    )
    # The loss.
    loss: Literal["agreement", "ce", "sce", "gce", "co_teaching", "self_cure"] = field(
        default="agreement",
        metadata={
            "help": "agreement: weights samples by the agreement of their clips; ce: cross-entropy; sce: symmetric "
            "cross-entropy; gce: generalised cross-entropy. To compare with, in one process: co_teaching: two "
            "networks pick samples of small loss for each other; self_cure: importance of samples, and new labels for "
            "unimportant ones (SCN)."
        },
    )
    base_loss: Literal["ce", "sce", "gce"] = field(
        default="gce",
        metadata={
            "help": "The loss that --loss agreement weights. It is mixed with cross-entropy until the model agrees "
            "with the given labels beyond chance."
        },
    )
    noisy_sample_weight: float = field(default=0.0, metadata={"help": "Weight of noisy samples; 0 drops them."})
    relabel_start: float = field(
        default=0.35,
        metadata={
            "help": "Share of the epochs after which samples learn the label that their clips agree on instead of the "
            "given one: noisy samples always, doubted ones in proportion to the doubt. 1: never. If it starts too "
            "early, the model confirms its own mistakes."
        },
    )
    hard_sample_gain: float = field(
        default=0.0,
        metadata={
            "help": "The weight of a hard sample is 1 + this x (1 - agreement). 0.5 is nearer to the paper; on "
            "synthetic videos it gained nothing with wrong labels, and cost half a point of WAR without."
        },
    )
    agreement_warmup_epochs: int = field(
        default=3, metadata={"help": "Epochs before the first verdicts take effect; until then all samples weigh 1."}
    )
    running_mean_decay: str = field(
        default="auto",
        metadata={
            "help": "Largest share of the old running mean in the new one after each epoch; 0: verdicts from the last "
            "epoch alone; auto: 1 - 4.5 / epochs, so that the mean covers about the last fifth of the training."
        },
    )
    forget_rate: float = field(
        default=0.3, metadata={"help": "Share of each batch that co_teaching leaves out: the share of wrong labels."}
    )
    trusted_weight: float = field(
        default=5.0, metadata={"help": "How much more samples weigh whose label is trusted (--trusted-list)."}
    )
    gce_q: float = field(default=0.7, metadata={"help": "q of the generalised cross-entropy."})
    sce_alpha: float = field(default=0.1, metadata={"help": "Weight of the cross-entropy in sce."})
    sce_beta: float = field(default=1.0, metadata={"help": "Weight of the reverse cross-entropy in sce."})
    # Emotion grouping and frame-level guidance (docs/method.md, AEN), for both families.
    emotion_grouping: bool | None = field(
        default=None,
        metadata={
            "help": "Also learn the sentiment, the group that the label is in. By default AEN does, RDFER does not."
        },
    )
    sentiment_loss_weight: float | None = field(
        default=None,
        metadata={"help": "Weight of the sentiment's cross-entropy with grouping (default: the model's, or 0.5)."},
    )
    frame_guidance_weight: float | None = field(
        default=None,
        metadata={
            "help": "Weight of the guidance of frames by a teacher's pseudo-labels (default: the model's, or 0)."
        },
    )
    clip_guidance_weight: float | None = field(
        default=None,
        metadata={"help": "Weight of the guidance of videos by pooled pseudo-labels (default: the model's, or 0)."},
    )
    frame_teacher: str | None = field(
        default=None,
        metadata={
            "help": "Checkpoint whose frame classifier gives the pseudo-labels (default: that of a prepared dataset "
            "with pseudo-labels, else the embedded rdfer-small). Its labels are mapped by name; labels that it does "
            "not know get no guidance."
        },
    )
    # The optimisation.
    backbone_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of the backbones (default: --learning-rate)."}
    )
    layer_decay: float = field(
        default=1.0,
        metadata={
            "help": "Each block of the backbone below the last one learns with this share of the learning rate of the "
            "block above it, and the last one with this share of the backbones' learning rate. 1: all alike. The "
            "detecting network is not affected."
        },
    )
    drop_path: float = field(
        default=0.0,
        metadata={
            "help": "Probability with which the backbone's last residual branch is left out for a frame in training; "
            "it grows evenly from 0 at the first block (stochastic depth)."
        },
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Train adapters of this rank on the backbone's linear layers instead of the layers (LoRA; needs "
            "peft). Saved models have them merged. 0: no adapters."
        },
    )
    freeze_backbone: bool = field(default=False, metadata={"help": "Train everything but the backbones."})
    sampler: Literal["random", "balanced"] = field(
        default="random",
        metadata={"help": "balanced: all labels equally often; videos of rare labels repeat (authors)."},
    )
    class_weights: Literal["none", "balanced"] = field(
        default="none",
        metadata={
            "help": "balanced: samples weigh inversely to the frequency of their label, among trusted labels and "
            "among the others."
        },
    )
    # Interruption.
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Go on from a checkpoint: its folder; alone or true: the last complete one in --output-dir, or "
            "afresh if there is none."
        },
    )
    # The Hub.
    hub_include: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Further files to push, e.g. sample_table.parquet (names and paths of videos), training_args.bin, "
            "*.pt. Otherwise only weights, configurations, code, card and figures go to the Hub."
        },
    )

    def __post_init__(self):
        TrainingArguments.__post_init__(self)
        VerdictThresholds.__post_init__(self)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # PyTorch would warn in every epoch
        if self.remove_unused_columns:
            raise ValueError("remove_unused_columns=True would remove `sample_index`, which the loss needs.")
        try:
            is_decay = self.running_mean_decay == "auto" or 0 <= float(self.running_mean_decay) < 1
        except ValueError:
            is_decay = False
        if not is_decay:
            raise ValueError(
                f"running_mean_decay must be 'auto' or a number from 0 to below 1, got {self.running_mean_decay!r}."
            )
        for name in ("sentiment_loss_weight", "frame_guidance_weight", "clip_guidance_weight"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.loss in ("co_teaching", "self_cure") and self.world_size > 1:
            raise ValueError(f"--loss {self.loss} trains in one process only, there are {self.world_size}.")
        if not 0 <= self.forget_rate < 1:
            raise ValueError(f"forget_rate is a share of the samples and must be in [0, 1), got {self.forget_rate}.")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must be in (0, 1], got {self.layer_decay}.")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path is a probability and must be in [0, 1), got {self.drop_path}.")
        if self.lora_rank < 0 or (self.lora_rank and self.freeze_backbone):
            raise ValueError(
                f"lora_rank must be at least 0, and needs a backbone that is not frozen, got {self.lora_rank}."
            )
        if not self.trusted_weight > 0:
            raise ValueError(f"trusted_weight must be above 0, got {self.trusted_weight}.")
        if not 0 <= self.relabel_start <= 1:
            raise ValueError(
                f"relabel_start is a share of the epochs and must be in [0, 1], got {self.relabel_start}."
            )

    @property
    def verdict_thresholds(self) -> VerdictThresholds:
        """The thresholds of the verdicts alone."""
        return VerdictThresholds(**{item.name: getattr(self, item.name) for item in fields(VerdictThresholds)})

    def num_epochs_of(self, num_samples: int) -> float:
        """Returns the number of epochs for a training set of this size, also if `max_steps` sets the length."""
        if self.max_steps <= 0:
            return self.num_train_epochs
        batch_size = self.train_batch_size * self.gradient_accumulation_steps * self.world_size
        return self.max_steps * batch_size / num_samples

    def running_mean_decay_for(self, num_epochs: float) -> float:
        """Returns the decay as a number, for a training of this many epochs."""
        return max(0.0, 1 - 4.5 / num_epochs) if self.running_mean_decay == "auto" else float(self.running_mean_decay)


__all__ = ["RDFERTrainingArguments"]
