# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.helpers.training_options import FAST, TINY
from training import cross_validate
from training.running.resume import last_checkpoint

FOLDS = 3
SETTINGS = ["--num_train_epochs", "4", "--per_device_train_batch_size", "4", "--learning_rate", "3e-3", *TINY, *FAST]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A list of folders of frames in three folds; the label is the colour, red or blue."""
    root = tmp_path_factory.mktemp("videos")
    generator = np.random.default_rng(0)
    with open(root / "labels.csv", "w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["path", "label", "fold", "actor"])
        for number in range(18):
            channel, label = [(0, "happy"), (2, "sad")][number % 2]
            for image in range(4):
                frame = generator.integers(0, 120, (32, 32, 3))
                frame[..., channel] += 100
                (root / f"{number:02d}").mkdir(exist_ok=True)
                Image.fromarray(frame.astype(np.uint8)).save(root / f"{number:02d}" / f"{image}.png")
            # Nine people, one of each label: three people a fold.
            rows.writerow([f"{number:02d}", label, number // 2 % FOLDS + 1, f"person {number // 2}"])
    return root / "labels.csv"


def arguments(videos, out, *more) -> list[str]:
    source = ["--dataset", str(videos), "--folds", "1-3", "--output_dir", str(out)]
    return [*source, *SETTINGS, *more]


@pytest.fixture(scope="module")
def done(videos, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out")
    return out, cross_validate.main(arguments(videos, out, "--save_strategy", "epoch"))


def test_results_of_all_folds_stand_side_by_side(done):
    out, merged = done
    written = json.loads((out / "cross_validation.json").read_text())
    assert written["mean"] == merged["mean"] and list(written["folds"]) == ["1", "2", "3"]
    wars = [json.loads((out / f"fold_{n}" / "all_results.json").read_text())["eval_war"] for n in (1, 2, 3)]
    assert merged["mean"]["war"] == pytest.approx(statistics.mean(wars))
    assert merged["std"]["war"] == pytest.approx(statistics.stdev(wars))
    # Every video was tested once, as its label says.
    assert np.sum(merged["pooled"]["confusion_matrix"], axis=1).tolist() == [9, 9]
    assert merged["pooled"]["war"] == pytest.approx(np.trace(merged["pooled"]["confusion_matrix"]) / 18)
    assert [fold["samples"] for fold in merged["folds"].values()] == [6, 6, 6]
    table = (out / "cross_validation.md").read_text()
    assert "last epoch" in table and f"| mean |  | {100 * merged['mean']['war']:.2f} |" in table
    with Image.open(out / "cross_validation.png") as image:
        assert image.width > image.height > 300


def test_finished_folds_are_kept_and_missing_ones_run(done, videos, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "fold_2")
    # Fold 3 was interrupted: it goes on from its first checkpoint.
    for file in ("all_results.json", "model.safetensors"):
        (out / "fold_3" / file).unlink()
    checkpoints = sorted((out / "fold_3").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in checkpoints[1:]:
        shutil.rmtree(checkpoint)
    kept = [out / "fold_1" / "model.safetensors", checkpoints[0] / "model.safetensors"]
    before = [file.stat().st_mtime_ns for file in kept]
    again = cross_validate.main(arguments(videos, out, "--save_strategy", "epoch"))
    assert [file.stat().st_mtime_ns for file in kept] == before
    assert again == done[1]
    for fold in ("fold_2", "fold_3"):
        ours, theirs = (load_file(folder / fold / "model.safetensors") for folder in (out, done[0]))
        assert all((ours[name] == value).all() for name, value in theirs.items())


def test_what_was_cut_off_by_a_kill_is_run_again(done, videos, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    # Killed while writing the results; and while writing the second of two checkpoints.
    results = out / "fold_1" / "all_results.json"
    results.write_text(results.read_text()[:50])
    (out / "fold_2" / "all_results.json").unlink()
    checkpoints = sorted((out / "fold_2").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in checkpoints[2:]:
        shutil.rmtree(checkpoint)
    (checkpoints[1] / "trainer_state.json").unlink()
    assert last_checkpoint(out / "fold_2") == checkpoints[0]
    assert cross_validate.main(arguments(videos, out, "--save_strategy", "epoch")) == done[1]


def test_folds_that_are_there_are_merged_whichever_are_asked_for(done, videos, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "fold_3")
    merged = cross_validate.main(arguments(videos, out, "--save_strategy", "epoch", "--folds", "1"))
    assert list(merged["folds"]) == [1, 2] and "folds 2" not in (out / "cross_validation.md").read_text()


def test_folders_of_other_folds_and_folds_that_do_not_exist_are_refused(done, videos, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "fold_3")
    shutil.copytree(out / "fold_2", out / "fold_3")
    with pytest.raises(SystemExit):
        cross_validate.main(arguments(videos, out, "--save_strategy", "epoch"))
    assert f"has the results of fold 2 of {videos.parent.name}, not of fold 3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cross_validate.main(arguments(videos, tmp_path / "new", "--folds", "3-4"))
    assert "fold 4 needs rows" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_other_settings_are_refused(done, videos, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cross_validate.main(arguments(videos, done[0], "--save_strategy", "epoch", "--loss", "ce"))
    assert "{'loss': ('default', 'ce')}" in capsys.readouterr().err
    # Where the data are and what is printed may differ: a fold can be run anywhere.
    elsewhere = shutil.copytree(videos.parent, tmp_path / videos.parent.name) / "labels.csv"
    moved = arguments(elsewhere, done[0], "--save_strategy", "epoch", "--logging_steps", "7")
    assert cross_validate.main(moved) == done[1]


@pytest.mark.parametrize("selection, words", [("held_out", "held out of"), ("best_on_test", "too good")])
def test_the_report_says_how_the_model_was_selected(videos, tmp_path, selection, words):
    chosen = ["--model_selection", selection, "--held_out_share", "0.34", "--folds", "2"]
    merged = cross_validate.main(arguments(videos, tmp_path, *chosen))
    assert merged["model_selection"] == selection and words in (tmp_path / "cross_validation.md").read_text()
    assert "folds 1" not in (tmp_path / "cross_validation.md").read_text()
    results = json.loads((tmp_path / "fold_2" / "all_results.json").read_text())
    assert results["model_selection"] == selection and results["eval_split"] == "test"
    history = json.loads((tmp_path / "fold_2" / "trainer_state.json").read_text())
    evaluations = [log for log in history["log_history"] if "eval_war" in log]
    assert history["best_metric"] == max(log["eval_war"] for log in evaluations) and len(evaluations) == 4
    assert results["eval_samples"] == 6


def test_wrong_folds_are_named(videos, tmp_path, capsys):
    for dataset, folds, message in [
        ("ferv39k", "1", f"ferv39k in {tmp_path} has no folds"),
        ("dfew", "4-6", "dfew has no folds \\[6\\]"),
        ("dfew", "1,1", "different numbers"),
        ("dfew", "two", "numbers such as 1-5"),
    ]:
        source = ["--dataset", dataset, "--root", str(tmp_path)]
        with pytest.raises(SystemExit):
            cross_validate.main([*source, "--folds", folds, "--output_dir", str(tmp_path / "out")])
        assert message.replace("\\", "") in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cross_validate.main(["--dataset", str(videos), "--output_dir", str(tmp_path)])
    assert "Pass --folds" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes(videos, tmp_path):
    """Through torchrun, as accelerate's own launcher starts several processes on CPUs with MPI only."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "training.cross_validate", *arguments(videos, tmp_path)]
    command += ["--folds", "1,3", "--num_train_epochs", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=Path(cross_validate.__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    merged = json.loads((tmp_path / "cross_validation.json").read_text())
    assert [np.sum(fold["confusion_matrix"]) for fold in merged["folds"].values()] == [6, 6]
    state = json.loads((tmp_path / "fold_1" / "trainer_state.json").read_text())
    # 12 training videos, 4 a process: 2 steps, not 3.
    assert state["global_step"] == 2
    assert done.stdout.count(f"# Cross-validation on {videos.parent.name}") == 1
