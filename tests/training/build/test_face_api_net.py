# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForVideoClassification

from modeling_rdfer import predict
from tests.helpers.paths import CHECKPOINT, DATA
from training.benchmarks.shared.face_systems import Checkpoint, FaceAPICheckpoint
from training.build.face_api_net import build


@pytest.mark.npm
@pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")
def test_it_computes_what_the_package_computes(tmp_path):
    folder = tmp_path / "before"
    build(folder, CHECKPOINT / "face_detector.safetensors")
    model = AutoModelForVideoClassification.from_pretrained(folder).eval()
    with np.load(DATA / "face_expression_reference.npz") as reference:
        crops = torch.from_numpy(reference["crops"]).permute(0, 3, 1, 2)
        assert [model.config.id2label[number] for number in range(7)] == reference["class_names"].tolist()
        expected = torch.from_numpy(reference["probabilities"])
    outputs = model(crops[:, None])
    torch.testing.assert_close(outputs.logits.softmax(-1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.frame_logits[:, 0].softmax(-1), expected, atol=1e-5, rtol=0)
    assert predict(DATA / "cap13_edit2.mp4", str(folder))["predictions"][0]["label"] == "neutral"

    # Its crops are not those of a checkpoint with the same processor, which keeps its crops in the same cache.
    system, other = FaceAPICheckpoint(tmp_path), Checkpoint(folder, tmp_path)
    assert system.crops_from != other.crops_from
    clip = [str(DATA / "cap13_edit2.mp4")]
    for each in (system, other):
        assert system.labels[each.scores(each.read(clip, "clip")[0]).mean(0).argmax()] == "neutral"
