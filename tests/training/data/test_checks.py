# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from modeling_rdfer import RDFERVideoProcessor, VideoReadError
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from tests.helpers.paths import DATA
from tests.helpers.training_options import FAST, TINY
from tests.helpers.video_fixtures import make
from training import audit, cross_validate, evaluate, figures, prepare, train
from training.data.checks import check_videos, find_unreadable_videos
from training.data.labelled_videos import LabelledVideos
from training.datasets import load

CLIP = DATA / "cap13_edit2.mp4"
PROCESSOR = RDFERVideoProcessor(num_frames=4, size={"height": 16, "width": 16})
ARGUMENTS = RDFERTrainingArguments("unused", use_cpu=True, disable_tqdm=True, report_to="none")


def test_bad_videos_stop_before_training_or_are_left_out(root, caplog, monkeypatch):
    (root / "happy" / "broken.mp4").write_bytes(b"nothing")
    (root / "sad" / "cut.mp4").write_bytes(CLIP.read_bytes()[:100_000])
    videos = LabelledVideos.from_dataset(load("videofolder", root)["train"], "train")
    with pytest.raises(VideoReadError, match=r"broken.mp4.*And 1 more.*--on-bad-video skip"):
        check_videos(videos)
    monkeypatch.setattr(logging.getLogger("training.data.checks"), "propagate", True)
    kept = check_videos(videos, "skip")
    assert kept.sample_ids == ["happy/a", "happy/b", "sad/c", "sad/clip.mp4"]
    assert kept.columns["num_frames"] == [12, 12, 12, 765]
    text = caplog.text
    assert "broken.mp4" in text and "cut.mp4" in text and "2 of 6 videos" in text


@pytest.fixture(scope="module")
def damaged_list(tmp_path_factory) -> Path:
    """A list of two folds, each with an intact and a damaged video, of 25 frames. One more is damaged too much."""
    folder = tmp_path_factory.mktemp("damaged")
    make("noise", folder)
    rows = ["path,label,fold"]
    for fold, (intact, damaged) in enumerate([("matrix_1_0_0_1", "zeros_inside"), ("wide_pixels", "end_missing")], 1):
        rows += [f"{make(intact, folder).name},happy,{fold}", f"{make(damaged, folder).name},sad,{fold}"]
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def test_readable_frames_of_damaged_videos_are_counted(damaged_list, caplog, monkeypatch):
    videos = LabelledVideos.from_dataset(load("videolist", damaged_list)["train"], "train")
    with pytest.raises(VideoReadError, match=r"end_missing.mp4.*--on-bad-video skip"):
        check_videos(videos)
    errors = find_unreadable_videos(check_videos(videos, "skip"), {"happy": 0, "sad": 1}, PROCESSOR, ARGUMENTS)
    assert "zeros_inside.mp4" in str(errors.pop(1)) and not errors
    monkeypatch.setattr(logging.getLogger("training.data.checks"), "propagate", True)
    kept = check_videos(videos, on_damage="use_readable")
    lost = kept.columns["num_unreadable"]
    assert lost[0] == lost[2] == 0 < min(lost[1], lost[3])
    assert [used + missing for used, missing in zip(kept.columns["num_frames"], lost)] == [25] * 4
    counts = f"2 of 4 videos are damaged: {50 - lost[1] - lost[3]} of their 50 frames can be decoded"
    assert counts in caplog.text and "zeros_inside.mp4, end_missing.mp4" in caplog.text
    assert find_unreadable_videos(kept, {"happy": 0, "sad": 1}, PROCESSOR, ARGUMENTS) == {}
    with open(damaged_list, "a") as file:
        file.write("noise.mp4,sad,1\n")
    videos = LabelledVideos.from_dataset(load("videolist", damaged_list)["train"], "train")
    damaged_list.write_text(damaged_list.read_text().replace("noise.mp4,sad,1\n", ""))
    with pytest.raises(VideoReadError, match=r"noise.mp4.*a damaged file of which \d+ of \d+ frames can be decoded"):
        check_videos(videos, on_damage="use_readable")


def test_every_script_takes_the_readable_frames_if_asked(damaged_list, tmp_path, monkeypatch, caplog):
    data, model = ["--dataset", str(damaged_list), "--no-face-crop"], tmp_path / "train"
    training = ["--num-train-epochs", "1", *TINY, *FAST]
    scripts = {
        "train": (train.main, [*data, "--fold", "1", *training]),
        "cross_validate": (cross_validate.main, [*data, "--folds", "1-2", *training]),
        "evaluate": (evaluate.main, [*data, "--fold", "2", "--model", str(model)]),
        "figures": (figures.main, [*data, "--fold", "2", "--model", str(model), "--only", "agreement"]),
        "audit": (audit.main, [*data, "--in-sample", "--model", str(model), *FAST]),
        "folds": (audit.main, [*data, "--folds", "2", *training]),
        "prepare": (prepare.main, [*data, "--size", "32", "--num-frames", "4"]),
    }
    results = {}
    for name, (script, arguments) in scripts.items():
        arguments = [*arguments, "--output-dir", str(tmp_path / name)]
        with pytest.raises((SystemExit, VideoReadError)):
            script(arguments)
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        results[name] = script([*arguments, "--on-damage", "use_readable"])
    assert results["evaluate"]["eval_samples"] == 2 and results["evaluate"]["damaged_videos"] == 1
    assert results["figures"]["videos"] == 2 and results["figures"]["damaged_videos"] == 1
    assert [fold["samples"] for fold in results["cross_validate"]["folds"].values()] == [2, 2]
    for file in ("train/sample_table.parquet", "audit/audit.parquet", "folds/audit.parquet"):
        table = {row["sample_id"]: row for row in pq.read_table(tmp_path / file).to_pylist()}
        for name in table:
            assert table[name]["num_frames"] + table[name]["num_unreadable"] == 25 and table[name]["decode_ok"]
            assert (table[name]["num_unreadable"] > 0) == (name in ("zeros_inside.mp4", "end_missing.mp4"))
    assert results["prepare"]["damaged"] == 2 and results["prepare"]["skipped"] == []
    assert "2 clips, of which the frames that could be decoded" in (tmp_path / "prepare" / "README.md").read_text()
    # A prepared set is intact, and training on it needs no option.
    train.main(["--dataset", str(tmp_path / "prepare"), "--fold", "1", "--output-dir", str(tmp_path / "b"), *training])
    assert pq.read_table(tmp_path / "b" / "sample_table.parquet").num_rows == 2
