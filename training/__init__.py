# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Run from a checkout: `python -m training.SCRIPT --help`.

At the top stand the scripts that people run: train, train_frames, evaluate, cross_validate, audit, check_data,
prepare, figures, push; `python -m training.synthetic` draws synthetic videos. The folders hold what they share:

- `datasets/`: loaders of the field's datasets and of your own videos. A new dataset goes there.
- `data/`: labelled videos, what `--dataset` means, checks, examples for a model, streaming.
- `frames/`: what train_frames is made of: face images, their augmentation, its Trainer.
- `running/`: arguments, the model to train, the training, folders of runs.
- `auditing/`: scores, folds, verdicts, the page and the decisions of an audit.
- `preparing/`: sets of face crops in Parquet shards.
- `reports/`: figures, tables and card facts that several scripts write.
- `recipes/`: settings for `--config`, and in `accelerate/` for `accelerate launch`.
- `metrics/`: WAR and UAR for the evaluate library.
- `synthetic/`: drawn faces with known labels. `benchmarks/`: what is measured, and the results.
- `build/`: makes the checkpoints and cards of hub_cards/.
"""
