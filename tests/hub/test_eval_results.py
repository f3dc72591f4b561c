# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace

import yaml
from huggingface_hub import parse_eval_result_entries

from modeling_rdfer import CardFacts
from modeling_rdfer.hub.eval_results import EVAL_RESULTS_NAME
from tests.helpers.cards import METRICS
from tests.helpers.hub_server import new_repo_id
from tests.helpers.pushed import pushed
from tests.helpers.training_job import Videos, make_model, make_trainer

FACTS = CardFacts(
    dataset_id="somebody/dfew",
    dataset_config="labels crowd",
    fold=3,
    eval_split="test",
    metrics=METRICS,
    num_eval_videos=2341,
    model_selection="last",
)


def saved_results(folder, facts):
    model = make_model()
    model.card_facts = facts
    model.save_pretrained(folder)
    file = folder / EVAL_RESULTS_NAME
    return parse_eval_result_entries(yaml.safe_load(file.read_text())) if file.exists() else None


def test_a_saved_model_has_its_results_in_the_form_of_the_hub(tmp_path):
    war, uar = saved_results(tmp_path, FACTS)
    assert (war.dataset_id, war.task_id, war.value) == ("somebody/dfew", "labels_crowd_fold_3_war", 0.6123)
    assert (uar.dataset_id, uar.task_id, uar.value) == ("somebody/dfew", "labels_crowd_fold_3_uar", 0.5)
    assert war.notes == uar.notes == "split test; 2341 videos; last epoch"


def test_results_need_a_dataset_on_the_hub(tmp_path):
    assert saved_results(tmp_path, replace(FACTS, dataset_id=None, dataset_name="DFEW")) is None
    assert saved_results(tmp_path, CardFacts(dataset_id="somebody/dfew")) is None


def test_results_of_an_earlier_model_do_not_stay(tmp_path):
    assert saved_results(tmp_path, FACTS)
    assert saved_results(tmp_path, replace(FACTS, metrics={})) is None


def test_results_are_pushed(hub, tmp_path):
    repo_id = new_repo_id()
    model = make_model()
    model.card_facts = FACTS
    model.push_to_hub(repo_id)
    assert b"id: somebody/dfew" in pushed(hub, repo_id)[EVAL_RESULTS_NAME]


def test_the_trainer_pushes_the_results_of_its_last_evaluation(hub, tmp_path):
    repo_id = new_repo_id()
    trainer = make_trainer(tmp_path, Videos(4), Videos(6), push_to_hub=True, hub_model_id=repo_id)
    trainer.card_facts = CardFacts(dataset_id="somebody/dfew", eval_split="test")
    trainer.train()
    metrics = trainer.evaluate()
    trainer.push_to_hub()
    war, uar = parse_eval_result_entries(yaml.safe_load(pushed(hub, repo_id)[EVAL_RESULTS_NAME]))
    assert (war.task_id, war.value) == ("war", round(metrics["eval_war"], 4))
    assert (uar.task_id, uar.value) == ("uar", round(metrics["eval_uar"], 4))
    assert war.notes == "split test; 6 videos; last epoch"
