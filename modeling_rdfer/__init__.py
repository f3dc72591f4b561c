# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Dynamic facial expression recognition: which emotion a face shows in a video.

Importing the package registers its models with the Auto classes of transformers. Inference and training are imported
when a name of theirs is first used.
"""

import importlib
import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModel,
    AutoModelForVideoClassification,
    AutoVideoProcessor,
)

from .hub.card_facts import CardFacts
from .hub.hub_methods import add_hub_methods
from .models.agreement_rdfer import clip_agreement, distinct_clips
from .models.configuration_aen import AENConfig
from .models.configuration_rdfer import RDFERConfig, RDFERFrameNetConfig
from .models.face_detection_rdfer import RDFERFaceDetector
from .models.frame_net_rdfer import RDFERFrameNet
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
)
from .models.resampling_rdfer import interpolate_saliency, resample_clips
from .models.video_decoding_rdfer import VideoReadError
from .models.video_processing_rdfer import RDFERVideoProcessor

if TYPE_CHECKING:
    from .inference.errors import CheckpointReadError
    from .inference.explain import Explanation, explain
    from .inference.export import export
    from .inference.face_stream import Window
    from .inference.live import LiveRecognizer
    from .inference.loading import load
    from .inference.onnx import ONNXModel
    from .inference.predict import predict
    from .inference.timeline import timeline
    from .trainer.arguments import RDFERTrainingArguments
    from .trainer.losses import cross_entropy, generalized_cross_entropy, symmetric_cross_entropy, weighted_loss
    from .trainer.metrics import (
        area_under_risk_coverage,
        expected_calibration_error,
        fit_temperature,
        recognition_metrics,
        risk_coverage,
    )
    from .trainer.trainer import RDFERTrainer

# Public names that are imported on first use -> their modules.
_LAZY_MODULES = {
    "CheckpointReadError": ".inference.errors",
    "Explanation": ".inference.explain",
    "LiveRecognizer": ".inference.live",
    "ONNXModel": ".inference.onnx",
    "RDFERTrainer": ".trainer.trainer",
    "RDFERTrainingArguments": ".trainer.arguments",
    "Window": ".inference.face_stream",
    "area_under_risk_coverage": ".trainer.metrics",
    "cross_entropy": ".trainer.losses",
    "expected_calibration_error": ".trainer.metrics",
    "explain": ".inference.explain",
    "export": ".inference.export",
    "fit_temperature": ".trainer.metrics",
    "generalized_cross_entropy": ".trainer.losses",
    "load": ".inference.loading",
    "predict": ".inference.predict",
    "recognition_metrics": ".trainer.metrics",
    "risk_coverage": ".trainer.metrics",
    "symmetric_cross_entropy": ".trainer.losses",
    "timeline": ".inference.timeline",
    "weighted_loss": ".trainer.losses",
}
# Packages of the extra `training` by the names they are imported with.
_TRAINING_PACKAGES = {"accelerate": "accelerate", "datasets": "datasets", "sklearn": "scikit-learn"}

try:
    __version__ = importlib.metadata.version("modeling-rdfer")
except importlib.metadata.PackageNotFoundError:  # a folder that was copied and not installed
    __version__ = "0+unknown"

AutoConfig.register(RDFERConfig.model_type, RDFERConfig)
AutoBackbone.register(RDFERFrameNetConfig, RDFERFrameNet)
AutoModel.register(RDFERFrameNetConfig, RDFERFrameNet)
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


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str):
        if name not in _LAZY_MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _LAZY_MODULES[name]
        if module.startswith(".trainer"):
            missing = [
                package for found, package in _TRAINING_PACKAGES.items() if importlib.util.find_spec(found) is None
            ]
            if missing:
                raise ImportError(f"{name} needs {' and '.join(missing)}: pip install 'modeling-rdfer[training]'")
        value = getattr(importlib.import_module(module, __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "AENConfig",
    "AENForVideoClassification",
    "AENModel",
    "AENPreTrainedModel",
    "AENVideoClassifierOutput",
    "CardFacts",
    "CheckpointReadError",
    "Explanation",
    "LiveRecognizer",
    "ONNXModel",
    "RDFERConfig",
    "RDFERFaceDetector",
    "RDFERForVideoClassification",
    "RDFERFrameNet",
    "RDFERFrameNetConfig",
    "RDFERModel",
    "RDFERPreTrainedModel",
    "RDFERTrainer",
    "RDFERTrainingArguments",
    "RDFERVideoClassifierOutput",
    "RDFERVideoProcessor",
    "VideoReadError",
    "Window",
    "__version__",
    "area_under_risk_coverage",
    "clip_agreement",
    "cross_entropy",
    "distinct_clips",
    "expected_calibration_error",
    "explain",
    "export",
    "fit_temperature",
    "generalized_cross_entropy",
    "interpolate_saliency",
    "load",
    "predict",
    "recognition_metrics",
    "resample_clips",
    "risk_coverage",
    "symmetric_cross_entropy",
    "timeline",
    "weighted_loss",
]
