# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pushing to and pulling from a server of the Hub's protocol, with the client as it is."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from PIL import Image

from modeling_rdfer import CardFacts, RDFERForVideoClassification, RDFERVideoProcessor, predict
from modeling_rdfer.hub.card_files import is_unedited, pinned_revision
from modeling_rdfer.hub.push import files_to_push, push_folder
from tests.helpers.bundle import MODELS, code_files
from tests.helpers.hub_server import new_repo_id
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.training_job import Videos, make_trainer
from training import push, train

MODEL_CODE = code_files("modeling_rdfer.py")
BUNDLE = MODEL_CODE | code_files("video_processing_rdfer.py")
MODEL_FILES = {"config.json", "model.safetensors", "README.md", *MODEL_CODE}
PROCESSOR_FILES = (BUNDLE - MODEL_FILES) | {"video_preprocessor_config.json", "face_detector.safetensors"}
COMPLETE = MODEL_FILES | PROCESSOR_FILES
PRIVATE = ("training_args.bin", "optimizer", "scheduler", "rng_state", "trainer_state", "sample_", "parquet")


def pushed(hub, repo_id: str, branch: str = "main") -> dict[str, bytes]:
    files = dict(hub.repos[repo_id].at(branch).files)
    assert files.pop(".gitattributes")
    return files


@pytest.fixture
def folder(tmp_path, hub_folders) -> Path:
    """A folder as a training leaves it."""
    folder = tmp_path / "out"
    shutil.copytree(hub_folders / "rdfer-small", folder)
    for name in ("training_args.bin", "optimizer.pt", "trainer_state.json", "sample_table.parquet", "notes.py"):
        (folder / name).write_text(f"private: {tmp_path}")
    (folder / "checkpoint-8").mkdir()
    shutil.copyfile(CHECKPOINT / "model.safetensors", folder / "checkpoint-8" / "model.safetensors")
    (folder / "all_results.json").write_text('{"eval_war": 0.5}')
    return folder


# The command ---------------------------------------------------------------------------------------------------------


def test_push_sends_the_checkpoint_and_nothing_else(hub, folder, capsys):
    repo_id = new_repo_id()
    assert push.main(["--model", str(folder), "--repo_id", repo_id, "--private", "--commit_message", "First"]) == 0
    files = pushed(hub, repo_id)
    assert set(files) == COMPLETE | {"all_results.json"}
    assert all(files[name] == (folder / name).read_bytes() for name in files if name != "README.md")
    repo = hub.repos[repo_id]
    assert repo.private and [c.message for c in repo.commits.values()][1] == "First"
    said = capsys.readouterr().out
    assert "sample_table.parquet" in said.split("Not sending")[1] and repo.branches["main"] in said
    # By the client itself: what is there, and a file of a commit.
    assert set(HfApi().list_repo_files(repo_id)) == {*files, ".gitattributes"}
    assert Path(hf_hub_download(repo_id, "all_results.json", revision=repo.branches["main"])).read_text()


def test_the_example_of_the_card_pins_a_commit_that_holds_everything(hub, folder):
    repo_id = new_repo_id()
    push.main(["--model", str(folder), "--repo_id", repo_id])
    card = pushed(hub, repo_id)["README.md"].decode()
    revision = pinned_revision(card)
    assert is_unedited(card) and f'model="{repo_id}", revision="{revision}"' in card
    assert set(hub.repos[repo_id].commits[revision].files) == {*COMPLETE, "all_results.json", ".gitattributes"}
    commits = len(hub.repos[repo_id].commits)
    push.main(["--model", str(folder), "--repo_id", repo_id])  # nothing has changed
    assert len(hub.repos[repo_id].commits) == commits
    (folder / "all_results.json").write_text('{"eval_war": 0.6}')
    push.main(["--model", str(folder), "--repo_id", repo_id])
    again = pinned_revision(pushed(hub, repo_id)["README.md"].decode())
    assert again != revision and hub.repos[repo_id].commits[again].files["all_results.json"] == b'{"eval_war": 0.6}'


