# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The service as its users run it: a process, asked over HTTP."""

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import av
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from modeling_rdfer import predict
from modeling_rdfer.cli import main
from modeling_rdfer.models.package_data_rdfer import required_file
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.service import BOUNDARY, ServiceProcess, form
from tests.helpers.videos import write_video

CLIP = DATA / "cap13_edit2.mp4"


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory) -> bytes:
    """The first second of the real clip."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == 25:
                break
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture(scope="module")
def shop():
    """A web server with the clip, and with a redirect to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/videos/away"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/videos/clip.mp4")
                self.end_headers()
                return
            found = self.path.startswith("/videos/clip.mp4") or self.path == "/secret"
            self.send_response(200 if found else 404)
            self.end_headers()
            if found:
                self.wfile.write(CLIP.read_bytes())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def service(tmp_path_factory, shop):
    folder = tmp_path_factory.mktemp("service")
    # A video that a request must not be able to read.
    (folder / "place").mkdir()
    shutil.copy(CLIP, folder / "place" / "secret.mp4")
    options = ("--workers", "1", "--max-waiting", "2", "--max-megabytes", "2", "--max-seconds", "60")
    service = ServiceProcess(folder, *options, "--allow-url", f"{shop}/videos/", cwd=folder / "place")
    yield service
    assert service.stop() == 0
    assert service.files() == []
    assert "Traceback" not in service.log.read_text()


def code_of(reply: tuple[int, dict]) -> tuple[int, str]:
    return reply[0], reply[1]["error"]["code"]


def test_the_answer_is_that_of_the_command(service, capsys):
    status, document = service.predict(CLIP.read_bytes(), "?top_k=2", name="C:\\videos\\clip.mp4")
    assert status == 200
    assert main(["predict", "--json", "--top-k", "2", str(CLIP)]) == 0
    expected = json.loads(capsys.readouterr().out)
    (answer,), (wanted,) = document.pop("answers"), expected.pop("answers")
    assert document == expected
    assert answer.pop("file") == "clip.mp4" and wanted.pop("file") == str(CLIP)
    for key in ("predictions", "box"):
        answer.pop(key), wanted.pop(key)
    assert answer == wanted
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(required_file("inference/answer_schema.json").read_text(encoding="utf-8"))
    jsonschema.validate({**document, "answers": [{"file": "x", "error": "y"}]}, schema)
    api = json.loads(service.get("/openapi.json")[1])
    post = api["paths"]["/v1/predict"]["post"]
    assert post["responses"]["200"]["content"]["application/json"]["schema"]["title"] == schema["title"]
    assert "multipart/form-data" in post["requestBody"]["content"]


def test_options_are_those_of_predict(service, short_clip, tmp_path):
    (tmp_path / "short.mp4").write_bytes(short_clip)
    options = {"face": "all", "min_confidence": 1.0, "sampling": "time"}
    _, document = service.predict(short_clip, "?face=all&min_confidence=1&sampling=time&on_missing_face=full_frame")
    (answer,), (wanted,) = document["answers"], predict(tmp_path / "short.mp4", **options)
    assert answer["label"] == "uncertain" and answer["face"] == 0
    assert answer["predictions"][0]["score"] == pytest.approx(wanted["predictions"][0]["score"], abs=1e-4)
    _, document = service.predict(short_clip, "?face_crop=false")
    assert "box" not in document["answers"][0]
    for query in ("?face=left", "?top_k=0", "?min_confidence=2", "?sampling=x", "?on_damage=guess"):
        assert service.predict(short_clip, query)[0] == 422


