# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Real sources: a pipe, a file that grows, a stream over HTTP."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import av
import numpy as np
import pytest

from modeling_rdfer import VideoReadError, timeline
from modeling_rdfer.cli import main
from modeling_rdfer.inference import live_source
from modeling_rdfer.inference.live_source import MAX_WAITING, LiveSource
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import DATA, ROOT
from tests.helpers.video_fixtures import make

PIECE = 20_000  # bytes


@pytest.fixture(scope="module")
def stream() -> bytes:
    """Three seconds of the clip as MPEG-TS, 75 frames."""
    file = io.BytesIO()
    with av.open(str(DATA / "cap13_edit2.mp4")) as clip, av.open(file, "w", format="mpegts") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "18", "g": "25"})
        video.width, video.height, video.pix_fmt = 400, 300, "yuv420p"
        for frame, number in zip(clip.decode(video=0), range(75)):
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            out.mux(video.encode(picture))
        out.mux(video.encode())
    return file.getvalue()


@pytest.fixture(scope="module")
def expected(stream, tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "stream.ts"
    path.write_bytes(stream)
    return timeline(path, window=1.0, step=0.5, face="all")


def pieces(stream: bytes):
    return (stream[start : start + PIECE] for start in range(0, len(stream), PIECE))


def check(lines: str, expected):
    answers = {answer["end_seconds"]: answer for answer in map(json.loads, lines.splitlines())}
    for window in expected:
        answer = next(answers[end] for end in answers if abs(end - window.end_seconds) < 0.01)
        assert answer["label"] == window.label and answer["person"] == 0
        scores = {prediction["label"]: prediction["score"] for prediction in answer["predictions"]}
        assert scores == pytest.approx(window.scores, abs=1e-3)


def test_a_pipe(stream, expected, monkeypatch, capsys):
    reader, writer = os.pipe()

    def write():
        with open(writer, "wb") as file:
            for piece in pieces(stream):
                file.write(piece)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file))
        assert main(["live", "-", "--step", "0.5", "--json"]) == 0
    thread.join()
    output = capsys.readouterr()
    check(output.out, expected)
    assert "75 frames, 0 more dropped" in output.err


def test_a_file_that_grows(stream, expected, tmp_path, capsys):
    path, (first, *rest) = tmp_path / "growing.ts", pieces(stream)
    path.write_bytes(first)

    def write():
        for piece in rest:
            with open(path, "ab") as file:
                file.write(piece)

    thread = threading.Timer(0.3, write)
    thread.start()
    assert main(["live", "--url", str(path), "--step", "0.5", "--json"]) == 0
    thread.join()
    output = capsys.readouterr()
    check(output.out, expected)
    assert "75 frames, 0 more dropped" in output.err


@pytest.mark.decoding
@pytest.mark.parametrize(
    "name",
    [
        *("matrix_0_1_-1_0", "wide_pixels", "interlaced", "pq", "alpha_qtrle"),
        *("second_stream", "thumbnail", "latin1_title"),
    ],
)
def test_frames_are_those_that_are_read_from_the_file(name, tmp_path, monkeypatch):
    monkeypatch.setattr(live_source, "END_OF_FILE", 0.2)
    path = make(name, tmp_path)
    with closing(LiveSource(url=str(path))) as source:
        live, times = zip(*source)
    with open_video(path, "pyav") as video:
        expected = video.get_frames(list(range(len(video))))
    of_file = np.subtract(video.pts_seconds, video.pts_seconds[0])
    assert np.subtract(times, times[0]) == pytest.approx(of_file, abs=1e-5)
    for frame, of_file in zip(live, expected):
        np.testing.assert_array_equal(frame, of_file.permute(1, 2, 0).numpy())


@pytest.fixture
def server(stream):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (*pieces(stream), b""):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/live.ts"
    server.shutdown()
    server.server_close()


def test_a_stream_that_nobody_takes_in_time_loses_its_oldest_frames(server):
    with closing(LiveSource(url=server)) as source:
        source._thread.join()  # all frames have come
        frames = list(source)
        assert len(frames) == MAX_WAITING and source.num_dropped == 75 - MAX_WAITING
    picture, seconds = frames[-1]
    assert picture.shape == (300, 400, 3) and seconds - frames[0][1] == pytest.approx((MAX_WAITING - 1) / 25)


def test_the_command_prints_a_line_for_each_answer(server, capsys):
    assert main(["live", "--url", server]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(" s  person 0  " in line and "agreement" in line for line in lines)


def test_what_cannot_be_read_is_one_error(tmp_path, capsys):
    (tmp_path / "text.ts").write_text("no video " * 1000)
    for url in (str(tmp_path / "text.ts"), "http://max:p@ss@127.0.0.1:9/nothing?token=p@ss"):
        with pytest.raises(VideoReadError, match="Cannot read video") as raised:
            LiveSource(url=url)
    assert "'http://127.0.0.1:9/nothing'" in str(raised.value)  # without the password
    with pytest.raises(VideoReadError, match="camera 77"):
        LiveSource(camera="77")
    assert main(["live", "-", "--camera", "0"]) == 1
    assert "one source" in capsys.readouterr().err
    assert main(["live", "--camera", "77", "--step", "2", "--window", "1"]) == 1
    assert "step must be" in capsys.readouterr().err


def test_jpeg_images_over_http_end_without_an_error(capsys):
    """As network cameras send them."""
    images = []
    with av.open(str(DATA / "cap13_edit2.mp4")) as clip:
        for frame, _ in zip(clip.decode(video=0), range(30)):
            file = io.BytesIO()
            frame.to_image().save(file, "JPEG")
            images.append(file.getvalue())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for image in images:
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image)
                self.wfile.write(head + image + b"\r\n")

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert main(["live", "--url", f"http://127.0.0.1:{server.server_port}/video.mjpg"]) == 0
        server.shutdown()
    assert "person 0  neutral" in capsys.readouterr().out


