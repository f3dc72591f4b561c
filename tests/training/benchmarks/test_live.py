# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from training.benchmarks.live import main


@pytest.mark.slow
def test_figures_of_a_live_stream(capsys):
    figures = main(["--rounds", "1", "--step", "1"])
    assert figures["frames"] == 765 and figures["frames for a second of one core"] > 0
    waits = figures["milliseconds to an answer"]
    assert 0 < waits["median"] <= waits["max"]
    assert '"frames": 765' in capsys.readouterr().out
