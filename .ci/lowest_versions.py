# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Prints the lowest versions that pyproject.toml allows, as constraints for pip.

    python .ci/lowest_versions.py [--except NAME ...]

Packages after --except keep the version of constraints.txt, for machines that cannot install their lowest one.
"""

import argparse
import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--except", dest="kept", nargs="*", default=[], help="packages that keep their usual version")
    kept = parser.parse_args().kept
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    lowest = dict(match.groups() for match in map(REQUIREMENT.fullmatch, requirements) if match)
    usual = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    for name, version in lowest.items():
        print(f"{name}=={usual[name] if name in kept else version}")


if __name__ == "__main__":
    main()
