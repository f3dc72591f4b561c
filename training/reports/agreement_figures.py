# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Figures of a checkpoint's videos by the agreement of their clips."""

import numpy as np

from modeling_rdfer.plots import COLOURS
from training.reports.figure_data import FigureData, ShownVideo

# Space between the clips of a strip, in widths of a frame.
GAP = 0.3
# Fewest points for a t-SNE.
LEAST_POINTS = 5
# Markers and colours have no common divisor in number: 104 labels look different, and 13 even without colour.
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", "p", ">", "h", "d"]


def draw_strips(data: FigureData, note: str = ""):
    """Draws some videos of each level of agreement (figure 3 of the paper): the frames of their clips, the label
    predicted on each clip, and where in the video the frames are.

    Args:
        data ([`FigureData`]): the videos, with `shown`.
        note (`str`, *optional*): text below.

    Returns:
        `matplotlib.figure.Figure`
    """
    from matplotlib import pyplot

    rows = []
    for level in data.occurring_levels():
        rows += [(level, None), *((level, video) for *_, video in data.shown[level])]
    shown = [video for _, video in rows if video is not None]
    # In inches: side of a frame, room for text on the left and below, heights of the rows.
    side, text_width, below = 0.75, 2.8, 0.55
    heights = [0.42 if video is None else 1.72 * side for _, video in rows]
    columns = max(8.0, *(sum(len(frames) + GAP for frames in video.frames) for video in shown))
    width, height = text_width + side * columns, sum(heights) + below
    figure = pyplot.figure(figsize=(width, height))
    top = height
    for (level, video), row in zip(rows, heights):
        top -= row
        if video is None:
            count = len(data.members(level))
            title = f"{data.title(level)}: {count} video{'s' * (count != 1)}"
            if (drawn := len(data.shown[level])) < count:
                title += f", {drawn} of them shown"
            figure.text(0.12 / width, (top + 0.08) / height, title, fontsize=11, weight="bold")
            continue
        axes = figure.add_axes([text_width / width, top / height, side * columns / width, row / height])
        axes.axis("off")
        _draw_strip(axes, video)
        axes.set(xlim=(0, columns), ylim=(-0.4, 1.32), aspect="auto")
    marks = ["Clips in time; ✓ and a solid frame: predicted as given, ✗ and a dashed one: otherwise."]
    marks.append("Below: ticks where in the video these frames are")
    if any(video.saliency is not None for video in shown):
        marks[-1] += "; grey: the detector's posterior of the key expression, ★ the frame where it is highest"
    figure.text(0.12 / width, 0.1 / height, "\n".join([" ".join(marks) + ".", note]), fontsize=8)
    return figure


def _draw_strip(axes, video: ShownVideo):
    """Draws the labels, the clips and the timeline of a video."""
    is_right = video.predicted == video.given
    lines = [_short(video.sample_id), f"given: {_short(video.given, 22)}"]
    lines.append(f"predicted: {_short(video.predicted, 22)} ({video.score:.2f}) {'✓' if is_right else '✗'}")
    if video.key_expression is not None:
        lines.append(f"key expression: {_short(video.key_expression, 22)}")
    axes.text(-0.2, 0.5, "\n".join(lines), ha="right", va="center", fontsize=8.5, linespacing=1.35)
    left, most_salient = 0.0, None
    for clip, frames, positions in zip(video.clips, video.frames, video.positions):
        _draw_clip(axes, clip, clip == video.given, frames, left)
        for number, position in enumerate(positions):
            if video.saliency is not None:
                value = np.interp(position, *video.saliency)
                most_salient = max(most_salient or (-1.0, 0.0), (value, left + number), key=lambda pair: pair[0])
        left += len(frames) + GAP
    if most_salient is not None:
        axes.plot(most_salient[1] + 0.16, 0.84, marker="*", markersize=11, color="white", markeredgecolor="black")
    _draw_timeline(axes, video, left - GAP)


