# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
The demo in the browser, by Gradio: `rdfer demo` starts it locally, hub_cards/space makes it a Space of the Hub.

An upload is a file of its own in a folder of its own until its answer is there, whatever the answer is. Gradio's own
upload is switched off: it names files by their content, so that two visitors with the same video share one file, and
keeps them.
"""

import base64
import html
import io
import json
import logging
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported

import gradio
import PIL.Image
import torch
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from ..disclaimer import NOT_FOR
from ..inference.loading import load
from ..inference.predict import predict
from ..inference.timeline import Window, timeline
from ..models.labels_rdfer import class_names
from ..models.package_data_rdfer import packaged_file
from ..models.video_decoding_rdfer import VideoReadError, open_video
from ..plots import COLOURS

logger = logging.getLogger(__name__)

MAX_BYTES = 100 * 1024 * 1024
MAX_SECONDS = 120.0
MAX_PIXELS = 4096 * 2304
# Videos that are answered at a time, that may wait, and that may lie on the disk; these bound time, memory and disk.
MAX_ANSWERING = 2
MAX_WAITING = 100
MAX_UPLOADS = 100
# After that an upload goes whose visitor left before the answer began, or of which nothing arrives any more.
FORGOTTEN_SECONDS = 900

WINDOW_SECONDS = 1.0
MAX_WINDOWS = 40
MAX_LABELS = 8

EMBEDDED = "rdfer-small (embedded)"

MESSAGES = {
    "": ("Choose a video first", "Drop a video into the box, record one, or use the example."),
    "too_large": (
        "This file is too large",
        f"The limit is {MAX_BYTES >> 20} MB. Cut the video or save it at a lower resolution: the model looks at "
        "faces of 112 pixels.",
    ),
    "too_long": (
        "This video is too long",
        f"The limit is {MAX_SECONDS:.0f} seconds. Cut out the part you want to know about, or use <code>rdfer "
        "timeline</code> on your own computer, which has no limit.",
    ),
    "too_big": (
        "The frames of this video are too large",
        f"The limit is {MAX_PIXELS / 1e6:.1f} million pixels. Save the video at a lower resolution: the model looks "
        "at faces of 112 pixels.",
    ),
    "busy": ("Many people are waiting", "Please try again in a few minutes."),
    "failed": ("The upload did not arrive", "The connection was cut. Please try again."),
    "gone": ("The upload is not here any more", "It waited too long, or was answered already. Please send it again."),
    "broken": (
        "Something went wrong here",
        "It was not your fault, and your video has been deleted. Please try again.",
    ),
    "no_face": (
        "No face was found in this video",
        "The face should look towards the camera, be well lit, and be at least a twentieth of the picture's width.",
    ),
}


class _Refused(Exception):
    """Why there is no answer: a key of MESSAGES, and a detail."""

    def __init__(self, key: str, detail: str = ""):
        super().__init__(key)
        self.key, self.detail = key, detail


class Uploads:
    """
    Videos between upload and answer, as files with random names in a temporary folder.

    Args:
        folder (`str`): where; an empty folder.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)

    async def receive(self, request: Request) -> JSONResponse:
        """
        Takes the body of a POST as a video. Answers with `{"upload": token}`, or with `{"refused": key of MESSAGES}`
        and status 413, 415 or 503.
        """
        # A type that a page of another site cannot send without asking the server first.
        if request.headers.get("content-type") != "application/octet-stream":
            return JSONResponse({"refused": "failed"}, 415)
        if int(request.headers.get("content-length") or 0) > MAX_BYTES:
            return JSONResponse({"refused": "too_large"}, 413)
        if sum(1 for _ in self.folder.iterdir()) >= MAX_UPLOADS:
            return JSONResponse({"refused": "busy"}, 503)
        token = secrets.token_hex(16)
        path, size = self.folder / f"{token}.part", 0
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MAX_BYTES:
                        return JSONResponse({"refused": "too_large"}, 413)
                    file.write(chunk)
            path.rename(self.folder / token)
        except (ClientDisconnect, FileNotFoundError):  # the latter: so slow that it was forgotten
            return JSONResponse({"refused": "failed"}, 400)
        finally:
            path.unlink(missing_ok=True)
        return JSONResponse({"upload": token})

    @contextmanager
    def claim(self, token: str):
        """Gives the path of an upload, once, and deletes the file afterwards."""
        if not re.fullmatch("[0-9a-f]{32}", token):
            raise _Refused(token if token in MESSAGES else "gone")
        path = self.folder / f"{token}.taken"
        try:
            (self.folder / token).rename(path)
        except FileNotFoundError:
            raise _Refused("gone") from None
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def delete_forgotten(self):
        for path in self.folder.iterdir():
            if not path.name.endswith(".taken"):
                try:
                    if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
                        path.unlink()
                except FileNotFoundError:  # claimed meanwhile
                    pass


