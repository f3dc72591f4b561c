# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The folder models/ is what a checkpoint carries as remote code, and nothing else."""

import ast
import graphlib
import sys

import pytest
from transformers.dynamic_module_utils import check_imports, get_imports

from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from tests.helpers.bundle import MODELS, code_files

BUNDLE = {path.name for path in MODELS.glob("*.py")} - {"__init__.py"}
# Every checkpoint needs these; transformers refuses a file whose imports are not installed.
ALLOWED = {"torch", "torchvision", "numpy", "transformers", "huggingface_hub", "safetensors", "PIL"}
# Imported under `try` only: transformers does not ask for these.
OPTIONAL = {"av", "torchcodec"}


def imports(name: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements of a file, each with whether it stands under `try`."""
    tree = ast.parse((MODELS / name).read_text(encoding="utf-8"))
    tried = {id(node) for attempt in ast.walk(tree) if isinstance(attempt, ast.Try) for node in ast.walk(attempt)}
    return [(node, id(node) in tried) for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_both_families_together_save_exactly_this_folder(tmp_path):
    written = {}
    for model in (
        RDFERForVideoClassification(RDFERConfig.from_preset("tiny")),
        AENForVideoClassification(AENConfig.from_preset("tiny")),
    ):
        folder = tmp_path / model.config.model_type
        model.save_pretrained(folder)
        RDFERVideoProcessor().save_pretrained(folder)
        written[model.config.model_type] = {path.name for path in folder.glob("*.py")}
        for name in written[model.config.model_type]:
            assert (folder / name).read_bytes() == (MODELS / name).read_bytes()
    processor = code_files("video_processing_rdfer.py")
    assert written["rdfer"] == code_files("modeling_rdfer.py") | processor
    assert written["aen"] == code_files("modeling_aen.py") | processor
    assert written["rdfer"] | written["aen"] == BUNDLE
    assert not [path for path in MODELS.iterdir() if path.suffix != ".py" and path.name != "__pycache__"]


@pytest.mark.parametrize("name", sorted(BUNDLE))
def test_imports_are_files_beside_it_and_packages_that_are_allowed(name):
    for node, tried in imports(name):
        if isinstance(node, ast.ImportFrom) and node.level:
            # One dot and a named file: transformers copies only what is written so.
            assert node.level == 1 and f"{node.module}.py" in BUNDLE, ast.unparse(node)
            continue
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        for package in {module.split(".")[0] for module in modules}:
            assert package in ALLOWED | OPTIONAL or package in sys.stdlib_module_names, ast.unparse(node)
            assert package not in OPTIONAL or tried, ast.unparse(node)
    # As transformers sees it when it loads the file.
    assert not set(get_imports(MODELS / name)) - ALLOWED - sys.stdlib_module_names
    check_imports(MODELS / name)


def test_no_circle_among_the_files():
    graph = {
        name: {f"{node.module}.py" for node, _ in imports(name) if isinstance(node, ast.ImportFrom) and node.level}
        for name in BUNDLE
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(BUNDLE)
