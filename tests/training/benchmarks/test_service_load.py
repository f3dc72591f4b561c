# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

from training.benchmarks.service_load import FILE, is_clean, main, render


def test_the_table_of_the_page_is_that_of_the_committed_results():
    results = load_results(RESULTS / FILE)
    assert read_tables("service_load") == render(results)
    assert all(is_clean(run["figures"]) for run in results.values())


@pytest.mark.slow
def test_a_small_load_loses_nothing(tmp_path):
    options = ["--clips", "2", "--clients", "2", "--workers", "1", "--sockets", "1", "--live-seconds", "2"]
    assert main([*options, "--output-dir", str(tmp_path)]) == 0
    (run,) = load_results(tmp_path / FILE).values()
    live = run["figures"]["live"]
    assert live["sent"] == 50 == live["looked_at"] + live["dropped"] and live["answers"] > 0
