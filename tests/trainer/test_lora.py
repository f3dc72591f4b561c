# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from safetensors.torch import load_file

from modeling_rdfer import RDFERForVideoClassification
from modeling_rdfer.trainer.lora import LORA_NAME
from tests.helpers.tiny_models import TINY_VIT, assert_same, tiny_model
from tests.helpers.tiny_models import videos as random_videos
from tests.helpers.training_job import Videos, make_trainer


def vit():
    return tiny_model(backbone_config=TINY_VIT, image_size=28, num_labels=3, num_clips=2)


def trainer_of(folder, **args):
    settings = {"lora_rank": 2, "save_strategy": "epoch", "num_train_epochs": 2, "learning_rate": 0.01}
    return make_trainer(folder, Videos(6), Videos(3), model=vit(), **{**settings, **args})


def checkpoints_of(folder):
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def test_adapters_are_trained_and_saved_models_have_them_merged(tmp_path):
    trainer = trainer_of(tmp_path)
    before = vit().rdfer.backbone.state_dict()
    learns = {name for name, p in trainer.model.rdfer.backbone.named_parameters() if p.requires_grad}
    assert learns and all("lora_" in name for name in learns)
    trainer.train()
    trainer.save_model()
    saved = RDFERForVideoClassification.from_pretrained(tmp_path).eval()
    state = saved.rdfer.backbone.state_dict()
    changed = {name for name, value in state.items() if not torch.equal(value, before[name])}
    assert changed and all(name.endswith("weight") and "norm" not in name for name in changed)
    frames = random_videos(size=32)
    assert_same(saved(frames).logits, trainer.model.eval()(frames).logits)
    # Every checkpoint is an ordinary model; only those within a training have what is needed to go on.
    checkpoint = checkpoints_of(tmp_path)[0]
    assert RDFERForVideoClassification.from_pretrained(checkpoint)
    assert (checkpoint / LORA_NAME).is_file() and not (tmp_path / LORA_NAME).exists()


def test_a_resumed_training_equals_one_that_was_not(tmp_path):
    whole = trainer_of(tmp_path / "whole")
    whole.train()
    resumed = trainer_of(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(checkpoints_of(tmp_path / "whole")[0]))
    for name, value in whole.model.state_dict().items():
        assert_same(resumed.model.state_dict()[name], value, tolerance=1e-6)


def test_the_best_adapters_are_kept(tmp_path):
    best = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "eval_strategy": "epoch"}
    trainer = trainer_of(tmp_path, **best)
    trainer.train()
    trained = load_file(f"{trainer.state.best_model_checkpoint}/{LORA_NAME}")
    for name, value in trained.items():
        assert torch.equal(trainer.model.get_parameter(name), value)


def test_what_cannot_be_adapted_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the backbone, a ResNetBackbone, has no linear layers"):
        make_trainer(tmp_path, Videos(3), model=tiny_model(num_labels=3), lora_rank=2)
    with pytest.raises(ValueError, match="needs a backbone that is not frozen"):
        trainer_of(tmp_path, freeze_backbone=True)
    make_trainer(tmp_path / "plain", Videos(6), model=vit(), save_strategy="epoch").train()
    checkpoint = checkpoints_of(tmp_path / "plain")[0]
    with pytest.raises(FileNotFoundError, match="comes from a training without --lora-rank"):
        trainer_of(tmp_path / "new").train(resume_from_checkpoint=str(checkpoint))
