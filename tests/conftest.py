# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest
import torch

DATA = Path(__file__).parent / "data"
CHECKPOINT = Path(__file__).parents[1] / "hub_cards" / "rdfer-small"
AEN_CHECKPOINT = CHECKPOINT.with_name("aen-small")

# The models of the tests are so small that a second thread costs more than it brings.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_path() -> Path:
    """Real clip: 30.6 s, 400x300, 25 fps, 765 frames, one face."""
    return DATA / "cap13_edit2.mp4"


@pytest.fixture(scope="session")
def checkpoint_path() -> Path:
    """The embedded checkpoint, a folder as a Hub repository holds it."""
    return CHECKPOINT
