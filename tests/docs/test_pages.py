# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The pages say what there is."""

import importlib
import re

import yaml

import modeling_rdfer
from tests.helpers.paths import ROOT
from training.datasets import DATASETS

DOCS = ROOT / "docs"


def described() -> list[str]:
    """Full names of everything in the API reference."""
    pages = sorted((DOCS / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M)]


def test_the_reference_describes_every_public_name_once_and_no_other():
    names = described()
    assert len(names) == len(set(names))
    public = {name.removeprefix("modeling_rdfer.") for name in names if re.fullmatch(r"modeling_rdfer\.\w+", name)}
    assert public == set(modeling_rdfer.__all__) - {"__version__"}


def test_what_the_reference_describes_can_be_imported_from_there():
    for name in described():
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name


def test_the_guide_lists_every_dataset():
    guide = (DOCS / "guides" / "datasets.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", guide, re.M)) == set(DATASETS) - {"videofolder", "videolist", "hub"}


def test_what_the_code_refers_to_is_there():
    headings = "|".join(re.findall(r"^## (.+)$", (DOCS / "method.md").read_text(), re.M))
    for folder in ("modeling_rdfer", "training", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = re.sub(r"\s+(# )?", " ", path.read_text())
            for reference in re.findall(r"docs/method\.md, \(?.{40}", text):
                assert re.search(rf"docs/method\.md, ({headings})", reference), f"{path}: {reference}"
            for page in re.findall(r"\bdocs/([\w/]+\.md)", text):
                assert (DOCS / page).is_file(), f"{path}: docs/{page}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_all_pages_are_in_the_navigation():
    def leaves(item):
        if isinstance(item, str):
            return [item]
        return [leaf for part in (item.values() if isinstance(item, dict) else item) for leaf in leaves(part)]

    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])) == pages
