# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Plots that scripts write: confusion matrices, coverage and accuracy, training curves, agreement and loss."""

import json
from pathlib import Path

import numpy as np

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.trainer.metrics import answered_accuracy, area_under_risk_coverage, risk_coverage
from modeling_rdfer.trainer.verdicts import PARTITIONS

# Smaller losses are drawn at this value, as the axis is logarithmic.
LEAST_LOSS = 1e-3
# The palette of Okabe and Ito, which people of all kinds of colour vision can tell apart.
COLOURS = {"clean": "#0072B2", "hard": "#E69F00", "noisy": "#D55E00"}


def write_confusion(matrix, label_names: list[str], folder):
    """Writes a confusion matrix (rows: references) as `confusion_matrix.json` and `confusion_matrix.png`."""
    text = json.dumps({"labels": list(label_names), "rows": "reference", "counts": matrix}, indent=2)
    write_atomically(Path(folder) / "confusion_matrix.json", text + "\n")
    plot_confusions({"": (matrix, label_names)}, Path(folder) / "confusion_matrix.png")


def plot_confusions(matrices: dict[str, tuple], path):
    """Draws confusion matrices side by side. A cell shows its share of the row, as a shade and in per cent, and below
    it its count.

    Args:
        matrices (`dict`): title -> (counts `(C, C)`, C label names). Rows are references, columns predictions.
        path (`str` or `Path`): picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    per_row = min(3, len(matrices))
    rows = -(-len(matrices) // per_row)
    most = max(len(names) for _, names in matrices.values())
    # With many labels, numbers in the cells would be too small to read.
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
    """Black or white, whichever has the higher contrast (at least 4.5 : 1, WCAG 2.2) to an RGB colour 0..1."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def save_figure(figure, path):
    """Writes a figure and closes it. Equal figures give equal bytes; the text of an SVG file stays text."""
    from matplotlib import pyplot

    path = Path(path)
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        options = {"format": path.suffix.removeprefix("."), "dpi": 120}
        options |= {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
        write_atomically(path, lambda handle: figure.savefig(handle, **options))
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


def plot_coverage_accuracy(probabilities, labels, min_confidences, path):
    """Draws the accuracy of the answers over the share of videos that are answered, with points at least confidences.

    Args:
        probabilities (array of shape `(N, C)`, 0..1): the model's probabilities.
        labels (array of shape `(N,)`, int): true labels.
        min_confidences (sequence of `float`, 0..1): least confidences of the points.
        path (`str` or `Path`): picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    coverages, risks = risk_coverage(probabilities, labels)
    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    axis.plot(coverages, 1 - risks, color=COLOURS["clean"])
    for row in answered_accuracy(probabilities, labels, min_confidences):
        if row["accuracy"] is not None:
            point = (row["coverage"], row["accuracy"])
            axis.plot(*point, "o", color=COLOURS["noisy"])
            axis.annotate(f"{row['min_confidence']:g}", point, xytext=(4, 5), textcoords="offset points", fontsize=8)
    title = f"points: --min-confidence; AURC {area_under_risk_coverage(probabilities, labels):.3f}"
    axis.set(xlim=(0, 1.02), xlabel="share of videos that are answered", ylabel="accuracy of the answers", title=title)
    axis.grid(alpha=0.3)
    save_figure(figure, path)


def plot_agreement_loss(table, thresholds: dict[str, float | None], title: str, path):
    """Draws the videos of an audit by the agreement of their clips and their loss, with the regions of the partition.

    Args:
        table (`pyarrow.Table`): with `clip_agreement`, `loss`, `partition`.
        thresholds (`dict`): `hard_agreement_threshold` and `noisy_loss_threshold` (None: no video is noisy).
        title (`str`): title of the picture.
        path (`str` or `Path`): picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    partitions = np.array(table["partition"].to_pylist(), dtype=object)
    agreement, loss = (table[name].to_numpy().astype(float) for name in ("clip_agreement", "loss"))
    seen = np.isfinite(loss)
    hard, noisy = thresholds["hard_agreement_threshold"], thresholds["noisy_loss_threshold"]
    # Agreement of one pass has few values: points are spread, reproducibly; points on the border are hard.
    width = 0.03 if len(np.unique(agreement[seen])) < 10 else 0.0
    spread, border = np.random.default_rng(0).uniform(-width, width, len(loss)), hard + 1.2 * width
    loss = np.maximum(loss, LEAST_LOSS)
    top = 3 * max(1.0, float(loss[seen].max(initial=0)), noisy or 0)
    left, right = min(0.2, float(agreement[seen].min(initial=1)) - 0.05), 1.05
    figure, axis = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    bottom = LEAST_LOSS / 2
    share = lambda x: (x - left) / (right - left)  # noqa: E731
    regions = [("hard", "hard: clips disagree", left, border, bottom, top)]
    if noisy is None:
        regions.append(("clean", "clean", border, right, bottom, top))
    else:
        floor = max(noisy, LEAST_LOSS)
        regions.append(("clean", "clean", border, right, bottom, floor))
        regions.append(("noisy", "noisy, if the clips\nagree on another label", border, right, floor, top))
    for name, text, start, end, low, height in regions:
        axis.axhspan(low, height, share(start), share(end), color=COLOURS[name], alpha=0.12, lw=0)
        axis.text((start + end) / 2, 0.9 * height, text, ha="center", va="top", fontsize=9)
    for name, marker in zip(PARTITIONS, ("o", "^", "X")):
        members = seen & (partitions == name)
        axis.scatter(
            *((agreement + spread)[members], loss[members]),
            **{"marker": marker, "color": COLOURS[name], "s": 26, "alpha": 0.7, "linewidths": 0},
            label=f"{name} ({members.sum()})",
        )
    axis.set(xlim=(left, right), ylim=(bottom, top), yscale="log", title=title)
    axis.set(xlabel="agreement of the clips", ylabel="loss for the given label")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


__all__ = [
    "plot_agreement_loss",
    "plot_confusions",
    "plot_coverage_accuracy",
    "plot_curves",
    "save_figure",
    "text_colour",
    "write_confusion",
]
