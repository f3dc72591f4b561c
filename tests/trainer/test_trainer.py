# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.trainer import BalancedSampler, RDFERTrainingArguments, collate
from tests.helpers.training_job import LABELS, Videos, make_model, make_trainer

JOB = Path(__file__).parents[1] / "helpers" / "training_job.py"


def run_job(tmp_path, *arguments, processes=1, **popen):
    """Runs tests/training_job.py, by torchrun for more than one process."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--master_port=29517"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(JOB.parents[2])}
    command = [*launcher, str(JOB), "--output_dir", str(tmp_path), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **popen
    )


def finish(process) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-4000:]
    return output


def table_of(folder) -> list[dict]:
    return pq.read_table(Path(folder) / "sample_table.parquet").to_pylist()


def assert_same_tables(left, right, tolerance=1e-4):
    assert [row["sample_id"] for row in left] == [row["sample_id"] for row in right]
    for one, other in zip(left, right):
        for name, value in one.items():
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, abs=tolerance), name
            elif name == "probabilities":
                assert other[name] == pytest.approx(value, abs=tolerance)
            else:
                assert other[name] == value, name


# Arguments -----------------------------------------------------------------------------------------------------------


def test_defaults_are_the_recipe(tmp_path):
    args = RDFERTrainingArguments(output_dir=str(tmp_path))
    assert (args.learning_rate, args.weight_decay, args.num_train_epochs) == (5e-4, 0.05, 100)
    assert (args.per_device_train_batch_size, args.label_smoothing_factor) == (128, 0.1)
    assert args.lr_scheduler_kwargs == {"min_lr": 5e-6} and args.warmup_steps == 0.1
    assert args.remove_unused_columns is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"remove_unused_columns": True},
        {"noisy_loss_threshold": "high"},
        {"running_mean_decay": 1.0},
        {"running_mean_decay": "long"},
        {"agreement_threshold": 0.0},
        {"full_suspicion": 0.0},
        {"relabel_start": 2.0},
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RDFERTrainingArguments(output_dir=str(tmp_path), **wrong)


def test_running_means_remember_a_fifth_of_the_training(tmp_path):
    decays = [
        make_trainer(tmp_path, train_dataset=Videos(8), **options).record.decay
        # 12 steps of 4 videos are 6 epochs of 8.
        for options in (
            {"num_train_epochs": 45},
            {"num_train_epochs": 3},
            {"max_steps": 12},
            {"running_mean_decay": 0.5},
        )
    ]
    assert decays == pytest.approx([0.9, 0.0, 0.25, 0.5])


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(KeyError, match="labels.*video"):
        collate([{"video": 1, "pixel_values_videos": torch.zeros(2, 3, 8, 8)}])

    class NoIndex(Videos):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            example.pop("sample_index")
            return example

    with pytest.raises(KeyError, match="sample_index"):
        make_trainer(tmp_path, train_dataset=NoIndex(8))


def test_labels_that_do_not_fit_the_model_are_an_error(tmp_path):
    dataset = Videos(8)
    dataset.labels = [9] * 8
    with pytest.raises(ValueError, match="3 labels"):
        make_trainer(tmp_path, train_dataset=dataset)


# Record --------------------------------------------------------------------------------------------------------------


def looks(index, loss, agreement=1.0, against=False, probabilities=None):
    """Looks at samples whose label is their number modulo 3: at 0.8 for it, or for the next label if `against`."""
    count = len(index)
    if probabilities is None:
        spoken_for = (torch.tensor(index) + int(against)) % 3
        probabilities = torch.full((count, 3), 0.1).scatter(1, spoken_for[:, None], 0.8)
    fill = lambda value: torch.full((count,), float(value))  # noqa: E731
    return SamplePredictions(
        index=torch.tensor(index),
        loss=torch.tensor(loss, dtype=torch.float),
        agreement=fill(agreement),
        clip_std=fill(0.1),
        probabilities=torch.as_tensor(probabilities).expand(count, 3),
        num_valid_clips=torch.full((count,), 4),
    )


def test_running_means_and_samples_seen_twice_or_not_at_all():
    record = SampleRecord(torch.tensor([0, 1, 2]), 3, noisy_loss_threshold=1.0, running_mean_decay=0.75)
    record.update(looks([1, 0, 1], [2.0, 1.0, 4.0]))
    assert record.means["loss"].tolist() == [1.0, 3.0, 0.0]
    record.update(looks([0], [5.0]))
    assert record.means["loss"].tolist() == [2.0, 3.0, 0.0]
    assert record.epochs_seen.tolist() == [2, 1, 0]
    assert record.weights[2] == 1 and record.partition[2] == 0


def test_verdicts_follow_the_running_means_not_the_last_look():
    record = SampleRecord(
        torch.tensor([0, 1]),
        3,
        agreement_threshold=0.25,
        max_noisy_share=1.0,
        noisy_loss_threshold=1.0,
        running_mean_decay=0.7,
    )
    for _ in range(4):
        record.update(looks([0, 1], [3.0, 0.1], against=True))
    assert record.partition.tolist() == [2, 0] and record.weights.tolist() == [0.0, 1.0]
    # A change of mind: the opposing agreement 0.7 becomes 0.7 * 0.7 - 0.3 * 0.7 > 0.25 in one epoch, < 0 in two.
    record.update(looks([0, 1], [3.0, 0.1]))
    assert record.partition.tolist() == [2, 0]
    record.update(looks([0, 1], [3.0, 0.1]))
    assert record.partition.tolist() == [0, 0]


def test_what_keeps_a_label_from_being_wiped_out_weighs_fully():
    record = SampleRecord(torch.zeros(4, dtype=torch.long), 3, max_noisy_share=0.5, noisy_loss_threshold=1.0)
    record.update(looks([0, 1, 2, 3], [3.0] * 4, probabilities=(0.1, 0.8, 0.1)))
    assert sorted(record.weights.tolist()) == [0, 0, 1, 1]


def test_doubted_samples_learn_the_suggested_label_in_proportion():
    record = SampleRecord(
        torch.tensor([1, 1, 1, 1]), 3, max_noisy_share=1.0, noisy_loss_threshold=1.0, hard_sample_gain=0.5
    )
    opposing = torch.tensor([0.8, 0.3, -0.2, 0.3])
    given = (0.9 - opposing) / 2
    seen = looks([0, 1, 2, 3], [3.0, 3.0, 3.0, 0.2])
    seen.probabilities = torch.stack([torch.full((4,), 0.1), given, given + opposing], 1)
    seen.agreement = torch.tensor([1.0, 1.0, 0.5, 1.0])
    record.update(seen)
    torch.testing.assert_close(record.suspicion, torch.tensor([1, 0.5, 0, 0]))
    torch.testing.assert_close(record.weights, torch.tensor([0, 0.5, 1.25, 1]))
    generator = torch.Generator().manual_seed(0)
    drawn = [record.relabelled(generator) for _ in range(200)]
    shares = torch.stack([labels == 2 for labels, _ in drawn]).float().mean(0)
    # The last one's loss is small: its label is not doubted, whatever the clips say.
    assert shares[0] == 1 and 0.35 < shares[1] < 0.65 and shares[2] == shares[3] == 0
    torch.testing.assert_close(drawn[0][1], torch.tensor([1, 1, 1.25, 1]))


def test_a_single_distinct_clip_is_no_evidence():
    record = SampleRecord(
        torch.tensor([0, 1]), 3, agreement_threshold=0.6, max_noisy_share=1.0, noisy_loss_threshold=1.0
    )
    seen = looks([0, 1], [3.0, 3.0], against=True)
    seen.num_valid_clips[0] = 1
    record.update(seen)
    assert record.partition.tolist() == [0, 2]


def test_record_survives_saving_and_refuses_other_data():
    record = SampleRecord(torch.tensor([0, 1, 2]), 3, noisy_loss_threshold=1.0)
    record.update(looks([0, 1, 2], [2.0, 1.0, 4.0], agreement=0.5, against=True))
    again = SampleRecord(torch.tensor([0, 1, 2]), 3, noisy_loss_threshold=1.0)
    again.load_state_dict(record.state_dict())
    assert torch.equal(again.weights, record.weights) and torch.equal(again.partition, record.partition)
    with pytest.raises(ValueError, match="3 samples.*4"):
        SampleRecord(torch.zeros(4, dtype=torch.long), 3).load_state_dict(record.state_dict())


def test_dynamics_are_those_of_all_epochs_alike(tmp_path):
    """Mean and standard deviation of the given label's probability, and how often it was predicted (cartography)."""
    record = SampleRecord(torch.tensor([0, 1, 2]), 3, running_mean_decay=0.9)
    given = np.array([[0.2, 0.7, 0.6], [0.5, 0.4, 0.9]])
    other = np.array([[0.5, 0.2, 0.3], [0.3, 0.5, 0.05]])

    def look(record, epochs):
        for epoch in epochs:
            for sample in range(2):
                row = np.full(3, 1 - given[sample, epoch] - other[sample, epoch])
                row[sample], row[(sample + 1) % 3] = given[sample, epoch], other[sample, epoch]
                seen = looks([sample], [1.0], probabilities=torch.tensor(row[None], dtype=torch.float))
                record.update(seen) if sample else record.update(SamplePredictions.concatenate([seen, seen]))

    look(record, range(2))
    resumed = SampleRecord(torch.tensor([0, 1, 2]), 3, running_mean_decay=0.9)
    resumed.load_state_dict(record.state_dict())
    for each in (record, resumed):
        look(each, [2])
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in record.state_dict().items())
    record.write_table(tmp_path / "t.parquet", ["a", "b", "c"], {"sample_id": ["x", "y", "z"]}, epoch=3)
    *rows, unseen = pq.read_table(tmp_path / "t.parquet").to_pylist()
    for row, values, rivals in zip(rows, given, other):
        assert row["confidence"] == pytest.approx(values.mean())
        assert row["variability"] == pytest.approx(values.std())
        assert row["correctness"] == pytest.approx((values > rivals).mean())
    assert unseen["confidence"] is unseen["variability"] is unseen["correctness"] is None


