# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import pytest
from huggingface_hub import ModelCard
from transformers import EarlyStoppingCallback

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    CardFacts,
)
from modeling_rdfer.hub.card_files import is_unedited
from tests.helpers.training_job import LABELS, Videos, make_trainer


def test_guidance_of_frames_is_told_with_its_teacher(tmp_path):
    labels = ["happy", "sad", "angry"]
    trainer = make_trainer(
        tmp_path / "out", Videos(4), labels=labels, frame_guidance_weight=0.7, emotion_grouping=False
    )
    trainer.train()
    trainer.create_model_card()
    card = ModelCard.load(tmp_path / "out" / "README.md").text
    assert "| weights of other loss terms | frame_guidance_weight 0.7 |" in card
    assert "| frame teacher | rdfer-small |" in card and "| `emotion_grouping` | False |" in card
    assert "`gradient_checkpointing`" not in card
    assert "| the frame teacher used in training | frame network of modeling-rdfer" in card
    assert "The frame teacher was trained on the people on 28,000 photos" in card
    # The default of AEN says nothing in the settings and guides all the same.
    model = AENForVideoClassification(AENConfig.from_preset("tiny", num_clips=2, id2label=dict(enumerate(labels))))
    trainer = make_trainer(tmp_path / "aen", Videos(4), model=model)
    trainer.train()
    facts = trainer.collect_card_facts()
    assert facts.loss_weights["frame_guidance_weight"] == model.config.frame_guidance_weight
    assert facts.loss_weights["clip_guidance_weight"] == model.config.clip_guidance_weight
    assert facts.frame_teacher == "rdfer-small" and "emotion_grouping" not in facts.hyperparameters


def test_the_trainer_writes_what_happened(tmp_path):
    out = tmp_path / "out"
    trainer = make_trainer(out, Videos(9), Videos(6), num_train_epochs=2, hub_token="hf_secret", learning_rate=0.002)
    trainer.card_facts = CardFacts(
        dataset_name="Colours", dataset_config="clean", license="mit", hyperparameters={"crop_scale": 0.5}
    )
    trainer.train()
    metrics = trainer.evaluate()
    trainer.create_model_card(tags=["mine"])
    card = ModelCard.load(out / "README.md")
    (war,) = [result.metric_value for result in card.data.eval_results if result.metric_name == "WAR"]
    assert war == pytest.approx(metrics["eval_war"], abs=1e-4) and card.data.license == "mit"
    assert card.data.eval_results[0].dataset_config == "clean" and "mine" in card.data.tags
    rows = [line.strip("| ").split(" | ") for line in card.text.splitlines() if line.startswith("| ")]
    rows = {row[0]: row[1:] for row in rows}
    for number, label in enumerate(LABELS):
        verdicts = trainer.record.partition[trainer.record.given_labels == number]
        assert rows[label][0] == f"{100 * metrics[f'eval_recall_{label}']:.1f} %"
        assert [int(count) for count in rows[label][1:]] == [(verdicts == code).sum().item() for code in range(3)]
    assert rows["`learning_rate`"] == ["0.002"] and rows["`crop_scale`"] == ["0.5"]
    assert "`weight_decay`" not in rows and "`output_dir`" not in rows
    assert rows["training videos"] == ["9"] and rows["epochs"] == ["2"] and "torch" in rows["versions"][0]
    assert "after the last epoch" in card.text and "out of training" not in card.text
    assert "hf_secret" not in card.content and str(tmp_path) not in card.content


@pytest.mark.parametrize("way", ["best", "early"])
def test_choosing_the_epoch_on_the_evaluation_is_said_without_asking(tmp_path, way):
    trainer = make_trainer(
        tmp_path / "out",
        Videos(8),
        Videos(6),
        num_train_epochs=3,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=way == "best",
        metric_for_best_model="war",
        callbacks=[EarlyStoppingCallback(3)] if way == "early" else None,
    )
    trainer.train()
    facts = trainer.collect_card_facts()
    assert facts.model_selection == "best_on_test"
    assert facts.metrics["war"] == (trainer.state.best_metric if way == "best" else trainer.evaluate()["eval_war"])
    trainer.predict(Videos(5))  # other videos, which chose nothing
    assert trainer.collect_card_facts().model_selection is None


def test_figures_of_other_weights_are_not_shown(tmp_path):
    trainer = make_trainer(tmp_path / "out", Videos(8), Videos(6))
    trainer.evaluate()
    assert trainer.collect_card_facts().metrics
    trainer.train()
    assert trainer.collect_card_facts().metrics == {}


def test_checkpoints_have_cards_and_a_resumed_training_claims_no_time(tmp_path):
    trainer = make_trainer(tmp_path / "out", Videos(8), save_strategy="steps", save_steps=1)
    trainer.train()
    assert trainer.collect_card_facts().train_seconds > 0
    assert is_unedited((tmp_path / "out" / "checkpoint-1" / "README.md").read_text())
    resumed = make_trainer(tmp_path / "out", Videos(8))
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-1"))
    assert resumed.collect_card_facts().train_seconds is None
