# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Backbones, temporal shift, and the agreement of distinct clips."""

import pytest
import torch

from tests.helpers.tiny_models import TINY_VIT, VARIANTS, assert_same, tiny_model, videos


def test_temporal_shift_moves_one_frame_and_stays_in_its_clip():
    from modeling_rdfer.models.video_backbone_rdfer import _temporal_shift

    frames = torch.arange(1.0, 9)[:, None, None, None].expand(8, 16, 1, 1).clone()  # two clips of four frames
    shifted = _temporal_shift(None, (frames,), num_frames=4)[:, :, 0, 0]
    assert shifted[:, 0].tolist() == shifted[:, 1].tolist() == [0, 1, 2, 3, 0, 5, 6, 7]
    assert shifted[:, 2].tolist() == shifted[:, 3].tolist() == [2, 3, 4, 0, 6, 7, 8, 0]
    assert shifted[:, 4:].eq(frames[:, 4:, 0, 0]).all()


@torch.no_grad()
def test_temporal_shift_in_large_batches_of_odd_clips():
    """On a CPU, frames go through the backbone in parts, which must not divide clips."""
    model = tiny_model(temporal_shift=True, frames_per_clip=3, num_detector_frames=5)
    frames = videos(batch=7)
    together = model(frames)
    for index in range(7):
        assert_same(together.logits[index], model(frames[index : index + 1]).logits[0])


def test_temporal_shift_needs_a_resnet():
    with pytest.raises(ValueError, match="temporal_shift.*rdfer_frame_net"):
        tiny_model(**VARIANTS["frame_net"], temporal_shift=True)


# Stochastic depth and gradient checkpointing of other backbones ------------------------------------------------------

OTHER_BACKBONES = {
    "transformers": (TINY_VIT, 28),
    "timm": ({"model_type": "timm_backbone", "backbone": "test_vit", "out_indices": [-1]}, 160),
}


@pytest.mark.parametrize("kind", OTHER_BACKBONES)
def test_drop_path_acts_in_training_only(kind):
    backbone, size = OTHER_BACKBONES[kind]
    model = tiny_model(backbone_config=backbone, image_size=size, dropout=0.0)
    frames, jitter = videos(size=size, num_frames=4), torch.full((2, model.config.num_clips), 0.5)
    names, expected = set(model.state_dict()), model(frames).logits
    model.set_drop_path(0.5)
    assert_same(model(frames).logits, expected, tolerance=0)
    model.rdfer.backbone.train()
    assert not torch.allclose(model(frames, clip_jitter=jitter).logits, model(frames, clip_jitter=jitter).logits)
    assert set(model.state_dict()) == names


def test_drop_path_keeps_the_mean():
    from modeling_rdfer.models.video_backbone_rdfer import RDFERDropPath

    torch.manual_seed(0)
    frames = RDFERDropPath(0.25).train()(torch.ones(4000, 2, 3))
    assert set(frames.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert frames.flatten(1).std(1).max() == 0 and abs(frames.mean() - 1) < 0.03  # a whole frame or nothing of it


def test_drop_path_needs_a_place():
    with pytest.raises(ValueError, match="drop_path: the backbone, a ResNetBackbone, has no stochastic depth"):
        tiny_model().set_drop_path(0.1)


@pytest.mark.parametrize("kind", OTHER_BACKBONES)
def test_blocks_are_checkpointed_one_by_one(kind):
    """The gradients are the same, and less is kept for the backward pass."""
    backbone, size = OTHER_BACKBONES[kind]
    model = tiny_model(backbone_config=backbone, image_size=size, dropout=0.0).train()
    model.set_drop_path(0.3)
    inputs = {"labels": torch.tensor([0, 1]), "clip_jitter": torch.full((2, model.config.num_clips), 0.5)}
    frames, found, kept = videos(size=size, num_frames=4), [], []

    def keep(tensor):
        kept[-1] += tensor.numel()
        return tensor

    for checkpoint in (False, True):
        if checkpoint:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        kept.append(0)
        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(frames, **inputs).loss
        loss.backward()
        found.append({name: p.grad for name, p in model.rdfer.backbone.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and kept[1] < 0.8 * kept[0]
    for name, gradient in found[0].items():
        assert_same(found[1][name], gradient)
