# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

from tests.helpers.paths import DATA
from tests.helpers.range_server import RangeHandler, serve_folder
from training.data.video_shards import load_shards
from training.datasets import load


def test_labels_are_read_without_the_videos(tmp_path, prepared, monkeypatch):
    # Videos that outweigh everything else.
    table = pq.read_table(prepared / "data" / "fold_1-00000.parquet")
    rows = table.to_pylist()
    for row in rows:
        row["video"]["bytes"] = os.urandom(400_000)
    manifest = json.loads((prepared / "manifest.json").read_text())
    manifest["shards"] = [{"file": "big.parquet", "group": "fold_1", "rows": len(rows)}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    pq.write_table(table.from_pylist(rows, schema=table.schema), tmp_path / "big.parquet", use_dictionary=False)
    monkeypatch.setattr(RangeHandler, "sent", 0)
    with serve_folder(tmp_path) as url:
        shards = load_shards(url, "test", "fold_1")
    assert shards.rows == [len(rows)] and 0 < RangeHandler.sent < 200_000


def test_what_cannot_be_streamed_is_said(prepared, tmp_path):
    with pytest.raises(ValueError, match="fold_1.*not 'fold_7'"):
        load_shards(f"file://{prepared}", "train", "fold_7")
    with pytest.raises(ValueError, match=r"splits \['train', 'test'\], not 'dev'"):
        load_shards(str(prepared), "dev", "fold_1")
    (tmp_path / "data").mkdir()
    shutil.copy(DATA / "cap13_edit2.mp4", tmp_path / "data" / "a.mp4")
    with pytest.raises(ValueError, match="Only Parquet files can be streamed.*a.mp4"):
        load_shards(str(tmp_path), "train")


def test_what_is_not_complete_or_has_no_folds_is_not_read(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "part")
    manifest = json.loads((tmp_path / "part" / "manifest.json").read_text())
    (tmp_path / "part" / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    for read in (lambda: load("hub", tmp_path / "part", fold=1), lambda: load_shards(str(tmp_path / "part"), "train")):
        with pytest.raises(ValueError, match="is not complete"):
            read()
    (tmp_path / "part" / "manifest.json").write_text(json.dumps({**manifest, "folds": False}))
    with pytest.raises(ValueError, match="not prepared in folds"):
        load_shards(f"file://{tmp_path}/part", "train", "fold_1")
