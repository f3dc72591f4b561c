# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Computes each frame's features once, for windows of a video that share frames."""

from collections.abc import Callable

import torch
from torch import nn
from transformers import PreTrainedModel

from ..models.frame_net_rdfer import RDFERFrameNet
from ..models.video_backbone_rdfer import pooled_features

FRAMES_PER_CALL = 16


class SharedFeatures:
    """Features of the frames of one face, computed when a window first needs them (ours).

    Frames that no window needs any more are forgotten.

    Args:
        network (`PreTrainedModel`): the model, in evaluation mode, for which `can_share_features` is True.
        backbones (`dict`): what `distinct_backbones` returns for it.
    """

    def __init__(self, network: PreTrainedModel, backbones: dict[str, tuple[str, nn.Module]]):
        self._network, self._backbones = network, backbones
        self._frames: dict[int, torch.Tensor] = {}
        self._features: dict[tuple[str, int], list[torch.Tensor]] = {}

    def add(self, number: int, frame: torch.Tensor):
        """Adds a frame, uint8 `(3, H, W)`, under its number."""
        self._frames[number] = frame

    def forget_before(self, number: int):
        """Forgets the frames with lower numbers."""
        self._frames = {key: frame for key, frame in self._frames.items() if key >= number}
        self._features = {key: levels for key, levels in self._features.items() if key[1] >= number}

    def of_windows(self, windows: torch.Tensor) -> Callable[[str, torch.Tensor], list[torch.Tensor]]:
        """Returns what the model takes as `shared_features`, for windows whose frames have these numbers `(B, T)`."""

        def features(backbone: str, indices: torch.Tensor) -> list[torch.Tensor]:
            numbers = windows.gather(1, indices.cpu()).flatten().tolist()
            return self._of_frames(*self._backbones[backbone], numbers)

        return features

    def _of_frames(self, backbone: str, module: nn.Module, numbers: list[int]) -> list[torch.Tensor]:
        missing = [number for number in dict.fromkeys(numbers) if (backbone, number) not in self._features]
        for start in range(0, len(missing), FRAMES_PER_CALL):
            batch = missing[start : start + FRAMES_PER_CALL]
            frames = torch.stack([self._frames[number] for number in batch])
            levels = self._compute(backbone, module, frames)
            for row, number in enumerate(batch):
                self._features[backbone, number] = [level[row] for level in levels]
        rows = [self._features[backbone, number] for number in numbers]
        return [torch.stack(level) for level in zip(*rows)]

    def _compute(self, backbone: str, module: nn.Module, frames: torch.Tensor) -> list[torch.Tensor]:
        frames = self._network._normalise(frames.to(self._network.device))
        if backbone.startswith("detector"):
            frames = self._network.base_model.detector.reduce_frames(frames)
        return pooled_features(module, frames, 1)


def can_share_features(network) -> bool:
    """Whether features of a frame are the same in all windows: not with temporal shift, nor in an ONNX graph."""
    return isinstance(network, PreTrainedModel) and not getattr(network.config, "temporal_shift", False)


def distinct_backbones(network: PreTrainedModel, frame_side: int) -> dict[str, tuple[str, nn.Module]]:
    """Finds what computes the features of each backbone: equal ones need only one computation.

    Args:
        network (`PreTrainedModel`): a model for which `can_share_features` is True.
        frame_side (`int`): longer side of the frames in pixels.

    Returns:
        `dict[str, tuple[str, nn.Module]]`: name of a backbone -> name of the one that computes its features, and the
        module that does; a copy of a frame network, as the weights are now.
    """
    modules = {name: network.base_model.get_submodule(name) for name in network.backbone_names}
    computing = {name: name for name in modules}
    if len(modules) == 2 and network.config.detector_image_size >= frame_side:
        first, second = (module.state_dict() for module in modules.values())
        alike = all(isinstance(each, RDFERFrameNet) for each in modules.values()) and first.keys() == second.keys()
        if alike and all(torch.equal(first[key], second[key]) for key in first):
            computing[network.backbone_names[1]] = network.backbone_names[0]
    ready = {
        name: module.without_norms() if isinstance(module, RDFERFrameNet) else module
        for name, module in modules.items()
        if name in computing.values()
    }
    return {name: (other, ready[other]) for name, other in computing.items()}


__all__ = ["SharedFeatures", "can_share_features", "distinct_backbones"]
