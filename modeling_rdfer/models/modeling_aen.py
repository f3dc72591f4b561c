# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""AEN, the affectivity extraction network, as a transformers model.

Lee, Shin, Ku, Ko, "Frame Level Emotion Guided Dynamic Facial Expression Recognition With Emotion Grouping" (CVPR
Workshops 2023). Only the abstract was at hand; this is our reading of it (docs/method.md, AEN). A bottom-up branch
gives features of several semantic levels, and scores, for each frame (`frame_logits`). A top-down branch combines the
features of each level over time, from the deepest level to the shallowest (`AENTopDownLevel`). The sentiment is
classified first, then the emotion within its group. The losses are in `loss_aen.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput, logging
from transformers.utils.generic import can_return_tuple

from .agreement_rdfer import clip_agreement, distinct_clips
from .configuration_aen import AENConfig
from .face_confidence_rdfer import apply_face_confidence
from .loss_aen import group_log_sums, grouped_log_probabilities, sentiment_cross_entropy, unlabelled_losses
from .video_backbone_rdfer import (
    RDFERLSTM,
    RDFERZeroLinear,
    VideoBackbonePreTrainedModel,
    build_backbone,
    load_backbone,
    pooled_features,
)

logger = logging.get_logger(__name__)


@dataclass
class AENModelOutput(ModelOutput):
    """Output of [`AENModel`].

    B videos of T frames, K clips of L frames, F = K L frames in all, S levels, D features of the deepest level, H
    `hidden_size`.

    Args:
        frame_features (`torch.FloatTensor` of shape `(B, F, D)`):
            Pooled features of the deepest level for each frame.
        clip_state (`torch.FloatTensor` of shape `(B, K, S * H)`):
            States of the top-down branch for each clip, the deepest level first.
        frame_indices (`torch.LongTensor` of shape `(B, F)`):
            Indices into the T input frames of the F frames that the model uses, sorted in time.
        num_valid_clips (`torch.LongTensor` of shape `(B,)`, values 1..K):
            Number of distinct clips; below K only if the video has fewer frames than clips.
        hidden_states (`tuple[torch.FloatTensor]`, returned when `output_hidden_states=True`):
            The features of each level `(B, F, D_s)`, bottom-up, then the states of each level `(B, F, H)`, top-down.
    """

    frame_features: torch.FloatTensor | None = None
    clip_state: torch.FloatTensor | None = None
    frame_indices: torch.LongTensor | None = None
    num_valid_clips: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class AENVideoClassifierOutput(ModelOutput):
    """Output of [`AENForVideoClassification`].

    B videos of T frames, K clips of L frames, F = K L frames in all, C labels (emotions) in G groups (sentiments), S
    levels, H `hidden_size`.

    Args:
        loss (`torch.FloatTensor` of shape `()`, returned when `labels` is given):
            Weighted sum of the losses, averaged over the batch; with guidance if `frame_targets` are given.
        logits (`torch.FloatTensor` of shape `(B, C)`):
            log P(emotion) = log P(group) + log P(emotion | group) of the videos; their softmax is P(emotion). If
            `config.calibration_temperature` is set, they are divided by it, and P is the softmax of that.
        sentiment_logits (`torch.FloatTensor` of shape `(B, G)`):
            log P(group) of the videos, in the order of `config.group_names`. P(group) is the sum of P(emotion) over
            the emotions of the group.
        emotion_scores (`torch.FloatTensor` of shape `(B, C)`):
            Uncalibrated scores of the emotions regardless of groups, before softmax.
        clip_logits (`torch.FloatTensor` of shape `(B, K, C)`):
            log P(emotion) of the clips, consecutive parts of the videos.
        frame_logits (`torch.FloatTensor` of shape `(B, F, C)`):
            Scores of single frames, before softmax.
        agreement (`torch.FloatTensor` of shape `(B,)`, values in (0, 1]):
            Share of the distinct clips that predict the most frequent label among them.
        num_valid_clips (`torch.LongTensor` of shape `(B,)`, values 1..K):
            Number of distinct clips.
        frame_indices (`torch.LongTensor` of shape `(B, F)`):
            Indices into the T input frames of the frames that `frame_logits` belong to, sorted in time.
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`):
            The same, by clip.
        clip_state (`torch.FloatTensor` of shape `(B, K, S * H)`):
            States of the top-down branch for each clip.
        hidden_states (`tuple[torch.FloatTensor]`, returned when `output_hidden_states=True`):
            See [`AENModelOutput`].
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    sentiment_logits: torch.FloatTensor | None = None
    emotion_scores: torch.FloatTensor | None = None
    clip_logits: torch.FloatTensor | None = None
    frame_logits: torch.FloatTensor | None = None
    agreement: torch.FloatTensor | None = None
    num_valid_clips: torch.LongTensor | None = None
    frame_indices: torch.LongTensor | None = None
    key_frame_indices: torch.LongTensor | None = None
    clip_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