def test_a_record_of_before_there_were_dynamics_is_read(tmp_path):
    record = SampleRecord(torch.tensor([0, 1]), 3)
    record.update(looks([0, 1], [2.0, 1.0]))
    old = {name: value for name, value in record.state_dict().items() if name != "sums"}
    record.load_state_dict(old)
    record.update(looks([0, 1], [2.0, 1.0]))
    record.write_table(tmp_path / "t.parquet", ["a", "b", "c"], {}, epoch=2)
    for row in pq.read_table(tmp_path / "t.parquet").to_pylist():
        assert row["confidence"] is None and row["correctness"] is None and row["loss"] > 0


def test_table_has_the_schema_and_suggests_for_noisy_samples_only(tmp_path):
    record = SampleRecord(torch.tensor([1, 1]), 3, agreement_threshold=0.4, noisy_loss_threshold=1.0)
    record.update(looks([0, 1], [3.0, 0.1], probabilities=(0.1, 0.2, 0.7)))
    columns = {"sample_id": ["a", "b"], "path": ["x/a.mp4", "x/b.mp4"], "num_frames": [10, 20]}
    record.write_table(tmp_path / "t.parquet", ["sad", "happy", "angry"], columns, epoch=1)
    table = pq.read_table(tmp_path / "t.parquet")
    expected = (
        "sample_id path content_hash split fold epoch given_label predicted_label suggested_label probabilities "
        "label_quality clip_agreement clip_std num_valid_clips loss weight partition num_frames decode_ok "
        "confidence variability correctness"
    )
    assert table.column_names == expected.split()
    assert json.loads(table.schema.metadata[b"label_names"]) == ["sad", "happy", "angry"]
    noisy, clean = table.to_pylist()
    assert (noisy["partition"], noisy["suggested_label"], noisy["weight"]) == ("noisy", "angry", 0.0)
    assert (clean["partition"], clean["suggested_label"], clean["weight"]) == ("clean", None, 1.0)
    assert (clean["given_label"], clean["predicted_label"]) == ("happy", "angry")
    assert clean["label_quality"] == pytest.approx(0.2)


