# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json

import pytest
from transformers import ResNetBackbone, ResNetConfig

from modeling_rdfer import (
    CardFacts,
    RDFERForVideoClassification,
)
from modeling_rdfer.hub.public_names import public_name
from tests.helpers.cards import METRICS, card_of
from tests.helpers.training_job import Videos, make_model, make_trainer
from training.data.dataset_argument import VideoSource
from training.reports.card_facts import dataset_title


def test_of_local_paths_only_the_last_part_is_shown(tmp_path, monkeypatch):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    facts = CardFacts(
        base_model="runs/first",
        backbone=str(tmp_path / "gone" / "net"),
        dataset_name=str(tmp_path),
        dataset_id="C:\\Users\\ada\\clips",
        metrics=METRICS,
    )
    text = card_of(facts).content
    assert "fine-tuned from first." in text and str(tmp_path.parent) not in text and "ada" not in text
    assert "base_model" not in card_of(facts).data.to_dict()
    assert card_of(CardFacts(base_model="you/model")).data.base_model == "you/model"
    assert public_name("RAVDESS (speech/song)") == "RAVDESS (speech/song)"


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("https://host/x?token=SECRET", "x"),
        ("https://ada:SECRET@host/you/x/#SECRET", "x"),
        ("https://SECRET@host", "host"),
        ("s3://bucket/key/x", "x"),
        ("host/x?token=SECRET", "x"),
        ("git@host:secret/x", "x"),
        ("file:/secret/x", "x"),
        ("/gone/secret/x", "x"),
        ("~/secret/x", "x"),
        ("/home/ada", ""),
        ("/home/ada/", ""),
        ("C:\\Users\\ada", ""),
        ("~ada", ""),
        ("/root", ""),
        ("/data/root", ""),
        ("you/model", "you/model"),
        ("model", "model"),
    ],
)
def test_names_from_paths_and_urls_are_public(name, public):
    assert public_name(name) == public


def test_settings_show_no_path_and_no_secret(tmp_path):
    trainer = make_trainer(
        tmp_path / "out",
        Videos(4),
        frame_teacher=str(tmp_path / "secret" / "teacher"),
    )
    trainer.card_facts = CardFacts(hyperparameters={"config_overrides": f"num_frames=8,x={tmp_path}/y,z=1"})
    trainer.train()
    schedule = {"min_lr": 1e-6, "from": ["https://host/schedule?token=SECRET", str(tmp_path / "plan")]}
    trainer.args.lr_scheduler_kwargs = json.dumps(schedule)
    trainer.card_facts.hyperparameters["set_later"] = str(tmp_path / "later")
    trainer.create_model_card()
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| `frame_teacher` | teacher |" in text and "num_frames=8,x=y,z=1" in text
    assert "| `lr_scheduler_kwargs` | {'min_lr': 1e-06, 'from': ['schedule', 'plan']} |" in text
    assert "| `set_later` | later |" in text and str(tmp_path) not in text and "SECRET" not in text


def test_the_name_of_a_user_is_no_name_of_a_dataset(tmp_path, monkeypatch):
    home = tmp_path / "ada"
    (home / "train").mkdir(parents=True)
    (home / "faces" / "train").mkdir(parents=True)
    (home / "labels.csv").touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))

    def title(path):
        return dataset_title(VideoSource("videolist" if path.suffix else "videofolder", str(path)))

    assert title(home / "train") is title(home / "labels.csv") is title(home) is None
    assert title(home / "faces" / "train") == title(home / "faces") == "faces"
    (tmp_path / "Users" / "bob" / "train").mkdir(parents=True)
    assert title(tmp_path / "Users" / "bob" / "train") is None
    facts = CardFacts(dataset_name=str(home), num_train_videos=3, metrics=METRICS)
    card = card_of(facts)
    assert "ada" not in card.content and "Trained on 3 videos." in card.text and card.data.eval_results is None


def test_configurations_name_no_folder_of_this_machine(tmp_path):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetBackbone(config).save_pretrained(tmp_path / "backbone")
    model = RDFERForVideoClassification.from_backbone_pretrained(
        str(tmp_path / "backbone"), config=make_model().config
    )
    model.save_pretrained(tmp_path / "model")
    RDFERForVideoClassification.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "again")
    for name in ("model", "again"):
        for path in (tmp_path / name).iterdir():
            assert str(tmp_path).encode() not in path.read_bytes(), path
