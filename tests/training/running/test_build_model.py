# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_rdfer import CheckpointReadError, RDFERForVideoClassification
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.trainer.pseudo_labels import load_teacher
from training.running.arguments import ModelArguments
from training.running.build_model import build_model, parse_overrides


def test_labels_of_a_checkpoint_are_kept_by_name():
    arguments = ModelArguments()
    model, _ = build_model(arguments, ["happy", "neutral"])
    assert model.config.id2label[0] == "neutral" and model.config.num_labels == 7  # rdfer-small's own order
    assert model.classifier.weight.shape[0] == 7


def test_other_labels_replace_the_heads():
    model, _ = build_model(ModelArguments(), ["boredom", "happy"])
    assert model.config.id2label == {0: "boredom", 1: "happy"}
    original = RDFERForVideoClassification.from_pretrained(embedded_checkpoint())
    name = "rdfer.backbone.stages.3.0.convolution2.weight"
    assert model.classifier.weight.shape[0] == 2
    assert (model.state_dict()[name] == original.state_dict()[name]).all()


def test_wrong_overrides_are_named():
    with pytest.raises(ValueError, match="image_sise"):
        parse_overrides("image_sise=64")
    assert parse_overrides("image_mean=[0.5, 0.4,0.3],image_size=64,temporal_shift=true") == {
        "image_mean": [0.5, 0.4, 0.3],
        "image_size": 64,
        "temporal_shift": True,
    }


def test_new_heads_follow_the_order_of_the_dataset():
    model, _ = build_model(ModelArguments(), ["happy", "sad", "boredom"])
    assert list(model.config.label2id) == ["happy", "sad", "boredom"]


def test_new_heads_are_new_even_if_there_are_as_many_labels():
    labels = ["a", "b", "c", "d", "e", "f", "g"]
    model, _ = build_model(ModelArguments(), labels)
    original = RDFERForVideoClassification.from_pretrained(embedded_checkpoint())
    assert list(model.config.id2label.values()) == labels
    assert not torch.equal(model.classifier.weight, original.classifier.weight)
    aen = ModelArguments(
        model_type="aen", emotion_groups="happy=good,sad=bad,angry=bad,fear=bad,disgust=bad,surprise=x"
    )
    model, _ = build_model(aen, ["happy", "sad", "angry", "fear", "disgust", "surprise", "neutral"])
    assert "good" in model.config.group_names and model.sentiment_classifier.weight.shape[0] == len(
        model.config.group_names
    )


@pytest.mark.parametrize("labels", [["happy", "sad"], ["happy", "boredom"]])
def test_missing_tensors_are_named(tmp_path, labels):
    checkpoint = Path(shutil.copytree(embedded_checkpoint(), tmp_path / "checkpoint"))
    weights = load_file(checkpoint / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "long_term" not in name and "classifier" not in name}
    save_file(kept, checkpoint / "model.safetensors", metadata={"format": "pt"})
    arguments = ModelArguments(model=str(checkpoint))
    with pytest.raises(CheckpointReadError, match=r"checkpoint'.* of the model's tensors .*: [\w.]+, ") as caught:
        build_model(arguments, labels)
    # Those of heads that are replaced are not missed.
    assert ("classifier" in str(caught.value)) == (labels == ["happy", "sad"])
    if labels == ["happy", "sad"]:
        with pytest.raises(CheckpointReadError, match="of the model's tensors"):
            load_teacher(str(checkpoint))
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointReadError, match="not there in its shapes: .*long_term"):
        build_model(ModelArguments(model=str(checkpoint), config_overrides="hidden_size=32"), labels)
    (checkpoint / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:100_000])
    with pytest.raises(CheckpointReadError, match="model.safetensors: "):
        build_model(arguments, labels)


def test_pickled_weights_are_no_start(tmp_path):
    checkpoint = Path(shutil.copytree(embedded_checkpoint(), tmp_path / "checkpoint"))
    (checkpoint / "model.safetensors").unlink()
    weights = RDFERForVideoClassification.from_pretrained(embedded_checkpoint()).state_dict()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(OSError, match="no file named model.safetensors"):
        build_model(ModelArguments(model=str(checkpoint)), ["happy", "sad"])
    with pytest.raises(OSError, match="no file named model.safetensors"):
        load_teacher(str(checkpoint))