def test_a_push_that_broke_before_pinning_is_finished_by_the_next(hub, folder):
    repo_id = new_repo_id()
    first = push_folder(folder, repo_id, commit_message="First", pin=False)
    assert pinned_revision(pushed(hub, repo_id)["README.md"].decode()) is None
    push.main(["--model", str(folder), "--repo_id", repo_id])
    assert pinned_revision(pushed(hub, repo_id)["README.md"].decode()) == first.oid


def test_push_to_a_branch_leaves_main_alone(hub, folder):
    repo_id = new_repo_id()
    assert push.main(["--model", str(folder), "--repo_id", repo_id, "--revision", "fold2"]) == 0
    assert pushed(hub, repo_id) == {} and set(pushed(hub, repo_id, "fold2")) == COMPLETE | {"all_results.json"}


def test_include_sends_more(hub, folder, capsys):
    repo_id = new_repo_id()
    command = ["--model", str(folder), "--repo_id", repo_id, "--include"]
    assert push.main([*command, "sample_table.parquet", "checkpoint-8/*"]) == 0
    extra = set(pushed(hub, repo_id)) - COMPLETE - {"all_results.json"}
    assert extra == {"sample_table.parquet", "checkpoint-8/model.safetensors"}
    assert push.main([*command, "sampel_table.parquet"]) == 1
    assert "sampel_table.parquet matches no further file" in capsys.readouterr().err


