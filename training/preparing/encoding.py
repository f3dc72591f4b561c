# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads one clip as training does and encodes its frames as a small video."""

import io
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.pseudo_labels import label_frames
from training.data.labelled_videos import content_hash

FRAMES_PER_SECOND = 25
# Measured on 64 face crops of 112 x 112 pixels of a real face: 40 KB, 38 dB. Without B-frames, CABAC and deblocking
# decoding is a third faster than with x264's defaults at the same size.
# The macroblock tree is off because x264 reads uninitialised memory there: rarely, the same frames gave other bytes.
CODEC = "libx264"
CODEC_OPTIONS = {"crf": "18", "preset": "medium", "tune": "fastdecode", "bf": "0", "x264-params": "mbtree=0"}


def encode_video(frames: torch.Tensor) -> bytes:
    """Encodes frames as an H.264 MP4 file with 25 frames per second. The same frames give the same bytes.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255; H and W even.

    Returns:
        `bytes`: the file.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(CODEC, rate=FRAMES_PER_SECOND, options=CODEC_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames.permute(0, 2, 3, 1).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def prepare_clip(processor: RDFERVideoProcessor, source, teacher: PreTrainedModel | None = None) -> dict:
    """Reads a clip and makes what its row in the prepared set needs.

    Args:
        processor ([`RDFERVideoProcessor`]): says which frames to take, their size, and whether to crop faces.
        source (`str`, `Path` or `dict`): a file, a folder of frames, or `{"bytes", "path"}`.
        teacher (`PreTrainedModel`, *optional*): frame teacher, see
            [`~modeling_rdfer.trainer.pseudo_labels.load_teacher`].

    Returns:
        `dict`: `video` (bytes); `content_hash`, `num_frames` and `num_unreadable` (further frames of a damaged file)
        of the original; with a teacher `pseudo_labels`, for each class its probability, 0..1, in every frame of
        `video`. If the clip cannot be read: only `reason` (`str`).
    """
    try:
        inputs = processor(source, return_tensors="pt", return_metadata=True)
        digest = content_hash(source)
    except VideoReadError as error:
        # Manifests are published, so they have no paths of this machine.
        reason = "found {1}; expected {2}".format(*error.args)
        return {"reason": reason.replace(str(source), Path(source).name) if isinstance(source, str) else reason}
    except OSError as error:
        return {"reason": error.strerror or type(error).__name__}
    frames = inputs["pixel_values_videos"][0][inputs["frame_mask"][0]]
    metadata = inputs["video_metadata"][0]
    made = {"video": encode_video(frames), "content_hash": digest}
    made |= {"num_frames": metadata.total_num_frames, "num_unreadable": metadata.num_unreadable}
    if teacher is not None:
        labels = class_names(teacher.config)
        made["pseudo_labels"] = dict(zip(labels, label_frames(teacher, frames, labels).T.tolist()))
    return made


__all__ = ["CODEC", "CODEC_OPTIONS", "encode_video", "prepare_clip"]
