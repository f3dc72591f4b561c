# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the scripts share: command lines, sets of videos, the model to train, the training, and folders of runs."""
