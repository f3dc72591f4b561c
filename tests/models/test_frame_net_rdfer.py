# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The frame network is a backbone of transformers, and light, contrast and colour cast do not change what it sees."""

import copy

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from torch.nn import functional as F
from transformers import AutoBackbone

from modeling_rdfer import RDFERFrameNet, RDFERFrameNetConfig
from tests.helpers.tiny_models import assert_same


@pytest.fixture(scope="module")
def frame_net():
    torch.manual_seed(0)
    network = RDFERFrameNet(RDFERFrameNetConfig(hidden_sizes=[8, 16], depths=[1, 2]))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # else every block is only its shortcut
            torch.nn.init.normal_(module.weight, 1, 0.1)
    return network.eval()


def test_it_is_a_backbone_of_transformers():
    config = RDFERFrameNetConfig(hidden_sizes=[8, 16, 32], depths=[1, 1, 2], out_features=["stage1", "stage3"])
    backbone = AutoBackbone.from_config(config)
    assert type(backbone) is RDFERFrameNet and backbone.channels == [8, 32]
    shapes = [tuple(x.shape) for x in backbone(torch.rand(2, 3, 48, 41)).feature_maps]
    assert shapes == [(2, 8, 24, 21), (2, 32, 6, 6)]


def test_the_default_network_has_its_published_size():
    network = RDFERFrameNet(RDFERFrameNetConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_255_392


@torch.no_grad()
@pytest.mark.parametrize(
    "change",
    [lambda x: 0.3 * x, lambda x: 0.5 * x + 0.4, lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1)],
    ids=["dark", "pale", "grey"],
)
def test_light_and_contrast_make_no_difference(frame_net, change):
    grey = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    images = F.interpolate(grey, (48, 48), mode="bicubic").clamp(0, 1).expand(-1, 3, -1, -1)
    before, after = (frame_net(x).feature_maps[-1] for x in (images, change(images)))
    assert (after - before).abs().max() < 0.05 * before.abs().max()
    other = frame_net(images.flip(-1)).feature_maps[-1].flip(-1)
    assert (other - before).abs().max() > 0.05 * before.abs().max()  # the bound above is no empty one


@torch.no_grad()
def test_grey_images_of_one_channel_are_seen_as_rgb_ones(frame_net):
    grey = torch.rand(2, 1, 48, 48)
    assert_same(frame_net(grey).feature_maps[-1], frame_net(grey.expand(-1, 3, -1, -1)).feature_maps[-1])


@torch.no_grad()
def test_without_norms_the_features_are_the_same(frame_net):
    network = copy.deepcopy(frame_net).train()
    for _ in range(3):
        network(torch.rand(8, 3, 48, 48))  # gives the norms statistics
    network.eval()
    folded, images = network.without_norms(), torch.rand(2, 3, 48, 48)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert_same(folded(images).feature_maps[-1], network(images).feature_maps[-1])
    assert network.state_dict().keys() == frame_net.state_dict().keys()


@torch.no_grad()
def test_without_norms_an_adapted_convolution_is_kept(frame_net):
    class Adapted(torch.nn.Module):  # as LoRA's
        def __init__(self, convolution):
            super().__init__()
            self.base_layer = convolution

        def forward(self, hidden_state):
            return 1.5 * self.base_layer(hidden_state)

    network, images = copy.deepcopy(frame_net).eval(), torch.rand(2, 3, 48, 48)
    block = network.stages[1][0]
    torch.nn.init.ones_(block.norm2.weight)
    block.convolution2 = Adapted(block.convolution2)
    assert_same(network.without_norms()(images).feature_maps[-1], network(images).feature_maps[-1])


def test_an_even_image_gives_finite_features_and_gradients(frame_net):
    images = torch.full((1, 3, 48, 48), 0.5, requires_grad=True)
    frame_net(images).feature_maps[-1].sum().backward()
    assert images.grad.isfinite().all()


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"depths": [1, 1]}, "depths"),
        ({"hidden_sizes": [8, 8, 8, 0]}, "hidden_sizes"),
        ({"num_channels": 2}, "num_channels"),
    ],
)
def test_wrong_configurations_are_refused(wrong, named):
    with pytest.raises((ValueError, StrictDataclassClassValidationError), match=named):
        RDFERFrameNetConfig(**wrong)
