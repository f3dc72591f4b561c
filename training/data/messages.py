# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Parts of messages that many modules write."""

from collections.abc import Iterable


def first_few(names: Iterable, most: int = 5) -> str:
    """The first names as text, e.g. `a, b, c, d, e and 7 more`."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


__all__ = ["first_few"]
