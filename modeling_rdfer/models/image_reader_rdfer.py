# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads videos that are arrays, lists of images, or one image."""

import io
import math
import os
import re
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch

from .container_checks_rdfer import HEAD_BYTES, is_animated_png
from .video_source_rdfer import VideoNotFoundError, VideoReadError, VideoSource

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class ArrayVideo(VideoSource):
    """A video as a torch tensor or numpy array of four axes; three axes are one frame.

    Args:
        array (`torch.Tensor` or `np.ndarray`): the frames, see `open_video`.
        name (`str` or `None`): name of the video in messages.
        layout (`str` or `None`): `"channels_first"` or `"channels_last"`; `None` finds it from the shape.
        channel_order (`str`): `"rgb"` or `"bgr"`.
    """

    def __init__(self, array, name: str | None, layout: str | None, channel_order: str = "rgb"):
        kind = "tensor" if isinstance(array, torch.Tensor) else "array"
        shape = tuple(array.shape)
        name = name or f"{kind} of shape {shape}"
        expected = "(frames, channels, height, width) or (frames, height, width, channels)"
        if isinstance(array, np.ndarray):
            array = _array_to_tensor(array, name)
        if len(shape) not in (3, 4):
            raise VideoReadError(name, f"{len(shape)} axes, {shape}", expected)
        if 0 in shape:
            raise VideoReadError(
                name, f"nothing in shape {shape}", f"at least one frame of at least one pixel, {expected}"
            )
        frames = _channels_first(array if len(shape) == 4 else array[None], name, layout)
        if frames.dtype in (torch.uint16, torch.uint32, torch.uint64):
            frames = frames.long()  # torch can do little with unsigned types beyond uint8
        if frames.is_floating_point():  # a bad pixel makes a bad video, even in a frame that is not sampled
            low, high = torch.aminmax(frames)
            to_uint8(torch.stack([low, high]), name)
        super().__init__(name, "array", len(frames), *frames.shape[-2:])
        self._frames, self._channel_order = frames, channel_order

    def _read(self, wanted):
        for _, chunk in self._chunks(wanted):
            yield _to_rgb(to_uint8(self._frames[chunk].cpu(), self.name), self._channel_order)


class ImageVideo(VideoSource):
    """A video as a list of frames: paths of images, contents of image files, PIL images, or arrays of three axes (two
    axes: grey). `layout` and `channel_order` are those of the arrays.
    """

    def __init__(self, images: Sequence, name: str, layout: str | None = None, channel_order: str = "rgb"):
        self.name, self._images, self._layout, self._channel_order = name, images, layout, channel_order
        super().__init__(name, "images", len(images), *self._load(images[0], 0).shape[-2:])
        for number, image in enumerate(images):
            if isinstance(image, (str, os.PathLike)):
                if not os.path.isfile(image):
                    raise VideoNotFoundError(os.fsdecode(image), "no such file", "an image file")
            elif not isinstance(image, (bytes, PIL.Image.Image)):
                self._load(image, number)

    def _load(self, image, number: int) -> torch.Tensor:
        """One image as uint8 RGB `(3, H, W)`."""
        name = os.fsdecode(image) if isinstance(image, (str, os.PathLike)) else f"frame {number} of {self.name}"
        if isinstance(image, bytes):
            image, name = io.BytesIO(image), self.name
        if isinstance(image, (str, os.PathLike, io.BytesIO, PIL.Image.Image)):
            try:
                if isinstance(image, PIL.Image.Image):
                    return _pil_to_rgb(image)
                with PIL.Image.open(image) as opened:
                    if opened.format in ("PNG", "WEBP") and getattr(opened, "is_animated", False):
                        found = f"an animation of {getattr(opened, 'n_frames', 0)} pictures"
                        raise VideoReadError(name, found, "a still image, or a video file: also GIF and APNG")
                    return _pil_to_rgb(PIL.ImageOps.exif_transpose(opened))
            except FileNotFoundError:
                raise VideoNotFoundError(name, "no such file", "an image file") from None
            except VideoReadError:
                raise
            except PIL.UnidentifiedImageError as error:
                found = "an image that cannot be read (its content is in no known format)"
                raise VideoReadError(name, found, "an intact image") from error
            except Exception as error:  # PIL raises many kinds for damaged files
                raise VideoReadError(name, f"an image that cannot be read ({error})", "an intact image") from error
        layout = self._layout
        if image.ndim == 2:
            image, layout = image[None], "channels_first"
        elif image.ndim != 3:
            raise VideoReadError(name, f"{image.ndim} axes, {tuple(image.shape)}", "(channels, height, width)")
        return ArrayVideo(image, name, layout, self._channel_order).get_frames([0])[0]

    def _read(self, wanted):
        for index in wanted:
            yield self._load(self._images[index], index)[None]


