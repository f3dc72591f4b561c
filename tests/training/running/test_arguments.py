# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import os
from pathlib import Path

import pytest
import torch

from training.running import arguments
from training.running.arguments import evaluation_parser, parse_training_arguments

RECIPES = Path(arguments.__file__).parents[1] / "recipes"


def test_recipe_file_is_overridden_by_the_command_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text("learning_rate: 0.01\nloss: gce\npreset: base\nfreeze_backbone: true\n")
    model, _, args = parse_training_arguments(
        ["--config", str(tmp_path / "recipe.yaml"), "--output_dir", str(tmp_path), "--loss", "sce"]
    )
    assert (args.learning_rate, args.loss, args.freeze_backbone, model.preset) == (0.01, "sce", True, "base")


def test_unknown_settings_of_a_recipe_are_named(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("learning_rat: 0.01\n")
    with pytest.raises(SystemExit):
        parse_training_arguments(["--config", str(tmp_path / "recipe.yaml"), "--output_dir", str(tmp_path)])
    assert "learning_rat" in capsys.readouterr().err


# Those of the frame network are for training.train_frames, whose tests use them.
VIDEO_RECIPES = sorted(file for file in RECIPES.glob("*.yaml") if not file.stem.startswith("frames_"))


@pytest.mark.parametrize("recipe", VIDEO_RECIPES, ids=lambda p: p.stem)
def test_committed_recipes_are_valid(recipe, tmp_path):
    args = parse_training_arguments(
        ["--config", str(recipe), "--output_dir", str(tmp_path), "--use_cpu", "--bf16", "false"]
    )
    assert args[2].output_dir == str(tmp_path)


@pytest.mark.parametrize(
    "written, meant",
    [([], None), (["--face_crop"], True), (["--face_crop", "false"], False), (["--no-face_crop"], False)],
)
def test_every_script_takes_a_boolean_in_the_same_ways(written, meant, tmp_path):
    places = ["--output_dir", str(tmp_path), "--use_cpu"]
    assert parse_training_arguments([*written, *places])[1].face_crop is meant
    assert evaluation_parser("evaluate", "", "").parse_known_args([*written, *places])[0].face_crop is meant


def test_training_takes_the_names_of_transformers_and_the_short_ones(tmp_path):
    model, data, args = parse_training_arguments(
        ["--model_name_or_path", "m", "--train_dir", "d", "--validation_dir", "e", "--num-workers", "3"]
        + ["--device", "cpu", "--output-dir", str(tmp_path)]
    )
    assert (model.model, data.dataset, data.eval_dataset, args.dataloader_num_workers) == ("m", "d", "e", 3)
    assert args.device == torch.device("cpu") and args.use_cpu


@pytest.mark.parametrize("name, message", [("gpu0", "expected cpu, cuda or cuda:N"), ("cuda:99", "no such GPU")])
def test_devices_that_are_not_there_are_named(tmp_path, capsys, name, message):
    with pytest.raises(SystemExit):
        parse_training_arguments(["--device", name, "--output-dir", str(tmp_path)])
    assert message in capsys.readouterr().err


def test_settings_of_a_file_are_spelled_as_on_the_command_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text("train-dir: D\nnum_workers: 2\nlearning_rate: 0.01\nface_crop: false\n")
    _, data, args = parse_training_arguments(
        ["--config", str(tmp_path / "recipe.yaml"), "--output-dir", str(tmp_path), "--learning_rate", "0.1"]
    )
    assert (data.dataset, args.dataloader_num_workers, args.learning_rate, data.face_crop) == ("D", 2, 0.1, False)


def test_one_of_several_gpus_is_selected_by_hiding_the_others(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    arguments._has_gpu.cache_clear()
    for _ in range(2):  # folds of a cross-validation ask again
        assert arguments._select_device(None, "cuda:1") == [] and os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    arguments._has_gpu.cache_clear()


@pytest.mark.parametrize("source", [["--eval-dataset", "E"], ["--eval-split", "validation"]])
def test_own_validation_videos_may_select_the_model(tmp_path, source):
    choice = ["--load_best_model_at_end", "true", "--eval_strategy", "epoch", "--save_strategy", "epoch"]
    places = ["--dataset", "D", "--output_dir", str(tmp_path), "--use_cpu"]
    _, data, args = parse_training_arguments([*places, *choice, *source])
    assert args.load_best_model_at_end and data.model_selection == "last"
