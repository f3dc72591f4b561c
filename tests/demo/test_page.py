# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The demo as a Space runs it, in a real browser."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import av
import numpy as np
import pytest

from modeling_rdfer.cli import main
from tests.conftest import CHROMIUM_FLAGS, chromium
from tests.helpers.paths import DATA, ROOT

CLIP = DATA / "cap13_edit2.mp4"
ANSWER, MESSAGE = "#answer .rdfer-answer", "#answer .rdfer-message"
EMBEDDED = "rdfer-small (embedded)"
# Milliseconds to wait for a part of the page. An answer takes some seconds.
TIMEOUT = 60_000


class Server:
    """A demo in a process, with a temporary folder of its own."""

    def __init__(self, command: list[str], folder: Path, cwd: Path, **environment: str):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GRADIO", "RDFER"))},
            **{"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"},
            **environment,
        }
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT)
        while not (found := re.search(r"Open (http://\S+?)/? in", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        self.url = found[1]

    def files(self) -> list[str]:
        """Files that visitors left: uploads, and what Gradio keeps."""
        return [path.name for path in self.temporary.rglob("*") if path.is_file()]

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, dict]:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}/{path}", body, headers)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def send(self, path: Path) -> str:
        status, reply = self.post("rdfer/upload", path.read_bytes(), Content_Type="application/octet-stream")
        assert status == 200
        return reply["upload"]

    def ask(self, *data) -> str:
        """Calls the page's function as a program would; returns its events."""
        _, reply = self.post(
            "gradio_api/call/analyse", json.dumps({"data": data}).encode(), Content_Type="application/json"
        )
        with urllib.request.urlopen(f"{self.url}/gradio_api/call/analyse/{reply['event_id']}") as events:
            return events.read().decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The folder that is uploaded as a Space, run like a Space."""
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("space")
    subprocess.run(["make", "space", f"SPACE={folder / 'files'}"], cwd=ROOT, check=True, capture_output=True)
    # Visitors can choose the embedded checkpoint or a copy of it that is marked as calibrated.
    calibrated = shutil.copytree(ROOT / "hub_cards" / "rdfer-small", folder / "calibrated")
    config = json.loads((calibrated / "config.json").read_text())
    (calibrated / "config.json").write_text(json.dumps({**config, "calibration_temperature": 5.0}))
    server = Server(
        [sys.executable, "app.py"],
        folder,
        folder / "files",
        RDFER_MODELS=str(calibrated),
        GRADIO_SERVER_NAME="127.0.0.1",
    )
    yield server
    server.stop()
    assert "A video could not be analysed" not in server.log.read_text()


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """After each test no upload is left on the server."""
    yield
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        deadline = time.monotonic() + 10  # the server notices a lost connection a little later
        while server.files() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert server.files() == []


@pytest.fixture
def visit(server, browser):
    """Opens the page for another visitor. Requests to other hosts and errors of scripts fail the test."""
    contexts, trouble = [], []

    def open_page(width: int = 1280):
        context = browser.new_context(viewport={"width": width, "height": 850}, permissions=["camera"])
        context.set_default_timeout(TIMEOUT)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith((server.url, "blob:", "data:")) or trouble.append(request.url),
        )
        page.goto(server.url)
        page.wait_for_selector(".rdfer-drop")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def write_video(path: Path, frames, fps: int, codec: str = "libx264") -> Path:
    """Frames: (height, width, 3) uint8 each."""
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def segments() -> list[tuple[float, float, str]]:
    """Hand-labelled stretches of the clip: start, end, label."""
    with (DATA / "cap13_segments.csv").open() as file:
        return [tuple(row.values())[1:] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def stretches(tmp_path_factory, segments) -> dict[str, Path]:
    """Label -> a short video of the real face with that expression."""
    folder, videos = tmp_path_factory.mktemp("stretches"), {}
    for start, end, label in segments:
        if label not in videos:
            with av.open(str(CLIP)) as container:
                frames = [
                    frame.to_ndarray(format="rgb24")
                    for frame in container.decode(video=0)
                    if float(start) <= frame.time < min(float(end), float(start) + 1.5)
                ]
            videos[label] = write_video(folder / f"{label}.mp4", frames, 25)
    return videos


def analyse(page, path=None, wait_for: str = ANSWER):
    if path is not None:
        page.set_input_files("input[type=file]", path)
        page.wait_for_function(
            "name => document.querySelector('.rdfer-name').textContent.includes(name)", arg=path.name
        )
    page.click("#analyse")
    return page.wait_for_selector(wait_for)


def test_the_real_clip_and_its_timeline(visit, segments):
    page = visit()
    assert "not for decisions about people" in page.inner_text(".rdfer-notice").lower()
    page.click("text=Use the example")
    page.wait_for_function("document.querySelector('.rdfer-drop video').duration > 30")
    page.click("input[aria-label=Checkpoint]")
    page.click(f"[role=option]:has-text('{EMBEDDED}')")
    analyse(page)
    assert page.get_attribute(ANSWER, "data-label") == page.inner_text(f"{ANSWER} h2") == "neutral"
    assert "calibrated probability" in page.inner_text(".rdfer-certainty")
    assert "agreement 1.00" in page.inner_text(".rdfer-certainty")

    # Two expressions are shown. The cursor reads the label at its time, and the video moves with it.
    assert page.locator(".rdfer-area svg").bounding_box()["width"] > 300
    assert page.locator(".rdfer-legend li.shown").all_inner_texts() == ["neutral", "surprise"]
    for start, end, label in segments:
        seconds = (float(start) + float(end)) / 2
        page.fill(".rdfer-area input", f"{0.04 * round(seconds / 0.04):.2f}")
        assert page.inner_text(".rdfer-time") == f"{seconds:.1f} s: {label}"
        assert page.evaluate("document.querySelector('.rdfer-drop video').currentTime") == pytest.approx(
            seconds, abs=0.05
        )
    area, line = page.locator(".rdfer-area").bounding_box(), page.locator(".rdfer-cursor").bounding_box()
    assert (line["x"] + 1 - area["x"]) / area["width"] == pytest.approx(seconds / 30.6, abs=0.01)

    # And the cursor follows the video.
    page.fill(".rdfer-area input", "0")
    page.evaluate("document.querySelector('.rdfer-drop video').play()")
    page.wait_for_function("parseFloat(document.querySelector('.rdfer-time').textContent) > 0.5")

    # Four clips of four frames, with faces in them, not grey squares, and their heat maps.
    assert page.locator(".rdfer-clips figure").count() == 4
    assert page.locator(".rdfer-clips img").count() == 2 * 16
    assert all("neutral" in caption for caption in page.locator(".rdfer-clips figcaption").all_inner_texts())
    assert page.evaluate("[...document.querySelectorAll('.rdfer-clips img')].every(i => i.naturalWidth == 48)")


def test_two_visitors_at_once_get_their_own_answers(visit, server, stretches):
    """First different videos at the same time; then the same video, where no visitor deletes the other's upload."""
    pages = {label: visit() for label in ("neutral", "surprise")}
    for label, page in pages.items():
        page.set_input_files("input[type=file]", stretches[label])
        page.click("#analyse")
    for label, page in pages.items():
        page.wait_for_selector(ANSWER)
        assert page.get_attribute(ANSWER, "data-label") == label

    for page in pages.values():
        page.set_input_files("input[type=file]", stretches["surprise"])
        with page.expect_response(lambda response: response.url.endswith("rdfer/upload")):
            page.click("#analyse")
    while server.files():  # one page may show the same answer as before, so both analyses are waited for here
        time.sleep(0.1)
    for page in pages.values():
        page.wait_for_selector(f"{ANSWER}[data-label=surprise]")


