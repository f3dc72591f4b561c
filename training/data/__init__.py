# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Labelled videos on their way into a model.

`sources.py` finds the videos that a script's arguments name; `labelled_videos.py` holds them with their labels;
`checks.py` finds those that cannot be read; `video_dataset.py` makes training examples of them, and `streaming.py`
those of prepared shards.
"""
