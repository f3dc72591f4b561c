# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from training.benchmarks import speed
from training.benchmarks.shared.results import RESULTS, read_lines
from training.benchmarks.shared.tables import read_tables


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("speed") == speed.render(read_lines(RESULTS / speed.FILE))


def test_other_machines_have_tables_of_their_own():
    row = {"small": {"ms": 1.0}}
    lines = [
        {"name": "folder", "machine": {"processor": "A", "load": 1}, "tables": {"Many videos: x": row, "Rest": row}},
        {"name": "folder", "machine": {"processor": "B", "load": 2}, "tables": {"Many videos: x": row}},
    ]
    first, rest = speed.render(lines).split("### All other tables of this machine")
    rest, other = rest.split("### On another processor: B")
    assert "Many videos: x" in first and "Measured with processor A." in first and "Rest" not in first
    assert "Rest" in rest and "Many videos" not in rest
    assert "Many videos: x" in other and "Measured with processor B." in other


@pytest.mark.parametrize("name", ["RDFER small", "AEN base"])
def test_training_step_changes_the_model(name):
    make, inputs = speed.NETWORKS[name]
    model = make().train()
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    speed._training_step(model, inputs(1))()
    assert any(not weight.equal(before[key]) for key, weight in model.named_parameters())
