# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from transformers import AutoModelForVideoClassification

from modeling_rdfer import (
    CardFacts,
    RDFERForVideoClassification,
)
from tests.helpers.cards import METRICS, card_of
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT
from tests.helpers.training_job import LABELS, make_model, make_trainer
from training.reports.card_facts import facts_of_run
from training.running.arguments import DataArguments, ModelArguments


def test_figures_are_read_back_from_the_model_index():
    facts = CardFacts(
        dataset_name="DFEW",
        dataset_id="somebody/dfew",
        fold=3,
        eval_split="test",
        metrics=METRICS,
        num_eval_videos=2341,
    )
    card = card_of(facts)
    name, results = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert name == "name" and card.data.pipeline_tag == "video-classification"
    assert card.data.datasets == ["somebody/dfew"]
    found = {result.metric_name: (result.metric_type, result.metric_value) for result in results}
    assert found == {
        "WAR": ("accuracy", 0.6123),
        "UAR": ("recall", 0.5),
        "recall red": ("recall", 0.9),
        "recall green": ("recall", 0.1),
    }
    for result in results:
        assert (result.task_type, result.dataset_type) == ("video-classification", "somebody/dfew")
        assert (result.dataset_name, result.dataset_config, result.dataset_split) == ("DFEW", "fold 3", "test")
    assert "On DFEW, fold 3, split test, 2,341 videos:" in card.text
    assert "| red | 90.0 % |" in card.text and "| blue | not in the evaluation |" in card.text
    assert "No video of the evaluation had the label blue" in card.text
    assert "films that DFEW was cut from" in card.text


def test_what_is_not_known_is_left_out():
    card = card_of(CardFacts())
    for word in ("None", "unknown", "nformation", "WAR", "## Training", "## Results", "fine-tuned from", "licence |"):
        assert word not in card.text, word
    assert set(card.data.to_dict()) == {"library_name", "pipeline_tag", "tags"}
    assert "No results are known" in card.text and ", ".join(LABELS) in card.text
    # Figures without a dataset's name stand in the text alone: a model-index needs the name.
    card = card_of(CardFacts(metrics=METRICS))
    assert "61.2 %" in card.text and card.data.eval_results is None


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("last", "after the last epoch"),
        ("held_out", "chosen on 10% of the training videos"),
        ("best_on_validation", "same videos that the results come from, the validation split.**"),
        ("best_on_test", "**The epoch was chosen on the same videos that the results come from (best on test).**"),
    ],
)
def test_how_the_epoch_was_chosen_is_said_plainly(selection, said):
    card = card_of(CardFacts(metrics=METRICS, model_selection=selection, held_out_share=0.1))
    assert said in card.text


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="best_of_all"):
        CardFacts(model_selection="best_of_all")


def test_a_card_claims_no_training_that_is_not_recorded(tmp_path):
    make_model().save_pretrained(tmp_path / "new")
    card = ModelCard.load(tmp_path / "new" / "README.md").text
    assert "No training is recorded." in card and "are random unless" in card and "training videos" not in card
    RDFERForVideoClassification.from_pretrained(tmp_path / "new").save_pretrained(tmp_path / "again")
    card = ModelCard.load(tmp_path / "again" / "README.md").text
    assert "Its weights were loaded from new and may have been changed since; see the card of new." in card
    assert "training videos" not in card and "fine-tuned" not in card and "FER+" not in card


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, AEN_CHECKPOINT])
def test_the_embedded_checkpoints_keep_licence_and_origin(tmp_path, checkpoint):
    model = AutoModelForVideoClassification.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path / "saved")
    make_trainer(tmp_path / "trainer", model=model).save_model()
    for folder in ("saved", "trainer"):
        card = ModelCard.load(tmp_path / folder / "README.md")
        assert card.data.license == "apache-2.0" and f"loaded from {checkpoint.name} and may" in card.text
        assert "| the weights as loaded | frame network of modeling-rdfer" in card.text
        assert (
            "from a frame network that was trained on the people on 28,000 photos" in card.text
            and "training videos" not in card.text
        )


def test_groups_of_labels_stand_in_the_settings(tmp_path):
    arguments, data = ModelArguments(emotion_groups="bored=negative"), DataArguments(dataset=str(tmp_path))
    facts = facts_of_run(arguments, data, SimpleNamespace(columns={"split": ["train"]}))
    assert facts.hyperparameters == {"emotion_groups": "bored=negative"}
