# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Video processor of both families: turns videos of any kind into a fixed number of small frames or face crops."""

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from huggingface_hub.dataclasses import validate_typed_dict
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling, SizeDict
from transformers.processing_utils import Unpack, VideosKwargs
from transformers.utils import logging
from transformers.utils.hub import cached_file
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoMetadata

from .face_confidence_rdfer import face_confidence
from .face_detection_rdfer import RDFERFaceDetector
from .face_tracking_rdfer import FaceTrack, choose_faces, crop_faces, detect_ahead, track_faces
from .package_data_rdfer import packaged_file
from .video_decoding_rdfer import VideoReadError, VideoSource, is_frame, open_video

logger = logging.get_logger(__name__)

FACE_DETECTOR_NAME = "face_detector.safetensors"
# For face crops all sampled frames are in memory. Their longer side is reduced to 1280 pixels, and if many frames are
# sampled further, down to 640, to keep them below this many bytes.
FACE_MAX_SIDE, FACE_MIN_SIDE, FACE_FRAMES_BYTES = 1280, 640, 512 * 1024 * 1024
# Frames whose pixels deviate less from their mean, of 255 levels, have no content: black or white with some noise. The
# test clip darkened to a sixteenth has 2.3.
BLANK_DEVIATION = 1.5


class RDFERVideoProcessorKwargs(VideosKwargs, total=False):  # type: ignore[call-arg]  # a TypedDict
    """Options of `RDFERVideoProcessor`, which describes them, beyond those of every video processor."""

    do_face_crop: bool | None
    on_missing_face: Literal["error", "full_frame"] | None
    face: Literal["largest", "all"] | int | None
    face_margin: float | int | None
    sampling: Literal["frames", "time"] | None
    channel_order: Literal["rgb", "bgr"] | None
    on_damage: Literal["error", "use_readable"] | None


@dataclass
class RDFERVideoMetadata(VideoMetadata):
    """Facts about a video and its sampled frames, beyond those of `VideoMetadata`.

    Attributes:
        frames_indices (`list[int]`): numbers of the sampled frames, without the repeats that fill a short video.
        pts_seconds (`list[float]`, *optional*): presentation time of each of them in seconds. It comes from the
            container, so it is exact for variable frame rates, too. If only the frame rate is known, it is
            index / fps; if that is not known either, `None`.
        name (`str`, *optional*): path, URL or description of the video.
        num_unreadable (`int`): frames that a damaged file has beyond `total_num_frames`, see `on_damage`.
        is_damaged (`bool`): whether damage was found while the sampled frames were decoded.
        num_faces (`int`, *optional*): number of faces found in the sampled frames; `None` without `do_face_crop`.
        faces (`list[FaceTrack]`): the faces that were cropped, one for each row, followed through the sampled frames;
            boxes are in pixels of the video. Empty if whole frames are used.
    """

    pts_seconds: list[float] | None = None
    name: str | None = None
    num_unreadable: int = 0
    is_damaged: bool = False
    num_faces: int | None = None
    faces: list[FaceTrack] = field(default_factory=list)

    @property
    def timestamps(self) -> list[float]:
        """Same as `pts_seconds`; raises ValueError if times are not known."""
        return super().timestamps if self.pts_seconds is None else self.pts_seconds


@dataclass
class _SampledVideo:
    """An opened video and the frames to take from it. They are decoded last, when their final size is known."""

    video: VideoSource
    metadata: RDFERVideoMetadata
    sample: Callable[..., np.ndarray] | None = None  # None: all frames are wanted
    device: str | torch.device | None = None


