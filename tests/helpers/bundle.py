# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The files of the remote-code bundle."""

from pathlib import Path

from transformers.dynamic_module_utils import get_relative_import_files

from tests.helpers.paths import ROOT

MODELS = ROOT / "modeling_rdfer" / "models"


def code_files(module: str) -> set[str]:
    """Names of a module of the bundle and of all modules that it imports, by transformers' own search."""
    return {module, *(Path(path).name for path in get_relative_import_files(MODELS / module))}