class AENTopDownLevel(GradientCheckpointingLayer):
    """One level of the top-down branch (ours).

    The frame features of the level are added to the states of the next deeper level. A bidirectional LSTM combines
    them, and their differences from frame to frame, over the whole video.
    """

    def __init__(self, config: AENConfig, num_features: int):
        super().__init__()
        self.norm = nn.LayerNorm(num_features)
        self.projection = nn.Linear(num_features, config.hidden_size)
        self.lstm = RDFERLSTM(
            2 * config.hidden_size,
            config.hidden_size // 2,
            num_layers=config.num_recurrent_layers,
            batch_first=True,
            bidirectional=True,
        )

    def forward(self, features: torch.Tensor, deeper_states: torch.Tensor | None) -> torch.Tensor:
        """Turns features `(B, F, D_s)` and the deeper level's states `(B, F, H)`, if any, into states `(B, F, H)`."""
        projected = self.projection(self.norm(features))
        if deeper_states is not None:
            projected = projected + deeper_states
        movement = F.pad(projected[:, 1:] - projected[:, :-1], (0, 0, 1, 0))
        return self.lstm(torch.cat([projected, movement], dim=-1))[0]


class AENPreTrainedModel(VideoBackbonePreTrainedModel):
    """Weight initialisation, loading and saving for the AEN family."""

    config_class = AENConfig
    base_model_prefix = "aen"
    _no_split_modules = ["AENTopDownLevel"]

    @classmethod
    def from_backbone_pretrained(
        cls, backbone: str | PreTrainedModel, config: AENConfig | None = None, num_levels: int = 3, **hub_kwargs
    ):
        """Makes a new model with a pretrained backbone; all other weights are random.

        Args:
            backbone (`str` or `PreTrainedModel`):
                Name on the Hub or folder of a checkpoint of transformers that has a backbone class, e.g.
                `"microsoft/resnet-18"`, or a backbone itself, whose output features are then the levels.
            config ([`AENConfig`], *optional*):
                All other settings; its backbone configuration is replaced by that of the pretrained backbone.
            num_levels (`int`, *optional*, defaults to 3):
                Number of levels, the last stages of a backbone that is given by name.
            hub_kwargs:
                Passed to `from_pretrained`: `token`, `revision`, `cache_dir`, ...

        Returns:
            The model.

        Raises:
            OSError: if the checkpoint cannot be found.
        """
        loaded = load_backbone(backbone, out_indices=list(range(-num_levels, 0)), **hub_kwargs)
        return cls._from_backbones({"backbone": loaded}, config)


