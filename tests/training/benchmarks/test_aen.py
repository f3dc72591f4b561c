# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from training.benchmarks import aen
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables
from training.synthetic.labels import LABELS


def one_hot(*names: str) -> np.ndarray:
    return np.eye(len(LABELS))[[LABELS.index(name) for name in names]]


def test_sentiments_in_four_and_in_three_groups():
    labels = np.array([LABELS.index(name) for name in ("happy", "sad", "fear", "neutral", "surprise", "surprise")])
    # Sad for angry is the right sentiment; a surprise missed counts in four groups only.
    metrics = aen.sentiment_metrics(one_hot("happy", "angry", "happy", "neutral", "surprise", "happy"), labels)
    assert metrics["sentiment4_war"] == pytest.approx(4 / 6)
    assert metrics["sentiment4_uar"] == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    assert metrics["sentiment3_war"] == pytest.approx(3 / 4)
    assert metrics["sentiment3_uar"] == pytest.approx((1 + 0.5 + 1) / 3)


def test_sentiments_are_sums_over_emotions():
    # The most probable emotion is happy, the most probable sentiment negative.
    probabilities = 0.4 * one_hot("happy") + 0.3 * one_hot("sad") + 0.3 * one_hot("fear")
    metrics = aen.sentiment_metrics(probabilities, np.array([LABELS.index("angry")]))
    assert metrics["sentiment4_war"] == metrics["sentiment3_war"] == 1
    # With three groups the probability of surprise counts for none.
    probabilities = 0.6 * one_hot("surprise") + 0.4 * one_hot("happy")
    metrics = aen.sentiment_metrics(probabilities.repeat(2, 0), np.array([LABELS.index("happy"), LABELS.index("sad")]))
    assert metrics["sentiment4_war"] == 0 and metrics["sentiment3_war"] == 0.5


def test_runs_differ_in_nothing_but_what_their_names_say():
    runs = aen.all_runs()
    assert len({run.name for run in runs}) == len(runs) == 21
    for run in runs:
        family, part, seed = run.name.split("-")
        assert (run.family, run.arguments["loss"], run.noise, run.seed) == (family, "ce", "none", int(seed))
        assert (run.arguments["frame_guidance_weight"] > 0) == (part in ("guidance", "frame_guidance", "both"))
        assert (run.arguments["clip_guidance_weight"] > 0) == (part in ("guidance", "both"))
        assert run.arguments["emotion_grouping"] == (part in ("grouping", "both"))
        # Without grouping AEN has one group for all: there is no sentiment to tell first.
        if run.seed == 0 and family == "aen":
            assert len(aen.new_model(run).config.group_names) == (4 if part in ("grouping", "both") else 1)


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("aen") == aen.render(load_results(RESULTS / "aen.jsonl"))
