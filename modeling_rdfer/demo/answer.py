# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Analyses a video for the demo and formats the answer as HTML."""

import base64
import html
import io
import json
from contextlib import closing
from pathlib import Path

import PIL.Image
import torch

from ..inference.explain import overlay
from ..inference.face_stream import Window
from ..inference.loading import load
from ..inference.predict import predict
from ..inference.timeline import timeline
from ..models.labels_rdfer import class_names
from ..models.video_decoding_rdfer import VideoReadError, open_video
from ..plots import COLOURS, display_times
from .limits import MAX_PIXELS, MAX_SECONDS, Refused

# A brief expression takes half a second.
WINDOW_SECONDS = 0.5
MAX_WINDOWS = 80
MAX_LABELS = 8


def analyse(path: Path, model: str | None, progress) -> str:
    """Analyses a video.

    Args:
        path (`Path`): video file.
        model (`str` or `None`): folder or name on the Hub; `None` for the embedded checkpoint.
        progress (`Callable`): called with the progress, 0..1, and a description `desc`.

    Returns:
        `str`: the answer as HTML.

    Raises:
        Refused: if the video is too long or too large, cannot be read, or shows no face.
    """
    try:
        progress(0.02, desc="Opening the video")
        with closing(open_video(path)) as source:
            if (source.duration_seconds or 0.0) > MAX_SECONDS:
                raise Refused("too_long", f"This video has {source.duration_seconds:.0f} seconds.")
            if source.height * source.width > MAX_PIXELS:
                raise Refused("too_big", f"This video has {source.width} x {source.height} pixels.")
            duration = source.duration_seconds or 0.0
        progress(0.1, desc="Finding the face and its expression")
        answer = predict(path, model, return_heatmaps=True)
        assert isinstance(answer, dict)  # one video, one face
        windows = timeline(
            path,
            model,
            window=WINDOW_SECONDS,
            step=max(0.25, duration / MAX_WINDOWS),
            progress=lambda done, total: progress(0.3 + 0.7 * done / total, desc="Following the expression over time"),
        )
    except VideoReadError as error:
        _, found, _ = error.args
        if found.startswith("no face"):
            raise Refused("no_face") from error
        raise Refused("unreadable", found) from error
    return _answer_html(answer, windows, load(model)[0].config)


def _picture(frame: torch.Tensor) -> str:
    """Turns a uint8 frame `(3, height, width)` into a data URI."""
    file = io.BytesIO()
    PIL.Image.fromarray(frame.permute(1, 2, 0).cpu().numpy()).save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _percent(score: float) -> str:
    # Rounding must not turn a probability into 100 % or 0 %.
    if 0.999 < score < 1.0:
        return "&gt;&nbsp;99.9&nbsp;%"
    if 0.0 < score < 0.001:
        return "&lt;&nbsp;0.1&nbsp;%"
    return f"{100 * score:.1f}&nbsp;%"


def _answer_html(answer: dict, windows: list[Window], config) -> str:
    names = class_names(config)
    colour: dict[str | None, str] = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    colour[None] = "#9CA3AF"  # no face
    top = answer["predictions"][0]
    return (
        f'<div class="rdfer-answer" data-label="{html.escape(top["label"])}">'
        f"{_summary_html(answer, colour)}{_certainty_html(answer, windows, config)}"
        f"{_timeline_html(windows, names, colour)}{_clips_html(answer, colour, config.model_type)}"
        '<p class="rdfer-small">Your video has been deleted from the server. This answer exists in your browser only.'
        "</p></div>"
    )


def _summary_html(answer: dict, colour: dict[str | None, str]) -> str:
    rows = "".join(
        f"<li><span>{html.escape(label)}</span>"
        f'<i><b style="width:{100 * score:.2f}%;background:{colour[label]}"></b></i><em>{_percent(score)}</em></li>'
        for label, score in ((p["label"], p["score"]) for p in answer["predictions"][:MAX_LABELS])
    )
    return (
        '<section><p class="rdfer-small">Over the whole video the face mostly shows</p>'
        f'<h2>{html.escape(answer["predictions"][0]["label"])}</h2><ol class="rdfer-bars">{rows}</ol></section>'
    )


def _certainty_html(answer: dict, windows: list[Window], config) -> str:
    top, clips = answer["predictions"][0], answer["clips"]
    label, name = top["label"], f"<b>{html.escape(top['label'])}</b>"
    with_face = [window for window in windows if window.scores]
    same = sum(window.label == label for window in with_face)
    if config.calibration_temperature is not None:
        points = [
            f"Its calibrated probability for {name} is {_percent(top['score'])}: about this share of such answers was "
            "right on the videos used for calibration. On other kinds of videos the share can differ."
        ]
    else:
        points = [
            f"Its probability for {name} is {_percent(top['score'])}. This checkpoint is not calibrated: it is not "
            "known how often such answers are right, and an answer near 100&nbsp;% can be wrong."
        ]
    agreeing = round(answer["agreement"] * len(clips))
    if len(clips) == 1:
        points.append("The video is so short that it has one clip only, so no agreement of clips can be measured.")
    elif agreeing == len(clips):
        points.append(f"All {len(clips)} clips show the same expression (agreement 1.00).")
    else:
        points.append(
            f"Only {agreeing} of the {len(clips)} clips show the same expression (agreement "
            f"{answer['agreement']:.2f}): the expression changes, or the video is difficult. See the timeline."
        )
    if with_face:
        others = "" if same == len(with_face) else " The timeline shows the others."
        points.append(f"{name} is the most probable expression in {same} of {len(with_face)} windows.{others}")
    if len(with_face) < len(windows):
        points.append(f"In {len(windows) - len(with_face)} of {len(windows)} windows no face was visible.")
    items = "".join(f"<li>{point}</li>" for point in points)
    return f'<section class="rdfer-certainty"><h3>How sure is the model?</h3><ul>{items}</ul></section>'


