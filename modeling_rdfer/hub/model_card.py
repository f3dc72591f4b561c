# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The card of a model."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..models.labels_rdfer import class_names
from .card_facts import EMBEDDED, FRAME_NET_PEOPLE, PEOPLE, CardFacts
from .card_files import example_code, sign_card
from .card_text import CITATION, TAGS, table_cell, template, uses_and_misuses

PARTITION_NAMES = ("clean", "hard", "noisy")
SELECTIONS = {
    "last": "These are the weights after the last epoch; no evaluation was used to choose them.",
    "held_out": "The epoch was chosen on {others}; the evaluation videos were not used for it.",
    "best_on_validation": "**The epoch was chosen on the same videos that the results come from, the validation "
    "split.** So the results are higher than for other videos of the same kind.",
    "best_on_test": "**The epoch was chosen on the same videos that the results come from (best on test).** So the "
    "results are higher than for other videos of the same kind.",
}
BRIEF_EXPRESSIONS = {
    "rdfer": """\
A whole video gets one answer: the expression that shows in most frames. A brief expression is outvoted, and the clips
  are taken where the more frequent one shows, so they agree: a surprise in a third of a video can give neutral with
  agreement 1. Use windows (`rdfer timeline`) for videos in which the expression changes.""",
    "aen": """\
A whole video gets one answer. Its frames are taken evenly, whatever they show, and an expression that shows in few of
  them is outvoted. Use windows (`rdfer timeline`) for videos in which the expression changes.""",
}
METRIC_TITLES = {
    "war": "WAR (weighted average recall: accuracy)",
    "uar": "UAR (unweighted average recall over the labels)",
    "ece": "ECE (expected calibration error)",
}


def model_card(config, num_parameters: int, facts: CardFacts, name: str) -> str:
    """Renders the card of a model.

    Args:
        config ([`RDFERConfig`] or [`AENConfig`]): configuration of the model.
        num_parameters (`int`): number of its parameters.
        facts ([`CardFacts`]): what is known about it.
        name (`str`): name of the model if the facts have none.

    Returns:
        `str`: Markdown with metadata, and the mark by which an edited card is recognised later. `model-index` holds
        WAR, UAR and recalls if the dataset has a name.
    """
    facts = replace(facts)  # names that were set after its creation become public names, too
    name = facts.model_name or name
    metrics = facts.metrics
    labels = class_names(config)
    data = ModelCardData(
        license=facts.license,
        library_name="transformers",
        pipeline_tag="video-classification",
        language=facts.language,
        base_model=facts.base_model if facts.base_model and "/" in facts.base_model else None,
        datasets=[facts.dataset_id] if facts.dataset_id and "/" in facts.dataset_id else None,
        metrics=["accuracy", "recall"] if metrics else None,
        tags=[*TAGS, config.model_type, *facts.tags],  # duplicates are dropped
        model_name=name,
        eval_results=_eval_results(facts, labels) or None,
    )
    if data.eval_results is None:
        data.model_name = None  # belongs to the model-index
    card = ModelCard.from_template(
        data,
        template_str=template("model_card_template.md"),
        model_name=name,
        summary=facts.summary or _summary(config, labels, num_parameters),
        provenance=_provenance(facts),
        example=example_code(facts.repo_id, facts.revision),
        evaluated_on=_dataset(facts, facts.eval_split, facts.num_eval_videos),
        metrics=[(title, _percent(metrics[key])) for key, title in METRIC_TITLES.items() if key in metrics],
        selection=_selection(facts) if metrics else "",
        **_label_table(labels, facts),
        training=_training(facts),
        hyperparameters=[(f"`{key}`", table_cell(value)) for key, value in sorted(facts.hyperparameters.items())],
        uses_and_misuses=uses_and_misuses(facts.people or _people(facts)),
        limits=_limits(facts, labels),
        brief_expressions=BRIEF_EXPRESSIONS[config.model_type],
        origins=facts.origins,
        rebuild=facts.rebuild or "",
        citation=CITATION,
    )
    return sign_card(str(card))


