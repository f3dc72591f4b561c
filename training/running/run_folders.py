# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Folders of runs: whether a run is finished, and its settings."""

import json
from dataclasses import fields
from pathlib import Path

from training.data.dataset_argument import find_source
from training.reports.card_facts import dataset_key
from training.running.arguments import parse_training_arguments

# Prefixes of settings that may differ between folds: where things are, and what is logged.
IMMATERIAL = (
    *("root", "eval_root", "fold", "output_dir", "run_name", "project", "trackio", "resume_from_checkpoint"),
    *("use_cpu", "logging_", "log_", "report_to", "disable_tqdm", "dataloader_", "push_to_hub", "hub_"),
)


def settings_of(argv: list[str], script: str = "train") -> dict:
    """The settings of a training that differ from the defaults and that its result depends on. Datasets are given by
    name, not by path, so their folders may be moved.

    Args:
        argv (`list[str]`): the command line of the training.
        script (`str`, *optional*, defaults to `"train"`): the script it is the command line of, for messages.

    Returns:
        `dict`: settings by name, as JSON can hold them.
    """
    defaults = parse_training_arguments(["--output-dir", "unused"])
    settings = {
        item.name: getattr(arguments, item.name)
        for arguments, default in zip(parse_training_arguments(argv, script), defaults)
        for item in fields(arguments)
        if item.init and getattr(arguments, item.name) != getattr(default, item.name)
    }
    kept = {name: value for name, value in settings.items() if not name.startswith(IMMATERIAL)}
    for name, root in (("dataset", "root"), ("eval_dataset", "eval_root")):
        if name in kept:
            option = f"--{name.replace('_', '-')}"
            kept[name] = dataset_key(find_source(kept[name], settings.get(root), option))
    if "streaming" in settings:  # the order of streamed videos depends on the number of workers
        kept["dataloader_num_workers"] = settings.get("dataloader_num_workers", 0)
    return json.loads(json.dumps(kept, default=str))


def differing_settings(there: dict, now: dict) -> dict[str, tuple]:
    """Settings that differ between a folder and a command line: name -> (there, now)."""
    return {
        name: (there.get(name, "default"), now.get(name, "default"))
        for name in sorted(there.keys() | now)
        if there.get(name) != now.get(name)
    }


def read_json(file: Path) -> dict:
    """The contents of a JSON file; empty if it is missing or incomplete, e.g. after a killed process."""
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def is_finished(folder: Path) -> bool:
    """Whether a run's folder has its results; training writes the metrics of the evaluation last."""
    has_metrics = "eval_war" in read_json(folder / "all_results.json")
    return has_metrics and "counts" in read_json(folder / "confusion_matrix.json")


__all__ = ["differing_settings", "is_finished", "read_json", "settings_of"]
