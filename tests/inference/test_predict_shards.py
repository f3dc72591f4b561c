# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from modeling_rdfer import predict
from modeling_rdfer.cli import main
from modeling_rdfer.inference.predict_shards import predict_shards
from modeling_rdfer.inference.video_list import VideoList
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import DATA
from tests.helpers.ray_cluster import RayCluster

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with three pictures of a face, one of them broken, and a list of them."""
    folder = tmp_path_factory.mktemp("images")
    with open_video(DATA / "cap13_edit2.mp4") as video:
        for number, frame in enumerate(video.get_frames([0, 300])):
            Image.fromarray(np.ascontiguousarray(frame.permute(1, 2, 0))).save(folder / f"{number}.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def write_list(folder, names) -> str:
    path = folder / "list.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    return str(path)


def rows_of(folder) -> list[dict]:
    return pq.read_table(folder).to_pylist()


def test_answers_are_those_of_predict(images, tmp_path):
    names = ["1.jpg", "broken.jpg", "0.jpg", "missing.jpg", "1.jpg"]
    out = tmp_path / "out"
    counts = predict_shards(write_list(images, names), str(out), shard_size=2)
    assert counts == (5, 2)
    expected = predict([{"path": str(images / name)} for name in names], on_error="report")
    rows, labels = rows_of(out), json.loads(pq.read_schema(out / "answers-000000.parquet").metadata[b"label_names"])
    assert [row["file"] for row in rows] == [str(images / name) for name in names]
    for row, answer in zip(rows, expected):
        assert row["error"] == answer.get("error") and row["label"] == answer.get("label")
        if "error" not in answer:
            scores = {prediction["label"]: prediction["score"] for prediction in answer["predictions"]}
            assert row["probabilities"] == pytest.approx([scores[label] for label in labels], abs=1e-6)
            assert row["box"] == pytest.approx(answer["box"]) and row["agreement"] == answer["agreement"]
    assert len(list(out.glob("answers-*"))) == 3


def test_goes_on_with_what_is_missing(images, tmp_path, capsys):
    out, source = tmp_path / "out", write_list(images, ["0.jpg", "1.jpg", "0.jpg"])
    predict_shards(source, str(out), shard_size=1)
    before = rows_of(out)
    kept = (out / "answers-000000.parquet").stat().st_mtime_ns
    (out / "answers-000001.parquet").unlink()
    (out / "_unfinished-0").write_bytes(b"half")  # of a killed process
    assert main(["predict", source, "--out", str(out), "--shard-size", "1"]) == 0
    assert "1 videos predicted, 0 of them" in capsys.readouterr().out
    assert rows_of(out) == before and (out / "answers-000000.parquet").stat().st_mtime_ns == kept
    assert predict_shards(source, str(out), shard_size=1) == (0, 0)
    for change in ({"shard_size": 2}, {"shard_size": 1, "face": "all"}):
        with pytest.raises(ValueError, match="other videos or settings"):
            predict_shards(source, str(out), **change)


def test_a_call_without_answers_does_not_bind_the_next_one(images, tmp_path, monkeypatch):
    out, source = tmp_path / "out", write_list(images, ["0.jpg"])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)  # as if it were not installed
        with pytest.raises(ImportError, match=r"pip install 'modeling-rdfer\[ray\]'"):
            predict_shards(source, str(out), ray="auto")
    assert not out.exists()
    with pytest.raises(OSError, match="no-such-model"):
        predict_shards(source, str(out), model=str(tmp_path / "no-such-model"))
    assert predict_shards(source, str(out)) == (1, 0)


def test_a_row_for_each_face(images, tmp_path):
    predict_shards(write_list(images, ["0.jpg", "0.jpg", "broken.jpg"]), str(tmp_path / "out"), face="all")
    assert [row["face"] for row in rows_of(tmp_path / "out")] == [0, 0, None]


def test_folders_lists_and_videos_on_other_file_systems(images, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe("/in/face.jpg", (images / "0.jpg").read_bytes())
    memory.pipe("/in/list.txt", f"face.jpg\n\n{images / '0.jpg'}\nmemory://in/none.jpg\n".encode())
    assert predict_shards("memory://in/list.txt", "memory://out") == (3, 1)
    with memory.open("/out/answers-000000.parquet") as file:
        remote, local, missing = pq.read_table(file).to_pylist()
    assert remote["probabilities"] == local["probabilities"] and remote["file"] == "memory://in/face.jpg"
    assert missing["error"].startswith("memory://in/none.jpg: ")
    shutil.copy(DATA / "cap13_edit2.mp4", tmp_path)
    videos = VideoList(str(tmp_path), 10)
    assert videos.shard(0) == [str(tmp_path / "cap13_edit2.mp4")]


def test_a_list_is_read_by_shards(tmp_path):
    names = [f"/videos/{number}.mp4" for number in range(25)]
    videos = VideoList(write_list(tmp_path, names), 10)
    assert (len(videos), videos.num_shards) == (25, 3)
    assert [videos.shard(number) for number in range(3)] == [names[:10], names[10:20], names[20:]]
    with pytest.raises(ValueError, match=r"list.txt names no video"):
        VideoList(write_list(tmp_path, []), 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.txt", "b.txt", "--out", "o"], "one folder"),
        (["a.txt", "--ray"], "--ray needs --out"),
        (["a.txt", "--out", "o", "--json"], "--json and --top-k"),
        (["none.txt", "--out", "o"], "none.txt"),
    ],
)
def test_wrong_options_are_explained(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def cluster():
    folder = tempfile.mkdtemp(prefix="ray-")
    cluster = RayCluster(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


def start_on(cluster, source, out):
    command = [sys.executable, "-m", "modeling_rdfer", "predict", source, "--out", str(out), "--shard-size", "1"]
    return subprocess.Popen(
        [*command, "--ray", cluster.address],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_files(process, out, count):
    while len(list(out.glob("answers-*"))) < count:
        assert process.poll() is None, process.stdout.read()[-4000:]
        time.sleep(0.05)


@needs_ray
@pytest.mark.slow
def test_ray_answers_as_this_process_does_though_driver_and_node_are_killed(images, tmp_path, cluster):
    """Nothing is lost and nothing doubled."""
    source = write_list(images, ["0.jpg", "broken.jpg", "1.jpg"] * 30)
    local, out = tmp_path / "local", tmp_path / "ray"
    predict_shards(source, str(local), shard_size=1)
    driver = start_on(cluster, source, out)
    wait_for_files(driver, out, 10)
    driver.kill()
    driver.wait()
    time.sleep(3)
    num_done = len(list(out.glob("answers-*")))
    assert 10 <= num_done < 90
    driver = start_on(cluster, source, out)
    wait_for_files(driver, out, num_done + 10)
    cluster.kill_node()
    output, _ = driver.communicate()
    assert driver.returncode == 0, output[-4000:]
    assert f"has {num_done} of 90 files already" in output and f"{90 - num_done} videos predicted" in output
    assert sorted(os.listdir(out)) == sorted(os.listdir(local))
    for row, expected in zip(rows_of(out), rows_of(local), strict=True):
        probabilities = expected.pop("probabilities")
        assert row.pop("probabilities") == (probabilities and pytest.approx(probabilities, abs=1e-6))
        assert row == expected
