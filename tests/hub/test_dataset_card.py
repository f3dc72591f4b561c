# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

from huggingface_hub import DatasetCard

from modeling_rdfer.hub.card_facts import DatasetCardFacts
from modeling_rdfer.hub.dataset_card import dataset_card


def test_tables_hold_any_label():
    card = dataset_card(
        DatasetCardFacts("D", counts={"train": {"happy|sad": 1200, "neutral": 1}, "test": {"neutral": 2}})
    )
    assert "| happy\\|sad | 1,200 | 0 |" in card and "| all | 1,201 | 2 |" in card
    assert DatasetCard(card).data.size_categories == "1K<n<10K"
