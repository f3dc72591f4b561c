# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""RDFER: robust dynamic facial expression recognition (arXiv 2502.16129) as a transformers model.

Only the abstract and the captions of the paper are at hand. What follows is our reading of them: a key expression
detecting network finds where in a video its key expression is (`RDFERKeyExpressionDetector`), clips are re-sampled
there (`resample_clips`), and a dual-stream network reads facial movement inside the clips and emotional change among
them (`RDFERModel`). How far the clips agree tells hard samples from noisy ones (`clip_agreement`).
"""

import functools
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin
from transformers.modeling_outputs import BackboneOutput
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_rdfer import RDFERConfig, RDFERFrameNetConfig


@dataclass
class RDFERModelOutput(ModelOutput):
    """
    Output of [`RDFERModel`]. B videos of T frames, S detector frames, K clips of L frames, C labels, D backbone
    features, H `hidden_size`.

    Args:
        clip_features (`torch.FloatTensor` of shape `(B, K, L, D)`):
            Pooled features of the backbone, one vector for each frame of each clip.
        short_term_state (`torch.FloatTensor` of shape `(B, K, H)`):
            Facial movement: state of the short-term stream for each clip.
        long_term_state (`torch.FloatTensor` of shape `(B, H)`):
            Emotional change: state of the long-term stream.
        detector_logits (`torch.FloatTensor` of shape `(B, C)`):
            The detecting network's answer for the whole video. Log-probabilities unless the problem type is
            multi-label classification or regression.
        frame_logits (`torch.FloatTensor` of shape `(B, S, C)`):
            The detecting network's answer for each of its frames.
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
    key_frame_indices: torch.LongTensor | None = None
    num_valid_clips: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class RDFERVideoClassifierOutput(ModelOutput):
    """
    Output of [`RDFERForVideoClassification`]. B videos of T frames, S detector frames, K clips of L frames, C labels,
    H `hidden_size`.

    Args:
        loss (`torch.FloatTensor` of shape `()`, returned when `labels` is given):
            Loss of the videos + `clip_loss_weight` x loss of the clips + `detector_loss_weight` x loss of the
            detecting network, mean over the batch, without any agreement weighting.
        logits (`torch.FloatTensor` of shape `(B, C)`):
            Classification scores of the videos, before softmax.
        clip_logits (`torch.FloatTensor` of shape `(B, K, C)`):
            Classification scores of the clips.
        detector_logits (`torch.FloatTensor` of shape `(B, C)`):
            See [`RDFERModelOutput`].
        frame_logits (`torch.FloatTensor` of shape `(B, S, C)`):
            See [`RDFERModelOutput`].
        agreement (`torch.FloatTensor` of shape `(B,)`, values in (0, 1]):
            Share of the distinct clips that predict the most frequent label among them.
        num_valid_clips (`torch.LongTensor` of shape `(B,)`, values 1..K):
            Number of distinct clips.
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
    key_frame_indices: torch.LongTensor | None = None
    short_term_state: torch.FloatTensor | None = None
    long_term_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


# Key expression re-sampling ------------------------------------------------------------------------------------------


def distinct_clips(key_frame_indices: torch.LongTensor) -> torch.BoolTensor:
    """
    Marks the clips that are not a copy of the clip before them (ours).

    Args:
        key_frame_indices (`torch.LongTensor` of shape `(B, K, L)`): frames of the clips, sorted in time.

    Returns:
        `torch.BoolTensor` of shape `(B, K)`; the first clip is always True.
    """
    moved = (key_frame_indices[:, 1:] != key_frame_indices[:, :-1]).any(-1)
    return torch.cat([torch.ones_like(key_frame_indices[:, :1, 0], dtype=torch.bool), moved], dim=1)


def clip_agreement(clip_logits: torch.Tensor, clip_mask: torch.Tensor | None = None) -> torch.Tensor:
    """
    Agreement of the clips of a video (section 3.4 of the design, after figure 1 of the paper): E_i is the class that
    clip i is classified as, A = max_c (1/K) sum_i [E_i = c].

    Args:
        clip_logits (`torch.FloatTensor` of shape `(B, K, C)`): scores of the clips.
        clip_mask (`torch.BoolTensor` of shape `(B, K)`, *optional*): True for the clips to count; all by default.

    Returns:
        `torch.FloatTensor` (float32) of shape `(B,)` with values in {1/K, ..., 1}.
    """
    votes = F.one_hot(clip_logits.argmax(-1), clip_logits.shape[-1]).float()
    if clip_mask is None:
        return votes.mean(1).amax(-1)
    clip_mask = clip_mask.to(votes.dtype)
    return (votes * clip_mask[..., None]).sum(1).amax(-1) / clip_mask.sum(1)


def interpolate_saliency(saliency: torch.Tensor, num_real_frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """
    Linear interpolation of the saliency from the S detector frames, which stand in the middle of S equal parts of the
    video, to its frames (ours).

    Args:
        saliency (`torch.FloatTensor` of shape `(B, S)`): saliency of the detector frames.
        num_real_frames (`torch.LongTensor` of shape `(B,)`): frames of each video without padding, at least 1.
        num_frames (`int`): T, the frames of the batch with padding.

    Returns:
        `torch.FloatTensor` of shape `(B, T)`: the value at the r-th real frame of each video; what stands behind the
        last real frame has no meaning.
    """
    last = saliency.shape[1] - 1
    rank = torch.arange(num_frames, device=saliency.device, dtype=saliency.dtype)
    position = ((rank + 0.5) * (last + 1) / num_real_frames[:, None].to(saliency.dtype) - 0.5).clamp(0, last)
    left = position.floor().long()
    right = (left + 1).clamp(max=last)
    fraction = position - left
    return saliency.gather(1, left) * (1 - fraction) + saliency.gather(1, right) * fraction


def resample_clips(
    saliency: torch.Tensor,
    num_real_frames: torch.Tensor,
    *,
    num_clips: int,
    frames_per_clip: int,
    clip_stride: int = 1,
    min_clip_separation: int = 0,
    saliency_floor: float = 0.1,
    clip_jitter: torch.Tensor | None = None,
) -> torch.LongTensor:
    """
    Key expression re-sampling: draws the centres of K clips by inverse transform sampling of the cumulative saliency
    and lays L frames around each (section 3.2 of the design; the sampling is ours).

    The mass of the saliency is cut into K equal strata and one centre is taken from each, so that the clips crowd
    where the key expression is and yet cover the video. Clips keep `min_clip_separation` as far as the video is long
    enough, and are spread out evenly where it is not.

    Args:
        saliency (`torch.FloatTensor` of shape `(B, T)`, values >= 0): saliency of the real frames of each video, in
            order; what stands behind the last real frame is not used.
        num_real_frames (`torch.LongTensor` of shape `(B,)`, values 1..T): real frames of each video.
        num_clips (`int`): K.
        frames_per_clip (`int`): L.
        clip_stride (`int`): frames from one frame of a clip to the next; reduced where the video is shorter than a
            clip, so that it is covered evenly.
        min_clip_separation (`int`): least distance, in frames, of the beginnings of two clips.
        saliency_floor (`float`, above 0): added to the saliency of every frame.
        clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*): where in its stratum each
            centre is taken; the middle by default.

    Returns:
        `torch.LongTensor` of shape `(B, K, L)`: for each clip the ranks of its frames among the real frames of its
        video, both sorted in time.
    """
    saliency = saliency.float()
    rank = torch.arange(saliency.shape[1], device=saliency.device)
    mass = (saliency + saliency_floor) * (rank < num_real_frames[:, None])
    cumulative = mass.cumsum(1)
    stratum = torch.arange(num_clips, device=saliency.device)
    quantile = (stratum + (0.5 if clip_jitter is None else clip_jitter.float())) / num_clips
    # An even saliency puts quantiles exactly on frame borders: the small number keeps rounding from deciding there.
    target = (quantile - 1e-4) * cumulative[:, -1:]
    # A comparison and a sum instead of `searchsorted`, which has no ONNX counterpart.
    centre = (cumulative[:, None, :] < target[:, :, None]).sum(-1).float()

    last = (num_real_frames[:, None] - 1).float()
    stride = float(clip_stride)
    if frames_per_clip > 1:
        stride = (last / (frames_per_clip - 1)).clamp(max=stride)
    span = (frames_per_clip - 1) * stride
    last_start = last - span
    start = (centre - span / 2).clamp(min=0).minimum(last_start)
    if num_clips > 1:
        # Without the separation that is due to the k-th clip, starts only have to be non-decreasing. The mean of the
        # least such sequence above and the greatest below moves clips to both sides alike.
        separation = (last_start / (num_clips - 1)).clamp(max=float(min_clip_separation)) * stratum
        relative = start - separation
        raised = relative.cummax(1).values
        lowered = relative.flip(1).cummin(1).values.flip(1)
        relative = ((raised + lowered) / 2).clamp(min=0).minimum(last_start - separation[:, -1:])
        start = relative + separation
    offset = stride * torch.arange(frames_per_clip, device=saliency.device)
    if frames_per_clip == 1:
        return (start + 0.5).floor().long()[:, :, None]
    # Whole starts and whole offsets keep the frames of a clip equidistant; in a video shorter than a clip both vanish.
    return (start + 0.5).floor().long()[:, :, None] + (offset + 0.5).floor().long()[:, None, :]


# Backbones -----------------------------------------------------------------------------------------------------------


class RDFERSeparableConv(nn.Module):
    """Depthwise 3x3 convolution without bias and pointwise 1x1 convolution with bias."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.depthwise = RDFERSameConv(in_channels, in_channels, stride=stride, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(hidden_state))


