# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import torch

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from training.benchmarks.backbones import FILE, NETWORKS, RECIPES, measure, render
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables


def test_tables_are_those_of_the_results():
    results = load_results(RESULTS / FILE)
    assert results.keys() == NETWORKS.keys() and all((RECIPES / f"{name}.yaml").is_file() for name in NETWORKS)
    assert read_tables("backbones") == render(results)


def test_counts_of_a_small_model():
    model = RDFERForVideoClassification(RDFERConfig.from_preset("tiny", num_labels=3))
    figures = measure(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert figures["parameters"] == figures["trained_parameters"] == parameters
    assert figures["fixed_bytes"] == 16 * parameters and 1e6 < figures["video_bytes"] < 1e9
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.freeze_backbone()
    frozen = measure(model)
    assert frozen["video_bytes"] < figures["video_bytes"] and frozen["multiply_adds"] == figures["multiply_adds"]
    assert frozen["fixed_bytes"] < figures["fixed_bytes"] and torch.is_grad_enabled()
