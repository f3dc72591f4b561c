# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Models that learn from the cached views of still faces (`still_views.py`), and how they train and classify."""

import numpy as np
import torch
from torch import nn
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.trainer import RDFERTrainer
from modeling_rdfer.trainer.trusted_labels import TrustedLabels
from training.benchmarks.shared.still_views import Stills
from training.datasets.ferplus import LABELS

# A video has as many views; no two of its clips share one.
NUM_FRAMES, NUM_CLIPS, FRAMES_PER_CLIP = 8, 4, 2
# The same for every run.
SCHEDULE = {"num_train_epochs": 20, "per_device_train_batch_size": 128, "learning_rate": 2e-3}


class ViewNetConfig(BackboneConfigMixin, PreTrainedConfig):
    """Configuration of [`ViewNet`]."""

    model_type = "rdfer_view_net"
    num_channels: int = 256
    hidden_size: int = 256

    def __post_init__(self, **kwargs):
        self.stage_names = ["stage1"]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


class ViewNet(BackboneMixin, PreTrainedModel):
    """Two trained layers on the frozen network's features: the backbone of a model whose frames are views.

    Args:
        config ([`ViewNetConfig`]): the configuration.
    """

    config_class = ViewNetConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: ViewNetConfig):
        super().__init__(config)
        self.num_features = [config.hidden_size]
        self.layers = nn.Sequential(
            nn.LayerNorm(config.num_channels),
            nn.Linear(config.num_channels, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
        )
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        """Computes a feature map `(N, hidden_size, 1, 1)` of features `(N, num_channels, 1, 1)`."""
        return BackboneOutput(feature_maps=(self.layers(pixel_values[..., 0, 0])[..., None, None],))


AutoConfig.register(ViewNetConfig.model_type, ViewNetConfig)
AutoBackbone.register(ViewNetConfig, ViewNet)


class ViewedStills(torch.utils.data.Dataset):
    """Still faces as videos of `NUM_FRAMES` views. In training the views are drawn anew in every epoch.

    Args:
        stills ([`Stills`]): the faces.
        labels (`np.ndarray` of shape `(N,)`): their labels.
        seed (`int`, *optional*): seed of the views, with epoch and sample; without it the first views are taken.
        trusted ([`TrustedLabels`], *optional*): which labels are trusted.
    """

    def __init__(
        self, stills: Stills, labels: np.ndarray, seed: int | None = None, trusted: TrustedLabels | None = None
    ):
        self.features, self.labels = stills.features, labels.tolist()
        self.seed, self.epoch = seed, 0
        self.trusted = trusted
        self.sample_columns = {"sample_id": [f"{number:06d}" for number in range(len(labels))]}

    def set_epoch(self, epoch: int):
        """Called by the trainer at the beginning of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        views = self.features[index]
        example = {"labels": self.labels[index], "sample_index": index}
        if self.seed is None:
            views = views[:NUM_FRAMES]
        else:
            generator = np.random.default_rng([self.seed, self.epoch, index])
            views = views[generator.permutation(len(views))[:NUM_FRAMES]]
            example["clip_jitter"] = torch.from_numpy(generator.random(NUM_CLIPS, dtype=np.float32))
        return {**example, "pixel_values_videos": views.float()[..., None, None]}


def new_model(seed: int) -> RDFERForVideoClassification:
    """An untrained model for the features of views; `NUM_CLIPS` clips of `FRAMES_PER_CLIP` views each."""
    torch.manual_seed(seed)
    channels = ViewNetConfig().num_channels
    return RDFERForVideoClassification(
        RDFERConfig(
            backbone_config=ViewNetConfig(),
            detector_backbone_config=ViewNetConfig(),
            id2label=LABELS,
            num_channels=channels,
            image_mean=[0.0] * channels,
            image_std=[1.0] * channels,
            image_size=1,
            detector_image_size=1,
            num_frames=NUM_FRAMES,
            num_detector_frames=NUM_FRAMES,
            num_clips=NUM_CLIPS,
            frames_per_clip=FRAMES_PER_CLIP,
            hidden_size=64,
            detector_hidden_size=32,
            num_attention_heads=4,
        )
    )


def new_trainer(
    stills: Stills, labels: np.ndarray, seed: int, output_dir: str, trusted: TrustedLabels | None = None, **arguments
) -> RDFERTrainer:
    """The trainer of a run.

    Args:
        stills ([`Stills`]): training faces.
        labels (`np.ndarray` of shape `(N,)`): the labels to learn.
        seed (`int`): seed of weights, order and views.
        output_dir (`str`): where to save.
        trusted ([`TrustedLabels`], *optional*): which labels are trusted.
        arguments: of [`RDFERTrainingArguments`], beside `SCHEDULE`.
    """
    settings = RDFERTrainingArguments(
        output_dir=output_dir,
        seed=seed,
        save_strategy="no",
        report_to="none",
        logging_strategy="epoch",
        disable_tqdm=True,
        use_cpu=True,
        **{**SCHEDULE, **arguments},
    )
    dataset = ViewedStills(stills, labels, seed, trusted)
    return RDFERTrainer(model=new_model(seed), args=settings, train_dataset=dataset)


@torch.inference_mode()
def classify(model: RDFERForVideoClassification, stills: Stills) -> torch.Tensor:
    """Probabilities `(N, C)` of faces, from their first `NUM_FRAMES` views."""
    videos = stills.features[:, :NUM_FRAMES, :, None, None]
    return torch.cat([model.eval()(part.float()).logits.softmax(-1) for part in videos.split(256)])


__all__ = [
    "NUM_FRAMES",
    "SCHEDULE",
    "ViewNet",
    "ViewNetConfig",
    "ViewedStills",
    "classify",
    "new_model",
    "new_trainer",
]
