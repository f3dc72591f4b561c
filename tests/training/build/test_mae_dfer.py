# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import argparse

import pytest
import torch

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.configuration_rdfer import RDFERRegionEncoderConfig
from modeling_rdfer.models.region_encoder_rdfer import RDFERRegionEncoder
from training.build.mae_dfer import convert, convert_state, main

SMALL = RDFERRegionEncoderConfig(
    hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_frames=4, image_size=32,
    patch_size=8, region_size=[1, 2, 4],
)  # fmt: skip


def published_state(config: RDFERRegionEncoderConfig, kind: str = "pre-trained") -> dict[str, torch.Tensor]:
    """Random weights with the names and shapes that MAE-DFER publishes."""
    d, m = config.hidden_size, config.intermediate_size
    shapes = {
        "patch_embed.proj.weight": (d, 3, config.tubelet_size, config.patch_size, config.patch_size),
        "patch_embed.proj.bias": (d,),
        "lg_region_tokens": (config.num_regions, d),
    }
    for number in range(config.num_hidden_layers):
        for norm in ("first_attn_norm0", "second_attn_norm0", "third_attn_norm0", "third_attn_norm1", "norm2"):
            shapes |= {f"blocks.{number}.{norm}.{part}": (d,) for part in ("weight", "bias")}
        for attention in ("first_attn", "second_attn", "third_attn"):
            start = f"blocks.{number}.{attention}"
            shapes |= {f"{start}.q_bias": (d,), f"{start}.v_bias": (d,), f"{start}.q.weight": (d, d)}
            shapes |= {f"{start}.kv.weight": (2 * d, d), f"{start}.proj.weight": (d, d), f"{start}.proj.bias": (d,)}
        shapes |= {f"blocks.{number}.mlp.fc1.weight": (m, d), f"blocks.{number}.mlp.fc1.bias": (m,)}
        shapes |= {f"blocks.{number}.mlp.fc2.weight": (d, m), f"blocks.{number}.mlp.fc2.bias": (d,)}
    if kind == "pre-trained":
        shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
        shapes = {f"encoder.{name}": shape for name, shape in shapes.items()}
        shapes |= {"mask_token": (1, 1, 24), "encoder_to_decoder.weight": (24, d), "decoder.norm.weight": (24,)}
        shapes |= {"decoder.blocks.0.attn.qkv.weight": (72, 24), "decoder.head.weight": (1536, 24)}
    else:
        shapes |= {"fc_norm.weight": (d,), "fc_norm.bias": (d,), "head.weight": (7, d), "head.bias": (7,)}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", ["pre-trained", "fine-tuned"])
def test_every_weight_of_the_encoder_finds_its_place(kind):
    state = published_state(SMALL, kind)
    converted = convert_state(state)
    assert {name: value.shape for name, value in converted.items()} == {
        name: value.shape for name, value in RDFERRegionEncoder(SMALL).state_dict().items()
    }
    prefix = "encoder." if kind == "pre-trained" else ""
    key_value = state[f"{prefix}blocks.1.third_attn.kv.weight"]
    assert torch.equal(converted["layers.1.exchange_attention.key.weight"], key_value[:16])
    assert torch.equal(converted["layers.1.exchange_attention.value.weight"], key_value[16:])
    assert torch.equal(converted["layers.0.mlp.2.bias"], state[f"{prefix}blocks.0.mlp.fc2.bias"])


def test_the_published_sizes_are_the_defaults():
    with torch.device("meta"):
        own = RDFERRegionEncoder(RDFERRegionEncoderConfig()).state_dict()
    found = convert_state(published_state(RDFERRegionEncoderConfig(num_hidden_layers=1)))
    assert all(own[name].shape == value.shape for name, value in found.items())
    assert own["region_tokens"].shape == (8, 512)


def test_a_converted_file_is_a_backbone(tmp_path):
    state = published_state(SMALL)
    torch.save({"model": state, "epoch": 49, "args": argparse.Namespace(lr=1e-3)}, tmp_path / "checkpoint-49.pth")
    convert(tmp_path / "checkpoint-49.pth", tmp_path / "encoder", SMALL)
    config = RDFERConfig.from_preset("tiny", num_labels=3, frames_per_clip=4, image_size=32)
    model = RDFERForVideoClassification.from_backbone_pretrained(str(tmp_path / "encoder"), config=config).eval()
    tokens = model.rdfer.backbone.encoder.region_tokens
    assert torch.equal(tokens, state["encoder.lg_region_tokens"])
    assert model(torch.zeros(1, 9, 3, 32, 32, dtype=torch.uint8)).logits.isfinite().all()


def test_other_checkpoints_are_refused(tmp_path, capsys):
    torch.save({"model": {"encoder.blocks.0.attn.qkv.weight": torch.zeros(3, 1)}}, tmp_path / "videomae.pth")
    with pytest.raises(SystemExit):
        main(["--checkpoint", str(tmp_path / "videomae.pth"), "--output-dir", str(tmp_path / "out")])
    message = capsys.readouterr().err
    assert (
        "videomae.pth: 1 weights are not those of MAE-DFER's encoder" in message
        and "encoder.blocks.0.attn.qkv.weight" in message
    )