def _timeline_html(windows: list[Window], names: list[str], colour: dict[str | None, str]) -> str:
    _, edges = display_times(windows)
    first, last = edges[0], edges[-1]
    labels = {window.label for window in windows}
    kinds = {name: "shown" if name in labels else "other" for name in names}
    # Sorted so that the labels that are shown are drawn on top.
    curves = "".join(
        f'<polyline class="{kinds[name]}" stroke="{colour[name]}" points="{points}"/>'
        for name in sorted(names, key=kinds.__getitem__)
        for points in _curve(windows, name)
    )
    shares = [(edge - first) / (last - first) for edge in edges]
    band = "".join(
        f'<i style="left:{100 * left:.3f}%;width:{100 * (right - left) + 0.05:.3f}%;'
        f'background:{colour[window.label]}"></i>'
        for window, left, right in zip(windows, shares, shares[1:])
    )
    legend = "".join(
        f'<li class="{kinds[name]}"><i style="background:{colour[name]}"></i>{html.escape(name)}</li>'
        for name in names
    )
    if None in labels:
        legend += f'<li><i style="background:{colour[None]}"></i>no face</li>'
    # Read by page.js.
    data = {
        "first": first,
        "last": last,
        "edges": [round(edge, 3) for edge in edges],
        "windows": [
            {
                "label": window.label,
                "colour": colour[window.label],
                "scores": window.scores and {name: round(score, 4) for name, score in window.scores.items()},
                "picture": None if window.key_frame is None else _picture(window.key_frame),
            }
            for window in windows
        ],
    }
    ticks = "".join(f"<span>{first + (last - first) * i / 4:.1f}&nbsp;s</span>" for i in range(5))
    return f"""
<section><h3>Expression over time</h3>
<div class="rdfer-plot" data-timeline="{html.escape(json.dumps(data))}">
<div class="rdfer-axis"><span>100&nbsp;%</span><span>50&nbsp;%</span><span>0&nbsp;%</span></div>
<div class="rdfer-area">
<svg viewBox="0 0 1000 200" preserveAspectRatio="none" role="img" aria-label="Probabilities over time">
<path d="M0 0H1000M0 100H1000M0 200H1000"/>{curves}</svg>
<div class="rdfer-band">{band}</div>
<div class="rdfer-cursor"></div>
<input type="range" min="{first:.3f}" max="{last:.3f}" step="0.04" value="{first:.3f}" aria-label="Time in the video">
</div>
<div class="rdfer-ticks">{ticks}</div>
</div>
<ul class="rdfer-legend">{legend}</ul>
<div class="rdfer-at"><img alt="The face at this time"><div><b class="rdfer-time"></b>
<span class="rdfer-reading"></span></div></div>
<p class="rdfer-small">Drag over the plot or use the arrow keys to move the cursor. It also follows the video as it
plays.</p>
</section>"""


def _curve(windows: list[Window], name: str) -> list[str]:
    """Points of a label's curve in a 1000 x 200 view, one string for each run of windows with a face."""
    centres, edges = display_times(windows)
    scale = 1000 / (edges[-1] - edges[0])
    runs: list[list[tuple[float, float]]] = []
    for index, window in enumerate(windows):
        if window.scores is None:
            continue
        height = 200 - 200 * window.scores[name]
        if index == 0 or windows[index - 1].scores is None:
            runs.append([(edges[index], height)])
        runs[-1].append((centres[index], height))
        if index + 1 == len(windows) or windows[index + 1].scores is None:
            runs[-1].append((edges[index + 1], height))
    return [" ".join(f"{scale * (seconds - edges[0]):.1f},{y:.1f}" for seconds, y in run) for run in runs]


CLIPS_HEADINGS = {
    "rdfer": '<h3>Key frames</h3><p class="rdfer-small">The model chose these clips where the key expression of the '
    "video shows, and classified them.</p>",
    "aen": '<h3>Frames</h3><p class="rdfer-small">The model classified these frames, spread evenly over the video. '
    "Each group is one part of the video, in order; the answer covers all of them.</p>",
}


def _clips_html(answer: dict, colour: dict[str | None, str], model_type: str) -> str:
    clips = ""
    for clip in answer["clips"]:
        seconds = clip["seconds"] and f"{clip['seconds'][0]:.1f} to {clip['seconds'][-1]:.1f}&nbsp;s"
        if seconds and len({f"{s:.1f}" for s in (clip["seconds"][0], clip["seconds"][-1])}) == 1:
            seconds = f"{clip['seconds'][0]:.1f}&nbsp;s"
        frames = [*clip["frames"], *overlay(clip["frames"], clip["heatmaps"])]
        pictures = "".join(f'<img src="{_picture(frame)}" alt="">' for frame in frames)
        clips += (
            f'<figure style="border-color:{colour[clip["label"]]}"><div>{pictures}</div>'
            f"<figcaption><b>{html.escape(clip['label'])}</b> {_percent(clip['score'])}"
            f"<span>{seconds or ''}</span></figcaption></figure>"
        )
    heat = (
        '<p class="rdfer-small">The grey pictures are the same frames: what is red and yellow there speaks for '
        f"<b>{html.escape(answer['predictions'][0]['label'])}</b>. It shows where the model looked, not why, and not "
        "that it is right.</p>"
    )
    return f'<section>{CLIPS_HEADINGS[model_type]}{heat}<div class="rdfer-clips">{clips}</div></section>'


__all__ = ["analyse"]