def example_video() -> Path:
    """The example of the demo; NOTICE names its source and licence."""
    return packaged_file("example/cap13_edit2.mp4")


# The answer ----------------------------------------------------------------------------------------------------------


def _analyse(path: Path, model: str | None, progress) -> str:
    """The answer as HTML. Raises _Refused."""
    try:
        progress(0.02, desc="Opening the video")
        with closing(open_video(path)) as source:
            if (source.duration_seconds or 0.0) > MAX_SECONDS:
                raise _Refused("too_long", f"This video has {source.duration_seconds:.0f} seconds.")
            if source.height * source.width > MAX_PIXELS:
                raise _Refused("too_big", f"This video has {source.width} x {source.height} pixels.")
            duration = source.duration_seconds or 0.0
        progress(0.1, desc="Looking for the face and its expression")
        answer = predict(path, model, return_clips=True)
        windows = timeline(
            path,
            model,
            window=WINDOW_SECONDS,
            step=max(0.5, duration / MAX_WINDOWS),
            progress=lambda done, total: progress(0.3 + 0.7 * done / total, desc="Reading the expression over time"),
        )
    except VideoReadError as error:
        _, found, _ = error.args
        if found.startswith("no face"):
            raise _Refused("no_face") from error
        raise _Refused("unreadable", found) from error
    return _answer_html(answer, windows, load(model)[0].config)


def _message_html(refused: _Refused) -> str:
    title, text = MESSAGES.get(refused.key, ("This file could not be read as a video", ""))
    detail = refused.detail
    if refused.key == "unreadable":
        detail = f"What was found: {detail}."
        text = "Send a video file, for instance MP4, WebM or MOV, that plays on your computer."
    return (
        f'<div class="rdfer-message" role="alert" data-reason="{html.escape(refused.key)}"><h3>{title}</h3>'
        f"<p>{html.escape(detail)} {text}</p></div>"
    )


def _picture(frame: torch.Tensor) -> str:
    """uint8 (3, height, width) -> data URI."""
    file = io.BytesIO()
    PIL.Image.fromarray(frame.permute(1, 2, 0).cpu().numpy()).save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _percent(score: float) -> str:
    # Never more certain than the digits shown.
    if 0.999 < score < 1.0:
        return "&gt;&nbsp;99.9&nbsp;%"
    if 0.0 < score < 0.001:
        return "&lt;&nbsp;0.1&nbsp;%"
    return f"{100 * score:.1f}&nbsp;%"


def _answer_html(answer: dict, windows: list[Window], config) -> str:
    names = class_names(config)
    colour = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    colour[None] = "#9CA3AF"
    top = answer["predictions"][0]
    return (
        f'<div class="rdfer-answer" data-label="{html.escape(top["label"])}">'
        f"{_summary_html(answer, colour)}{_certainty_html(answer, windows)}"
        f"{_timeline_html(windows, names, colour)}{_clips_html(answer, colour, config.model_type)}"
        '<p class="rdfer-small">Your video has been deleted from the server. What you see here is in your browser '
        "only.</p></div>"
    )


def _score(prediction: dict) -> float:
    return prediction.get("calibrated_score", prediction["score"])


