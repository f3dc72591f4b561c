# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints that are complete or not there at all: written in a folder beside them, and moved when complete."""

import os
import shutil
from pathlib import Path

import torch

# Where a checkpoint is written, within the output folder. What lies there after an interruption is no checkpoint.
UNFINISHED_FOLDER = "unfinished"


class CheckpointError(OSError):
    """A checkpoint could not be written, e.g. because the disk is full."""


def publish_folder(unfinished: Path, folder: Path):
    """Moves a complete folder under its name, where it replaces one of an earlier training."""
    for path in unfinished.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:  # a name must not outlive its contents if the machine stops
                os.fsync(file.fileno())
    replaced = unfinished.with_name(f"replaced-{folder.name}")
    if folder.exists():
        folder.rename(replaced)
    unfinished.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def checkpoint_error(folder: Path, model: torch.nn.Module, optimizer, cause: Exception) -> CheckpointError:
    """The error about a checkpoint that could not be written: what it needs, what is free, and what is safe.

    Args:
        folder (`Path`): the checkpoint, under its name.
        model (`torch.nn.Module`): its model.
        optimizer (`torch.optim.Optimizer`): its optimizer, whose state is saved, too.
        cause (`Exception`): why it failed.
    """
    states = optimizer.state_dict()["state"].values()
    tensors = [*model.state_dict().values(), *(value for state in states for value in state.values())]
    needed = sum(value.numel() * value.element_size() for value in tensors if isinstance(value, torch.Tensor))
    safe = sorted(path for path in folder.parent.glob("checkpoint-*") if path != folder)
    # Those before have code, tables and the state of the training, too.
    needed = max([needed, *(sum(file.stat().st_size for file in path.rglob("*")) for path in safe)])
    names = ", ".join(path.name for path in safe) or "no checkpoint"
    free = shutil.disk_usage(folder.parent).free
    return CheckpointError(
        f"{folder} could not be written ({cause}). It needs about {needed / 1e6:.2f} MB, {free / 1e6:.2f} MB are free "
        f"on that disk. Its half-written files were removed. Complete and safe: {names}. "
        "Make room, and go on with --resume-from-checkpoint."
    )


__all__ = ["UNFINISHED_FOLDER", "CheckpointError", "checkpoint_error", "publish_folder"]