def is_frame(source) -> bool:
    """Tells whether this is one frame (PIL image, array of two or three axes, path of a still image), not a video."""
    if isinstance(source, (str, os.PathLike)):
        is_image = os.fsdecode(source).lower().endswith(IMAGE_SUFFIXES) and not os.path.isdir(source)
        if is_image and os.path.isfile(source) and os.access(source, os.R_OK):
            with open(source, "rb") as handle:
                is_image = not is_animated_png(handle.read(HEAD_BYTES))
        return is_image
    return isinstance(source, PIL.Image.Image) or (
        isinstance(source, (np.ndarray, torch.Tensor)) and source.ndim in (2, 3)
    )


def folder_images(folder: str) -> list[str]:
    """Lists the images of a folder in natural order; hidden files and files of other types are ignored.

    Raises:
        VideoReadError: if there are no images.
    """
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    images = sorted((name for name in names if name.lower().endswith(IMAGE_SUFFIXES)), key=_natural_key)
    images = [os.path.join(folder, name) for name in images if os.path.isfile(os.path.join(folder, name))]
    if not images:
        found = f"a folder without images ({len(names)} other entries)" if names else "an empty folder"
        raise VideoReadError(folder, found, f"frame images ({', '.join(IMAGE_SUFFIXES)}) in it")
    return images


def _natural_key(name: str) -> tuple:
    """Sorts frame_2 before frame_10."""
    return tuple(int(part) if part.isdigit() else part.casefold() for part in re.split(r"([0-9]+)", name)), name


def to_uint8(frames: torch.Tensor, name: str) -> torch.Tensor:
    """Converts uint8, floats in 0..1 (rounded) or other integers in 0..255 to uint8.

    Raises:
        VideoReadError: if the pixels have another type or range; the message names the video, `name`.
    """
    if frames.dtype == torch.uint8:
        return frames
    expected = "uint8 pixels, or floats in 0..1 (of 0..255: divided by 255)"
    if frames.dtype == torch.bool or frames.is_complex():
        raise VideoReadError(name, f"pixels of dtype {frames.dtype}", expected)
    low, high = (value.item() for value in torch.aminmax(frames))
    if frames.is_floating_point():
        tolerance = 1e-3  # interpolation overshoots a little
        if not -tolerance <= low <= high <= 1 + tolerance:  # also false for NaN
            found = "NaN pixels" if math.isnan(low) or math.isnan(high) else f"float pixels from {low:g} to {high:g}"
            raise VideoReadError(name, found, expected)
        return (frames.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    if low < 0 or high > 255:
        raise VideoReadError(name, f"{frames.dtype} pixels from {low} to {high}", expected)
    return frames.to(torch.uint8)


def _to_rgb(frames: torch.Tensor, channel_order: str = "rgb") -> torch.Tensor:
    """uint8 RGB `(N, 3, H, W)` from grey, grey with alpha, RGB or RGBA `(N, 1..4, H, W)`. Transparent is white."""
    channels = frames.shape[1]
    if channel_order == "bgr" and channels > 2:
        frames = frames[:, [2, 1, 0, 3][:channels]]
    if channels in (2, 4):
        alpha = frames[:, -1:].float() / 255
        frames = (frames[:, :-1] * alpha + 255 * (1 - alpha)).round_().to(torch.uint8)
    return frames.expand(-1, 3, -1, -1) if frames.shape[1] == 1 else frames


def _pil_to_rgb(image: PIL.Image.Image) -> torch.Tensor:
    """uint8 RGB `(3, H, W)` from any PIL mode."""
    if image.mode.startswith("I;16"):
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "RGBA" if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return _to_rgb(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]


def _array_to_tensor(array: np.ndarray, name: str) -> torch.Tensor:
    """Makes a tensor with the same values, without a copy if torch can use the array as it is."""
    if array.dtype.kind not in "uif":
        raise VideoReadError(name, f"an array of dtype {array.dtype}", "uint8 pixels, or floats in 0..1")
    if not array.dtype.isnative or array.dtype.itemsize > 8:
        array = array.astype(array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.float64)
    # torch has no negative strides, and warns of read-only arrays.
    return torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())


def _channels_first(frames: torch.Tensor, name: str, layout: str | None) -> torch.Tensor:
    """Brings `(T, C, H, W)` or `(T, H, W, C)` to `(T, C, H, W)`."""
    if layout is None:
        can_be_first, can_be_last = frames.shape[1] in (1, 3, 4), frames.shape[3] in (1, 3, 4)
        if can_be_first and can_be_last:
            found = f"shape {tuple(frames.shape)}, of which axis 1 or axis 3 can hold the channels"
            raise VideoReadError(name, found, "input_data_format 'channels_first' or 'channels_last' with such frames")
        layout = "channels_last" if can_be_last else "channels_first"
    if str(getattr(layout, "value", layout)) == "channels_last":
        frames = frames.permute(0, 3, 1, 2)
    if frames.shape[1] not in (1, 3, 4):
        raise VideoReadError(
            name,
            "no axis of 1, 3 or 4 channels",
            "(frames, channels, height, width) or (frames, height, width, channels)",
        )
    return frames
