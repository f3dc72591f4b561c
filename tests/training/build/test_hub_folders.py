# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
from transformers import AutoModelForVideoClassification

from modeling_rdfer import RDFERForVideoClassification
from tests.helpers.bundle import MODELS
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT
from training.build.hub_folders import build

CHECKPOINT_FILES = {
    "README.md",
    "config.json",
    "face_detector.safetensors",
    "model.safetensors",
    "video_preprocessor_config.json",
}


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, AEN_CHECKPOINT])
def test_a_hub_folder_is_the_checkpoint_and_the_code_of_the_package(checkpoint, hub_folders):
    assert {path.name for path in checkpoint.iterdir()} == CHECKPOINT_FILES
    made = {path.name: path.read_bytes() for path in (hub_folders / checkpoint.name).iterdir()}
    assert all(made.pop(name) == (checkpoint / name).read_bytes() for name in CHECKPOINT_FILES)
    assert made and made == {name: (MODELS / name).read_bytes() for name in made}
    # What a model saved by the package carries is the same code.
    assert "video_decoding_rdfer.py" in made and f"modeling_{checkpoint.name[:-6]}.py" in made


def test_a_folder_is_replaced(tmp_path):
    (tmp_path / "stale.py").touch()
    assert build(CHECKPOINT, tmp_path) == tmp_path and not (tmp_path / "stale.py").exists()


def test_a_checkpoint_without_code_loads_where_the_package_is_imported():
    model = AutoModelForVideoClassification.from_pretrained(CHECKPOINT, trust_remote_code=True)
    assert type(model) is RDFERForVideoClassification
