# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import numpy as np
import pytest
import torch

from modeling_rdfer import RDFERForVideoClassification
from tests.helpers.paths import CHECKPOINT, DATA
from training.build.npm_weights import FACE_API, HUMAN_MODELS, fetch_package
from training.build.rdfer_small import build


@torch.no_grad()
@pytest.mark.parametrize("part", ["detector", "clips"])
def test_frame_heads_give_the_original_probabilities(part):
    """The reference was made with the published network itself."""
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    with np.load(DATA / "face_expression_reference.npz") as reference:
        crops = torch.from_numpy(reference["crops"]).permute(0, 3, 1, 2)
        assert [model.config.id2label[i] for i in range(7)] == reference["class_names"].tolist()
        expected = torch.from_numpy(reference["probabilities"])
    outputs = model(crops[:, None])  # twelve videos of one frame
    logits = outputs.frame_logits[:, 0] if part == "detector" else outputs.logits
    torch.testing.assert_close(logits.softmax(-1), expected, atol=1e-5, rtol=0)


@pytest.mark.npm
@pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")
def test_the_checkpoint_is_rebuilt_bit_for_bit(tmp_path):
    build(tmp_path / "built", fetch_package(FACE_API, tmp_path), fetch_package(HUMAN_MODELS, tmp_path))
    committed = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir() if path.is_file()}
    built = {path.name: path.read_bytes() for path in (tmp_path / "built").iterdir() if path.is_file()}
    assert built.keys() == committed.keys()
    assert [name for name in built if built[name] != committed[name]] == []
