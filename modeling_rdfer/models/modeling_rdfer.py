# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""RDFER: robust dynamic facial expression recognition (arXiv 2502.16129) as a transformers model.

Only the abstract and the captions of the paper were at hand; this is our reading of them (docs/method.md). A key
expression detecting network finds where a video shows its key expression (`RDFERKeyExpressionDetector`), clips are
re-sampled there (`resample_clips`), and a dual-stream network reads facial movement within the clips and emotional
change between them (`RDFERModel`). How far the clips agree tells hard samples from noisy ones (`clip_agreement`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .agreement_rdfer import clip_agreement, distinct_clips
from .configuration_rdfer import RDFERConfig
from .face_confidence_rdfer import apply_face_confidence
from .resampling_rdfer import interpolate_saliency, resample_clips
from .video_backbone_rdfer import (
    RDFERLSTM,
    RDFERZeroLinear,
    VideoBackbonePreTrainedModel,
    add_temporal_shift,
    build_backbone,
    load_backbone,
    pooled_features,
)


@dataclass
class RDFERModelOutput(ModelOutput):
    """Output of [`RDFERModel`].

    B videos of T frames, S detector frames, K clips of L frames, C labels, D backbone features, H `hidden_size`.

    Args:
        clip_features (`torch.FloatTensor` of shape `(B, K, L, D)`):
            Pooled features of the backbone, one vector for each frame of each clip.
        short_term_state (`torch.FloatTensor` of shape `(B, K, H)`):
            Facial movement: state of the short-term stream for each clip.
        long_term_state (`torch.FloatTensor` of shape `(B, H)`):
            Emotional change: state of the long-term stream.
        detector_logits (`torch.FloatTensor` of shape `(B, C)`):
            The detecting network's scores for the whole video: log-probabilities, or plain scores for multi-label
            classification and regression.
        frame_logits (`torch.FloatTensor` of shape `(B, S, C)`):
            The detecting network's scores for each of its frames, before softmax.
        frame_indices (`torch.LongTensor` of shape `(B, S)`):
            Indices into the T input frames of the frames that `frame_logits` belong to.
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`):
            Indices into the T input frames of the frames in each clip, sorted in time.
        num_valid_clips (`torch.LongTensor` of shape `(B,)`, values 1..K):
            Number of distinct clips; below K only if the video has too few frames for K.
        hidden_states (`tuple[torch.FloatTensor]`, returned when `output_hidden_states=True`):
            The detector's features `(B, S, D')` and recurrent states `(B, S, H')`, the features of the clips
            `(B, K, L, D)`, the short-term stream `(B, K, L, H)`, and the long-term stream `(B, K + 1, H)`, whose
            first token is the detector's summary.
    """

    clip_features: torch.FloatTensor | None = None
    short_term_state: torch.FloatTensor | None = None
    long_term_state: torch.FloatTensor | None = None
    detector_logits: torch.FloatTensor | None = None
    frame_logits: torch.FloatTensor | None = None
    frame_indices: torch.LongTensor | None = None
    key_frame_indices: torch.LongTensor | None = None
    num_valid_clips: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class RDFERVideoClassifierOutput(ModelOutput):
    """Output of [`RDFERForVideoClassification`].

    B videos of T frames, S detector frames, K clips of L frames, C labels, H `hidden_size`.

    Args:
        loss (`torch.FloatTensor` of shape `()`, returned when `labels` is given):
            Loss of the videos + `clip_loss_weight` x loss of the clips + `detector_loss_weight` x loss of the
            detecting network, averaged over the batch, without agreement weighting.
        logits (`torch.FloatTensor` of shape `(B, C)`):
            Classification scores of the videos, before softmax, divided by `config.calibration_temperature` if it is
            set.
        clip_logits (`torch.FloatTensor` of shape `(B, K, C)`):
            Classification scores of the clips, divided likewise.
        detector_logits (`torch.FloatTensor` of shape `(B, C)`):
            See [`RDFERModelOutput`].
        frame_logits (`torch.FloatTensor` of shape `(B, S, C)`):
            See [`RDFERModelOutput`].
        agreement (`torch.FloatTensor` of shape `(B,)`, values in (0, 1]):
            Share of the distinct clips that predict the most frequent label among them.
        num_valid_clips (`torch.LongTensor` of shape `(B,)`, values 1..K):
            Number of distinct clips.
        frame_indices (`torch.LongTensor` of shape `(B, S)`):
            Indices into the T input frames of the frames that `frame_logits` belong to.
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`):
            Indices into the T input frames of the frames in each clip, sorted in time.
        short_term_state (`torch.FloatTensor` of shape `(B, K, H)`):
            State of the short-term stream for each clip.
        long_term_state (`torch.FloatTensor` of shape `(B, H)`):
            State of the long-term stream.
        hidden_states (`tuple[torch.FloatTensor]`, returned when `output_hidden_states=True`):
            See [`RDFERModelOutput`].
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    clip_logits: torch.FloatTensor | None = None
    detector_logits: torch.FloatTensor | None = None
    frame_logits: torch.FloatTensor | None = None
    agreement: torch.FloatTensor | None = None
    num_valid_clips: torch.LongTensor | None = None
    frame_indices: torch.LongTensor | None = None
    key_frame_indices: torch.LongTensor | None = None
    short_term_state: torch.FloatTensor | None = None
    long_term_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


# The two networks ----------------------------------------------------------------------------------------------------


class RDFERKeyExpressionDetector(nn.Module):
    """Key expression detecting network (docs/method.md, Key expression detection).

    A tiny backbone and a bidirectional LSTM classify each of S frames; attention pools the posteriors of the frames
    into one for the video (multiple-instance learning).
    """

    def __init__(self, config: RDFERConfig):
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.detector_backbone_config)
        num_features = self.backbone.channels[-1]
        self.classifier = nn.Linear(num_features, config.num_labels)
        self.norm = nn.LayerNorm(num_features)
        self.lstm = RDFERLSTM(
            num_features,
            config.detector_hidden_size // 2,
            num_layers=config.num_recurrent_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.residual_classifier = RDFERZeroLinear(config.detector_hidden_size, config.num_labels)
        # No bias: the softmax over the frames would cancel it.
        self.attention = RDFERZeroLinear(config.detector_hidden_size, 1, bias=False)

    def forward(self, frames: torch.Tensor | None, features: torch.Tensor | None = None):
        """Classifies frames and video.

        Args:
            frames (`torch.FloatTensor` of shape `(B, S, num_channels, H, W)`, *optional*): normalised frames.
            features (`torch.FloatTensor` of shape `(B, S, D')`, *optional*): their features, instead of the frames.

        Returns:
            `tuple`: detector_logits `(B, C)`, frame_logits `(B, S, C)`, summary `(B, detector_hidden_size)`, and the
            hidden states: features `(B, S, D')` and recurrent states `(B, S, detector_hidden_size)`.
        """
        if features is None:
            assert frames is not None
            batch, num_frames = frames.shape[:2]
            features = pooled_features(self.backbone, self.reduce_frames(frames.flatten(0, 1)), num_frames)[-1]
            features = features.unflatten(0, (batch, num_frames))
        states = self.lstm(self.norm(features))[0]
        frame_logits = self.classifier(features) + self.residual_classifier(states)
        log_weights = self.attention(states).log_softmax(1)
        if _is_single_label(self.config):
            detector_logits = (log_weights + frame_logits.log_softmax(-1)).logsumexp(1)
        else:
            detector_logits = (log_weights.exp() * frame_logits).sum(1)
        summary = (log_weights.exp() * states).sum(1)
        return detector_logits, frame_logits, summary, (features, states)

    def reduce_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Reduces frames `(N, num_channels, H, W)` to the size that the backbone sees, if they are larger."""
        size = self.config.detector_image_size
        return F.interpolate(frames, (size, size), mode="area") if max(frames.shape[-2:]) > size else frames


class RDFERLongTermLayer(GradientCheckpointingLayer):
    """Pre-norm self-attention layer of the long-term stream."""

    def __init__(self, config: RDFERConfig):
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.attention_output = nn.Linear(config.hidden_size, config.hidden_size)
        self.mlp_norm = nn.LayerNorm(config.hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(config.hidden_size, 2 * config.hidden_size),
            nn.GELU(),
            nn.Linear(2 * config.hidden_size, config.hidden_size),
        )

    def forward(self, hidden_state: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query_key_value = self.query_key_value(self.attention_norm(hidden_state))
        query, key, value = query_key_value.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mask = mask[:, None, None, :]
        if self.config._attn_implementation == "eager":
            scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            attended = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ value
        else:
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        hidden_state = hidden_state + self.attention_output(attended.transpose(1, 2).flatten(2))
        return hidden_state + self.mlp(self.mlp_norm(hidden_state))


def _is_single_label(config: RDFERConfig) -> bool:
    if config.problem_type is None:
        return config.num_labels > 1
    return config.problem_type == "single_label_classification"


class RDFERPreTrainedModel(VideoBackbonePreTrainedModel):
    """Weight initialisation, loading and saving for the RDFER family."""

    config_class = RDFERConfig
    base_model_prefix = "rdfer"
    backbone_names = ("backbone", "detector.backbone")
    _no_split_modules = ["RDFERKeyExpressionDetector", "RDFERLongTermLayer"]
    # Quantizers leave it as it is: they cannot take a layer with one input.
    _keep_in_fp32_modules = ["time_embedding"]

    @classmethod
    def from_backbone_pretrained(
        cls,
        backbone: str | PreTrainedModel,
        detector_backbone: str | PreTrainedModel | None = None,
        config: RDFERConfig | None = None,
        **hub_kwargs,
    ):
        """Makes a new model with pretrained backbones; all other weights are random.

        Args:
            backbone (`str` or `PreTrainedModel`):
                Name on the Hub or folder of a checkpoint of transformers that has a backbone class, e.g.
                `"microsoft/resnet-18"`, or a backbone itself, e.g. `TimmBackbone.from_pretrained("resnet18")`.
            detector_backbone (`str` or `PreTrainedModel`, *optional*):
                The same for the detecting network; by default its backbone is random too.
            config ([`RDFERConfig`], *optional*):
                All other settings; its backbone configurations are replaced by those of the pretrained backbones.
            hub_kwargs:
                Passed to `from_pretrained`: `token`, `revision`, `cache_dir`, ...

        Returns:
            The model.

        Raises:
            OSError: if a checkpoint cannot be found.
        """
        backbones = {"backbone": load_backbone(backbone, **hub_kwargs)}
        if detector_backbone is not None:
            backbones["detector.backbone"] = load_backbone(detector_backbone, **hub_kwargs)
        return cls._from_backbones(backbones, config)


class RDFERModel(RDFERPreTrainedModel):
    """RDFER without the classification heads of the dual-stream network (docs/method.md, Dual-stream network).

    It has the key expression detecting network, key expression re-sampling, a backbone, the short-term stream (a
    bidirectional LSTM over the frames of a clip and their differences) and the long-term stream (self-attention over
    the clips and the detecting network's summary).

    Args:
        config ([`RDFERConfig`]): the configuration.
    """

    def __init__(self, config: RDFERConfig):
        super().__init__(config)
        self.detector = RDFERKeyExpressionDetector(config)
        self.backbone = build_backbone(config.backbone_config)
        if config.temporal_shift:
            add_temporal_shift(self.backbone, config.frames_per_clip)
            add_temporal_shift(self.detector.backbone, config.num_detector_frames)
        self.short_term_norm = nn.LayerNorm(self.backbone.channels[-1])
        self.short_term_projection = nn.Linear(self.backbone.channels[-1], config.hidden_size)
        self.short_term_lstm = RDFERLSTM(
            2 * config.hidden_size,
            config.hidden_size // 2,
            num_layers=config.num_recurrent_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.summary_projection = nn.Linear(config.detector_hidden_size, config.hidden_size)
        self.time_embedding = nn.Linear(1, config.hidden_size)
        self.long_term_layers = nn.ModuleList(RDFERLongTermLayer(config) for _ in range(config.num_long_term_layers))
        self.long_term_norm = nn.LayerNorm(config.hidden_size)
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
    ) -> RDFERModelOutput:
        """Computes the states of both streams.

        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its stratum of the saliency each clip is centred. By default random in training, 0.5 in
                evaluation.
            face_confidence (`torch.FloatTensor` of shape `(B,)`, *optional*): not used, only the heads need it.
            shared_features (`Callable`, *optional*):
                Gives features of frames instead of the backbones, so that windows of a video can share them: called
                with the name of a backbone and indices `(B, N)` into the T input frames, it returns what
                `pooled_features` does for these `B * N` frames.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`RDFERModelOutput`]: states of both streams, and the detector's scores.

        Raises:
            ValueError: if a shape does not fit or a video has no real frame.
        """
        config = self.config
        batch, num_frames = pixel_values_videos.shape[:2]
        real_frames_so_far, num_real_frames = self._real_frames(pixel_values_videos, frame_mask)

        def frames_at(positions, backbone):
            """Frames or their features, and the indices, of positions among the real frames."""
            indices = self._indices_at(real_frames_so_far, positions)
            if shared_features is None:
                return self._frames_at(pixel_values_videos, indices), None, indices
            features = shared_features(backbone, indices.flatten(1))[-1]
            return None, features.unflatten(0, indices.shape), indices

        part = torch.arange(config.num_detector_frames, device=num_real_frames.device)
        detector_positions = (2 * part + 1) * num_real_frames[:, None] // (2 * config.num_detector_frames)
        detector_frames, features, frame_indices = frames_at(detector_positions, "detector.backbone")
        detector_logits, frame_logits, summary, detector_states = self.detector(detector_frames, features)

        if clip_jitter is None and self.training:
            clip_jitter = torch.rand(batch, config.num_clips, device=num_real_frames.device)
        positions = resample_clips(
            interpolate_saliency(self._saliency(detector_logits, frame_logits), num_real_frames, num_frames),
            num_real_frames,
            num_clips=config.num_clips,
            frames_per_clip=config.frames_per_clip,
            clip_stride=config.clip_stride,
            min_clip_separation=config.min_clip_separation,
            saliency_floor=config.saliency_floor,
            clip_jitter=clip_jitter,
        )
        clips, features, key_frame_indices = frames_at(positions, "backbone")
        clip_mask = distinct_clips(key_frame_indices)

        if features is None:
            features = pooled_features(self.backbone, clips.flatten(0, 2), config.frames_per_clip)[-1]
        features = features.reshape(batch * config.num_clips, config.frames_per_clip, -1)
        short_term = self._short_term_stream(features).unflatten(0, (batch, config.num_clips))
        short_term_state = short_term.mean(2)
        # The time of a clip in its video, from -1 to 1.
        time = positions.to(features.dtype).mean(-1) / num_real_frames[:, None].to(features.dtype) * 2 - 1
        long_term = self._long_term_stream(summary, short_term_state, time, clip_mask)

        clip_features = features.unflatten(0, (batch, config.num_clips))
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        return RDFERModelOutput(
            clip_features=clip_features,
            short_term_state=short_term_state,
            long_term_state=long_term[:, 0],  # the summary's token has attended to all clips
            detector_logits=detector_logits,
            frame_logits=frame_logits,
            frame_indices=frame_indices,
            key_frame_indices=key_frame_indices,
            num_valid_clips=clip_mask.sum(1),
            hidden_states=(*detector_states, clip_features, short_term, long_term) if output_hidden_states else None,
        )

    def _short_term_stream(self, features: torch.Tensor) -> torch.Tensor:
        """Turns features `(B K, L, D)` of the frames of clips into states `(B K, L, H)`."""
        projected = self.short_term_projection(self.short_term_norm(features))
        movement = F.pad(projected[:, 1:] - projected[:, :-1], (0, 0, 1, 0))
        return self.short_term_lstm(torch.cat([projected, movement], dim=-1))[0]

    def _long_term_stream(self, summary, short_term_state, time, clip_mask) -> torch.Tensor:
        """Turns the detector's summary and the K clip states into states `(B, K + 1, H)`, the summary's first."""
        # Detached, since the detector learns from its own loss only.
        time = self.time_embedding(time[..., None].to(self.time_embedding.weight.dtype)).to(short_term_state.dtype)
        tokens = torch.cat([self.summary_projection(summary.detach())[:, None], short_term_state + time], dim=1)
        token_mask = F.pad(clip_mask, (1, 0), value=True)
        for layer in self.long_term_layers:
            tokens = layer(tokens, token_mask)
        return self.long_term_norm(tokens)

    def _saliency(self, detector_logits: torch.Tensor, frame_logits: torch.Tensor) -> torch.Tensor:
        """Saliency `(B, S)` of the detector frames: the posterior of the key expression in each."""
        if self.config.resampling == "uniform" or self.config.num_labels == 1:
            return frame_logits.new_ones(frame_logits.shape[:2], dtype=torch.float)
        logits = frame_logits.detach().float()
        posterior = logits.softmax(-1) if _is_single_label(self.config) else logits.sigmoid()
        key_expression = detector_logits.argmax(-1)[:, None, None].expand(-1, posterior.shape[1], 1)
        return posterior.gather(-1, key_expression).squeeze(-1)


class RDFERForVideoClassification(RDFERPreTrainedModel):
    """RDFER with its classification heads.

    The scores are residual over frames (docs/method.md, Dual-stream network): a clip's logits are the mean of its
    frames' logits plus a residual from the short-term state; a video's logits are the mean of its clips' logits plus a
    residual from both states.

    Args:
        config ([`RDFERConfig`]): the configuration.

    Example:

    ```python
    >>> from modeling_rdfer import RDFERForVideoClassification, RDFERVideoProcessor

    >>> model = RDFERForVideoClassification.from_pretrained("hub_cards/rdfer-small")
    >>> processor = RDFERVideoProcessor.from_pretrained("hub_cards/rdfer-small")
    >>> outputs = model(**processor("tests/data/cap13_edit2.mp4", return_tensors="pt"))
    >>> model.config.id2label[outputs.logits.argmax(-1).item()]
    'neutral'

    ```"""

    # Quantizers match names from their start.
    _keep_in_fp32_modules = ["time_embedding", "rdfer.time_embedding"]

    def __init__(self, config: RDFERConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.rdfer = RDFERModel(config)
        self.classifier = nn.Linear(self.rdfer.backbone.channels[-1], config.num_labels)
        self.dropout = nn.Dropout(config.dropout)
        self.short_term_classifier = RDFERZeroLinear(config.hidden_size, config.num_labels)
        self.fusion_classifier = RDFERZeroLinear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    def classify_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Returns uncalibrated scores `(N, C)` of single frames `(N, num_channels, H, W)`, uint8 or normalised."""
        return self.classifier(pooled_features(self.rdfer.backbone, self._normalise(frames), 1)[-1])

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        clip_jitter: torch.Tensor | None = None,
        face_confidence: torch.Tensor | None = None,
        shared_features: Callable | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> RDFERVideoClassifierOutput:
        """Classifies videos.

        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            labels (`torch.Tensor`, *optional*):
                `(B,)` long, 0..C-1, for single-label classification; `(B, C)` float for multi-label classification
                (if `config.problem_type` is `"multi_label_classification"`); `(B,)` or `(B, C)` float for regression.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its stratum of the saliency each clip is centred. By default random in training, 0.5 in
                evaluation.
            face_confidence (`torch.FloatTensor` of shape `(B,)`, values in (0, 1], *optional*):
                How far each face can be read, as the processor returns it. The logits of the video and its clips are
                multiplied by it, after the loss; 1 by default.
            shared_features (`Callable`, *optional*): see the base model.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`RDFERVideoClassifierOutput`]: scores, agreement, and the loss if `labels` is given.

        Raises:
            ValueError: if a shape does not fit or a video has no real frame.
        """
        outputs = self.rdfer(
            pixel_values_videos,
            frame_mask=frame_mask,
            clip_jitter=clip_jitter,
            shared_features=shared_features,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        clip_mask = distinct_clips(outputs.key_frame_indices)
        clip_weights = clip_mask.to(outputs.clip_features.dtype)[..., None]
        clip_weights = clip_weights / clip_weights.sum(1, keepdim=True)

        short_term_state = self.dropout(outputs.short_term_state)
        # Layers of bitsandbytes take three dimensions at most.
        frame_scores = self.classifier(outputs.clip_features.flatten(1, 2)).unflatten(1, clip_mask.shape[1:] + (-1,))
        clip_logits = frame_scores.mean(2) + self.short_term_classifier(short_term_state)
        states = torch.cat([(short_term_state * clip_weights).sum(1), self.dropout(outputs.long_term_state)], dim=-1)
        logits = (clip_logits * clip_weights).sum(1) + self.fusion_classifier(states)
        if self.config.calibration_temperature is not None:
            logits, clip_logits = (each / self.config.calibration_temperature for each in (logits, clip_logits))

        loss = None
        if labels is not None:
            loss = self._loss(logits, clip_logits, clip_mask, outputs.detector_logits, labels)
        output = RDFERVideoClassifierOutput(
            loss=loss,
            logits=logits,
            clip_logits=clip_logits,
            detector_logits=outputs.detector_logits,
            frame_logits=outputs.frame_logits,
            frame_indices=outputs.frame_indices,
            agreement=clip_agreement(clip_logits, clip_mask),
            num_valid_clips=outputs.num_valid_clips,
            key_frame_indices=outputs.key_frame_indices,
            short_term_state=outputs.short_term_state,
            long_term_state=outputs.long_term_state,
            hidden_states=outputs.hidden_states,
        )
        if face_confidence is not None:
            apply_face_confidence(output, face_confidence, self.config)
        return output

    def _loss(self, logits, clip_logits, clip_mask, detector_logits, labels) -> torch.Tensor:
        labels = labels.to(logits.device)
        criterion: Callable[..., torch.Tensor]
        if _is_single_label(self.config):
            if labels.is_floating_point():
                raise ValueError(
                    "Floating point `labels` need `config.problem_type` to be 'multi_label_classification' or "
                    f"'regression', it is {self.config.problem_type!r}."
                )
            criterion, labels = F.cross_entropy, labels.long().reshape(logits.shape[0])
        elif self.config.problem_type == "multi_label_classification":
            criterion, labels = F.binary_cross_entropy_with_logits, labels.to(logits.dtype)
        else:
            criterion, labels = F.mse_loss, labels.reshape(logits.shape).to(logits.dtype)
        num_clips = clip_mask.sum(1)
        # Each video counts once, whatever its number of distinct clips.
        clip_losses = criterion(
            clip_logits.flatten(0, 1), labels.repeat_interleave(clip_logits.shape[1], 0), reduction="none"
        )
        clip_losses = clip_losses.reshape(*clip_mask.shape, -1).mean(-1)
        clip_losses = (clip_losses * clip_mask).sum(1) / num_clips
        # As everywhere in PyTorch, a label of -100 does not count.
        counted = labels != -100 if criterion is F.cross_entropy else torch.ones_like(clip_losses)
        clip_loss = clip_losses.sum() / counted.sum()
        return (
            criterion(logits, labels)
            + self.config.clip_loss_weight * clip_loss
            + self.config.detector_loss_weight * criterion(detector_logits, labels)
        )


__all__ = [
    "RDFERForVideoClassification",
    "RDFERModel",
    "RDFERModelOutput",
    "RDFERPreTrainedModel",
    "RDFERVideoClassifierOutput",
]
