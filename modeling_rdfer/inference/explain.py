# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Heat maps: which parts of the key frames speak for a label (Grad-CAM)."""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import BackboneOutput

# Least height and width of the feature maps that heat maps are made of: a face has about six rows that can be told
# apart. In the frame network at 48 pixels the last maps are 3 x 3, those before 6 x 6.
MIN_MAP_SIZE = 6


class Explanation(NamedTuple):
    """What [`explain`] returns.

    B videos of height H and width W, K clips of L frames.

    Attributes:
        heatmaps (`torch.FloatTensor` of shape `(B, K, L, H, W)`, values 0..1): how much each place in each key frame
            speaks for the label; 1 is the strongest place of the video. All zero if nothing speaks for it.
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`): indices of the key frames into the input frames.
        labels (`torch.LongTensor` of shape `(B,)`): the label of each video that the heat maps are for.
    """

    heatmaps: torch.Tensor
    key_frame_indices: torch.Tensor
    labels: torch.Tensor


def explain(
    model: PreTrainedModel,
    pixel_values_videos: torch.Tensor,
    frame_mask: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
) -> Explanation:
    """Shows which parts of the key frames speak for a label: Grad-CAM (Selvaraju et al., arXiv 1610.02391, section 3).

    The score that is explained is the logit of the label less the mean of the other logits, which does not saturate
    (ours). The maps are those of the last layer of the backbone whose feature maps have at least 6 x 6 pixels, which
    are patches in a transformer, of all frames of a video on one scale. The choice of the key frames itself is not
    explained.

    Args:
        model (`PreTrainedModel`): a model of either family; it is not changed, and may be used by other threads.
        pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`): frames as the processor returns
            them.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*): True for real frames; all by default.
        labels (`torch.LongTensor` of shape `(B,)`, values 0..C-1, *optional*): the labels to explain; by default the
            most probable label of each video.

    Returns:
        [`Explanation`]: heat maps `(B, K, L, H, W)`, and the frames and labels that they belong to.

    Raises:
        ValueError: if a shape does not fit, or the backbone has no feature maps.
    """
    # A copy that shares the weights: hooks of this one disturb no other thread.
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    network = copy.deepcopy(model, shared).eval()
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            module.train()  # cuDNN has no gradients of it otherwise; the LSTMs have no dropout
    maps: list[tuple[nn.Module, torch.Tensor]] = []

    def record(module, args, output):
        # Of the backbone as a whole, which comes last, the deepest map.
        features = output.feature_maps[-1] if isinstance(output, BackboneOutput) else output
        if isinstance(features, torch.Tensor) and _is_map(features, pixel_values_videos.shape[-2:]):
            maps.append((module, features))

    for module in network.base_model.backbone.modules():
        module.register_forward_hook(record)
    with torch.inference_mode(False), torch.enable_grad():
        # Gradients start here also if all weights are frozen.
        network.get_input_embeddings().register_forward_hook(lambda module, args, output: output.requires_grad_())
        outputs = network(pixel_values_videos, frame_mask=frame_mask)
        if not maps:
            raise ValueError(
                f"The backbone has no feature maps of {MIN_MAP_SIZE} x {MIN_MAP_SIZE} pixels for frames of "
                f"{tuple(pixel_values_videos.shape[-2:])} pixels: use larger frames."
            )
        logits = outputs.logits.float()
        labels = logits.argmax(-1) if labels is None else labels.to(logits.device).clone()
        chosen = logits.gather(-1, labels[:, None]).sum()
        others = max(logits.shape[-1] - 1, 1)
        # A frozen backbone may have computed its frames in several parts.
        last = maps[-1][0]
        parts = [output for module, output in maps if module is last]
        gradients = torch.autograd.grad(chosen - (logits.sum() - chosen) / others, parts)
    features, gradients = torch.cat(parts).detach().float(), torch.cat(gradients).float()
    heat = (features * gradients.mean((-2, -1), keepdim=True)).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, pixel_values_videos.shape[-2:], mode="bilinear", align_corners=False)
    heat = heat.view(*outputs.key_frame_indices.shape, *heat.shape[-2:])
    strongest = heat.flatten(1).amax(1).clamp(min=torch.finfo(heat.dtype).tiny)
    return Explanation(heat / strongest.view(-1, 1, 1, 1, 1), outputs.key_frame_indices, labels)


def _is_map(features: torch.Tensor, frame_size: tuple[int, int]) -> bool:
    """Whether features may be a map `(N, D, H', W')` that is large enough, of frames of size `(H, W)`."""
    if features.ndim != 4 or min(features.shape[-2:]) < MIN_MAP_SIZE:
        return False
    # Tokens of a transformer can have four dimensions, too, but not the proportions of the frames.
    rows, columns = (part / whole for part, whole in zip(features.shape[-2:], frame_size))
    return 0.8 < rows / columns < 1.25


def overlay(frames: torch.Tensor, heatmaps: torch.Tensor) -> torch.Tensor:
    """Lays heat maps over frames: frames become grey, and what speaks for the label red, over yellow.

    Args:
        frames (`torch.Tensor` uint8 of shape `(..., 3, H, W)`): RGB frames.
        heatmaps (`torch.FloatTensor` of shape `(..., H, W)`, values 0..1): their heat maps.

    Returns:
        `torch.Tensor` uint8 of shape `(..., 3, H, W)`: the pictures.
    """
    heat = heatmaps.unsqueeze(-3)
    grey = frames.float().mean(-3, keepdim=True)
    colour = torch.cat([torch.full_like(heat, 255), 255 * (1 - heat), torch.zeros_like(heat)], dim=-3)
    strength = 0.7 * heat
    return (grey * (1 - strength) + colour * strength).round().byte()


__all__ = ["Explanation", "explain", "overlay"]
