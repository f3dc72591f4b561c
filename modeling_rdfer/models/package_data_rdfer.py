# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Finds the files that come with the package: the embedded checkpoint, card templates, example video, demo page."""

import importlib.resources
from pathlib import Path

# Folder in an installed wheel (pyproject.toml, force-include) and where a checkout has its files.
_CHECKOUT_FOLDERS = {"rdfer-small": "hub_cards/rdfer-small", "card_templates": "hub_cards", "example": "tests/data"}


def packaged_file(name: str) -> Path | None:
    """Finds a file or folder that comes with the package.

    Args:
        name (`str`): path inside the installed package, e.g. `"rdfer-small"` or `"example/cap13_edit2.mp4"`.

    Returns:
        `Path`: where it is, in an installed wheel or in a checkout; `None` if it is missing or if the package is not
        installed, as when this module runs as remote code of a checkpoint.
    """
    try:
        package = Path(str(importlib.resources.files("modeling_rdfer")))
    except ModuleNotFoundError:
        return None
    places = [package / name]
    folder, _, rest = name.partition("/")
    if folder in _CHECKOUT_FOLDERS:
        places.append(package.parent / _CHECKOUT_FOLDERS[folder] / rest)
    return next((place for place in places if place.exists()), None)


def required_file(name: str) -> Path:
    """Finds a file or folder that comes with the package, as `packaged_file` does.

    Args:
        name (`str`): path inside the installed package.

    Returns:
        `Path`: where it is.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    file = packaged_file(name)
    if file is None:
        raise FileNotFoundError(f"{name} is missing in this installation: reinstall modeling-rdfer.")
    return file


def embedded_checkpoint() -> str:
    """Finds the checkpoint that comes with the package, rdfer-small.

    Returns:
        `str`: its folder.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    weights = packaged_file("rdfer-small/model.safetensors")
    if weights is None:
        raise FileNotFoundError(
            "The checkpoint rdfer-small is missing in this installation: reinstall modeling-rdfer."
        )
    return str(weights.parent)


__all__ = ["embedded_checkpoint", "packaged_file", "required_file"]
