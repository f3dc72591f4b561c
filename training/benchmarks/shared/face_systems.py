# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What `training.benchmarks.real_faces` measures: anything that scores faces, and the checkpoints of this package."""

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForVideoClassification

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.inference.loading import load
from modeling_rdfer.inference.scores import probabilities
from modeling_rdfer.models import video_processing_rdfer
from modeling_rdfer.models.labels_rdfer import canonical_label, class_names
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from training.benchmarks.shared import real_faces_data
from training.build.face_api_net import build
from training.datasets.ferplus import LABELS as EXPRESSIONS

# Processor code that a checkpoint's crops depend on.
_CROPPING = sorted(
    path
    for path in Path(video_processing_rdfer.__file__).parent.glob("*.py")
    if any(word in path.name for word in ("face", "processing", "reader"))
)


class FaceSystem(ABC):
    """Scores the faces of videos; a still face is a video of one frame.

    Face crops are kept. They are made again only if faces or cropping change, so that many checkpoints with the same
    processor are measured quickly.

    Args:
        cache (`Path`): folder to keep face crops in.
        labels (sequence of `str`): the labels in the order of the scores.
        crops_from (list of `Path`): files that the crops depend on.
    """

    processor: RDFERVideoProcessor

    def __init__(self, cache: Path, labels: Sequence[str], crops_from: list[Path]):
        self.cache, self.labels = cache, labels
        self.crops_from = digest([*crops_from, Path(real_faces_data.__file__)])

    @abstractmethod
    def digest(self) -> str:
        """What results depend on, in 16 digits."""

    @abstractmethod
    def classify(self, videos: list) -> np.ndarray:
        """Classifies videos as [`FaceSystem.read`] returns them.

        Returns:
            `np.ndarray` of shape `(N, C)`: probabilities as [`FaceSystem.in_order`] returns them; zeros where there is
            no face.
        """

    @abstractmethod
    def scores(self, video) -> torch.Tensor:
        """Probabilities `(T, C)` of the single frames of a video that [`FaceSystem.read`] returned, in the order of
        `labels`."""

    @abstractmethod
    def _read(self, video, **options):
        """The network's input for a video: face crops, or whole frames with `do_face_crop=False`; None: no face."""

    def read(self, videos, name: str, **options) -> list:
        """Turns videos into the network's input.

        Args:
            videos (iterable): anything that the processor reads.
            name (`str`): name of these videos in the cache.
            options: `do_face_crop`, by default that of the processor.

        Returns:
            `list`: the network's input for each video; None if there is no face.
        """
        path = self.cache / f"{name}-{self.crops_from}.pt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save([self._read(video, **options) for video in videos], path)
        return torch.load(path)

    def in_order(self, scores: torch.Tensor) -> np.ndarray:
        """Reorders scores `(N, C)`: the seven expressions of FER+ first, then other labels."""
        order = [*EXPRESSIONS, *(label for label in self.labels if label not in EXPRESSIONS)]
        columns = {label: scores[:, number] for number, label in enumerate(self.labels)}
        return torch.stack([columns.get(label, scores.new_zeros(len(scores))) for label in order], 1).double().numpy()


class Checkpoint(FaceSystem):
    """A checkpoint with its processor, as `predict` uses them.

    Args:
        folder (`str` or `Path`): the checkpoint's folder.
        cache (`Path`): folder to keep face crops in.
        crops_from (sequence of `Path`, *optional*): files that the crops depend on, beyond those of the processor.
    """

    def __init__(self, folder: str | Path, cache: Path, crops_from: Sequence[Path] = ()):
        self.folder = Path(folder)
        self.model, self.processor = load(str(folder), device="cpu")
        # All frames of a still face are the same, so that one is enough.
        once = {
            name: 1
            for name in ("num_clips", "frames_per_clip", "num_detector_frames")
            if hasattr(self.model.config, name)
        }
        self.still = AutoModelForVideoClassification.from_pretrained(folder, **once).eval()
        files = [self.folder / name for name in ("video_preprocessor_config.json", "face_detector.safetensors")]
        labels = [canonical_label(name) for name in class_names(self.model.config)]
        super().__init__(cache, labels, [*files, *_CROPPING, *crops_from])

    def digest(self) -> str:
        return digest([self.folder / "config.json", self.folder / "model.safetensors"], self.crops_from)

    def _read(self, video, **options) -> dict[str, torch.Tensor] | None:
        try:
            inputs = self.processor([video], return_tensors="pt", on_missing_face="error", **options)
        except VideoReadError as error:
            if "no face" not in str(error):
                raise
            return None
        # Without the repeats of the last frame.
        mask = inputs.pop("frame_mask")
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"][mask][None]
        return {name: tensor[0].clone() for name, tensor in inputs.items()}

    @torch.inference_mode()
    def classify(self, videos: list[dict[str, torch.Tensor] | None]) -> np.ndarray:
        found = [(number, video) for number, video in enumerate(videos) if video is not None]
        stills = all(len(video["pixel_values_videos"]) == 1 for _, video in found)
        model = self.still if stills and self._one_frame_is_enough(found[:4]) else self.model
        size = 64 if stills else 1
        scores = torch.zeros(len(videos), len(self.labels))
        # Whole images lack what the processor tells of a face.
        found.sort(key=lambda item: len(item[1]))
        for _, same in itertools.groupby(found, key=lambda item: len(item[1])):
            group = list(same)
            for start in range(0, len(group), size):
                part = group[start : start + size]
                scores[[number for number, _ in part]] = self._classify(model, part)
        return self.in_order(scores)

    def _classify(self, model, part: list[tuple[int, dict[str, torch.Tensor]]]) -> torch.Tensor:
        inputs = {name: torch.stack([video[name] for _, video in part]) for name in part[0][1]}
        return probabilities(model, model(**inputs).logits)

    def _one_frame_is_enough(self, stills) -> bool:
        """Whether the answer for a still face is the same with one frame as with all that the model takes."""
        return all(
            torch.allclose(self._classify(self.still, [still]), self._classify(self.model, [still]), atol=1e-3)
            for still in stills
        )

    @torch.inference_mode()
    def scores(self, video: dict[str, torch.Tensor]) -> torch.Tensor:
        return probabilities(self.model, self.model.classify_frames(video["pixel_values_videos"]))

    def frame_classifier(self) -> Callable[[], torch.Tensor]:
        """A function that runs the network on 16 frames."""
        size = self.processor.size
        frames = torch.randint(0, 256, (16, 3, size["height"], size["width"])).byte()
        return partial(self.model.classify_frames, frames)


class FaceAPICheckpoint(Checkpoint):
    """rdfer-small as it was with this network: faces are cut out as they lean, and a profile counts as any other face.
    The time of `predict` with its folder includes the processor of today.

    Args:
        cache (`Path`): folder to keep checkpoint and face crops in.
    """

    def __init__(self, cache: Path):
        folder = cache / "before"
        if not (folder / "config.json").is_file():
            build(folder, Path(embedded_checkpoint()) / "face_detector.safetensors")
        super().__init__(folder, cache, [Path(__file__)])
        track_faces = self.processor._track_faces

        def upright_frontal_faces(*arguments):
            frames, tracks = track_faces(*arguments)
            for track in tracks:
                track.rolls = track.yaws = torch.zeros(len(frames))
            return frames, tracks

        self.processor._track_faces = upright_frontal_faces


def digest(files: list[Path], *more: str) -> str:
    """First 16 digits of the sha256 of files and texts."""
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return hashlib.sha256(" ".join([*sums, *more]).encode()).hexdigest()[:16]
