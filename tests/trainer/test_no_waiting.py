# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A training step never waits for the GPU: no value is read back (`.item()`, `.cpu()`, `if tensor`), and no shape
depends on values (`tensor[mask]`). Tensors without values stand in for those of a GPU: what needs a value is an error.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from modeling_rdfer.trainer.collator import collate_videos
from tests.helpers.training_job import Videos, make_trainer

LOSSES = ["agreement", "ce", "gce", "sce"]


@pytest.mark.parametrize("loss", LOSSES)
def test_no_step_needs_values_on_the_cpu(loss, tmp_path, monkeypatch):
    videos = Videos(8)
    trainer = make_trainer(tmp_path, train_dataset=videos, loss=loss)
    trainer.begin_epoch(0)
    batch = collate_videos([videos[number] for number in range(4)])
    # On CPUs the model may look at values, as it costs nothing there.
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda tensor: True), raising=False)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        tensors = {name: mode.from_tensor(value) for name, value in batch.items()}
        trainer.compute_loss(trainer.model.train(), tensors).backward()
        with pytest.raises(DataDependentOutputException):  # the check itself sees what it should
            tensors["labels"].sum().item()


@pytest.mark.needs_cuda
@pytest.mark.parametrize("loss", LOSSES)
def test_no_step_waits_for_the_gpu(loss, tmp_path):
    videos = Videos(8)
    trainer = make_trainer(tmp_path, train_dataset=videos, loss=loss, use_cpu=False)
    trainer.begin_epoch(0)
    batch = trainer._prepare_inputs(collate_videos([videos[number] for number in range(4)]))
    model = trainer.model.cuda().train()
    trainer.compute_loss(model, batch).backward()  # the first step sets up libraries
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.compute_loss(model, batch).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
