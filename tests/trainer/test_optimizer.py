# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from modeling_rdfer.trainer.optimizer import layer_distances
from tests.helpers.tiny_models import TINY_VIT, tiny_model
from tests.helpers.training_job import Videos, make_trainer


def rates(trainer) -> dict[str, float]:
    rate_of = {p: group["lr"] for group in trainer.create_optimizer().param_groups for p in group["params"]}
    return {name: rate_of[p] for name, p in trainer.model.named_parameters()}


def test_blocks_further_from_the_heads_learn_more_slowly(tmp_path):
    model = tiny_model(backbone_config=TINY_VIT, image_size=28)
    args = {"learning_rate": 1.0, "backbone_learning_rate": 0.1, "layer_decay": 0.5}
    rate = rates(make_trainer(tmp_path, Videos(3), model=model, **args))
    inside = {
        name.removeprefix("rdfer.backbone."): r for name, r in rate.items() if name.startswith("rdfer.backbone.")
    }
    assert inside["layernorm.weight"] == 0.1
    assert inside["encoder.layer.2.mlp.fc1.weight"] == 0.05 and inside["encoder.layer.0.norm1.bias"] == 0.0125
    assert inside["embeddings.cls_token"] == inside["embeddings.patch_embeddings.projection.weight"] == 0.00625
    assert (
        rate["classifier.weight"] == 1.0
        and rate["rdfer.detector.backbone.embedder.embedder.convolution.weight"] == 0.1
    )


def test_stages_are_followed_by_their_blocks(tmp_path):
    stages = {
        "model_type": "convnextv2",
        "hidden_sizes": [8, 8],
        "depths": [1, 2],
        "num_stages": 2,
        "out_indices": [2],
    }
    distances = layer_distances(tiny_model(backbone_config=stages))
    found = {name.removeprefix("rdfer.backbone.encoder."): value for name, value in distances.items()}
    assert found["stages.1.layers.1.dwconv.weight"] == 1 and found["stages.1.layers.0.dwconv.weight"] == 2
    assert found["stages.0.layers.0.dwconv.weight"] > found["stages.1.downsampling_layer.1.weight"] > 2


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_wrong_decay_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"layer_decay must be in \(0, 1\]"):
        make_trainer(tmp_path, Videos(3), layer_decay=value)