def _summary_html(answer: dict, colour: dict) -> str:
    rows = "".join(
        f"<li><span>{html.escape(label)}</span>"
        f'<i><b style="width:{100 * score:.2f}%;background:{colour[label]}"></b></i><em>{_percent(score)}</em></li>'
        for label, score in ((p["label"], _score(p)) for p in answer["predictions"][:MAX_LABELS])
    )
    return (
        '<section><p class="rdfer-small">Over the whole video the face shows mostly</p>'
        f'<h2>{html.escape(answer["predictions"][0]["label"])}</h2><ol class="rdfer-bars">{rows}</ol></section>'
    )


def _certainty_html(answer: dict, windows: list[Window]) -> str:
    top, clips = answer["predictions"][0], answer["clips"]
    label, name = top["label"], f"<b>{html.escape(top['label'])}</b>"
    with_face = [window for window in windows if window.scores]
    same = sum(window.label == label for window in with_face)
    if "calibrated_score" in top:
        points = [
            f"Its calibrated probability for {name} is {_percent(_score(top))}: on videos it was checked with, about "
            "that share of the answers with this number was right. Videos of another kind can be another matter. "
            "The timeline and the key frames below show the model's own numbers, which are not calibrated."
        ]
    else:
        points = [
            f"Its probability for {name} is {_percent(_score(top))}. This checkpoint is not calibrated: nobody has "
            "checked how often answers with this number are right, and it can be near 100&nbsp;% and wrong."
        ]
    agreeing = round(answer["agreement"] * len(clips))
    if len(clips) == 1:
        points.append("The video is so short that there was one clip to look at: nothing to compare it with.")
    elif agreeing == len(clips):
        points.append(f"All {len(clips)} clips it looked at show the same expression (agreement 1.00).")
    else:
        points.append(
            f"Only {agreeing} of the {len(clips)} clips it looked at show the same expression (agreement "
            f"{answer['agreement']:.2f}): the expression changes, or the video is a hard one. Trust the timeline more."
        )
    if with_face:
        others = "" if same == len(with_face) else " The rest shows something else: look at the timeline."
        points.append(f"{name} is the top expression in {same} of {len(with_face)} stretches of the video.{others}")
    if len(with_face) < len(windows):
        points.append(f"In {len(windows) - len(with_face)} of {len(windows)} stretches no face was visible.")
    items = "".join(f"<li>{point}</li>" for point in points)
    return f'<section class="rdfer-certainty"><h3>How sure is the model?</h3><ul>{items}</ul></section>'


