# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Shared by both model families: frames, backbones, clips and their agreement, weights, gradient checkpointing."""

import functools
from collections.abc import Callable
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from .clip_encoder_rdfer import RDFERClipEncoder, load_clip_encoder
from .configuration_rdfer import CLIP_ENCODERS, RDFERFrameNetConfig
from .frame_net_rdfer import RDFERFrameBlock, RDFERFrameNet


def build_backbone(config: PreTrainedConfig) -> PreTrainedModel:
    """Makes a backbone or video encoder of transformers, of timm or the frame network, with random weights."""
    # `AutoBackbone` cannot find the frame network in a remote-code checkpoint: there this file and the configuration
    # file become two dynamic modules with different config classes. Only the name of the type is the same in both.
    if config.model_type == RDFERFrameNetConfig.model_type:
        return RDFERFrameNet._from_config(config)
    if config.model_type in CLIP_ENCODERS:
        return RDFERClipEncoder(config)
    if config._attn_implementation == "sdpa":
        config._attn_implementation = None  # that is: where the backbone has it
    backbone = AutoBackbone.from_config(config)
    for module in backbone.modules():
        if getattr(module, "inplace", False):  # in timm's networks; it would break backward hooks (Grad-CAM)
            module.inplace = False
    # Without attention all implementations are the same, also in `set_attn_implementation`.
    backbone._supports_sdpa = backbone._supports_sdpa or not backbone.has_attentions
    return backbone


