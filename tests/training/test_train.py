# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file

from modeling_rdfer import predict
from tests.helpers.dataset_replicas import draw_face, ferplus_parquet
from tests.helpers.training_options import FAST, TINY
from training import audit, evaluate, train
from training.running.arguments import parse_training_arguments
from training.running.video_sets import load_video_sets


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Videos in frames; the label is the colour."""
    root = tmp_path_factory.mktemp("videos")
    generator = np.random.default_rng(0)
    for split, count in {"train": 8, "test": 4}.items():
        for channel, label in {0: "happy", 2: "sad"}.items():
            for video in range(count):
                folder = root / split / label / f"{video:02d}"
                folder.mkdir(parents=True)
                for number in range(6):
                    frame = generator.integers(0, 120, (32, 32, 3))
                    frame[..., channel] += 100
                    Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    metrics = train.main(
        ["--dataset", str(root / "train"), "--eval-dataset", str(root / "test"), "--output_dir", str(out)]
        + ["--num_train_epochs", "8", "--per_device_train_batch_size", "8", "--learning_rate", "3e-3", *TINY, *FAST]
    )
    assert metrics["eval_war"] >= 0.9
    return out


def test_training_leaves_everything_behind(trained, root):
    results = json.loads((trained / "all_results.json").read_text())
    assert {"eval_war", "eval_uar", "eval_recall_happy", "eval_recall_sad", "train_loss"} <= set(results)
    table = pq.read_table(trained / "sample_table.parquet").to_pylist()
    assert [row["sample_id"] for row in table] == [f"{x}/{i:02d}" for x in ("happy", "sad") for i in range(8)]
    assert all(row["num_frames"] == 6 and len(row["content_hash"]) == 16 for row in table)
    assert all(row["given_label"] == row["path"].split("/")[0] and row["epoch"] == 8 for row in table)
    confusion = json.loads((trained / "confusion_matrix.json").read_text())
    assert confusion["labels"] == ["happy", "sad"] and np.sum(confusion["counts"]) == 8
    for picture in ("confusion_matrix.png", "curves.png"):
        with Image.open(trained / picture) as image:
            assert min(image.size) > 200
    # The checkpoint works through the door that users take.
    answer = predict(root / "test" / "sad" / "00", model=str(trained))
    assert answer["predictions"][0]["label"] == "sad"


def test_training_with_still_images(tmp_path):
    """FER+ in Parquet: from the options of the loader to the sample table, the card and an answer for an image."""
    options = ["--dataset", "ferplus", "--root", str(ferplus_parquet(tmp_path / "ferplus"))]
    options += ["--dataset-options", "keep=all", "--no-face-crop", "--output-dir", str(tmp_path / "out")]
    train.main([*options, "--max_steps", "2", "--per_device_train_batch_size", "4", *TINY, *FAST])
    table = pq.read_table(tmp_path / "out" / "sample_table.parquet").to_pylist()
    assert {row["sample_id"]: row["num_frames"] for row in table} == {
        f"fer000000{number}": 1 for number in (0, 1, 2, 3, 4, 6)
    }
    assert "Trained on FER+, keep all, split train, 6 videos" in (tmp_path / "out" / "README.md").read_text()
    draw_face(3).save(tmp_path / "face.jpg")
    answer = predict(tmp_path / "face.jpg", model=str(tmp_path / "out"))
    assert len(answer["predictions"]) == 7 and answer["file"].endswith("face.jpg")


def test_training_with_trusted_labels(root, tmp_path):
    (tmp_path / "known.csv").write_text("sample_id,label\nhappy/00,sad\nsad/01,sad\n")
    options = ["--dataset", str(root / "train"), "--trusted-list", str(tmp_path / "known.csv")]
    options += ["--trusted-weight", "3", "--loss", "ce", "--max_steps", "2", "--output-dir", str(tmp_path / "out")]
    train.main([*options, "--per_device_train_batch_size", "8", *TINY, *FAST])
    given = {
        row["sample_id"]: row["given_label"]
        for row in pq.read_table(tmp_path / "out" / "sample_table.parquet").to_pylist()
    }
    assert given["happy/00"] == given["sad/01"] == "sad" and given["happy/01"] == "happy"
    assert "| `trusted_labels` | 2 |" in (tmp_path / "out" / "README.md").read_text()


def test_training_leaves_a_card(trained, root):
    results = json.loads((trained / "all_results.json").read_text())
    card = ModelCard.load(trained / "README.md")
    assert {result.metric_name: result.metric_value for result in card.data.eval_results} == {
        "WAR": pytest.approx(results["eval_war"], abs=1e-4),
        "UAR": pytest.approx(results["eval_uar"], abs=1e-4),
        **{f"recall {name}": pytest.approx(results[f"eval_recall_{name}"], abs=1e-4) for name in ("happy", "sad")},
    }
    evaluated = card.data.eval_results[0]
    assert (evaluated.dataset_name, evaluated.dataset_split) == (root.name, "test")
    assert f"Trained on {root.name}, split train, 16 videos." in card.text and "preset `tiny`" in card.text
    assert "| `config_overrides` | image_size=32" in card.text
    assert str(root.parent) not in card.content and str(trained.parent) not in card.content


def test_evaluation_of_the_trained_model(trained, root, tmp_path):
    arguments = ["--model", str(trained), "--dataset", str(root / "test"), "--device", "cpu"]
    one = evaluate.main([*arguments, "--output_dir", str(tmp_path / "one")])
    results = json.loads((trained / "all_results.json").read_text())
    for name in ("eval_war", "eval_uar", "eval_recall_happy"):
        assert one[name] == pytest.approx(results[name])
    assert "eval_ece_agreement" in one and (tmp_path / "one" / "confusion_matrix.png").exists()
    assert 0 <= one["eval_aurc"] <= 1 and (tmp_path / "one" / "coverage_accuracy.png").exists()
    coverages = [row["coverage"] for row in one["by_min_confidence"]]
    assert coverages == sorted(coverages, reverse=True) and coverages[0] == 1.0  # of two labels one has 0.3 or more
    assert one["by_min_confidence"][0]["accuracy"] == one["eval_war"]
    assert json.loads((tmp_path / "one" / "all_results.json").read_text()) == one
    four = evaluate.main([*arguments, "--output_dir", str(tmp_path / "four"), "--num_views", "4"])
    assert four["num_views"] == 4 and four["eval_war"] >= 0.9


def test_calibration_is_written_and_used(trained, root, tmp_path, capsys):
    model = shutil.copytree(trained, tmp_path / "model")
    before = json.loads((model / "config.json").read_text())
    arguments = ["--dataset", str(root / "test"), "--device", "cpu", "--output_dir", str(tmp_path / "out")]
    calibrated = evaluate.main([*arguments, "--model", str(model), "--calibrate"])
    temperature = calibrated["calibration_temperature"]
    assert json.loads((model / "config.json").read_text()) == {**before, "calibration_temperature": temperature}

    # The results are those of the calibrated model, and a second calibration starts from the uncalibrated one.
    plain = evaluate.main([*arguments, "--model", str(trained)])
    again = evaluate.main([*arguments, "--model", str(model)])
    assert calibrated["eval_ece_uncalibrated"] == pytest.approx(plain["eval_ece"])
    assert calibrated["eval_ece"] == pytest.approx(again["eval_ece"], abs=1e-4) != plain["eval_ece"]
    assert evaluate.main([*arguments, "--model", str(model), "--calibrate"]) == calibrated

    video = root / "test" / "sad" / "00"
    plain = {p["label"]: p["score"] for p in predict(video, model=str(trained))["predictions"]}
    powers = {label: score ** (1 / temperature) for label, score in plain.items()}
    for prediction in predict(video, model=str(model))["predictions"]:
        assert prediction["score"] == pytest.approx(powers[prediction["label"]] / sum(powers.values()), rel=1e-3)

    with pytest.raises(SystemExit):
        evaluate.main([*arguments, "--calibrate"])
    assert "--model must be a folder" in capsys.readouterr().err


def test_unknown_arguments_are_named(capsys):
    with pytest.raises(SystemExit):
        train.main(["--dataset", "D", "--output_dir", "O", "--learing_rate", "1e-3"])
    assert "unrecognized arguments: --learing-rate 1e-3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate.main(["--dataset", "D", "--output_dir", "O", "--views", "4"])
    assert "unrecognized arguments: --views 4" in capsys.readouterr().err


def test_a_bad_video_stops_training_before_it_starts(root, tmp_path):
    folder = tmp_path / "train" / "happy"
    folder.mkdir(parents=True)
    (folder / "broken.mp4").write_text("text")
    with pytest.raises(SystemExit, match="error: .*broken.mp4"):
        train.main(["--dataset", str(tmp_path / "train"), "--output_dir", str(tmp_path / "out"), *TINY, *FAST])
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.fixture
def root_with_damage(root, tmp_path) -> Path:
    """A training and a test video open, but a frame of theirs cannot be decoded."""
    folder = shutil.copytree(root, tmp_path / "videos")
    for frame in (folder / "train" / "sad" / "03" / "4.png", folder / "test" / "happy" / "01" / "4.png"):
        frame.write_bytes(frame.read_bytes()[:60])
    return folder


def test_what_cannot_be_decoded_stops_training_or_is_left_out(root_with_damage, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("training.data.checks"), "propagate", True)
    arguments = ["--dataset", str(root_with_damage / "train"), "--eval-dataset", str(root_with_damage / "test")]
    arguments += ["--output_dir", str(tmp_path / "out"), "--max_steps", "1", *TINY, *FAST]
    with pytest.raises(SystemExit, match="error: .*train/sad/03.*--on-bad-video skip"):
        train.main(arguments)
    assert not (tmp_path / "out" / "sample_table.parquet").exists()
    train.main([*arguments, "--on_bad_video", "skip"])
    assert "train/sad/03" in caplog.text and "1 of 16 videos" in caplog.text
    assert "test/happy/01" in caplog.text and "1 of 8 videos" in caplog.text
    table = pq.read_table(tmp_path / "out" / "sample_table.parquet").to_pylist()
    assert len(table) == 15 and "sad/03" not in {row["sample_id"] for row in table}
    assert json.loads((tmp_path / "out" / "all_results.json").read_text())["eval_samples"] == 7
    assert "| videos left out because they could not be read | 1 |" in (tmp_path / "out" / "README.md").read_text()


def test_evaluation_names_or_leaves_out_what_cannot_be_decoded(trained, root_with_damage, tmp_path, capsys):
    arguments = ["--model", str(trained), "--dataset", str(root_with_damage / "test"), "--device", "cpu"]
    arguments += ["--output_dir", str(tmp_path / "out"), "--batch_size", "1"]
    with pytest.raises(SystemExit):
        evaluate.main(arguments)
    assert "test/happy/01" in (said := capsys.readouterr().err) and "--on-bad-video skip" in said
    results = evaluate.main([*arguments, "--on_bad_video", "skip"])
    assert results["eval_samples"] == 7 and results["left_out_videos"] == 1


def test_early_stopping_keeps_the_best_checkpoint(root, tmp_path):
    out = tmp_path / "out"
    arguments = ["--dataset", str(root / "train"), "--eval-dataset", str(root / "test"), "--output_dir", str(out)]
    arguments += ["--num_train_epochs", "30", "--per_device_train_batch_size", "8", "--learning_rate", "3e-3"]
    arguments += ["--eval_strategy", "epoch", "--save_strategy", "epoch", "--load_best_model_at_end", "true"]
    arguments += ["--metric_for_best_model", "war", "--early_stopping_patience", "3", *TINY, *FAST]
    metrics = train.main(arguments)
    state = json.loads((out / "trainer_state.json").read_text())
    wars = [entry["eval_war"] for entry in state["log_history"] if "eval_war" in entry]
    assert len(wars) < 30 and len(wars) == wars.index(max(wars)) + 1 + 3
    assert state["best_metric"] == max(wars) == metrics["eval_war"]
    best, kept = (load_file(Path(folder) / "model.safetensors") for folder in (state["best_model_checkpoint"], out))
    assert all(torch.equal(kept[name], value) for name, value in best.items())
    assert "chosen on the same videos that the results come from" in (out / "README.md").read_text()


def test_a_dataset_by_name(root, tmp_path):
    """Trained on one dataset's names, evaluated on another's: by name, and what cannot be mapped is refused."""
    out = tmp_path / "out"
    arguments = ["--dataset", str(root), "--output_dir", str(out), *TINY, *FAST]
    metrics = train.main([*arguments, "--num_train_epochs", "8", "--learning_rate", "3e-3"])
    results = json.loads((out / "all_results.json").read_text())
    facts = {"dataset": root.name, "fold": None, "model_selection": "last", "eval_split": "test"}
    assert results["eval_war"] == metrics["eval_war"] >= 0.9 and facts.items() <= results.items()
    table = pq.read_table(out / "sample_table.parquet").to_pylist()
    assert len(table) == 16 and {row["split"] for row in table} == {"train"}

    other = tmp_path / "labels.csv"
    rows = [(root / "test" / name / "00", label) for name, label in [("happy", "Happiness"), ("sad", "sadness")]]
    rows.append((root / "test" / "sad" / "01", "boredom"))
    other.write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    command = ["--model", str(out), "--dataset", str(other), "--output_dir", str(tmp_path / "other")]
    with pytest.raises(SystemExit):
        evaluate.main([*command, "--device", "cpu"])
    results = evaluate.main([*command, "--device", "cpu", "--on_unknown_label", "skip"])
    assert results["eval_samples"] == 2 and results["left_out_labels"] == {"boredom": 1}
    assert results["eval_recall_happy"] == results["eval_recall_sad"] == 1


def test_labels_that_a_checkpoint_has_under_other_names_are_kept(root, tmp_path):
    rows = [(root / "train" / label / f"{number:02d}", name) for label, name in SYNONYMS for number in range(2)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    source = ["--dataset", str(tmp_path / "labels.csv"), "--output_dir", str(tmp_path / "out"), *FAST]
    train.main([*source, "--face_crop", "false", "--num_train_epochs", "1", "--freeze_backbone", "true"])
    table = pq.read_table(tmp_path / "out" / "sample_table.parquet").to_pylist()
    assert [row["given_label"] for row in table] == ["happy", "happy", "sad", "sad"]
    assert len(table[0]["probabilities"]) == 7  # rdfer-small's


SYNONYMS = [("happy", "Happiness"), ("sad", "sadness")]


@pytest.mark.parametrize("choice", [["--load_best_model_at_end", "true"], ["--early_stopping_patience", "2"]])
def test_the_test_set_selects_nothing_unless_asked(root, tmp_path, choice, capsys):
    arguments = ["--dataset", str(root), "--output_dir", str(tmp_path), *TINY, *FAST]
    every_epoch = ["--eval_strategy", "epoch", "--save_strategy", "epoch"]
    with pytest.raises(SystemExit):
        train.main([*arguments, *every_epoch, *choice])
    assert "would select the model on the test set" in capsys.readouterr().err


def test_a_validation_split_beside_the_test_split_selects(root, tmp_path):
    """Nothing is held out of the training set then."""
    (tmp_path / "data").mkdir()
    for split, source in {"train": "train", "val": "train", "test": "test"}.items():
        (tmp_path / "data" / split).symlink_to(root / source)
    data = parse_training_arguments(
        ["--dataset", str(tmp_path / "data"), "--model_selection", "held_out"]
        + ["--held_out_share", "0.125", "--output_dir", str(tmp_path / "out"), *FAST]
    )[1]
    videos = load_video_sets(data, seed=0)
    assert [len(part) for part in (videos.train_videos, videos.selection_videos, videos.eval_videos)] == [16, 16, 8]
    assert videos.selection_videos.columns["split"][0] == "validation"
    (tmp_path / "data" / "val").unlink()
    videos = load_video_sets(data, seed=0)
    assert len(videos.train_videos) + len(videos.selection_videos) == 16 and len(videos.eval_videos) == 8
    assert 1 <= len(videos.selection_videos) <= 3


def test_results_of_another_run_do_not_stand_beside_a_new_model(root, tmp_path):
    arguments = ["--output_dir", str(tmp_path), "--num_train_epochs", "1", *TINY, *FAST]
    train.main(["--dataset", str(root), *arguments])
    assert "eval_war" in (tmp_path / "all_results.json").read_text()
    train.main(["--dataset", str(root / "train"), *arguments])
    assert "eval_war" not in (tmp_path / "all_results.json").read_text()
    assert not (tmp_path / "confusion_matrix.json").exists()


def test_videos_and_people_in_both_sets_are_counted(root, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    rows = [
        (root / split / label / "00", label, split, "ann") for split in ("train", "test") for label in ("happy", "sad")
    ]
    shutil.copytree(root / "train" / "happy" / "00", tmp_path / "copy")
    rows.append((tmp_path / "copy", "happy", "test", "bob"))
    lines = ["path,label,split,actor", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    out = ["--output_dir", str(tmp_path / "out"), "--num_train_epochs", "1", *TINY, *FAST]
    train.main(["--dataset", str(tmp_path / "labels.csv"), *out])
    assert (
        f"1 videos of the reported set are also in the training set (same content): {tmp_path / 'copy'}" in caplog.text
    )
    assert "1 people are in the training set and in the reported set: ann" in caplog.text


def test_an_unknown_argument_is_refused_by_the_script_that_was_called(capsys, tmp_path):
    with pytest.raises(SystemExit):
        audit.main(["--dataset", str(tmp_path), "--output-dir", str(tmp_path / "out"), "--epochs", "3"])
    assert "python -m training.audit: error: unrecognized arguments: --epochs 3" in capsys.readouterr().err