class AENModel(AENPreTrainedModel):
    """AEN without heads.

    A bottom-up branch (a backbone, pooled at several stages) and a top-down branch, over `num_clips * frames_per_clip`
    frames that are spread evenly over the video.

    Args:
        config ([`AENConfig`]): the configuration.
    """

    def __init__(self, config: AENConfig):
        super().__init__(config)
        self.backbone = build_backbone(config.backbone_config)
        self.top_down = nn.ModuleList(AENTopDownLevel(config, size) for size in reversed(self.backbone.channels))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        clip_jitter: torch.Tensor | None = None,
        face_confidence: torch.Tensor | None = None,
        shared_features: Callable | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> AENModelOutput:
        """Computes features of frames and states of clips.

        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its part of the video each frame of a clip is taken. By default random in training, 0.5 in
                evaluation.
            face_confidence (`torch.FloatTensor` of shape `(B,)`, *optional*): not used, only the heads need it.
            shared_features (`Callable`, *optional*):
                Gives features of frames instead of the backbones, so that windows of a video can share them: called
                with the name of a backbone and indices `(B, N)` into the T input frames, it returns what
                `pooled_features` does for these `B * N` frames.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`AENModelOutput`]: features and states.

        Raises:
            ValueError: if a shape does not fit or a video has no real frame.
        """
        config = self.config
        batch = pixel_values_videos.shape[0]
        num_clips, frames_per_clip = config.num_clips, config.frames_per_clip
        real_frames_so_far, num_real_frames = self._real_frames(pixel_values_videos, frame_mask)
        if clip_jitter is None:
            clip_jitter = torch.full((batch, num_clips), 0.5, device=num_real_frames.device)
            if self.training:
                clip_jitter = torch.rand_like(clip_jitter)
        # The real frames are cut into num_clips * frames_per_clip equal parts, and one frame is taken from each.
        part = torch.arange(num_clips * frames_per_clip, device=num_real_frames.device).view(num_clips, -1)
        positions = (part + clip_jitter.float()[..., None]) / part.numel() * num_real_frames[:, None, None]
        positions = positions.floor().long().minimum(num_real_frames[:, None, None] - 1)
        key_frame_indices = self._indices_at(real_frames_so_far, positions)
        if shared_features is None:
            frames = self._frames_at(pixel_values_videos, key_frame_indices)
            pooled = pooled_features(self.backbone, frames.flatten(0, 2), 1)
        else:
            pooled = shared_features("backbone", key_frame_indices.flatten(1))
        levels = [level.unflatten(0, (batch, part.numel())) for level in pooled]
        states = []
        for top_down, features in zip(self.top_down, reversed(levels)):
            states.append(top_down(features, states[-1] if states else None))
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        return AENModelOutput(
            frame_features=levels[-1],
            clip_state=torch.cat([s.unflatten(1, (num_clips, frames_per_clip)).mean(2) for s in states], dim=-1),
            frame_indices=key_frame_indices.flatten(1),
            num_valid_clips=distinct_clips(key_frame_indices).sum(1),
            hidden_states=(*levels, *states) if output_hidden_states else None,
        )