def test_a_wrong_token_is_one_clear_line(hub, folder, capsys, monkeypatch):
    repo_id = new_repo_id()
    for token in ("hf_wrong", None):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        assert push.main(["--model", str(folder), "--repo_id", repo_id]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: the Hub does not accept the token") and error.count("\n") == 1
    assert repo_id not in hub.repos


@pytest.mark.parametrize(
    ("repo_id", "message"),
    [("somebody/model", "may not write to somebody/model"), ("user/a model", "user/a model")],
)
def test_repositories_that_cannot_be_written(hub, folder, capsys, repo_id, message):
    assert push.main(["--model", str(folder), "--repo_id", repo_id]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_public_repository_is_no_private_one(hub, folder, capsys):
    repo_id = new_repo_id()
    HfApi().create_repo(repo_id)
    assert push.main(["--model", str(folder), "--repo_id", repo_id, "--private"]) == 1
    assert "is public" in capsys.readouterr().err and pushed(hub, repo_id) == {}
    assert push.main(["--model", str(folder), "--repo_id", repo_id]) == 0  # a repository that exists is no mistake


def test_folders_that_are_no_checkpoint(hub, tmp_path, capsys):
    assert push.main(["--model", str(tmp_path / "none"), "--repo_id", "user/x"]) == 1
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert push.main(["--model", str(tmp_path), "--repo_id", "user/x"]) == 1
    assert "has no weights" in capsys.readouterr().err


def test_after_a_cut_connection_only_what_is_missing_is_sent(hub, folder, capsys):
    repo_id = new_repo_id()
    hub.cut_above = 500_000  # the weights come in parts of 1 MB, the face detector in one of 480 kB
    assert push.main(["--model", str(folder), "--repo_id", repo_id]) == 1
    error = capsys.readouterr().err
    error = error.strip().splitlines()[-1]
    assert error.startswith("error: Error while uploading 'model.safetensors'") and "again" in error
    assert pushed(hub, repo_id) == {}  # all or nothing
    assert len(hub.uploaded) == 1
    hub.cut_above, hub.uploaded[:] = None, []
    assert push.main(["--model", str(folder), "--repo_id", repo_id]) == 0
    assert len(hub.uploaded) == 1  # not the detector again
    for name in ("model.safetensors", "face_detector.safetensors"):
        assert pushed(hub, repo_id)[name] == (folder / name).read_bytes()


# Cards on the Hub ----------------------------------------------------------------------------------------------------


def test_a_card_that_was_edited_on_the_hub_is_kept(hub, folder):
    repo_id = new_repo_id()
    push.main(["--model", str(folder), "--repo_id", repo_id])
    edited = pushed(hub, repo_id)["README.md"].replace(b"# rdfer-small", b"# rdfer-small\n\nSeen by Ada.")
    HfApi().upload_file(path_or_fileobj=edited, path_in_repo="README.md", repo_id=repo_id)
    (folder / "all_results.json").write_text("{}")
    push.main(["--model", str(folder), "--repo_id", repo_id])
    assert pushed(hub, repo_id)["README.md"] == edited and pushed(hub, repo_id)["all_results.json"] == b"{}"
    push.main(["--model", str(folder), "--repo_id", repo_id, "--overwrite_card"])
    assert b"Seen by Ada" not in pushed(hub, repo_id)["README.md"]
    # An edited card of the folder is what its author wants there.
    (folder / "README.md").write_text("Mine.")
    push.main(["--model", str(folder), "--repo_id", repo_id])
    assert pushed(hub, repo_id)["README.md"] == b"Mine."


# push_to_hub of the objects ------------------------------------------------------------------------------------------


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


# The Trainer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["end", "every_save", "checkpoint", "all_checkpoints"])
def test_the_trainer_pushes_what_is_allowed(hub, tmp_path, strategy):
    repo_id = new_repo_id()
    out = tmp_path / "out"
    trainer = make_trainer(
        out,
        Videos(8),
        Videos(6),
        processing_class=RDFERVideoProcessor(num_frames=8),
        push_to_hub=True,
        hub_model_id=repo_id,
        hub_strategy=strategy,
        hub_private_repo=True,
        hub_always_push=True,
        save_strategy="steps",
        save_steps=1,
        hub_token=os.environ["HF_TOKEN"],
    )
    trainer.train()
    trainer.evaluate()
    commit = trainer.push_to_hub()
    files = pushed(hub, repo_id)
    assert hub.repos[repo_id].private and hub.repos[repo_id].branches["main"] == commit.oid
    prefixes = {"checkpoint": ["last-checkpoint/"], "all_checkpoints": ["checkpoint-1/", "checkpoint-2/"]}
    expected = {prefix + name for prefix in ["", *prefixes.get(strategy, [])] for name in COMPLETE}
    assert set(files) == expected
    assert files["model.safetensors"] == (out / "model.safetensors").read_bytes()
    # Nothing was there for a while, either, and no file tells where it was made or holds the token.
    commits = hub.repos[repo_id].commits.values()
    assert len(commits) == (3 if strategy == "end" else 5)
    for seen in commits:
        assert not [name for name in seen.files if any(word in name for word in PRIVATE)]
        for content in seen.files.values():
            assert str(tmp_path).encode() not in content and os.environ["HF_TOKEN"].encode() not in content
    results = ModelCard(files["README.md"].decode())
    assert "| WAR" in results.text and "out" not in results.data.to_dict()


def test_the_trainer_sends_more_only_if_told(hub, tmp_path):
    repo_id = new_repo_id()
    trainer = make_trainer(
        tmp_path / "out",
        Videos(4),
        push_to_hub=True,
        hub_model_id=repo_id,
        hub_strategy="checkpoint",
        hub_include=["sample_table.parquet", "optimizer.pt"],
        hub_revision="fold2",
        save_strategy="epoch",
    )
    trainer.train()
    trainer.save_model()  # pushes, as that of transformers
    assert pushed(hub, repo_id) == {}
    files = set(pushed(hub, repo_id, "fold2"))
    assert {"sample_table.parquet", "last-checkpoint/sample_table.parquet", "last-checkpoint/optimizer.pt"} <= files
    assert "training_args.bin" not in files and "optimizer.pt" not in files


def test_a_broken_connection_does_not_stop_training(hub, tmp_path, caplog):
    repo_id = new_repo_id()
    trainer = make_trainer(
        tmp_path / "out",
        Videos(4),
        push_to_hub=True,
        hub_model_id=repo_id,
        hub_strategy="every_save",
        save_strategy="epoch",
    )
    hub.cut_above = 1000
    trainer.train()
    assert "A push failed (Training in progress, epoch 1)" in caplog.text and pushed(hub, repo_id) == {}
    hub.cut_above = None
    trainer.push_to_hub()
    assert set(pushed(hub, repo_id)) == MODEL_FILES


def test_the_training_command_pushes_with_its_figures(hub, tmp_path):
    generator = np.random.default_rng(0)
    for split, label in itertools.product(("train", "test"), ("happy", "sad")):
        (tmp_path / "D" / split / label / "0").mkdir(parents=True)
        for number in range(2):
            frame = generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(frame).save(tmp_path / "D" / split / label / "0" / f"{number}.png")
    repo_id, data = new_repo_id(), tmp_path / "D"
    train.main(
        [
            "--dataset",
            str(data / "train"),
            "--eval-dataset",
            str(data / "test"),
            "--output_dir",
            str(tmp_path / "out"),
        ]
        + ["--preset", "tiny", "--config_overrides", "image_size=32,num_frames=8,detector_image_size=32"]
        + ["--num_train_epochs", "1", "--use_cpu", "--report_to", "none", "--dataloader_pin_memory", "false"]
        + ["--push_to_hub", "--hub_model_id", repo_id, "--hub_private_repo", "true", "--license", "cc-by-4.0"]
    )
    files = pushed(hub, repo_id)
    figures = {"all_results.json", "eval_results.json", "train_results.json", "curves.png"}
    assert set(files) == COMPLETE | figures | {"confusion_matrix.json", "confusion_matrix.png"}
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content]
    card = ModelCard(files["README.md"].decode())
    figures = {result.metric_name for result in card.data.eval_results}
    assert card.data.license == "cc-by-4.0" and figures == {"WAR", "UAR", "recall happy", "recall sad"}
    assert pinned_revision(card.content) in hub.repos[repo_id].commits and hub.repos[repo_id].private


def test_a_repository_that_is_public_stops_a_private_training(hub, tmp_path):
    repo_id = new_repo_id()
    HfApi().create_repo(repo_id)
    with pytest.raises(ValueError, match="is public"):
        make_trainer(tmp_path, Videos(4), push_to_hub=True, hub_model_id=repo_id, hub_private_repo=True)


# The code that travels -----------------------------------------------------------------------------------------------


def test_the_code_that_arrives_is_that_of_the_package(hub):
    repo_id = new_repo_id()
    RDFERForVideoClassification.from_pretrained(CHECKPOINT).push_to_hub(repo_id)
    RDFERVideoProcessor.from_pretrained(CHECKPOINT).push_to_hub(repo_id)
    code = {name: content for name, content in pushed(hub, repo_id).items() if name.endswith(".py")}
    assert code == {name: (MODELS / name).read_bytes() for name in BUNDLE}


def test_code_files_are_those_that_the_configurations_name(folder):
    assert "notes.py" not in files_to_push(folder) and set(files_to_push(folder)) >= BUNDLE


def test_a_folder_without_code_is_pushed_with_it(hub, tmp_path, capsys):
    assert not list(CHECKPOINT.glob("*.py"))
    repo_id = new_repo_id()
    assert push.main(["--model", str(CHECKPOINT), "--repo_id", repo_id]) == 0
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
    assert push.main(["--model", str(tmp_path / "own"), "--repo_id", repo_id]) == 0
    assert pushed(hub, repo_id)["modeling_rdfer.py"] == own


def test_code_that_is_nowhere_is_one_clear_line(hub, tmp_path, capsys):
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "configuration_other.OtherConfig"
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copyfile(CHECKPOINT / "model.safetensors", tmp_path / "model.safetensors")
    repo_id = new_repo_id()
    assert push.main(["--model", str(tmp_path), "--repo_id", repo_id]) == 1
    assert "config.json names configuration_other.py" in capsys.readouterr().err and repo_id not in hub.repos
