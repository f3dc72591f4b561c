# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The demo in the browser, built with Gradio. `rdfer demo` runs it locally, hub_cards/space as a Space on the Hub."""

import logging
import os
import signal
import sys
import tempfile
import threading

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported

import gradio
import torch
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..disclaimer import NOT_FOR
from ..inference.json_answers import model_facts
from ..inference.loading import load
from ..models.package_data_rdfer import required_file
from ..serve.limits import Limits
from ..serve.live import LiveSessions
from .answer import analyse
from .limits import MAX_BYTES, MAX_SECONDS, Refused, message_html
from .uploads import RefuseForms, Uploads

logger = logging.getLogger(__name__)

# Videos that are analysed at the same time, and videos that may wait. Both limit time and memory.
MAX_ANALYSES = 2
MAX_WAITING = 100
# Visitors whose cameras are looked at at the same time.
MAX_LIVE = 2

EMBEDDED = "rdfer-small (embedded)"

NOTICE = f"""
<header class="rdfer-header"><h1>The expression in a video of a face</h1>
<p>Finds the face in a video and shows which expression it has, and when.</p></header>
<aside class="rdfer-notice" role="note"><p><b>An expression is not a feeling.</b> {NOT_FOR}</p>
<details><summary>Limits and rules</summary><ul>
<li>The EU AI Act, Article 5(1)(f), prohibits emotion recognition at the workplace and in education.</li>
<li>Send only videos of people who agreed to it. A video of a face is personal data.</li>
<li>Accuracy depends on person, culture, age, light and pose, and has not been measured for most of them. rdfer-small
was trained on photos, and has hardly been tested on real videos that show sad, angry, fear or disgust.</li>
<li>People also smile when they are not happy, and seven labels do not cover all expressions.</li>
</ul></details></aside>"""

WAITING = '<div class="rdfer-empty"><p>The answer appears here: which expressions, when, and how sure it is.</p></div>'

INPUT = f"""
<div class="rdfer-input">
<div class="rdfer-drop"><video playsinline controls muted hidden></video>
<div class="rdfer-invite"><b>Drop a video of a face here</b><span>or</span>
<div class="rdfer-buttons">
<label class="rdfer-button" tabindex="0">Choose a file<input type="file" accept="video/*"></label>
<button type="button" class="rdfer-button" data-do="record">Record</button>
<button type="button" class="rdfer-button" data-do="example">Use the example</button></div></div></div>
<p class="rdfer-name" aria-live="polite"></p>
<p class="rdfer-small">Up to {MAX_BYTES >> 20} MB and {MAX_SECONDS / 60:.0f} minutes. The video is sent when you
press the button below. It is deleted from the server after the analysis, also if that fails.</p></div>"""


LIVE = """
<div class="rdfer-input rdfer-live">
<div class="rdfer-drop"><canvas width="640" height="480" hidden></canvas>
<div class="rdfer-invite"><b>Your camera</b><div class="rdfer-buttons">
<button type="button" class="rdfer-button" data-do="live">Start the camera</button></div></div></div>
<p class="rdfer-name" aria-live="polite"></p>
<div class="rdfer-answer" hidden><section><h2></h2><ol class="rdfer-bars"></ol></section></div>
<p class="rdfer-small">Pictures of the camera are sent to the server from when you start it until you stop it. It has
the faces of the last second in memory, and stores nothing.</p></div>"""


def build_demo(models: list[str], uploads: Uploads) -> gradio.Blocks:
    """Builds the page.

    Args:
        models (`list[str]`): folders or names on the Hub that visitors can choose from, in addition to the embedded
            checkpoint; the first is the default. All are loaded right away, so that errors show before the first
            visit. No other checkpoint is ever loaded.
        uploads ([`Uploads`]): store of the uploaded videos.

    Returns:
        `gradio.Blocks`: the page.

    Raises:
        OSError: if a checkpoint does not exist.
    """
    choices: dict[str, str | None] = {EMBEDDED: None, **{model: model for model in models}}
    for name in choices.values():
        load(name)

    def analyse_upload(upload: str, checkpoint: str, progress=gradio.Progress()):  # noqa: B008 - Gradio requires it
        try:
            with uploads.claim(upload) as path:
                return analyse(path, choices[checkpoint], progress)
        except Refused as refused:
            return message_html(refused)
        except Exception:
            logger.exception("A video could not be analysed")
            return message_html(Refused("broken"))

    with gradio.Blocks(title="RDFER: emotion in a video of a face", analytics_enabled=False) as demo:
        gradio.HTML(NOTICE)
        with gradio.Tab("Video"), gradio.Row(elem_classes="rdfer-columns"):
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
        with gradio.Tab("Live camera"):
            gradio.HTML(LIVE, js_on_load="rdfer.live(element)")
        upload = gradio.Textbox(visible=False)
        button.click(
            analyse_upload,
            inputs=[upload, checkpoint],
            outputs=answer,
            api_name="analyse",
            scroll_to_output=True,
            js="async (upload, checkpoint) => [await rdfer.send(), checkpoint]",
            concurrency_limit=MAX_ANALYSES,
        )
    demo.queue(max_size=MAX_WAITING)
    return demo


def launch_demo(models: list[str] | None = None, **launch_options):
    """Serves the demo until the process is interrupted or terminated.

    Args:
        models (`list[str]`, *optional*): folders or names on the Hub to choose from, in addition to the embedded
            checkpoint; the first is the default.
        launch_options: options of `gradio.Blocks.launch`, for example `server_name` and `server_port`.

    Raises:
        OSError: if a checkpoint does not exist or the port is taken.
    """
    stopped = threading.Event()
    with tempfile.TemporaryDirectory(prefix="rdfer-demo-") as folder:
        uploads = Uploads(folder)
        demo = build_demo(models or [], uploads)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the temporary folder is deleted
        # The videos that are analysed at the same time share the cores.
        torch.set_num_threads(max(1, torch.get_num_threads() // MAX_ANALYSES))

        def tidy():
            while not stopped.wait(60):
                uploads.delete_forgotten()

        threading.Thread(target=tidy, daemon=True).start()

        async def example(request: Request):
            return FileResponse(required_file("example/cap13_edit2.mp4"), media_type="video/mp4")

        # The pictures of the cameras are answered about by the model that is the default.
        model = models[0] if models else None
        sessions = LiveSessions(Limits(live_sessions=MAX_LIVE), model, None, "torch", model_facts(model))

        async def live(socket: WebSocket):
            await sessions.run(socket, {"window": 1.0, "step": 0.25})

        routes = [
            WebSocketRoute("/rdfer/live", live),
            Route("/rdfer/upload", uploads.receive, methods=["POST"]),
            Route("/rdfer/example.mp4", example),
        ]
        try:
            _, address, _ = demo.launch(
                prevent_thread_lock=True,
                quiet=True,
                app_kwargs={"routes": routes, "middleware": [Middleware(RefuseForms)]},
                share=False,
                ssr_mode=False,
                footer_links=[],
                # The visitor's own fonts, so that nothing is loaded from other servers.
                theme=gradio.themes.Default(
                    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
                ),
                css=required_file("demo/page.css").read_text(encoding="utf-8"),
                head=f"<script>{required_file('demo/page.js').read_text(encoding='utf-8')}</script>",
                **launch_options,
            )
            print(f"Open {address} in your browser. Press Ctrl+C to stop.", flush=True)
            demo.block_thread()
        finally:
            stopped.set()
            demo.close()


__all__ = ["build_demo", "launch_demo"]
