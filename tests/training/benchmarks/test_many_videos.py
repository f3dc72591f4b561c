# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from training.benchmarks.many_videos import FILE, render
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables


def test_the_page_has_the_committed_results():
    assert read_tables("many_videos") == render(load_results(RESULTS / FILE))
