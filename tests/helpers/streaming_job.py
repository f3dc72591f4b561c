# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trains on a stream in one of several processes and reports what it saw and opened; the tests run it by torchrun."""

import json
import os
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

from tests.helpers.prepared_sets import LABELS, make_stream
from tests.helpers.training_job import make_trainer
from training.running.process_group import end_process_group


class Report(TrainerCallback):
    """Which samples this process saw, and which shards it opened, in each epoch."""

    def __init__(self):
        self.seen, self.opened, self.trainer = [], [], None
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if event == "open" and self.opened and str(arguments[0]).endswith(".parquet"):
            self.opened[-1].append(Path(arguments[0]).name)

    def on_epoch_begin(self, *arguments, **options):
        self.opened.append([])

    def on_epoch_end(self, *arguments, **options):
        self.seen.append(torch.cat([part.index for part in self.trainer._predictions]).tolist())


def main():
    prepared, output_dir = sys.argv[1:]
    torch.set_num_threads(1)
    report = Report()
    options = {"per_device_train_batch_size": 4, "num_train_epochs": 2}
    # Before the trainer's own callback, which empties its predictions.
    trainer = make_trainer(output_dir, make_stream(prepared, num_clips=2), labels=LABELS, **options)
    assert trainer.args.world_size == 2
    report.trainer = trainer
    trainer.callback_handler.callbacks.insert(0, report)
    trainer.train()
    report.opened = [[name for name in opened if name.startswith("fold")] for opened in report.opened]
    result = {"seen": report.seen, "opened": report.opened}
    (Path(output_dir) / f"report_{trainer.args.process_index}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
    end_process_group()
    # Threads of upstream libraries have aborted a process while Python shut down, after all was done. What is tested
    # is written by now, so the process ends without that.
    sys.stdout.flush()
    os._exit(0)
