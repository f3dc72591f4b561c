# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Opens videos of any kind: file, URL, bytes, decoder, tensor, images, folder of images.

A still image is a video of one frame.

Container files are read by PyAV, whose wheels include FFmpeg. torchcodec is not faster on the CPU, and tells neither
damage that it conceals nor that a frame is interlaced; it reads what a GPU is to decode, or all files if the
environment variable `RDFER_VIDEO_DECODER` ("auto", "torchcodec" or "pyav") forces it. In both cases the list of frames
and their times comes from PyAV, which reads the packets without decoding, so index i is the same frame with both.
"""

import io
import os
import re
import urllib.error
import urllib.request

import numpy as np
import PIL.Image
import torch

from .container_checks_rdfer import HEAD_BYTES, JPEG_STREAM_SUFFIXES, image_type, is_animated_png
from .decoder_choice_rdfer import DECODER_VARIABLE, decoder_in_use, load_pyav, load_torchcodec
from .image_reader_rdfer import IMAGE_SUFFIXES, ArrayVideo, ImageVideo, folder_images, is_frame
from .pyav_reader_rdfer import PyAVVideo
from .torchcodec_reader_rdfer import TorchCodecVideo, UserDecoderVideo
from .video_source_rdfer import VideoNotFoundError, VideoReadError, VideoSource

# Files that count as videos when a folder is searched. A file that the user names may have any name.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".gif", ".ogv", ".mpg", ".mpeg"),
    *(".vob", ".ts", ".mts", ".m2ts", ".mxf", ".h264", ".h265", ".hevc", ".apng", *JPEG_STREAM_SUFFIXES),
)
URL_TIMEOUT_SECONDS = 60


def open_video(
    source,
    decoder: str = "auto",
    *,
    name: str | None = None,
    layout: str | None = None,
    channel_order: str = "rgb",
    on_damage: str = "error",
    device: str | torch.device | None = None,
) -> VideoSource:
    """Opens one video of any kind.

    Open a video in the process that reads it: an opened video cannot be passed to a data-loader worker.

    Args:
        source: one of
            - path of a video file or a still image (`str` or `os.PathLike`), or an http(s) URL of one;
            - path of a folder of frame images (.jpg, .jpeg, .png, .bmp, .webp, .tif, .tiff; other and hidden files are
              ignored), in natural order, frame_2 before frame_10;
            - the bytes of a video or image file, or a binary file object;
            - `{"bytes": ..., "path": ...}` as `datasets.Video(decode=False)` and `datasets.Image(decode=False)` give;
            - a `torchcodec.decoders.VideoDecoder`;
            - tensor or numpy array, `(T, C, H, W)` or `(T, H, W, C)` with 1, 3 or 4 channels (transparent becomes
              white), or one frame; uint8, or float in 0..1;
            - a list of frames: PIL images, arrays `(C, H, W)` or `(H, W, C)`, or paths of images; or one such frame.
        decoder (`str`, *optional*, defaults to `"auto"`): `"auto"`, `"torchcodec"` or `"pyav"`, for video files only;
            see `decoder_in_use`.
        name (`str`, *optional*): name of the video in messages, if it is not a path or URL.
        layout (`str`, *optional*): `"channels_first"` or `"channels_last"` for arrays; by default the axis with 1, 3
            or 4 entries holds the channels, and it is an error if both can.
        channel_order (`str`, *optional*, defaults to `"rgb"`): `"rgb"`, or `"bgr"` as OpenCV gives arrays, also with a
            fourth channel. It is about arrays and tensors, also in lists; files and PIL images state their own.
        on_damage (`str`, *optional*, defaults to `"error"`): what to do with a damaged or truncated video file.
            `"error"` refuses it as soon as the damage is found. `"use_readable"` leaves out the frames that cannot be
            decoded, with a warning; the whole file is decoded once to find them.
        device (`str` or `torch.device`, *optional*): a GPU, `"cuda"` or `"cuda:1"`, decodes and resizes the frames of
            files that torchcodec reads (colours can differ by a few steps from those of the CPU). If it cannot, or
            with any other device, the CPU does. The frames come back on the CPU.

    Returns:
        `VideoSource`: the opened video.

    Raises:
        VideoReadError: if the source cannot be read as a video; the message says what was found. With
            `"use_readable"`, if fewer than a quarter of the frames can be decoded.
        ValueError: if `on_damage` or `channel_order` has another value.
        VideoNotFoundError: if the path does not exist (it is also a FileNotFoundError).
        TypeError: if `source` has another type.
        RuntimeError: if no decoder can be used.
    """
    if on_damage not in ("error", "use_readable"):
        raise ValueError(f"on_damage is {on_damage!r}; expected 'error' or 'use_readable'.")
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(f"channel_order is {channel_order!r}; expected 'rgb' or 'bgr'.")
    if isinstance(source, dict) and (source.get("bytes") is not None or source.get("path") is not None):
        if source.get("bytes") is None:
            return open_video(source["path"], decoder, name=name, on_damage=on_damage, device=device)
        data = bytes(source["bytes"])
        return _open_file(data, source.get("path") or name or f"<{len(data)} bytes>", decoder, on_damage, device)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fsdecode(source), decoder, on_damage, device)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        if os.fsdecode(data[-8:]).lower().endswith((*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)):
            # It is not opened: bytes can come from strangers, who could have any file read.
            expected = "the content of a file; a name in bytes has to be decoded, os.fsdecode(name)"
            raise VideoReadError(name or repr(data[-100:]), f"{len(data)} bytes that end as a file's name", expected)
        return _open_file(data, name or f"<{len(data)} bytes>", decoder, on_damage, device)
    if hasattr(source, "read") and hasattr(source, "seek"):
        source.seek(0)
        data = source.read()
        name = name or str(getattr(source, "name", None) or f"<file object of {len(data)} bytes>")
        if not isinstance(data, bytes):
            raise VideoReadError(name, "a file opened as text", "a file opened in binary mode, open(path, 'rb')")
        return _open_file(data, name, decoder, on_damage, device)
    if hasattr(source, "get_frames_at") and hasattr(source, "metadata"):
        encoded = getattr(source, "_hf_encoded", None) or {}  # set by datasets.Video
        return UserDecoderVideo(source, encoded.get("path") or name or f"<{type(source).__name__}>")
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return ArrayVideo(source, name, layout, channel_order)
    if isinstance(source, PIL.Image.Image):
        source = [source]
    if isinstance(source, (list, tuple)):
        return _open_list(source, name or f"<list of {len(source)} frames>", layout, channel_order)
    raise TypeError(
        f"Cannot read a video from {type(source).__name__}; expected a path, URL, bytes, a torchcodec VideoDecoder, a "
        "tensor or array, a list of images, or a folder of images."
    )


def _open_path(path: str, decoder: str, on_damage: str, device) -> VideoSource:
    if re.match(r"https?://", path, flags=re.IGNORECASE):
        return _open_file(_download(path), path, decoder, on_damage, device)
    if os.path.isdir(path):
        return ImageVideo(folder_images(path), path)
    if not os.path.exists(path):
        raise VideoNotFoundError(path, f"no such file or folder (working directory {os.getcwd()})")
    if not os.path.isfile(path):
        raise VideoReadError(path, "neither a file nor a folder")
    return _open_file(path, path, decoder, on_damage, device)


def _open_list(frames: list | tuple, name: str, layout: str | None, channel_order: str) -> VideoSource:
    if not frames:
        raise VideoReadError(name, "an empty list", "at least one frame")
    for number, frame in enumerate(frames):
        if not is_frame(frame):
            found = f"a {type(frame).__name__} as element {number} of a list of frames"
            raise VideoReadError(name, found, "PIL images, arrays of three axes, or paths of images")
    return ImageVideo(frames, name, layout, channel_order)


def _open_file(file: str | bytes, name: str, decoder: str, on_damage: str, device) -> VideoSource:
    if _is_image(file, name):
        return ImageVideo([file], name)
    backend, reason = decoder_in_use(decoder)
    if backend is None:
        raise RuntimeError(f"No video decoder can be used to read {name!r}: {reason}.")
    pyav, problem = load_pyav()
    if pyav is None:
        raise RuntimeError(f"PyAV (`pip install av`) is needed to read {name!r} and cannot be used: {problem}.")
    video = PyAVVideo(file if isinstance(file, bytes) else os.path.abspath(file), name, on_damage)
    asked = os.environ.get(DECODER_VARIABLE) or "auto" if decoder == "auto" else decoder
    on_gpu = device is not None and torch.device(device).type == "cuda"
    use_torchcodec = asked == "torchcodec" or (asked == "auto" and on_gpu and load_torchcodec()[0] is not None)
    if not (use_torchcodec and video.torchcodec_can):
        return video
    return TorchCodecVideo(video, fall_back=asked == "auto", device=str(device) if on_gpu else "cpu")


def _is_image(file: str | bytes, name: str) -> bool:
    """Tells whether a file, given by path or content, is a still image: by its name or else by its first bytes."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return False
    with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as handle:
        head = handle.read(HEAD_BYTES)
    return not is_animated_png(head) if suffix in IMAGE_SUFFIXES else image_type(head) is not None


def _download(url: str) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "modeling-rdfer"})
        with urllib.request.urlopen(request, timeout=URL_TIMEOUT_SECONDS) as response:
            return response.read()
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        reason = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise VideoReadError(url, f"an address that cannot be downloaded ({reason})", "a video at this URL") from error


__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "VideoNotFoundError",
    "VideoReadError",
    "VideoSource",
    "decoder_in_use",
    "is_frame",
    "open_video",
]
