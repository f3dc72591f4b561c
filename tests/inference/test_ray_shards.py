# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Work on a Ray cluster is tested where it is used: test_predict_shards.py, training/preparing/test_dataset.py and
training/auditing/test_ray_scoring.py."""

import sys

import pytest

from modeling_rdfer.cli import main as rdfer
from tests.helpers.paths import DATA
from training.audit import main as audit
from training.prepare import main as prepare


def test_without_ray_it_is_said_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "list.txt").write_text(f"{DATA / 'cap13_edit2.mp4'}\n")
    assert rdfer(["predict", str(tmp_path / "list.txt"), "--out", str(tmp_path / "answers"), "--ray"]) == 1
    assert "This needs ray: pip install 'modeling-rdfer[ray]'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="error: This needs ray: pip install"):
        prepare(["--dataset", "crema_d", "--root", str(tmp_path), "--output-dir", str(tmp_path / "out"), "--ray"])
    with pytest.raises(SystemExit, match="error: This needs ray: pip install"):
        audit(["--dataset", str(tmp_path), "--output-dir", str(tmp_path / "out"), "--in-sample", "--ray"])
    assert not (tmp_path / "answers").exists() and not (tmp_path / "out").exists()
