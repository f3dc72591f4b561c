# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Several processes and nodes on this machine, with gloo: torchrun, and the configurations of recipes/accelerate."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForVideoClassification

from tests.trainer.test_trainer import JOB, assert_same_tables, finish, run_job, table_of
from training import recipes

CONFIGURATIONS = Path(next(iter(recipes.__path__))) / "accelerate"
EXACT = ["--epochs", 3, "--samples", 12, "--eval_samples", 11, "--exact"]


def start(*command, **popen):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(JOB.parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **popen,
    )


def launch(configuration, folder, *arguments, **popen):
    """Runs tests/helpers/training_job.py as `accelerate launch --config-file` does."""
    port = free_port()  # the default one may be in use
    options = ["--config_file", CONFIGURATIONS / configuration, "--main_process_port", port]
    fsdp = ["--shard_on_cpus"] if configuration == "fsdp2.yaml" else []
    return start("accelerate.commands.launch", *options, JOB, "--output_dir", folder, *fsdp, *arguments, **popen)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A training in one process."""
    folder = tmp_path_factory.mktemp("one")
    finish(run_job(folder, *EXACT, "--batch_size", 4, "--save_steps", 3))
    return folder


def assert_same_training(folder, one):
    """The same losses, metrics, weights and rows of the sample table."""
    left, right = (json.loads((name / "metrics.json").read_text()) for name in (folder, one))
    for name in ("eval_war", "eval_uar", "eval_loss", "losses"):
        assert left[name] == pytest.approx(right[name], abs=1e-4), name
    weights = load_file(one / "model.safetensors")
    for name, value in load_file(folder / "model.safetensors").items():
        torch.testing.assert_close(value, weights.pop(name), atol=2e-4, rtol=1e-2, msg=name)
    assert not weights
    assert len(table_of(folder)) == 12
    assert_same_tables(table_of(folder), table_of(one), tolerance=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["ddp.yaml", "fsdp2.yaml"])
def test_configurations_of_accelerate_train_as_one_process_does(configuration, one, tmp_path):
    output = finish(launch(configuration, tmp_path, *EXACT, "--batch_size", 2, "--save_steps", 3))
    assert f"world size 2 FSDP {configuration == 'fsdp2.yaml'}" in output
    assert_same_training(tmp_path, one)
    # The checkpoint has the files of one process, the code of the model among them, and nothing of torch.
    more = {"rng_state.pth", "rng_state_0.pth", "rng_state_1.pth", "sample_predictions_1.safetensors"}
    more |= {"optimizer.pt", "optimizer.bin", "pytorch_model_fsdp.bin"}
    files, files_of_one = ({path.name for path in (name / "checkpoint-6").iterdir()} for name in (tmp_path, one))
    assert files - more == files_of_one - more
    model = AutoModelForVideoClassification.from_pretrained(tmp_path / "checkpoint-6")
    assert model.config.auto_map == type(model).from_pretrained(one).config.auto_map


@pytest.mark.slow
def test_fsdp_goes_on_from_a_checkpoint(tmp_path):
    arguments = ["--epochs", 3, "--samples", 12, "--save_steps", 3]
    finish(launch("fsdp2.yaml", tmp_path / "whole", *arguments))
    process = launch("fsdp2.yaml", tmp_path / "killed", *arguments, "--stop_at", 5)
    for line in process.stdout:
        if line.startswith("stopped at step"):
            break
    process.terminate()  # the launcher ends the processes, which have sessions of their own
    process.wait()
    output = finish(launch("fsdp2.yaml", tmp_path / "killed", *arguments, "--resume"))
    assert "FSDP True from" in output and "checkpoint-3" in output
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    assert_same_tables(table_of(tmp_path / "whole"), table_of(tmp_path / "killed"), tolerance=0)


@pytest.mark.slow
def test_two_nodes_go_on_from_the_last_checkpoint_after_a_process_was_killed(one, tmp_path):
    port = free_port()

    def start_node(number, *more):
        return start(
            *("torch.distributed.run", "--nnodes", 2, "--nproc-per-node", 1, "--max-restarts", 3),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "training"),
            *("--rdzv-conf", f"is_host={number == 0}", "--local-addr", "localhost", JOB, "--output_dir", tmp_path),
            *(*EXACT, "--batch_size", 2, "--save_steps", 3, "--resume", *more),
        )

    nodes = [start_node(0), start_node(1, "--die_at", 5)]
    outputs = [finish(node) for node in nodes]
    for start_from in (None, tmp_path / "checkpoint-3"):
        assert all(f"world size 2 FSDP False from {start_from}" in output for output in outputs)
    assert_same_training(tmp_path, one)
