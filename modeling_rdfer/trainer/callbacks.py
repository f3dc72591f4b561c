# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Callbacks of the trainer: begin and end of epochs, and short logs on the console."""

from collections.abc import Sequence

from torch.nn.utils import clip_grad_norm_
from transformers import PrinterCallback, ProgressCallback, TrainerCallback


class EpochCallback(TrainerCallback):
    """Tells an [`RDFERTrainer`] when training, epochs and steps begin and end."""

    def __init__(self, trainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.resumed = state.global_step > 0
        self.trainer.model.config.calibration_temperature = None  # it was fitted to the weights before training

    def on_epoch_begin(self, args, state, control, **kwargs):
        # A whole number up to rounding, except after resuming within an epoch.
        self.trainer.begin_epoch(int((state.epoch or 0) + 1e-6))

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if self.trainer.noise_method is not None and args.max_grad_norm:
            clip_grad_norm_(self.trainer.noise_method.parameters(), args.max_grad_norm)

    def on_step_end(self, args, state, control, **kwargs):
        if self.trainer.noise_method is not None:
            self.trainer.noise_method.zero_grad()  # `Trainer` does it for the model alone

    def on_epoch_end(self, args, state, control, **kwargs):
        self.trainer.finish_epoch()

    def on_train_end(self, args, state, control, **kwargs):
        # Resumed from the checkpoint of the very last step, there is no epoch any more.
        self.trainer.finish_epoch()


class ShortLogsMixin:
    """Mixin for callbacks that print logs: leaves out the values of single labels, which would fill the screen."""

    def __init__(self, label_names: Sequence[str], **kwargs):
        super().__init__(**kwargs)
        self.endings = tuple(f"_{name}" for name in label_names)

    def on_log(self, args, state, control, logs=None, **kwargs):
        shown = {name: value for name, value in (logs or {}).items() if not name.endswith(self.endings)}
        super().on_log(args, state, control, logs=shown, **kwargs)


class ShortPrinterCallback(ShortLogsMixin, PrinterCallback):
    """`PrinterCallback` with short logs."""


class ShortProgressCallback(ShortLogsMixin, ProgressCallback):
    """`ProgressCallback` with short logs."""


__all__ = ["EpochCallback", "ShortPrinterCallback", "ShortProgressCallback"]
