# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from modeling_rdfer.trainer.losses import sample_loss_function
from tests.helpers.training_job import (
    LABELS,
    NUM_KNOWN,
    Videos,
    make_model,
    make_trainer,
    predictions_and_known,
    predictions_of,
)

JOB = Path(__file__).parents[1] / "helpers" / "training_job.py"


def run_job(tmp_path, *arguments, processes=1, **popen):
    """Runs tests/helpers/training_job.py, with torchrun for more than one process."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
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


# Sampling ------------------------------------------------------------------------------------------------------------


def test_class_weights_balance_the_labels(tmp_path):
    dataset = Videos(12)
    dataset.labels = [0] * 8 + [1] * 3 + [2]
    trainer = make_trainer(tmp_path, train_dataset=dataset, loss="ce", class_weights="balanced")
    trainer.begin_epoch(0)
    labels = torch.tensor(dataset.labels)
    sums = [trainer.weighting.weights[labels == label].sum().item() for label in range(3)]
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
    trainer.record.update(predictions_of(list(range(8)), [0.1, 3.0] * 4, agreement=0.5, against=True))
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
    count = 8 + NUM_KNOWN
    trainer = make_trainer(tmp_path, train_dataset=Videos(count), **options)
    trainer.record.update(predictions_and_known(range(8), [0.1, 0.1, 0.1, 3.0, 0.1, 3.0, 0.1, 0.1], against=True))
    trainer.begin_epoch(0)
    assert trainer.weighting.weights.tolist() == [1.0] * count  # warm-up
    trainer.begin_epoch(1)
    expected = [0.0 if sample in (3, 5) else count / (count - 2) for sample in range(count)]
    assert trainer.weighting.weights.tolist() == pytest.approx(expected)  # mean 1 over the training set


def test_noisy_samples_learn_the_agreed_label_in_the_second_half(tmp_path):
    options = {"agreement_warmup_epochs": 1, "noisy_loss_threshold": "1.0", "num_train_epochs": 6}
    count = 8 + NUM_KNOWN
    trainer = make_trainer(tmp_path, train_dataset=Videos(count), **options)
    trainer.record.update(predictions_and_known(range(8), [0.1, 0.1, 0.1, 3.0, 0.1, 0.1, 0.1, 0.1], against=True))
    given = [sample % 3 for sample in range(count)]
    trainer.begin_epoch(2)
    assert trainer.weighting.targets.tolist() == given and trainer.weighting.weights[3] == 0
    trainer.begin_epoch(3)
    assert trainer.weighting.targets.tolist() == [*given[:3], 1, *given[4:]]  # sample 3: 0 given, 1 agreed on
    assert trainer.weighting.weights.tolist() == [1.0] * count
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


@pytest.mark.parametrize("loss", ["agreement", "ce", "sce", "gce", "co_teaching", "self_cure"])
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
    trainer._predictions = [predictions_of(list(range(12)), [3.0, 0.1, 0.1] * 4)]
    trainer.finish_epoch()
    shown = capsys.readouterr().out
    assert "'share_noisy'" in shown and f"share_noisy_{LABELS[0]}" not in shown
    assert f"share_noisy_{LABELS[0]}" in trainer.state.log_history[-1]


@pytest.fixture
def messages(caplog, monkeypatch):
    """The messages that are logged."""
    for name in ("transformers", "modeling_rdfer"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_label_that_is_wiped_out_warns(tmp_path, messages):
    trainer = make_trainer(
        tmp_path,
        train_dataset=Videos(24),
        noisy_loss_threshold="1.0",
        agreement_warmup_epochs=1,
    )
    for _ in range(2):  # and does not warn again
        contradicted = predictions_of(list(range(0, 24, 3)), [3.0] * 8, against=True)
        others = predictions_of([sample for sample in range(24) if sample % 3], [0.1] * 16)
        trainer._predictions = [contradicted, others]
        trainer.finish_epoch()
    warnings = [message for message in messages() if "wiped out" in message]
    assert len(warnings) == 1 and f"50% of the training videos labelled '{LABELS[0]}'" in warnings[0]


def test_the_loss_is_cross_entropy_until_the_model_knows_something(tmp_path, messages):
    trainer = make_trainer(tmp_path, train_dataset=Videos(12), agreement_warmup_epochs=1)
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2] * 2)
    plain, robust = sample_loss_function("ce", label_smoothing=0.1), sample_loss_function("gce")

    def epoch(number, **kwargs):
        trainer.begin_epoch(number)
        trainer._predictions = [predictions_of(list(range(12)), [1.0] * 12, **kwargs)]
        trainer.finish_epoch()

    for number in range(3):
        epoch(number, against=True)
        torch.testing.assert_close(trainer.sample_loss(logits, labels), plain(logits, labels))
    assert ["not trusted" in message for message in messages()] == [True]
    for number in range(3, 20):
        epoch(number)
    torch.testing.assert_close(trainer.sample_loss(logits, labels), robust(logits, labels))
    assert sum("verdicts on samples take effect" in message for message in messages()) == 1
    assert trainer.state.log_history[-1]["trust"] == 1


def test_table_does_not_depend_on_when_predictions_are_put_together(tmp_path, monkeypatch):
    make_trainer(tmp_path / "apart", train_dataset=Videos(11), num_train_epochs=2).train()
    monkeypatch.setattr("modeling_rdfer.trainer.trainer.STEPS_APART", 1)
    trainer = make_trainer(tmp_path / "together", train_dataset=Videos(11), num_train_epochs=2)
    trainer.train()
    assert_same_tables(table_of(tmp_path / "apart"), table_of(tmp_path / "together"), tolerance=0)


# Interruption and processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_killed_and_resumed_training_equals_one_that_was_not(tmp_path, workers):
    """10 samples in batches of 2, a checkpoint every 3 steps; killed at step 13, in the middle of the third epoch."""
    arguments = ["--workers", workers, "--save_steps", 3, "--epochs", 4, "--sampler", "balanced"]
    finish(run_job(tmp_path / "whole", *arguments))
    process = run_job(tmp_path / "killed", *arguments, "--stop_at", 13, start_new_session=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("stopped at step"):
            break
    assert process.poll() is None, "".join(lines)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "killed" / "checkpoint-12").exists()
    finish(run_job(tmp_path / "killed", *arguments, "--resume"))
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    resumed = load_file(tmp_path / "killed" / "model.safetensors")
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    assert_same_tables(table_of(tmp_path / "whole"), table_of(tmp_path / "killed"), tolerance=0)


def test_killed_after_the_last_checkpoint_the_last_epoch_is_in_the_table(tmp_path):
    options = {"train_dataset": Videos(8), "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path, **options).train()
    expected = table_of(tmp_path)
    # As it is between the checkpoint of the last step and the end of its epoch: the table is that of the first epoch.
    shutil.copy(tmp_path / "checkpoint-3" / "sample_table.parquet", tmp_path)
    assert table_of(tmp_path) != expected
    make_trainer(tmp_path, **options).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert_same_tables(table_of(tmp_path), expected, tolerance=0)


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
