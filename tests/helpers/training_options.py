# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Options of trainings in tests: quiet runs on a CPU, and the smallest model."""

FAST = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true"]
TINY = ["--preset", "tiny", "--config_overrides", "image_size=32,num_frames=8,detector_image_size=32"]
