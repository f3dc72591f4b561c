# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Trains and evaluates on every fold of a dataset, and puts the results side by side. Takes every argument of
training.train, for each fold. A fold that is finished is kept, one that was interrupted goes on from its last
checkpoint; folds may be run on different machines and their folders put together: what is there is merged.
"""

import argparse
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

from modeling_rdfer.trainer.metrics import recognition_metrics
from training.datasets import dataset_options
from training.reports.plots import plot_confusions
from training.running.arguments import parse_training_arguments
from training.running.fit import run_training
from training.running.run_folders import is_finished, last_checkpoint, read_json, settings_of
from training.running.video_sets import load_video_sets

logger = logging.get_logger(__name__)

EXAMPLES = """examples:
  python -m training.cross_validate --dataset dfew --root D --face_crop false --output_dir out
  python -m training.cross_validate --dataset dfew --root D --folds 1,3-5 --output_dir out --config training/recipes/authors.yaml
  python -m training.cross_validate --dataset videolist --root labels.csv --folds 1-10 --output_dir out
  torchrun --nproc_per_node 2 -m training.cross_validate --dataset ravdess --root D --output_dir out
"""  # noqa: E501
SETTINGS = "settings.json"
PROTOCOLS = {
    "last": "The model of the last epoch is reported; the test folds chose nothing.",
    "held_out": "The epoch was chosen on videos held out of each training set; the test folds chose nothing.",
    "best_on_test": "**The epoch was chosen on the test folds themselves: these figures are too good, and are not "
    "comparable to those of the last epoch or of a held-out choice.**",
}


def parse_folds(text: str) -> list[int]:
    """`1-3,5` to `[1, 2, 3, 5]`. Raises ValueError for anything else."""
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
    """Raises ValueError if a finished folder has the results of something else than is asked for."""
    results = read_json(folder / "all_results.json")
    if (results.get("dataset"), results.get("fold")) != (dataset, fold):
        raise ValueError(
            f"{folder} has the results of fold {results.get('fold')} of {results.get('dataset')}, not of fold {fold} "
            f"of {dataset}: move it away."
        )
    theirs = read_json(folder / SETTINGS)
    differing = {
        name: (theirs.get(name, "default"), settings.get(name, "default"))
        for name in sorted(theirs.keys() | settings)
        if theirs.get(name) != settings.get(name)
    }
    if differing:
        raise ValueError(f"{folder} was run with other settings (there, now): {differing}; use another --output_dir.")


def run_fold(argv: list[str], folder: Path, settings: dict):
    """Trains a fold, from the last checkpoint in its folder if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = last_checkpoint(folder)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    resume = ["--resume_from_checkpoint", str(checkpoint)] if checkpoint else []
    run_training(*parse_training_arguments([*argv, *resume], "cross_validate"))
    # The trainer and its optimizer refer to each other: let go of them before the next fold.
    gc.collect()


