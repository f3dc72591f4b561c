# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes RDFER or AEN on labelled videos of faces."""

import sys

from training.running.arguments import parse_training_arguments
from training.running.fit import run_training
from training.running.process_group import end_process_group

EXAMPLES = """examples:
  python -m training.train --dataset D --output-dir out                            D/<split>/<label>/<video>
  python -m training.train --dataset D/train --eval-dataset D/validation --output-dir out
  python -m training.train --dataset labels.csv --output-dir out --preset base --loss ce
  python -m training.train --dataset user/name --output-dir out --model-type aen --preset base
  python -m training.train --dataset dfew --root D --fold 1 --no-face-crop --output-dir out
  python -m training.train --dataset crema_d --root D --fold 1 --model-selection held_out --output-dir out
  python -m training.train --dataset D --decisions decisions.csv --output-dir out
  python -m training.train --dataset D --config training/recipes/cpu.yaml --output-dir out
  torchrun --nproc-per-node 2 -m training.train --dataset D --output-dir out
  python -m training.train --dataset D --output-dir out --push-to-hub --hub-model-id you/my-model

--train-dir, --train-list and --dataset-name mean --dataset; --validation-dir, --validation-list, --test-dir and
--eval-list mean --eval-dataset; --model-name-or-path means --model; --num-workers means --dataloader-num-workers.
"""


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Trains, evaluates and writes everything into `--output-dir`. Returns the metrics of the evaluation."""
    arguments = sys.argv[1:] if argv is None else argv
    return run_training(*parse_training_arguments(arguments, "train", __doc__, EXAMPLES))


if __name__ == "__main__":
    main()
    end_process_group()
