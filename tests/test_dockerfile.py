# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The Dockerfile, step by step, without a container engine."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.service import ServiceProcess

CLIP = ROOT / "tests" / "data" / "cap13_edit2.mp4"


def steps() -> list[tuple[str, str]]:
    """Instruction and arguments of each step."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in steps() if name == instruction]


def copy_files(target: Path):
    """What the COPY steps of the first stage take from the repository."""
    for rest in arguments("COPY"):
        *sources, place = rest.split()
        if sources[0].startswith("--from"):
            continue
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target / place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, target / place)


def test_it_is_as_it_should_be(tmp_path):
    assert [rest.split()[0] for rest in arguments("FROM")] == ["python:3.12-slim"] * 2
    user = arguments("USER")
    assert len(user) == 1 and int(user[0].split(":")[0]) > 0
    assert steps().index(("USER", user[0])) < steps().index(("ENTRYPOINT", arguments("ENTRYPOINT")[0]))
    # What it copies is what .dockerignore lets through.
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [name for rest in arguments("COPY") if "--from" not in rest for name in rest.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    # The commands that it runs know all their options.
    (run,) = arguments("RUN")
    for command in run.split("&&"):
        program, *rest = shlex.split(command)
        if program.endswith("pip"):
            subprocess.run([sys.executable, "-m", "pip", *rest, "--help"], check=True, capture_output=True)


@pytest.mark.npm
@pytest.mark.slow
def test_its_steps_give_a_service_that_is_healthy(tmp_path):
    """The package is built from what is copied and installed alone; its dependencies are those of this environment."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    copy_files(source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, "."], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"modeling_rdfer/rdfer-small/model.safetensors", "modeling_rdfer/inference/answer_schema.json"} <= {*names}
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    shutil.rmtree(source)

    program, command, *options = json.loads(arguments("ENTRYPOINT")[0])
    assert (program, command) == ("rdfer", "serve")
    (tmp_path / "run").mkdir()
    path = f"{site}:{sysconfig.get_paths()['purelib']}"
    service = ServiceProcess(tmp_path / "run", *options, cwd=tmp_path, PYTHONPATH=path)
    try:
        status, document = service.predict(CLIP.read_bytes())
        assert status == 200 and document["answers"][0]["label"] == "neutral"
        kind, check = arguments("HEALTHCHECK")[0].split("CMD ")
        port = service.url.rsplit(":", 1)[1]
        check = json.loads(check.replace(":8000/", f":{port}/"))
        assert subprocess.run(check, check=False).returncode == 0, kind
        service.stop()
        assert subprocess.run(check, check=False, capture_output=True).returncode != 0
    finally:
        service.process.kill()
