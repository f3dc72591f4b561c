# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Draws a timeline as a picture."""

import math
from pathlib import Path

from .complete_files import write_atomically
from .inference.face_stream import Window
from .inference.scores import UNCERTAIN

# Okabe and Ito's colours, which colour-blind people can tell apart. With more labels the line style changes, too.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#000000"]
STYLES = ["-", "--", ":"]
# Rows of a picture; a film with many cuts has many people.
MAX_PEOPLE = 12
UNCERTAIN_COLOUR, NO_FACE_COLOUR = "#8A8A8A", "#DDDDDD"


def display_times(windows: list[Window]) -> tuple[list[float], list[float]]:
    """Returns the times at which windows, which may overlap, are drawn.

    Args:
        windows (`list[Window]`): the result of [`timeline`].

    Returns:
        `tuple[list[float], list[float]]`: the centres of the N windows; and N + 1 edges, which lie half-way between
        neighbouring centres. Both in seconds.
    """
    first, last = windows[0].start_seconds, max(windows[-1].end_seconds, windows[0].start_seconds + 0.04)
    centres = [(window.start_seconds + window.end_seconds) / 2 for window in windows]
    return centres, [first, *((left + right) / 2 for left, right in zip(centres, centres[1:])), last]


def plot_timeline(windows: list[Window], path, title: str | None = None, num_faces: int = 12):
    """Draws the probabilities over time, the label of each window below them, and the faces of key frames below that.

    Each person of a timeline of all people has a row of these, at most the `MAX_PEOPLE` largest.

    Args:
        windows (`list[Window]`): the result of [`timeline`].
        path (`str` or `Path`): picture to write; its suffix gives the format (.png, .svg, .pdf).
        title (`str`, *optional*): title of the picture.
        num_faces (`int`, *optional*, defaults to 12): largest number of faces in a row.

    Raises:
        ValueError: if there are no windows.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not windows:
        raise ValueError("There is nothing to draw: no window shows a face.")
    labels = next((list(window.scores) for window in windows if window.scores), [])
    rows = _rows(windows)
    drawn = rows[:MAX_PEOPLE]
    figure, axes = pyplot.subplots(
        3 * len(drawn),
        1,
        figsize=(12, 5.6 if len(drawn) == 1 else 4.4 * len(drawn)),
        sharex=True,
        height_ratios=[6, 0.5, 1.9] * len(drawn),
        layout="constrained",
    )
    for number, row in enumerate(drawn):
        curves, band, faces = axes[3 * number : 3 * number + 3]
        _draw(curves, band, faces, row, labels, num_faces)
        if len(drawn) > 1:
            person = next(window.person for window in row if window.scores)
            curves.set_ylabel(f"person {person}\nprobability")
    if len(rows) > len(drawn):
        more = f"the {len(drawn)} largest of {len(rows)} people"
        title = more if title is None else f"{title}: {more}"
    if title is not None:
        # Without math, which $ would start. Matplotlib cannot draw what stands for bytes that are not UTF-8.
        axes[0].set_title(title if title.isprintable() else ascii(title), parse_math=False)
    axes[-1].set_xlabel("seconds")
    kind = Path(path).suffix.removeprefix(".") or "png"
    write_atomically(path, lambda handle: figure.savefig(handle, format=kind, dpi=120))
    pyplot.close(figure)


def _rows(windows: list[Window]) -> list[list[Window]]:
    """The windows of each person, and empty ones where the person is not seen."""
    people = list(dict.fromkeys(window.person for window in windows if window.scores))
    spans = sorted({(window.start_seconds, window.end_seconds) for window in windows})
    # The last window ends with the video and may begin less than a step after the one before it.
    step = min((after[0] - before[0] for before, after in zip(spans, spans[1:-1])), default=math.inf)
    filled = spans[:1]
    for span in spans[1:]:
        before = filled[-1]
        if span[0] - before[0] > 1.5 * step:  # nobody is seen: from the first such window to the last one
            filled += [(before[0] + step, before[1] + step), (max(span[0] - step, before[0] + step), span[1] - step)]
        filled.append(span)
    own = {(window.person, window.start_seconds): window for window in windows}
    return [[own.get((person, start)) or Window(start, end) for start, end in filled] for person in people or [None]]


def _draw(curves, band, faces, windows: list[Window], labels: list[str], num_faces: int):
    """Draws a row into three axes."""
    styles = {
        label: {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i // len(COLOURS) % len(STYLES)]}
        for i, label in enumerate(labels)
    }
    colours: dict[str | None, str] = {label: style["color"] for label, style in styles.items()}
    colours |= {UNCERTAIN: UNCERTAIN_COLOUR, None: NO_FACE_COLOUR}
    centres, edges = display_times(windows)
    first, last = edges[0], edges[-1]
    # Labels that are never the most probable one get thin lines and parentheses.
    for label in labels:
        values = [window.scores[label] if window.scores else float("nan") for window in windows]
        shown = any(window.label == label for window in windows)
        line = {"linewidth": 2.2, "label": label} if shown else {"linewidth": 1, "alpha": 0.5, "label": f"({label})"}
        marker = "o" if len(windows) == 1 else None
        curves.plot(centres, values, marker=marker, **styles[label], **line)
    if any(window.label == UNCERTAIN for window in windows):
        curves.plot([], [], color=UNCERTAIN_COLOUR, linewidth=8, label=UNCERTAIN)
    curves.set(ylabel="probability", ylim=(-0.02, 1.02))
    curves.grid(alpha=0.3)
    if labels:
        curves.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)

    start = 0
    for index in range(1, len(windows) + 1):
        if index < len(windows) and windows[index].label == windows[start].label:
            continue
        shown_label, left, right = windows[start].label, edges[start], edges[index]
        band.axvspan(left, right, color=colours[shown_label])
        if right - left > 0.08 * (last - first):
            text = {"color": "white" if shown_label else "black", "ha": "center", "va": "center", "fontsize": 9}
            band.text((left + right) / 2, 0.5, shown_label or "no face", **text)
        start = index
    band.set(yticks=[], ylim=(0, 1), ylabel="label")
    band.yaxis.label.set(rotation=0, ha="right", va="center")

    faces.set(xlim=(first, last), ylim=(0, 1), yticks=[], ylabel="key\nframes")
    faces.yaxis.label.set(rotation=0, ha="right", va="center")
    faces.spines[["left", "right", "top"]].set_visible(False)
    with_face = [index for index, window in enumerate(windows) if window.key_frame is not None]
    slot = (last - first) / num_faces
    for number in range(num_faces):
        middle = first + (number + 0.5) * slot
        nearest = min(with_face, key=lambda index: abs(centres[index] - middle), default=None)
        if nearest is None or abs(centres[nearest] - middle) > slot / 2 + (last - first) / len(windows):
            continue
        picture = faces.inset_axes([number / num_faces, 0.0, 1 / num_faces, 1.0])
        window = windows[nearest]
        assert window.key_frame is not None
        picture.imshow(window.key_frame.permute(1, 2, 0).numpy())
        picture.set(xticks=[], yticks=[])
        picture.set_title(f"{window.key_frame_seconds:.1f} s", fontsize=8, pad=2)
        for spine in picture.spines.values():
            spine.set(color=colours[window.label], linewidth=2.5)


__all__ = ["COLOURS", "display_times", "plot_timeline"]
