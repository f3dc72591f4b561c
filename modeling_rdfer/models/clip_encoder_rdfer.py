# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Video encoders as backbones: they read the frames of a clip together."""

import torch
from torch import nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BackboneOutput

from .configuration_rdfer import CLIP_ENCODERS, RDFERRegionEncoderConfig
from .region_encoder_rdfer import RDFERRegionEncoder


def load_clip_encoder(name, config: PreTrainedConfig, **hub_kwargs) -> "RDFERClipEncoder":
    """Loads a video encoder from a checkpoint, with the configuration of the checkpoint."""
    is_ours = config.model_type == RDFERRegionEncoderConfig.model_type
    loader = RDFERRegionEncoder if is_ours else AutoModel
    return RDFERClipEncoder(config, loader.from_pretrained(name, config=config, **hub_kwargs))


class RDFERClipEncoder(PreTrainedModel):
    """A video encoder, VideoMAE, V-JEPA 2 or [`RDFERRegionEncoder`], with the interface of a backbone.

    Args:
        config (`VideoMAEConfig`, `VJEPA2Config` or [`RDFERRegionEncoderConfig`]): configuration of the encoder.
        encoder (`PreTrainedModel`, *optional*): the encoder; with random weights by default.
    """

    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    has_attentions = True

    def __init__(self, config: PreTrainedConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        if encoder is None:
            # By the name of the type, as in `build_backbone`.
            is_ours = config.model_type == RDFERRegionEncoderConfig.model_type
            encoder = RDFERRegionEncoder._from_config(config) if is_ours else AutoModel.from_config(config)
        self.encoder = encoder
        if config.model_type == "vjepa2":
            self.encoder.predictor = nn.Identity()  # it serves the pre-training
        self.channels = [config.hidden_size]
        self.frames_per_clip = getattr(config, CLIP_ENCODERS[config.model_type][0])
        self.post_init()

    def forward(self, pixel_values: torch.Tensor) -> BackboneOutput:
        """Computes feature maps of the frames of clips.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(N, num_channels, H, W)`): normalised frames, clip by clip.

        Returns:
            `BackboneOutput`: one feature map `(N, hidden_size, H', W')`. Frames that the encoder joins (its tubelets)
            have the same features.

        Raises:
            ValueError: if the frames are not whole clips.
        """
        length = self.frames_per_clip
        if not torch.compiler.is_compiling() and pixel_values.shape[0] % length:
            raise ValueError(
                f"The backbone, {self.config.model_type}, reads clips of {length} frames, got {pixel_values.shape[0]} "
                "frames. It cannot classify single frames."
            )
        clips = pixel_values.unflatten(0, (-1, length))
        if self.config.model_type == "vjepa2":
            tokens = self.encoder(clips, skip_predictor=True).last_hidden_state
        else:
            tokens = self.encoder(clips).last_hidden_state
        rows, columns = (side // self.config.patch_size for side in pixel_values.shape[-2:])
        tubelets = tokens.unflatten(1, (length // self.config.tubelet_size, rows, columns))
        frames = tubelets.repeat_interleave(self.config.tubelet_size, dim=1)
        return BackboneOutput(feature_maps=(frames.flatten(0, 1).permute(0, 3, 1, 2),))


__all__ = ["RDFERClipEncoder", "load_clip_encoder"]
