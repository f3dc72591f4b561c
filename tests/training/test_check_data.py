# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.dataset_replicas import dfew, ferplus_parquet, write_frames, write_list, write_video
from training import check_data
from training.datasets import DATASETS, dataset_options, get_loader


def run(capsys, *arguments) -> tuple[int, str]:
    status = check_data.main([*map(str, arguments), "--num-workers", "2"])
    return status, capsys.readouterr().out


def test_good_data_pass_with_their_counts(tmp_path, capsys):
    status, out = run(capsys, "--dataset", "dfew", "--root", dfew(tmp_path), "--fold", 2)
    assert status == 0 and out.rstrip().endswith("training would run")
    assert "  train                 7  (published 9,356, -9,349)" in out
    assert "  test                  3  (published 2,341, -2,338)" in out
    assert re.search(r"^ +anger +1$", out, re.MULTILINE)
    assert "the numbers of videos differ from the published ones: fold 2, train, fold 2, test" in out
    assert "10 videos:" in out and "short: 10 have fewer than 16 frames" in out and "2 to 2, median 2" in out


def test_still_images_are_counted_and_not_called_short(tmp_path, capsys):
    status, out = run(capsys, "--dataset", "ferplus", "--root", ferplus_parquet(tmp_path))
    assert status == 0 and "short" not in out and "1 to 1, median 1" in out
    assert "  train                 2  (published 24,925, -24,923)" in out
    options = ("--dataset-options", "keep=all,contempt=true")
    status, out = run(capsys, "--dataset", "ferplus", "--root", tmp_path, *options)
    assert "  train                 6\n" in out and "published" not in out and "contempt" in out
    broken = pq.read_table(tmp_path / "train.parquet").slice(0, 1).to_pylist()
    broken[0]["image"]["bytes"] = broken[0]["image"]["bytes"][:60]
    pq.write_table(pa.Table.from_pylist(broken), tmp_path / "train.parquet")
    status, out = run(capsys, "--dataset", "ferplus", "--root", tmp_path)
    assert status == 1 and "cannot be read: 1, an image that cannot be read: fer0000000" in out


def test_all_folds_are_checked_and_those_that_fail_are_named(tmp_path, capsys):
    status, out = run(capsys, "--dataset", "dfew", "--root", dfew(tmp_path))
    assert status == 1 and "training would fail: fold 1: " in out and "set_1.csv" in out
    assert "fold 2:" in out and "training would fail: fold 2" not in out


def test_everything_that_cannot_be_read_is_listed_by_its_reason(tmp_path, capsys):
    frames = dfew(tmp_path) / "Clip" / "clip_224x224"
    shutil.rmtree(frames / "00022")
    for image in (frames / "00333").iterdir():
        image.unlink()
    (frames / "15555" / "00001.jpg").write_bytes(b"\xff\xd8 no image")
    (frames / "16000" / "00002.jpg").write_bytes((frames / "16000" / "00002.jpg").read_bytes()[:200])
    status, out = run(capsys, "--dataset", "dfew", "--root", tmp_path, "--fold", 2)
    assert status == 1
    assert "training would fail: fold 2: " in out and "1 of the 7 clips of train are not there: 00022" in out
    assert "cannot be read: 1, an empty folder: 00333" in out
    assert "15555" in out and "16000" in out
    assert "3 of 9 videos cannot be read; --on-bad-video skip leaves them out" in out


def test_videos_that_open_but_break_off_are_found(tmp_path, capsys):
    """Only decoding tells."""
    write_video(tmp_path / "happy" / "good.mp4")
    write_frames(tmp_path / "sad" / "late")
    (tmp_path / "sad" / "late" / "00002.jpg").write_bytes(b"")
    rows = [("happy/good.mp4", "happy"), ("sad/late", "sad")]
    status, out = run(*(capsys, "--dataset", write_list(tmp_path / "list.csv", ("path", "label"), rows)))
    assert status == 1 and "cannot be read: 1" in out and "sad/late" in out and "3 to 3, median 3" in out


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("videofolder", "videolist", "hub")])
def test_published_counts_fit_the_loaders(name):
    folds = dataset_options(name).get("fold", (None,))
    sizes = {check_data.published_counts(name, {}, fold)["train"] and fold for fold in folds}
    assert sizes == set(folds)
    module = __import__(get_loader(name).__module__, fromlist=["LABELS"])
    totals = set()
    for fold in folds:
        published = check_data.published_counts(name, {}, fold)
        assert all(len(n) == len(module.LABELS) for n in published.values() if isinstance(n, list))
        totals.add(sum(sum(n) if isinstance(n, list) else n for n in published.values()))
    # The folds of a dataset are the same videos.
    assert len(totals) == 1
    assert check_data.published_counts(name, {"labels": "compound"}, folds[0]) == {}
