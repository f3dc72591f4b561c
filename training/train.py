# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes RDFER or AEN on labelled videos of faces."""

import sys

from accelerate import PartialState

from training.running.arguments import parse_training_arguments
from training.running.fit import run_training

EXAMPLES = """examples:
  python -m training.train --train_dir D/train --validation_dir D/validation --output_dir out
  python -m training.train --train_list labels.csv --output_dir out --preset base --loss ce
  python -m training.train --train_dir D/train --output_dir out --model_type aen --preset base
  python -m training.train --dataset dfew --root D --fold 1 --face_crop false --output_dir out
  python -m training.train --dataset crema_d --root D --fold 1 --model_selection held_out --output_dir out
  python -m training.train --train_dir D/train --decisions decisions.csv --output_dir out
  python -m training.train --config training/recipes/cpu.yaml --train_dir D/train --output_dir out
  torchrun --nproc_per_node 2 -m training.train --train_dir D/train --output_dir out
  python -m training.train --train_dir D/train --output_dir out --push_to_hub --hub_model_id you/my-model
"""


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Trains, evaluates and writes everything into `--output_dir`. Returns the metrics of the evaluation."""
    arguments = sys.argv[1:] if argv is None else argv
    return run_training(*parse_training_arguments(arguments, "train", __doc__, EXAMPLES))


if __name__ == "__main__":
    main()
    # Of several processes, one that ends with its group alive can be aborted by its threads (pytorch/pytorch#179291).
    PartialState().destroy_process_group()
