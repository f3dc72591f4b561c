# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Cards of a small model, for the tests of cards."""

from huggingface_hub import ModelCard

from modeling_rdfer import CardFacts
from modeling_rdfer.hub.model_card import model_card
from tests.helpers.training_job import make_model

METRICS = {"war": 0.61234, "uar": 0.5, "recall_red": 0.9, "recall_green": 0.1}


def card_of(facts: CardFacts, name="name") -> ModelCard:
    model = make_model()
    return ModelCard(model_card(model.config, model.num_parameters(), facts, name))
