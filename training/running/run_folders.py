# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Folders of runs: whether one is finished, where it goes on from, and with which settings it was made."""

import json
from dataclasses import fields
from pathlib import Path

from modeling_rdfer.trainer.sample_record import RECORD_NAME
from training.running.arguments import parse_training_arguments

# Beginnings of the names of settings that may differ between folds: where things are, what is written while training.
IMMATERIAL = (
    *("root", "fold", "output_dir", "run_name", "project", "trackio", "resume_from_checkpoint", "use_cpu"),
    *("logging_", "log_", "report_to", "disable_tqdm", "dataloader_", "push_to_hub", "hub_"),
)


def settings_of(argv: list[str]) -> dict:
    """The settings of a training that differ from the defaults and that its result depends on."""
    defaults = parse_training_arguments(["--output_dir", "unused"])
    settings = {
        item.name: getattr(arguments, item.name)
        for arguments, default in zip(parse_training_arguments(argv, "cross_validate"), defaults)
        for item in fields(arguments)
        if item.init and getattr(arguments, item.name) != getattr(default, item.name)
    }
    kept = {name: value for name, value in settings.items() if not name.startswith(IMMATERIAL)}
    if "streaming" in settings:  # each worker shuffles what it reads
        kept["dataloader_num_workers"] = settings.get("dataloader_num_workers", 0)
    return json.loads(json.dumps(kept, default=str))


def read_json(file: Path) -> dict:
    """What a JSON file holds; nothing if it is not there or was cut off, e.g. by a killed process."""
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def is_finished(folder: Path) -> bool:
    """Whether a fold's folder has its results; training writes the metrics of the evaluation last."""
    has_metrics = "eval_war" in read_json(folder / "all_results.json")
    return has_metrics and "counts" in read_json(folder / "confusion_matrix.json")


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a folder that is complete: a killed process can leave one that is not."""
    complete = [
        file.parent
        for file in folder.glob(f"checkpoint-*/{RECORD_NAME}")
        if all((file.parent / name).is_file() for name in ("model.safetensors", "trainer_state.json", "optimizer.pt"))
    ]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


__all__ = ["is_finished", "last_checkpoint", "read_json", "settings_of"]
