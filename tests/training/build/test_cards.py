# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import tomllib

from modeling_rdfer import (
    CardFacts,
)
from modeling_rdfer.hub.card_facts import DatasetCardFacts
from modeling_rdfer.hub.card_text import uses_and_misuses
from modeling_rdfer.hub.dataset_card import dataset_card
from tests.helpers.cards import card_of
from training.build.cards import HUB_CARDS, render


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
    assert "are taken where the more frequent one shows" in of_rdfer and "taken evenly" not in of_rdfer
    assert "are taken where the more frequent one shows" not in of_aen and "taken evenly" in of_aen


def test_the_wheel_gets_every_template():
    settings = tomllib.loads((HUB_CARDS.parent / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    expected = {
        f"hub_cards/{path.name}": f"modeling_rdfer/card_templates/{path.name}" for path in HUB_CARDS.glob("*.md")
    }
    assert expected and expected.items() <= included.items()
