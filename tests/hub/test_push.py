# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pushing to a server of the Hub's protocol, with the client as it is."""

import shutil

from huggingface_hub import HfApi

from modeling_rdfer import RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.hub.card_files import pinned_revision
from modeling_rdfer.hub.push import files_to_push, push_folder
from tests.helpers.bundle import MODELS
from tests.helpers.hub_server import new_repo_id
from tests.helpers.paths import CHECKPOINT
from tests.helpers.pushed import BUNDLE, COMPLETE, pushed
from training import push


def test_a_push_that_broke_before_pinning_is_finished_by_the_next(hub, trained_folder):
    repo_id = new_repo_id()
    first = push_folder(trained_folder, repo_id, commit_message="First", pin=False)
    assert pinned_revision(pushed(hub, repo_id)["README.md"].decode()) is None
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    assert pinned_revision(pushed(hub, repo_id)["README.md"].decode()) == first.oid


def test_a_card_that_was_edited_on_the_hub_is_kept(hub, trained_folder):
    repo_id = new_repo_id()
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    edited = pushed(hub, repo_id)["README.md"].replace(b"# rdfer-small", b"# rdfer-small\n\nSeen by Ada.")
    HfApi().upload_file(path_or_fileobj=edited, path_in_repo="README.md", repo_id=repo_id)
    (trained_folder / "all_results.json").write_text("{}")
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    assert pushed(hub, repo_id)["README.md"] == edited and pushed(hub, repo_id)["all_results.json"] == b"{}"
    push.main(["--model", str(trained_folder), "--repo-id", repo_id, "--overwrite-card"])
    assert b"Seen by Ada" not in pushed(hub, repo_id)["README.md"]
    # An edited card of the folder is what its author wants there.
    (trained_folder / "README.md").write_text("Mine.")
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    assert pushed(hub, repo_id)["README.md"] == b"Mine."


def test_the_code_that_arrives_is_that_of_the_package(hub):
    repo_id = new_repo_id()
    RDFERForVideoClassification.from_pretrained(CHECKPOINT).push_to_hub(repo_id)
    RDFERVideoProcessor.from_pretrained(CHECKPOINT).push_to_hub(repo_id)
    code = {name: content for name, content in pushed(hub, repo_id).items() if name.endswith(".py")}
    assert code == {name: (MODELS / name).read_bytes() for name in BUNDLE}


def test_code_files_are_those_that_the_configurations_name(trained_folder):
    assert "notes.py" not in files_to_push(trained_folder) and set(files_to_push(trained_folder)) >= BUNDLE


def test_a_folder_without_code_is_pushed_with_it(hub, tmp_path, capsys):
    assert not list(CHECKPOINT.glob("*.py"))
    repo_id = new_repo_id()
    assert push.main(["--model", str(CHECKPOINT), "--repo-id", repo_id]) == 0
    files = pushed(hub, repo_id)
    assert set(files) == COMPLETE
    package = MODELS
    assert all(files[name] == (package / name).read_bytes() for name in BUNDLE)
    # A file of the folder goes before that of the package.
    shutil.copytree(CHECKPOINT, tmp_path / "own")
    own = (package / "modeling_rdfer.py").read_bytes() + b"# Mine.\n"
    (tmp_path / "own" / "modeling_rdfer.py").write_bytes(own)
    for name in BUNDLE - {"modeling_rdfer.py"}:
        shutil.copyfile(package / name, tmp_path / "own" / name)
    assert push.main(["--model", str(tmp_path / "own"), "--repo-id", repo_id]) == 0
    assert pushed(hub, repo_id)["modeling_rdfer.py"] == own
