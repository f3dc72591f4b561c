# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import DATA
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.training_options import FAST
from training import audit
from training.auditing import ray_scoring


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Seven pictures of a real face with two labels, and one that is found to be broken when it is decoded."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("faces")
    for label in ("neutral", "surprise"):
        (root / "train" / label).mkdir(parents=True)
    with open_video(DATA / "cap13_edit2.mp4") as video:
        for number, frame in enumerate(video.get_frames(list(range(0, 700, 100)))):
            picture = Image.fromarray(np.ascontiguousarray(frame.permute(1, 2, 0)))
            picture.save(root / "train" / ("neutral", "surprise")[number % 2] / f"{number}.png")
    whole = (root / "train" / "neutral" / "0.png").read_bytes()
    (root / "train" / "surprise" / "half.png").write_bytes(whole[: len(whole) // 2])
    return root


def run(root: Path, out: Path, *more) -> dict:
    source = ["--dataset", str(root / "train"), "--in-sample", "--output-dir", str(out), "--on-bad-video", "skip"]
    return audit.main([*source, *FAST, "--max-cards", "3", *more])


@pytest.fixture(scope="module")
def expected(root, tmp_path_factory) -> tuple[dict, list[dict]]:
    out = tmp_path_factory.mktemp("local")
    return run(root, out), pq.read_table(out / "audit.parquet").to_pylist()


def check(out: Path, summary: dict, expected):
    """The same files as without Ray."""
    assert summary == expected[0]
    rows = pq.read_table(out / "audit.parquet").to_pylist()
    for row, local in zip(rows, expected[1], strict=True):
        for name, value in local.items():
            if isinstance(value, float) or name == "probabilities":
                assert row[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
            else:
                assert row[name] == value, name
    assert not (out / ray_scoring.FOLDER_NAME).exists()
    assert (out / "audit.html").read_text().count('"clip_frames"') == 3


def test_an_audit_that_was_interrupted_goes_on_with_what_is_missing(root, expected, tmp_path, monkeypatch):
    done, out = [], tmp_path / "out"

    def here(make_worker, arguments, numbers, address):
        worker = make_worker(*arguments)
        for number in numbers:
            if len(done) == 1:
                done.append(None)
                raise OSError("the cluster is gone")
            done.append(number)
            yield worker(number)._asdict()

    monkeypatch.setattr(ray_scoring, "SHARD_SIZE", 3)
    monkeypatch.setattr(ray_scoring, "map_on_ray", here)
    monkeypatch.setitem(sys.modules, "ray", sys)  # asked for, but not needed here
    with pytest.raises(SystemExit, match="the cluster is gone"):
        run(root, out, "--ray")
    check(out, run(root, out, "--ray"), expected)
    assert done == [0, None, 1, 2]


def test_ray_is_for_audits_in_sample(root, tmp_path, capsys):
    with pytest.raises(SystemExit):
        audit.main(["--dataset", str(root / "train"), "--output-dir", str(tmp_path), "--ray"])
    assert "--ray needs --in-sample" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_scores_of_a_cluster_are_those_of_one_process(root, expected, tmp_path, monkeypatch):
    folder = tempfile.mkdtemp(prefix="ray-")
    cluster = RayCluster(folder)
    try:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ray_scoring, "SHARD_SIZE", 3)
        monkeypatch.chdir(root.parent)
        check(tmp_path / "out", run(Path(root.name), tmp_path / "out", "--ray", cluster.address), expected)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
