# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Models in ONNX Runtime, each exported once and kept in the cache of huggingface_hub."""

import hashlib
import inspect
from pathlib import Path

import torch
from huggingface_hub import cached_assets_path
from transformers import PreTrainedModel
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import logging

from .export import export
from .onnx import ONNXModel, require_onnx

logger = logging.get_logger(__name__)


def load_onnx_model(model: PreTrainedModel) -> ONNXModel:
    """Loads a model into ONNX Runtime, and exports it first if it is not in the cache.

    The cache is a folder of huggingface_hub (`HF_ASSETS_CACHE`, by default
    `~/.cache/huggingface/assets/modeling-rdfer/onnx`). The name of a file depends on the weights, the configuration,
    the code of the model and of the export, and the version of torch.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): the model; it is not changed.

    Returns:
        [`ONNXModel`]: the exported model.

    Raises:
        ImportError: if packages are missing; the message names the extra to install.
    """
    require_onnx("onnxruntime")
    file = cached_assets_path("modeling-rdfer", namespace="onnx") / f"{_cache_key(model)}.onnx"
    if not file.is_file():
        logger.warning(f"Exporting the model for ONNX Runtime. This happens once; the file is {file}")
        export(model, file)
    return ONNXModel(file, model.config)


def _code_files(model: PreTrainedModel) -> list[Path]:
    """The model's own file, all files of the package that it imports, and the file that exports it."""
    model_file = inspect.getfile(type(model))
    files = {model_file, inspect.getfile(export), *get_relative_import_files(model_file)}
    return sorted({Path(file).resolve() for file in files})


def _cache_key(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for file in _code_files(model):
        digest.update(file.read_bytes())
    digest.update(f"{torch.__version__} {model.config.to_json_string()}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


__all__ = ["load_onnx_model"]
