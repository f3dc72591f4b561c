# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A small training on videos whose label is their colour: imported by the tests, and run by them in processes."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers import TrainerCallback

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions
from modeling_rdfer.trainer.trainer import RDFERTrainer
from training.running.process_group import end_process_group
from training.running.resume import last_checkpoint

LABELS = ["red", "green", "blue"]


class Videos(torch.utils.data.Dataset):
    """Noisy videos whose label is the channel that is brighter. Deterministic by (epoch, index)."""

    def __init__(self, count: int):
        self.labels = [index % 3 for index in range(count)]
        self.epoch = 0

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(1000 * self.epoch + index)
        video = torch.randint(0, 120, (8, 3, 32, 32), generator=generator, dtype=torch.uint8)
        third = 11 * (self.labels[index] % 3)
        video[..., third : third + 11] += 60  # a bright stripe; the frame network does not see colours
        return {
            "pixel_values_videos": video,
            "frame_mask": torch.ones(8, dtype=torch.bool),
            "clip_jitter": torch.rand(2, generator=generator),
            "labels": self.labels[index],
            "sample_index": index,
        }


def make_model(dropout=0.0, labels=LABELS) -> RDFERForVideoClassification:
    torch.manual_seed(0)
    # Without batch norms, so that a batch can be split over processes and steps.
    backbone = {
        "model_type": "convnext", "hidden_sizes": [8, 8, 16], "depths": [1, 1, 1], "num_stages": 3,
        "layer_scale_init_value": 1.0, "out_features": ["stage3"],
    }  # fmt: skip
    config = RDFERConfig(
        backbone_config=backbone,
        detector_backbone_config=backbone,
        detector_image_size=16,
        hidden_size=16,
        detector_hidden_size=8,
        num_attention_heads=2,
        num_detector_frames=4,
        num_clips=2,
        frames_per_clip=2,
        dropout=dropout,
        id2label=dict(enumerate(labels)),
    )
    return RDFERForVideoClassification(config)


def make_trainer(
    output_dir,
    train_dataset=None,
    eval_dataset=None,
    callbacks=None,
    dropout=0.0,
    labels=LABELS,
    processing_class=None,
    model=None,
    **options,
):
    defaults = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "save_strategy": "no",
        "logging_strategy": "epoch",
        "dataloader_pin_memory": False,
    }
    args = RDFERTrainingArguments(output_dir=str(output_dir), **{**defaults, **options})
    return RDFERTrainer(
        model=model or make_model(dropout, labels),
        args=args,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        callbacks=callbacks,
        processing_class=processing_class,
    )


def predictions_of(index, loss, agreement=1.0, against=False, probabilities=None):
    """Predictions for samples whose label is their number modulo 3: 0.8 for it, or for the next label if `against`."""
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


# Samples of which a model knows the label: with them it is trusted, whatever it says of some others.
NUM_KNOWN = 24


def labels_and_known(labels):
    """Given labels, and those of `NUM_KNOWN` further samples as `predictions_of` takes them."""
    return torch.cat([torch.tensor(labels), torch.arange(len(labels), len(labels) + NUM_KNOWN) % 3])


def predictions_and_known(index, *args, **kwargs):
    """`predictions_of` samples 0, 1, ..., and right ones of `NUM_KNOWN` further samples."""
    known = predictions_of(list(range(len(index), len(index) + NUM_KNOWN)), [0.1] * NUM_KNOWN)
    return SamplePredictions.concatenate([predictions_of(index, *args, **kwargs), known])


class DieAt(TrainerCallback):
    """Kills this process when a step is reached."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def shard_on_cpus():
    """Lets accelerate use FSDP with processes on CPUs, which it only does with GPUs, so that it can be tried there."""
    set_device = PartialState.set_device

    def set_device_and_type(state):
        set_device(state)
        if state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU

    PartialState.set_device = set_device_and_type


class StopAt(TrainerCallback):
    """Says that a step is reached, and waits to be killed."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            print("stopped at step", self.step, flush=True)
            signal.pause()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", type=Path)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--eval_samples", type=int, default=7)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--save_steps", type=int)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--stop_at", type=int)
    parser.add_argument("--die_at", type=int)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint, if there is one")
    parser.add_argument("--shard_on_cpus", action="store_true")
    parser.add_argument("--exact", action="store_true", help="no dropout and plain SGD, for comparing with rounding")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.shard_on_cpus:
        shard_on_cpus()
    checkpoint = last_checkpoint(arguments.output_dir) if arguments.resume else None
    callbacks = [StopAt(arguments.stop_at)] if arguments.stop_at else []
    if arguments.die_at and checkpoint is None:
        callbacks.append(DieAt(arguments.die_at))
    exact = {"optim": "sgd", "learning_rate": 0.01, "max_grad_norm": 0} if arguments.exact else {}
    trainer = make_trainer(
        arguments.output_dir,
        train_dataset=Videos(arguments.samples),
        eval_dataset=Videos(arguments.eval_samples),
        callbacks=callbacks,
        dropout=0.0 if arguments.exact else 0.2,
        per_device_train_batch_size=arguments.batch_size,
        num_train_epochs=arguments.epochs,
        dataloader_num_workers=arguments.workers,
        sampler=arguments.sampler,
        # So that there are verdicts of every kind in so short a training.
        agreement_warmup_epochs=1,
        full_doubt_margin=-0.01,
        noisy_loss_threshold="1.05",
        running_mean_decay=0.7,
        **({"save_strategy": "steps", "save_steps": arguments.save_steps} if arguments.save_steps else {}),
        **exact,
    )
    print("world size", trainer.args.world_size, "FSDP", trainer.is_fsdp_enabled, "from", checkpoint, flush=True)
    trainer.train(resume_from_checkpoint=checkpoint)
    metrics = {**trainer.evaluate(), "losses": [log["loss"] for log in trainer.state.log_history if "loss" in log]}
    trainer.save_model()
    if trainer.is_world_process_zero():
        (arguments.output_dir / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
    end_process_group()
    # Threads of upstream libraries have aborted a process while Python shut down, after all was done. What is tested
    # is written by now, so the process ends without that.
    sys.stdout.flush()
    os._exit(0)
