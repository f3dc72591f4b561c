# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What `training.train_frames` is made of: face images in memory, their augmentation, the training."""
