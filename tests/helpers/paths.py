# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Where the tests find the repository, their data and the checkpoints."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
CHECKPOINT = ROOT / "hub_cards" / "rdfer-small"
AEN_CHECKPOINT = ROOT / "hub_cards" / "aen-small"
