# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import shutil

import pytest

from modeling_rdfer.cli import main
from modeling_rdfer.inference.json_answers import SCHEMA_VERSION, model_facts
from modeling_rdfer.inference.warning_codes import WARNING_CODES
from modeling_rdfer.models.package_data_rdfer import required_file
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT, DATA, ROOT

CLIP = str(DATA / "cap13_edit2.mp4")
SCHEMA = json.loads(required_file("inference/answer_schema.json").read_text(encoding="utf-8"))


def check(document: dict) -> dict:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    return document


def test_the_command_prints_what_the_schema_describes(tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    commands = [
        [CLIP, str(tmp_path / "broken.mp4")],
        [CLIP, "--face", "all", "--top-k", "1"],
        [CLIP, "--no-face-crop", "--min-confidence", "1"],
        [CLIP, "--model", str(AEN_CHECKPOINT)],
    ]
    for command in commands:
        main(["predict", "--json", *command])
        document = check(json.loads(capsys.readouterr().out))
        assert document["schema_version"] == SCHEMA_VERSION
        assert document["answers"][0]["file"] == CLIP
    for face in ("largest", "all"):
        command = ["timeline", CLIP, "--window", "8", "--step", "8", "--face", face, "--out", str(tmp_path / "a.json")]
        assert main(command) == 0
        windows = check(json.loads((tmp_path / "a.json").read_text()))["windows"]
        assert [window["start_seconds"] for window in windows] == [0, 8, 16, pytest.approx(22.6, abs=0.05)]
        assert all(
            window["person"] == 0 and window["label"] == window["predictions"][0]["label"] for window in windows
        )
    document["answers"][0]["colour"] = "blue"
    with pytest.raises(Exception, match="colour"):
        check(document)


def test_the_schema_lists_the_warning_codes():
    assert SCHEMA["$defs"]["warnings"]["items"]["enum"] == list(WARNING_CODES)


def test_a_document_names_the_checkpoint_and_its_revision(tmp_path):
    embedded = model_facts()
    assert embedded["name"] == "rdfer-small" and embedded["calibrated"] and "neutral" in embedded["labels"]
    copy = shutil.copytree(CHECKPOINT, tmp_path / "mine")
    assert model_facts(str(copy)) == {**embedded, "name": "mine"}
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "calibration_temperature": None}))
    assert not model_facts(str(copy))["calibrated"]
    assert model_facts(str(AEN_CHECKPOINT))["revision"] != embedded["revision"]


def test_the_documentation_lists_the_warning_codes():
    page = (ROOT / "docs" / "table_schema.md").read_text(encoding="utf-8")
    assert all(f"| `{code}` | {text} |" in page for code, text in WARNING_CODES.items())
