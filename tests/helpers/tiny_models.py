# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Small models of each kind of backbone, random videos for them, and comparison of results."""

import torch

from modeling_rdfer import (
    RDFERConfig,
    RDFERForVideoClassification,
)

FRAME_NET = {"model_type": "rdfer_frame_net", "hidden_sizes": [8, 16, 32], "depths": [1, 1, 1]}
TIMM = {"model_type": "timm_backbone", "backbone": "resnet10t", "out_indices": [4]}
TINY_VIT = {
    "model_type": "dinov2", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "image_size": 28,
    "patch_size": 14, "out_indices": [3],
}  # fmt: skip
VARIANTS = {
    "resnet": {},
    "temporal_shift": {"temporal_shift": True},
    "frame_net": {"backbone_config": FRAME_NET, "detector_backbone_config": FRAME_NET},
    "timm": {"backbone_config": TIMM},
}


def tiny_config(**overrides) -> RDFERConfig:
    return RDFERConfig.from_preset("tiny", **{"num_labels": 5, "detector_image_size": 28, **overrides})


def tiny_model(randomise_heads: bool = True, **overrides) -> RDFERForVideoClassification:
    torch.manual_seed(0)
    model = RDFERForVideoClassification(tiny_config(**overrides))
    if randomise_heads:
        # The residual heads start at zero and would hide most of the model from the tests.
        for parameter in model.parameters():
            if parameter.abs().max() == 0:
                torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def videos(batch=2, num_frames=20, size=56, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, num_frames, 3, size, size), dtype=torch.uint8, generator=generator)


def assert_same(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
