# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trains the frame network of a model on faces, with the Trainer of transformers."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, WeightedRandomSampler
from transformers import Trainer, TrainingArguments

from modeling_rdfer.models.video_backbone_rdfer import pooled_features
from modeling_rdfer.trainer.optimizer import decayed_names
from training.frames.augmentation import augment, crop
from training.frames.frame_set import FrameSet


class FrameClassifier(nn.Module):
    """A frame network with its frame head, both trained in place.

    Args:
        backbone (`nn.Module`): takes `(N, 1, H, W)`, grey, 0..1, as [`RDFERFrameNet`] does; of D features.
        classifier (`nn.Linear`): D features to C logits.
        dropout (`float`, *optional*, defaults to 0.2): dropout on the features, 0..1.
    """

    def __init__(self, backbone: nn.Module, classifier: nn.Linear, dropout: float = 0.2):
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixel_values: torch.Tensor, targets: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Classifies faces.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(N, 1, H, W)`): grey, 0..1.
            targets (`torch.FloatTensor` of shape `(N, C)`, *optional*): see [`FrameSet`].

        Returns:
            `dict`: `logits` `(N, C)`, and, with targets, `loss` `()`.
        """
        logits = self.classifier(self.dropout(pooled_features(self.backbone, pixel_values, 1)[-1]))
        if targets is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, targets), "logits": logits}


class FrameIndices(Dataset):
    """The numbers of the faces of a set; `FrameTrainer` turns a batch of them into pixels at once."""

    def __init__(self, frames: FrameSet):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> int:
        return index


class FrameTrainer(Trainer):
    """Draws faces by their weights and augments a batch of them at once.

    Args:
        model ([`FrameClassifier`]): what is trained.
        args (`TrainingArguments`): settings.
        frames ([`FrameSet`]): the faces.
        faces_per_epoch (`int`): number of draws in an epoch.
        size (`int`): height and width of the network's input.
    """

    def __init__(
        self, model: FrameClassifier, args: TrainingArguments, frames: FrameSet, faces_per_epoch: int, size: int
    ):
        self.frames, self.faces_per_epoch, self.size = frames, faces_per_epoch, size
        super().__init__(model=model, args=args, train_dataset=FrameIndices(frames), data_collator=self._collate)

    def _collate(self, indices: list[int]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": augment(self.frames.faces[indices], self.size),
            "targets": self.frames.targets[indices],
        }

    def _get_train_sampler(self, train_dataset=None) -> WeightedRandomSampler:
        return WeightedRandomSampler(self.frames.weights, self.faces_per_epoch)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """See `decayed_names`."""
        return decayed_names(model)


@torch.inference_mode()
def classify(classifier: FrameClassifier, faces: torch.Tensor, size: int, margin: float) -> torch.Tensor:
    """Classifies faces as the video processor crops them.

    Args:
        classifier ([`FrameClassifier`]): in evaluation mode, on any device.
        faces (`torch.Tensor` of shape `(N, SIZE, SIZE)`): uint8, grey, see `read_still_faces`.
        size (`int`): height and width of the network's input.
        margin (`float`): side of the crop in units of the face's side.

    Returns:
        `torch.FloatTensor` of shape `(N, C)`: logits, on the CPU.
    """
    device = classifier.classifier.weight.device
    return torch.cat([classifier(crop(part, size, margin).to(device))["logits"].cpu() for part in faces.split(256)])


__all__ = ["FrameClassifier", "FrameTrainer", "classify"]
