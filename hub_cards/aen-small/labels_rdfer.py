# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Names of emotions: one spelling for synonyms, and the sentiment groups they belong to."""

from collections.abc import Mapping, Sequence

from transformers import PreTrainedConfig

# The first word of a row stands for all of them when labels of two datasets are compared.
SYNONYMS = (
    ("anger", "angry", "ang", "an"),
    ("anxiety", "anxious", "ax"),
    ("calm", "calmness"),
    ("contempt", "contemptuous", "co"),
    ("disappointment", "disappointed", "ds"),
    ("disgust", "disgusted", "dis", "di"),
    ("fear", "fearful", "afraid", "fea", "fe"),
    ("happiness", "happy", "joy", "hap", "ha"),
    ("helplessness", "helpless", "hl"),
    ("neutral", "neutrality", "neu", "ne"),
    ("sadness", "sad", "sa"),
    ("surprise", "surprised", "sur", "su"),
)
_CANONICAL = {word: words[0] for words in SYNONYMS for word in words}

# The groups of AEN (section 4 of the design, ours) for the labels of all datasets that this package reads: the seven
# basic ones (six of them in CREMA-D), MAFW's eleven, RAVDESS's eight. Surprise can be pleasant or not.
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
    """
    One spelling for all names of an expression: "Angry" and "anger" are "anger"; the parts of a compound one, joined
    by "_", are treated each and sorted. Other names only become lower-case.
    """
    return "_".join(sorted(_CANONICAL.get(part, part) for part in name.strip().lower().split("_")))


def class_names(config: PreTrainedConfig) -> list[str]:
    """The labels of a model by their numbers: that of logit 0 first."""
    return [config.id2label[number] for number in range(config.num_labels)]


def group_labels(labels: Sequence[str], emotion_groups: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    The group of each label. A compound label ("anger_sadness") that has no group of its own is in the group that all
    of its parts are in.

    Args:
        labels (sequence of `str`): names of emotions, in any spelling that [`canonical_label`] knows.
        emotion_groups (`dict[str, str]`, *optional*): label -> group. Labels that it does not name have their group in
            `EMOTION_GROUPS`.

    Returns:
        `dict[str, str]`: label -> group, in the order of the labels.

    Raises:
        ValueError: labels without a group, naming them; or two entries for the same emotion that differ.
    """
    groups = dict(EMOTION_GROUPS)
    own = {}
    for label, group in (emotion_groups or {}).items():
        name = canonical_label(label)
        if own.setdefault(name, group) != group:
            raise ValueError(f"`emotion_groups` has two groups, {own[name]!r} and {group!r}, for {name!r}.")
    groups.update(own)
    found = {}
    for label in labels:
        name = canonical_label(label)
        among = {groups.get(name)} if name in groups else {groups.get(part) for part in name.split("_")}
        found[label] = among.pop() if len(among) == 1 else None
    without = [label for label, group in found.items() if group is None]
    if without:
        raise ValueError(
            f"Labels {without} have no emotion group: say theirs in `emotion_groups`, e.g. "
            f"emotion_groups={{{without[0]!r}: 'negative'}}."
        )
    return found


def group_ids(labels: Sequence[str], emotion_groups: Mapping[str, str] | None = None) -> tuple[list[str], list[int]]:
    """Names of the groups in the order of their first labels, and the number of each label's; see [`group_labels`]."""
    groups = group_labels(labels, emotion_groups)
    names = list(dict.fromkeys(groups.values()))
    return names, [names.index(group) for group in groups.values()]


__all__ = ["EMOTION_GROUPS", "SYNONYMS", "canonical_label", "group_ids", "group_labels"]
