# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Configuration of AEN."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_rdfer import RDFERConfig, VideoBackboneConfig
from .labels_rdfer import class_names, group_ids

# The default backbone is that of preset `base`.
_BASE_BACKBONE = {
    "layer_type": "basic",
    "depths": [2, 2, 2, 2],
    "hidden_sizes": [64, 128, 256, 512],
    "out_features": ["stage2", "stage3", "stage4"],
}
BASIC_EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")


@strict
class AENConfig(VideoBackboneConfig):
    r"""Configuration of [`AENModel`] and [`AENForVideoClassification`].

    Lee, Shin, Ku, Ko, "Frame Level Emotion Guided Dynamic Facial Expression Recognition With Emotion Grouping" (CVPR
    Workshops 2023). Only the abstract was at hand, so all settings are ours. The defaults are those of preset `base`;
    see [`AENConfig.from_preset`]. Labels are the seven basic emotions unless `id2label`, `label2id` or `num_labels` is
    given.

    Args:
        backbone_config (`dict` or `PreTrainedConfig`, *optional*, defaults to a ResNet-18):
            Backbone of the bottom-up branch, any backbone of transformers, a `TimmBackboneConfig`, or a
            [`RDFERFrameNetConfig`]. Its output features (`out_features`) are the semantic levels.
        num_frames (`int`, *optional*, defaults to 64):
            Frames the processor samples from a video. The model itself takes any number of frames.
        image_size (`int`, *optional*, defaults to 112):
            Height and width of the frames in pixels.
        num_channels (`int`, *optional*, defaults to 3):
            Number of colour channels, RGB.
        image_mean, image_std (`list[float]`, *optional*, default to ImageNet's):
            Mean and standard deviation of the channels, on the scale 0..1. The model applies them to `uint8` frames,
            on its own device; float frames are taken as normalised already.
        num_clips (`int`, *optional*, defaults to 4):
            Consecutive parts of a video, its clips, whose agreement is reported.
        frames_per_clip (`int`, *optional*, defaults to 4):
            Frames of a clip; `num_clips * frames_per_clip` frames are spread evenly over the video.
        hidden_size (`int`, *optional*, defaults to 256):
            Size of the state of each level.
        num_recurrent_layers (`int`, *optional*, defaults to 1):
            Layers of each bidirectional LSTM of the top-down branch.
        dropout (`float`, *optional*, defaults to 0.1):
            Dropout on the states before their heads.
        emotion_groups (`dict[str, str]`, *optional*):
            Group (sentiment) of each label, by name; case and synonyms do not matter. Labels that are not in it have
            their default group: positive (happy), neutral (neutral, calm), surprise (surprise), and negative (sad,
            angry, disgust, fear, contempt, anxiety, helplessness, disappointment). Other labels have no default group
            and must be given here.
        emotion_loss_weight (`float`, *optional*, defaults to 1.0):
            Weight of the cross-entropy of the emotions.
        sentiment_loss_weight (`float`, *optional*, defaults to 0.5):
            Weight of the cross-entropy of the sentiments.
        consistency_loss_weight (`float`, *optional*, defaults to 0.1):
            Weight of the divergence between the sentiments and the sums of the emotions over groups.
        frame_guidance_weight (`float`, *optional*, defaults to 0.5):
            Weight of the divergence between the predictions of frames and their pseudo-labels.
        clip_guidance_weight (`float`, *optional*, defaults to 0.1):
            Weight of the divergence between the prediction of the video and the pooled pseudo-labels.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the normal initialisation of linear layers.
        calibration_temperature (`float`, *optional*):
            As in [`RDFERConfig`]; the sentiments are then the sums of the calibrated probabilities of their emotions.

    Example:

    ```python
    >>> from modeling_rdfer import AENConfig, AENForVideoClassification

    >>> labels = {0: "happy", 1: "sad", 2: "bored"}
    >>> config = AENConfig.from_preset("base", id2label=labels, emotion_groups={"bored": "negative"})
    >>> config.group_names, config.group_of_label
    (['positive', 'negative'], [0, 1, 1])
    >>> model = AENForVideoClassification(config)

    ```"""

    model_type = "aen"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(config_class=AutoConfig, model_type="resnet", init_kwargs=_BASE_BACKBONE),
    }
    # `Trainer.evaluate` and `Trainer.predict` get the logits only.
    keys_to_ignore_at_inference = [
        "sentiment_logits",
        "emotion_scores",
        "clip_logits",
        "frame_logits",
        "agreement",
        "num_valid_clips",
        "frame_indices",
        "key_frame_indices",
        "clip_state",
        "hidden_states",
    ]

    backbone_config: dict | PreTrainedConfig | None = None
    emotion_groups: dict[str, str] | None = None
    emotion_loss_weight: float | int = 1.0
    sentiment_loss_weight: float | int = 0.5
    consistency_loss_weight: float | int = 0.1
    frame_guidance_weight: float | int = 0.5
    clip_guidance_weight: float | int = 0.1

    def __post_init__(self, **kwargs):
        if self.id2label is None and self.label2id is None and kwargs.get("num_labels") is None:
            self.id2label = dict(enumerate(BASIC_EMOTIONS))
        super().__post_init__(**kwargs)

    @property
    def group_names(self) -> list[str]:
        """Names of the groups of the labels, in the order of their first labels."""
        return self._groups()[0]

    @property
    def group_of_label(self) -> list[int]:
        """For each label, the number of its group in `group_names`."""
        return self._groups()[1]

    def _groups(self) -> tuple[list[str], list[int]]:
        return group_ids(class_names(self), self.emotion_groups)

    def validate_emotions(self):
        """Raises ValueError unless there are two labels or more, each has a group, and the problem type fits."""
        if self.problem_type not in (None, "single_label_classification") or self.num_labels < 2:
            raise ValueError(
                "AEN predicts one of several emotions: `problem_type` must be 'single_label_classification' and there "
                f"must be at least two labels, got {self.problem_type!r} and {self.num_labels}."
            )
        self._groups()

    def validate_loss_weights(self):
        """Raises ValueError if a loss weight is negative; it names the weight."""
        for name in ("emotion_loss", "sentiment_loss", "consistency_loss", "frame_guidance", "clip_guidance"):
            if getattr(self, f"{name}_weight") < 0:
                raise ValueError(f"`{name}_weight` must be at least 0, got {getattr(self, f'{name}_weight')}.")


_SMALL, _TINY = RDFERConfig.presets["small"], RDFERConfig.presets["tiny"]
AENConfig.presets = {
    "tiny": {
        "backbone_config": {**_TINY["backbone_config"], "out_features": ["stage1", "stage2", "stage3"]},
        "image_size": _TINY["image_size"],
        "hidden_size": _TINY["hidden_size"],
    },
    "small": {
        "backbone_config": {"model_type": "rdfer_frame_net", "out_features": ["stage2", "stage3", "stage4"]},
        "image_mean": _SMALL["image_mean"],
        "image_std": _SMALL["image_std"],
        "hidden_size": _SMALL["hidden_size"],
    },
    "base": {},
}

__all__ = ["BASIC_EMOTIONS", "AENConfig"]