# Sampling ------------------------------------------------------------------------------------------------------------


def test_balanced_sampler():
    labels = [0] * 90 + [1] * 9 + [2]
    sampler = BalancedSampler(labels, seed=3)
    sampler.set_epoch(1)
    drawn = list(sampler)
    assert len(drawn) == 100
    counts = np.bincount(np.asarray(labels)[drawn], minlength=3)
    assert counts.max() - counts.min() <= 1
    times = np.bincount(drawn, minlength=100)
    assert times[:90].max() == 1 and set(times[90:99]) <= {3, 4}  # none again before all have come
    assert list(sampler) == drawn
    sampler.set_epoch(2)
    assert list(sampler) != drawn


def test_class_weights_balance_the_labels(tmp_path):
    dataset = Videos(12)
    dataset.labels = [0] * 8 + [1] * 3 + [2]
    trainer = make_trainer(tmp_path, train_dataset=dataset, loss="ce", class_weights="balanced")
    trainer.begin_epoch(0)
    labels = torch.tensor(dataset.labels)
    sums = [trainer._weights[labels == label].sum().item() for label in range(3)]
    assert sums == pytest.approx([4.0, 4.0, 4.0])


# Gradients and optimisation ------------------------------------------------------------------------------------------


def gradients(tmp_path, batch_size, accumulation, **options):
    """Gradient of the first optimiser step over 8 samples, with frozen statistics and no dropout."""
    trainer = make_trainer(
        tmp_path,
        train_dataset=Videos(8),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        optim="sgd",
        learning_rate=1.0,
        max_grad_norm=0,
        warmup_steps=0,
        weight_decay=0.0,
        lr_scheduler_type="constant",
        lr_scheduler_kwargs={},
        **options,
    )
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    # Verdicts of different weights, so that a wrong normalisation would show.
    trainer.record.update(looks(list(range(8)), [0.1, 3.0] * 4, agreement=0.5, against=True))
    trainer.train()
    return {name: before[name] - value.detach() for name, value in trainer.model.named_parameters()}


