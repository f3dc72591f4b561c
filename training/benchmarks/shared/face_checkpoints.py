# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A checkpoint of this package as `training.benchmarks.real_faces` measures it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForVideoClassification

from modeling_rdfer.inference.loading import load
from modeling_rdfer.inference.scores import probabilities
from modeling_rdfer.models import video_processing_rdfer
from modeling_rdfer.models.labels_rdfer import canonical_label, class_names
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from training.datasets.ferplus import LABELS as EXPRESSIONS

# Processor code that face crops depend on.
_CROPPING = sorted(
    path
    for path in Path(video_processing_rdfer.__file__).parent.glob("*.py")
    if any(word in path.name for word in ("face", "processing", "reader"))
)


class Checkpoint:
    """A checkpoint with its processor, as `predict` uses them.

    Args:
        folder (`str` or `Path`): the checkpoint's folder.
        cache (`Path`): folder to keep face crops in. They are read again only if processor or videos change, so that
            many checkpoints of one processor are measured quickly.
    """

    def __init__(self, folder: str | Path, cache: Path):
        self.folder, self.cache = Path(folder), cache
        self.model, self.processor = load(str(folder), device="cpu")
        # All frames of a still face are the same, so that one is enough.
        once = {
            name: 1
            for name in ("num_clips", "frames_per_clip", "num_detector_frames")
            if hasattr(self.model.config, name)
        }
        self.still = AutoModelForVideoClassification.from_pretrained(folder, **once).eval()
        self.labels = [canonical_label(name) for name in class_names(self.model.config)]
        crops = [self.folder / name for name in ("video_preprocessor_config.json", "face_detector.safetensors")]
        self._crops_from = _digest([*crops, *_CROPPING])

    def digest(self) -> str:
        """What the results depend on: sha256 of configuration, weights, and code that crops faces, 16 digits."""
        return _digest([self.folder / "config.json", self.folder / "model.safetensors"], self._crops_from)

    def read(self, videos, name: str, **options) -> list[torch.Tensor | None]:
        """Turns videos into the model's input.

        Args:
            videos (iterable): anything that the processor reads.
            name (`str`): name of these videos in the cache.
            options: options of the processor.

        Returns:
            `list[torch.Tensor | None]`: uint8 `(T, 3, height, width)` for each video; None if there is no face.
        """
        path = self.cache / f"{name}-{self._crops_from}.pt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save([self._read(video, options) for video in videos], path)
        return torch.load(path)

    def _read(self, video, options: dict) -> torch.Tensor | None:
        try:
            inputs = self.processor([video], return_tensors="pt", on_missing_face="error", **options)
        except VideoReadError as error:
            if "no face" not in str(error):
                raise
            return None
        return inputs["pixel_values_videos"][0][inputs["frame_mask"][0]].clone()

    @torch.inference_mode()
    def classify(self, videos: list[torch.Tensor | None]) -> np.ndarray:
        """Classifies videos that [`Checkpoint.read`] returned.

        Returns:
            `np.ndarray` of shape `(N, C)`: probabilities, the seven `EXPRESSIONS` first; zeros where there is no face.
        """
        stills = all(video is None or len(video) == 1 for video in videos)
        model = self.still if stills and self._stills_need_one_frame(videos) else self.model
        scores = torch.zeros(len(videos), len(self.labels))
        found = [number for number, video in enumerate(videos) if video is not None]
        for part in torch.tensor(found).split(64 if stills else 1):
            frames = torch.stack([videos[number] for number in part])
            scores[part] = probabilities(model, model(frames).logits)
        return self._in_order(scores)

    @torch.inference_mode()
    def classify_frames(self, frames: torch.Tensor) -> np.ndarray:
        """Probabilities `(T, C)` of single frames of a video, as [`Checkpoint.classify`] returns those of videos."""
        return self._in_order(probabilities(self.model, self.model.classify_frames(frames)))

    def _in_order(self, scores: torch.Tensor) -> np.ndarray:
        order = [*EXPRESSIONS, *(label for label in self.labels if label not in EXPRESSIONS)]
        columns = {label: scores[:, number] for number, label in enumerate(self.labels)}
        return torch.stack([columns.get(label, scores.new_zeros(len(scores))) for label in order], 1).double().numpy()

    def _stills_need_one_frame(self, videos) -> bool:
        """Whether the answer for a still face is the same with one frame as with all that the model takes."""
        some = torch.stack([video for video in videos if video is not None][:4])
        return torch.allclose(self.still(some).logits, self.model(some).logits, atol=1e-3)

    def frame_classifier(self) -> tuple[Callable, torch.Tensor]:
        """The network for single frames, and a batch of 16 frames for it."""
        size = self.processor.size
        frames = torch.randint(0, 256, (16, 3, size["height"], size["width"]), dtype=torch.uint8)
        return self.model.classify_frames, frames


def _digest(files: list[Path], *more: str) -> str:
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return hashlib.sha256(" ".join([*sums, *more]).encode()).hexdigest()[:16]
