# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the figures of a checkpoint show, collected in one pass over labelled videos."""

import hashlib
import math
from bisect import insort
from dataclasses import dataclass, field

import numpy as np
import torch

from modeling_rdfer.inference.scores import probabilities
from modeling_rdfer.models.agreement_rdfer import distinct_clips
from training.data.scoring_batches import ScoringBatches
from training.data.video_dataset import ScoringVideoDataset

# Most frames of a clip that a strip shows.
SHOWN_FRAMES = 4


@dataclass
class ShownVideo:
    """A video as a strip shows it.

    Attributes:
        sample_id, given, predicted (`str`): its id and labels.
        score (`float`): probability of the predicted label, 0..1.
        clips (`list[str]`): label predicted on each distinct clip, in time.
        frames (`list[np.ndarray]`): of each clip, uint8 `(n, H, W, 3)`, n at most `SHOWN_FRAMES`.
        positions (`list[np.ndarray]`): where in the video these frames are, 0..1.
        saliency (`np.ndarray`, *optional*): `(2, S)`: positions and posterior of the key expression, 0..1; RDFER only.
        key_expression (`str`, *optional*): the key expression that the detector predicts; RDFER only.
    """

    sample_id: str
    given: str
    predicted: str
    score: float
    clips: list[str]
    frames: list[np.ndarray]
    positions: list[np.ndarray]
    saliency: np.ndarray | None = None
    key_expression: str | None = None


@dataclass
class FigureData:
    """What the figures show of N videos.

    Attributes:
        num_clips (`int`): K of the model.
        labels, predictions (lists of `int`): numbers of the given and the predicted labels.
        levels (`list[int | None]`): level of agreement, the number of the K clips that agree; None for videos that are
            too short for K distinct clips.
        features (list of arrays `(D,)`): see [`video_features`]; empty if not collected.
        shown (`dict[int | None, list]`): some videos of each level: sorted tuples of a hash, a number and the
            [`ShownVideo`].
        unreadable (`int`): number of videos that were left out as they cannot be read.
    """

    num_clips: int
    labels: list[int] = field(default_factory=list)
    predictions: list[int] = field(default_factory=list)
    levels: list[int | None] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    shown: dict[int | None, list[tuple[bytes, int, ShownVideo]]] = field(default_factory=dict)
    unreadable: int = 0

    def occurring_levels(self) -> list[int | None]:
        """The levels that occur: the lowest agreement first, short videos last."""
        return sorted(set(self.levels), key=lambda level: math.inf if level is None else level)

    def members(self, level: int | None) -> np.ndarray:
        """Numbers of the videos of a level."""
        return np.array([number for number, other in enumerate(self.levels) if other == level], dtype=int)

    def title(self, level: int | None) -> str:
        """A level in words."""
        if level is None:
            return f"fewer than {self.num_clips} distinct clips"
        return f"agreement {level / self.num_clips:.2f} ({level} of {self.num_clips} clips)"


def video_features(model, outputs) -> torch.Tensor:
    """Features from which the model classifies a video: the mean of its frame features and the mean of its clip states
    (RDFER: of the distinct clips, and also the state of the long-term stream).

    Args:
        model: model of either family.
        outputs: its outputs, with `output_hidden_states=True`.

    Returns:
        `torch.FloatTensor` of shape `(B, D)`
    """
    if model.config.model_type == "aen":
        frame_features = outputs.hidden_states[len(model.aen.top_down) - 1]
        return torch.cat([frame_features.mean(1), outputs.clip_state.mean(1)], dim=-1).float()
    mask = distinct_clips(outputs.key_frame_indices)[..., None].float()
    clips = torch.cat([outputs.hidden_states[-3].mean(2), outputs.short_term_state], dim=-1).float()
    return torch.cat([(clips * mask).sum(1) / mask.sum(1), outputs.long_term_state.float()], dim=-1)


