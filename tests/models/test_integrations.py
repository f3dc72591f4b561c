# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What other libraries and users of transformers do with the models."""

import copy
import functools

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoBackbone, AutoModel, BitsAndBytesConfig, TorchAoConfig, Trainer, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer

from modeling_rdfer import (
    AENForVideoClassification,
    RDFERForVideoClassification,
    RDFERFrameNet,
    RDFERFrameNetConfig,
)
from tests.helpers.hub_server import new_repo_id
from tests.helpers.tiny_models import VARIANTS, assert_same, tiny_model, videos
from tests.helpers.training_job import Videos, make_trainer

HEADS = {
    RDFERForVideoClassification: "fusion_classifier.weight",
    AENForVideoClassification: "emotion_classifier.weight",
}

# Attention -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("variant", ["resnet", "frame_net"])
def test_attention_implementations_are_equal_and_others_refused(tmp_path, variant, monkeypatch):
    tiny_model(**VARIANTS[variant]).save_pretrained(tmp_path)
    frames = videos(num_frames=3)  # fewer frames than clips: some are masked
    load = functools.partial(RDFERForVideoClassification.from_pretrained, tmp_path)
    models = {name: load(attn_implementation=name) for name in ("sdpa", "eager")}
    calls = []
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or attention(*a, **k))
    logits = {name: model(frames).logits for name, model in models.items()}
    assert len(calls) == 1
    assert_same(logits["eager"], logits["sdpa"])
    assert load().config._attn_implementation == "sdpa"  # the default
    models["eager"].set_attn_implementation("sdpa")
    assert_same(models["eager"](frames).logits, logits["sdpa"], tolerance=0)
    for name in ("flash_attention_2", "flex_attention", "none_such"):
        with pytest.raises((ValueError, ImportError), match="support"):
            load(attn_implementation=name)


def test_aen_takes_the_argument_too():
    for name in ("sdpa", "eager"):
        AENForVideoClassification.from_pretrained("hub_cards/aen-small", attn_implementation=name)


# Auto classes, labels, Trainer ---------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_saved_frame_network_loads_through_auto_classes(tmp_path, hub):
    network = RDFERFrameNet(RDFERFrameNetConfig(hidden_sizes=[8, 16, 32], depths=[1, 1, 1])).eval()
    network.save_pretrained(tmp_path)
    repo_id = new_repo_id()
    network.push_to_hub(repo_id)
    images = torch.randn(2, 3, 32, 32)
    expected = network(images).feature_maps[-1]
    assert torch.equal(AutoModel.from_pretrained(tmp_path)(images).feature_maps[-1], expected)
    # `AutoBackbone` of transformers takes every local folder for a repository.
    loaded = AutoBackbone.from_pretrained(repo_id, out_indices=[0, 2])
    assert torch.equal(loaded(images).feature_maps[-1], expected) and loaded.channels == network.num_features[::2]


@pytest.mark.parametrize("family", [RDFERForVideoClassification, AENForVideoClassification])
def test_label2id_alone_names_the_labels(tmp_path, family):
    family(family.config_class.from_preset("tiny", id2label={0: "happy", 1: "sad"})).save_pretrained(tmp_path)
    new = {"angry": 1, "fear": 0, "neutral": 2}
    model = family.from_pretrained(tmp_path, label2id=new, ignore_mismatched_sizes=True)
    assert model.config.id2label == {0: "fear", 1: "angry", 2: "neutral"} and model.config.label2id == new
    assert model.eval()(videos(1)).logits.shape == (1, 3)
    model.save_pretrained(tmp_path / "again")
    assert family.from_pretrained(tmp_path / "again").config.id2label == model.config.id2label


@pytest.mark.parametrize("family", [RDFERForVideoClassification, AENForVideoClassification])
def test_the_plain_trainer_trains(tmp_path, family):
    labels = {0: "happy", 1: "sad", 2: "neutral"}
    model = family(family.config_class.from_preset("tiny", id2label=labels, num_clips=2))
    arguments = TrainingArguments(tmp_path, max_steps=3, report_to="none", use_cpu=True, per_device_train_batch_size=4)
    before = copy.deepcopy(model.state_dict())
    trainer = Trainer(model, arguments, train_dataset=Videos(8), eval_dataset=Videos(3))
    result = trainer.train()
    assert 0 < result.training_loss < 10 and trainer.predict(Videos(3)).predictions.shape == (3, 3)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