class RDFERVideoProcessor(BaseVideoProcessor):
    r"""Turns videos into the input of the RDFER and AEN models.

    A video can be

    - the path of a video file, or an http(s) URL;
    - the path of a folder of frame images;
    - the bytes of a video or image file, or `{"bytes", "path"}` as `datasets.Video(decode=False)` gives it;
    - a `torchcodec.decoders.VideoDecoder`;
    - a tensor or NumPy array of shape `(T, C, H, W)` or `(T, H, W, C)`, uint8, or float in 0..1;
    - a list of frames: PIL images, arrays, or paths of images.

    A list of frames is one video. Any other list is a batch and may mix these kinds. Frames become RGB.

    Calling the processor returns `pixel_values_videos`, `frame_mask`, `face_confidence`, see `preprocess`. Every
    option can be set here, stored with `save_pretrained`, and replaced in a single call.

    Args:
        num_frames (`int`, *optional*, defaults to 64):
            Number T of frames sampled from a video: the mid-points of T equal segments. A video with fewer frames
            gives all of them and then repeats of the last one, which `frame_mask` marks with False.
        do_sample_frames (`bool`, *optional*, defaults to `True`):
            Whether to sample. Otherwise all frames are kept, and the shorter videos of a batch are filled up to the
            longest one in the same way.
        sampling (`"frames"` or `"time"`, *optional*, defaults to `"frames"`):
            What the segments are equal in: their number of frames; or their time, where a frame that stays for long,
            as in screen recordings, is sampled several times. Both are the same at a constant frame rate, and where
            the frames have no times.
        fps (`float`, *optional*):
            Frames to sample per second, instead of `num_frames`. The frame rate of the video must be known.
        do_resize (`bool`, *optional*, defaults to `True`):
            Whether to resize frames to `size`.
        size (`dict`, *optional*, defaults to 112 x 112):
            Height and width of the result in pixels, e.g. `{"height": 112, "width": 112}`.
        resample (`PILImageResampling`, *optional*, defaults to `BILINEAR`):
            Filter of the resizing.
        do_rescale, do_normalize (`bool`, *optional*, default to `False`):
            Whether to scale frames to 0..1, and to normalise them. By default frames stay uint8, and the model
            normalises them on its own device. It takes float frames as normalised already.
        do_face_crop (`bool`, *optional*, defaults to `False`):
            Whether to detect the face, follow it, turn it upright, and crop every frame to it. Frames of one colour
            at the start and the end of a video, as before a fade-in, are not sampled then. Leave it off for datasets
            of face crops.
        on_missing_face (`"error"` or `"full_frame"`, *optional*, defaults to `"error"`):
            What to do if no face is found: raise an error, or log a warning and use whole frames.
        face (`"largest"`, `"all"` or `int`, *optional*, defaults to `"largest"`):
            Which face to use if there are several: the largest persistent one; all, each as a row of its own; or the
            one with this number, counted from 0, the largest face first.
        face_margin (`float`, *optional*, defaults to 1.3):
            Side of the square crop in units of the face box's larger side, above 0.
        channel_order (`"rgb"` or `"bgr"`, *optional*, defaults to `"rgb"`):
            Order of the colours in arrays and tensors, also in lists of them; OpenCV gives BGR. Files and PIL images
            state their own.
        on_damage (`"error"` or `"use_readable"`, *optional*, defaults to `"error"`):
            What to do with a damaged or truncated video file: raise an error; or leave out the frames that cannot be
            decoded, with a warning (if fewer than a quarter can be, it is an error). The whole file is then decoded
            once more, to find them.

    Example:

    ```python
    >>> from modeling_rdfer import RDFERVideoProcessor

    >>> processor = RDFERVideoProcessor(num_frames=16, do_face_crop=True)
    >>> inputs = processor("tests/data/cap13_edit2.mp4", return_tensors="pt")
    >>> inputs["pixel_values_videos"].shape
    torch.Size([1, 16, 3, 112, 112])

    ```"""

    valid_kwargs = RDFERVideoProcessorKwargs
    model_input_names = ["pixel_values_videos", "frame_mask", "face_confidence"]

    do_sample_frames = True
    num_frames = 64
    sampling = "frames"
    do_convert_rgb = True
    do_resize = True
    size = {"height": 112, "width": 112}
    resample = PILImageResampling.BILINEAR
    do_rescale = False
    do_normalize = False
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_face_crop = False
    on_missing_face = "error"
    face = "largest"
    face_margin = 1.3
    channel_order = "rgb"
    on_damage = "error"

    def __init__(self, **kwargs: Unpack[RDFERVideoProcessorKwargs]):
        # Path of the face detector's weights of this checkpoint; set by from_pretrained, never saved.
        face_detector_file = kwargs.pop("_face_detector_file", None)
        options = {key: value for key, value in kwargs.items() if key in self.valid_kwargs.__annotations__}
        validate_typed_dict(self.valid_kwargs, options)
        super().__init__(**kwargs)
        for key, value in options.items():
            if value is None:  # the base class takes the default instead
                setattr(self, key, None)
        self._face_detector_file = face_detector_file

    # Loading and saving ----------------------------------------------------------------------------------------------

    @classmethod
    def get_video_processor_dict(cls, pretrained_model_name_or_path, **kwargs):
        """See `BaseVideoProcessor`; also finds the face detector's weights of the checkpoint."""
        hub_names = ("cache_dir", "force_download", "proxies", "token", "local_files_only", "revision", "subfolder")
        hub_kwargs = {key: kwargs[key] for key in hub_names if key in kwargs}
        processor_dict, kwargs = super().get_video_processor_dict(pretrained_model_name_or_path, **kwargs)
        folder = pretrained_model_name_or_path
        if os.path.isfile(folder):
            folder = os.path.dirname(os.path.abspath(folder))
        detector_file = cached_file(
            folder, FACE_DETECTOR_NAME, _raise_exceptions_for_missing_entries=False, **hub_kwargs
        )
        return {**processor_dict, "_face_detector_file": detector_file}, kwargs

    def to_dict(self):
        """Returns all options as a dictionary, without the path of the face detector's weights."""
        dictionary = super().to_dict()
        dictionary.pop("_face_detector_file", None)
        return dictionary

    def save_pretrained(self, save_directory, push_to_hub: bool = False, **kwargs):
        """Saves the options as JSON, and the face detector's weights in the same folder."""
        saved = super().save_pretrained(save_directory, **kwargs)
        source = self._find_face_detector()
        if source is not None:
            target = os.path.join(save_directory, FACE_DETECTOR_NAME)
            if not (os.path.exists(target) and os.path.samefile(source, target)):
                shutil.copyfile(source, target)
            saved.append(target)
        if push_to_hub:  # not by the base class, which would upload before the weights are there
            repo_id = kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory)))
            self.push_to_hub(repo_id, **kwargs)
        return saved

    def _find_face_detector(self) -> str | None:
        packaged = None if self._face_detector_file else packaged_file(f"rdfer-small/{FACE_DETECTOR_NAME}")
        return self._face_detector_file if packaged is None else str(packaged)

    def face_detector(self) -> RDFERFaceDetector:
        """Loads the face detector that was saved with this processor, by default that of the embedded checkpoint.

        Returns:
            `RDFERFaceDetector`: the detector.

        Raises:
            ValueError: if its weights are missing.
        """
        detector_file = self._find_face_detector()
        if detector_file is None:
            raise ValueError(
                f"do_face_crop needs the weights of the face detector, and there is no {FACE_DETECTOR_NAME}: load the "
                "processor with from_pretrained from a checkpoint that has it, or use do_face_crop=False."
            )
        return _load_face_detector(detector_file)

    # Calling ---------------------------------------------------------------------------------------------------------

    def preprocess(self, videos, **kwargs: Unpack[RDFERVideoProcessorKwargs]) -> BatchFeature:
        """Turns videos into model inputs; the same as calling the processor.

        Args:
            videos: one video or a batch, of any kind that the class describes.
            return_tensors (`"pt"` or `"np"`, *optional*): type of the arrays returned.
            return_metadata (`bool`, *optional*): whether to return `video_metadata`.
            device (`str` or `torch.device`, *optional*): where to put the frames. A GPU also decodes video files of
                more than 256 x 256 pixels, if torchcodec can be used; colours can differ by a few steps then.
            kwargs: options of the class, for this call only.

        Returns:
            `BatchFeature`: the inputs of a model:
            - pixel_values_videos (`torch.Tensor` of shape `(B, T, 3, height, width)`): uint8, 0..255, or float32 with
              `do_rescale` or `do_normalize`; a list of tensors if sizes differ and `return_tensors` is not given;
            - frame_mask (`torch.Tensor` of shape `(B, T)`): bool, True for real frames, False for padding;
            - face_confidence (`torch.Tensor` of shape `(B,)`): float32, 0.5..1, below 1 if the face is turned to the
              side by more than 45 degrees; 1 for a whole frame; only with `do_face_crop`;
            - video_index (`torch.Tensor` of shape `(B,)`): int64, number of the input video that a row comes from;
              only with `face="all"`;
            - video_metadata (list of `RDFERVideoMetadata`): one for each input video; only with
              `return_metadata=True`.

        Raises:
            VideoReadError: if a video cannot be read, or no face is found in it; the message names the video.
            ValueError: if options contradict each other.
        """
        # In a call, None stands for the configured value.
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        if not kwargs.get("do_sample_frames", self.do_sample_frames):
            kwargs["num_frames"] = kwargs["fps"] = None
        elif "fps" in kwargs:
            if "num_frames" in kwargs:
                raise ValueError("`num_frames` and `fps` exclude each other: pass one of them.")
            kwargs["num_frames"] = None
        layout = kwargs.get("input_data_format", self.input_data_format)
        channel_order = kwargs.get("channel_order", self.channel_order)
        on_damage = kwargs.get("on_damage", self.on_damage)
        device = kwargs.get("device")
        sources = split_batch(videos)
        opened = []
        for number, source in enumerate(sources):
            name = f"videos[{number}]" if len(sources) > 1 else None
            video = open_video(
                source, name=name, layout=layout, channel_order=channel_order, on_damage=on_damage, device=device
            )
            opened.append(video)
        return super().preprocess(opened, **kwargs)

    def sample_frames(
        self,
        metadata: VideoMetadata,
        num_frames: int | None = None,
        fps=None,
        sampling: Literal["frames", "time"] | None = None,
        **kwargs,
    ) -> np.ndarray:
        """Chooses frames uniformly: the mid-points of `num_frames` equal segments of the video.

        Args:
            metadata (`VideoMetadata`): its `total_num_frames` is used, its `fps` if `fps` is given, and with
                `"time"` its `pts_seconds`, here of all frames, and `duration`.
            num_frames (`int`, *optional*): number of frames, >= 1; by default that of the processor, or all if the
                processor has none.
            fps (`float`, *optional*): frames to sample per second, instead of `num_frames`.
            sampling (`"frames"` or `"time"`, *optional*): see the class; by default that of the processor.

        Returns:
            `np.ndarray`: int64, ascending frame numbers; all frames if the video has not more. Only with `"time"`
            there can be repeats.

        Raises:
            ValueError: if both are given, `num_frames` is below 1, `fps` is given and that of the video is unknown,
                or a time is not known although others are.
        """
        total = metadata.total_num_frames
        if fps is not None:
            if num_frames is not None:
                raise ValueError("`num_frames` and `fps` exclude each other: pass one of them.")
            if not metadata.fps:
                raise ValueError(
                    f"fps={fps} needs the frame rate of the video, which is not known here. Pass "
                    "video_metadata=[{'fps': ..., 'total_num_frames': ...}], or num_frames instead of fps."
                )
            num_frames = max(1, int(total / metadata.fps * fps))
        elif num_frames is None:
            num_frames = self.num_frames
        if num_frames is not None and num_frames < 1:
            raise ValueError(f"num_frames is {num_frames}; expected at least 1.")
        if (sampling or self.sampling) == "time" and num_frames is not None:
            times = getattr(metadata, "pts_seconds", None)
            if times is not None and total > 1:
                return _sample_in_time(np.asarray(times), metadata.duration, num_frames)
        if num_frames is None or num_frames >= total:
            return np.arange(total)
        # floor((i + 0.5) * total / num_frames) in integers
        return (2 * np.arange(num_frames) + 1) * total // (2 * num_frames)

    def _decode_and_sample_videos(self, videos, video_metadata=None, do_sample_frames=None, sample_indices_fn=None):
        """Chooses the frames of each opened video; `_preprocess` decodes them."""
        sampled = []
        for video, given in zip(videos, _split_metadata(video_metadata, len(videos))):
            metadata = RDFERVideoMetadata(
                total_num_frames=video.num_frames,
                fps=video.average_fps or given.get("fps"),
                width=video.width,
                height=video.height,
                duration=video.duration_seconds or given.get("duration"),
                video_backend=video.backend,
                name=video.name,
                num_unreadable=video.num_unreadable,
                pts_seconds=video.pts_seconds,  # of all frames, to sample from
            )
            sample = sample_indices_fn if do_sample_frames else None
            indices = range(video.num_frames) if sample is None else sample(metadata=metadata)
            metadata.frames_indices = [int(index) for index in indices]
            sampled.append(_SampledVideo(video, metadata, sample))
        return sampled, [element.metadata for element in sampled]

    def _prepare_input_videos(self, videos, do_convert_rgb=None, input_data_format=None, device=None):
        for sampled in videos:
            sampled.device = device
        return videos

    def _preprocess(
        self,
        videos: list[_SampledVideo],
        do_resize: bool,
        size: SizeDict,
        resample,
        do_center_crop: bool,
        crop_size: SizeDict,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean,
        image_std,
        num_frames: int | None = None,
        do_face_crop: bool | None = None,
        on_missing_face: str | None = None,
        face: str | int | None = None,
        face_margin: float | None = None,
        return_tensors=None,
        **kwargs,
    ) -> BatchFeature:
        if face_margin <= 0:
            raise ValueError(f"face_margin must be above 0, got {face_margin}.")
        if not (face in ("largest", "all") or (isinstance(face, int) and face >= 0)):
            raise ValueError(f"face is {face!r}; expected 'largest', 'all' or the number of a face, from 0.")
        resize = functools.partial(self.resize, size=size, resample=resample) if do_resize else None
        rows, confidences, video_index = [], [], []
        for number, sampled in enumerate(videos):
            if do_face_crop:
                found, confidence = self._read_faces(sampled, size, resize, on_missing_face, face, face_margin)
                confidences.extend(confidence)
            else:
                found = [sampled.video.get_frames(sampled.metadata.frames_indices, size=resize)]
            sampled.metadata.pts_seconds = _frame_times(sampled)
            sampled.metadata.is_damaged = sampled.video.is_damaged
            sampled.video.close()
            rows.extend(frames.to(sampled.device) if sampled.device is not None else frames for frames in found)
            video_index.extend([number] * len(found))

        length = num_frames or max(len(frames) for frames in rows)
        masks = [torch.arange(length, device=frames.device) < len(frames) for frames in rows]
        pixel_values = []
        for frames in rows:
            frames = _repeat_last_frame(frames, length)
            if do_center_crop:
                frames = self.center_crop(frames, crop_size)
            frames = self.rescale_and_normalize(
                frames, do_rescale, rescale_factor, do_normalize, image_mean, image_std
            )
            pixel_values.append(frames)

        data = {"pixel_values_videos": pixel_values, "frame_mask": torch.stack(masks)}
        if len({frames.shape for frames in pixel_values}) == 1 or return_tensors is not None:
            data["pixel_values_videos"] = _stack(pixel_values)
        if do_face_crop:
            data["face_confidence"] = torch.tensor(confidences, device=data["frame_mask"].device)
        if do_face_crop and face == "all":
            data["video_index"] = torch.tensor(video_index)
        return BatchFeature(data, tensor_type=return_tensors)

    def _read_faces(self, sampled, size, resize, on_missing_face, face, face_margin):
        """Face crops of a video, uint8 `(T, 3, height, width)`, and the confidence, for each chosen face."""
        if resize is None or not (size.height and size.width):
            raise ValueError("do_face_crop needs do_resize=True and size={'height': ..., 'width': ...}.")
        video = sampled.video
        frames, tracks = self._track_faces(sampled, face)
        chosen = choose_faces(tracks, face)
        reduction = frames.shape[-1] / video.width
        sampled.metadata.num_faces = len(tracks)
        sampled.metadata.faces = [replace(track, boxes=track.boxes / reduction) for track in chosen]
        if chosen:
            crops = [
                crop_faces(frames, track.boxes, track.rolls, (size.height, size.width), face_margin)
                for track in chosen
            ]
            return crops, [face_confidence(track.yaws) for track in chosen]
        if tracks:
            raise VideoReadError(video.name, f"{len(tracks)} face(s)", f"a face number {face} (counted from 0)")
        if on_missing_face != "full_frame":
            raise VideoReadError(
                video.name,
                f"no face in the {len(frames)} frames sampled",
                "a face; pass on_missing_face='full_frame' to use whole frames, or do_face_crop=False for face crops",
            )
        logger.warning(f"No face found in {video.name!r}: whole frames are used (on_missing_face='full_frame').")
        return [resize(frames)], [1.0]

    def _track_faces(
        self, sampled: _SampledVideo, face, span: range | None = None
    ) -> tuple[torch.Tensor, list[FaceTrack]]:
        """Frames of a video, small enough to keep all in memory, and the tracks of their faces. They were sampled from
        `span`, by default the whole video.

        If the video begins or ends with frames without content, as before a fade-in, others are sampled in between.
        """
        video, metadata, indices = sampled.video, sampled.metadata, sampled.metadata.frames_indices
        detector = self.face_detector()
        # A frame whose longer side is reduced to s has s * s * ratio pixels.
        ratio = min(video.width, video.height) / max(video.width, video.height)
        affordable = int((FACE_FRAMES_BYTES / (3 * len(indices) * ratio)) ** 0.5)
        # Only the slower of the detector's two nets finds small faces beside a large one.
        net: Literal["auto", "back"] = "auto" if face == "largest" else "back"
        detections: dict[int, torch.Tensor] = {}
        frames = video.get_frames(
            indices,
            max_side=min(FACE_MAX_SIDE, max(FACE_MIN_SIDE, affordable)),
            meanwhile=lambda frames, positions: detections.update(detect_ahead(frames, positions, detector, net)),
        )
        start, stop = _content(frames)
        if sampled.sample is not None and 0 < stop - start < len(frames):
            # The content begins and ends somewhere between two sampled frames.
            span = span or range(video.num_frames)
            first = indices[start - 1] + 1 if start > 0 else span.start
            span = range(first, indices[stop] if stop < len(indices) else span.stop)
            part = RDFERVideoMetadata(total_num_frames=len(span), fps=metadata.fps)
            if video.pts_seconds is not None:
                part.pts_seconds = video.pts_seconds[span.start : span.stop]
            metadata.frames_indices = [span[index] for index in sampled.sample(metadata=part)]
            return self._track_faces(sampled, face, span)
        return frames, track_faces(frames, detector, net, detections=detections)


