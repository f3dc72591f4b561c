# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Configurations of RDFER, its frame network and a video encoder, and the base class of those of RDFER and AEN."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin
from transformers.configuration_utils import SubConfigSpec

# Of one kind. A larger number comes from a damaged file, and building so many would never end.
_MAX_LAYERS = 1000


@strict
class RDFERFrameNetConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""Configuration of [`RDFERFrameNet`], the backbone of preset `small`.

    A small residual network for single face images of about 48 x 48 pixels (ours, 1.3 M parameters).

    Args:
        num_channels (`int`, *optional*, defaults to 3):
            Number of input channels: 3 for RGB, which the network turns to grey, or 1 for grey.
        hidden_sizes (`list[int]`, *optional*, defaults to `[32, 64, 128, 192]`):
            Channels of the stages. The stem and every stage but the first halve the height and the width.
        depths (`list[int]`, *optional*, defaults to `[1, 2, 2, 1]`):
            Residual blocks of each stage.
        out_features (`list[str]`, *optional*):
            Stages to return, of `"stage1"` ... `"stageN"`; the last one by default.
        out_indices (`list[int]`, *optional*):
            The same, as indices into `stage_names`.
    """

    model_type = "rdfer_frame_net"

    num_channels: int = 3
    hidden_sizes: list[int] | tuple[int, ...] = (32, 64, 128, 192)
    depths: list[int] | tuple[int, ...] = (1, 2, 2, 1)

    def __post_init__(self, **kwargs):
        self.hidden_sizes, self.depths = list(self.hidden_sizes), list(self.depths)
        self.stage_names = [f"stage{index}" for index in range(1, len(self.hidden_sizes) + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    def validate_stages(self):
        """Raises ValueError if a number is out of range or the stages do not fit; it names the field."""
        if self.num_channels not in (1, 3):
            raise ValueError(f"`num_channels` must be 1 (grey) or 3 (RGB), got {self.num_channels}.")
        if len(self.depths) != len(self.hidden_sizes) or min(*self.depths, *self.hidden_sizes) < 1:
            raise ValueError(
                "`depths` and `hidden_sizes` must hold one number of at least 1 for each stage, got "
                f"{self.depths} and {self.hidden_sizes}."
            )
        if max(self.depths) > _MAX_LAYERS:
            raise ValueError(f"`depths` must hold numbers up to {_MAX_LAYERS}, got {self.depths}.")


@strict
class RDFERRegionEncoderConfig(PreTrainedConfig):
    r"""Configuration of [`RDFERRegionEncoder`], the video encoder of MAE-DFER (arXiv 2307.02227).

    The defaults are the published sizes.

    Args:
        num_frames (`int`, *optional*, defaults to 16):
            Frames of a clip.
        image_size (`int`, *optional*, defaults to 160):
            Height and width of the frames in pixels.
        num_channels (`int`, *optional*, defaults to 3):
            Number of colour channels.
        tubelet_size, patch_size (`int`, *optional*, default to 2 and 16):
            Frames, and height and width in pixels, that a patch covers.
        region_size (`list[int]`, *optional*, defaults to `[2, 5, 10]`):
            Patches of a region in time, height and width.
        hidden_size, intermediate_size (`int`, *optional*, default to 512 and 2048):
            Size of a token, and of the MLP's hidden layer.
        num_hidden_layers, num_attention_heads (`int`, *optional*, default to 16 and 8):
            Number of layers and of heads of each attention.
        layer_norm_eps (`float`, *optional*, defaults to 1e-6):
            Added to the variance in layer norms.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the normal initialisation.
    """

    model_type = "rdfer_region_encoder"

    num_frames: int = 16
    image_size: int = 160
    num_channels: int = 3
    tubelet_size: int = 2
    patch_size: int = 16
    region_size: list[int] | tuple[int, ...] = (2, 5, 10)
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 16
    num_attention_heads: int = 8
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    @property
    def num_regions(self) -> int:
        """Number of regions of a clip."""
        sides = self.num_frames // self.tubelet_size, *[self.image_size // self.patch_size] * 2
        return math.prod(side // part for side, part in zip(sides, self.region_size))

    def validate_regions(self):
        """Raises ValueError unless regions of whole patches fill a clip."""
        sides = self.num_frames / self.tubelet_size, *[self.image_size / self.patch_size] * 2
        if len(self.region_size) != 3 or any(side % part for side, part in zip(sides, self.region_size)):
            raise ValueError(
                f"`region_size` must divide the clip's patches, {list(sides)} in time, height and width, got "
                f"{list(self.region_size)}."
            )


# The default backbones are those of preset `base`.
_BASE_BACKBONE = {
    "layer_type": "basic",
    "depths": [2, 2, 2, 2],
    "hidden_sizes": [64, 128, 256, 512],
    "out_features": ["stage4"],
}
_BASE_DETECTOR_BACKBONE = {
    "layer_type": "basic",
    "embedding_size": 16,
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 32, 64, 128],
    "out_features": ["stage4"],
}


@strict
class VideoBackboneConfig(PreTrainedConfig):
    """Base class of [`RDFERConfig`] and [`AENConfig`], which describe its fields: frames, clips, labels."""

    presets = {}

    num_frames: int = 64
    image_size: int = 112
    num_channels: int = 3
    image_mean: list[float] | tuple[float, ...] = (0.485, 0.456, 0.406)
    image_std: list[float] | tuple[float, ...] = (0.229, 0.224, 0.225)
    num_clips: int = 4
    frames_per_clip: int = 4
    hidden_size: int = 256
    num_recurrent_layers: int = 1
    dropout: float | int = 0.1
    initializer_range: float = 0.02
    calibration_temperature: float | int | None = None

    def __post_init__(self, **kwargs):
        self.image_mean, self.image_std = list(self.image_mean), list(self.image_std)
        if self.id2label is None and self.label2id is not None:
            self.id2label = {index: label for label, index in self.label2id.items()}
        super().__post_init__(**kwargs)

    def __setattr__(self, name, value):
        if name == "id2label" and isinstance(value, (list, tuple)):
            value = dict(enumerate(value))
        super().__setattr__(name, value)
        # One map follows from the other, so that they cannot differ and mix up the order of the labels.
        if name == "id2label" and value is not None:
            super().__setattr__("label2id", {label: int(index) for index, label in value.items()})
        # Within `__init__` the other map comes first, and is the one that counts.
        elif name == "label2id" and value is not None and getattr(self, "_post_init_done", False):
            super().__setattr__("id2label", {int(index): label for label, index in value.items()})

    def to_dict(self):
        """Returns all fields as a dictionary, without the local folders that backbones were loaded from."""
        dictionary = super().to_dict()
        for name in self.sub_configs_defaults:
            if (dictionary.get(name) or {}).get("_name_or_path"):
                dictionary[name]["_name_or_path"] = ""
        return dictionary

    def validate_labels(self):
        """Raises ValueError unless `problem_type` is known and `id2label` numbers different names from 0."""
        problem_types = (None, "single_label_classification", "multi_label_classification", "regression")
        if self.problem_type not in problem_types:
            raise ValueError(f"`problem_type` must be one of {problem_types}, got {self.problem_type!r}.")
        if sorted(self.id2label) != list(range(len(self.id2label))) or len(self.label2id) != len(self.id2label):
            raise ValueError(f"`id2label` must number different names 0, 1, ... without gaps, got {self.id2label}.")

    def validate_layers(self):
        """Raises ValueError if there are more than 1000 layers of a kind; it names the field."""
        for name in ("num_recurrent_layers", "num_long_term_layers"):
            if getattr(self, name, 1) > _MAX_LAYERS:
                raise ValueError(f"`{name}` must be at most {_MAX_LAYERS}, got {getattr(self, name)}.")

    def validate_frames(self):
        """Raises ValueError if a number that both families have is out of range; it names the field."""
        at_least_one = (
            "num_frames",
            "image_size",
            "num_clips",
            "frames_per_clip",
            "hidden_size",
            "num_recurrent_layers",
        )
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.calibration_temperature is not None and not self.calibration_temperature > 0:
            raise ValueError(f"`calibration_temperature` must be above 0, got {self.calibration_temperature}.")
        if self.hidden_size % 2:
            raise ValueError("`hidden_size` must be even: each direction of the LSTM has half of it.")
        if not len(self.image_mean) == len(self.image_std) == self.num_channels:
            raise ValueError(f"`image_mean` and `image_std` must hold `num_channels` = {self.num_channels} numbers.")

    @classmethod
    def from_preset(cls, name: str, **overrides):
        """Makes the configuration of a preset (docs/method.md, Presets; all but `"paper"` are ours).

        Args:
            name (`str`):
                `"tiny"`: below 1 M parameters, for tests and experiments on synthetic data. `"small"`: all backbones
                are the [`RDFERFrameNet`] of 1.3 M parameters, at 48 x 48 pixels. `"base"`: a ResNet-18; RDFER also
                has a detector of 0.3 M parameters at low resolution. `"paper"`, RDFER only: two ResNet-50 with
                temporal shift, states of size 512 and two-layer LSTMs (authors).
            overrides:
                Any field of the configuration, e.g. `id2label` or `num_labels`.

        Returns:
            [`RDFERConfig`] or [`AENConfig`]: the configuration.

        Raises:
            ValueError: if there is no such preset.
        """
        if name not in cls.presets:
            raise ValueError(f"Unknown preset {name!r}: expected one of {', '.join(map(repr, cls.presets))}.")
        return cls(**{**cls.presets[name], **overrides})


# Types of video encoders: name of the field with the frames of a clip, and of that with the image size.
CLIP_ENCODERS = {
    "videomae": ("num_frames", "image_size"),
    "vjepa2": ("frames_per_clip", "crop_size"),
    RDFERRegionEncoderConfig.model_type: ("num_frames", "image_size"),
}


@strict
class RDFERConfig(VideoBackboneConfig):
    r"""Configuration of [`RDFERModel`] and [`RDFERForVideoClassification`].

    Liu, Wang, Shen, "Robust Dynamic Facial Expression Recognition" (arXiv 2502.16129). Settings marked (authors) are
    published by them, the others are ours. The defaults are those of preset `base`; see [`RDFERConfig.from_preset`].

    Args:
        backbone_config (`dict` or `PreTrainedConfig`, *optional*, defaults to a ResNet-18):
            Backbone of the dual-stream hierarchical network, any backbone of transformers, a `TimmBackboneConfig`, or
            a [`RDFERFrameNetConfig`]. The last of its output features is pooled. Or a video encoder, `VideoMAEConfig`,
            `VJEPA2Config` or [`RDFERRegionEncoderConfig`], which reads the frames of a clip together.
        detector_backbone_config (`dict` or `PreTrainedConfig`, *optional*, defaults to a ResNet of 0.3 M parameters):
            Backbone of the key expression detecting network.
        temporal_shift (`bool`, *optional*, defaults to `False`):
            Whether to shift 1/8 of the channels one frame forwards and 1/8 backwards among the frames of a clip, in
            every residual branch of both backbones (temporal shift module, arXiv 1811.08383). For ResNets of
            transformers only.
        num_frames (`int`, *optional*, defaults to 64):
            Frames the processor samples from a video (authors). The model itself takes any number of frames.
        image_size (`int`, *optional*, defaults to 112):
            Height and width of the frames in pixels (authors).
        num_channels (`int`, *optional*, defaults to 3):
            Number of colour channels, RGB.
        image_mean, image_std (`list[float]`, *optional*, default to ImageNet's):
            Mean and standard deviation of the channels, on the scale 0..1. The model applies them to `uint8` frames,
            on its own device; float frames are taken as normalised already.
        num_detector_frames (`int`, *optional*, defaults to 16):
            Frames that the key expression detecting network uses (authors).
        detector_image_size (`int`, *optional*, defaults to 56):
            Height and width in pixels to which larger frames are reduced for the detecting network.
        num_clips (`int`, *optional*, defaults to 4):
            Clips re-sampled from a video (authors).
        frames_per_clip (`int`, *optional*, defaults to 4):
            Frames of a clip (authors).
        clip_stride (`int`, *optional*, defaults to 1):
            Distance of neighbouring frames of a clip, in sampled frames.
        min_clip_separation (`int`, *optional*, defaults to 2):
            Least distance of two clips, in sampled frames, if the video is long enough. Identical clips agree
            trivially.
        resampling (`"key_expression"` or `"uniform"`, *optional*, defaults to `"key_expression"`):
            Where clips are taken: by the saliency of the key expression, or evenly spread (ablation).
        saliency_floor (`float`, *optional*, defaults to 0.1):
            Added to the saliency (0..1) of every frame, so that no part of a video is out of reach.
        hidden_size (`int`, *optional*, defaults to 256):
            Size of the short-term and the long-term state.
        detector_hidden_size (`int`, *optional*, defaults to 128):
            Size of the detecting network's recurrent state.
        num_recurrent_layers (`int`, *optional*, defaults to 1):
            Layers of each bidirectional LSTM.
        num_long_term_layers (`int`, *optional*, defaults to 1):
            Self-attention layers of the long-term stream.
        num_attention_heads (`int`, *optional*, defaults to 8):
            Heads of the long-term self-attention (authors).
        dropout (`float`, *optional*, defaults to 0.1):
            Dropout on the states before their heads.
        clip_loss_weight, detector_loss_weight (`float`, *optional*, default to 0.1):
            Weights of the cross-entropies of the clips and of the detecting network in the loss (authors).
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the normal initialisation of linear layers.
        calibration_temperature (`float`, *optional*):
            Temperature, above 0, fitted on held-out videos (temperature scaling, Guo et al., ICML 2017). The model
            divides its logits, those of videos and of clips, by it, so that their softmax is calibrated. The scores of
            frames and of the detecting network stay as they are. Training with [`RDFERTrainer`] resets it. By default
            the model is not calibrated.

    Example:

    ```python
    >>> from modeling_rdfer import RDFERConfig, RDFERForVideoClassification

    >>> config = RDFERConfig.from_preset("base", id2label={0: "happy", 1: "sad", 2: "neutral"})
    >>> model = RDFERForVideoClassification(config)
    ```"""

    model_type = "rdfer"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(config_class=AutoConfig, model_type="resnet", init_kwargs=_BASE_BACKBONE),
        "detector_backbone_config": SubConfigSpec(
            config_class=AutoConfig, model_type="resnet", init_kwargs=_BASE_DETECTOR_BACKBONE
        ),
    }
    # `Trainer.evaluate` and `Trainer.predict` get the logits only.
    keys_to_ignore_at_inference = [
        "clip_logits",
        "detector_logits",
        "frame_logits",
        "agreement",
        "num_valid_clips",
        "frame_indices",
        "key_frame_indices",
        "short_term_state",
        "long_term_state",
        "hidden_states",
    ]

    backbone_config: dict | PreTrainedConfig | None = None
    detector_backbone_config: dict | PreTrainedConfig | None = None
    temporal_shift: bool = False
    num_detector_frames: int = 16
    detector_image_size: int = 56
    clip_stride: int = 1
    min_clip_separation: int = 2
    resampling: Literal["key_expression", "uniform"] = "key_expression"
    saliency_floor: float | int = 0.1
    detector_hidden_size: int = 128
    num_long_term_layers: int = 1
    num_attention_heads: int = 8
    clip_loss_weight: float | int = 0.1
    detector_loss_weight: float | int = 0.1

    def validate_backbones(self):
        """Raises ValueError if a video encoder reads other clips than this model has; it names the field."""
        if getattr(self.detector_backbone_config, "model_type", None) in CLIP_ENCODERS:
            raise ValueError("`detector_backbone_config` must be that of a network for single frames.")
        encoder = self.backbone_config
        if getattr(encoder, "model_type", None) not in CLIP_ENCODERS:
            return
        frames, size = (getattr(encoder, name) for name in CLIP_ENCODERS[encoder.model_type])
        if (frames, size) != (self.frames_per_clip, self.image_size):
            raise ValueError(
                f"The backbone, {encoder.model_type}, reads clips of {frames} frames of {size} pixels: set "
                f"`frames_per_clip` and `image_size` to these, got {self.frames_per_clip} and {self.image_size}."
            )

    def validate_sizes(self):
        """Raises ValueError if a number is out of range or does not fit another one; it names the field."""
        at_least_one = (
            "num_detector_frames detector_image_size clip_stride detector_hidden_size num_long_term_layers "
            "num_attention_heads"
        )
        for name in at_least_one.split():
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.min_clip_separation < 0:
            raise ValueError(f"`min_clip_separation` must be at least 0, got {self.min_clip_separation}.")
        if self.saliency_floor <= 0:
            raise ValueError(f"`saliency_floor` must be above 0, got {self.saliency_floor}.")
        if self.detector_hidden_size % 2:
            raise ValueError("`detector_hidden_size` must be even: each direction of the LSTM has half of it.")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` ({self.hidden_size}) must be a multiple of `num_attention_heads` "
                f"({self.num_attention_heads})."
            )


RDFERConfig.presets = {
    "tiny": {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 16,
            "depths": [1, 1, 1],
            "hidden_sizes": [16, 32, 64],
            "out_features": ["stage3"],
        },
        "detector_backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 8,
            "depths": [1, 1, 1],
            "hidden_sizes": [8, 16, 32],
            "out_features": ["stage3"],
        },
        "image_size": 56,
        "hidden_size": 64,
        "detector_hidden_size": 32,
        "num_attention_heads": 4,
    },
    "small": {
        "backbone_config": {"model_type": "rdfer_frame_net"},
        "detector_backbone_config": {"model_type": "rdfer_frame_net"},
        "image_size": 48,
        # The frame network normalises each image by itself.
        "image_mean": [0.0, 0.0, 0.0],
        "image_std": [1.0, 1.0, 1.0],
        "detector_image_size": 48,
        "hidden_size": 64,
        "detector_hidden_size": 32,
    },
    "base": {},
    "paper": {
        "backbone_config": {"model_type": "resnet", "out_features": ["stage4"]},
        "detector_backbone_config": {"model_type": "resnet", "out_features": ["stage4"]},
        "temporal_shift": True,
        "detector_image_size": 112,
        "hidden_size": 512,
        "detector_hidden_size": 512,
        "num_recurrent_layers": 2,
    },
}

# In a remote-code checkpoint, nothing else makes the type of the nested backbone known to transformers.
AutoConfig.register(RDFERFrameNetConfig.model_type, RDFERFrameNetConfig, exist_ok=True)
AutoConfig.register(RDFERRegionEncoderConfig.model_type, RDFERRegionEncoderConfig, exist_ok=True)

__all__ = [
    "CLIP_ENCODERS",
    "RDFERConfig",
    "RDFERFrameNetConfig",
    "RDFERRegionEncoderConfig",
    "VideoBackboneConfig",
]
