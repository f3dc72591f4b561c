# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trains and evaluates on every fold of a dataset and reports the results side by side. It takes all options of
training.train and passes them to each fold. A finished fold is kept, an interrupted one continues from its last
checkpoint. Folds may be run on different machines: put their folders together and run the command again, and all
finished folds are in the report.
"""

import gc
import json
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import PartialState
from transformers.utils import logging

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.trainer.metrics import recognition_metrics
from training.data.dataset_argument import DATASET_HELP, find_source
from training.datasets import dataset_options
from training.reports.card_facts import dataset_key
from training.reports.plots import plot_confusions
from training.reports.tables import cross_validation_table
from training.running.arguments import DATASET_ALIASES, parse_training_arguments
from training.running.fit import run_training
from training.running.process_group import end_process_group
from training.running.resume import last_checkpoint
from training.running.run_folders import differing_settings, is_finished, read_json, settings_of
from training.running.script_parser import ScriptParser
from training.running.video_sets import load_video_sets

logger = logging.get_logger(__name__)

EXAMPLES = """examples:
  python -m training.cross_validate --dataset dfew --root D --no-face-crop --output-dir out
  python -m training.cross_validate --dataset dfew --root D --folds 1,3-5 --output-dir out \\
    --config training/recipes/authors.yaml
  python -m training.cross_validate --dataset labels.csv --folds 1-10 --output-dir out
  torchrun --nproc-per-node 2 -m training.cross_validate --dataset ravdess --root D --output-dir out

All further options: python -m training.train --help
"""
SETTINGS = "settings.json"


def parse_folds(text: str) -> list[int]:
    """Parses e.g. `1-3,5` into `[1, 2, 3, 5]`. Raises ValueError for anything else."""
    folds = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            folds += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise ValueError(f"--folds: expected numbers such as 1-5 or 1,3, got {text!r}.") from None
    if not folds or len(set(folds)) < len(folds) or min(folds) < 1:
        raise ValueError(f"--folds: expected different numbers from 1, got {text!r}.")
    return folds


def check_finished(folder: Path, dataset: str, fold: int, settings: dict):
    """Raises ValueError if a finished folder has the results of another dataset, fold or settings."""
    results = read_json(folder / "all_results.json")
    if (results.get("dataset"), results.get("fold")) != (dataset, fold):
        raise ValueError(
            f"{folder} has the results of fold {results.get('fold')} of {results.get('dataset')}, not of fold {fold} "
            f"of {dataset}: move it away."
        )
    if differing := differing_settings(read_json(folder / SETTINGS), settings):
        raise ValueError(f"{folder} was run with other settings (there, now): {differing}; use another --output-dir.")


def run_fold(argv: list[str], folder: Path, settings: dict):
    """Trains a fold, from the last checkpoint in its folder if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SETTINGS, json.dumps(settings, indent=2, sort_keys=True) + "\n")
    run_training(*parse_training_arguments([*argv, "--resume-from-checkpoint", "true"], "cross_validate"))
    # Trainer and optimizer refer to each other: free them before the next fold.
    gc.collect()


def merge(folders: dict[int, Path]) -> dict:
    """Merges the results of finished folds.

    Args:
        folders (`dict[int, Path]`): the folder of each fold.

    Returns:
        `dict`: `model_selection`; `folds` (for each: `war`, `uar`, `recall`, `samples`, `labels`,
        `confusion_matrix`); `mean` and `std` (sample standard deviation) of WAR and UAR over the folds, 0..1; and, if
        all folds have the same labels, `pooled`: metrics of the test videos of all folds together.

    Raises:
        ValueError: if the folds' models were selected in different ways.
    """
    folds = {}
    for fold, folder in folders.items():
        results = json.loads((folder / "all_results.json").read_text())
        confusion = json.loads((folder / "confusion_matrix.json").read_text())
        folds[fold] = {
            "war": results["eval_war"],
            "uar": results["eval_uar"],
            "recall": {n.removeprefix("eval_recall_"): v for n, v in results.items() if n.startswith("eval_recall_")},
            "samples": results["eval_samples"],
            "model_selection": results["model_selection"],
            "labels": confusion["labels"],
            "confusion_matrix": confusion["counts"],
        }
    selections = {fold["model_selection"] for fold in folds.values()}
    if len(selections) > 1:
        raise ValueError(f"The folds' models were selected in different ways: {sorted(selections)}.")
    merged = {"model_selection": selections.pop(), "folds": folds}
    for name, function in (("mean", statistics.mean), ("std", lambda v: statistics.stdev(v) if len(v) > 1 else None)):
        merged[name] = {metric: function([fold[metric] for fold in folds.values()]) for metric in ("war", "uar")}
    if len({tuple(fold["labels"]) for fold in folds.values()}) == 1:
        labels = next(iter(folds.values()))["labels"]
        counts = np.sum([fold["confusion_matrix"] for fold in folds.values()], axis=0)
        rows, columns = np.indices(counts.shape)
        each = counts.ravel()
        metrics = recognition_metrics(columns.ravel().repeat(each), rows.ravel().repeat(each), labels)
        merged["pooled"] = {"war": metrics["war"], "uar": metrics["uar"], "labels": labels}
        merged["pooled"]["confusion_matrix"] = counts.tolist()
    return merged


