# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import contextlib
import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from modeling_rdfer import predict
from modeling_rdfer.cli import main
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import AEN_CHECKPOINT, DATA, ROOT
from tests.helpers.videos import ODD_NAMES, write_video

CLIP = DATA / "cap13_edit2.mp4"


@pytest.mark.parametrize(
    "command", [[str(Path(sys.executable).with_name("rdfer"))], [sys.executable, "-m", "modeling_rdfer"]]
)
def test_predict_as_a_command(command):
    result = subprocess.run([*command, "predict", str(CLIP), "--json"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (answer,) = json.loads(result.stdout)["answers"]
    expected = predict(CLIP)
    assert answer["file"] == str(CLIP)
    assert [p["label"] for p in answer["predictions"]] == [p["label"] for p in expected["predictions"]]
    for left, right in zip(answer["predictions"], expected["predictions"]):
        assert left["score"] == pytest.approx(right["score"], abs=1e-5)


@pytest.mark.parametrize(
    "encoding", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("utf-8", "utf-8:surrogateescape")), "ascii"]
)
def test_predict_shows_files_of_any_name(tmp_path, encoding):
    image = Image.fromarray(open_video(CLIP).get_frames([10])[0].permute(1, 2, 0).numpy())
    names = [os.fsdecode(name.replace(b".mp4", b".gif")) for name in (*ODD_NAMES, "\u00e9.mp4".encode())]
    (tmp_path / "videos").mkdir()
    for name in names:
        image.save(tmp_path / "videos" / name)
    command = [sys.executable, "-m", "modeling_rdfer", "predict", "--top-k", "1", "videos"]
    run = {"capture_output": True, "check": True, "cwd": tmp_path}
    run["env"] = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    answers = json.loads(subprocess.run([*command, "--json"], **run).stdout.decode(encoding.partition(":")[0]))[
        "answers"
    ]
    assert sorted(answer["file"] for answer in answers) == sorted(f"videos/{name}" for name in names)
    table = subprocess.run([*command, "videos/caf\udce9.gif"], **run).stdout.decode(encoding.partition(":")[0])
    lines = [line for line in table.splitlines() if "agreement" in line]
    assert len(lines) == len(names) + 1 and r"'videos/new\nline.gif'  neutral  " in table
    assert lines[-1].startswith(r"'videos/caf\udce9.gif'  neutral  ")


