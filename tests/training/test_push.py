# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The command, against a server of the Hub's protocol, with the client as it is."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from modeling_rdfer.hub.card_files import is_unedited, pinned_revision
from tests.helpers.hub_server import new_repo_id
from tests.helpers.paths import CHECKPOINT
from tests.helpers.pushed import COMPLETE, pushed
from training import push


def test_push_sends_the_checkpoint_and_nothing_else(hub, trained_folder, capsys):
    repo_id = new_repo_id()
    options = ["--private", "--commit-message", "First"]
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id, *options]) == 0
    files = pushed(hub, repo_id)
    assert set(files) == COMPLETE | {"all_results.json"}
    assert all(files[name] == (trained_folder / name).read_bytes() for name in files if name != "README.md")
    repo = hub.repos[repo_id]
    assert repo.private and [c.message for c in repo.commits.values()][1] == "First"
    said = capsys.readouterr().out
    assert "sample_table.parquet" in said.split("Not sending")[1] and repo.branches["main"] in said
    # By the client itself: what is there, and a file of a commit.
    assert set(HfApi().list_repo_files(repo_id)) == {*files, ".gitattributes"}
    assert Path(hf_hub_download(repo_id, "all_results.json", revision=repo.branches["main"])).read_text()


def test_the_example_of_the_card_pins_a_commit_that_holds_everything(hub, trained_folder):
    repo_id = new_repo_id()
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    card = pushed(hub, repo_id)["README.md"].decode()
    revision = pinned_revision(card)
    assert is_unedited(card) and f'model="{repo_id}", revision="{revision}"' in card
    assert set(hub.repos[repo_id].commits[revision].files) == {*COMPLETE, "all_results.json", ".gitattributes"}
    commits = len(hub.repos[repo_id].commits)
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])  # nothing has changed
    assert len(hub.repos[repo_id].commits) == commits
    (trained_folder / "all_results.json").write_text('{"eval_war": 0.6}')
    push.main(["--model", str(trained_folder), "--repo-id", repo_id])
    again = pinned_revision(pushed(hub, repo_id)["README.md"].decode())
    assert again != revision and hub.repos[repo_id].commits[again].files["all_results.json"] == b'{"eval_war": 0.6}'


def test_push_to_a_branch_leaves_main_alone(hub, trained_folder):
    repo_id = new_repo_id()
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id, "--revision", "fold2"]) == 0
    assert pushed(hub, repo_id) == {} and set(pushed(hub, repo_id, "fold2")) == COMPLETE | {"all_results.json"}


def test_include_sends_more(hub, trained_folder, capsys):
    repo_id = new_repo_id()
    command = ["--model", str(trained_folder), "--repo-id", repo_id, "--include"]
    assert push.main([*command, "sample_table.parquet", "checkpoint-8/*"]) == 0
    extra = set(pushed(hub, repo_id)) - COMPLETE - {"all_results.json"}
    assert extra == {"sample_table.parquet", "checkpoint-8/model.safetensors"}
    assert push.main([*command, "sampel_table.parquet"]) == 1
    assert "sampel_table.parquet matches no further file" in capsys.readouterr().err


def test_a_wrong_token_is_one_clear_line(hub, trained_folder, capsys, monkeypatch):
    repo_id = new_repo_id()
    for token in ("hf_wrong", None):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        assert push.main(["--model", str(trained_folder), "--repo-id", repo_id]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: the Hub does not accept the token") and error.count("\n") == 1
    assert repo_id not in hub.repos


@pytest.mark.parametrize(
    ("repo_id", "message"),
    [("somebody/model", "may not write to somebody/model"), ("user/a model", "user/a model")],
)
def test_repositories_that_cannot_be_written(hub, trained_folder, capsys, repo_id, message):
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_public_repository_is_no_private_one(hub, trained_folder, capsys):
    repo_id = new_repo_id()
    HfApi().create_repo(repo_id)
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id, "--private"]) == 1
    assert "is public" in capsys.readouterr().err and pushed(hub, repo_id) == {}
    # A repository that exists is no mistake.
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id]) == 0


def test_folders_that_are_no_checkpoint(hub, tmp_path, capsys):
    assert push.main(["--model", str(tmp_path / "none"), "--repo-id", "user/x"]) == 1
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert push.main(["--model", str(tmp_path), "--repo-id", "user/x"]) == 1
    assert "has no weights" in capsys.readouterr().err


def test_after_a_cut_connection_only_what_is_missing_is_sent(hub, trained_folder, capsys):
    repo_id = new_repo_id()
    hub.cut_above = 500_000  # the weights come in parts of 1 MB, the face detector in one of 480 kB
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id]) == 1
    error = capsys.readouterr().err
    error = error.strip().splitlines()[-1]
    assert error.startswith("error: Error while uploading 'model.safetensors'") and "again" in error
    assert pushed(hub, repo_id) == {}  # all or nothing
    assert len(hub.uploaded) == 1
    hub.cut_above, hub.uploaded[:] = None, []
    assert push.main(["--model", str(trained_folder), "--repo-id", repo_id]) == 0
    assert len(hub.uploaded) == 1  # not the detector again
    for name in ("model.safetensors", "face_detector.safetensors"):
        assert pushed(hub, repo_id)[name] == (trained_folder / name).read_bytes()


def test_code_that_is_nowhere_is_one_clear_line(hub, tmp_path, capsys):
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "configuration_other.OtherConfig"
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copyfile(CHECKPOINT / "model.safetensors", tmp_path / "model.safetensors")
    repo_id = new_repo_id()
    assert push.main(["--model", str(tmp_path), "--repo-id", repo_id]) == 1
    assert "config.json names configuration_other.py" in capsys.readouterr().err and repo_id not in hub.repos
