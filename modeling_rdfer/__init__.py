# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Robust dynamic facial expression recognition: a video of a face -> its emotion.

Importing the package makes its classes known to the Auto classes of transformers.
"""

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModel,
    AutoModelForVideoClassification,
    AutoVideoProcessor,
)

from .hub.card_facts import CardFacts
from .hub.hub_methods import add_hub_methods
from .inference.predict import predict
from .inference.timeline import Window, timeline
from .models.configuration_aen import AENConfig
from .models.configuration_rdfer import RDFERConfig, RDFERFrameNetConfig
from .models.modeling_aen import (
    AENForVideoClassification,
    AENModel,
    AENPreTrainedModel,
    AENVideoClassifierOutput,
)
from .models.modeling_rdfer import (
    RDFERForVideoClassification,
    RDFERModel,
    RDFERPreTrainedModel,
    RDFERVideoClassifierOutput,
    clip_agreement,
    distinct_clips,
    interpolate_saliency,
    resample_clips,
)
from .models.video_backbone_rdfer import RDFERFrameNet
from .models.video_decoding_rdfer import VideoReadError
from .models.video_processing_rdfer import RDFERVideoProcessor

AutoConfig.register(RDFERConfig.model_type, RDFERConfig)
AutoBackbone.register(RDFERFrameNetConfig, RDFERFrameNet)
AutoModel.register(RDFERConfig, RDFERModel)
AutoModelForVideoClassification.register(RDFERConfig, RDFERForVideoClassification)
AutoVideoProcessor.register(RDFERConfig, RDFERVideoProcessor)
AutoConfig.register(AENConfig.model_type, AENConfig)
AutoModel.register(AENConfig, AENModel)
AutoModelForVideoClassification.register(AENConfig, AENForVideoClassification)
AutoVideoProcessor.register(AENConfig, RDFERVideoProcessor)
AENConfig.register_for_auto_class()
AENModel.register_for_auto_class("AutoModel")
AENForVideoClassification.register_for_auto_class("AutoModelForVideoClassification")
RDFERConfig.register_for_auto_class()
RDFERModel.register_for_auto_class("AutoModel")
RDFERForVideoClassification.register_for_auto_class("AutoModelForVideoClassification")
RDFERVideoProcessor.register_for_auto_class("AutoVideoProcessor")
add_hub_methods(RDFERForVideoClassification, RDFERModel, RDFERConfig, RDFERVideoProcessor)
add_hub_methods(AENForVideoClassification, AENModel, AENConfig)

__all__ = [
    "AENConfig",
    "AENForVideoClassification",
    "AENModel",
    "AENPreTrainedModel",
    "AENVideoClassifierOutput",
    "CardFacts",
    "RDFERConfig",
    "RDFERForVideoClassification",
    "RDFERFrameNet",
    "RDFERFrameNetConfig",
    "RDFERModel",
    "RDFERPreTrainedModel",
    "RDFERVideoClassifierOutput",
    "RDFERVideoProcessor",
    "VideoReadError",
    "Window",
    "clip_agreement",
    "distinct_clips",
    "interpolate_saliency",
    "predict",
    "resample_clips",
    "timeline",
]