def test_what_cannot_be_answered_gets_a_reason(service, short_clip, tmp_path):
    assert code_of(service.predict(b"<b>no video</b>")) == (422, "unreadable")
    assert code_of(service.predict(b"")) == (422, "unreadable")
    assert code_of(service.predict(short_clip[: len(short_clip) // 2])) == (422, "unreadable")
    noise = write_video(tmp_path / "noise.mp4", num_frames=10)
    assert code_of(service.predict((tmp_path / "noise.mp4").read_bytes())) == (422, "no_face"), noise
    assert code_of(service.predict(short_clip, "?face=7")) == (422, "unreadable")
    grey = np.full((48, 64, 3), 100, np.uint8)
    for name, shape, fps, seconds in (("long", grey, 1, 62), ("big", np.zeros((2400, 4160, 3), np.uint8), 1, 1)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=fps)
            stream.height, stream.width, stream.pix_fmt = *shape.shape[:2], "yuv420p"
            for _ in range(seconds):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shape, format="rgb24")))
            container.mux(stream.encode())
    assert code_of(service.predict((tmp_path / "long.mp4").read_bytes())) == (422, "too_long")
    assert code_of(service.predict((tmp_path / "big.mp4").read_bytes())) == (422, "too_big")
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    for body, headers in (
        (form(short_clip, field="film"), {"Content_Type": kind}),
        (short_clip, {"Content_Type": "video/mp4"}),
        (b"--wrong", {"Content_Type": kind}),
        (b"video=clip.mp4", {"Content_Type": "application/x-www-form-urlencoded"}),
    ):
        status, _, reply = service.request("POST", "/v1/predict", body, **headers)
        assert (status, json.loads(reply)["error"]["code"]) == (400, "bad_request")
    assert service.predict(short_clip)[0] == 200


def test_too_large_with_and_without_a_stated_length(service):
    host, port = urlsplit(service.url).netloc.split(":")
    head = f"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {3 << 20}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(100)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        start = form(b"")[: form(b"").index(b"\r\n\r\n") + 4]
        chunks = [start, *[bytes(1 << 18)] * 9]
        for chunk in chunks:
            connection.sendall(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        assert b" 413 " in connection.recv(100)


def test_no_file_of_the_server_is_read(service):
    playlists = {
        "names": b"secret.mp4",
        "concat": b"ffconcat version 1.0\n#\xff\nfile secret.mp4\n",
        "hls": b"#EXTM3U\n#\xff\n#EXT-X-TARGETDURATION:40\n#EXTINF:30,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    }
    for content in playlists.values():
        for name in ("clip.mp4", "secret.mp4", "../place/secret.mp4", "list.ffconcat", "list.m3u8"):
            assert code_of(service.predict(content, name=name)) == (422, "unreadable")
    for path in ("/secret.mp4", "/..%2fsecret.mp4", "/docs/..%2f..%2fsecret.mp4", "/v1/predict?video=secret.mp4"):
        assert service.get(path)[0] in (404, 405)


def test_only_allowed_addresses_are_downloaded(service, shop):
    def ask(url):
        body = json.dumps({"url": url}).encode()
        status, _, reply = service.request("POST", "/v1/predict-url", body, Content_Type="application/json")
        reply = json.loads(reply)
        return reply["answers"][0]["file"] if status == 200 else (status, reply["error"]["code"])

    assert ask(f"{shop}/videos/clip.mp4?token=secret") == "clip.mp4"
    for url in (
        f"{shop}/secret",
        f"{shop}/videos/../secret",
        f"{shop}/videos/%2e%2e/secret",
        "file:///etc/passwd",
        str(CLIP),
        f"{shop}@example.org/videos/clip.mp4",
    ):
        assert ask(url) == (403, "url_not_allowed")
    assert ask(f"{shop}/videos/away") == (502, "download_failed")
    assert ask(f"{shop}/videos/nothing") == (502, "download_failed")


def test_a_prefix_names_a_whole_host(capsys):
    assert main(["serve", "--allow-url", "https://example.org"]) == 1
    assert "a host and a path" in capsys.readouterr().err


def test_a_process_that_dies_is_replaced(service, short_clip):
    restarts = service.metric("rdfer_process_restarts_total")
    (child,) = service.children()
    os.kill(child, signal.SIGKILL)  # as the kernel does where memory runs out
    while service.children():
        time.sleep(0.05)
    time.sleep(1)  # its threads end a little later
    assert service.predict(short_clip)[0] == 200
    assert service.metric("rdfer_process_restarts_total") == restarts + 1
    assert service.children() != [child]


def test_more_than_the_queue_holds_is_refused_at_once(service, short_clip):
    with ThreadPoolExecutor(12) as clients:
        replies = list(clients.map(lambda _: service.predict(short_clip), range(12)))
    statuses = [status for status, _ in replies]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 3
    assert {code_of(reply) for reply in replies if reply[0] == 503} == {(503, "busy")}
    assert service.metric('rdfer_requests_total{outcome="busy"}') == statuses.count(503)
    assert service.metric("rdfer_waiting") == service.metric("rdfer_running") == 0


def test_health_and_metrics(service, short_clip):
    status, text = service.get("/health")
    assert status == 200 and json.loads(text)["model"]["name"] == "rdfer-small"
    answered = service.metric('rdfer_requests_total{outcome="answered"}')
    assert service.predict(short_clip)[0] == 200
    assert service.metric('rdfer_requests_total{outcome="answered"}') == answered + 1
    assert service.metric("rdfer_answer_seconds_count") == answered + 1
    assert service.metric('rdfer_answer_seconds_bucket{le="+Inf"}') == answered + 1
    assert service.metric("rdfer_received_bytes_total") > len(short_clip)


def test_it_listens_at_this_computer_only(service):
    port = int(service.url.rsplit(":", 1)[1])
    assert service.url.startswith("http://127.0.0.1:")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port)):
        pass


