# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT
from training.benchmarks.shared import results
from training.benchmarks.shared.results import RESULTS, load_results, read_lines, write_result


def test_a_line_a_run_by_name(tmp_path):
    path = tmp_path / "new" / "speed.jsonl"
    assert load_results(path) == {}
    write_result(path, "b", {"war": 0.1})
    write_result(path, "a", {"war": 0.2})
    assert [line["name"] for line in read_lines(path)] == ["b", "a"]
    write_result(path, "b", {"war": 0.3})
    assert load_results(path) == {"a": {"war": 0.2}, "b": {"war": 0.3}}
    # The same run on another processor is another line.
    write_result(path, "b", {"war": 0.4, "machine": {"processor": "other"}})
    assert [line["war"] for line in read_lines(path)] == [0.3, 0.2, 0.4]


def test_a_crash_in_the_middle_of_a_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "noise.jsonl"
    write_result(path, "a", {"war": 0.2})
    before = path.read_bytes()

    def crash(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(results.os, "fsync", crash)
        write_result(path, "b", {"war": 0.3})
    assert path.read_bytes() == before
    write_result(path, "b", {"war": 0.3})
    assert load_results(path) == {"a": {"war": 0.2}, "b": {"war": 0.3}}


def test_processes_add_results_at_the_same_time(tmp_path):
    script = (
        "import sys\n"
        "from training.benchmarks.shared.results import write_result\n"
        "sys.stdin.readline()\n"
        "for number in range(30):\n"
        "    write_result(sys.argv[1], f'{sys.argv[2]}-{number}', {'number': number})\n"
    )
    path = tmp_path / "noise.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", script, path, name], stdin=subprocess.PIPE, env=environment)
        for name in "abc"
    ]
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert load_results(path) == {f"{name}-{number}": {"number": number} for name in "abc" for number in range(30)}


def test_committed_files_have_one_line_a_run():
    for path in RESULTS.iterdir():
        assert path.suffix == ".jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len({(line["name"], line.get("machine", {}).get("processor")) for line in lines}) == len(lines) > 0
