# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Results in the Hub's `.eval_results/*.yaml`, which feed a dataset's leaderboard, beside the card's `model-index`.

Format: https://huggingface.co/docs/hub/eval-results.
"""

import re
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from ..complete_files import write_atomically
from .card_facts import CardFacts

EVAL_RESULTS_NAME = ".eval_results/results.yaml"
_PROTOCOLS = {
    "last": "last epoch",
    "held_out": "epoch chosen on videos held out of training",
    "best_on_validation": "epoch chosen on these videos",
    "best_on_test": "epoch chosen on these videos",
}


def eval_results(facts: CardFacts) -> list[EvalResultEntry]:
    """Returns WAR and UAR of the final evaluation as entries for the Hub.

    Args:
        facts ([`CardFacts`]): what is known about the model.

    Returns:
        `list[EvalResultEntry]`: an entry for each metric, 0..1. Its `task_id` is made of the dataset's configuration,
        the fold and the metric, e.g. `"fold_3_war"`; its `notes` say how the result came about. Empty if there are no
        results, or if the dataset has no name on the Hub, which the format requires.
    """
    if facts.dataset_id is None or "/" not in facts.dataset_id:
        return []
    protocol = [f"split {facts.eval_split}"] if facts.eval_split else []
    protocol += [f"{facts.num_eval_videos} videos"] if facts.num_eval_videos is not None else []
    protocol += [_PROTOCOLS[facts.model_selection]] if facts.model_selection else []
    fold = None if facts.fold is None else f"fold {facts.fold}"
    entries = []
    for metric in ("war", "uar"):
        if metric in facts.metrics:
            parts = [part for part in (facts.dataset_config, fold, metric) if part]
            entries.append(
                EvalResultEntry(
                    dataset_id=facts.dataset_id,
                    task_id=re.sub(r"[^\w.-]+", "_", "_".join(parts)),
                    value=round(facts.metrics[metric], 4),
                    notes="; ".join(protocol) or None,
                )
            )
    return entries


def write_eval_results(folder, facts: CardFacts):
    """Writes `.eval_results/results.yaml` of a checkpoint, and removes that of an earlier model without new results.

    Args:
        folder (`str` or `os.PathLike`): the checkpoint's folder.
        facts ([`CardFacts`]): what is known about the model.
    """
    path = Path(folder) / EVAL_RESULTS_NAME
    entries = eval_results(facts)
    if not entries:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False))


__all__ = ["EVAL_RESULTS_NAME", "eval_results", "write_eval_results"]
