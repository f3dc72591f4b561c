# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch

from tests.helpers.paths import DATA

pytest.importorskip("cv2", reason="needs the extra benchmarks")
pytest.importorskip("h5py", reason="needs the extra benchmarks")

from training.benchmarks.shared.mini_xception import LABELS, MiniXception


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return MiniXception(tmp_path_factory.mktemp("cache"))


@pytest.mark.npm
def test_the_network_computes_what_keras_computes(system):
    y, x = np.mgrid[:64, :64]
    image = torch.from_numpy((3 * x + 5 * y) % 256).byte()
    # Keras 3.15 with the package's file.
    expected = [0.78885162, 3.8972644e-06, 0.05086624, 0.00150003, 0.06092778, 0.00026102, 0.09758944]
    torch.testing.assert_close(system.scores(image[None, None]), torch.tensor([expected]), atol=1e-5, rtol=0)


@pytest.mark.npm
def test_it_finds_the_face_of_a_video(system):
    [video] = system.read([str(DATA / "cap13_edit2.mp4")], "clip")
    assert video.shape[1:] == (1, 64, 64) and 50 < len(video) <= 64
    assert LABELS[system.scores(video).mean(0).argmax()] == "neutral"
    [none] = system.read([np.zeros((2, 80, 80, 3), np.uint8)], "nothing")
    assert none is None and not system.classify([none]).any()
