# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Video processor of RDFER: any kind of video -> a fixed number of small uint8 frames, on request face crops."""

import functools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
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

from .face_detection_rdfer import RDFERFaceDetector
from .face_tracking_rdfer import crop_faces, detect_ahead, track_faces
from .package_data_rdfer import packaged_file
from .video_decoding_rdfer import VideoReadError, VideoSource, is_frame, open_video

logger = logging.get_logger(__name__)

FACE_DETECTOR_NAME = "face_detector.safetensors"
# For face crops whole frames stand in memory. Longer sides are reduced to 1280 pixels, and in long videos further,
# down to 640, to keep all frames below this many bytes.
FACE_MAX_SIDE, FACE_MIN_SIDE, FACE_FRAMES_BYTES = 1280, 640, 512 * 1024 * 1024


class RDFERVideoProcessorKwargs(VideosKwargs, total=False):
    """Options of `RDFERVideoProcessor` beyond those of every video processor; described there."""

    do_face_crop: bool | None
    on_missing_face: Literal["error", "full_frame"] | None
    face: Literal["largest", "all"] | int | None
    face_margin: float | int | None


@dataclass
class RDFERVideoMetadata(VideoMetadata):
    """What is known about a video, and which of its frames were taken.

    Attributes beyond those of `VideoMetadata`:
        frames_indices (list[int]): numbers of the frames taken, without the repeats that fill a short video.
        pts_seconds (list[float] | None): presentation time of each of them in seconds, from the container, exact for
            variable frame rates, too; index / fps where only the frame rate is known; None for images without one.
        name (str | None): path, URL or description of the video.
    """

    pts_seconds: list[float] | None = None
    name: str | None = None

    @property
    def timestamps(self) -> list[float]:
        """Same as `pts_seconds`; raises ValueError where times are not known."""
        return super().timestamps if self.pts_seconds is None else self.pts_seconds


@dataclass
class _Clip:
    """The frames to take from an opened video. They are decoded last, when it is known how small they may be."""

    video: VideoSource
    metadata: RDFERVideoMetadata
    device: str | torch.device | None = None


