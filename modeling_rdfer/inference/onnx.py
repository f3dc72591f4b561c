# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Runs exported models in ONNX Runtime."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from ..models.face_confidence_rdfer import apply_face_confidence

INPUT_NAMES = ("pixel_values_videos", "frame_mask")


def require_onnx(*packages: str):
    """Raises ImportError, which names the extra to install, unless all these packages are installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(f"ONNX needs {' and '.join(missing)}: pip install 'modeling-rdfer[onnx]'")


class ONNXModel:
    """An exported model in ONNX Runtime on the CPU.

    It is called like the model it was exported from, takes and returns torch tensors, and uses as many threads as
    `torch.get_num_threads()` gives when it is loaded.

    Args:
        file (`str` or `Path`): an `.onnx` file written by [`export`].
        config ([`RDFERConfig`] or [`AENConfig`]): the model's configuration.

    Raises:
        ImportError: if onnxruntime is not installed; the message names the extra to install.
    """

    device = torch.device("cpu")

    def __init__(self, file: str | Path, config: PreTrainedConfig):
        require_onnx("onnxruntime")
        import onnxruntime

        self.config = config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait by spinning would slow down the decoding that runs at the same time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._output_names = [output.name for output in self._session.get_outputs()]

    def __call__(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        face_confidence: torch.Tensor | None = None,
    ) -> ModelOutput:
        """Runs the model.

        Args:
            pixel_values_videos (`torch.ByteTensor` of shape `(B, T, num_channels, image_size, image_size)`): RGB
                frames, 0..255; any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*): True for real frames, False for padding; by
                default all frames are real.
            face_confidence (`torch.FloatTensor` of shape `(B,)`, *optional*): as for the model itself; applied to
                the outputs of the graph.

        Returns:
            `ModelOutput`: the tensors that the model itself returns.

        Raises:
            ValueError: if a shape or dtype is wrong, or a video has no real frame.
        """
        shape, size = tuple(pixel_values_videos.shape), self.config.image_size
        if len(shape) != 5 or shape[2:] != (self.config.num_channels, size, size):
            raise ValueError(
                "`pixel_values_videos` must have shape (batch_size, num_frames, num_channels, height, width) with "
                f"{self.config.num_channels} channels of {size} x {size} pixels, got {shape}."
            )
        if pixel_values_videos.dtype != torch.uint8:
            raise ValueError(
                f"An exported model takes uint8 frames and normalises them itself, got {pixel_values_videos.dtype}. "
                "Use do_rescale=False and do_normalize=False in the processor."
            )
        if frame_mask is None:
            frame_mask = torch.ones(shape[:2], dtype=torch.bool)
        if tuple(frame_mask.shape) != shape[:2] or not frame_mask.any(1).all():
            raise ValueError(
                "`frame_mask` must have shape (batch_size, num_frames) and mark a real frame in every row."
            )
        arrays = pixel_values_videos.numpy(), frame_mask.bool().numpy()
        # One video at a time stays in the processor's cache: up to 1.3 times as fast as 8 videos at once.
        answers = [
            self._session.run(None, {name: array[row : row + 1] for name, array in zip(INPUT_NAMES, arrays)})
            for row in range(shape[0])
        ]
        tensors = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*answers))
        outputs = ModelOutput(zip(self._output_names, tensors))
        if face_confidence is not None:
            apply_face_confidence(outputs, face_confidence, self.config)
        return outputs


__all__ = ["INPUT_NAMES", "ONNXModel", "require_onnx"]
