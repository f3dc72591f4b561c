# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos on their way into a model.

`dataset_argument.py` finds the videos that a script's arguments name. `labelled_videos.py` holds them with their
labels, and `labels.py` maps labels of one dataset onto those of another. `checks.py` finds videos that cannot be read.
`video_dataset.py` makes training examples of videos; `video_shards.py` and `streaming.py` do the same with prepared
shards. `scoring_batches.py` runs a model over videos.
"""
