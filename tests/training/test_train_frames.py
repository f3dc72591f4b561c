# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The script makes a calibrated checkpoint for videos out of votes, posed photos and what a teacher says of videos."""

import json
import shutil

import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERForVideoClassification, RDFERVideoProcessor, predict
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.dataset_replicas import ferplus_parquet
from tests.helpers.paths import CHECKPOINT, DATA
from training import train_frames
from training.frames.sources import read_posed, read_unlabelled, read_votes

CLIP = DATA / "cap13_edit2.mp4"


@pytest.fixture(scope="module")
def detector():
    return RDFERVideoProcessor().face_detector()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two people, neutral and smiling: frames of the real clip."""
    folder = tmp_path_factory.mktemp("photos")
    frames = open_video(CLIP).get_frames([10, 30, 50, 70])
    for frame, name in zip(frames, ("neutral/01", "smiling/01", "neutral/02", "smiling/02")):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    return folder


def test_votes_posed_photos_and_a_start_give_a_checkpoint_for_videos(tmp_path, photos):
    root = ferplus_parquet(tmp_path / "ferplus")
    options = ["--config", "training/recipes/frames_votes.yaml", "--root", str(root), "--use-cpu", "true"]
    options += ["--per-device-train-batch-size", "4", "--num-train-epochs", "1"]
    train_frames.main([*options, "--output-dir", str(tmp_path / "votes")])
    results = train_frames.main(
        [*options, "--model", str(tmp_path / "votes"), "--posed-dataset", str(photos), "--hold-out", "1"]
        + [
            "--config",
            "training/recipes/frames_posed.yaml",
            "--posed-share",
            "0.5",
            "--output-dir",
            str(tmp_path / "frames"),
            "--faces-cache",
            str(tmp_path / "cache"),
        ]
    )
    assert json.loads((tmp_path / "frames" / "all_results.json").read_text()) == results
    assert results["posed_held_out"]["num_samples"] == 2 and results["ferplus_validation"]["num_samples"] > 0
    model = RDFERForVideoClassification.from_pretrained(tmp_path / "frames")
    assert model.config.calibration_temperature == pytest.approx(results["calibration_temperature"])
    before = RDFERForVideoClassification.from_pretrained(tmp_path / "votes")
    kernel = "backbone.stages.3.0.convolution1.weight"
    ours, detectors = model.rdfer.get_parameter(kernel), model.rdfer.get_parameter(f"detector.{kernel}")
    assert torch.equal(ours, detectors) and not torch.equal(ours, before.rdfer.get_parameter(kernel))
    scratch, card = ((tmp_path / name / "README.md").read_text() for name in ("votes", "frames"))
    assert "No training is recorded" not in scratch + card
    assert "trained from scratch with the preset `small`" in scratch and "fine-tuned from votes" in card
    assert "- 2 photos of people who were asked for an expression: photos" in card
    accuracy = 100 * results["ferplus_validation"]["war"]
    assert f"| {accuracy:.1f} |" in card and "| posed photos of people left out of training | 2 |" in card
    assert "`learning_rate` | 0.0008" in card and "`posed_share` | 0.5" in card and str(tmp_path) not in card
    answer = predict(CLIP, str(tmp_path / "frames"))
    assert sum(prediction["score"] for prediction in answer["predictions"]) == pytest.approx(1, abs=1e-5)


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path, capsys):
    root = ferplus_parquet(tmp_path / "ferplus")
    options = ["--config", "training/recipes/frames_votes.yaml", "--root", str(root), "--use-cpu", "true"]
    options += ["--per-device-train-batch-size", "4", "--num-train-epochs", "2", "--faces-cache", str(tmp_path)]
    whole = train_frames.main([*options, "--output-dir", str(tmp_path / "whole"), "--save-total-limit", "5"])
    first = min((tmp_path / "whole").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    shutil.copytree(first, tmp_path / "resumed" / first.name)
    capsys.readouterr()
    resumed = train_frames.main([*options, "--output-dir", str(tmp_path / "resumed"), "--resume-from-checkpoint"])
    assert f"resumes from {tmp_path / 'resumed' / first.name}" in capsys.readouterr().out
    assert resumed == whole


def test_targets_are_the_votes_in_the_models_order(tmp_path, detector):
    root = ferplus_parquet(tmp_path)
    names = ["sad", "neutral", "happy", "angry", "fear", "disgust", "surprise"]
    votes, majority = read_votes(root, "train", names, detector)
    assert votes.targets.sum(1).allclose(torch.ones(len(votes)))
    happy = votes.targets[:, 2].argmax()
    assert votes.targets[happy, 2] == pytest.approx(5 / 8) and majority[happy] == -1  # 5 of 10 votes are no majority


def test_people_that_are_held_out_are_whole_people(photos, detector):
    learnt, held_out = read_posed(photos, ["happy", "neutral"], detector, hold_out=0)
    assert len(learnt) == len(held_out) == 2 and learnt.targets.argmax(1).tolist() == [1, 0]
    everyone, nobody = read_posed(photos, ["happy", "neutral"], detector)
    assert len(everyone) == 4 and len(nobody) == 0


def test_unlabelled_frames_get_the_teachers_answer_but_not_in_skipped_stretches(detector):
    names = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]
    frames = read_unlabelled([CLIP], [(2.0, 40.0)], CHECKPOINT, names, detector)
    assert len(frames) == 15  # every third of the first 1.7 s at 25 frames a second
    assert frames.targets.sum(1).allclose(torch.ones(15)) and frames.weights.sum() == pytest.approx(1)


def test_errors_say_what_to_do(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_frames.main(["--output-dir", str(tmp_path)])
    assert "--root is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="nowhere"):
        train_frames.main(["--root", str(tmp_path / "nowhere"), "--output-dir", str(tmp_path)])
