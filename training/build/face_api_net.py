# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The frame network of face-api.js in place of RDFER's backbones: the checkpoint that newer ones are compared with."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from training.build.hub_folders import remove_code
from training.build.npm_weights import FACE_API, fetch_package, load_face_expression

# The order of the network's outputs.
LABELS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
# Mean of RGB, 0..255; the network takes (x - mean) / 255.
MEAN = (122.782, 117.001, 104.298)


class FaceAPINetConfig(BackboneConfigMixin, PreTrainedConfig):
    """Configuration of [`FaceAPINet`]: nothing can be set."""

    model_type = "face_api_net"
    hidden_sizes = (32, 64, 128, 256)

    def __post_init__(self, **kwargs):
        self.stage_names = [f"stage{number}" for number in range(1, len(self.hidden_sizes) + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


class SameConv(nn.Conv2d):
    """3x3 convolution that pads as TensorFlow's SAME: with stride 2, an even size only below and at the right."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int = 1, bias: bool = True):
        super().__init__(in_channels, out_channels, 3, stride, padding=stride % 2, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 2:
            height, width = x.shape[-2:]
            x = F.pad(x, (width % 2, 1, height % 2, 1))
        return super().forward(x)


class _Separable(nn.Module):
    """Depthwise and pointwise convolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.dw = SameConv(in_channels, in_channels, stride, groups=in_channels, bias=False)
        self.pw = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pw(self.dw(x))


class _Block(nn.Module):
    """Four convolutions, each fed with the sum of all outputs before it."""

    def __init__(self, in_channels: int, out_channels: int, first: bool):
        super().__init__()
        self.c0 = (SameConv if first else _Separable)(in_channels, out_channels, 2)
        self.c1, self.c2, self.c3 = (_Separable(out_channels, out_channels) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = F.relu_(self.c0(x))
        total = self.c1(total).add_(total)
        total = self.c2(F.relu(total)).add_(total)
        return F.relu_(self.c3(F.relu(total)).add_(total))


class FaceAPINet(BackboneMixin, PreTrainedModel):
    """The convolutions of face-api.js' face-expression network (MIT, 324 k parameters) as a backbone.

    Args:
        config ([`FaceAPINetConfig`]): the configuration.
    """

    config_class = FaceAPINetConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: FaceAPINetConfig):
        super().__init__(config)
        self.num_features = list(config.hidden_sizes)
        channels = (3, *config.hidden_sizes)
        self.d = nn.ModuleList(_Block(*channels[stage : stage + 2], first=stage == 0) for stage in range(4))
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        """Computes the last feature map `(N, 256, H / 16, W / 16)` of images `(N, 3, H, W)`, (x - mean) / 255."""
        for block in self.d:
            pixel_values = block(pixel_values)
        return BackboneOutput(feature_maps=(pixel_values,))


AutoConfig.register(FaceAPINetConfig.model_type, FaceAPINetConfig)
AutoBackbone.register(FaceAPINetConfig, FaceAPINet)


def build(folder: Path, face_detector: Path, face_api_package=None):
    """Writes a checkpoint whose scores are means of this network's scores of frames; both backbones are this network.

    Args:
        folder (`Path`): where to write; made if missing.
        face_detector (`Path`): weights of the face detector.
        face_api_package (`str` or `os.PathLike`, *optional*): @vladmandic/face-api 1.7.15, `.tgz` or unpacked folder;
            by default it is fetched with the npm client.

    Raises:
        FileNotFoundError, RuntimeError, ValueError: if the package cannot be fetched, or is not the expected one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_face_expression(face_api_package or fetch_package(FACE_API, folder))
    config = RDFERConfig(
        backbone_config=FaceAPINetConfig(),
        detector_backbone_config=FaceAPINetConfig(),
        id2label=dict(enumerate(LABELS)),
        image_mean=[level / 255 for level in MEAN],
        image_std=[1.0, 1.0, 1.0],
        image_size=112,
        detector_image_size=112,
        hidden_size=64,
        detector_hidden_size=32,
        num_detector_frames=16,
        num_clips=4,
        frames_per_clip=4,
    )
    model = RDFERForVideoClassification(config).eval()
    state = model.state_dict()
    for tensor in state.values():
        tensor.zero_()  # the parts that work over time, which this checkpoint does without
    for name, tensor in weights.items():
        if name.startswith("fc."):
            places = ("classifier", "rdfer.detector.classifier")
        else:
            places = ("rdfer.backbone", "rdfer.detector.backbone")
        for place in places:
            state[f"{place}.{name.removeprefix('fc.')}"].copy_(tensor)
    model.save_pretrained(folder)
    RDFERVideoProcessor(
        do_face_crop=True,
        face_margin=1.3,
        size={"height": 112, "width": 112},
        image_mean=config.image_mean,
        image_std=config.image_std,
        _face_detector_file=str(face_detector),
    ).save_pretrained(folder)
    remove_code(folder)
