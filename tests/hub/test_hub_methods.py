# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`push_to_hub` of models, processors and configurations, and pulling without the package."""

import json
import os
import re
import subprocess
import sys

import pytest
from huggingface_hub import HfApi, ModelCard

from modeling_rdfer import CardFacts, RDFERForVideoClassification, RDFERVideoProcessor, predict
from modeling_rdfer.hub.card_files import is_unedited, pinned_revision
from tests.helpers.hub_server import new_repo_id
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.pushed import COMPLETE, MODEL_FILES, PROCESSOR_FILES, pushed


def test_model_and_processor_push_what_they_are(hub, tmp_path):
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT)
    repo_id = new_repo_id()
    processor.push_to_hub(repo_id, private=True)
    assert set(pushed(hub, repo_id)) == PROCESSOR_FILES and hub.repos[repo_id].private
    model.card_facts = CardFacts(base_model=str(tmp_path), dataset_name="DFEW", metrics={"war": 0.5, "uar": 0.4})
    commit = model.push_to_hub(repo_id, commit_message="The model", tags=["mine"])
    files = pushed(hub, repo_id)
    assert set(files) == COMPLETE and hub.repos[repo_id].branches["main"] == commit.oid
    assert not any(str(tmp_path).encode() in content for content in files.values())
    card = ModelCard(files["README.md"].decode())
    assert "mine" in card.data.tags and card.data.model_name == repo_id.split("/")[1]
    # A model of which nothing is known says nothing about it, and takes nothing back.
    RDFERForVideoClassification.from_pretrained(repo_id).push_to_hub(repo_id)
    assert b"DFEW" in pushed(hub, repo_id)["README.md"]
    # The other door.
    repo_id = new_repo_id()
    model.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id=repo_id, revision="fold2")
    assert set(pushed(hub, repo_id, "fold2")) == MODEL_FILES
    processor.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id=repo_id, revision="fold2")
    assert set(pushed(hub, repo_id, "fold2")) == COMPLETE and pushed(hub, repo_id) == {}
    repo_id = new_repo_id()
    model.config.push_to_hub(repo_id)
    assert set(pushed(hub, repo_id)) == {"config.json", "configuration_rdfer.py"}


@pytest.mark.parametrize("known", [True, False])
def test_what_was_pushed_without_the_processor_has_no_example_until_it_comes(hub, known):
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    model.card_facts = CardFacts(dataset_name="DFEW") if known else None
    processor, repo_id = RDFERVideoProcessor.from_pretrained(CHECKPOINT), new_repo_id()
    for _ in range(2):
        model.push_to_hub(repo_id)
        card = pushed(hub, repo_id)["README.md"].decode()
        assert is_unedited(card) and "pipeline(" not in card and "classify(" not in card
        assert f'processor.push_to_hub("{repo_id}")' in card
    processor.push_to_hub(repo_id)
    card = pushed(hub, repo_id)["README.md"].decode()
    revision = pinned_revision(card)
    assert is_unedited(card) and set(hub.repos[repo_id].commits[revision].files) >= COMPLETE
    assert 'classify("clip.mp4")' in card and "No example yet" not in card and ("DFEW" in card) == known
    commits = len(hub.repos[repo_id].commits)
    processor.push_to_hub(repo_id)  # nothing has changed
    assert len(hub.repos[repo_id].commits) == commits
    processor.on_missing_face = "full_frame"
    processor.push_to_hub(repo_id)
    again = pinned_revision(pushed(hub, repo_id)["README.md"].decode())
    files = hub.repos[repo_id].commits[again].files
    assert json.loads(files["video_preprocessor_config.json"])["on_missing_face"] == "full_frame"
    edited = pushed(hub, repo_id)["README.md"].replace(b"## Use", b"Mine.")
    HfApi().upload_file(path_or_fileobj=edited, path_in_repo="README.md", repo_id=repo_id)
    processor.on_missing_face = "error"
    processor.push_to_hub(repo_id)
    assert pushed(hub, repo_id)["README.md"] == edited


@pytest.mark.parametrize("order", ["processor first", "model first"])
def test_pipeline_in_a_process_without_the_package(hub, tmp_path, order):
    """From the server, at a commit: the same answer as here, from the code that came with the model."""
    repo_id = new_repo_id()
    clip = DATA / "cap13_edit2.mp4"
    parts = [RDFERVideoProcessor, RDFERForVideoClassification]
    for part in parts if order == "processor first" else parts[::-1]:
        part.from_pretrained(CHECKPOINT).push_to_hub(repo_id)
    pinned = pinned_revision(pushed(hub, repo_id)["README.md"].decode())
    # What came later than the pinned commit must not matter.
    HfApi().upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo_id)
    # The example of the card as it stands, but that its answer is printed.
    (example,) = re.findall(r"```python\n(.*?)```", pushed(hub, repo_id)["README.md"].decode(), re.DOTALL)
    assert f'model="{repo_id}", revision="{pinned}"' in example
    example = example.replace('classify("clip.mp4")', 'print(json.dumps(classify("clip.mp4")))')
    (tmp_path / "clip.mp4").symlink_to(clip)
    # Importing it fails, as where it is not installed.
    script = f'import json, sys\nsys.modules["modeling_rdfer"] = None\n{example}'
    names = ("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HF_TOKEN")
    environment = {name: os.environ[name] for name in names} | {"OMP_NUM_THREADS": "1", "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment | {"HF_HOME": str(tmp_path / "home")},
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    expected = predict(clip, model=str(CHECKPOINT), top_k=5)["predictions"]
    expected = {entry["label"]: entry["score"] for entry in expected}
    assert {entry["label"]: entry["score"] for entry in answer} == pytest.approx(expected, abs=1e-6)