def report(dataset: str, folders: dict[int, Path], all_folds: Sequence[int], output_dir: Path) -> dict:
    """Writes the merged results as JSON, Markdown and a picture of the confusion matrices, and prints the table."""
    merged = merge(folders)
    if PartialState().is_main_process:
        missing = [fold for fold in all_folds if fold not in folders]
        table = cross_validation_table(f"Cross-validation on {dataset}", merged, missing)
        results = json.dumps({"dataset": dataset, **merged}, indent=2)
        write_atomically(output_dir / "cross_validation.json", results + "\n")
        write_atomically(output_dir / "cross_validation.md", table)
        matrices = {
            f"fold {number}": (fold["confusion_matrix"], fold["labels"]) for number, fold in merged["folds"].items()
        }
        if "pooled" in merged:
            matrices["all videos together"] = (merged["pooled"]["confusion_matrix"], merged["pooled"]["labels"])
        plot_confusions(matrices, output_dir / "cross_validation.png")
        print(table)
    return merged


def choose_folds(text: str | None, source) -> tuple[list[int], Sequence[int]]:
    """The folds to run and all folds of the dataset.

    Raises:
        ValueError: if the dataset has no folds, or not those that `--folds` names.
    """
    known = dataset_options(source.loader).get("fold")
    if known is None:
        raise ValueError(f"{source} has no folds: use training.train.")
    if text is None and not known:
        raise ValueError(f"Pass --folds, e.g. --folds 1-5: the number of folds of {source} is not known.")
    folds = parse_folds(text) if text else list(known)
    if known and (unknown := sorted(set(folds) - set(known))):
        raise ValueError(f"{source.loader} has no folds {unknown}, only {list(known)}.")
    return folds, known or folds


def main(argv: list[str] | None = None) -> dict:
    """Runs the missing folds and writes `cross_validation.json`, `.md` and `.png` into `--output-dir`, which has a
    folder `fold_<number>` for each fold. Returns the contents of the JSON file.
    """
    parser = ScriptParser("cross_validate", __doc__, EXAMPLES)
    parser.add_argument("--dataset", required=True, help=DATASET_HELP)
    parser.add_argument("--root", help="folder of a dataset that --dataset names")
    parser.add_argument("--folds", help="e.g. 1-5 or 2,4 (default: all folds of the dataset)")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder to write into")
    parser.add_aliases("--dataset", *DATASET_ALIASES)
    arguments, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    try:
        source = find_source(arguments.dataset, arguments.root)
        folds, all_folds = choose_folds(arguments.folds, source)
    except ValueError as error:
        parser.error(str(error))
    name = dataset_key(source)
    folders = {fold: arguments.output_dir / f"fold_{fold}" for fold in folds}
    root = ["--root", arguments.root] if arguments.root else []
    runs = {
        fold: [*rest, "--dataset", arguments.dataset, *root, "--fold", str(fold), "--output-dir", str(folder)]
        for fold, folder in folders.items()
    }
    settings = settings_of(next(iter(runs.values())), "cross_validate")
    # All finished folds of the folder are in the report, whether --folds names them or not.
    finished = {
        int(path.name.removeprefix("fold_")): path
        for path in arguments.output_dir.glob("fold_*")
        if re.fullmatch(r"fold_\d+", path.name) and is_finished(path)
    }
    # Errors are found before the first fold is trained.
    try:
        for fold, folder in finished.items():
            check_finished(folder, name, fold, settings)
        for fold in folds:
            if fold not in finished:
                data, args = parse_training_arguments(runs[fold], "cross_validate")[1:]
                load_video_sets(data, args.seed)
                if last_checkpoint(folders[fold]) and read_json(folders[fold] / SETTINGS) != settings:
                    raise ValueError(f"{folders[fold]} was begun with other settings; use another --output-dir.")
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for fold, folder in folders.items():
        if fold in finished:
            logger.warning(f"Fold {fold} is finished: {folder} is kept.")
        else:
            logger.warning(f"Fold {fold} of {folds}.")
            run_fold(runs[fold], folder, settings)
    return report(name, dict(sorted((finished | folders).items())), all_folds, arguments.output_dir)


if __name__ == "__main__":
    main()
    end_process_group()
