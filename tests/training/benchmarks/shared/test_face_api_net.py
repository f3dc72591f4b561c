# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForVideoClassification

from modeling_rdfer import predict
from tests.helpers.paths import CHECKPOINT, DATA
from training.benchmarks.shared.face_api_net import build


@pytest.mark.npm
@pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")
def test_it_computes_what_the_package_computes(tmp_path):
    build(tmp_path, CHECKPOINT / "face_detector.safetensors")
    model = AutoModelForVideoClassification.from_pretrained(tmp_path).eval()
    with np.load(DATA / "face_expression_reference.npz") as reference:
        crops = torch.from_numpy(reference["crops"]).permute(0, 3, 1, 2)
        assert [model.config.id2label[number] for number in range(7)] == reference["class_names"].tolist()
        expected = torch.from_numpy(reference["probabilities"])
    outputs = model(crops[:, None])
    torch.testing.assert_close(outputs.logits.softmax(-1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.frame_logits[:, 0].softmax(-1), expected, atol=1e-5, rtol=0)
    assert predict(DATA / "cap13_edit2.mp4", str(tmp_path))["predictions"][0]["label"] == "neutral"
