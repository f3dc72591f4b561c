# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What training and evaluation leave for people to look at: confusion matrix, curves, the table of partitions."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from modeling_rdfer.loss_rdfer import PARTITIONS
from modeling_rdfer.model_card_rdfer import CardFacts


def write_confusion(matrix, label_names: list[str], folder):
    """Writes a confusion matrix as `confusion_matrix.json` and draws it as `confusion_matrix.png`."""
    text = json.dumps({"labels": list(label_names), "rows": "reference", "counts": matrix}, indent=2)
    (Path(folder) / "confusion_matrix.json").write_text(text + "\n")
    plot_confusion(matrix, label_names, Path(folder) / "confusion_matrix.png")


def plot_confusion(matrix, label_names: list[str], path):
    """
    Draws a confusion matrix: shares of each row as shades and per cent, counts below them.

    Args:
        matrix (C rows of C counts): rows are references, columns predictions.
        label_names (`list[str]`): names of the C labels.
        path (`str` or `Path`): picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 1.5 + 0.75 * len(label_names)
    figure, axes = pyplot.subplots(figsize=(size, size), layout="constrained")
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        axes.text(
            *(column, row, f"{100 * shares[row, column]:.0f}%\n{counts[row, column]}"),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(label_names)), label_names, rotation=45, ha="right")
    axes.set_yticks(range(len(label_names)), label_names)
    axes.set(xlabel="predicted", ylabel="labelled")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def plot_curves(log_history: list[dict], path):
    """Draws loss, WAR and UAR, and the shares of clean, hard and noisy samples over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "loss": {"loss": "training", "eval_loss": "evaluation"},
        "recall": {"eval_war": "WAR", "eval_uar": "UAR"},
        "share of training samples": {f"share_{name}": name for name in PARTITIONS},
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(13, 3.6), layout="constrained")
    for axis, (title, curves) in zip(axes, panels.items()):
        for style, (key, name) in zip(("-", "--", ":"), curves.items()):
            points = [(log["epoch"], log[key]) for log in log_history if key in log]
            if points:
                axis.plot(*zip(*points), style, label=name, marker="." if len(points) < 30 else None)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def print_partitions(record, label_names: list[str]):
    """Prints how many training samples of each label are clean, hard and noisy."""
    width = max(map(len, [*label_names, "label"]))
    print(f"\n{'label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    for number, label in enumerate(label_names):
        members = record.given_labels == number
        counts = [(record.partition[members] == code).sum().item() for code in range(len(PARTITIONS))]
        print(f"{label:<{width}}" + "".join(f"{count:>8}" for count in counts))


def facts_of_run(model_arguments, data_arguments) -> CardFacts:
    """
    What the arguments of `training.train` say about a run, for the card; the trainer adds the rest.

    Args:
        model_arguments (`ModelArguments`), data_arguments (`DataArguments`): of `training.train`.
    """
    data = data_arguments
    changed = {}
    for arguments, names in (
        (model_arguments, ("config_overrides",)),
        (data, ("face_crop", "crop_scale", "colour_jitter", "early_stopping_patience")),
    ):
        defaults = {setting.name: setting.default for setting in fields(arguments)}
        changed |= {n: getattr(arguments, n) for n in names if getattr(arguments, n) != defaults[n]}
    train_source = data.train_dir or data.train_list or data.dataset_name
    name, train_split = _dataset_and_split(train_source) if train_source else (None, None)
    other = data.validation_dir or data.validation_list
    eval_split = _dataset_and_split(other)[1] if other else data.validation_split
    if other and _dataset_and_split(other)[0] != name:
        eval_split = f"{_dataset_and_split(other)[0]} {eval_split or ''}".strip()
    on_hub = not (data.train_dir or data.train_list)
    return CardFacts(
        license=model_arguments.license,
        preset=model_arguments.preset,
        backbone=model_arguments.backbone,
        dataset_name=name,
        dataset_id=data.dataset_name if on_hub else None,
        train_split=data.train_split if on_hub else train_split,
        eval_split=eval_split,
        hyperparameters=changed,
    )


def _dataset_and_split(source: str) -> tuple[str, str | None]:
    """Names of a dataset and of the split, from a folder `D/train`, a list `D/train.csv`, or a name on the Hub."""
    path = Path(source)
    if not path.exists():
        return source, None
    path = path.resolve()
    known = ("train", "training", "validation", "val", "dev", "test")
    split = path.stem if path.stem.lower() in known else None
    folder = path.parent if split or path.is_file() else path
    settings = folder / "dataset.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("synthetic"):
        return "synthetic", split
    return folder.name, split


__all__ = ["facts_of_run", "plot_confusion", "plot_curves", "print_partitions", "write_confusion"]
