# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest

from training.running.arguments import parse_training_arguments
from training.running.resume import CHECKPOINT_FILES, choose_checkpoint, last_checkpoint, resolve_resume


def make_checkpoint(folder, number, without=()):
    path = folder / f"checkpoint-{number}"
    path.mkdir(parents=True)
    for name in {*CHECKPOINT_FILES} - {*without}:
        (path / name).write_text("")
    return path


def test_the_last_complete_checkpoint_is_found(tmp_path):
    assert last_checkpoint(tmp_path / "none") is None
    last = [make_checkpoint(tmp_path, number) for number in (9, 10)][-1]
    half = make_checkpoint(tmp_path, 11, without=["optimizer.pt"])
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) == last and half.exists()


def test_a_checkpoint_of_fsdp_is_complete(tmp_path):
    checkpoint = make_checkpoint(tmp_path, 3, without=["optimizer.pt"])
    (checkpoint / "optimizer.bin").write_text("")
    assert last_checkpoint(tmp_path) == checkpoint


@pytest.mark.parametrize(
    "option", [["--resume-from-checkpoint"], ["--resume_from_checkpoint", "true"], ["--resume-from-checkpoint=True"]]
)
def test_bare_or_true_takes_the_last_complete_checkpoint_and_says_which(tmp_path, option, capsys):
    arguments = ["--dataset", "D", "--use_cpu", *option, "--output-dir", str(tmp_path)]
    args = parse_training_arguments(arguments)[2]
    resolve_resume(args)
    assert args.resume_from_checkpoint is None
    assert f"no complete checkpoint in {tmp_path}: training starts afresh" in capsys.readouterr().out
    (tmp_path / "unfinished" / "checkpoint-6").mkdir(parents=True)
    checkpoint = make_checkpoint(tmp_path, 5)
    args = parse_training_arguments(arguments)[2]
    resolve_resume(args)
    assert args.resume_from_checkpoint == str(checkpoint)
    assert f"resumes from {checkpoint}." in capsys.readouterr().out
    assert not (tmp_path / "unfinished").exists()


def test_a_folder_is_taken_if_it_is_a_complete_checkpoint(tmp_path):
    checkpoint = make_checkpoint(tmp_path, 5)
    assert choose_checkpoint(str(checkpoint), tmp_path) == checkpoint
    assert choose_checkpoint("false", tmp_path) is choose_checkpoint(None, tmp_path) is None
    half = make_checkpoint(tmp_path, 6, without=["model.safetensors"])
    with pytest.raises(ValueError, match="checkpoint-6 has no model.safetensors"):
        choose_checkpoint(str(half), tmp_path)
    with pytest.raises(ValueError, match="there is no folder .*checkpoint-7"):
        choose_checkpoint(str(tmp_path / "checkpoint-7"), tmp_path)


def test_files_of_another_kind_of_training(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "state.pt").write_text("")
    assert choose_checkpoint("true", tmp_path, ["state.pt"]) == tmp_path / "checkpoint-2"
