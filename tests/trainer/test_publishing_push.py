# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pushing by the Trainer."""

import itertools
import os

import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.hub.card_files import pinned_revision
from tests.helpers.hub_server import new_repo_id
from tests.helpers.pushed import COMPLETE, MODEL_FILES, PRIVATE, pushed
from tests.helpers.training_job import Videos, make_trainer
from training import train


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
        + ["--num_train_epochs", "1", "--use_cpu", "--report_to", "none"]
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