def _timeline_html(windows: list[Window], names: list[str], colour: dict) -> str:
    first, last = windows[0].start_seconds, max(windows[-1].end_seconds, windows[0].start_seconds + 0.04)
    centres = [(window.start_seconds + window.end_seconds) / 2 for window in windows]
    edges = [first, *((left + right) / 2 for left, right in zip(centres, centres[1:])), last]

    def x(seconds: float) -> float:
        return 1000 * (seconds - first) / (last - first)

    shown = [name for name in names if any(window.label == name for window in windows)]
    curves = []
    for name in [name for name in names if name not in shown] + shown:
        points = []  # one list for each stretch with a face; the curve goes on to the edges of the stretch
        for index, window in enumerate(windows):
            if window.scores is None:
                continue
            y = 200 - 200 * window.scores[name]
            if index == 0 or windows[index - 1].scores is None:
                points.append([(x(edges[index]), y)])
            points[-1].append((x(centres[index]), y))
            if index + 1 == len(windows) or windows[index + 1].scores is None:
                points[-1].append((x(edges[index + 1]), y))
        kind = "shown" if name in shown else "other"
        for part in points:
            coordinates = " ".join(f"{a:.1f},{b:.1f}" for a, b in part)
            curves.append(f'<polyline class="{kind}" stroke="{colour[name]}" points="{coordinates}"/>')
    band = "".join(
        f'<i style="left:{x(edges[i]) / 10:.3f}%;width:{(x(edges[i + 1]) - x(edges[i])) / 10 + 0.05:.3f}%;'
        f'background:{colour[window.label]}"></i>'
        for i, window in enumerate(windows)
    )
    legend = "".join(
        f'<li class="{"shown" if name in shown else "other"}"><i style="background:{colour[name]}"></i>'
        f"{html.escape(name)}</li>"
        for name in names
    )
    if any(window.scores is None for window in windows):
        legend += f'<li><i style="background:{colour[None]}"></i>no face</li>'
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
<path d="M0 0H1000M0 100H1000M0 200H1000"/>{"".join(curves)}</svg>
<div class="rdfer-band">{band}</div>
<div class="rdfer-cursor"></div>
<input type="range" min="{first:.3f}" max="{last:.3f}" step="0.04" value="{first:.3f}" aria-label="Time in the video">
</div>
<div class="rdfer-ticks">{ticks}</div>
</div>
<ul class="rdfer-legend">{legend}</ul>
<div class="rdfer-at"><img alt="The face at this time"><div><b class="rdfer-time"></b>
<span class="rdfer-reading"></span></div></div>
<p class="rdfer-small">Drag over the plot, use the arrow keys, or play the video: the cursor goes along.</p>
</section>"""


CLIPS = {
    "rdfer": '<h3>Key frames</h3><p class="rdfer-small">The model chose these clips, where the key expression of the '
    "video shows, and answered from them.</p>",
    "aen": '<h3>Frames</h3><p class="rdfer-small">The model looked at these frames, spread evenly over the video. '
    "Each group is a part of it, one after the other; the answer is about all of them.</p>",
}


def _clips_html(answer: dict, colour: dict, model_type: str) -> str:
    clips = ""
    for clip in answer["clips"]:
        seconds = clip["seconds"] and f"{clip['seconds'][0]:.1f} to {clip['seconds'][-1]:.1f}&nbsp;s"
        if seconds and len({f"{s:.1f}" for s in (clip["seconds"][0], clip["seconds"][-1])}) == 1:
            seconds = f"{clip['seconds'][0]:.1f}&nbsp;s"
        pictures = "".join(f'<img src="{_picture(frame)}" alt="">' for frame in clip["frames"])
        clips += (
            f'<figure style="border-color:{colour[clip["label"]]}"><div>{pictures}</div>'
            f"<figcaption><b>{html.escape(clip['label'])}</b> {_percent(clip['score'])}"
            f"<span>{seconds or ''}</span></figcaption></figure>"
        )
    return f'<section>{CLIPS[model_type]}<div class="rdfer-clips">{clips}</div></section>'


# The page ------------------------------------------------------------------------------------------------------------

NOTICE = f"""
<header class="rdfer-header"><h1>The expression in a video of a face</h1>
<p>It finds the face and says which expression it shows and when.</p></header>
<aside class="rdfer-notice" role="note"><p><b>An expression is not a feeling.</b> {NOT_FOR}</p>
<details><summary>More on what this is not fit for</summary><ul>
<li>The EU AI Act, Article 5(1)(f), prohibits emotion recognition at the workplace and in education.</li>
<li>Send only videos of people who agreed to it. A video of a face is personal data.</li>
<li>Accuracy differs between people, cultures, ages, light and poses, and for most of them has not been measured.
For sad, angry, fear and disgust nothing has been measured on real videos with rdfer-small.</li>
<li>People smile when they are not happy. Seven words do not cover what faces do.</li></ul></details></aside>"""

WAITING = '<div class="rdfer-empty"><p>The answer appears here: which expressions, how sure, and when.</p></div>'

INPUT = f"""
<div class="rdfer-input">
<div class="rdfer-drop"><video playsinline controls muted hidden></video>
<div class="rdfer-invite"><b>Drop a video of a face here</b><span>or</span>
<div class="rdfer-buttons">
<label class="rdfer-button" tabindex="0">Choose a file<input type="file" accept="video/*"></label>
<button type="button" class="rdfer-button" data-do="record">Record</button>
<button type="button" class="rdfer-button" data-do="example">Use the example</button></div></div></div>
<p class="rdfer-name" aria-live="polite"></p>
<p class="rdfer-small">Up to {MAX_BYTES >> 20} MB and {MAX_SECONDS / 60:.0f} minutes. It is sent when you press the
button below, and deleted from the server as soon as the answer is there, or when there is none.</p></div>"""


def build_demo(models: list[str], uploads: Uploads) -> gradio.Blocks:
    """
    Builds the page.

    Args:
        models (`list[str]`): folders or names on the Hub that visitors can choose beside the embedded checkpoint; the
            first is chosen beforehand. Each is loaded now: what cannot be loaded is told before anyone visits, and
            nothing else is ever loaded.
        uploads (`Uploads`): where the videos are.

    Raises:
        OSError: there is no such checkpoint.
    """
    choices = {EMBEDDED: None, **{model: model for model in models}}
    for model in choices.values():
        load(model)

    def analyse(upload: str, checkpoint: str, progress=gradio.Progress()):  # noqa: B008 - so Gradio passes it
        try:
            with uploads.claim(upload) as path:
                return _analyse(path, choices[checkpoint], progress)
        except _Refused as refused:
            return _message_html(refused)
        except Exception:
            logger.exception("A video could not be answered")
            return _message_html(_Refused("broken"))

    with gradio.Blocks(title="RDFER: emotion in a video of a face", analytics_enabled=False) as demo:
        gradio.HTML(NOTICE)
        with gradio.Row(elem_classes="rdfer-columns"):
            with gradio.Column(scale=2, min_width=300):
                gradio.HTML(INPUT, js_on_load=f"rdfer.input(element, {MAX_BYTES}, {MAX_SECONDS})")
                checkpoint = gradio.Dropdown(
                    list(choices),
                    value=models[0] if models else EMBEDDED,
                    label="Checkpoint",
                    interactive=len(choices) > 1,
                )
                button = gradio.Button("Analyse", variant="primary", size="lg", elem_id="analyse")
            with gradio.Column(scale=3, min_width=300):
                answer = gradio.HTML(
                    WAITING, elem_id="answer", min_height=240, js_on_load="rdfer.output(element, watch)"
                )
        upload = gradio.Textbox(visible=False)
        button.click(
            analyse,
            inputs=[upload, checkpoint],
            outputs=answer,
            api_name="analyse",
            scroll_to_output=True,
            js="async (upload, checkpoint) => [await rdfer.send(), checkpoint]",
            concurrency_limit=MAX_ANSWERING,
        )
    demo.queue(max_size=MAX_WAITING)
    return demo


def launch_demo(models: list[str] | None = None, **launch_options):
    """
    Serves the demo until the process is interrupted or terminated.

    Args:
        models (`list[str]`, *optional*): folders or names on the Hub to choose from, the first of them beforehand;
            the embedded checkpoint is always there.
        launch_options: of `gradio.Blocks.launch`, e.g. `server_name`, `server_port`.

    Raises:
        OSError: there is no such checkpoint, or the port is taken.
    """
    stopped = threading.Event()
    with tempfile.TemporaryDirectory(prefix="rdfer-demo-") as folder:
        uploads = Uploads(folder)
        demo = build_demo(models or [], uploads)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is removed
        # Each video that is being answered has its own share of the cores.
        torch.set_num_threads(max(1, torch.get_num_threads() // MAX_ANSWERING))

        def tidy():
            while not stopped.wait(60):
                uploads.delete_forgotten()

        threading.Thread(target=tidy, daemon=True).start()

        async def refuse(request: Request):
            return JSONResponse({"error": "Videos are sent to rdfer/upload."}, 403)

        async def example(request: Request):
            return FileResponse(example_video(), media_type="video/mp4")

        routes = [
            Route("/rdfer/upload", uploads.receive, methods=["POST"]),
            Route("/rdfer/example.mp4", example),
            Route("/gradio_api/upload", refuse, methods=["POST"]),
        ]
        try:
            _, address, _ = demo.launch(
                prevent_thread_lock=True,
                quiet=True,
                app_kwargs={"routes": routes},
                share=False,
                ssr_mode=False,
                footer_links=[],
                # Fonts of the visitor's system: nothing is loaded from elsewhere.
                theme=gradio.themes.Default(
                    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
                ),
                css=packaged_file("demo/page.css").read_text(encoding="utf-8"),
                head=f"<script>{packaged_file('demo/page.js').read_text(encoding='utf-8')}</script>",
                **launch_options,
            )
            print(f"Open {address} in your browser. Ctrl+C ends it.", flush=True)
            demo.block_thread()
        finally:
            stopped.set()
            demo.close()


__all__ = ["Uploads", "build_demo", "example_video", "launch_demo"]