def test_gradient_accumulation_changes_no_gradient(tmp_path):
    options = {"agreement_warmup_epochs": 0, "noisy_loss_threshold": "1.0"}
    whole = gradients(tmp_path / "a", 8, 1, **options)
    accumulated = gradients(tmp_path / "b", 2, 4, **options)
    assert max(value.abs().max() for value in whole.values()) > 1e-3
    for name, value in whole.items():
        torch.testing.assert_close(accumulated[name], value, atol=2e-6, rtol=1e-3, msg=name)


def test_noisy_samples_pull_no_gradient_and_weights_are_normalised(tmp_path):
    options = {"agreement_warmup_epochs": 1, "noisy_loss_threshold": "1.0", "num_train_epochs": 6}
    trainer = make_trainer(tmp_path, train_dataset=Videos(8), **options)
    trainer.record.update(looks(list(range(8)), [0.1, 0.1, 0.1, 3.0, 0.1, 3.0, 0.1, 0.1], against=True))
    trainer.begin_epoch(0)
    assert trainer._weights.tolist() == [1.0] * 8  # warm-up
    trainer.begin_epoch(1)
    expected = [0.0 if sample in (3, 5) else 8 / 6 for sample in range(8)]
    assert trainer._weights.tolist() == pytest.approx(expected)  # mean 1 over the training set


def test_noisy_samples_learn_the_agreed_label_in_the_second_half(tmp_path):
    options = {"agreement_warmup_epochs": 1, "noisy_loss_threshold": "1.0", "num_train_epochs": 6}
    trainer = make_trainer(tmp_path, train_dataset=Videos(8), **options)
    trainer.record.update(looks(list(range(8)), [0.1, 0.1, 0.1, 3.0, 0.1, 0.1, 0.1, 0.1], against=True))
    given = [sample % 3 for sample in range(8)]
    trainer.begin_epoch(2)
    assert trainer._targets.tolist() == given and trainer._weights[3] == 0
    trainer.begin_epoch(3)
    assert trainer._targets.tolist() == [*given[:3], 1, *given[4:]]  # sample 3: 0 given, 1 agreed on
    assert trainer._weights.tolist() == [1.0] * 8
    assert trainer.record.given_labels.tolist() == given


def test_backbones_have_a_learning_rate_of_their_own(tmp_path):
    trainer = make_trainer(tmp_path, train_dataset=Videos(8), learning_rate=1e-3, backbone_learning_rate=1e-5)
    trainer.create_optimizer()
    names = {parameter: name for name, parameter in trainer.model.named_parameters()}
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            is_backbone = "backbone" in names[parameter]
            assert group["lr"] == (1e-5 if is_backbone else 1e-3)
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
    assert sum(len(group["params"]) for group in trainer.optimizer.param_groups) == len(names)


def test_frozen_backbones(tmp_path):
    trainer = make_trainer(tmp_path, train_dataset=Videos(8), freeze_backbone=True, max_steps=2)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    changed = {n for n, value in trainer.model.state_dict().items() if not torch.equal(value.cpu(), before[n])}
    assert changed and not any("backbone" in name for name in changed)


@pytest.mark.parametrize("loss", ["agreement", "ce", "sce", "gce"])
def test_every_loss_learns(tmp_path, loss):
    trainer = make_trainer(
        tmp_path, train_dataset=Videos(24), eval_dataset=Videos(24), loss=loss, num_train_epochs=12, learning_rate=3e-3
    )
    trainer.model.config.calibration_temperature = 2.0
    trainer.train()
    assert trainer.evaluate()["eval_war"] >= 0.8
    assert trainer.model.config.calibration_temperature is None  # it belonged to the weights before


@pytest.mark.parametrize("options", [{"bf16": True}, {"gradient_checkpointing": True}])
def test_precision_and_checkpointing_options_learn(tmp_path, options):
    trainer = make_trainer(
        tmp_path, train_dataset=Videos(24), eval_dataset=Videos(24), num_train_epochs=12, learning_rate=3e-3, **options
    )
    trainer.train()
    assert trainer.evaluate()["eval_war"] >= 0.8


# Evaluation and logs -------------------------------------------------------------------------------------------------


