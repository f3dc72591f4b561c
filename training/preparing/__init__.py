# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Turns a dataset into a prepared set: its frames, at the size that training sees, as small videos in Parquet shards.

`dataset.py` has the whole, [`~training.preparing.dataset.prepare_dataset`]; `clips.py` finds the clips to prepare;
`plan.py` says which clip goes into which shard, and continues an interrupted run; `encoding.py` makes a clip's row;
`shards.py` writes and reads shards; `card.py` writes the dataset card.
"""