def test_a_file_that_is_no_video_gets_a_message_and_the_next_video_an_answer(visit, stretches):
    page = visit()
    analyse(page, wait_for=MESSAGE)
    assert "Choose a video first" in page.inner_text(MESSAGE)

    dropped = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["<b>Not</b> a video. ".repeat(20)], "holiday.mp4", { type: "video/mp4" }));
            return transfer;
        }"""
    )
    page.dispatch_event(".rdfer-drop", "drop", {"dataTransfer": dropped})
    assert page.inner_text(".rdfer-name").startswith("holiday.mp4")
    analyse(page, wait_for=f"{MESSAGE}[data-reason=unreadable]")
    assert "could not be read as a video" in page.inner_text(MESSAGE)
    assert "text file that starts with '<b>Not</b> a video." in page.inner_text(MESSAGE)  # escaped

    analyse(page, stretches["surprise"])
    assert page.get_attribute(ANSWER, "data-label") == "surprise"
    assert "calibrated probability" in page.inner_text(".rdfer-certainty")
    assert page.inner_text(".rdfer-bars li:first-child em") != "> 99.9 %"
    analyse(page)  # the same video again, which the server has deleted
    assert page.get_attribute(ANSWER, "data-label") == "surprise"


def test_too_long_too_big_and_no_face(visit, tmp_path):
    """The browser knows the length of H.264 videos. It cannot play MPEG-4, so the server has to find out."""
    grey = np.full((48, 64, 3), 100, dtype=np.uint8)
    page = visit()
    for codec in ("libx264", "mpeg4"):
        video = write_video(tmp_path / f"{codec}.mp4", [grey] * 125, 1, codec)
        analyse(page, video, f"{MESSAGE}[data-reason=too_long]")
        assert "120 seconds" in page.inner_text(MESSAGE)
        page.reload()
        page.wait_for_selector(".rdfer-drop")
    frame = np.zeros((2400, 4160, 3), dtype=np.uint8)
    analyse(page, write_video(tmp_path / "big.mp4", [frame], 1, "mpeg4"), f"{MESSAGE}[data-reason=too_big]")
    assert "4160 x 2400 pixels" in page.inner_text(MESSAGE)
    noise = np.random.default_rng(0).integers(0, 255, (20, 120, 160, 3), dtype=np.uint8)
    analyse(page, write_video(tmp_path / "noise.mp4", noise, 10), f"{MESSAGE}[data-reason=no_face]")
    assert "No face was found" in page.inner_text(MESSAGE)


def test_too_large(visit, server, tmp_path):
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(101 * 1024 * 1024)
    page = visit()
    sent = []
    page.on("request", lambda request: "rdfer/upload" in request.url and sent.append(request.url))
    analyse(page, large, f"{MESSAGE}[data-reason=too_large]")
    assert "100 MB" in page.inner_text(MESSAGE) and not sent

    # Requests that do not come from the page, with and without a stated length.
    kind = {"Content_Type": "application/octet-stream"}
    assert server.post("rdfer/upload", b"", Content_Length=str(101 << 20), **kind) == (413, {"refused": "too_large"})
    chunk = b"%x\r\n" % (1 << 20) + bytes(1 << 20) + b"\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /rdfer/upload HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(101):
            connection.sendall(chunk)
        assert b" 413 " in connection.recv(100)


def test_a_recording_of_the_camera(visit):
    """A browser's recording has no stated length. The camera's test picture has no face."""
    page = visit()
    page.click("text=Record")
    page.wait_for_timeout(1500)
    page.click("text=Stop recording")
    page.wait_for_function("document.querySelector('.rdfer-name').textContent.startsWith('Recording, ')")
    page.wait_for_function("document.querySelector('.rdfer-drop video').src.startsWith('blob:')")
    analyse(page, wait_for=f"{MESSAGE}[data-reason=no_face]")


@pytest.fixture
def camera(server, browser, stretches, tmp_path):
    """The page in a browser whose camera shows a surprised face."""
    film = tmp_path / "film.y4m"
    with av.open(str(stretches["surprise"])) as source, av.open(str(film), "w", format="yuv4mpegpipe") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = 300, 400, "yuv420p"
        for frame in source.decode(video=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    flags = [*CHROMIUM_FLAGS, f"--use-file-for-fake-video-capture={film}"]
    other = browser.browser_type.launch(executable_path=chromium(), args=flags)
    page = other.new_page(permissions=["camera"])
    page.set_default_timeout(TIMEOUT)
    trouble = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(server.url)
    page.click("role=tab[name='Live camera']")
    yield page
    other.close()
    assert trouble == []


def test_the_live_camera(camera, server):
    camera.click("text=Start the camera")
    camera.wait_for_selector(".rdfer-live .rdfer-answer[data-label=surprise]")
    assert camera.inner_text(".rdfer-live h2") == "surprise"
    assert camera.inner_text(".rdfer-live .rdfer-bars li:first-child span") == "surprise"
    assert camera.evaluate("document.querySelector('.rdfer-live canvas').width") == 400
    assert server.files() == []
    camera.click("text=Stop the camera")
    camera.wait_for_selector("text=Start the camera")
    assert camera.locator(".rdfer-live .rdfer-answer").is_hidden()
    # It can be started again: the session before has ended.
    camera.click("text=Start the camera")
    camera.wait_for_selector(".rdfer-live .rdfer-answer[data-label=surprise]")


def test_without_a_face_the_live_camera_says_so(visit):
    page = visit()
    page.click("role=tab[name='Live camera']")
    page.click("text=Start the camera")
    page.wait_for_selector("text=No face is seen.")
    page.click("text=Stop the camera")
    page.wait_for_selector("text=Start the camera")


def test_phone(visit, tmp_path, stretches):
    """390 pixels: nothing makes the page wider than the screen."""
    page = visit(width=390)

    def overhang():
        return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    page.click(".rdfer-notice summary")
    assert overhang() <= 0
    analyse(page, shutil.copy(stretches["neutral"], tmp_path / f"{'long' * 30}.mp4"))
    assert overhang() <= 0
    assert page.locator(".rdfer-area svg").bounding_box()["width"] > 200


def test_only_what_was_uploaded_is_read_and_only_listed_checkpoints_are_loaded(server, stretches, tmp_path):
    secret = shutil.copy(CLIP, tmp_path / "secret.mp4")
    for token in (str(secret), f"../../../../../../{secret}", "0" * 32):
        assert 'data-reason=\\"gone\\"' in server.ask(token, EMBEDDED)
    assert secret.is_file()

    token = server.send(stretches["neutral"])
    assert 'data-label=\\"neutral\\"' in server.ask(token, EMBEDDED)
    assert 'data-reason=\\"gone\\"' in server.ask(token, EMBEDDED)  # once

    answer = server.ask("", "someone/model-with-code")
    assert answer.startswith("event: error")

    # Forms with a file, also in other letters and to Gradio's own upload, which would keep it; and what a page of
    # another site could send.
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nvideo\r\n--x--\r\n'
    for kind in ("multipart/form-data; boundary=x", "Multipart/Form-Data; boundary=x"):
        for path in ("gradio_api/upload", "gradio_api/upload?upload_id=1", "rdfer/upload"):
            assert server.post(path, form, Content_Type=kind)[0] == 415
    assert server.post("rdfer/upload", b"x", Content_Type="text/plain")[0] == 415


def test_uploads_that_are_cut_are_deleted(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /rdfer/upload HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: 1000000\r\n\r\n" + bytes(1000)
        )
        while not server.files():
            time.sleep(0.05)
    # `nothing_is_left` checks that it is deleted.


def test_rdfer_demo_serves_this_computer_only_and_leaves_nothing(tmp_path, stretches):
    pytest.importorskip("gradio")
    command = [sys.executable, "-m", "modeling_rdfer", "demo", "--model", str(ROOT / "hub_cards" / "rdfer-small")]
    server = Server(command, tmp_path, ROOT, GRADIO_SERVER_NAME="0.0.0.0")
    try:
        assert server.url.startswith("http://127.0.0.1:")
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port)):
            pass
        token = server.send(stretches["neutral"])
        assert 'data-label=\\"neutral\\"' in server.ask(token, command[-1])
        server.send(stretches["neutral"])
        assert server.files()
    finally:
        server.stop()
    assert server.files() == []


def test_rdfer_demo_names_what_is_missing(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gradio")
    assert main(["demo", "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().endswith("is not a checkpoint's folder: it has no config.json.")

    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "error: the demo needs Gradio: pip install 'modeling-rdfer[demo]'\n"


def test_the_space_requires_what_the_package_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["demo"]
    assert (ROOT / "hub_cards/space/requirements.txt").read_text().split() == needed
    card = (ROOT / "hub_cards/space/README.md").read_text()
    (tested,) = re.findall(r"^gradio==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"\nsdk_version: {tested}\n" in card
    minimum = project["requires-python"].removeprefix(">=")
    version = re.search(r'^python_version: "(.+)"$', card, re.MULTILINE)[1]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, minimum.split(".")))
