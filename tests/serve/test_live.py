# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Live frames as clients send them: over a WebSocket, to a service in a process."""

import io
import json
import signal
import time

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync import client

from modeling_rdfer import LiveRecognizer
from modeling_rdfer.inference.json_answers import window_document
from modeling_rdfer.models.package_data_rdfer import required_file
from tests.helpers.paths import DATA
from tests.helpers.service import ServiceProcess

CLIP = DATA / "cap13_edit2.mp4"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = ServiceProcess(tmp_path_factory.mktemp("live"), "--workers", "1", "--live-sessions", "2")
    yield service
    assert service.stop() == 0
    assert service.files() == []
    assert "Traceback" not in service.log.read_text()


@pytest.fixture(scope="module")
def frames():
    """Pictures and times of 1.6 s."""
    with av.open(str(CLIP)) as container:
        return [(f.to_ndarray(format="rgb24"), f.time) for f, _ in zip(container.decode(video=0), range(40))]


def connect(service, query="", **options):
    return client.connect(service.url.replace("http", "ws") + f"/v1/live{query}", open_timeout=60, **options)


def encoded(picture, kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def receive(socket) -> dict:
    return json.loads(socket.recv(timeout=120))


def closed_with(socket) -> tuple[int, str]:
    """Code of the protocol, and of the last message."""
    code = receive(socket)["error"]["code"]
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=120)
    return closed.value.rcvd.code, code


def test_the_answers_are_those_of_the_recognizer(service, frames):
    recognizer, windows, expected = LiveRecognizer(window=1.0, step=0.5), [], []
    with connect(service, "?window=1&step=0.5") as socket:
        start = receive(socket)
        assert start["model"]["name"] == "rdfer-small" and start["window_seconds"] == 1.0
        for number, (picture, seconds) in enumerate(frames):
            socket.send(json.dumps({"time_seconds": seconds}))
            socket.send(encoded(picture))
            reply = receive(socket)
            assert (reply["frame"], reply["num_dropped"]) == (number, 0)
            windows += reply["windows"]
            expected += [window_document(window) for window in recognizer.update(picture, seconds)]
        assert service.metric("rdfer_live_sessions") == 1
    assert len(windows) == len(expected) == 3
    for window, other in zip(windows, expected):
        scores, others = ({each["label"]: each["score"] for each in w.pop("predictions")} for w in (window, other))
        assert scores == pytest.approx(others, abs=1e-3)
        assert window["box"] == pytest.approx(other["box"], abs=0.2)
        assert {**window, "box": None} == {**other, "box": None}
    schema = json.loads(required_file("inference/answer_schema.json").read_text(encoding="utf-8"))
    jsonschema = pytest.importorskip("jsonschema")
    window["predictions"] = []
    jsonschema.validate(window, {"$ref": "#/$defs/window", "$defs": schema["$defs"]})


def test_jpeg_and_webp_and_what_is_no_image(service, frames):
    picture = frames[0][0]
    with connect(service) as socket:
        receive(socket)
        for kind in ("JPEG", "WEBP"):
            socket.send(encoded(picture, kind))
            assert receive(socket)["windows"] == []
        for wrong in (b"", b"no image", encoded(picture)[:1000], encoded(picture, "BMP")):
            socket.send(wrong)
            assert receive(socket)["error"]["code"] == "unreadable"
        socket.send(encoded(np.zeros((3000, 4000, 3), np.uint8)))
        assert receive(socket)["error"]["code"] == "too_big"
        socket.send(encoded(picture))
        assert "windows" in receive(socket)  # the session goes on


def test_frames_that_come_too_fast_are_dropped_and_counted(service, frames):
    with connect(service) as socket:
        receive(socket)
        for picture, _ in frames:
            socket.send(encoded(picture, "JPEG"))
        replies = [receive(socket)]
        while replies[-1]["frame"] < len(frames) - 1:
            replies.append(receive(socket))
        numbers = [reply["frame"] for reply in replies]
        assert numbers == sorted(numbers)
        assert replies[-1]["num_dropped"] == len(frames) - len(replies)


def test_limits(service, frames):
    with connect(service) as first, connect(service) as second:
        receive(first), receive(second)
        with connect(service) as third:
            assert closed_with(third) == (1013, "busy")
        first.send(bytes((2 << 20) + 1))
        with pytest.raises(ConnectionClosed) as closed:
            first.recv(timeout=120)
        assert closed.value.rcvd.code == 1009  # the message is too big
        second.send("now")
        assert closed_with(second) == (1008, "bad_request")
    for query in ("?window=0", "?step=-1", "?min_confidence=2"):
        with pytest.raises(InvalidStatus):
            connect(service, query)
    while service.metric("rdfer_live_sessions"):
        time.sleep(0.05)
    with connect(service, "?window=1&step=2") as socket:
        assert closed_with(socket) == (1008, "bad_request")


def test_pages_of_other_sites_are_refused(service):
    with pytest.raises(InvalidStatus):
        connect(service, origin="https://example.org")
    with connect(service, origin=service.url) as socket:
        receive(socket)


@pytest.mark.slow
def test_it_stops_during_a_session(tmp_path, frames):
    service = ServiceProcess(tmp_path, "--workers", "1")
    with connect(service) as socket, connect(service) as idle:
        receive(socket), receive(idle)
        socket.send(encoded(frames[0][0]))
        receive(socket)
        assert service.stop(signal.SIGTERM) == 0
        for each in (socket, idle):
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    each.recv(timeout=60)
            assert closed.value.rcvd.code == 1012  # the service starts again
    assert "Traceback" not in service.log.read_text()
