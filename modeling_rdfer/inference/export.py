# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""RDFER and AEN models as files that run without this package: `rdfer export`, and the engine of `--engine onnx`."""

import contextlib
import copy
import hashlib
import importlib.util
import json
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from huggingface_hub import cached_assets_path
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils import logging as transformers_logging

from ..models.configuration_rdfer import VideoBackboneConfig
from ..models.labels_rdfer import class_names
from ..models.video_processing_rdfer import RDFERVideoProcessor
from .predict import probabilities

logger = transformers_logging.get_logger(__name__)

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
# Largest difference of a probability from the model's own answer in float32.
TOLERANCE = 1e-4
INPUT_NAMES = ("pixel_values_videos", "frame_mask")
USAGE = (
    "pixel_values_videos: uint8 (batch, frames, num_channels, image_size, image_size), RGB 0..255, normalised inside. "
    "frame_mask: bool (batch, frames), True for real frames, False for padding, at least one True in every row. Any "
    "number of frames; the model was made for num_frames, the mid-points of that many equal parts of the video. "
    "labels name the scores of logits, clip_logits and frame_logits in order."
)


class _Exportable(nn.Module):
    """A model's evaluation as a function of its two inputs alone, with a dictionary of tensors as answer."""

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
    """
    Writes a model as a file for ONNX Runtime or for `torch.export.load`, in float32, after comparing its answers to
    random videos of several lengths with the model's own. Batch and number of frames stay free.

    Inputs of the file are `pixel_values_videos` and `frame_mask` as in the model's `forward`, both needed; outputs are
    the tensors that it returns, by their names. Metadata (ONNX: `metadata_props`; torch.export: the extra file
    `metadata.json`) tell in strings: `model_type`, `labels` (JSON list, in order), `sentiments` (the same for
    `sentiment_logits`, AEN), `problem_type`, `image_size`, `num_channels`, `num_frames`, `calibration_temperature`,
    `do_face_crop` and `face_margin` (with `processor`), `usage`.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): stays as it is.
        file (`str` or `Path`): name that ends in `.onnx` or `.pt2`; it is there only if everything went well.
        format (`"onnx"` or `"torch-export"`): ONNX needs the packages of the extra `onnx`.
        processor ([`RDFERVideoProcessor`], *optional*): that of the checkpoint, whose face crop is then told.

    Returns:
        `float`: the largest difference of a probability from the model's own, at most 1e-4.

    Raises:
        ValueError: unknown format, wrong suffix, or no model with labels.
        ImportError: packages are missing, naming the extra.
        RuntimeError: the answers differ by more than 1e-4.
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
        _require("onnx", "onnxscript", "onnxruntime")

    # A copy: the model may be in bfloat16, on a GPU, or in training.
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
        if not difference <= TOLERANCE:  # nor NaN
            raise RuntimeError(
                f"The exported model's probabilities differ by {difference:.1e} from the model's own (tolerance "
                f"{TOLERANCE:.0e}): {file} was not written."
            )
        del run
        os.replace(unchecked, file)
    return difference


def _require(*packages: str):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(f"ONNX needs {' and '.join(missing)}: pip install 'modeling-rdfer[onnx]'")


def _metadata(config: PreTrainedConfig, processor: RDFERVideoProcessor | None) -> dict[str, str]:
    metadata = {
        "model_type": config.model_type,
        "labels": json.dumps(class_names(config), ensure_ascii=False),
        "problem_type": config.problem_type or "single_label_classification",
        "image_size": str(config.image_size),
        "num_channels": str(config.num_channels),
        "num_frames": str(config.num_frames),
        "usage": USAGE,
    }
    if config.model_type == "aen":
        metadata["sentiments"] = json.dumps(config.group_names, ensure_ascii=False)
    if config.calibration_temperature is not None:
        metadata["calibration_temperature"] = str(config.calibration_temperature)
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
    # Sizes that no other dimension has, for it to be told apart from them.
    inputs = _random_videos(reference.model.config, 2, 23, torch.Generator().manual_seed(0))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")}
    with torch.no_grad(), warnings.catch_warnings():
        # nn.LSTM lists its weights a second time, outside of its parameters.
        warnings.filterwarnings("ignore", message=r"The tensor attributes? .*_flat_weights")
        program = torch.export.export(reference, (), inputs, dynamic_shapes=dict.fromkeys(inputs, dynamic))
        return program, list(reference(**inputs))


def _save_onnx(program: torch.export.ExportedProgram, file: Path, output_names: list[str], metadata: dict[str, str]):
    dynamic = {0: "batch", 1: "frames"}
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")  # that both inputs have the same names, and deprecations inside torch
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


class ONNXModel:
    """
    An exported file in ONNX Runtime on the CPU, called as the model it was made from is, with and for torch tensors.
    As many threads as `torch.get_num_threads()` says when it is loaded.

    Args:
        file (`str` or `Path`): what [`export`] wrote.
        config ([`RDFERConfig`] or [`AENConfig`]): that of the model.

    Raises:
        ImportError: onnxruntime is missing, naming the extra.
    """

    device = torch.device("cpu")

    def __init__(self, file: str | Path, config: PreTrainedConfig):
        _require("onnxruntime")
        import onnxruntime

        self.config = config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait by spinning would take the processor from decoding, which goes on meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._output_names = [output.name for output in self._session.get_outputs()]

    def __call__(self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None = None) -> ModelOutput:
        """
        Args:
            pixel_values_videos (`torch.ByteTensor` of shape `(B, T, num_channels, image_size, image_size)`): RGB
                0..255. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*): as for the model.

        Returns:
            `ModelOutput`: the tensors that the model itself returns.

        Raises:
            ValueError: a shape or dtype does not fit, or a video has no real frame.
        """
        shape, size = tuple(pixel_values_videos.shape), self.config.image_size
        if len(shape) != 5 or shape[2:] != (self.config.num_channels, size, size):
            raise ValueError(
                "`pixel_values_videos` must have shape (batch_size, num_frames, num_channels, height, width) with "
                f"{self.config.num_channels} channels of {size} x {size} pixels, got {shape}."
            )
        if pixel_values_videos.dtype != torch.uint8:
            raise ValueError(
                f"An exported model takes uint8 frames and normalises them itself, got {pixel_values_videos.dtype}: "
                "use do_rescale=False and do_normalize=False in the processor."
            )
        if frame_mask is None:
            frame_mask = torch.ones(shape[:2], dtype=torch.bool)
        if tuple(frame_mask.shape) != shape[:2] or not frame_mask.any(1).all():
            raise ValueError(
                "`frame_mask` must have shape (batch_size, num_frames) and mark a real frame in every row."
            )
        arrays = pixel_values_videos.numpy(), frame_mask.bool().numpy()
        # One after the other: what stays in the cache is up to 1.3 times as fast as 8 videos at once.
        answers = [
            self._session.run(None, {name: array[row : row + 1] for name, array in zip(INPUT_NAMES, arrays)})
            for row in range(shape[0])
        ]
        outputs = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*answers))
        return ModelOutput(zip(self._output_names, outputs))


def session(model: PreTrainedModel) -> ONNXModel:
    """
    A model in ONNX Runtime. It is exported once: the file stays in the cache of huggingface_hub (`HF_ASSETS_CACHE`,
    by default `~/.cache/huggingface/assets/modeling-rdfer/onnx`) under a name made from its weights, its
    configuration, this package's code and torch's version.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): stays as it is.

    Returns:
        [`ONNXModel`]

    Raises:
        ImportError: packages are missing, naming the extra.
    """
    _require("onnxruntime")
    file = cached_assets_path("modeling-rdfer", namespace="onnx") / f"{_digest(model)}.onnx"
    if not file.is_file():
        logger.warning(f"Exporting the model for ONNX Runtime, this once: {file}")
        export(model, file)
    return ONNXModel(file, model.config)


def _digest(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    digest.update(f"{torch.__version__} {model.config.to_json_string()}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


__all__ = ["ONNXModel", "export", "session"]