def merge(folders: dict[int, Path]) -> dict:
    """
    The results of finished folds.

    Returns:
        `dict` with `model_selection`, `folds` (for each: `war`, `uar`, `recall`, `samples`, `labels`,
        `confusion_matrix`), `mean` and `std` (sample standard deviation) of WAR and UAR over the folds, 0..1, and,
        where all folds have the same labels, `pooled`: all test videos of all folds taken together.

    Raises:
        ValueError: the folds' models were chosen in different ways.
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
        raise ValueError(f"The folds' models were chosen in different ways: {sorted(selections)}.")
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


def to_markdown(title: str, merged: dict, missing: list[int]) -> str:
    """The results as a table of per cents."""
    labels = list(dict.fromkeys(label for fold in merged["folds"].values() for label in fold["recall"]))
    lines = [f"# {title}", "", PROTOCOLS[merged["model_selection"]], ""]
    if missing:
        lines += [f"Not finished and not in the figures: folds {', '.join(map(str, missing))}.", ""]
    lines += ["| fold | videos | WAR | UAR | " + " | ".join(f"recall {label}" for label in labels) + " |"]
    lines += ["|" + " --- |" * (4 + len(labels))]

    def cells(*values) -> str:
        return " | ".join("-" if value is None else f"{100 * value:.2f}" for value in values)

    for number, fold in merged["folds"].items():
        recalls = cells(*(fold["recall"].get(label) for label in labels))
        lines.append(f"| {number} | {fold['samples']} | {cells(fold['war'], fold['uar'])} | {recalls} |")
    total = sum(fold["samples"] for fold in merged["folds"].values())
    for name in ("mean", "std"):
        values = cells(merged[name]["war"], merged[name]["uar"])
        lines.append(f"| {name} |  | {values} |" + "  |" * len(labels))
    if "pooled" in merged:
        values = cells(merged["pooled"]["war"], merged["pooled"]["uar"])
        lines.append(f"| all videos together | {total} | {values} |" + "  |" * len(labels))
    lines += ["", "WAR, UAR and recall in per cent; std is the sample standard deviation over the folds."]
    return "\n".join(lines) + "\n"


def report(dataset: str, folders: dict[int, Path], all_folds: Sequence[int], output_dir: Path) -> dict:
    """Writes what [`merge`] finds as JSON, Markdown and a picture of the confusion matrices, and prints the table."""
    merged = merge(folders)
    if PartialState().is_main_process:
        missing = [fold for fold in all_folds if fold not in folders]
        table = to_markdown(f"Cross-validation on {dataset}", merged, missing)
        (output_dir / "cross_validation.json").write_text(json.dumps({"dataset": dataset, **merged}, indent=2) + "\n")
        (output_dir / "cross_validation.md").write_text(table)
        matrices = {
            f"fold {number}": (fold["confusion_matrix"], fold["labels"]) for number, fold in merged["folds"].items()
        }
        if "pooled" in merged:
            matrices["all videos together"] = (merged["pooled"]["confusion_matrix"], merged["pooled"]["labels"])
        plot_confusions(matrices, output_dir / "cross_validation.png")
        print(table)
    return merged


def main(argv: list[str] | None = None) -> dict:
    """
    Runs the folds that are missing and writes `cross_validation.json`, `.md` and `.png` into `--output_dir`, which
    has a folder `fold_<number>` for each. Returns what the JSON file holds.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m training.cross_validate",
        description=__doc__,
        epilog=EXAMPLES + "\nAll further arguments: python -m training.train --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", required=True, help="dataset with folds, see training.train --help")
    parser.add_argument("--output_dir", type=Path, required=True, help="where to write")
    parser.add_argument("--folds", help="e.g. 1-5 or 2,4 (default: all of the dataset)")
    arguments, rest = parser.parse_known_args(argv)
    try:
        choices = dataset_options(arguments.dataset).get("fold")
        if choices is None:
            raise ValueError(f"{arguments.dataset} has no folds: use training.train.")
        if arguments.folds is None and not choices:
            raise ValueError(f"Pass --folds, e.g. --folds 1-5: how many {arguments.dataset} has is not known.")
        folds = parse_folds(arguments.folds) if arguments.folds else list(choices)
        if choices and (unknown := sorted(set(folds) - set(choices))):
            raise ValueError(f"{arguments.dataset} has no folds {unknown}, only {list(choices)}.")
    except ValueError as error:
        parser.error(str(error))
    folders = {fold: arguments.output_dir / f"fold_{fold}" for fold in folds}
    runs = {
        fold: [*rest, "--dataset", arguments.dataset, "--fold", str(fold), "--output_dir", str(folder)]
        for fold, folder in folders.items()
    }
    settings = settings_of(next(iter(runs.values())))
    # What is finished in the folder, asked for now or not, is part of the report.
    there = {
        int(path.name.removeprefix("fold_")): path
        for path in arguments.output_dir.glob("fold_*")
        if re.fullmatch(r"fold_\d+", path.name) and is_finished(path)
    }
    # Before any fold is run: what is wrong found after days of training comes too late.
    try:
        for fold, folder in there.items():
            check_finished(folder, arguments.dataset, fold, settings)
        for fold in folds:
            if fold not in there:
                data, args = parse_training_arguments(runs[fold], "cross_validate")[1:]
                load_video_sets(data, args.seed)
                if last_checkpoint(folders[fold]) and read_json(folders[fold] / SETTINGS) != settings:
                    raise ValueError(f"{folders[fold]} was begun with other settings; use another --output_dir.")
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for fold, folder in folders.items():
        if fold in there:
            logger.warning(f"Fold {fold} is finished: {folder} is kept.")
        else:
            logger.warning(f"Fold {fold} of {folds}.")
            run_fold(runs[fold], folder, settings)
    merged = dict(sorted((there | folders).items()))
    return report(arguments.dataset, merged, choices or folds, arguments.output_dir)


if __name__ == "__main__":
    main()
    PartialState().destroy_process_group()  # as in training.train