class AENForVideoClassification(AENPreTrainedModel):
    """AEN with its classification heads.

    As in RDFER the scores are residual over frames: the scores of a clip are the mean of its frames' scores plus
    residuals from its state, one for the groups and one for the emotions, which start at zero. The scores of a video
    are the mean of those of its clips.

    Args:
        config ([`AENConfig`]): the configuration.

    Raises:
        ValueError: if a label has no emotion group (it names the label).

    Example:

    ```python
    >>> from modeling_rdfer import AENForVideoClassification, RDFERVideoProcessor

    >>> model = AENForVideoClassification.from_pretrained("hub_cards/aen-small")
    >>> processor = RDFERVideoProcessor.from_pretrained("hub_cards/aen-small")
    >>> outputs = model(**processor("tests/data/cap13_edit2.mp4", return_tensors="pt"))
    >>> model.config.id2label[outputs.logits.argmax(-1).item()]
    'neutral'
    >>> model.config.group_names[outputs.sentiment_logits.argmax(-1).item()]
    'neutral'

    ```"""

    def __init__(self, config: AENConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.groups = config.group_of_label
        self.aen = AENModel(config)
        self.frame_classifier = nn.Linear(self.aen.backbone.channels[-1], config.num_labels)
        self.dropout = nn.Dropout(config.dropout)
        state_size = len(self.aen.top_down) * config.hidden_size
        self.sentiment_classifier = RDFERZeroLinear(state_size, len(config.group_names))
        self.emotion_classifier = RDFERZeroLinear(state_size, config.num_labels)
        self.post_init()

    def classify_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Returns uncalibrated scores `(N, C)` of single frames `(N, num_channels, H, W)`, uint8 or normalised."""
        return self.frame_classifier(pooled_features(self.aen.backbone, self._normalise(frames), 1)[-1])

    # `frame_targets` is not called pseudo_labels, since `Trainer` takes every argument with "label" in its name for a
    # label that evaluation must have.
    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        frame_targets: torch.Tensor | None = None,
        clip_jitter: torch.Tensor | None = None,
        face_confidence: torch.Tensor | None = None,
        shared_features: Callable | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> AENVideoClassifierOutput:
        """Classifies videos.

        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            labels (`torch.LongTensor` of shape `(B,)`, values 0..C-1, *optional*):
                Emotions of the videos, for the loss; -100 does not count.
            frame_targets (`torch.FloatTensor` of shape `(B, T, C)`, *optional*):
                Pseudo-labels for guidance: a teacher's probabilities for each frame; -100 for classes it does not
                know. They affect the loss only. Without them there is no guidance; if its weight is above 0, training
                warns once.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its part of the video each frame of a clip is taken. By default random in training, 0.5 in
                evaluation.
            face_confidence (`torch.FloatTensor` of shape `(B,)`, values in (0, 1], *optional*):
                How far each face can be read, as the processor returns it. The logits of the video and its clips are
                multiplied by it, after the loss; 1 by default.
            shared_features (`Callable`, *optional*): see the base model.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`AENVideoClassifierOutput`]: scores, agreement, and the loss if `labels` is given.

        Raises:
            ValueError: if a shape does not fit, a video has no real frame.
        """
        outputs = self.aen(
            pixel_values_videos,
            frame_mask=frame_mask,
            clip_jitter=clip_jitter,
            shared_features=shared_features,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        by_clip = (self.config.num_clips, self.config.frames_per_clip)
        frame_logits = self.frame_classifier(outputs.frame_features)
        frame_scores = frame_logits.unflatten(1, by_clip).mean(2)
        clip_state = self.dropout(outputs.clip_state)
        emotion_scores = frame_scores + self.emotion_classifier(clip_state)
        sentiment_residual = self.sentiment_classifier(clip_state)
        clip_logits, _ = self._grouped_logits(frame_scores, emotion_scores, sentiment_residual)
        emotion_scores = emotion_scores.mean(1)
        logits, sentiment_logits = self._grouped_logits(
            frame_scores.mean(1), emotion_scores, sentiment_residual.mean(1)
        )

        key_frame_indices = outputs.frame_indices.unflatten(1, by_clip)
        output = AENVideoClassifierOutput(
            logits=logits,
            sentiment_logits=sentiment_logits,
            emotion_scores=emotion_scores,
            clip_logits=clip_logits,
            frame_logits=frame_logits,
            agreement=clip_agreement(clip_logits, distinct_clips(key_frame_indices)),
            num_valid_clips=outputs.num_valid_clips,
            frame_indices=outputs.frame_indices,
            key_frame_indices=key_frame_indices,
            clip_state=outputs.clip_state,
            hidden_states=outputs.hidden_states,
        )
        if labels is not None:
            output.loss = self._loss(output, labels, frame_targets)
        if face_confidence is not None:
            apply_face_confidence(output, face_confidence, self.config)
        return output

    def _grouped_logits(self, frame_scores, emotion_scores, sentiment_residual) -> tuple[torch.Tensor, torch.Tensor]:
        """log P(emotion) and log P(group); the frames' score of a group is the log-sum-exp over its emotions."""
        dtype = frame_scores.dtype
        group_scores = group_log_sums(frame_scores.float(), self.groups) + sentiment_residual.float()
        logits, sentiment_logits = grouped_log_probabilities(emotion_scores.float(), group_scores, self.groups)
        if self.config.calibration_temperature is not None:
            logits = (logits / self.config.calibration_temperature).log_softmax(-1)
            sentiment_logits = group_log_sums(logits, self.groups)
        return logits.to(dtype), sentiment_logits.to(dtype)

    def _loss(self, output, labels, frame_targets) -> torch.Tensor:
        config = self.config
        if labels.is_floating_point():
            raise ValueError("`labels` must be integers, the numbers of the emotions: AEN takes no soft labels.")
        labels = labels.to(output.logits.device).long().reshape(output.logits.shape[0])
        losses = config.emotion_loss_weight * F.cross_entropy(output.logits.float(), labels, reduction="none")
        if config.sentiment_loss_weight:
            losses = losses + config.sentiment_loss_weight * sentiment_cross_entropy(
                output.sentiment_logits, labels, self.groups
            )
        is_guided = frame_targets is not None
        if self.training and not is_guided and (config.frame_guidance_weight or config.clip_guidance_weight):
            logger.warning_once(
                "The loss is without frame-level guidance, as no `frame_targets` are given. RDFERTrainer computes "
                "them; to do without, set `frame_guidance_weight` and `clip_guidance_weight` to 0."
            )
        unlabelled = unlabelled_losses(
            output,
            self.groups,
            frame_targets,
            consistency_loss_weight=config.consistency_loss_weight,
            frame_guidance_weight=config.frame_guidance_weight if is_guided else 0.0,
            clip_guidance_weight=config.clip_guidance_weight if is_guided else 0.0,
        )
        # As everywhere in PyTorch, a label of -100 does not count.
        return losses.sum() / (labels != -100).sum() + unlabelled.mean()


__all__ = [
    "AENForVideoClassification",
    "AENModel",
    "AENModelOutput",
    "AENPreTrainedModel",
    "AENVideoClassifierOutput",
]
