# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json

from training.benchmarks import engines, speed
from training.benchmarks.tables import read_tables


def test_tables_are_those_of_the_committed_results():
    results = speed.load_results()
    assert read_tables("training.benchmarks.speed") == speed.render(results)
    assert (speed.RESULTS / "tables.md").read_text() == speed.render_all(results)


def test_tables_of_engines_are_those_of_the_committed_results():
    results = json.loads(engines.RESULTS.read_text())
    assert read_tables("training.benchmarks.engines") == engines.render(results, engines.HEADLINES).strip()
    assert engines.RESULTS.with_suffix(".md").read_text() == engines.render(results) + "\n"