def test_predict_into_a_string():
    """As notebooks and tests catch what is printed: such an output has no encoding."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["predict", str(CLIP), "--json"]) == 0
    assert json.loads(output.getvalue())["answers"][0]["label"] == "neutral"


def test_a_reader_that_has_seen_enough_is_no_error():
    """As `rdfer env | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "modeling_rdfer", "env"], stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert (result.returncode, result.stderr) == (1, "")


def test_predict_shows_the_sentiment_of_aen(capsys):
    model = str(AEN_CHECKPOINT)
    sentiment = predict(CLIP, model)["sentiment"]
    assert main(["predict", str(CLIP), "--model", model]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(f"agreement of the clips 1.00  sentiment neutral {sentiment['score']:.4f}")
    assert main(["predict", str(CLIP), "--model", model, "--json", "--top-k", "1"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["sentiment"] == {"label": "neutral", "score": pytest.approx(sentiment["score"])}
    assert main(["predict", str(CLIP)]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"{CLIP}  neutral  agreement of the clips 1.00" and len(others) == len(lines) == 7


def test_predict_with_a_least_confidence(capsys):
    arguments = ["predict", str(CLIP), "--min-confidence", "1"]
    assert main(arguments) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{CLIP}  uncertain  ") and len(lines) == 7
    assert main([*arguments, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["label"] == "uncertain" and answer["predictions"][0]["label"] == "neutral"


def test_predict_reports_bad_files_goes_on_and_exits_with_1(capsys, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("text")
    assert main(["predict", str(broken), str(CLIP), "--top-k", "1"]) == 1
    captured = capsys.readouterr()
    assert "neutral" in captured.out and "surprise" not in captured.out
    assert "broken.mp4" in captured.err and "1 of 2" in captured.err

    assert main(["predict", str(broken), str(CLIP), "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)["answers"]
    assert first.keys() == {"file", "error"} and "predictions" in second


def test_predict_takes_folders_of_videos_and_of_frames(capsys, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("b.mp4", "a.MP4"):
        shutil.copy(CLIP, tmp_path / "videos" / name)
    (tmp_path / "videos" / "notes.txt").write_text("not a video")
    assert main(["predict", str(tmp_path / "videos"), "--json", "--batch-size", "2"]) == 0
    assert [Path(answer["file"]).name for answer in json.loads(capsys.readouterr().out)["answers"]] == [
        "a.MP4",
        "b.mp4",
    ]

    (tmp_path / "frames").mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 100, 50)).save(tmp_path / "frames" / f"{number}.png")
    assert main(["predict", str(tmp_path / "frames"), "--json", "--no-face-crop"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["file"].endswith("frames") and len(answer["predictions"]) == 7


def test_predict_answers_for_each_image(capsys, tmp_path):
    """A list of images is one video for the functions, but nobody means that who names two files."""
    files = [str(tmp_path / name) for name in ("a.jpg", "b.png")]
    for file, frame in zip(files, open_video(CLIP).get_frames([100, 700])):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(file)
    assert main(["predict", *files, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert [answer["file"] for answer in answers] == files
    assert predict(files[1])["predictions"][0]["label"] == answers[1]["predictions"][0]["label"]
    assert answers[0]["predictions"] != answers[1]["predictions"]

    (tmp_path / "b.png").write_bytes(b"no image")
    assert main(["predict", *files]) == 1
    captured = capsys.readouterr()
    assert files[0] in captured.out and f"Cannot read video '{files[1]}': found an image" in captured.err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["predict"], "VIDEO"),
        (["predict", "a.mp4", "--top-k", "0"], "above 0"),
        (["predict", "a.mp4", "--face", "left"], "largest, all"),
        (["predict", "a.mp4", "--min-confidence", "70"], "must be above 0 and at most 1, got 70"),
        (["timeline", "a.mp4", "--min-confidence", "0"], "must be above 0 and at most 1, got 0"),
        (["predict", "a.mp4", "--min-confidence", "high"], "invalid float value: 'high'"),
        (["timeline", "a.mp4", "--window", "-1"], "above 0"),
        (["timeline", "a.mp4", "--step", "soon"], "invalid float value: 'soon'"),
        ([], "COMMAND"),
    ],
)
def test_wrong_arguments_are_explained(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_checkpoint_is_one_error(capsys, tmp_path):
    assert main(["predict", str(CLIP), "--model", str(tmp_path / "nowhere")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error:") and "nowhere" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["predict", str(CLIP), "--device", "toaster"], "toaster"),
        (["predict", str(CLIP), "--model", str(DATA)], "config.json"),
        (["timeline", str(CLIP), "--out", "talk.xyz"], ".xyz"),
        (["timeline", str(CLIP), "--model", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_what_cannot_work_is_one_error(capsys, arguments, message):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "error:" in error and message in error


def test_a_wrong_decoder_variable_is_explained(capsys, monkeypatch):
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "vlc")
    assert main(["predict", str(CLIP)]) == 1
    assert "RDFER_VIDEO_DECODER" in capsys.readouterr().err
    assert main(["env"]) == 1
    out = capsys.readouterr().out
    assert "'vlc'" in out and "transformers" in out
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "")
    assert main(["env"]) == 0


def test_timeline_without_a_suffix_is_a_png_and_a_bad_video_leaves_nothing(capsys, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("text")
    assert main(["timeline", str(broken), "--out", str(tmp_path / "new" / "talk")]) == 1
    assert not (tmp_path / "new").exists()
    assert main(["timeline", str(CLIP), "--window", "15", "--step", "15", "--out", str(tmp_path / "talk")]) == 0
    assert f"wrote {tmp_path / 'talk.png'}" in capsys.readouterr().out and (tmp_path / "talk.png").exists()


@pytest.mark.parametrize("name", [b"$a$b.mp4", b"$\\frac.mp4", b"caf\xe9.mp4", b"new\nline.mp4"], ids=ascii)
def test_timeline_of_a_video_of_any_name(tmp_path, name):
    video = write_video(tmp_path / "a.mp4").rename(tmp_path / os.fsdecode(name))
    assert main(["timeline", str(video), "--no-face-crop", "--out", str(tmp_path / "out.png")]) == 0
    assert (tmp_path / "out.png").exists()


def test_timeline_writes_picture_and_table(capsys, tmp_path):
    out = tmp_path / "new_folder" / "talk.png"
    assert main(["timeline", str(CLIP), "--window", "4", "--step", "4", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.width >= 1000 and len(set(picture.convert("RGB").resize((60, 40)).getdata())) > 50
    with open(out.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    labels = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]
    assert list(rows[0]) == ["start_seconds", "end_seconds", "label", *labels, "agreement"]
    assert [float(row["start_seconds"]) for row in rows[:-1]] == [0, 4, 8, 12, 16, 20, 24]
    for row in rows:
        scores = {label: float(row[label]) for label in labels}
        assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
        assert row["label"] == max(scores, key=scores.get)
    assert str(out) in capsys.readouterr().out


def test_timeline_draws_and_writes_uncertain_windows(capsys, tmp_path):
    out = tmp_path / "talk.svg"
    arguments = ["timeline", str(CLIP), "--window", "2", "--step", "2", "--out", str(out)]
    assert main([*arguments, "--min-confidence", "1"]) == 0
    with open(out.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    uncertain = sum(row["label"] == "uncertain" for row in rows)
    assert uncertain and f"{len(rows)} windows, {uncertain} of them uncertain" in capsys.readouterr().out
    assert "<!-- uncertain -->" in out.read_text()  # in the band or the legend


def test_timeline_writes_the_table_only(tmp_path):
    assert main(["timeline", str(CLIP), "--window", "10", "--step", "10", "--out", str(tmp_path / "t.csv")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_timeline_writes_the_same_as_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    command = ["timeline", str(CLIP), "--window", "10", "--step", "10", "--out"]
    assert main([*command, str(tmp_path / "t.parquet")]) == 0 and main([*command, str(tmp_path / "t.csv")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.parquet"]
    table = parquet.read_table(tmp_path / "t.parquet")
    labels = json.loads(table.schema.metadata[b"label_names"])
    assert json.loads(table.schema.metadata[b"model"])["name"] == "rdfer-small"
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table) == 4
    for row, other in zip(table.to_pylist(), rows):
        assert (row["file"], row["person"], row["label"]) == (str(CLIP), 0, other["label"])
        assert row["probabilities"] == pytest.approx([float(other[label]) for label in labels], abs=1e-5)
        assert len(row["box"]) == 4 and row["frame_size"] == [400, 300] and row["warnings"] == []


def test_timeline_of_a_bad_file_is_one_error(capsys, tmp_path):
    assert main(["timeline", str(tmp_path / "missing.mp4"), "--out", str(tmp_path / "t.csv")]) == 1
    assert "missing.mp4" in capsys.readouterr().err


def test_env_names_versions_and_the_decoder(capsys, monkeypatch):
    import torch

    monkeypatch.setenv("RDFER_VIDEO_DECODER", "pyav")
    assert main(["env"]) == 0
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.split()[0] in ("torch", "av")
    )
    assert lines["torch"] == torch.__version__.split("+")[0] or lines["torch"] == torch.__version__
    assert main(["env"]) == 0
    out = capsys.readouterr().out
    assert re.search("^video decoder +pyav$", out, re.M) and "torchcodec finds FFmpeg" in out
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "opencv")
    assert main(["env"]) == 1
    assert "none, videos cannot be read: RDFER_VIDEO_DECODER is 'opencv'" in capsys.readouterr().out


def test_ports_that_the_demo_cannot_use_are_named(capsys):
    pytest.importorskip("gradio")
    assert main(["demo", "--port", "99999"]) == 1
    assert "ports go up to 65535" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert main(["demo", "--port", str(server.getsockname()[1])]) == 1
    assert "is used by another program" in capsys.readouterr().err
