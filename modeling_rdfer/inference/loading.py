# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Loads models and their processors, and keeps the last ones in memory."""

import copy
import functools
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoConfig, AutoVideoProcessor, PreTrainedModel

from ..checkpoint_weights import load_network, reading
from ..models.package_data_rdfer import embedded_checkpoint
from ..models.video_processing_rdfer import RDFERVideoProcessor
from .errors import CheckpointReadError
from .onnx import ONNXModel
from .onnx_cache import load_onnx_model

Engine = Literal["torch", "onnx"]
EMBEDDED = "rdfer-small"


def checkpoint_of(model: str | None) -> str:
    """Returns the folder or the name on the Hub that a model's name stands for.

    Args:
        model (`str`, *optional*): folder or name on the Hub. None stands for the embedded checkpoint, and so does its
            name, unless the working folder has a folder of that name.

    Returns:
        `str`: folder or name on the Hub.
    """
    if model is None or (str(model) == EMBEDDED and not Path(EMBEDDED).is_dir()):
        return embedded_checkpoint()
    return str(model)


def load(
    model: str | None = None, device: str | None = None, engine: Engine = "torch"
) -> tuple[PreTrainedModel | ONNXModel, RDFERVideoProcessor]:
    """Loads a model for evaluation, and its processor.

    The last two models stay in memory; they are loaded again if their files change.

    Args:
        model (`str`, *optional*): folder or name on the Hub; by default `"rdfer-small"`, the embedded checkpoint.
        device (`str`, *optional*): for example `"cpu"` or `"cuda:0"`; by default a GPU if one is available.
        engine (`"torch"` or `"onnx"`, *optional*, defaults to `"torch"`): `"onnx"` returns an [`ONNXModel`] on the
            CPU, see [`load_onnx_model`].

    Returns:
        `tuple`: the model on its device, and a copy of its processor.

    Raises:
        OSError: if the checkpoint does not exist.
        CheckpointReadError: if one of its files is damaged, or the weights are not those of its configuration (it is
            also an OSError).
        RuntimeError: if the device does not exist.
        ImportError: if ONNX Runtime is requested and not installed.
        ValueError: if `engine` is unknown or does not run on `device`.
    """
    if engine not in ("torch", "onnx"):
        raise ValueError(f"engine must be 'torch' or 'onnx', got {engine!r}.")
    if engine == "onnx":
        if device not in (None, "cpu"):
            raise ValueError(f"engine='onnx' runs on the CPU, got device={device!r}.")
        device = "cpu"
    model = checkpoint_of(model)
    folder = Path(model)
    if (folder.is_absolute() or model.startswith(".")) and not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {model}; expected a checkpoint's folder or a name on the Hub.")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{model} is not a checkpoint's folder: it has no config.json.")
    modified = max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0) if folder.is_dir() else 0
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        network, processor = _load(model, device, modified)
    except OSError as error:
        if folder.is_dir() or isinstance(error, CheckpointReadError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise OSError(f"There is no folder {model}, and the Hub gave no checkpoint of this name: {reason}") from error
    if engine == "onnx":
        network = _load_onnx(model, modified, torch.get_num_threads())
    return network, copy.copy(processor)  # the caller may change its options


@functools.lru_cache(maxsize=2)
def _load(model: str, device: str, modified: int) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    with reading(model, "config.json"):
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
        for part in (config, *(getattr(config, name) for name in config.sub_configs)):
            part.return_dict = True
    network = load_network(model, config)
    with reading(model, "video_preprocessor_config.json"):
        processor = AutoVideoProcessor.from_pretrained(model, trust_remote_code=False)
    with reading(model, "face_detector.safetensors"):
        if processor.do_face_crop:
            processor.face_detector()
    with reading(model, "video_preprocessor_config.json"):
        # Its options are checked when it is called.
        trial = {"input_data_format": "channels_first", "do_face_crop": False, "return_tensors": "pt"}
        frame = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
        processor(frame, video_metadata=[{"fps": 25, "total_num_frames": 1}], **trial)
    # The memory order that the backbones compute in: converted once here instead of in each call.
    return network.eval().to(device, memory_format=torch.channels_last), processor


@functools.lru_cache(maxsize=2)
def _load_onnx(model: str, modified: int, num_threads: int) -> ONNXModel:
    return load_onnx_model(_load(model, "cpu", modified)[0])


__all__ = ["EMBEDDED", "Engine", "checkpoint_of", "load"]
