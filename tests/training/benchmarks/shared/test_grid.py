# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import ast
import sys

import pytest

from tests.helpers.paths import ROOT
from training.benchmarks.shared import grid
from training.benchmarks.shared.results import load_results, write_result


def test_only_missing_runs_are_run_each_in_a_process(tmp_path, monkeypatch):
    path = tmp_path / "out" / "noise.jsonl"
    write_result(path, "one", {"war": 0.1})
    started = []

    def run(command, env, **options):
        started.append(command)
        name = command[-1]
        assert env["OMP_NUM_THREADS"] == "1" and command[:3] == [sys.executable, "-m", "training.benchmarks.noise"]
        if name != "broken":
            write_result(path, name, {"war": 0.2})
        return type("Done", (), {"returncode": int(name == "broken"), "stderr": "no more memory"})

    monkeypatch.setattr(grid.subprocess, "run", run)
    options = ["--output-dir", str(path.parent), "--num-workers", "1"]
    arguments = grid.grid_parser("noise", "", "").parse_args([*options, "--only", "o"])
    grid.run_missing("noise", ["one", "two", "six"], path, arguments)
    assert [command[-1] for command in started] == ["two"]
    assert load_results(path) == {"one": {"war": 0.1}, "two": {"war": 0.2}}
    with pytest.raises(RuntimeError, match="Run broken failed:\nno more memory"):
        grid.run_missing("noise", ["broken"], path, arguments)
    # Underscores are accepted, too.
    assert grid.grid_parser("noise", "", "").parse_args(["--num_workers", "3"]).num_workers == 3


def test_no_benchmark_imports_another():
    folder = ROOT / "training" / "benchmarks"
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert "noise" in names
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("training.benchmarks"):
                imported = {node.module.split(".")[2]} if node.module.count(".") > 1 else {a.name for a in node.names}
                assert imported == {"shared"}, (path, ast.unparse(node))
