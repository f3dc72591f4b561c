# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import pyarrow as pa

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.benchmarks import noise
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.runs import SCHEDULE, settings
from training.benchmarks.shared.tables import read_tables
from training.synthetic.labels import LABELS


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("noise") == noise.render(load_results(RESULTS / "noise.jsonl"))


def test_committed_results_belong_to_the_runs_as_they_are(tmp_path):
    runs = {run.name: run for run in noise.all_runs()}
    results = {name: result for name, result in load_results(RESULTS / "noise.jsonl").items() if name != "step_time"}
    assert results and set(results) <= set(runs)
    for name, result in results.items():
        options = {**SCHEDULE, **runs[name].arguments, "use_cpu": True}
        today = settings(RDFERTrainingArguments(output_dir=str(tmp_path), **options))
        assert today.items() <= result["settings"].items(), name


def test_wrong_labels_with_low_scores_are_found():
    labels = ["happy", "sad", "angry", "fear"]
    truths = [SimpleNamespace(given_label=name, is_noisy=i == 2, is_hard=i == 1) for i, name in enumerate(labels)]
    probabilities = []
    for number, name in enumerate(labels):
        shown = "happy" if number == 2 else name
        sure = 0.5 if number == 1 else 0.9  # the hard one
        probabilities.append([sure if label == shown else (1 - sure) / 6 for label in LABELS])
    quality = [row[LABELS.index(name)] for row, name in zip(probabilities, labels)]
    table = pa.table({"probabilities": probabilities, "label_quality": quality, "loss": [0.1, 0.7, 4.0, 0.1]})
    detection = noise.noise_detection(table, truths)
    assert set(detection) == set(noise.DETECTION_SCORES)
    for scores in detection.values():
        assert scores == {"auroc": 1.0, "auprc": 1.0, "precision_at_true_rate": 1.0, "auroc_hard_noisy": 1.0}