def _eval_results(facts: CardFacts, labels: list[str]) -> list[EvalResult]:
    dataset = facts.dataset_name or facts.dataset_id
    if dataset is None:
        return []  # a model-index needs the name
    common: dict[str, Any] = {
        "task_type": "video-classification",
        "task_name": "Video Classification",
        "dataset_type": facts.dataset_id or re.sub(r"[^\w.-]+", "-", dataset).strip("-").lower(),
        "dataset_name": dataset,
        "dataset_config": ", ".join(_config_and_fold(facts)) or None,
        "dataset_split": facts.eval_split,
    }
    kinds = {"war": ("accuracy", "WAR"), "uar": ("recall", "UAR")}
    kinds |= {f"recall_{label}": ("recall", f"recall {label}") for label in labels}
    return [
        EvalResult(metric_type=kind, metric_name=title, metric_value=round(facts.metrics[key], 4), **common)
        for key, (kind, title) in kinds.items()
        if key in facts.metrics
    ]


def _config_and_fold(facts: CardFacts) -> list[str]:
    parts = [facts.dataset_config] if facts.dataset_config else []
    return parts + ([f"fold {facts.fold}"] if facts.fold is not None else [])


def _dataset(facts: CardFacts, split: str | None, videos: int | None) -> str:
    name = facts.dataset_name or facts.dataset_id
    parts = [name, *_config_and_fold(facts)] if name else _config_and_fold(facts)
    parts += [f"split {split}"] if split else []
    parts += [f"{videos:,} videos"] if videos is not None else []
    return ", ".join(parts)


def _summary(config, labels: list[str], num_parameters: int) -> str:
    outputs = f"Emotion in a video of a face: {', '.join(labels)}"
    family = "An RDFER model ([arXiv 2502.16129](https://arxiv.org/abs/2502.16129))"
    if config.model_type == "aen":
        outputs += f"; and its sentiment: {', '.join(config.group_names)}"
        family = "An AEN model (CVPR Workshops 2023)"
    return f"{outputs}. {family} of {num_parameters / 1e6:.2f} M parameters."


def _provenance(facts: CardFacts) -> str:
    name = facts.base_model
    if name in EMBEDDED:
        start = (
            f"It was fine-tuned from {name}, a checkpoint that comes with modeling-rdfer; its frame network was "
            "trained on still photos."
        )
    elif name:
        start = f"It was fine-tuned from {_link(name)}."
    elif facts.preset or facts.backbone:
        start = "It was trained from scratch" + (f" with the preset `{facts.preset}`" if facts.preset else "")
        start += f"; its backbone started from {facts.backbone}." if facts.backbone else "."
    elif facts.loaded_from:
        link = _link(facts.loaded_from)
        start = f"Its weights were loaded from {link} and may have been changed since; see the card of {link}."
    elif not _has_training_data(facts):
        start = (
            "No training is recorded. The weights are random unless they were copied from a pretrained backbone or "
            "trained without a record."
        )
    else:
        start = ""
    trained_on = _dataset(facts, facts.train_split, facts.num_train_videos)
    return " ".join(part for part in (start, f"Trained on {trained_on}." if trained_on else "") if part)


def _link(name: str) -> str:
    return f"[{name}](https://huggingface.co/{name})" if "/" in name else name


def _has_training_data(facts: CardFacts) -> bool:
    """Whether anything is known about what the weights were trained on."""
    known = (facts.summary, facts.base_model, facts.dataset_name, facts.dataset_id, facts.num_train_videos, facts.loss)
    return any(known) or bool(facts.metrics or facts.people)


def _selection(facts: CardFacts) -> str:
    if facts.model_selection is None:
        return ""
    others = "other videos"
    if facts.held_out_share is not None:
        others = f"{facts.held_out_share:.0%} of the training videos, held out of training"
    return SELECTIONS[facts.model_selection].format(others=others)