def test_evaluation_and_logs(tmp_path):
    trainer = make_trainer(
        tmp_path, train_dataset=Videos(12), eval_dataset=Videos(10), num_train_epochs=2, eval_strategy="epoch"
    )
    trainer.train()
    evaluated = [log for log in trainer.state.log_history if "eval_war" in log]
    assert len(evaluated) == 2
    assert {f"eval_recall_{label}" for label in LABELS} <= set(evaluated[0]) and "eval_uar" in evaluated[0]
    trained = [log for log in trainer.state.log_history if "agreement" in log]
    assert [log["epoch"] for log in trained] == [1, 2]
    for label in ("", *(f"_{name}" for name in LABELS)):
        shares = [trained[-1][f"share_{partition}{label}"] for partition in ("clean", "hard", "noisy")]
        assert sum(shares) == pytest.approx(1)
        assert f"weight{label}" in trained[-1]
    assert trainer.predict(Videos(10)).predictions.shape == (10, 3)


@pytest.mark.slow
def test_compiled_training_is_eager_training(tmp_path):
    losses = {}
    for compiled in (False, True):
        options = {"torch_compile": compiled, "num_train_epochs": 3, "eval_strategy": "epoch"}
        trainer = make_trainer(tmp_path / str(compiled), train_dataset=Videos(16), eval_dataset=Videos(8), **options)
        trainer.train()
        trainer.save_model()
        losses[compiled] = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)
    names = [set(load_file(tmp_path / str(compiled) / "model.safetensors")) for compiled in (False, True)]
    assert names[0] == names[1]


def test_the_console_shows_what_is_of_all_labels(tmp_path, capsys):
    trainer = make_trainer(tmp_path, train_dataset=Videos(12))
    trainer._looks = [looks(list(range(12)), [3.0, 0.1, 0.1] * 4)]
    trainer.finish_epoch()
    shown = capsys.readouterr().out
    assert "'share_noisy'" in shown and f"share_noisy_{LABELS[0]}" not in shown
    assert f"share_noisy_{LABELS[0]}" in trainer.state.log_history[-1]


def test_a_label_that_is_wiped_out_warns(tmp_path, caplog, monkeypatch):
    import logging

    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("modeling_rdfer"), "propagate", True)
    trainer = make_trainer(
        tmp_path,
        train_dataset=Videos(12),
        noisy_loss_threshold="1.0",
        agreement_threshold=0.6,
        agreement_warmup_epochs=1,
    )
    trainer._looks = [looks(list(range(12)), [3.0, 0.1, 0.1] * 4, against=True)]
    trainer.finish_epoch()
    messages = [record.getMessage() for record in caplog.records if "wiped out" in record.getMessage()]
    assert len(messages) == 1 and f"50% of the training videos labelled '{LABELS[0]}'" in messages[0]


# Interruption and processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_training_equals_one_that_was_not(tmp_path, workers):
    """10 samples in batches of 2, a checkpoint every 3 steps; killed at step 13, in the middle of the third epoch."""
    arguments = ["--workers", workers, "--save_steps", 3, "--epochs", 4, "--sampler", "balanced"]
    finish(run_job(tmp_path / "whole", *arguments))
    process = run_job(tmp_path / "killed", *arguments, "--stop_at", 13, start_new_session=True)
    while not (tmp_path / "killed" / "stopped").exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "killed" / "checkpoint-12").exists()
    finish(run_job(tmp_path / "killed", *arguments, "--resume"))
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    resumed = load_file(tmp_path / "killed" / "model.safetensors")
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    assert_same_tables(table_of(tmp_path / "whole"), table_of(tmp_path / "killed"), tolerance=0)


def test_two_processes_equal_one(tmp_path):
    """The same global batch: same weights, losses, metrics and table; 11 evaluated samples do not divide evenly."""
    arguments = ["--epochs", 3, "--samples", 12, "--eval_samples", 11, "--exact"]
    finish(run_job(tmp_path / "one", *arguments, "--batch_size", 4))
    output = finish(run_job(tmp_path / "two", *arguments, "--batch_size", 2, processes=2))
    assert "world size 2" in output
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in ("eval_war", "eval_uar", "eval_loss", "losses"):
        assert two[name] == pytest.approx(one[name], abs=1e-4), name
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, atol=2e-4, rtol=1e-2, msg=name)
    tables = [table_of(tmp_path / name) for name in ("one", "two")]
    assert [row["sample_id"] for row in tables[1]] == [str(i) for i in range(12)]
    assert_same_tables(*tables, tolerance=2e-3)


def test_make_model_is_tiny():
    assert make_model().num_parameters() < 1e5
