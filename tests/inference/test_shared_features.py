# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer import AENForVideoClassification, timeline
from modeling_rdfer.inference.loading import load
from modeling_rdfer.inference.shared_features import SharedFeatures, can_share_features, distinct_backbones
from tests.helpers.paths import AEN_CHECKPOINT, DATA
from tests.helpers.tiny_models import tiny_model

CLIP = DATA / "cap13_edit2.mp4"


NETWORKS = {
    "embedded": lambda: load()[0],
    "other detector": lambda: tiny_model(image_size=56),
    "aen": lambda: AENForVideoClassification.from_pretrained(AEN_CHECKPOINT).eval(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_with_shared_features_have_the_answers_of_the_model_alone(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    size = network.config.image_size
    frames = torch.randint(0, 256, (30, 3, size, size), dtype=torch.uint8)
    windows = torch.stack([torch.arange(start, start + 20) for start in (0, 5, 10)])
    mask = torch.ones(3, 20, dtype=torch.bool)
    mask[1, 15:] = False
    shared = SharedFeatures(network, distinct_backbones(network, size))
    for number, frame in enumerate(frames):
        shared.add(number, frame)
    with torch.inference_mode():
        expected = network(frames[windows], frame_mask=mask)
        outputs = network(frames[windows], frame_mask=mask, shared_features=shared.of_windows(windows))
    assert torch.allclose(outputs.logits, expected.logits, atol=1e-5)
    assert torch.equal(outputs.key_frame_indices, expected.key_frame_indices)


def test_each_frame_goes_through_the_network_once():
    network, frames = load()[0], []
    hook = network.base_model.backbone.register_forward_pre_hook(lambda _, args: frames.append(len(args[0])))
    other = network.base_model.detector.backbone.register_forward_pre_hook(lambda _, args: frames.append(1000))
    try:
        windows = timeline(CLIP, window=1.0, step=0.1)
    finally:
        hook.remove()
        other.remove()
    # The clip has 765 frames; its two networks are equal, so only one of them runs.
    assert len(windows) > 250 and 300 < sum(frames) <= 765


def test_temporal_shift_cannot_share_features():
    assert can_share_features(load()[0])
    network = load()[0]
    network.config.temporal_shift = True
    try:
        assert not can_share_features(network)
    finally:
        network.config.temporal_shift = False


def test_forgotten_frames_are_not_kept():
    shared = SharedFeatures(load()[0], {})
    for number in range(10):
        shared.add(number, torch.zeros(3, 48, 48, dtype=torch.uint8))
    shared.forget_before(8)
    assert sorted(shared._frames) == [8, 9]
