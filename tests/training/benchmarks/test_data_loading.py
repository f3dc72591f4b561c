# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from training.benchmarks import data_loading
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("data_loading") == data_loading.render(load_results(RESULTS / data_loading.FILE))
