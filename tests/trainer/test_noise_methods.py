# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from safetensors.torch import load_file

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.noise_methods import FORGET_EPOCHS, CoTeaching, SelfCure
from tests.helpers.training_job import Videos, make_model, make_trainer


class FixedNetwork(torch.nn.Module):
    """A peer that gives the same logits to everything."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, **inputs):
        return {"logits": self.logits}


def probabilities_of_label_0(*values):
    return torch.tensor([[value, 1 - value] for value in values]).log()


def test_each_network_learns_what_the_other_one_finds_easy(tmp_path):
    args = RDFERTrainingArguments(output_dir=str(tmp_path), use_cpu=True, forget_rate=0.5)
    method = CoTeaching(make_model(), args, torch.zeros(4, dtype=torch.long), 20)
    method.peer = FixedNetwork(probabilities_of_label_0(0.9, 0.8, 0.2, 0.1))
    outputs = {"logits": probabilities_of_label_0(0.1, 0.2, 0.8, 0.9)}
    taken = []

    def batch_loss(outputs, labels, weights):
        taken.append(weights.tolist())
        return (weights * outputs["logits"][:, 0]).mean()

    labels, weights = torch.zeros(4, dtype=torch.long), torch.tensor([1.0, 2.0, 1.0, 1.0])
    method(outputs, {}, torch.arange(4), labels, weights, batch_loss, FORGET_EPOCHS - 1)
    assert taken == [[2, 4, 0, 0], [0, 0, 2, 2]]  # of the kept half each counts twice: the mean is over that half
    taken.clear()
    method(outputs, {}, torch.arange(4), labels, weights, batch_loss, 0)  # a tenth of the full rate: all are kept
    assert taken == [[1, 2, 1, 1]] * 2


def self_cure_outputs(probabilities, importance):
    """Outputs for which a layer of weight 1 gives these importances (before the sigmoid)."""
    states = torch.zeros(len(importance), 2, 16)
    states[..., 0] = torch.tensor(importance)[:, None]
    return {"logits": probabilities, "clip_logits": probabilities[:, None], "short_term_state": states}


def test_unimportant_samples_take_a_label_that_leads(tmp_path):
    given = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    method = SelfCure(make_model(), None, given, num_epochs=8)
    torch.nn.init.zeros_(method.importance.bias)
    method.importance.weight.data = torch.eye(1, 16)
    probabilities = probabilities_of_label_0(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.45, 0.9)
    outputs = self_cure_outputs(probabilities, [4.0] * 7 + [-4.0] * 3)

    def learn(epoch):
        seen = []

        def batch_loss(outputs, labels, weights):
            seen.append((outputs["logits"], labels))
            return torch.zeros(())

        loss = method(outputs, {}, torch.arange(10), given, torch.ones(10), batch_loss, epoch)
        return loss, *seen[0]

    loss, scaled, _ = learn(0)
    assert loss == 0  # the groups are far enough apart
    torch.testing.assert_close(scaled, torch.sigmoid(torch.tensor([4.0] * 7 + [-4.0] * 3))[:, None] * probabilities)
    assert learn(1)[2].sum() == 0  # a quarter of the training is not over
    learn(2)
    # Only 7: it is unimportant, and the other label leads by 0.4. With 8 it leads by 0.1.
    assert learn(3)[2].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]


def test_importances_are_pulled_apart():
    method = SelfCure(make_model(), None, torch.zeros(10, dtype=torch.long), num_epochs=8)
    outputs = self_cure_outputs(probabilities_of_label_0(*[0.5] * 10), [0.1] * 7 + [0.0] * 3)
    torch.nn.init.zeros_(method.importance.bias)
    method.importance.weight.data = torch.eye(1, 16)
    nothing = lambda outputs, labels, weights: torch.zeros(())  # noqa: E731
    loss = method(outputs, {}, torch.arange(10), torch.zeros(10, dtype=torch.long), torch.ones(10), nothing, 0)
    assert loss.item() == pytest.approx(0.15 - torch.sigmoid(torch.tensor(0.1)).item() + 0.5, abs=1e-5)


@pytest.mark.parametrize("loss", ["co_teaching", "self_cure"])
def test_resumed_training_equals_one_that_was_not(tmp_path, loss):
    options = {"loss": loss, "num_train_epochs": 4, "seed": 3, "dropout": 0.1}
    whole = make_trainer(tmp_path / "whole", Videos(12), save_strategy="epoch", **options)
    whole.train()
    resumed = make_trainer(tmp_path / "resumed", Videos(12), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-6"))
    for model in ("model", "noise_method"):
        before, after = (getattr(trainer, model).state_dict() for trainer in (whole, resumed))
        for name, value in before.items():
            assert torch.equal(after[name], value), name


def test_the_second_network_learns_and_is_not_saved_with_the_model(tmp_path):
    trainer = make_trainer(tmp_path, Videos(12), loss="co_teaching", num_train_epochs=2)
    before = {name: value.clone() for name, value in trainer.noise_method.state_dict().items()}
    own = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for name, value in before.items():
        if "backbone" in name:
            assert torch.equal(value, own[name.removeprefix("peer.")])
    assert any(not torch.equal(value, own[name.removeprefix("peer.")]) for name, value in before.items())
    trainer.train()
    assert any(not torch.equal(value, before[name]) for name, value in trainer.noise_method.state_dict().items())
    trainer.save_model()
    assert not [name for name in load_file(tmp_path / "model.safetensors") if name.startswith("peer")]