def pooled_features(backbone: PreTrainedModel, frames: torch.Tensor, frames_per_group: int) -> list[torch.Tensor]:
    """Averages the backbone's feature maps of frames over height and width.

    Args:
        backbone (`PreTrainedModel`): the backbone.
        frames (`torch.Tensor` of shape `(N, num_channels, H, W)`): normalised frames.
        frames_per_group (`int`): number of consecutive frames that must go through the backbone together, for temporal
            shift.

    Returns:
        `list[torch.Tensor]`: features `(N, D)` of each stage of the backbone's `out_features`, the deepest last.
    """
    # Channels last is up to 2.8 times as fast on a CPU (separable convolutions) and never slower.
    frames = frames.contiguous(memory_format=torch.channels_last)
    parts = (frames,)
    if frames.device.type == "cpu" and not torch.compiler.is_compiling() and not backbone.training:
        has_graph = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in backbone.parameters())
        if not has_graph:
            # A few frames at a time, which stay in the cache, are up to 4.6 times as fast as 256 at once.
            parts = frames.split(max(1, 16 // frames_per_group) * frames_per_group)
    pooled = [[feature_map.mean((-2, -1)) for feature_map in backbone(part).feature_maps] for part in parts]
    return [torch.cat(stage) for stage in zip(*pooled)]


def _residual_layers(backbone: nn.Module) -> list[nn.Module]:
    # Imported here to keep the import of the package quick.
    from transformers.models.resnet.modeling_resnet import ResNetBasicLayer, ResNetBottleNeckLayer

    return [m for m in backbone.modules() if isinstance(m, (ResNetBasicLayer, ResNetBottleNeckLayer))]


def _temporal_shift(module: nn.Module, args: tuple, num_frames: int) -> torch.Tensor:
    """Forward pre-hook: 1/8 of the channels to the next frame, 1/8 to the frame before (TSM, arXiv 1811.08383)."""
    (hidden_state,) = args
    frames = hidden_state.unflatten(0, (-1, num_frames))
    fold = frames.shape[2] // 8
    forwards, backwards, rest = frames.split([fold, fold, frames.shape[2] - 2 * fold], dim=2)
    forwards = F.pad(forwards[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    backwards = F.pad(backwards[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([forwards, backwards, rest], dim=2).flatten(0, 1)


def add_temporal_shift(backbone: nn.Module, num_frames: int):
    """Shifts channels among groups of `num_frames` frames, in every residual branch of a ResNet.

    Raises:
        ValueError: if the backbone is not a ResNet of transformers.
    """
    # Hooks instead of wrapper modules, so that the weights keep the names they have in the pretrained backbone.
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
    """Within this context batch norms in training mode leave their running statistics unchanged."""
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


def _checkpoint(checkpoint: functools.partial, forward: Callable, *args):
    # Reentrant checkpointing gives no gradients to a block whose input needs none, such as the first one.
    needs_gradient = any(arg is not None and arg.requires_grad for arg in args)
    if checkpoint.keywords.get("use_reentrant") and not needs_gradient:
        return forward(*args)
    return checkpoint(forward, *args)


def _checkpointed_forward(block: nn.Module, checkpoint: functools.partial, *args, **kwargs):
    # Keyword arguments are positions and masks, which need no gradients.
    forward = functools.partial(type(block).forward, block, **kwargs)
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args)
    recomputing = False

    def run(*args):
        nonlocal recomputing
        with _frozen_batch_norm_statistics(block) if recomputing else nullcontext():
            recomputing = True
            return forward(*args)

    return _checkpoint(checkpoint, run, *args)


def load_backbone(
    backbone: str | PreTrainedModel, out_indices: list[int] | None = None, **hub_kwargs
) -> PreTrainedModel:
    """Loads the backbone of a checkpoint; returns a backbone unchanged.

    A name that begins with `timm/` is that of a network of timm. The output is the last stage, or the stages
    `out_indices`.
    """
    if isinstance(backbone, PreTrainedModel):
        return backbone
    if str(backbone).startswith("timm/"):
        from transformers import TimmBackbone  # imports timm, which is optional

        indices = [-1] if out_indices is None else out_indices
        return TimmBackbone.from_pretrained(str(backbone).removeprefix("timm/"), out_indices=indices)
    config = AutoConfig.from_pretrained(backbone, **hub_kwargs)
    if config.model_type in CLIP_ENCODERS:
        return load_clip_encoder(backbone, config, **hub_kwargs)
    if out_indices is not None:
        config.out_indices = out_indices
    # `AutoBackbone.from_pretrained` asks the Hub even for a local folder; the class itself does not.
    with torch.device("meta"):
        backbone_class = type(build_backbone(config))
    return backbone_class.from_pretrained(backbone, config=config, **hub_kwargs)


class RDFERDropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, a residual branch is left out for some frames.

    Args:
        probability (`float`, 0..1): probability of leaving it out.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, hidden_state: torch.Tensor) -> torch.Tensor:
        if not self.training or self.probability == 0:
            return hidden_state
        kept = hidden_state.new_empty(hidden_state.shape[:1] + (1,) * (hidden_state.ndim - 1))
        return hidden_state * kept.bernoulli_(1 - self.probability).div_(1 - self.probability)


def _drop_path_blocks(backbone: nn.Module) -> dict[nn.Module, list[str]]:
    """Blocks with a place for stochastic depth, as transformers and timm name them, and these places."""
    names = ("drop_path", "drop_path1", "drop_path2")
    places = {m: [name for name, _ in m.named_children() if name in names] for m in backbone.modules()}
    return {block: found for block, found in places.items() if found}


# Models --------------------------------------------------------------------------------------------------------------


class RDFERLSTM(nn.LSTM):
    """An LSTM that keeps the precision of its weights under autocast on a CPU.

    Without the processor's support oneDNN trains none in bfloat16. It takes a hundredth of the model's time.
    """

    def forward(self, input: torch.Tensor, hx: tuple[torch.Tensor, torch.Tensor] | None = None):
        """See `torch.nn.LSTM`."""
        if input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.to(self.weight_ih_l0.dtype), hx)
        return super().forward(input, hx)


class RDFERZeroLinear(nn.Linear):
    """Linear layer that starts at zero.

    The residual parts of the models consist of such layers, so a new model just averages its scores of single frames.
    """


class VideoBackbonePreTrainedModel(PreTrainedModel):
    """Base class of both families: weight initialisation, frames, frozen backbones, gradient checkpointing.

    Each family lists its backbones, as attributes of its base model, in `backbone_names`.
    """

    main_input_name = "pixel_values_videos"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # Otherwise `Trainer` assumes that `forward` divides the loss by the accumulation steps.
    accepts_loss_kwargs = False
    backbone_names: tuple[str, ...] = ("backbone",)

    gradient_checkpointing = False
    _backbone_is_frozen = False

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, RDFERZeroLinear):
            init.zeros_(module.weight)

    def _real_frames(
        self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> tuple[torch.LongTensor, torch.LongTensor]:
        """Checks the inputs; counts the real frames up to and including each frame `(B, T)`, and in all `(B,)`."""
        num_channels = self.config.num_channels
        if pixel_values_videos.ndim != 5 or pixel_values_videos.shape[2] != num_channels:
            raise ValueError(
                "`pixel_values_videos` must have shape (batch_size, num_frames, num_channels, height, width) with "
                f"num_channels = {num_channels}, got {tuple(pixel_values_videos.shape)}."
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
        if frame_mask.is_cuda and self.training:  # a training step must not wait for the GPU
            torch._assert_async(frame_mask.any(1).all(), "`frame_mask` marks no real frame in a row")
        elif not torch.compiler.is_compiling() and not frame_mask.any(1).all():
            empty = (~frame_mask.any(1)).nonzero().flatten().tolist()
            raise ValueError(f"`frame_mask` marks no real frame in row(s) {empty}: every video needs at least one.")
        real_frames_so_far = frame_mask.long().cumsum(1)
        return real_frames_so_far, real_frames_so_far[:, -1].clamp(min=1)

    def _indices_at(self, real_frames_so_far: torch.LongTensor, positions: torch.LongTensor) -> torch.LongTensor:
        """Indices among all T frames of positions `(B, ...)` among the real frames."""
        return (real_frames_so_far[:, None, :] <= positions.flatten(1)[:, :, None]).sum(-1).view_as(positions)

    def _frames_at(self, pixel_values_videos: torch.Tensor, indices: torch.LongTensor) -> torch.Tensor:
        """Normalised frames `(B, ..., num_channels, H, W)` at indices `(B, ...)`."""
        video = torch.arange(indices.shape[0], device=indices.device).view(-1, *[1] * (indices.ndim - 1))
        return self._normalise(pixel_values_videos[video, indices])

    def _normalise(self, frames: torch.Tensor) -> torch.Tensor:
        if frames.is_floating_point():
            return frames.to(self.dtype)
        mean = torch.tensor(self.config.image_mean, device=frames.device).view(-1, 1, 1)
        std = torch.tensor(self.config.image_std, device=frames.device).view(-1, 1, 1)
        # In place: copying so many frames took a tenth of a training step of preset `tiny`.
        return frames.float().sub_(255 * mean).mul_(1 / (255 * std)).to(self.dtype)

    def get_input_embeddings(self) -> nn.Module:
        """Returns the first convolution of the backbone, from which PEFT lets gradients start."""
        return next(
            module for module in self.base_model.backbone.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d))
        )

    def _backbones(self) -> list[nn.Module]:
        return [self.base_model.get_submodule(name) for name in self.backbone_names]

    def freeze_backbone(self):
        """Excludes the backbones from training: no gradients, and batch norms use their running statistics."""
        self._backbone_is_frozen = True
        for backbone in self._backbones():
            backbone.requires_grad_(False)
        self.train(self.training)

    def set_drop_path(self, probability: float):
        """Leaves out residual branches of the main backbone at random in training; evaluation does not change.

        Args:
            probability (`float`, 0..1): probability at the last block; it grows evenly from 0 at the first one.

        Raises:
            ValueError: if the backbone has no place for it.
        """
        blocks = _drop_path_blocks(self.base_model.backbone)
        if not blocks:
            raise ValueError(
                f"drop_path: the backbone, a {type(self.base_model.backbone).__name__}, has no stochastic depth."
            )
        for index, (block, names) in enumerate(blocks.items()):
            for name in names:
                drop_path = RDFERDropPath(probability * index / max(1, len(blocks) - 1))
                setattr(block, name, drop_path.train(block.training))

    def train(self, mode: bool = True):
        super().train(mode)
        if self._backbone_is_frozen:
            for backbone in self._backbones():
                backbone.eval()
        return self

    def _set_gradient_checkpointing(self, enable: bool = True, gradient_checkpointing_func=None, every_n_layers=1):
        checkpoint = functools.partial(_checkpoint, gradient_checkpointing_func)
        super()._set_gradient_checkpointing(enable, checkpoint, every_n_layers)
        # Most backbones do not support it themselves. The `forward` of their blocks is replaced instead of wrapping
        # the blocks, so that the weights keep their names.
        for backbone in self._backbones():
            if any(isinstance(module, GradientCheckpointingLayer) for module in backbone.modules()):
                continue  # it does
            frame_blocks = [m for m in backbone.modules() if isinstance(m, RDFERFrameBlock)]
            blocks = frame_blocks or _residual_layers(backbone) or list(_drop_path_blocks(backbone)) or [backbone]
            for index, block in enumerate(blocks):
                block.__dict__.pop("forward", None)
                if enable and index % every_n_layers == 0:
                    block.forward = functools.partial(_checkpointed_forward, block, gradient_checkpointing_func)

    @classmethod
    def _from_backbones(cls, backbones: dict[str, PreTrainedModel], config: PreTrainedConfig | None):
        """Makes a model with pretrained backbones `{name in the base model: backbone}`, all else from `config`."""
        settings = {} if config is None else config.to_dict()
        for name, backbone in backbones.items():
            # The backbone may come from a classifier; its labels are not those of this model.
            labels = ("id2label", "label2id", "architectures")
            settings[name.replace(".", "_") + "_config"] = {
                key: value for key, value in backbone.config.to_dict().items() if key not in labels
            }
        model = cls._from_config(cls.config_class(**settings))
        for name, backbone in backbones.items():
            model.base_model.get_submodule(name).load_state_dict(backbone.state_dict())
        return model


__all__ = ["VideoBackbonePreTrainedModel"]
