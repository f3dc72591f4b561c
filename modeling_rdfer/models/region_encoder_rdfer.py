# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The video encoder of MAE-DFER, written anew from its paper (LGI-Former; Sun et al., arXiv 2307.02227, section 3.2).

Attention is cheap because it stays within regions of the video. A representative token of each region carries what
the regions tell each other.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput

from .configuration_rdfer import RDFERRegionEncoderConfig


class RDFERRegionAttention(nn.Module):
    """Attention of tokens `(N, Q, D)` to others `(N, K, D)`; keys have no bias."""

    def __init__(self, config: RDFERRegionEncoderConfig):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.query(tokens), self.key(others), self.value(others))
        )
        return self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class RDFERRegionLayer(GradientCheckpointingLayer):
    """Attention within regions, among their representative tokens, and of all tokens to these; then an MLP."""

    def __init__(self, config: RDFERRegionEncoderConfig):
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        self.region_norm = nn.LayerNorm(size, eps=eps)
        self.region_attention = RDFERRegionAttention(config)
        self.representative_norm = nn.LayerNorm(size, eps=eps)
        self.representative_attention = RDFERRegionAttention(config)
        self.exchange_norm = nn.LayerNorm(size, eps=eps)
        self.exchange_representative_norm = nn.LayerNorm(size, eps=eps)
        self.exchange_attention = RDFERRegionAttention(config)
        self.mlp_norm = nn.LayerNorm(size, eps=eps)
        self.mlp = nn.Sequential(
            nn.Linear(size, config.intermediate_size), nn.GELU(), nn.Linear(config.intermediate_size, size)
        )
        self.drop_path = nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Changes tokens `(B, regions, 1 + region size, D)`, of which the first of each region is representative."""
        normed = self.region_norm(tokens).flatten(0, 1)
        tokens = tokens + self.drop_path(self.region_attention(normed, normed)).view_as(tokens)
        representatives, local = tokens[:, :, 0], tokens[:, :, 1:].flatten(1, 2)
        normed = self.representative_norm(representatives)
        representatives = representatives + self.drop_path(self.representative_attention(normed, normed))
        others = self.exchange_representative_norm(representatives)
        local = local + self.drop_path(self.exchange_attention(self.exchange_norm(local), others))
        local = local.unflatten(1, (tokens.shape[1], tokens.shape[2] - 1))
        tokens = torch.cat([representatives[:, :, None], local], dim=2)
        return tokens + self.drop_path(self.mlp(self.mlp_norm(tokens)))


class RDFERRegionEncoder(PreTrainedModel):
    """The encoder: patches over two frames each, fixed positions, and [`RDFERRegionLayer`]s.

    Args:
        config ([`RDFERRegionEncoderConfig`]): the configuration.
    """

    config_class = RDFERRegionEncoderConfig
    base_model_prefix = "encoder"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: RDFERRegionEncoderConfig):
        super().__init__(config)
        patch = (config.tubelet_size, config.patch_size, config.patch_size)
        self.patch_embedding = nn.Conv3d(config.num_channels, config.hidden_size, patch, stride=patch)
        self.region_tokens = nn.Parameter(torch.zeros(config.num_regions, config.hidden_size))
        self.layers = nn.ModuleList(RDFERRegionLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if module is self:
            init.normal_(self.region_tokens, std=self.config.initializer_range)

    def forward(self, pixel_values: torch.Tensor) -> BaseModelOutput:
        """Computes features of patches.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(B, num_frames, num_channels, image_size, image_size)`): clips.

        Returns:
            `BaseModelOutput`: `last_hidden_state` `(B, patches, hidden_size)`, in order of time, row, column.
        """
        patches = self.patch_embedding(pixel_values.transpose(1, 2))
        grid, size = patches.shape[2:], self.config.region_size
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = tokens + _positions(tokens.shape[1], tokens.shape[2], tokens.device).to(tokens.dtype)
        # (time, row, column), each in regions and places within them.
        split = [number for whole, part in zip(grid, size) for number in (whole // part, part)]
        tokens = tokens.unflatten(1, split).permute(0, 1, 3, 5, 2, 4, 6, 7)
        tokens = tokens.flatten(4, 6).flatten(1, 3)
        representatives = self.region_tokens[None, :, None].expand(tokens.shape[0], -1, -1, -1)
        tokens = torch.cat([representatives, tokens], dim=2)
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = tokens[:, :, 1:].unflatten(1, split[::2]).unflatten(4, split[1::2])
        tokens = tokens.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(1, 6)
        return BaseModelOutput(last_hidden_state=self.norm(tokens))


def _positions(count: int, size: int, device) -> torch.Tensor:
    """Sines and cosines of `count` positions `(count, size)` (arXiv 1706.03762)."""
    dimension = torch.arange(size, device=device)
    wave = torch.pow(10000.0, -2 * (dimension // 2) / size)
    angle = torch.arange(count, device=device)[:, None] * wave
    return torch.where(dimension % 2 == 0, angle.sin(), angle.cos())


__all__ = ["RDFERRegionEncoder"]
