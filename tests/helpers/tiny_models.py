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

_SIZES = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "tubelet_size": 2, "patch_size": 8}
VIDEOMAE = {"model_type": "videomae", "num_frames": 4, "image_size": 32, "intermediate_size": 32, **_SIZES}
REGIONS = {**VIDEOMAE, "model_type": "rdfer_region_encoder", "region_size": [1, 2, 4]}
VJEPA2 = {
    **_SIZES, "model_type": "vjepa2", "frames_per_clip": 4, "crop_size": 32, "mlp_ratio": 2.0, "pred_hidden_size": 16,
    "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1,
}  # fmt: skip
VIDEO_ENCODERS = {"videomae": VIDEOMAE, "vjepa2": VJEPA2, "regions": REGIONS}
# Settings of a model on one of these.
CLIPS = {"frames_per_clip": 4, "num_clips": 2, "image_size": 32, "num_labels": 3}


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