# Gradient checkpointing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [RDFERForVideoClassification, AENForVideoClassification])
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointed_layers_of_a_frozen_model_learn(family, use_reentrant):
    model = family(family.config_class.from_preset("tiny", id2label={0: "happy", 1: "sad"}, dropout=0.0)).train()
    torch.nn.init.normal_(model.get_parameter(HEADS[family]))  # it starts at zero
    model.freeze_backbone()
    inputs = {"labels": torch.tensor([0, 1]), "clip_jitter": torch.full((2, 4), 0.5)}
    model(videos(), **inputs).loss.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    model.zero_grad()
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    assert layers and all(layer.gradient_checkpointing for layer in layers)
    model(videos(), **inputs).loss.backward()
    for name, gradient in expected.items():
        assert_same(model.get_parameter(name).grad, gradient)
    model.gradient_checkpointing_disable()
    assert not any(layer.gradient_checkpointing for layer in layers)


# Hooks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["resnet", "temporal_shift", "timm", "frame_net"])
def test_backward_hooks_on_every_convolution(variant):
    """What Grad-CAM does: activations and gradients of convolutions; frozen networks give them for their input."""
    model = tiny_model(**VARIANTS[variant])
    frames = videos().float() / 255
    expected = model(frames).logits
    activations, gradients = {}, {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, args, output, name=name: activations.update({name: output}))
            module.register_full_backward_hook(
                lambda module, inputs, outputs, name=name: gradients.update({name: outputs[0]})
            )
    logits = model(frames.requires_grad_()).logits
    assert_same(logits, expected)
    logits[:, 0].sum().backward()
    # The detecting network has no part in the logits but by choosing frames.
    seen = {name for name in activations if ".detector." not in name}
    assert seen and seen <= gradients.keys()
    for name in seen:
        assert gradients[name].shape == activations[name].shape and gradients[name].abs().max() > 0, name
    assert frames.grad.abs().max() > 0


# PEFT ----------------------------------------------------------------------------------------------------------------


def test_lora_trains_saves_loads_and_merges(tmp_path):
    def lora(**options):
        """LoRA on linear layers and convolutions; the classifiers are trained as a whole."""
        modules = r".*(convolution|query_key_value|attention_output|short_term_projection|mlp\.[02])"
        return LoraConfig(r=2, target_modules=modules, modules_to_save=["classifier"], **options)

    base = tiny_model(num_clips=2, num_labels=3)
    base.save_pretrained(tmp_path / "base")
    base.freeze_backbone()  # adapters do not hold the running statistics of batch norms
    model = get_peft_model(base, lora())
    trained, all_parameters = model.get_nb_trainable_parameters()
    assert trained < 0.2 * all_parameters
    trainer = make_trainer(
        tmp_path / "out",
        train_dataset=Videos(8),
        model=model,
        learning_rate=0.1,
        max_steps=3,
        gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": True},
        save_strategy="steps",
        save_steps=2,
    )
    trainer.train()
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(model.get_parameter(name).abs().max() > 0 for name in names if "lora_B" in name)
    trainer.save_model()
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert any("convolution.lora_A" in name for name in load_file(tmp_path / "out" / "adapter_model.safetensors"))

    frames = videos()
    expected = model.eval()(pixel_values_videos=frames).logits
    loaded = RDFERForVideoClassification.from_pretrained(tmp_path / "base")
    assert not torch.allclose(loaded(frames).logits, expected, atol=1e-3)
    loaded = PeftModel.from_pretrained(loaded, tmp_path / "out")
    assert_same(loaded(pixel_values_videos=frames).logits, expected)
    merged = loaded.merge_and_unload()
    assert type(merged) is RDFERForVideoClassification
    assert_same(merged(frames).logits, expected, tolerance=1e-4)
    merged.save_pretrained(tmp_path / "merged")
    again = RDFERForVideoClassification.from_pretrained(tmp_path / "merged")
    assert_same(again(frames).logits, expected, tolerance=1e-4)


# Quantization --------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("library", ["torchao", "bitsandbytes"])
@pytest.mark.parametrize("family", [RDFERForVideoClassification, AENForVideoClassification])
def test_int8_gives_nearly_the_same(tmp_path, family, library):
    pytest.importorskip(library, reason=f"{library} is not installed")
    model = family(family.config_class.from_preset("tiny", id2label={0: "happy", 1: "sad"})).eval()
    torch.nn.init.normal_(model.get_parameter(HEADS[family]))
    model.save_pretrained(tmp_path)
    if library == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig

        settings = TorchAoConfig(Int8WeightOnlyConfig())
    else:
        settings = BitsAndBytesConfig(load_in_8bit=True)
    loaded = family.from_pretrained(tmp_path, quantization_config=settings)
    converted = [
        name
        for name, module in loaded.named_modules()
        if isinstance(module, torch.nn.Linear)
        and (type(module.weight.data) is not torch.Tensor or module.weight.dtype == torch.int8)
    ]
    assert len(converted) >= 4 and not any("time_embedding" in name for name in converted)
    frames = videos()
    assert_same(loaded(frames).logits.softmax(-1), model(frames).logits.softmax(-1), tolerance=0.02)
