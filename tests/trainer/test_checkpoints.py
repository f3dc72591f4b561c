# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import os
import re
import resource
import signal
import time

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from modeling_rdfer.trainer.checkpoints import CheckpointError
from tests.helpers.full_disk import file_size_limit
from tests.helpers.training_job import Videos, make_trainer
from tests.trainer.test_trainer import finish, run_job
from training.running.resume import missing_files


class FullDisk(TrainerCallback):
    """Before the third step, the disk gets full."""

    def __init__(self, num_bytes: int):
        self.num_bytes = num_bytes

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 2:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.num_bytes, hard))


# Room for nothing; for the model, not for the optimizer, which torch writes.
@pytest.mark.parametrize("share", [0.1, 1.2])
def test_a_full_disk_leaves_no_half_checkpoint(tmp_path, share):
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = make_trainer(tmp_path / "whole", train_dataset=Videos(8), **options)
    whole.train()
    size = (tmp_path / "whole" / "checkpoint-2" / "model.safetensors").stat().st_size
    trainer = make_trainer(
        tmp_path / "out", train_dataset=Videos(8), callbacks=[FullDisk(int(share * size))], **options
    )
    with file_size_limit(10**9), pytest.raises(CheckpointError) as error:
        trainer.train()
    needed = float(re.search(r"It needs about ([\d.]+) MB", str(error.value))[1])
    before = (tmp_path / "out" / "checkpoint-2").iterdir()
    assert needed == pytest.approx(sum(file.stat().st_size for file in before) / 1e6, abs=0.01)
    assert "checkpoint-4 could not be written" in str(error.value)
    assert "Complete and safe: checkpoint-2." in str(error.value)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["checkpoint-2"]

    resumed = make_trainer(tmp_path / "out", train_dataset=Videos(8), **options)
    resumed.train(resume_from_checkpoint=True)
    for name, value in load_file(tmp_path / "whole" / "checkpoint-4" / "model.safetensors").items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_a_checkpoint_that_was_killed_while_written_is_not_there(tmp_path):
    arguments = ["--save_steps", 1, "--epochs", 2]
    finish(run_job(tmp_path / "whole", *arguments))
    out = tmp_path / "killed"
    for moment in ("checkpoint-2", "checkpoint-5"):
        process = run_job(out, *arguments, *(["--resume"] if out.exists() else []), start_new_session=True)
        while process.poll() is None and not list((out / "unfinished" / moment).glob("*")):
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL, output
        checkpoints = [path for path in out.glob("checkpoint-*")]
        assert checkpoints and not any(missing_files(path) for path in checkpoints)
    finish(run_job(out, *arguments, "--resume"))
    assert not (out / "unfinished").exists()
    killed, whole = (load_file(folder / "model.safetensors") for folder in (out, tmp_path / "whole"))
    assert all(torch.equal(killed[name], value) for name, value in whole.items())


def test_a_checkpoint_of_an_earlier_training_is_replaced(tmp_path):
    for seed in (1, 2):
        trainer = make_trainer(
            tmp_path, train_dataset=Videos(8), max_steps=2, save_steps=2, save_strategy="steps", seed=seed
        )
        trainer.train()
    saved = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert all(torch.equal(trainer.model.state_dict()[name], value) for name, value in saved.items())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["checkpoint-2"]


def test_the_limit_on_the_number_of_checkpoints_counts_the_new_one(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 1, "max_steps": 4, "save_total_limit": 2}
    make_trainer(tmp_path, train_dataset=Videos(8), **options).train()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-4"]
