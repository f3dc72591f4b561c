# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The names that `import modeling_rdfer` offers."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import modeling_rdfer
from tests.helpers.paths import ROOT


def test_every_public_name_is_there_and_nothing_else_is():
    for name in modeling_rdfer.__all__:
        value = getattr(modeling_rdfer, name)
        assert getattr(value, "__name__", name) == name
    assert set(modeling_rdfer.__all__) <= set(dir(modeling_rdfer))
    with pytest.raises(AttributeError, match="'modeling_rdfer' has no attribute 'predictt'"):
        modeling_rdfer.predictt  # noqa: B018


def test_type_checkers_see_the_names_that_are_imported_on_first_use():
    tree = ast.parse(Path(modeling_rdfer.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: f".{node.module}" for node in block.body for alias in node.names}
    assert seen == modeling_rdfer._LAZY_MODULES
    assert (Path(modeling_rdfer.__file__).parent / "py.typed").is_file()


def test_no_modules_import_each_other_in_a_circle():
    folder = Path(modeling_rdfer.__file__).parent
    imports: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        package = ["modeling_rdfer", *file.relative_to(folder).parent.parts]
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
        names = {".".join([*package[: len(package) - node.level + 1], node.module or ""]) for node in relative}
        imports[".".join([*package, file.stem])] = names
    while imports:
        free = [module for module, names in imports.items() if not names & imports.keys()]
        assert free, f"a circle among {sorted(imports)}"
        for module in free:
            del imports[module]


def test_importing_the_package_imports_neither_inference_nor_training():
    """In a process of its own, in which the package is not installed, as in a Space."""
    script = """
import importlib.metadata, json, sys
version = importlib.metadata.version
def not_installed(name):
    if name == "modeling-rdfer":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = not_installed
import modeling_rdfer
early = [name for name in sys.modules if name.startswith(("modeling_rdfer.inference", "modeling_rdfer.trainer"))]
modeling_rdfer.predict
print(json.dumps([modeling_rdfer.__version__, early, "predict" in vars(modeling_rdfer)]))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == ["0+unknown", [], True]


def test_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert modeling_rdfer.__version__ == project["version"]


@pytest.mark.parametrize("name", ["RDFERTrainer", "recognition_metrics"])
def test_names_of_training_say_which_extra_is_missing(monkeypatch, name):
    monkeypatch.delitem(vars(modeling_rdfer), name, raising=False)
    for package in ("accelerate", "sklearn"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ImportError) as raised:
        getattr(modeling_rdfer, name)
    assert str(raised.value) == f"{name} needs accelerate and scikit-learn: pip install 'modeling-rdfer[training]'"
