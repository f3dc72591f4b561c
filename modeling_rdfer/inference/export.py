# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes RDFER and AEN models as files that run without this package."""

import contextlib
import copy
import json
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..models.configuration_rdfer import VideoBackboneConfig
from ..models.labels_rdfer import class_names
from ..models.video_processing_rdfer import RDFERVideoProcessor
from .onnx import INPUT_NAMES, ONNXModel, require_onnx
from .scores import probabilities

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
# Largest allowed difference between a probability of the file and the model's own in float32.
TOLERANCE = 1e-4
USAGE = (
    "pixel_values_videos: uint8 (batch, frames, num_channels, image_size, image_size), RGB 0..255; normalised inside "
    "the model. frame_mask: bool (batch, frames), True for real frames, False for padding, at least one True in every "
    "row. Any number of frames works; the model was trained with num_frames, the mid-points of that many equal parts "
    "of the video. labels are the classes of logits, clip_logits and frame_logits in order. The scores are "
    "softmax(logits); the logits of a calibrated model are divided by its temperature already."
)


class _Exportable(nn.Module):
    """A model's evaluation as a function of its two inputs that returns a dictionary of tensors."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(
            self.model(
                pixel_values_videos, frame_mask=frame_mask, output_hidden_states=False, return_dict=True
            ).items()
        )


def export(
    model: PreTrainedModel,
    file: str | Path,
    format: Literal["onnx", "torch-export"] = "onnx",
    processor: RDFERVideoProcessor | None = None,
) -> float:
    """Writes a model in float32 as a file for ONNX Runtime or for `torch.export.load`.

    Batch size and number of frames are dynamic. Before the file gets its name, its outputs on random videos of several
    lengths are compared with the model's own.

    The inputs of the file are `pixel_values_videos` and `frame_mask` of the model's `forward`, both required; the
    outputs are the tensors that `forward` returns, with their names. The metadata (ONNX: `metadata_props`;
    torch.export: the extra file `metadata.json`) are strings: `model_type`, `labels` (JSON list, in order),
    `sentiments` (AEN: the same for `sentiment_logits`), `problem_type`, `image_size`, `num_channels`, `num_frames`,
    `calibrated` (`"true"`: the logits are divided by the calibration temperature), `do_face_crop` and `face_margin`
    (if `processor` is given), `usage`.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): the model; it is not changed.
        file (`str` or `Path`): file to write; its name ends in `.onnx` or `.pt2`. Nothing is written after an error.
        format (`"onnx"` or `"torch-export"`, *optional*, defaults to `"onnx"`): ONNX needs the extra `onnx`.
        processor ([`RDFERVideoProcessor`], *optional*): the checkpoint's processor, for the metadata on face crops.

    Returns:
        `float`: the largest difference between a probability of the file and the model's own, at most 1e-4.

    Raises:
        ValueError: if the format is unknown, the suffix is wrong, or the model has no classifier.
        ImportError: if packages are missing; the message names the extra to install.
        RuntimeError: if the probabilities differ by more than 1e-4.
    """
    file = Path(file)
    if format not in SUFFIXES:
        raise ValueError(f"format is {format!r}; expected one of {', '.join(map(repr, SUFFIXES))}.")
    if file.suffix != SUFFIXES[format]:
        raise ValueError(f"{file}: expected a name that ends in {SUFFIXES[format]} for format {format!r}.")
    config = model.config
    if not isinstance(config, VideoBackboneConfig) or model.base_model is model:
        raise ValueError(f"{type(model).__name__} cannot be exported; expected RDFER or AEN for video classification.")
    if format == "onnx":
        require_onnx("onnx", "onnxscript", "onnxruntime")

    # A copy, since the model may be in bfloat16, on a GPU, or in training.
    reference = _Exportable(copy.deepcopy(model).float().cpu()).eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as folder:
        unchecked = Path(folder) / f"model{file.suffix}"
        metadata = _metadata(config, processor)
        program, output_names = _trace(reference)
        if format == "onnx":
            _save_onnx(program, unchecked, output_names, metadata)
            run = ONNXModel(unchecked, config)
        else:
            torch.export.save(program, unchecked, extra_files={"metadata.json": json.dumps(metadata)})
            run = torch.export.load(unchecked).module()
        difference = _largest_difference(reference, run)
        if not difference <= TOLERANCE:  # true for NaN, too
            raise RuntimeError(
                f"The exported model's probabilities differ by {difference:.1e} from the model's own (tolerance "
                f"{TOLERANCE:.0e}): {file} was not written."
            )
        del run
        os.replace(unchecked, file)
    return difference


def _metadata(config: PreTrainedConfig, processor: RDFERVideoProcessor | None) -> dict[str, str]:
    metadata = {
        "model_type": config.model_type,
        "labels": json.dumps(class_names(config), ensure_ascii=False),
        "problem_type": config.problem_type or "single_label_classification",
        "image_size": str(config.image_size),
        "num_channels": str(config.num_channels),
        "num_frames": str(config.num_frames),
        "calibrated": json.dumps(config.calibration_temperature is not None),
        "usage": USAGE,
    }
    if config.model_type == "aen":
        metadata["sentiments"] = json.dumps(config.group_names, ensure_ascii=False)
    if processor is not None:
        metadata["do_face_crop"] = json.dumps(bool(processor.do_face_crop))
        metadata["face_margin"] = str(processor.face_margin)
    return metadata


def _random_videos(config, batch: int, num_frames: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    shape = (batch, num_frames, config.num_channels, config.image_size, config.image_size)
    videos = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    num_real_frames = torch.randint(1, num_frames + 1, (batch, 1), generator=generator)
    return dict(zip(INPUT_NAMES, (videos, torch.arange(num_frames) < num_real_frames)))


def _trace(reference: _Exportable) -> tuple[torch.export.ExportedProgram, list[str]]:
    # No other dimension has these sizes, so that torch.export does not take two dimensions for the same.
    inputs = _random_videos(reference.model.config, 2, 23, torch.Generator().manual_seed(0))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")}
    with torch.no_grad(), warnings.catch_warnings():
        # nn.LSTM keeps its weights in a list, too, outside of its parameters.
        warnings.filterwarnings("ignore", message=r"The tensor attributes? .*_flat_weights")
        program = torch.export.export(reference, (), inputs, dynamic_shapes=dict.fromkeys(inputs, dynamic))
        return program, list(reference(**inputs))


def _save_onnx(program: torch.export.ExportedProgram, file: Path, output_names: list[str], metadata: dict[str, str]):
    dynamic = {0: "batch", 1: "frames"}
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")  # about inputs that share dimension names, and deprecations inside torch
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            output_names=output_names,
            dynamic_shapes=dict.fromkeys(INPUT_NAMES, dynamic),
        )
    onnx_program.model.metadata_props.update(metadata)
    onnx_program.save(file, external_data=False)


@contextlib.contextmanager
def _quiet(*names: str):
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels):
            each.setLevel(level)


@torch.inference_mode()
def _largest_difference(reference: _Exportable, run) -> float:
    model = reference.model
    generator = torch.Generator().manual_seed(1)
    differences = []
    for batch, num_frames in ((1, 1), (2, 5), (3, model.config.num_frames), (1, model.config.num_frames + 36)):
        inputs = _random_videos(model.config, batch, num_frames, generator)
        expected, answer = reference(**inputs), run(**inputs)
        for name in expected:
            if name.endswith("logits"):
                difference = probabilities(model, answer[name]) - probabilities(model, expected[name])
                differences.append(difference.abs().max())
    return torch.stack(differences).max().item()


__all__ = ["SUFFIXES", "export"]
