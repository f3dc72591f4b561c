# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Callbacks of the trainer: begin and end of epochs, and short logs on the console."""

from collections.abc import Sequence

from transformers import PrinterCallback, ProgressCallback, TrainerCallback


class EpochCallback(TrainerCallback):
    """Tells an [`RDFERTrainer`] when training and epochs begin and end."""

    def __init__(self, trainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.resumed = state.global_step > 0
        self.trainer.model.config.calibration_temperature = None  # it was fitted to the weights before training

    def on_epoch_begin(self, args, state, control, **kwargs):
        # A whole number up to rounding, except after resuming within an epoch.
        self.trainer.begin_epoch(int((state.epoch or 0) + 1e-6))

    def on_epoch_end(self, args, state, control, **kwargs):
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