def _draw_clip(axes, label: str, is_given: bool, frames: np.ndarray, left: float):
    """Draws the frames of a clip side by side, with a border and the predicted label."""
    from matplotlib.patches import Rectangle

    for number, picture in enumerate(frames):
        axes.imshow(picture, extent=(left + number, left + number + 1, 0, 1))
    style = {"edgecolor": COLOURS[0] if is_given else COLOURS[3], "linestyle": "-" if is_given else (0, (2, 1.2))}
    axes.add_patch(Rectangle((left, 0), len(frames), 1, fill=False, linewidth=2, **style))
    text = f"{_short(label, 8 * len(frames) + 4)} {'✓' if is_given else '✗'}"
    axes.text(left + len(frames) / 2, 1.05, text, ha="center", va="bottom", fontsize=8.5)


def _draw_timeline(axes, video: ShownVideo, width: float):
    """Draws the time of the whole video below its frames."""
    low, high = -0.32, -0.08
    if video.saliency is not None:
        positions, values = video.saliency
        axes.fill_between(positions * width, low, low + values * (high - low), color="0.75", linewidth=0)
    axes.plot([0, width], [low, low], color="black", linewidth=0.8)
    ticks = np.concatenate(video.positions) * width
    axes.vlines(ticks, low, high, color="black", linewidth=0.9)


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def draw_tsne(data: FigureData, label_names: list[str], seed: int = 0):
    """Draws the features of the videos in two dimensions by given label, with a t-SNE for each level of agreement of
    at least one half (figure 4 of the paper: 0.5, 0.75, 1.0). Features are standardised and reduced to 50 principal
    components first.

    Args:
        data ([`FigureData`]): the videos, with `features`.
        label_names (`list[str]`): names of the labels.
        seed (`int`, *optional*, defaults to 0): seed of t-SNE.

    Returns:
        `tuple`: the `matplotlib.figure.Figure`; and the perplexity of each level, None if it has too few videos.
    """
    from matplotlib import pyplot

    labels = np.array(data.labels)
    levels = [level for level in range(1, data.num_clips + 1) if 2 * level >= data.num_clips]
    per_row = min(len(levels), 4)
    num_rows = -(-len(levels) // per_row)
    figure, panels = pyplot.subplots(
        num_rows, per_row, figsize=(4 * per_row, 4.1 * num_rows + 0.6), layout="constrained", squeeze=False
    )
    for axes in panels.flat[len(levels) :]:
        axes.axis("off")
    perplexities, occurring = {}, []
    for axes, level in zip(panels.flat, levels):
        members = data.members(level)
        points, perplexity = _embed(np.array([data.features[number] for number in members]), seed)
        perplexities[level] = perplexity
        count = f"{len(members)} video{'s' * (len(members) != 1)}"
        axes.set(xticks=[], yticks=[])
        if points is None:
            reason = f"too few for t-SNE\n(at least {LEAST_POINTS})" if len(members) < LEAST_POINTS else "all alike"
            message = f"{count}:\n{reason}" if len(members) else "no video"
            axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes, fontsize=11)
            axes.set_title(data.title(level), fontsize=10)
            continue
        axes.set_title(f"{data.title(level)}\n{count}, perplexity {perplexity:.3g}", fontsize=10)
        size = float(np.clip(6000 / len(members), 8, 60))
        for label in np.unique(labels[members]):
            inside = labels[members] == label
            axes.scatter(*points[inside].T, s=size, edgecolor="black", linewidth=0.4, **_style(label))
        occurring = sorted({*occurring, *labels[members]})
    if occurring:
        _draw_legend(figure, occurring, label_names, most_columns=2 * per_row + 1)
    if absent := sum(level not in levels for level in data.levels):
        figure.supxlabel(
            f"Not shown: {absent} of lower agreement, or too short for {data.num_clips} clips", fontsize=9
        )
    return figure, perplexities


def _style(label: int) -> dict:
    return {"marker": MARKERS[label % len(MARKERS)], "color": COLOURS[label % len(COLOURS)]}


