# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`--resume-from-checkpoint`: bare or `true` for the last complete checkpoint, or the folder of one."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainingArguments
from transformers.utils import logging

from modeling_rdfer.trainer.checkpoints import UNFINISHED_FOLDER
from modeling_rdfer.trainer.sample_record import RECORD_NAME

logger = logging.get_logger(__name__)

# Without one of these a training cannot go on from a checkpoint.
CHECKPOINT_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json", RECORD_NAME)


def missing_files(checkpoint: Path, files: Sequence[str] = CHECKPOINT_FILES) -> list[str]:
    """Names of the files that a checkpoint lacks for going on from it."""
    found = {path.name for path in checkpoint.iterdir()}
    if "optimizer.bin" in found:  # the name that FSDP gives it
        found.add("optimizer.pt")
    return [name for name in files if name not in found]


def last_checkpoint(folder: Path, files: Sequence[str] = CHECKPOINT_FILES) -> Path | None:
    """The last complete checkpoint of a folder, if any; others are passed over with a warning.

    Args:
        folder (`Path`): output folder of a training; need not exist.
        files (sequence of `str`): names of the files that a complete checkpoint has.

    Returns:
        `Path`: its folder `checkpoint-N` with the greatest N, or None.
    """
    found = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*")}
    checkpoints = {path: int(match[1]) for path, match in found.items() if match and path.is_dir()}
    for path in sorted(checkpoints, key=checkpoints.__getitem__, reverse=True):
        if not (missing := missing_files(path, files)):
            return path
        logger.warning(f"{path} is passed over: it has no {', '.join(missing)}, so no training can go on from it.")
    return None


def choose_checkpoint(
    option: str | None, output_dir: Path, files: Sequence[str] = CHECKPOINT_FILES, log: bool = True
) -> Path | None:
    """The checkpoint that `--resume-from-checkpoint` means; says which one, or that training starts afresh.

    Args:
        option (`str`, *optional*): value of the option: a folder; `true`, `yes` or `1` for the last complete
            checkpoint in `output_dir`; `false`, `no`, `0` or None for none.
        output_dir (`Path`): output folder of the training.
        files (sequence of `str`): names of the files that a complete checkpoint has.
        log (`bool`): whether this process says it.

    Returns:
        `Path`: folder of the checkpoint, or None to start afresh.

    Raises:
        ValueError: if the folder that is named is not a complete checkpoint.
    """
    word = (option or "no").lower()
    if word in ("false", "no", "0"):
        return None
    if word in ("true", "yes", "1"):
        checkpoint = last_checkpoint(output_dir, files)
    else:
        checkpoint = Path(str(option))
        if not checkpoint.is_dir():
            raise ValueError(f"--resume-from-checkpoint: there is no folder {checkpoint}.")
        if missing := missing_files(checkpoint, files):
            raise ValueError(
                f"--resume-from-checkpoint: {checkpoint} has no {', '.join(missing)}, so it is not a complete "
                "checkpoint of this training."
            )
    if log and checkpoint:
        print(f"Training resumes from {checkpoint}.", flush=True)
    elif log:
        print(f"There is no complete checkpoint in {output_dir}: training starts afresh.", flush=True)
    return checkpoint


def resolve_resume(args: TrainingArguments):
    """Replaces `args.resume_from_checkpoint` by the folder that it means, or None, see [`choose_checkpoint`]. What an
    interrupted training has left of a half-written checkpoint is removed.

    Raises:
        ValueError: if the folder that is named is not a complete checkpoint.
    """
    checkpoint = choose_checkpoint(
        args.resume_from_checkpoint, Path(args.output_dir), log=args.should_log and args.process_index == 0
    )
    if args.should_save:
        shutil.rmtree(Path(args.output_dir) / UNFINISHED_FOLDER, ignore_errors=True)
    args.resume_from_checkpoint = str(checkpoint) if checkpoint else None


__all__ = ["CHECKPOINT_FILES", "choose_checkpoint", "last_checkpoint", "missing_files", "resolve_resume"]
