# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests, from the source distribution of the version that is installed.

`python -m tests.helpers.transformers_tests` fetches them from PyPI, once, into the user's cache; `make test` does so.
"""

import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
import transformers

# What these tests import in addition, and what the distribution leaves out: it only has the files of the folder
# `tests`, and of the others nothing is used by what is tested here.
PARAMETERIZED = "parameterized==0.9.0"
LEFT_OUT = {
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modeling-rdfer"
FOLDER = CACHE / f"transformers-tests-{transformers.__version__}"


def fetch():
    """Downloads the tests unless they are there."""
    if FOLDER.is_dir():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        work, tests = Path(name), Path(name, "new", "transformers_tests")
        source = f"transformers=={transformers.__version__}"
        subprocess.run([*download, "--no-binary", "transformers", "--dest", work, source], check=True)
        subprocess.run([*download, "--dest", work, PARAMETERIZED], check=True)
        tests.mkdir(parents=True)
        (tests / "__init__.py").touch()
        with tarfile.open(next(work.glob("transformers-*.tar.gz"))) as archive:
            for member in archive:
                folders = member.name.split("/")
                if len(folders) == 3 and folders[1] == "tests" and member.isfile():
                    (tests / folders[2]).write_bytes(archive.extractfile(member).read())
        for file, text in LEFT_OUT.items():
            (tests / file).parent.mkdir(exist_ok=True)
            (tests / file).write_text(text)
        with zipfile.ZipFile(next(work.glob("parameterized-*.whl"))) as archive:
            archive.extractall(work / "new")
        (work / "new").rename(FOLDER)


def load(name: str):
    """Imports one of the test modules, e.g. `"test_modeling_common"`; skips the tests where they were not fetched."""
    if not FOLDER.is_dir():
        reason = "transformers' own tests are not there: python -m tests.helpers.transformers_tests (needs PyPI)"
        pytest.skip(reason, allow_module_level=True)
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(f"transformers_tests.{name}")


if __name__ == "__main__":
    try:
        fetch()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"transformers' own tests could not be fetched, those that need them are skipped: {error}")
