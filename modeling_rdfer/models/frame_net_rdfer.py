# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The frame network: a small residual network that reads the expression of single face images."""

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin
from transformers.modeling_outputs import BackboneOutput
from transformers.utils.generic import can_return_tuple

from .configuration_rdfer import RDFERFrameNetConfig

# Weights of red, green and blue in grey (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


class RDFERFrameBlock(nn.Module):
    """Residual block of two 3x3 convolutions; with `stride` 2 the shortcut averages neighbouring pixels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.convolution1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.convolution2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        residual = F.relu(self.norm1(self.convolution1(hidden_state)))
        residual = self.norm2(self.convolution2(residual))
        return F.relu(residual + self.shortcut(hidden_state))


class RDFERFrameNet(BackboneMixin, PreTrainedModel):
    """Small residual network for single face images with transformers' backbone API (ours).

    It sees grey images only, and scales each to mean 0 and standard deviation 1, so brightness, contrast and colour
    cast make little difference.

    Args:
        config ([`RDFERFrameNetConfig`]): the configuration.
    """

    config_class = RDFERFrameNetConfig
    base_model_prefix = "frame_net"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    has_attentions = False
    _supports_sdpa = True  # that is: there is no attention

    def __init__(self, config: RDFERFrameNetConfig):
        super().__init__(config)
        self.num_features = list(config.hidden_sizes)
        self.stem = nn.Conv2d(1, config.hidden_sizes[0], 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(config.hidden_sizes[0])
        self.stages = nn.ModuleList()
        in_channels = config.hidden_sizes[0]
        for index, (out_channels, depth) in enumerate(zip(config.hidden_sizes, config.depths)):
            stage = [RDFERFrameBlock(in_channels, out_channels, stride=1 if index == 0 else 2)]
            stage += [RDFERFrameBlock(out_channels, out_channels, stride=1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*stage))
            in_channels = out_channels
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, RDFERFrameBlock):
            init.zeros_(module.norm2.weight)  # every block starts as its shortcut

    def without_norms(self) -> "RDFERFrameNet":
        """Makes a copy, for inference only, with the batch norms in the convolutions: same features up to rounding."""
        network = copy.deepcopy(self).eval()
        pairs: list[tuple[nn.Module, str, str]] = [(network, "stem", "stem_norm")]
        for block in network.modules():
            if isinstance(block, RDFERFrameBlock):
                pairs += [(block, "convolution1", "norm1"), (block, "convolution2", "norm2")]
                if isinstance(block.shortcut, nn.Sequential):
                    pairs.append((block.shortcut, "1", "2"))
        for parent, convolution, norm in pairs:
            modules = parent.get_submodule(convolution), parent.get_submodule(norm)
            # Those that something else wraps, as adapters do, stay as they are.
            if tuple(map(type, modules)) == (nn.Conv2d, nn.BatchNorm2d):
                setattr(parent, convolution, fuse_conv_bn_eval(*modules))
                setattr(parent, norm, nn.Identity())
        return network

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        """Computes the feature maps of the stages.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(N, num_channels, height, width)`): images; 0..1 in the
                embedded checkpoint.

        Returns:
            [`~transformers.modeling_outputs.BackboneOutput`]: with the `feature_maps` of `config.out_features`.
        """
        hidden_state = F.relu(self.stem_norm(self.stem(_standard_grey(pixel_values))))
        feature_maps: tuple[torch.Tensor, ...] = ()
        for name, stage in zip(self.stage_names, self.stages):
            hidden_state = stage(hidden_state)
            if name in self.out_features:
                feature_maps += (hidden_state,)
        return BackboneOutput(feature_maps=feature_maps)


def _standard_grey(images: torch.Tensor) -> torch.Tensor:
    """Grey images `(N, 1, H, W)` with mean 0 and standard deviation near 1, from RGB or grey ones."""
    if images.shape[1] == 3:
        red, green, blue = (weight * channel for weight, channel in zip(LUMA, images.split(1, dim=1)))
        images = red + green + blue
    images = images - images.mean((2, 3), keepdim=True)
    deviation = images.square().mean((2, 3), keepdim=True).clamp(min=1e-6).sqrt()
    # Without the last term an even image would be blown up to pure noise.
    return images / (deviation + 0.005)


__all__ = ["RDFERFrameNet"]