def _content(frames: torch.Tensor) -> tuple[int, int]:
    """Start and end of the frames `(T, 3, H, W)` without those at both ends that show one colour only."""
    start, stop = 0, len(frames)
    while start < stop and _is_blank(frames[start]):
        start += 1
    while stop > start and _is_blank(frames[stop - 1]):
        stop -= 1
    return start, stop


def _is_blank(frame: torch.Tensor) -> bool:
    pixels = frame[:, ::4, ::4].flatten(1).float()
    return bool(pixels.std(1, correction=0).max() < BLANK_DEVIATION)


def _repeat_last_frame(frames: torch.Tensor, length: int) -> torch.Tensor:
    """Fills a video up to `length` frames with its last frame."""
    missing = length - len(frames)
    return torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)]) if missing > 0 else frames


def _stack(videos: list[torch.Tensor]) -> torch.Tensor:
    sizes = {tuple(frames.shape[-2:]) for frames in videos}
    if len(sizes) > 1:
        raise ValueError(
            f"The frames of these videos differ in size, {sorted(sizes)}, and cannot be one tensor: use "
            "do_resize=True with size={'height': ..., 'width': ...}, or pass the videos one by one."
        )
    return torch.stack(videos)


def _sample_in_time(times: np.ndarray, duration: float | None, num_frames: int) -> np.ndarray:
    """The frames that are shown at the mid-points of equal stretches of time, from times in seconds `(N,)`, N > 1."""
    if np.isnan(times).any():
        raise ValueError("sampling='time' needs the times of all frames before they are decoded: pass the path.")
    gap = float(np.median(np.diff(times)))
    duration = duration or float(times[-1] - times[0]) + gap
    # As many as there would be frames without gaps: a short video is not stretched.
    num_frames = min(num_frames, max(1, round(duration / gap)))
    moments = times[0] + (np.arange(num_frames) + 0.5) * (duration / num_frames)
    # Times are rounded, by less than a microsecond.
    return np.asarray(np.searchsorted(times, moments + 1e-6, side="right")) - 1


