# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The card of a dataset."""

from huggingface_hub import DatasetCard, DatasetCardData

from .card_facts import DatasetCardFacts
from .card_files import sign_card
from .card_text import CITATION, TAGS, table_cell, template, uses_and_misuses


def dataset_card(facts: DatasetCardFacts) -> str:
    """Renders the card of a dataset.

    Args:
        facts ([`DatasetCardFacts`]): what is known about the dataset.

    Returns:
        `str`: Markdown with metadata, and the mark by which an edited card is recognised later.
    """
    counts = facts.counts
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    rows = [[table_cell(label), *(f"{split.get(label, 0):,}" for split in counts.values())] for label in labels]
    if rows:
        rows.append(["all", *(f"{sum(split.values()):,}" for split in counts.values())])
    total = sum(sum(split.values()) for split in counts.values())
    data = DatasetCardData(
        license=facts.license,
        task_categories=["video-classification"],
        pretty_name=facts.name,
        size_categories=_size_category(total) if total else None,
        tags=[*TAGS, *facts.tags],
        configs=facts.configs or None,
    )
    card = DatasetCard.from_template(
        data,
        template_str=template("dataset_card_template.md"),
        name=facts.name,
        summary=facts.summary,
        use=facts.use,
        label_columns=["label", *counts],
        label_rows=rows,
        settings=[(name, table_cell(value)) for name, value in facts.settings.items() if value is not None],
        files=[(f"`{name}`", value) for name, value in facts.files.items()],
        uses_and_misuses=uses_and_misuses(facts.people or "the people of the videos and nobody else."),
        limits=facts.limits,
        citation=CITATION,
    )
    return sign_card(str(card))


def _size_category(count: int) -> str:
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for bound, name in bounds.items() if count < bound), "n>1M")


__all__ = ["dataset_card"]
