# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The recipes of strong backbones, from training to ONNX, with tiny networks of the same architectures."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from huggingface_hub import HfApi
from PIL import Image
from safetensors.torch import save
from transformers import AutoBackbone, ConvNextV2Config, Dinov2Config, pipeline

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor, export, predict
from tests.helpers.training_options import FAST
from training import train
from training.running.build_model import parse_overrides

RECIPES = Path(train.__file__).parent / "recipes"
DINOV2 = Dinov2Config(
    hidden_size=32, num_attention_heads=2, num_hidden_layers=3, image_size=28, patch_size=14, out_indices=[3]
)
CONVNEXT = ConvNextV2Config(hidden_sizes=[8, 8, 16], depths=[1, 1, 1], num_stages=3, out_indices=[3])
# Recipe: a tiny backbone of the same kind, its image size.
TINY = {
    "dinov2_small": (DINOV2, 56),
    "dinov2_base": (DINOV2, 56),
    "clip_vit_b16": ("test_vit.r160_in1k", 160),
    "eva02_small": ("eva02_tiny_patch14_224.mim_in22k", 224),
    "convnextv2_tiny": (CONVNEXT, 64),
}


def settings_of(recipe: str) -> dict:
    return yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())


def put_backbone(backbone, folder: Path) -> str:
    """Makes a pretrained backbone, random, and returns the name by which --backbone finds it."""
    torch.manual_seed(0)
    if not isinstance(backbone, str):
        AutoBackbone.from_config(backbone).save_pretrained(folder)
        return str(folder)
    state = timm.create_model(backbone, pretrained=False).state_dict()
    HfApi().create_repo(f"timm/{backbone}", exist_ok=True)
    HfApi().upload_file(path_or_fileobj=save(state), path_in_repo="model.safetensors", repo_id=f"timm/{backbone}")
    return f"timm/{backbone}"


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for channel, label in {0: "happy", 2: "sad"}.items():
        for video in range(2):
            folder = root / "train" / label / str(video)
            folder.mkdir(parents=True)
            for number in range(4):
                frame = np.full((32, 32, 3), 40 * video + 10 * number, np.uint8)
                frame[..., channel] += 100
                Image.fromarray(frame).save(folder / f"{number}.png")
    return root


# One is tried always; all of them take minutes.
@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name == "dinov2_base" else pytest.mark.slow) for name in TINY]
)
def test_a_recipe_trains_saves_reloads_and_exports(hub, videos, tmp_path, recipe):
    backbone, size = TINY[recipe]
    name = put_backbone(backbone, tmp_path / "backbone")
    out = tmp_path / "out"
    small = "num_frames=4,num_clips=2,frames_per_clip=2,hidden_size=16,detector_hidden_size=8,num_detector_frames=4"
    options = ["--config", f"training/recipes/{recipe}.yaml", "--dataset", str(videos), "--output-dir", str(out)]
    options += ["--backbone", name, "--config-overrides", f"{small},image_size={size}", "--num-train-epochs", "1"]
    options += ["--per-device-train-batch-size", "2", "--gradient-accumulation-steps", "1", "--no-face-crop"]
    options += ["--dataloader-num-workers", "0", "--bf16", "false", *FAST]
    train.main(options)

    model = RDFERForVideoClassification.from_pretrained(out)
    assert "lora" not in " ".join(model.state_dict())
    started = RDFERForVideoClassification.from_backbone_pretrained(name).rdfer.backbone.state_dict()
    trained = model.rdfer.backbone.state_dict()
    assert started.keys() == trained.keys()
    assert any(not torch.equal(value, started[key]) for key, value in trained.items())
    video = str(videos / "train" / "happy" / "0")
    frames = np.stack([np.asarray(Image.open(f"{video}/{number}.png")) for number in range(4)])
    (answer,) = predict([frames], model=str(out))
    classify = pipeline("video-classification", model=str(out), device="cpu")
    assert classify.model.config.image_size == size
    onnx = tmp_path / "model.onnx"
    assert export(model, onnx, processor=RDFERVideoProcessor.from_pretrained(out)) < 1e-4
    assert {each["label"] for each in answer["predictions"]} == {"happy", "sad"}


@pytest.mark.parametrize("recipe", TINY)
def test_a_recipe_normalises_as_its_backbone_was_trained(recipe):
    settings = settings_of(recipe)
    config = RDFERConfig(**parse_overrides(settings["config_overrides"]))
    if settings["backbone"].startswith("timm/"):
        pretrained = timm.get_pretrained_cfg(settings["backbone"].removeprefix("timm/"))
        assert (tuple(config.image_mean), tuple(config.image_std)) == (pretrained.mean, pretrained.std)
        assert pretrained.input_size == (3, config.image_size, config.image_size)
    else:
        assert config.image_mean == [0.485, 0.456, 0.406] and config.image_size == 224


def test_a_network_of_timm_is_loaded_with_its_weights(hub):
    name = put_backbone("test_vit.r160_in1k", Path())
    torch.manual_seed(0)
    expected = timm.create_model("test_vit", pretrained=False).blocks[0].mlp.fc1.weight
    model = RDFERForVideoClassification.from_backbone_pretrained(name)
    assert torch.equal(model.rdfer.backbone._backbone.model.blocks[0].mlp.fc1.weight, expected)