def _frame_times(sampled: _SampledVideo) -> list[float] | None:
    """Presentation times of the sampled frames in seconds."""
    indices, pts_seconds, fps = sampled.metadata.frames_indices, sampled.video.pts_seconds, sampled.metadata.fps
    if pts_seconds is not None:
        return [float(pts_seconds[index]) for index in indices]
    return [index / fps for index in indices] if fps else None


def split_batch(videos) -> list:
    """Lists the videos of an input that may be nested.

    A sequence whose elements are all frames (images, arrays, paths of images) is one video. Any other sequence, and a
    tensor of five axes, holds several.

    Raises:
        ValueError: if a sequence is empty.
    """
    if isinstance(videos, (np.ndarray, torch.Tensor)):
        return list(videos) if videos.ndim == 5 else [videos]
    if not isinstance(videos, Sequence) or isinstance(videos, (str, bytes, bytearray, memoryview)):
        return [videos]
    if len(videos) == 0:
        raise ValueError("An empty list of videos or frames was passed; expected at least one.")
    if all(is_frame(element) for element in videos):
        return [videos]
    return [video for element in videos for video in split_batch(element)]


def _split_metadata(video_metadata, num_videos: int) -> list:
    """Returns one mapping for each video, empty if nothing was given."""
    if video_metadata is None:
        return [{}] * num_videos
    if not isinstance(video_metadata, (list, tuple)):
        video_metadata = [video_metadata]
    flat = []
    for element in video_metadata:
        flat.extend(element if isinstance(element, (list, tuple)) else [element])
    if len(flat) != num_videos:
        raise ValueError(f"{num_videos} videos but {len(flat)} entries of video_metadata; pass one for each video.")
    return flat


@functools.lru_cache(maxsize=2)
def _load_face_detector(path: str) -> RDFERFaceDetector:
    # Cached here and not in the processor, which stays small when pickled; every worker process loads its own.
    return RDFERFaceDetector.from_file(path)


__all__ = ["RDFERVideoProcessor"]
