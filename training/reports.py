# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What training and evaluation leave for people to look at: confusion matrix, curves, the table of partitions."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from modeling_rdfer.loss_rdfer import PARTITIONS
from modeling_rdfer.model_card_rdfer import CardFacts, public_name
from training.datasets import options
from training.sources import parse_options


def write_confusion(matrix, label_names: list[str], folder):
    """Writes a confusion matrix as `confusion_matrix.json` and draws it as `confusion_matrix.png`."""
    text = json.dumps({"labels": list(label_names), "rows": "reference", "counts": matrix}, indent=2)
    (Path(folder) / "confusion_matrix.json").write_text(text + "\n")
    plot_confusions({"": (matrix, label_names)}, Path(folder) / "confusion_matrix.png")


def plot_confusions(matrices: dict[str, tuple], path):
    """
    Draws confusion matrices side by side: shares of each row as shades and per cent, counts below them.

    Args:
        matrices (`dict` of title to (C rows of C counts, C names)): rows are references, columns predictions.
        path (`str` or `Path`): picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    per_row = min(3, len(matrices))
    rows = -(-len(matrices) // per_row)
    most = max(len(names) for _, names in matrices.values())
    # No figures in the cells of very many labels: nobody could read them.
    with_text = most <= 15
    size = 1.5 + (0.75 if with_text else 0.25) * most
    figure, panels = pyplot.subplots(
        rows, per_row, figsize=(per_row * size, rows * size), layout="constrained", squeeze=False
    )
    for axes in panels.flat[len(matrices) :]:
        axes.axis("off")
    for axes, (title, (matrix, names)) in zip(panels.flat, matrices.items()):
        counts = np.asarray(matrix)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        shades = axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
        for row, column in np.ndindex(counts.shape) if with_text else ():
            axes.text(
                *(column, row, f"{100 * shares[row, column]:.0f}%\n{counts[row, column]}"),
                ha="center",
                va="center",
                fontsize=8,
                color=text_colour(shades.to_rgba(shares[row, column])),
            )
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(title=title, xlabel="predicted", ylabel="labelled")
    save_figure(figure, path)


def text_colour(background) -> str:
    """Black or white, whichever contrasts more (at least 4.5 : 1, WCAG 2.2) with an RGB colour 0..1."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def save_figure(figure, path):
    """Writes a figure and closes it. The same one gives the same bytes; an SVG file keeps its text as text."""
    from matplotlib import pyplot

    path = Path(path)
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
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
    save_figure(figure, path)


def print_partitions(record, label_names: list[str]):
    """Prints how many training samples of each label are clean, hard and noisy."""
    width = max(map(len, [*label_names, "label"]))
    print(f"\n{'label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    for number, label in enumerate(label_names):
        members = record.given_labels == number
        counts = [(record.partition[members] == code).sum().item() for code in range(len(PARTITIONS))]
        print(f"{label:<{width}}" + "".join(f"{count:>8}" for count in counts))


def facts_of_run(model_arguments, data, training) -> CardFacts:
    """
    What the arguments of `training.train` say about a run, for the card; the trainer adds the rest.

    Args:
        model_arguments (`ModelArguments`), data (`DataArguments`): of `training.train`.
        training ([`Videos`]): the videos to train on.
    """
    changed = {}
    for arguments, names in (
        (model_arguments, ("config_overrides", "emotion_groups")),
        (data, ("face_crop", "crop_scale", "colour_jitter", "early_stopping_patience")),
    ):
        defaults = {setting.name: setting.default for setting in fields(arguments)}
        changed |= {name: getattr(arguments, name) for name in names if getattr(arguments, name) != defaults[name]}
    public = data.dataset not in (None, "videofolder", "videolist", "hub")
    on_hub = data.dataset_name or (data.root if data.dataset == "hub" else None)
    # Options without a fixed choice could be paths.
    chosen = parse_options(data.dataset, data.dataset_options) if data.dataset else {}
    chosen = {name: value for name, value in chosen.items() if options(data.dataset)[name] and name != "on_missing"}
    return CardFacts(
        license=model_arguments.license,
        preset=model_arguments.preset,
        backbone=model_arguments.backbone,
        dataset_name=TITLES.get(data.dataset, data.dataset) if public else _name(data),
        dataset_id=on_hub,
        dataset_config=", ".join(f"{name} {value}" for name, value in chosen.items()) or None,
        fold=data.fold,
        train_split=training.columns["split"][0],
        hyperparameters=changed,
    )


# As their authors write them.
TITLES = {
    "dfew": "DFEW",
    "ferv39k": "FERV39k",
    "mafw": "MAFW",
    "afew": "AFEW",
    "crema_d": "CREMA-D",
    "ravdess": "RAVDESS",
    "enterface05": "eNTERFACE'05",
}


def _name(data) -> str | None:
    """Name of anyone's own dataset: of the folder `D` of `D`, `D/train` or `D/list.csv`, or on the Hub."""
    source = data.train_dir or data.train_list or data.dataset_name or data.root
    path = Path(source)
    if not path.exists():
        return source
    path = path.resolve()
    folder = path.parent if path.is_file() or path.name.lower() in ("train", "training") else path
    settings = folder / "dataset.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("synthetic"):
        return "synthetic"
    return public_name(folder) or None  # a home folder's name is its user's


__all__ = [
    "facts_of_run",
    "plot_confusions",
    "plot_curves",
    "print_partitions",
    "save_figure",
    "text_colour",
    "write_confusion",
]
