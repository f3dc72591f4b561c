# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labels of one dataset under the names of another."""

from collections.abc import Sequence

from transformers.utils import logging

from modeling_rdfer.models.labels_rdfer import canonical_label

logger = logging.get_logger(__name__)


def map_labels(names: Sequence[str], onto: Sequence[str], leave_out: bool = False) -> dict[str, str]:
    """Maps the labels of one dataset onto those of another, by name.

    Args:
        names (`list[str]`): labels to map.
        onto (`list[str]`): labels to map them onto, e.g. those of a checkpoint.
        leave_out (`bool`, *optional*, defaults to `False`): leave out names without a counterpart, with a warning that
            lists them.

    Returns:
        `dict[str, str]`: the counterpart of each name that has one.

    Raises:
        ValueError: if a name has no counterpart (with `leave_out`: if none has one), or if two labels of `onto` mean
            the same.
    """
    targets = {}
    for name in onto:
        other = targets.setdefault(canonical_label(name), name)
        if other != name:
            raise ValueError(f"Labels cannot be mapped onto {list(onto)}: {other!r} and {name!r} mean the same.")
    mapped = {name: targets[canonical_label(name)] for name in names if canonical_label(name) in targets}
    rest = [name for name in names if name not in mapped]
    if rest and (not mapped or not leave_out):
        raise ValueError(f"Labels {rest} have no counterpart among {list(onto)}.")
    if rest:
        logger.warning(f"Labels {rest} are left out: they have no counterpart among {list(onto)}.")
    return mapped


__all__ = ["map_labels"]
