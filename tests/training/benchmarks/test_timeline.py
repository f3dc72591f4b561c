# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from tests.helpers.paths import ROOT
from training.benchmarks.timeline import main


@pytest.mark.slow
def test_it_measures_this_version_and_another_one():
    figures = main(["--seconds", "3", "2", "--earlier", str(ROOT)])
    first, second = figures["3 s of 360x288"], figures["2 s of 360x288"]
    assert first["this version"]["windows"] == first["earlier version"]["windows"] == 5
    assert first["this version : earlier version"] > 0 and first["this version"]["peak MB"] > 100
    assert second["this version"]["windows"] == 3 and "earlier version" not in second


@pytest.mark.slow
def test_frames_have_the_size_that_is_asked_for():
    figures = main(["--seconds", "1", "--size", "640", "360"])
    assert figures["1 s of 640x360"]["this version"]["windows"] == 1
