# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import tomllib
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import DatasetCard, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from transformers import AutoModelForVideoClassification, EarlyStoppingCallback, ResNetBackbone, ResNetConfig

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    CardFacts,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.hub.cards import (
    DatasetCardFacts,
    dataset_card,
    is_unedited,
    model_card,
    pin_card,
    public_name,
    uses_and_misuses,
    write_card,
)
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT, DATA
from tests.helpers.training_job import LABELS, Videos, make_model, make_trainer
from training.build.cards import HUB_CARDS, render
from training.reports.card_facts import dataset_title, facts_of_run
from training.running.arguments import DataArguments, ModelArguments

METRICS = {"war": 0.61234, "uar": 0.5, "recall_red": 0.9, "recall_green": 0.1}


def card_of(facts: CardFacts, name="name") -> ModelCard:
    model = make_model()
    return ModelCard(model_card(model.config, model.num_parameters(), facts, name))


# What a card says ----------------------------------------------------------------------------------------------------


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
    assert "| red | 90.0 % |" in card.text and "| blue | no such video |" in card.text
    assert "No video of the evaluation had the label blue" in card.text
    assert "films that DFEW was cut from" in card.text


def test_what_is_not_known_is_left_out():
    card = card_of(CardFacts())
    for word in ("None", "unknown", "nformation", "WAR", "## Training", "## Results", "fine-tuned from", "licence |"):
        assert word not in card.text, word
    assert set(card.data.to_dict()) == {"library_name", "pipeline_tag", "tags"}
    assert "No figures are known" in card.text and ", ".join(LABELS) in card.text
    # Figures without a dataset's name stand in the text alone: a model-index needs the name.
    card = card_of(CardFacts(metrics=METRICS))
    assert "61.2 %" in card.text and card.data.eval_results is None


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("last", "after the last epoch"),
        ("held_out", "chosen by 10% of the training videos"),
        ("best_on_validation", "same videos that the figures come from, the validation split.**"),
        ("best_on_test", "**The epoch was chosen by the same videos that the figures come from (best on test).**"),
    ],
)
def test_how_the_epoch_was_chosen_is_said_plainly(selection, said):
    card = card_of(CardFacts(metrics=METRICS, model_selection=selection, held_out_share=0.1))
    assert said in card.text


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="best_of_all"):
        CardFacts(model_selection="best_of_all")


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

    def name(**source):
        sources = {"dataset": None, "train_dir": None, "train_list": None, "dataset_name": None, "root": None}
        return dataset_title(SimpleNamespace(**sources | {key: str(path) for key, path in source.items()}))

    assert name(train_dir=home / "train") is name(train_list=home / "labels.csv") is name(root=home) is None
    assert name(train_dir=home / "faces" / "train") == name(root=home / "faces") == "faces"
    (tmp_path / "Users" / "bob" / "train").mkdir(parents=True)
    assert name(train_dir=tmp_path / "Users" / "bob" / "train") is None
    facts = CardFacts(dataset_name=str(home), num_train_videos=3, metrics=METRICS)
    card = card_of(facts)
    assert "ada" not in card.content and "Trained on 3 videos." in card.text and card.data.eval_results is None


def test_tables_hold_any_label():
    card = dataset_card(
        DatasetCardFacts("D", counts={"train": {"happy|sad": 1200, "neutral": 1}, "test": {"neutral": 2}})
    )
    assert "| happy\\|sad | 1,200 | 0 |" in card and "| all | 1,201 | 2 |" in card
    assert DatasetCard(card).data.size_categories == "1K<n<10K"


def test_uses_and_misuses_stand_in_every_card():
    start, end = uses_and_misuses("PEOPLE").split("PEOPLE")
    for word in (
        "hiring",
        "schooling",
        "policing",
        "insurance",
        "medical",
        "lie detection",
        "Article 5",
        "not a feeling",
    ):
        assert word in start
    for path in HUB_CARDS.glob("*/README.md"):
        text = path.read_text()
        if path.parent.name != "space":
            assert start in text and end in text, path
    assert start in card_of(CardFacts()).content and start in dataset_card(DatasetCardFacts("D"))


def test_committed_cards_are_those_of_the_templates():
    for path, text in render().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale: run python -m training.build.cards"


def test_cards_of_aen_say_how_it_answers():
    of_rdfer, of_aen = (
        (HUB_CARDS / name / "README.md").read_text(encoding="utf-8") for name in ("rdfer-small", "aen-small")
    )
    assert "where the more frequent one shows" in of_rdfer and "taken evenly" not in of_rdfer
    assert "where the more frequent one shows" not in of_aen and "taken evenly" in of_aen
    model = AENForVideoClassification.from_pretrained(AEN_CHECKPOINT)
    videos = RDFERVideoProcessor.from_pretrained(AEN_CHECKPOINT)([str(DATA / "cap13_edit2.mp4")], return_tensors="pt")
    with torch.no_grad():
        frames = model(**videos).frame_logits[0]
    surprised = (frames.argmax(-1) == model.config.label2id["surprise"]).sum()
    neutral = model.config.label2id["neutral"]
    of_scores, of_probabilities = frames.mean(0).softmax(-1)[neutral], frames.softmax(-1).mean(0)[neutral]
    text = " ".join(of_aen.split())
    assert f"where {surprised} of its {len(frames)} frames show surprise" in text
    assert f"{of_scores:.1%}".replace("%", " %") in text and f"{of_probabilities:.1%}".replace("%", " %") in text


