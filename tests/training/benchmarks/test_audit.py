# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.benchmarks import audit
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.runs import SCHEDULE, settings
from training.benchmarks.shared.tables import read_tables


def test_tables_of_the_page_are_those_of_the_committed_results():
    tables = audit.render(load_results(RESULTS / "audit.jsonl"), load_results(RESULTS / audit.NOISE_FILE))
    assert read_tables("audit") == tables


def test_committed_results_belong_to_the_runs_as_they_are(tmp_path):
    results = load_results(RESULTS / "audit.jsonl")
    assert set(results) <= {*audit.all_runs(), "throughput"}
    for name, result in results.items():
        if name == "throughput":
            continue
        options = {**SCHEDULE, **result["run"]["arguments"], "use_cpu": True}
        today = settings(RDFERTrainingArguments(output_dir=str(tmp_path), **options))
        assert today.items() <= result["settings"].items(), name
        if name.startswith("audit-"):
            assert sorted(result["order"]) == list(range(result["train_videos"]))
            assert result["folds"] == audit.FOLDS and result["run"]["arguments"] == {}


def test_what_came_back_of_the_war_that_was_lost():
    war = lambda value: {"test": {"war": value}}  # noqa: E731
    before = {
        f"ce-{kind}-{seed}": war(value) for kind, value in (("none", 0.9), ("symmetric", 0.6)) for seed in (0, 1)
    }
    results = {f"suggested-ce-symmetric-{seed}": war(0.75 + 0.03 * seed) for seed in (0, 1)}
    row = next(line for line in audit.render(results, before).splitlines() if line.startswith("| ce | suggested |"))
    cells = row.split("|")[3]
    # 0.15 and 0.18 of 0.3.
    assert cells == " 76.5 ± 2.1 (n = 2); back: 55.0 ± 7.1 (n = 2) "