@pytest.mark.slow
def test_a_client_that_leaves_and_a_slow_one_hold_up_nobody(tmp_path, short_clip):
    service = ServiceProcess(tmp_path, "--workers", "1", "--timeout", "3")
    try:
        host, port = urlsplit(service.url).netloc.split(":")
        head = f"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + form(short_clip)[:2000])
            time.sleep(0.5)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + form(short_clip)[:2000])
            assert b" 408 " in connection.recv(100)
        (child,) = service.children()
        os.kill(child, signal.SIGSTOP)  # as a video would that takes for ever
        assert code_of(service.predict(short_clip)) == (504, "timeout")
        assert service.metric('rdfer_requests_total{outcome="left"}') == 1
        deadline = time.monotonic() + 120
        while service.predict(short_clip)[0] != 200:  # a new process loads the model
            assert time.monotonic() < deadline
        assert service.children() != [child]
    finally:
        assert service.stop() == 0
    assert service.files() == []


@pytest.fixture
def stuck():
    """A web server that never goes on with its answer."""
    goes_on = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"start")
            goes_on.wait()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        goes_on.set()
        server.shutdown()


@pytest.mark.parametrize(
    "numbers, is_stuck",
    [
        ([signal.SIGINT], False),
        pytest.param([signal.SIGTERM], True, marks=pytest.mark.slow),
        pytest.param([signal.SIGINT] * 2, True, marks=pytest.mark.slow),
    ],
)
def test_it_stops_under_load_with_a_reply_to_everyone(tmp_path, short_clip, stuck, numbers, is_stuck):
    service = ServiceProcess(tmp_path, "--workers", "2", "--timeout", "1000", "--allow-url", stuck)
    children = service.children()
    assert len(children) == 2
    host, port = urlsplit(service.url).netloc.split(":")
    head = f"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    address = json.dumps({"url": f"{stuck}clip.mp4"}).encode()
    with ThreadPoolExecutor(9) as clients, socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + form(short_clip)[:2000])
        download = clients.submit(service.request, "POST", "/v1/predict-url", address, Content_Type="application/json")
        for child in children:
            os.kill(child, signal.SIGSTOP)  # as videos would that take for ever
        replies = [clients.submit(service.predict, short_clip) for _ in range(8)]
        while service.metric("rdfer_running") < 2 or service.metric("rdfer_waiting") < 8:
            time.sleep(0.01)
        for number in numbers:
            service.process.send_signal(number)
            time.sleep(0.3)  # of two signals that come together Python would see one
        if not is_stuck:
            for child in children:
                os.kill(child, signal.SIGCONT)
        assert service.process.wait(timeout=120) == 0
        assert b" 503 " in slow.recv(100)
        assert download.result()[0] == 503
        statuses = sorted(reply.result()[0] for reply in replies)
    assert statuses == [503] * 8 if is_stuck else [200, 200] + [503] * 6
    assert service.files() == []
    assert "Traceback" not in service.log.read_text() and "Warning" not in service.log.read_text()
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.slow
def test_a_server_that_is_killed_leaves_nothing(tmp_path, short_clip):
    service = ServiceProcess(tmp_path, "--workers", "1")
    children = service.children()
    assert service.predict(short_clip)[0] == 200
    service.stop(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(children[0], 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a process goes on without its server")
    assert service.files() == []


def test_what_is_missing_or_wrong_is_one_error(tmp_path, capsys, monkeypatch):
    assert main(["serve", "--port", "0", "--workers", "1", "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().endswith("is not a checkpoint's folder: it has no config.json.")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--model", str(CHECKPOINT)]) == 1
    assert "Address already in use" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 1
    assert "error: the service needs uvicorn: pip install 'modeling-rdfer[serve]'\n" in capsys.readouterr().err