@torch.inference_mode()
def collect_figure_data(
    model,
    dataset: ScoringVideoDataset,
    *,
    batch_size: int = 8,
    num_workers: int = 0,
    videos_per_level: int = 0,
    with_features: bool = False,
    on_bad_video: str = "error",
    seed: int = 0,
) -> FigureData:
    """Runs a model once over all videos and collects what the figures show. A few frames are kept of
    `videos_per_level` videos of each level of agreement, drawn by a hash of seed and sample id.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): in evaluation mode.
        dataset ([`ScoringVideoDataset`]): videos.
        batch_size, num_workers, on_bad_video: see [`ScoringBatches`].
        videos_per_level (`int`): videos of each level of which frames are kept.
        with_features (`bool`): whether to keep features.
        seed (`int`): seed of the draw.

    Raises:
        ValueError, OSError: while reading; see [`ScoringBatches`].
    """
    data = FigureData(model.config.num_clips)
    batches = ScoringBatches(dataset, model.device, batch_size, num_workers, on_bad_video, "reading videos")
    for batch in batches:
        outputs = model(batch.frames, frame_mask=batch.frame_mask, output_hidden_states=with_features)
        is_distinct = distinct_clips(outputs.key_frame_indices)
        agreeing = (outputs.agreement * is_distinct.sum(1)).round().long().tolist()
        data.labels += batch.labels.tolist()
        data.predictions += outputs.logits.argmax(-1).tolist()
        if with_features:
            data.features.extend(video_features(model, outputs).cpu().numpy())
        for row, number in enumerate(batch.numbers):
            level = agreeing[row] if is_distinct[row].all() else None
            data.levels.append(level)
            name = dataset.videos.sample_ids[number]
            key = (hashlib.blake2b(f"{seed} {name}".encode()).digest(), number)
            shown = data.shown.setdefault(level, [])
            if videos_per_level and (len(shown) < videos_per_level or key < shown[-1][:2]):
                given = model.config.id2label[batch.labels[row].item()]
                video = _shown_video(model, outputs, row, name, given, batch.examples[row], is_distinct[row])
                insort(shown, (*key, video), key=lambda entry: entry[:2])
                del shown[videos_per_level:]
    data.unreadable = len(batches.errors)
    return data


def _shown_video(
    model, outputs, row: int, name: str, given: str, example: dict, is_distinct: torch.Tensor
) -> ShownVideo:
    label_of = model.config.id2label
    scores = probabilities(model, outputs.logits[row])
    last = max(1, int(example["frame_mask"].sum()) - 1)
    clips = is_distinct.nonzero().flatten().tolist()
    indices = [outputs.key_frame_indices[row, clip].cpu() for clip in clips]
    indices = [index[np.unique(np.linspace(0, len(index) - 1, SHOWN_FRAMES).round().astype(int))] for index in indices]
    video = ShownVideo(
        sample_id=name,
        given=given,
        predicted=label_of[scores.argmax().item()],
        score=scores.max().item(),
        clips=[label_of[outputs.clip_logits[row, clip].argmax().item()] for clip in clips],
        frames=[_pictures(model, example["pixel_values_videos"][index]) for index in indices],
        positions=[index.numpy() / last for index in indices],
    )
    if model.config.model_type == "rdfer":
        key = outputs.detector_logits[row].argmax().item()
        posterior = probabilities(model, outputs.frame_logits[row])[:, key].cpu().numpy()
        video.saliency = np.stack([outputs.frame_indices[row].cpu().numpy() / last, posterior])
        video.key_expression = label_of[key]
    return video


def _pictures(model, frames: torch.Tensor) -> np.ndarray:
    if frames.is_floating_point():  # the processor has normalised them
        mean, std = (torch.tensor(x)[:, None, None] for x in (model.config.image_mean, model.config.image_std))
        frames = ((frames * std + mean) * 255).round().clamp(0, 255).byte()
    return frames.permute(0, 2, 3, 1).numpy().copy()  # a view would keep all frames in memory


__all__ = ["FigureData", "ShownVideo", "collect_figure_data", "video_features"]
