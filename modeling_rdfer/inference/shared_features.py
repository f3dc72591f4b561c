# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Computes each frame's features once, for windows of a video that share frames."""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from ..models.frame_net_rdfer import RDFERFrameNet
from ..models.video_backbone_rdfer import pooled_features

FRAMES_PER_CALL = 16


class SharedFeatures:
    """Features of the frames of one face, computed when a window first needs them (ours).

    Frames that no window needs any more are forgotten.

    Args:
        network (`PreTrainedModel`): the model, in evaluation mode, for which `can_share_features` is True.
        frame_side (`int`): longer side of the frames in pixels.
    """

    def __init__(self, network: PreTrainedModel, frame_side: int):
        self._network, self._backbones = network, _distinct_backbones(network, frame_side)
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
            return self._of_frames(self._backbones[backbone], numbers)

        return features

    def _of_frames(self, backbone: str, numbers: list[int]) -> list[torch.Tensor]:
        missing = [number for number in dict.fromkeys(numbers) if (backbone, number) not in self._features]
        for start in range(0, len(missing), FRAMES_PER_CALL):
            batch = missing[start : start + FRAMES_PER_CALL]
            frames = torch.stack([self._frames[number] for number in batch])
            levels = self._compute(backbone, frames)
            for row, number in enumerate(batch):
                self._features[backbone, number] = [level[row] for level in levels]
        rows = [self._features[backbone, number] for number in numbers]
        return [torch.stack(level) for level in zip(*rows)]

    def _compute(self, backbone: str, frames: torch.Tensor) -> list[torch.Tensor]:
        base = self._network.base_model
        frames = self._network._normalise(frames.to(self._network.device))
        if backbone.startswith("detector"):
            frames = base.detector.reduce_frames(frames)
        return pooled_features(base.get_submodule(backbone), frames, 1)


def can_share_features(network) -> bool:
    """Whether features of a frame are the same in all windows: not with temporal shift, nor in an ONNX graph."""
    return isinstance(network, PreTrainedModel) and not getattr(network.config, "temporal_shift", False)


def _distinct_backbones(network: PreTrainedModel, frame_side: int) -> dict[str, str]:
    """Name of each backbone -> name of the one that computes its features: equal ones need only one computation."""
    names = network.backbone_names
    answer = {name: name for name in names}
    if len(names) == 2 and network.config.detector_image_size >= frame_side:
        backbones = [network.base_model.get_submodule(name) for name in names]
        first, second = (backbone.state_dict() for backbone in backbones)
        alike = all(isinstance(each, RDFERFrameNet) for each in backbones) and first.keys() == second.keys()
        if alike and all(torch.equal(first[key], second[key]) for key in first):
            answer[names[1]] = names[0]
    return answer


__all__ = ["SharedFeatures", "can_share_features"]
