# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from training.benchmarks import sample_record
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables


def test_table_of_the_page_is_that_of_the_committed_results():
    assert read_tables("sample_record") == sample_record.render(load_results(RESULTS / sample_record.FILE))


def test_measures_a_small_record(tmp_path, capsys):
    sample_record.main(["--samples", "200", "400", "--repeats", "1", "--output-dir", str(tmp_path)])
    assert "| samples | 200 | 400 |" in capsys.readouterr().out
    figures = {name: run["figures"] for name, run in load_results(tmp_path / sample_record.FILE).items()}
    assert figures["400"]["record in memory, MB"] == 2 * figures["200"]["record in memory, MB"]
