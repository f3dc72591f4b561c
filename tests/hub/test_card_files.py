# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

from huggingface_hub import ModelCard

from modeling_rdfer import (
    CardFacts,
    RDFERForVideoClassification,
)
from modeling_rdfer.hub.card_files import is_unedited, pin_card, write_card
from modeling_rdfer.hub.model_card import model_card
from tests.helpers.cards import METRICS
from tests.helpers.training_job import make_model


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