def _draw_legend(figure, labels: list[int], label_names: list[str], most_columns: int):
    from matplotlib import pyplot

    edge = {"markeredgecolor": "black", "markeredgewidth": 0.5, "linestyle": "", "markersize": 8}
    handles = [pyplot.Line2D([], [], **_style(label), **edge) for label in labels]
    names = [label_names[label] for label in labels]
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), most_columns), frameon=False)


def _embed(features: np.ndarray, seed: int) -> tuple[np.ndarray | None, float | None]:
    """Points `(N, 2)` and their perplexity; None, None if there are too few or all are alike."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if len(features) < LEAST_POINTS or np.allclose(features, features[0], atol=1e-6):
        return None, None
    perplexity = min(30.0, (len(features) - 1) / 3)
    # Threads change the order of sums, and t-SNE amplifies the rounding errors.
    with threadpool_limits(1):
        features = StandardScaler().fit_transform(features.astype(np.float64))
        features = PCA(min(50, *features.shape), svd_solver="full").fit_transform(features)
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features), perplexity


def accuracy_by_agreement(data: FigureData) -> list[dict]:
    """Accuracy at each level of agreement that occurs.

    Args:
        data ([`FigureData`]): the videos.

    Returns:
        `list[dict]`: `clips` (how many agree; None: too short for K distinct clips), `agreement` (0..1 or None),
        `videos`, `correct`, `accuracy` (0..1) and `interval` (95 %, Wilson, 1927).
    """
    from scipy.stats import binomtest

    hits = np.array(data.labels) == np.array(data.predictions)
    rows = []
    for level in data.occurring_levels():
        inside = hits[data.members(level)]
        interval = binomtest(int(inside.sum()), len(inside)).proportion_ci(method="wilson")
        rows.append(
            {
                "clips": level,
                "agreement": None if level is None else level / data.num_clips,
                "videos": len(inside),
                "correct": int(inside.sum()),
                "accuracy": float(inside.mean()),
                "interval": [float(interval.low), float(interval.high)],
            }
        )
    return rows


def draw_agreement(data: FigureData):
    """Draws [`accuracy_by_agreement`] as bars with intervals and counts. Returns a `matplotlib.figure.Figure`."""
    from matplotlib import pyplot

    rows = accuracy_by_agreement(data)
    overall = sum(row["correct"] for row in rows) / len(data.labels)
    figure, axes = pyplot.subplots(figsize=(max(4.8, 1.6 + 1.25 * len(rows)), 4.2), layout="constrained")
    for place, row in enumerate(rows):
        value, (low, high) = 100 * row["accuracy"], (100 * end for end in row["interval"])
        # Short videos have no level: their bar is hatched.
        style = {"color": COLOURS[5]} if row["clips"] else {"color": "white", "hatch": "//"}
        axes.bar(place, value, width=0.7, edgecolor="black", **style)
        # Rounding errors must not make a length negative.
        spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(place, value, yerr=spread, color="black", capsize=6, linewidth=1.5)
        text = f"{value:.0f} %\n{row['correct']} of {row['videos']}"
        axes.text(place, max(high, value) + 2, text, ha="center", va="bottom", fontsize=9)
    line = axes.axhline(100 * overall, color="black", linestyle="--", linewidth=1, zorder=0)
    figure.legend([line], [f"all {len(data.labels)}: {100 * overall:.0f} %"], loc="outside upper right", frameon=False)
    short = f"fewer than\n{data.num_clips} clips"
    names = [short if r["clips"] is None else f"{r['agreement']:.2f}\n{r['clips']} of {data.num_clips}" for r in rows]
    axes.set_xticks(range(len(rows)), names)
    axes.set(ylim=(0, 118), yticks=range(0, 101, 20), xlim=(-0.6, len(rows) - 0.4))
    axes.set(xlabel="agreement of the clips", ylabel="accuracy (%), 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


__all__ = ["LEAST_POINTS", "accuracy_by_agreement", "draw_agreement", "draw_strips", "draw_tsne"]