class RDFERVideoProcessor(BaseVideoProcessor):
    r"""Turns videos into the input of RDFER and AEN models.

    A video may be a path, an http(s) URL, bytes, a `torchcodec.decoders.VideoDecoder`, `{"bytes", "path"}` of
    `datasets.Video(decode=False)`, a tensor or numpy array (T, C, H, W) or (T, H, W, C), a list of PIL images, of
    arrays or of image paths, or a folder of frame images (see `video_decoding_rdfer.open_video`). A list of frames is
    one video; any other list is a batch, in which kinds can be mixed. Frames are always made RGB.

    Args:
        num_frames (`int`, defaults to 64): T, frames taken from each video: the mid-points of T equal segments. A
            video with fewer frames gives all of them and then repeats of the last one, for which `frame_mask` is
            False.
        do_sample_frames (`bool`, defaults to `True`): if False all frames are kept, and shorter videos of a batch are
            filled up to the longest one in the same way.
        fps (`float`, *optional*): instead of `num_frames`, frames to take per second. Needs a known frame rate.
        do_resize (`bool`, defaults to `True`), size (`dict`, defaults to 112 x 112), resample: as in every processor.
        do_rescale, do_normalize (`bool`, default to `False`): frames stay uint8 and the model normalises them on its
            device. Switched on, the frames are floats, which the model takes to be normalised already.
        do_face_crop (`bool`, defaults to `False`): finds the face, follows it, and cuts it out of every frame. Leave
            it off for datasets of faces already cropped.
        on_missing_face (`"error"` or `"full_frame"`, defaults to `"error"`): what to do where no face is found: raise,
            or log a warning and take the whole frame.
        face (`"largest"`, `"all"` or `int`, defaults to `"largest"`): which face to take where there are several: the
            largest persistent one, every one of them as a row of its own, or number i in the order of size (from 0).
        face_margin (`float`, defaults to 1.3): side of the square crop in units of the face box's larger side.

    Returns (of a call):
        `BatchFeature` with
        - pixel_values_videos (`torch.Tensor` of shape `(batch_size, num_frames, 3, height, width)`): uint8, 0..255
          (float32 with do_rescale or do_normalize);
        - frame_mask (`torch.Tensor` of shape `(batch_size, num_frames)`): bool, True for real frames;
        - video_index (`torch.Tensor` of shape `(batch_size,)`), only with `face="all"`: int64, number of the input
          video that a row comes from;
        - video_metadata (list of `RDFERVideoMetadata`, one per input video), only with `return_metadata=True`.
        Where sizes differ (do_resize=False) and `return_tensors` is not given, lists of tensors.

    Raises (from a call):
        VideoReadError: a video cannot be read, or no face is found in it; names the file.
        ValueError: options contradict each other.

    Example:

    ```python
    >>> processor = RDFERVideoProcessor.from_pretrained("hub_cards/rdfer-small")
    >>> inputs = processor(["a.mp4", "folder_of_frames"], return_tensors="pt")
    >>> outputs = model(**inputs)
    ```
    """

    valid_kwargs = RDFERVideoProcessorKwargs
    model_input_names = ["pixel_values_videos", "frame_mask"]

    do_sample_frames = True
    num_frames = 64
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

    def __init__(self, **kwargs: Unpack[RDFERVideoProcessorKwargs]):
        # Where the face detector's weights of this checkpoint are; set by from_pretrained, never saved.
        face_detector_file = kwargs.pop("_face_detector_file", None)
        options = {key: value for key, value in kwargs.items() if key in self.valid_kwargs.__annotations__}
        validate_typed_dict(self.valid_kwargs, options)
        super().__init__(**kwargs)
        for key, value in options.items():
            if value is None:  # the base class takes the default instead
                setattr(self, key, None)
        self._face_detector_file = face_detector_file

    # -----------------------------------------------------------------------------------------------------------------
    # Loading and saving
    # -----------------------------------------------------------------------------------------------------------------
    @classmethod
    def get_video_processor_dict(cls, pretrained_model_name_or_path, **kwargs):
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
        dictionary = super().to_dict()
        dictionary.pop("_face_detector_file", None)
        return dictionary

    def save_pretrained(self, save_directory, push_to_hub: bool = False, **kwargs):
        """Saves the options as JSON and the face detector's weights beside it: the folder needs no download."""
        saved = super().save_pretrained(save_directory, **kwargs)
        source = self._find_face_detector()
        if source is not None:
            target = os.path.join(save_directory, FACE_DETECTOR_NAME)
            if not (os.path.exists(target) and os.path.samefile(source, target)):
                shutil.copyfile(source, target)
            saved.append(target)
        if push_to_hub:  # the base class would look for files to upload before the weights are there
            repo_id = kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory)))
            self.push_to_hub(repo_id, **kwargs)
        return saved

    def _find_face_detector(self) -> str | None:
        packaged = None if self._face_detector_file else packaged_file(f"rdfer-small/{FACE_DETECTOR_NAME}")
        return self._face_detector_file if packaged is None else str(packaged)

    def face_detector(self) -> RDFERFaceDetector:
        """The face detector that travels with this checkpoint.

        Raises:
            ValueError: its weights are missing.
        """
        detector_file = self._find_face_detector()
        if detector_file is None:
            raise ValueError(
                f"do_face_crop needs the weights of the face detector, and there is no {FACE_DETECTOR_NAME}: load the "
                "processor with from_pretrained from a checkpoint that has it, or use do_face_crop=False."
            )
        return _load_face_detector(detector_file)

    # -----------------------------------------------------------------------------------------------------------------
    # A call
    # -----------------------------------------------------------------------------------------------------------------
    def preprocess(self, videos, **kwargs: Unpack[RDFERVideoProcessorKwargs]) -> BatchFeature:
        """Same as calling the processor; see the class."""
        # In a call None means "as configured".
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        if not kwargs.get("do_sample_frames", self.do_sample_frames):
            kwargs["num_frames"] = kwargs["fps"] = None
        elif "fps" in kwargs:
            if "num_frames" in kwargs:
                raise ValueError("`num_frames` and `fps` exclude each other: pass one of them.")
            kwargs["num_frames"] = None
        layout = kwargs.get("input_data_format", self.input_data_format)
        sources = split_batch(videos)
        opened = []
        for number, source in enumerate(sources):
            name = f"videos[{number}]" if len(sources) > 1 else None
            opened.append(open_video(source, name=name, layout=layout))
        return super().preprocess(opened, **kwargs)

    def sample_frames(self, metadata: VideoMetadata, num_frames: int | None = None, fps=None, **kwargs) -> np.ndarray:
        """Chooses frames uniformly: the mid-points of `num_frames` equal segments of the video.

        Args:
            metadata: of the video; `total_num_frames` is used, with `fps` its frame rate, too.
            num_frames: how many, >= 1; None: `self.num_frames`; if that is None as well, all.
            fps: instead, how many per second.

        Returns:
            int64 array of ascending frame numbers. All of them, once, if the video has no more than asked for.

        Raises:
            ValueError: both are given, `num_frames` is below 1, or `fps` is given and the video's own is not known.
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
        if num_frames is None or num_frames >= total:
            return np.arange(total)
        # floor((i + 0.5) * total / num_frames) in integers
        return (2 * np.arange(num_frames) + 1) * total // (2 * num_frames)

    def _decode_and_sample_videos(self, videos, video_metadata=None, do_sample_frames=None, sample_indices_fn=None):
        """Chooses the frames of each opened video; `_preprocess` decodes them."""
        clips = []
        for video, given in zip(videos, _split_metadata(video_metadata, len(videos))):
            metadata = RDFERVideoMetadata(
                total_num_frames=video.num_frames,
                fps=video.average_fps or given.get("fps"),
                width=video.width,
                height=video.height,
                duration=video.duration_seconds or given.get("duration"),
                video_backend=video.backend,
                name=video.name,
            )
            indices = sample_indices_fn(metadata=metadata) if do_sample_frames else range(video.num_frames)
            metadata.frames_indices = [int(index) for index in indices]
            clips.append(_Clip(video, metadata))
        return clips, [clip.metadata for clip in clips]

    def _prepare_input_videos(self, videos, do_convert_rgb=None, input_data_format=None, device=None):
        for clip in videos:
            clip.device = device
        return videos

    def _preprocess(
        self,
        videos: list[_Clip],
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
        resize = functools.partial(self.resize, size=size, resample=resample) if do_resize else None
        rows, video_index = [], []
        for number, clip in enumerate(videos):
            if do_face_crop:
                found = self._read_faces(clip, size, resize, on_missing_face, face, face_margin)
            else:
                found = [clip.video.get_frames(clip.metadata.frames_indices, size=resize)]
            clip.metadata.pts_seconds = _times(clip)
            clip.video.close()
            rows.extend(frames.to(clip.device) if clip.device is not None else frames for frames in found)
            video_index.extend([number] * len(found))

        length = num_frames or max(len(frames) for frames in rows)
        pixel_values, masks = [], []
        for frames in rows:
            real = len(frames)
            masks.append(torch.arange(length, device=frames.device) < real)
            if real < length:
                frames = torch.cat([frames, frames[-1:].expand(length - real, -1, -1, -1)])
            if do_center_crop:
                frames = self.center_crop(frames, crop_size)
            frames = self.rescale_and_normalize(
                frames, do_rescale, rescale_factor, do_normalize, image_mean, image_std
            )
            pixel_values.append(frames)

        data = {"pixel_values_videos": pixel_values, "frame_mask": torch.stack(masks)}
        shapes = {tuple(frames.shape[-2:]) for frames in pixel_values}
        if len(shapes) == 1:
            data["pixel_values_videos"] = torch.stack(pixel_values)
        elif return_tensors is not None:
            raise ValueError(
                f"The frames of these videos differ in size, {sorted(shapes)}, and make no tensor: use do_resize=True "
                "with size={'height': ..., 'width': ...}, or pass them one by one."
            )
        if do_face_crop and face == "all":
            data["video_index"] = torch.tensor(video_index)
        return BatchFeature(data, tensor_type=return_tensors)

    def _read_faces(self, clip, size, resize, on_missing_face, face, face_margin) -> list[torch.Tensor]:
        """Face crops of a clip, uint8 (T, 3, height, width), one entry for each face asked for."""
        if resize is None or not (size.height and size.width):
            raise ValueError("do_face_crop needs do_resize=True and size={'height': ..., 'width': ...}.")
        if face_margin <= 0:
            raise ValueError(f"face_margin must be above 0, got {face_margin}.")
        if not (face in ("largest", "all") or (isinstance(face, int) and face >= 0)):
            raise ValueError(f"face is {face!r}; expected 'largest', 'all' or the number of a face, from 0.")
        detector = self.face_detector()
        video, indices = clip.video, clip.metadata.frames_indices
        # The sides of a frame w x h reduced to the longer side s have w * h = s * s * ratio pixels.
        ratio = min(video.width, video.height) / max(video.width, video.height)
        affordable = int((FACE_FRAMES_BYTES / (3 * len(indices) * ratio)) ** 0.5)
        # Beside a large face small ones are found by the slower of the detector's two networks alone.
        net, detections = "auto" if face == "largest" else "back", {}
        frames = video.get_frames(
            indices,
            max_side=min(FACE_MAX_SIDE, max(FACE_MIN_SIDE, affordable)),
            meanwhile=lambda frames, positions: detections.update(detect_ahead(frames, positions, detector, net)),
        )
        tracks = track_faces(frames, detector, net, detections=detections)
        if isinstance(face, int) and tracks:
            if face >= len(tracks):
                raise VideoReadError(video.name, f"{len(tracks)} face(s)", f"a face number {face} (counted from 0)")
            tracks = [tracks[face]]
        elif face == "largest":
            tracks = tracks[:1]
        if tracks:
            return [crop_faces(frames, track.boxes, (size.height, size.width), face_margin) for track in tracks]
        if on_missing_face != "full_frame":
            raise VideoReadError(
                video.name,
                f"no face in the {len(frames)} frames looked at",
                "a face; pass on_missing_face='full_frame' to take whole frames, or do_face_crop=False for face crops",
            )
        logger.warning(f"No face found in {video.name!r}: whole frames are used (on_missing_face='full_frame').")
        return [resize(frames)]


def _times(clip: _Clip) -> list[float] | None:
    indices, pts_seconds = clip.metadata.frames_indices, clip.video.pts_seconds
    if pts_seconds is not None:
        return [float(pts_seconds[index]) for index in indices]
    return [index / clip.metadata.fps for index in indices] if clip.metadata.fps else None


def split_batch(videos) -> list:
    """
    The videos of a nested input: a sequence whose elements are all frames (images, arrays, paths of images) is one
    video, any other sequence and a tensor of five axes hold several.
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
    """One mapping per video, empty where nothing was given."""
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
    # Kept here and not in the processor: this way it pickles small and every worker process loads its own.
    return RDFERFaceDetector.from_file(path)


__all__ = ["RDFERVideoProcessor"]