def test_the_wheel_gets_every_template():
    settings = tomllib.loads((HUB_CARDS.parent / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    expected = {
        f"hub_cards/{path.name}": f"modeling_rdfer/card_templates/{path.name}" for path in HUB_CARDS.glob("*.md")
    }
    assert expected and expected.items() <= included.items()


# Cards as files ------------------------------------------------------------------------------------------------------


def test_an_edited_card_is_kept(tmp_path, caplog):
    model = make_model()
    model.card_facts = CardFacts(summary="First.")
    model.save_pretrained(tmp_path)
    path = tmp_path / "README.md"
    assert is_unedited(path.read_text()) and f"# {tmp_path.name}\n" in path.read_text()
    model.card_facts = CardFacts(summary="Second.")
    model.save_pretrained(tmp_path)
    assert "Second." in path.read_text()
    edited = path.read_text().replace("Second.", "By hand.")
    path.write_text(edited)
    model.card_facts = CardFacts(summary="Third.")
    model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert path.read_text() == edited and caplog.text.count(f"Kept {path}") == 1
    model.save_pretrained(tmp_path, overwrite_card=True)
    assert "Third." in path.read_text()


def test_a_card_claims_no_training_that_is_not_recorded(tmp_path):
    make_model().save_pretrained(tmp_path / "new")
    card = ModelCard.load(tmp_path / "new" / "README.md").text
    assert "No training of it is recorded." in card and "are random" in card and "training videos" not in card
    RDFERForVideoClassification.from_pretrained(tmp_path / "new").save_pretrained(tmp_path / "again")
    card = ModelCard.load(tmp_path / "again" / "README.md").text
    assert "Its weights were loaded from new, and possibly changed since; see the card of new." in card
    assert "training videos" not in card and "fine-tuned" not in card and "face-api" not in card


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, AEN_CHECKPOINT])
def test_the_assembled_checkpoints_keep_licence_and_origin(tmp_path, checkpoint):
    model = AutoModelForVideoClassification.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path / "saved")
    make_trainer(tmp_path / "trainer", model=model).save_model()
    for folder in ("saved", "trainer"):
        card = ModelCard.load(tmp_path / folder / "README.md")
        assert card.data.license == "apache-2.0" and f"loaded from {checkpoint.name}, and possibly" in card.text
        assert "| the weights as loaded | face expression model of face-api.js" in card.text
        assert "classifier of images whose people are not known" in card.text and "training videos" not in card.text


def test_guidance_of_frames_is_told_with_its_teacher(tmp_path):
    labels = ["happy", "sad", "angry"]
    trainer = make_trainer(
        tmp_path / "out", Videos(4), labels=labels, frame_guidance_weight=0.7, emotion_grouping=False
    )
    trainer.train()
    trainer.create_model_card()
    card = ModelCard.load(tmp_path / "out" / "README.md").text
    assert "| weights of its further parts | frame_guidance_weight 0.7 |" in card
    assert "| teacher of the guidance of frames | rdfer-small |" in card and "| `emotion_grouping` | False |" in card
    assert "`gradient_checkpointing`" not in card
    assert "| the classifier that guided frames in training | face expression model of face-api.js" in card
    assert "guided frames learned from people who are not known" in card
    # The default of AEN says nothing in the settings and guides all the same.
    model = AENForVideoClassification(AENConfig.from_preset("tiny", num_clips=2, id2label=dict(enumerate(labels))))
    trainer = make_trainer(tmp_path / "aen", Videos(4), model=model)
    trainer.train()
    facts = trainer.collect_card_facts()
    assert facts.loss_weights["frame_guidance_weight"] == model.config.frame_guidance_weight
    assert facts.loss_weights["clip_guidance_weight"] == model.config.clip_guidance_weight
    assert facts.frame_teacher == "rdfer-small" and "emotion_grouping" not in facts.hyperparameters


def test_groups_of_labels_stand_in_the_settings(tmp_path):
    arguments, data = ModelArguments(emotion_groups="bored=negative"), DataArguments(train_dir=str(tmp_path))
    facts = facts_of_run(arguments, data, SimpleNamespace(columns={"split": ["train"]}))
    assert facts.hyperparameters == {"emotion_groups": "bored=negative"}


def test_a_model_of_which_nothing_is_known_replaces_no_card(tmp_path):
    model = make_model()
    model.card_facts = CardFacts(summary="Known.")
    model.save_pretrained(tmp_path)
    RDFERForVideoClassification.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert "Known." in (tmp_path / "README.md").read_text()


def test_other_line_endings_are_no_edit_and_a_removed_mark_is(tmp_path):
    model = make_model()
    text = model_card(model.config, 1, CardFacts(), "name")
    assert is_unedited(text.replace("\n", "\r\n"))
    assert not is_unedited(text[: text.index("<!--")])
    assert not is_unedited(text + "More.\n")
    (tmp_path / "README.md").write_text("Old.")
    assert not write_card(tmp_path, text) and (tmp_path / "README.md").read_text() == "Old."


def test_pinning_changes_the_example_and_the_name_alone():
    model = make_model()
    text = model_card(model.config, 1, CardFacts(metrics=METRICS, dataset_name="D"), "out")
    pinned = pin_card(text, "you/model", "abc", folder_name="out")
    changed = [line for line in pinned.splitlines() if line not in text.splitlines()]
    assert changed[:-1] == [
        '- name: "model"',
        "# model",
        'classify = pipeline("video-classification", model="you/model", revision="abc", trust_remote_code=True)',
    ]
    assert is_unedited(pinned) and pin_card(pinned, "you/model", "abc", folder_name="out") == pinned
    assert ModelCard(pinned).data.model_name == "model"


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


# The Trainer ---------------------------------------------------------------------------------------------------------


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