def _label_table(labels: list[str], facts: CardFacts) -> dict:
    recalls = {label: facts.metrics.get(f"recall_{label}") for label in labels}
    columns = ["label"]
    if facts.metrics:
        columns.append("recall")
    if facts.partitions:
        columns += [f"{name} training videos" for name in PARTITION_NAMES]
    rows = []
    for label in labels:
        row = [table_cell(label)]
        if facts.metrics:
            recall = recalls[label]
            row.append("not in the evaluation" if recall is None else _percent(recall))
        if facts.partitions:
            row += [str(facts.partitions.get(label, {}).get(name, 0)) for name in PARTITION_NAMES]
        rows.append(row)
    note = ""
    if facts.partitions:
        note = (
            "Clean, hard, noisy: the verdict on each training video at the end of training. Hard: its clips disagree. "
            "Noisy: its clips agree on another label than the given one, and its loss is large."
        )
        if facts.loss and not facts.loss.startswith("agreement"):
            note += " This loss does not use the verdict."
    return {"label_columns": columns, "label_rows": rows if len(columns) > 1 else [], "partition_note": note}


def _training(facts: CardFacts) -> list[tuple[str, str]]:
    rows = {
        "loss": facts.loss,
        "weights of other loss terms": ", ".join(f"{name} {w:g}" for name, w in facts.loss_weights.items()) or None,
        "frame teacher": facts.frame_teacher,
        "epochs": None if facts.epochs is None else f"{facts.epochs:g}",
        "training videos": facts.num_train_videos,
        "videos left out because they could not be read": facts.num_left_out_videos or None,
        "decisions about labels": _decisions(facts),
        "hardware": facts.hardware,
        "time": None if facts.train_seconds is None else str(timedelta(seconds=round(facts.train_seconds))),
        "versions": ", ".join(f"{name} {number}" for name, number in facts.versions.items()) or None,
    }
    return [(name, table_cell(value)) for name, value in rows.items() if value is not None]


def _decisions(facts: CardFacts) -> str | None:
    if not facts.decisions_hash:
        return None
    counts = ", ".join(f"{name} {count}" for name, count in facts.decision_counts.items())
    return f"`{facts.decisions_hash}`" + (f": {counts}" if counts else "")


def _people(facts: CardFacts) -> str:
    name = facts.dataset_name or facts.dataset_id or ""
    known = PEOPLE.get(re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower()))
    if known:
        text = known
    elif any((name, facts.base_model, facts.num_train_videos, facts.loss)):
        text = "the people of the training videos and nobody else; who they are was not recorded."
    elif facts.loaded_from:
        text = "not recorded here."
        if facts.loaded_from not in EMBEDDED:
            return f"{text[:-1]}; see the card of {_link(facts.loaded_from)}."
    else:
        text = "not known; no training is recorded."
    if facts.base_model in EMBEDDED or facts.loaded_from in EMBEDDED:
        what = "Training started" if facts.base_model in EMBEDDED else "The weights come"
        text += f" {what} from a frame network that was trained on {FRAME_NET_PEOPLE}."
    if facts.frame_teacher in EMBEDDED:
        text += f" The frame teacher was trained on {FRAME_NET_PEOPLE}."
    elif facts.frame_teacher:
        text += f" The frame teacher was {facts.frame_teacher}; the people it was trained on were not recorded."
    return text


def _limits(facts: CardFacts, labels: list[str]) -> list[str]:
    limits = list(facts.limits)
    if facts.metrics:
        absent = [label for label in labels if f"recall_{label}" not in facts.metrics]
        limits.append("The results hold for videos like those of the evaluation; other videos were not measured.")
        if absent:
            limits.append(f"No video of the evaluation had the label {' or '.join(absent)}: nothing was measured.")
    elif not facts.limits:
        limits.append("No results are known for this checkpoint.")
    return limits


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


__all__ = ["model_card"]
