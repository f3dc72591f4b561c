# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.trusted_labels import TrustedLabels, estimate_noise_matrix, given_label_logits
from modeling_rdfer.trainer.verdicts import CLEAN, NOISY, VerdictThresholds
from tests.helpers.training_job import Videos, labels_and_known, make_trainer, predictions_and_known


def test_a_noise_matrix_counts_and_is_drawn_towards_what_is_usual():
    true = torch.tensor([0] * 400 + [1] * 400)
    given = torch.tensor([0] * 100 + [1] * 300 + [1] * 400)
    matrix = estimate_noise_matrix(true, given, 3)
    torch.testing.assert_close(matrix.sum(1), torch.ones(3))
    torch.testing.assert_close(matrix[:2], torch.tensor([[0.25, 0.75, 0], [0, 1, 0]]), atol=0.01, rtol=0)
    # Of label 2 nothing is known: it is right as often as labels are in all, 500 of 800.
    assert matrix[2, 2].item() == pytest.approx(5 / 8, abs=0.01)
    assert (estimate_noise_matrix(torch.tensor([0]), torch.tensor([0]), 3) > 0).all()


def test_scores_of_given_labels():
    matrix = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
    logits = torch.tensor([[[0.8, 0.2]], [[0.0, 1.0]]]).log()
    expected = torch.tensor([[[0.8 * 0.9 + 0.2 * 0.4, 0.8 * 0.1 + 0.2 * 0.6]], [[0.4, 0.6]]])
    torch.testing.assert_close(given_label_logits(logits, matrix).exp(), expected)


class MislabelledVideos(Videos):
    """Videos that are given the next label, but for the first half of them, which are trusted."""

    def __init__(self, count: int, knows: bool):
        super().__init__(count)
        right = torch.tensor(self.labels)
        mask = torch.arange(count) < count // 2
        given = (right + 1) % 3
        self.given = torch.where(mask, right, given).tolist()
        self.stripes, self.labels = self.labels, self.given
        if knows:
            self.trusted = TrustedLabels(mask, estimate_noise_matrix(right[mask], given[mask], 3))

    def __getitem__(self, index):
        self.labels = self.stripes  # what is drawn
        example = super().__getitem__(index)
        self.labels = self.given
        return {**example, "labels": self.given[index]}


@pytest.mark.parametrize("loss", [pytest.param("ce", marks=pytest.mark.slow), "agreement"])
def test_wrong_labels_teach_by_way_of_the_noise_matrix(tmp_path, loss):
    options = {"loss": loss, "num_train_epochs": 12, "learning_rate": 3e-3, "eval_dataset": Videos(24)}
    trainer = make_trainer(tmp_path, MislabelledVideos(48, knows=True), **options)
    trainer.train()
    assert trainer.evaluate()["eval_war"] >= 0.9
    if loss == "ce":
        weights = trainer.weighting.weights
        torch.testing.assert_close(weights[:24], 5 * weights[24:])
    blind = make_trainer(tmp_path, MislabelledVideos(48, knows=False), **options)
    blind.train()
    assert blind.evaluate()["eval_war"] <= 0.8


def test_trusted_labels_are_never_doubted():
    labels = labels_and_known([0, 1])
    trusted = torch.arange(len(labels)) == 0
    record = SampleRecord(labels, 3, VerdictThresholds(noisy_loss_threshold="1"), trusted=trusted)
    record.update(predictions_and_known([0, 1], [3.0, 3.0], against=True))
    assert record.partition[:2].tolist() == [CLEAN, NOISY]
    assert record.doubt[:2].tolist() == [0, 1] and record.weights[:2].tolist() == [1, 0]


def test_the_methods_to_compare_with_take_no_trusted_labels(tmp_path):
    with pytest.raises(ValueError, match="--loss self_cure"):
        make_trainer(tmp_path, MislabelledVideos(12, knows=True), loss="self_cure")
