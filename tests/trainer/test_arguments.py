# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments


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
        {"full_doubt_margin": 0.0},
        {"relabel_start": 2.0},
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RDFERTrainingArguments(output_dir=str(tmp_path), **wrong)