class RDFERSameConv(nn.Conv2d):
    """3x3 convolution that pads as TensorFlow's SAME: with stride 2, an even size only below and at the right."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int = 1, bias: bool = True):
        super().__init__(
            in_channels, out_channels, 3, stride=stride, padding=int(stride == 1), groups=groups, bias=bias
        )

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 2:
            height, width = hidden_state.shape[-2:]
            hidden_state = F.pad(hidden_state, (width % 2, 1, height % 2, 1))
        return super().forward(hidden_state)


class RDFERFrameBlock(nn.Module):
    """Block of the frame network: four convolutions, each fed with the sum of all outputs before it."""

    def __init__(self, in_channels: int, out_channels: int, first: bool):
        super().__init__()
        down = RDFERSameConv if first else RDFERSeparableConv
        self.convolutions = nn.ModuleList(
            [
                down(in_channels, out_channels, stride=2),
                *(RDFERSeparableConv(out_channels, out_channels) for _ in range(3)),
            ]
        )

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        first, second, third, fourth = self.convolutions
        total = F.relu(first(hidden_state))
        # The second convolution sees the first's output alone; from there on the sum is rectified before each.
        total = total + second(total)
        total = total + third(F.relu(total))
        total = total + fourth(F.relu(total))
        return F.relu(total)


class RDFERFrameNet(BackboneMixin, PreTrainedModel):
    """
    Small network for single face images, used through transformers' backbone API. Every stage halves height and width.
    It computes what the face-expression network of face-api.js (MIT) computes, so its weights can be loaded.

    Args:
        config ([`RDFERFrameNetConfig`]): the configuration.
    """

    config_class = RDFERFrameNetConfig
    base_model_prefix = "frame_net"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    has_attentions = False

    def __init__(self, config: RDFERFrameNetConfig):
        super().__init__(config)
        self.num_features = list(config.hidden_sizes)
        channels = [config.num_channels, *config.hidden_sizes]
        self.blocks = nn.ModuleList(
            RDFERFrameBlock(channels[index], channels[index + 1], first=index == 0)
            for index in range(len(config.hidden_sizes))
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            # Gain 1, not sqrt(2): there is no normalisation, and the sums inside the blocks grow the features already.
            init.kaiming_normal_(module.weight, nonlinearity="linear")

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        """
        Args:
            pixel_values (`torch.FloatTensor` of shape `(N, num_channels, height, width)`): normalised images.

        Returns:
            [`~transformers.modeling_outputs.BackboneOutput`] whose `feature_maps` are those of `config.out_features`.
        """
        feature_maps = ()
        hidden_state = pixel_values
        for name, block in zip(self.stage_names, self.blocks):
            hidden_state = block(hidden_state)
            if name in self.out_features:
                feature_maps += (hidden_state,)
        return BackboneOutput(feature_maps=feature_maps)


def _build_backbone(config: PreTrainedConfig) -> PreTrainedModel:
    # Not through `AutoBackbone.register`: in a remote-code checkpoint this file and the configuration file become two
    # dynamic modules with two config classes, so only the type's name is common to both.
    if config.model_type == RDFERFrameNetConfig.model_type:
        return RDFERFrameNet._from_config(config)
    return AutoBackbone.from_config(config)


def _pooled_features(backbone: PreTrainedModel, frames: torch.Tensor, frames_per_group: int) -> torch.Tensor:
    """
    Frames `(N, num_channels, H, W)` to the last feature map of the backbone, averaged: `(N, D)`. Groups of
    `frames_per_group` frames stay together (temporal shift).
    """
    # Channels last is up to 2.8 times as fast on a CPU (separable convolutions) and never slower.
    frames = frames.contiguous(memory_format=torch.channels_last)
    parts = (frames,)
    if frames.device.type == "cpu" and not torch.compiler.is_compiling() and not backbone.training:
        has_graph = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in backbone.parameters())
        if not has_graph:
            # What stays in the cache is up to 4.6 times as fast as 256 frames at once.
            parts = frames.split(max(1, 16 // frames_per_group) * frames_per_group)
    return torch.cat([backbone(part).feature_maps[-1].mean((-2, -1)) for part in parts])


def _residual_layers(backbone: nn.Module) -> list[nn.Module]:
    # Imported here, since importing the package shall be quick.
    from transformers.models.resnet.modeling_resnet import ResNetBasicLayer, ResNetBottleNeckLayer

    return [m for m in backbone.modules() if isinstance(m, (ResNetBasicLayer, ResNetBottleNeckLayer))]


def _temporal_shift(module: nn.Module, args: tuple, num_frames: int) -> torch.Tensor:
    """Forward pre-hook: shifts 1/8 of the channels to the next frame, 1/8 to the frame before (TSM, residual form)."""
    (hidden_state,) = args
    frames = hidden_state.unflatten(0, (-1, num_frames))
    fold = frames.shape[2] // 8
    forwards, backwards, rest = frames.split([fold, fold, frames.shape[2] - 2 * fold], dim=2)
    forwards = F.pad(forwards[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    backwards = F.pad(backwards[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([forwards, backwards, rest], dim=2).flatten(0, 1)


def _add_temporal_shift(backbone: nn.Module, num_frames: int):
    # Hooks instead of wrapper modules keep the names of the weights those of the pretrained backbone.
    layers = _residual_layers(backbone)
    if not layers:
        raise ValueError(
            "`temporal_shift=True` needs ResNet backbones of transformers, got a configuration of type "
            f"{backbone.config.model_type!r}."
        )
    for layer in layers:
        layer.layer.register_forward_pre_hook(functools.partial(_temporal_shift, num_frames=num_frames))


@contextmanager
def _frozen_batch_norm_statistics(module: nn.Module):
    """Inside, batch norms in training mode normalise by their batch but leave their running statistics as they are."""
    norms = [
        m
        for m in module.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.num_batches_tracked is not None
    ]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


def _checkpointed_forward(block: nn.Module, checkpoint: functools.partial, *args):
    forward = functools.partial(type(block).forward, block)
    # Reentrant checkpointing gives no gradients to a block whose input needs none, as the video.
    loses_gradient = checkpoint.keywords.get("use_reentrant") and not any(arg.requires_grad for arg in args)
    if loses_gradient or not (block.training and torch.is_grad_enabled()):
        return forward(*args)
    recomputing = False

    def run(*args):
        nonlocal recomputing
        with _frozen_batch_norm_statistics(block) if recomputing else nullcontext():
            recomputing = True
            return forward(*args)

    return checkpoint(run, *args)


# The two networks ----------------------------------------------------------------------------------------------------


class RDFERZeroLinear(nn.Linear):
    """
    Linear layer that starts at zero. The residual parts of the model are made of it, so that a new model is an
    ensemble over its key frames (section 3.7 of the design).
    """


class RDFERKeyExpressionDetector(nn.Module):
    """
    Key expression detecting network (section 3.1 of the design): a tiny backbone and a bidirectional LSTM give an
    answer for each of S frames; attention pools their posteriors into one for the video (multiple-instance learning).
    """

    def __init__(self, config: RDFERConfig):
        super().__init__()
        self.config = config
        self.backbone = _build_backbone(config.detector_backbone_config)
        num_features = self.backbone.channels[-1]
        self.classifier = nn.Linear(num_features, config.num_labels)
        self.norm = nn.LayerNorm(num_features)
        self.lstm = nn.LSTM(
            num_features,
            config.detector_hidden_size // 2,
            num_layers=config.num_recurrent_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.residual_classifier = RDFERZeroLinear(config.detector_hidden_size, config.num_labels)
        # No bias: the softmax over the frames would cancel it.
        self.attention = RDFERZeroLinear(config.detector_hidden_size, 1, bias=False)

    def forward(self, frames: torch.Tensor):
        """
        Args:
            frames (`torch.FloatTensor` of shape `(B, S, num_channels, H, W)`): normalised frames.

        Returns:
            detector_logits `(B, C)`, frame_logits `(B, S, C)`, summary `(B, detector_hidden_size)`, and the hidden
            states: features `(B, S, D')` and recurrent states `(B, S, detector_hidden_size)`.
        """
        size = self.config.detector_image_size
        batch, num_frames = frames.shape[:2]
        frames = frames.flatten(0, 1)
        if max(frames.shape[-2:]) > size:
            frames = F.interpolate(frames, (size, size), mode="area")
        features = _pooled_features(self.backbone, frames, num_frames).unflatten(0, (batch, num_frames))
        states = self.lstm(self.norm(features))[0]
        frame_logits = self.classifier(features) + self.residual_classifier(states)
        log_weights = self.attention(states).log_softmax(1)
        if _is_single_label(self.config):
            detector_logits = (log_weights + frame_logits.log_softmax(-1)).logsumexp(1)
        else:
            detector_logits = (log_weights.exp() * frame_logits).sum(1)
        summary = (log_weights.exp() * states).sum(1)
        return detector_logits, frame_logits, summary, (features, states)


class RDFERLongTermLayer(nn.Module):
    """Pre-norm self-attention layer of the long-term stream."""

    def __init__(self, config: RDFERConfig):
        super().__init__()
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
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        hidden_state = hidden_state + self.attention_output(attended.transpose(1, 2).flatten(2))
        return hidden_state + self.mlp(self.mlp_norm(hidden_state))


def _is_single_label(config: RDFERConfig) -> bool:
    if config.problem_type is None:
        return config.num_labels > 1
    return config.problem_type == "single_label_classification"


class RDFERPreTrainedModel(PreTrainedModel):
    """Weight initialisation, loading and saving for the RDFER family."""

    config_class = RDFERConfig
    base_model_prefix = "rdfer"
    main_input_name = "pixel_values_videos"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    # `Trainer` would otherwise take it that `forward` divides the loss by the accumulation steps.
    accepts_loss_kwargs = False
    _no_split_modules = ["RDFERKeyExpressionDetector", "RDFERLongTermLayer"]

    gradient_checkpointing = False
    _backbone_is_frozen = False

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, RDFERZeroLinear):
            init.zeros_(module.weight)

    def _backbones(self) -> list[nn.Module]:
        return [self.base_model.backbone, self.base_model.detector.backbone]

    def freeze_backbone(self):
        """Excludes both backbones from training: no gradients, and batch norms keep using their running statistics."""
        self._backbone_is_frozen = True
        for backbone in self._backbones():
            backbone.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True):
        super().train(mode)
        if self._backbone_is_frozen:
            for backbone in self._backbones():
                backbone.eval()
        return self

    def _set_gradient_checkpointing(self, enable: bool = True, gradient_checkpointing_func=None, every_n_layers=1):
        # The backbones do not support it themselves. Their blocks are replaced at their `forward`, not wrapped, so the
        # names of the weights stay.
        self.gradient_checkpointing = enable
        for backbone in self._backbones():
            frame_blocks = [m for m in backbone.modules() if isinstance(m, RDFERFrameBlock)]
            blocks = frame_blocks or _residual_layers(backbone) or [backbone]
            for index, block in enumerate(blocks):
                block.__dict__.pop("forward", None)
                if enable and index % every_n_layers == 0:
                    block.forward = functools.partial(_checkpointed_forward, block, gradient_checkpointing_func)

    @classmethod
    def from_backbone_pretrained(
        cls,
        backbone: str | PreTrainedModel,
        detector_backbone: str | PreTrainedModel | None = None,
        config: RDFERConfig | None = None,
        **hub_kwargs,
    ):
        """
        New model whose backbones start from pretrained weights and whose other weights are drawn at random.

        Args:
            backbone (`str` or `PreTrainedModel`):
                Name on the Hub or folder of a checkpoint of transformers that has a backbone class, e.g.
                `"microsoft/resnet-18"`, or a backbone itself, e.g. `TimmBackbone.from_pretrained("resnet18")`.
            detector_backbone (`str` or `PreTrainedModel`, *optional*):
                The same for the detecting network. By default its backbone keeps its random weights.
            config ([`RDFERConfig`], *optional*):
                Everything else; its backbone configurations are replaced by those of the pretrained backbones.
            hub_kwargs:
                Passed to `from_pretrained`: `token`, `revision`, `cache_dir`, ...

        Raises:
            OSError: if a checkpoint cannot be found.
        """
        loaded = {"backbone": _load_backbone(backbone, **hub_kwargs)}
        if detector_backbone is not None:
            loaded["detector_backbone"] = _load_backbone(detector_backbone, **hub_kwargs)
        settings = {} if config is None else config.to_dict()
        for name, module in loaded.items():
            # The labels of a classifier that the backbone was taken from are not the labels of this model.
            labels = ("id2label", "label2id", "architectures")
            settings[f"{name}_config"] = {k: v for k, v in module.config.to_dict().items() if k not in labels}
        model = cls._from_config(RDFERConfig(**settings))
        model.base_model.backbone.load_state_dict(loaded["backbone"].state_dict())
        if "detector_backbone" in loaded:
            model.base_model.detector.backbone.load_state_dict(loaded["detector_backbone"].state_dict())
        return model


def _load_backbone(backbone: str | PreTrainedModel, **hub_kwargs) -> PreTrainedModel:
    if isinstance(backbone, PreTrainedModel):
        return backbone
    config = AutoConfig.from_pretrained(backbone, **hub_kwargs)
    # `AutoBackbone.from_pretrained` asks the Hub even for a local folder; its class comes without asking.
    with torch.device("meta"):
        backbone_class = type(_build_backbone(config))
    return backbone_class.from_pretrained(backbone, config=config, **hub_kwargs)


class RDFERModel(RDFERPreTrainedModel):
    """
    RDFER without classification heads of the dual-stream network: detecting network, key expression re-sampling,
    backbone, short-term stream (a bidirectional LSTM over the frames of a clip and their differences) and long-term
    stream (self-attention over the clips and the detecting network's summary).

    Args:
        config ([`RDFERConfig`]): the configuration.
    """

    def __init__(self, config: RDFERConfig):
        super().__init__(config)
        self.detector = RDFERKeyExpressionDetector(config)
        self.backbone = _build_backbone(config.backbone_config)
        if config.temporal_shift:
            _add_temporal_shift(self.backbone, config.frames_per_clip)
            _add_temporal_shift(self.detector.backbone, config.num_detector_frames)
        self.short_term_norm = nn.LayerNorm(self.backbone.channels[-1])
        self.short_term_projection = nn.Linear(self.backbone.channels[-1], config.hidden_size)
        self.short_term_lstm = nn.LSTM(
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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> RDFERModelOutput:
        """
        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its stratum of the saliency each clip is centred. By default random in training, 0.5 in
                evaluation.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`RDFERModelOutput`]

        Raises:
            ValueError: if a shape does not fit or a video has no real frame.
        """
        config = self.config
        if pixel_values_videos.ndim != 5 or pixel_values_videos.shape[2] != config.num_channels:
            raise ValueError(
                "`pixel_values_videos` must have shape (batch_size, num_frames, num_channels, height, width) with "
                f"num_channels = {config.num_channels}, got {tuple(pixel_values_videos.shape)}."
            )
        batch, num_frames = pixel_values_videos.shape[:2]
        if frame_mask is None:
            frame_mask = torch.ones(batch, num_frames, dtype=torch.bool, device=pixel_values_videos.device)
        elif frame_mask.shape != (batch, num_frames):
            raise ValueError(
                f"`frame_mask` must have shape (batch_size, num_frames) = {(batch, num_frames)}, got "
                f"{tuple(frame_mask.shape)}."
            )
        frame_mask = frame_mask.bool()
        if not torch.compiler.is_compiling() and not frame_mask.any(1).all():
            empty = (~frame_mask.any(1)).nonzero().flatten().tolist()
            raise ValueError(f"`frame_mask` marks no real frame in row(s) {empty}: every video needs at least one.")
        # Ranks count the real frames of a video, positions all T frames of the tensor.
        real_frames_so_far = frame_mask.long().cumsum(1)
        num_real_frames = real_frames_so_far[:, -1].clamp(min=1)

        def frames_at(ranks: torch.LongTensor) -> tuple[torch.Tensor, torch.LongTensor]:
            positions = (real_frames_so_far[:, None, :] <= ranks.flatten(1)[:, :, None]).sum(-1)
            video = torch.arange(batch, device=positions.device)[:, None]
            return self._normalise(pixel_values_videos[video, positions]), positions.view_as(ranks)

        part = torch.arange(config.num_detector_frames, device=frame_mask.device)
        detector_ranks = (2 * part + 1) * num_real_frames[:, None] // (2 * config.num_detector_frames)
        detector_logits, frame_logits, summary, detector_states = self.detector(frames_at(detector_ranks)[0])

        if clip_jitter is None and self.training:
            clip_jitter = torch.rand(batch, config.num_clips, device=frame_mask.device)
        ranks = resample_clips(
            interpolate_saliency(self._saliency(detector_logits, frame_logits), num_real_frames, num_frames),
            num_real_frames,
            num_clips=config.num_clips,
            frames_per_clip=config.frames_per_clip,
            clip_stride=config.clip_stride,
            min_clip_separation=config.min_clip_separation,
            saliency_floor=config.saliency_floor,
            clip_jitter=clip_jitter,
        )
        clips, key_frame_indices = frames_at(ranks)
        clip_mask = distinct_clips(key_frame_indices)

        features = _pooled_features(self.backbone, clips.flatten(0, 1), config.frames_per_clip)
        features = features.unflatten(0, (batch * config.num_clips, config.frames_per_clip))
        projected = self.short_term_projection(self.short_term_norm(features))
        movement = F.pad(projected[:, 1:] - projected[:, :-1], (0, 0, 1, 0))
        short_term = self.short_term_lstm(torch.cat([projected, movement], dim=-1))[0]
        short_term = short_term.unflatten(0, (batch, config.num_clips))
        short_term_state = short_term.mean(2)

        # The time of a clip in its video, from -1 to 1.
        time = ranks.to(features.dtype).mean(-1) / num_real_frames[:, None].to(features.dtype) * 2 - 1
        # The detector learns from its own loss alone (design, 3.1), so its summary is detached.
        tokens = torch.cat(
            [
                self.summary_projection(summary.detach())[:, None],
                short_term_state + self.time_embedding(time[..., None]),
            ],
            dim=1,
        )
        token_mask = F.pad(clip_mask, (1, 0), value=True)
        for layer in self.long_term_layers:
            tokens = layer(tokens, token_mask)
        long_term = self.long_term_norm(tokens)
        # The summary's token has gathered what the clips have to say.
        long_term_state = long_term[:, 0]

        clip_features = features.unflatten(0, (batch, config.num_clips))
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        return RDFERModelOutput(
            clip_features=clip_features,
            short_term_state=short_term_state,
            long_term_state=long_term_state,
            detector_logits=detector_logits,
            frame_logits=frame_logits,
            key_frame_indices=key_frame_indices,
            num_valid_clips=clip_mask.sum(1),
            hidden_states=(*detector_states, clip_features, short_term, long_term) if output_hidden_states else None,
        )

    def _normalise(self, frames: torch.Tensor) -> torch.Tensor:
        if frames.is_floating_point():
            return frames.to(self.dtype)
        mean = torch.tensor(self.config.image_mean, device=frames.device).view(-1, 1, 1)
        std = torch.tensor(self.config.image_std, device=frames.device).view(-1, 1, 1)
        # In place: there are many frames, and copying them took a tenth of a training step of `tiny`.
        return frames.float().sub_(255 * mean).mul_(1 / (255 * std)).to(self.dtype)

    def _saliency(self, detector_logits: torch.Tensor, frame_logits: torch.Tensor) -> torch.Tensor:
        """Saliency `(B, S)` of the detector frames: the posterior of the key expression in each."""
        if self.config.resampling == "uniform" or self.config.num_labels == 1:
            return frame_logits.new_ones(frame_logits.shape[:2], dtype=torch.float)
        logits = frame_logits.detach().float()
        posterior = logits.softmax(-1) if _is_single_label(self.config) else logits.sigmoid()
        key_expression = detector_logits.argmax(-1)[:, None, None].expand(-1, posterior.shape[1], 1)
        return posterior.gather(-1, key_expression).squeeze(-1)


class RDFERForVideoClassification(RDFERPreTrainedModel):
    """
    RDFER with its heads. Everything is residual over frames (section 3.7 of the design): a clip's logits are the mean
    of its frames' logits plus a residual from the short-term state; a video's logits are the mean of its clips' logits
    plus a residual from both states.

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

    def __init__(self, config: RDFERConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.rdfer = RDFERModel(config)
        self.classifier = nn.Linear(self.rdfer.backbone.channels[-1], config.num_labels)
        self.dropout = nn.Dropout(config.dropout)
        self.short_term_classifier = RDFERZeroLinear(config.hidden_size, config.num_labels)
        self.fusion_classifier = RDFERZeroLinear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        clip_jitter: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> RDFERVideoClassifierOutput:
        """
        Args:
            pixel_values_videos (`torch.Tensor` of shape `(B, T, num_channels, H, W)`):
                Frames as the processor returns them: `uint8` RGB 0..255, which the model normalises, or floating
                point, normalised already. Any T >= 1.
            frame_mask (`torch.BoolTensor` of shape `(B, T)`, *optional*):
                True for real frames, False for padding, at least one True in every row. All real by default.
            labels (`torch.Tensor`, *optional*):
                `(B,)` long, 0..C-1, for single-label classification; `(B, C)` float for multi-label classification
                (`config.problem_type` must say so); `(B,)` or `(B, C)` float for regression.
            clip_jitter (`torch.FloatTensor` of shape `(B, K)`, values in [0, 1), *optional*):
                Where in its stratum of the saliency each clip is centred. By default random in training, 0.5 in
                evaluation.
            output_hidden_states (`bool`, *optional*): whether to return `hidden_states`.
            return_dict (`bool`, *optional*): whether to return a dataclass instead of a tuple.

        Returns:
            [`RDFERVideoClassifierOutput`]

        Raises:
            ValueError: if a shape does not fit or a video has no real frame.
        """
        outputs = self.rdfer(
            pixel_values_videos,
            frame_mask=frame_mask,
            clip_jitter=clip_jitter,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        clip_mask = distinct_clips(outputs.key_frame_indices)
        clip_weights = clip_mask.to(outputs.clip_features.dtype)[..., None]
        clip_weights = clip_weights / clip_weights.sum(1, keepdim=True)

        short_term_state = self.dropout(outputs.short_term_state)
        clip_logits = self.classifier(outputs.clip_features).mean(2) + self.short_term_classifier(short_term_state)
        states = torch.cat([(short_term_state * clip_weights).sum(1), self.dropout(outputs.long_term_state)], dim=-1)
        logits = (clip_logits * clip_weights).sum(1) + self.fusion_classifier(states)

        loss = None
        if labels is not None:
            loss = self._loss(logits, clip_logits, clip_mask, outputs.detector_logits, labels)
        return RDFERVideoClassifierOutput(
            loss=loss,
            logits=logits,
            clip_logits=clip_logits,
            detector_logits=outputs.detector_logits,
            frame_logits=outputs.frame_logits,
            agreement=clip_agreement(clip_logits, clip_mask),
            num_valid_clips=outputs.num_valid_clips,
            key_frame_indices=outputs.key_frame_indices,
            short_term_state=outputs.short_term_state,
            long_term_state=outputs.long_term_state,
            hidden_states=outputs.hidden_states,
        )

    def _loss(self, logits, clip_logits, clip_mask, detector_logits, labels) -> torch.Tensor:
        labels = labels.to(logits.device)
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
        # Each video counts once, however many distinct clips it has.
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
    "RDFERFrameNet",
    "RDFERModel",
    "RDFERModelOutput",
    "RDFERPreTrainedModel",
    "RDFERVideoClassifierOutput",
    "clip_agreement",
    "distinct_clips",
    "interpolate_saliency",
    "resample_clips",
]
