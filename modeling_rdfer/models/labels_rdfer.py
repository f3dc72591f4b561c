# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Names of emotions: one spelling for synonyms, and the sentiment groups they belong to."""

from collections.abc import Mapping, Sequence

from transformers import PreTrainedConfig

# The words of a row are synonyms; the first one represents all when the labels of two datasets are compared.
SYNONYMS = (
    ("anger", "angry", "ang", "an"),
    ("anxiety", "anxious", "ax"),
    ("calm", "calmness"),
    ("contempt", "contemptuous", "co"),
    ("disappointment", "disappointed", "ds"),
    ("disgust", "disgusted", "dis", "di"),
    ("fear", "fearful", "afraid", "fea", "fe"),
    ("happiness", "happy", "joy", "smile", "smiling", "hap", "ha"),
    ("helplessness", "helpless", "hl"),
    ("neutral", "neutrality", "neu", "ne"),
    ("sadness", "sad", "sa"),
    ("surprise", "surprised", "sur", "su"),
)
_CANONICAL = {word: words[0] for words in SYNONYMS for word in words}

# The groups of AEN (docs/method.md, AEN; ours) for the labels of all datasets that this package reads: the seven basic
# emotions (six of them in CREMA-D), MAFW's eleven, RAVDESS's eight. Surprise is a group of its own: it can be pleasant
# or unpleasant.
EMOTION_GROUPS = {
    "happiness": "positive",
    "neutral": "neutral",
    "calm": "neutral",
    "anger": "negative",
    "anxiety": "negative",
    "contempt": "negative",
    "disappointment": "negative",
    "disgust": "negative",
    "fear": "negative",
    "helplessness": "negative",
    "sadness": "negative",
    "surprise": "surprise",
}


def canonical_label(name: str) -> str:
    """Gives all names of an expression one spelling: "Angry" and "anger" become "anger".

    The parts of a compound name ("sad_angry") are converted one by one and sorted. Unknown names become lower-case.
    """
    return "_".join(sorted(_CANONICAL.get(part, part) for part in name.strip().lower().split("_")))


def class_names(config: PreTrainedConfig) -> list[str]:
    """Returns the label names of a model in the order of its logits."""
    return [config.id2label[number] for number in range(config.num_labels)]


def group_labels(labels: Sequence[str], emotion_groups: Mapping[str, str] | None = None) -> dict[str, str]:
    """Finds the group of each label.

    A compound label ("anger_sadness") without a group of its own belongs to the group that all its parts belong to.

    Args:
        labels (sequence of `str`): names of emotions, in any spelling that [`canonical_label`] knows.
        emotion_groups (`dict[str, str]`, *optional*): label -> group. All other labels have their group in
            `EMOTION_GROUPS`.

    Returns:
        `dict[str, str]`: label -> group, in the order of the labels.

    Raises:
        ValueError: if labels have no group (it names them), or two entries for the same emotion differ.
    """
    groups = dict(EMOTION_GROUPS)
    given = {}
    for label, group in (emotion_groups or {}).items():
        name = canonical_label(label)
        if given.setdefault(name, group) != group:
            raise ValueError(f"`emotion_groups` has two groups, {given[name]!r} and {group!r}, for {name!r}.")
    groups.update(given)
    group_of = {}
    for label in labels:
        name = canonical_label(label)
        candidates = {groups.get(name)} if name in groups else {groups.get(part) for part in name.split("_")}
        group_of[label] = candidates.pop() if len(candidates) == 1 else None
    missing = [label for label, group in group_of.items() if group is None]
    if missing:
        raise ValueError(
            f"Labels {missing} have no emotion group: add them to `emotion_groups`, e.g. "
            f"emotion_groups={{{missing[0]!r}: 'negative'}}."
        )
    return group_of


def group_ids(labels: Sequence[str], emotion_groups: Mapping[str, str] | None = None) -> tuple[list[str], list[int]]:
    """Returns the groups' names in the order of their first labels, and each label's group id, see `group_labels`."""
    groups = group_labels(labels, emotion_groups)
    names = list(dict.fromkeys(groups.values()))
    return names, [names.index(group) for group in groups.values()]


__all__ = ["EMOTION_GROUPS", "SYNONYMS", "canonical_label", "group_ids", "group_labels"]
