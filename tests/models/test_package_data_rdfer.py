# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Files that come with the package are found in a checkout and in an installed wheel, and nowhere else."""

import importlib.resources
import sys
import tomllib
from pathlib import Path

import pytest

from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint, packaged_file
from tests.helpers.paths import CHECKPOINT, ROOT


def wheel_files() -> dict[str, str]:
    """Path in the wheel's package -> path in the checkout, of every file that the build adds."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    return {target.removeprefix("modeling_rdfer/"): source for source, target in included.items()}


def test_every_file_that_a_wheel_gets_is_found_in_the_checkout():
    assert wheel_files()
    for name, source in wheel_files().items():
        assert packaged_file(name).samefile(ROOT / source)
    assert packaged_file("demo/page.css").is_file()
    assert Path(embedded_checkpoint()).samefile(CHECKPOINT)


def test_in_an_installed_wheel_its_own_files_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path / "site-packages" / package)
    for name in wheel_files():
        path = tmp_path / "site-packages" / "modeling_rdfer" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert packaged_file(name) == path
    assert embedded_checkpoint() == str(tmp_path / "site-packages" / "modeling_rdfer" / "rdfer-small")


def test_without_the_files_or_without_the_package_there_are_none(tmp_path, monkeypatch):
    assert packaged_file("rdfer-small/none.safetensors") is None and packaged_file("none/README.md") is None
    # The import fails, as it does for remote code if the package is not installed.
    monkeypatch.setitem(sys.modules, "modeling_rdfer", None)
    assert packaged_file("rdfer-small") is None
    with pytest.raises(FileNotFoundError, match="rdfer-small is missing"):
        embedded_checkpoint()