def test_a_source_that_breaks_off_loses_no_answer(stream, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.ts").write_bytes(stream)
    with open(tmp_path / "broken.ts", "rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=_BreaksOff(file, len(stream) // 2)))
        assert main(["live", "-"]) == 1
    output = capsys.readouterr()
    assert "person 0" in output.out and "Cannot read video '<standard input>'" in output.err


class _BreaksOff:
    """A file that fails after some bytes."""

    def __init__(self, file, length: int):
        self._file, self._length = file, length

    def read(self, size: int) -> bytes:
        if self._file.tell() > self._length:
            raise OSError("the sender is gone")
        return self._file.read(size)


@pytest.mark.parametrize("num_bytes", [0, 20_000])
def test_ctrl_c_ends_a_pipe_that_nothing_comes_from(stream, num_bytes):
    """Of a few bytes FFmpeg does not know yet what they are."""
    command = [sys.executable, "-m", "modeling_rdfer", "live", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        process.stdin.write(stream[:num_bytes])
        process.stdin.flush()
        while b"waiting for the first frames" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(0.5)  # it waits
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read().strip() == b"interrupted"


@pytest.fixture(params=["tcp", "udp"])
def network_camera(request, tmp_path):
    """A server with two seconds of the clip, in which some frames refer to later ones."""
    python, server = "/usr/bin/python3", ROOT / "tests" / "helpers" / "rtsp_server.py"
    try:
        asked = "import gi; gi.require_version('GstRtspServer', '1.0')"
        subprocess.run([python, "-c", asked], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{good,bad} python3-gi")
    path = tmp_path / "clip.mp4"
    with av.open(str(DATA / "cap13_edit2.mp4")) as clip, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(clip.streams.video[0])
        for packet, _ in zip(clip.demux(video=0), range(50)):
            packet.stream = copy
            out.mux(packet)
    with subprocess.Popen([python, server, path, request.param], stdout=subprocess.PIPE, text=True) as process:
        yield f"127.0.0.1:{process.stdout.readline().strip()}/video"
        process.kill()


def test_a_network_camera_with_a_password(network_camera):
    with pytest.raises(VideoReadError, match="401") as raised:
        LiveSource(url=f"rtsp://max:guess@{network_camera}")
    assert "guess" not in str(raised.value)
    with closing(LiveSource(url=f"rtsp://max:secret@{network_camera}")) as source:
        times = [seconds for _, seconds in source]
        assert source.name == f"rtsp://{network_camera}"
        assert source.num_dropped + len(times) >= 49  # UDP may lose the last packet
    # The last frame is one that others before it refer to: the clip was cut off.
    assert np.diff(times[:-1]) == pytest.approx(0.04, abs=1e-3)


@pytest.fixture
def parts():
    """Twelve pictures as a camera on the network sends them: MJPEG with boundaries. One is damaged."""
    file = io.BytesIO()
    with av.open(str(DATA / "cap13_edit2.mp4")) as clip, av.open(file, "w", format="mpjpeg") as out:
        video = out.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 400, 300, "yuvj420p"
        for frame, _ in zip(clip.decode(video=0), range(12)):
            out.mux(video.encode(frame.reformat(format="yuvj420p")))
    first, *others = file.getvalue().split(b"--ffmpeg")
    parts = [b"--ffmpeg" + part for part in others]
    parts[4] = parts[4][:100] + 600 * b"\xff" + parts[4][700:]
    return [first + parts[0], *parts[1:]]


def test_mjpeg_from_the_network_has_the_times_at_which_it_comes(parts):
    goes_on = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=ffmpeg")
            self.end_headers()
            self.wfile.write(b"".join(parts[:9]))
            goes_on.wait()
            self.wfile.write(b"".join(parts[9:]))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with closing(LiveSource(url=f"http://127.0.0.1:{server.server_port}/video")) as source:
            frames = iter(source)
            times = [next(frames)[1] for _ in range(3)]
            time.sleep(0.5)
            goes_on.set()
            times += [seconds for _, seconds in frames]
            assert len(times) == 11 and source.num_dropped == 1
        server.shutdown()
    assert max(np.diff(times)) > 0.1  # FFmpeg would say 0.04


@pytest.mark.parametrize("name", ["h264", "mpjpeg"])
def test_frames_without_times_in_a_pipe_count_as_in_a_file(name, stream, parts, monkeypatch):
    if name == "h264":
        file = io.BytesIO()
        with av.open(io.BytesIO(stream)) as video, av.open(file, "w", format="h264") as out:
            copy = out.add_stream_from_template(video.streams.video[0])
            for packet in video.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
        content = file.getvalue()
    else:
        content = b"".join(part for number, part in enumerate(parts) if number != 4)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    with closing(LiveSource()) as source:
        times = [seconds for _, seconds in source]
    assert times == pytest.approx([number / 25 for number in range(75 if name == "h264" else 11)])
