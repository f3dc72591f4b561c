# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from modeling_rdfer.inference.loading import load
from modeling_rdfer.models.agreement_rdfer import distinct_clips
from tests.helpers.paths import AEN_CHECKPOINT
from tests.helpers.training_options import FAST, TINY
from training import audit, train
from training.auditing.scoring import score
from training.auditing.video_cards import Cards
from training.data.labelled_videos import LabelledVideos
from training.running.arguments import parse_training_arguments

OUTPUTS = ("audit.parquet", "audit.csv", "summary.json", "agreement_loss.png", "audit.html")
QUICK = ["--num-train-epochs", "12", "--per-device-train-batch-size", "8", "--learning-rate", "3e-3", *TINY, *FAST]
SWAPPED = {"sad/swapped": "happy"}


def draw(folder: Path, label: str, generator):
    """A folder of frames; the label is the colour."""
    folder.mkdir(parents=True)
    for number in range(6):
        frame = generator.integers(0, 120, (32, 32, 3))
        frame[..., 0 if label == "happy" else 2] += 100
        Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Clean training videos in `clean`; in `train` others, one of them with the wrong label; truth.csv beside them."""
    root, generator = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for split, count in {"clean": 8, "train": 7}.items():
        for label in ("happy", "sad"):
            for video in range(count):
                draw(root / split / label / f"{label}{video}", label, generator)
    draw(root / "train" / "sad" / "swapped", "happy", generator)
    with open(root / "truth.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "true_label", "is_hard"])
        for path in sorted((root / "train").glob("*/*")):
            rows.writerow([path.name, "happy" if path.name == "swapped" else path.parent.name, path.name == "sad0"])
    return root


@pytest.fixture(scope="module")
def knowing(root, tmp_path_factory) -> Path:
    """A model that has learnt the colours."""
    out = tmp_path_factory.mktemp("knowing")
    train.main(["--dataset", str(root / "clean"), "--output-dir", str(out), *QUICK])
    return out


def in_sample(root, knowing, out, *more) -> dict:
    source = ["--dataset", str(root / "train"), "--in-sample", "--model", str(knowing), "--output-dir", str(out)]
    return audit.main([*source, *FAST, *more])


@pytest.fixture(scope="module")
def audited(root, knowing, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("audited")
    return out, in_sample(root, knowing, out, "--noisy-loss-threshold", "1", "--truth-file", str(root / "truth.csv"))


def rows_of(folder) -> dict[str, dict]:
    return {row["sample_id"]: row for row in pq.read_table(Path(folder) / "audit.parquet").to_pylist()}


# Tables --------------------------------------------------------------------------------------------------------------


def test_a_swapped_label_comes_out_on_top(audited, capsys):
    out, summary = audited
    rows = rows_of(out)
    assert min(rows, key=lambda name: rows[name]["label_quality"]) == "sad/swapped"
    ranked = sorted(rows, key=lambda name: rows[name]["suspicion_rank"])
    assert ranked == sorted(rows, key=lambda name: -rows[name]["loss"]) and ranked[0] == "sad/swapped"
    assert [rows[name]["suspicion_rank"] for name in ranked] == list(range(1, 16))
    swapped = rows.pop("sad/swapped")
    assert (swapped["partition"], swapped["suggested_label"], swapped["predicted_label"]) == (
        "noisy",
        "happy",
        "happy",
    )
    assert {row["suggested_label"] for row in rows.values()} == {None}
    assert {row["partition"] for row in rows.values()} == {"clean"} and swapped["weight"] == 0
    assert summary["partition_by_class"]["sad"] == {"clean": 7, "hard": 0, "noisy": 1}
    assert [(pair["given"], pair["true"], pair["count"]) for pair in summary["confused_pairs"]] == [
        ("sad", "happy", 1)
    ]
    assert np.sum(summary["joint"]) == pytest.approx(1) and summary["joint"][1][0] == pytest.approx(1 / 15)


def test_values_are_those_of_the_model_in_evaluation(audited, root, knowing):
    model, processor = load(str(knowing), "cpu")
    inputs = processor(str(root / "train" / "sad" / "sad3"), return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs)
    clips = output.clip_logits[0].softmax(-1)[distinct_clips(output.key_frame_indices)[0]]
    probabilities = (output.logits[0].softmax(-1) + clips.mean(0)) / 2
    row = rows_of(audited[0])["sad/sad3"]
    assert row["probabilities"] == pytest.approx(probabilities.tolist(), abs=1e-5)
    assert row["label_quality"] == pytest.approx(row["probabilities"][1])
    assert row["loss"] == pytest.approx(-output.logits[0].log_softmax(-1)[1].item(), abs=1e-4)
    assert row["clip_std"] == pytest.approx(clips[:, 1].std(correction=0).item(), abs=1e-5)
    assert (row["num_valid_clips"], row["num_frames"]) == (output.num_valid_clips.item(), 6)
    assert row["clip_agreement"] == pytest.approx(output.agreement.item()) and len(row["content_hash"]) == 16
    assert (row["path"], row["split"], row["decode_ok"], row["true_label"]) == ("sad/sad3", "train", True, "sad")


def test_the_csv_holds_what_the_parquet_holds(audited):
    table = pq.read_table(audited[0] / "audit.parquet")
    assert json.loads(table.schema.metadata[b"label_names"]) == ["happy", "sad"]
    with open(audited[0] / "audit.csv", newline="") as file:
        written = list(csv.DictReader(file))
    for row, line in zip(table.to_pylist(), written, strict=True):
        assert line["sample_id"] == row["sample_id"] and line["partition"] == row["partition"]
        assert float(line["label_quality"]) == pytest.approx(row["label_quality"])
        assert [float(line["p_happy"]), float(line["p_sad"])] == pytest.approx(row["probabilities"])
        assert line["suggested_label"] == (row["suggested_label"] or "")


def test_in_sample_is_said_in_every_output(audited, root, knowing, tmp_path, capsys):
    out, summary = audited
    assert summary["out_of_sample"] is False and summary["rule"][0].startswith("IN SAMPLE")
    assert json.loads((out / "summary.json").read_text()) == summary
    assert {row["in_sample"] for row in rows_of(out).values()} == {True}
    assert pq.read_schema(out / "audit.parquet").metadata[b"out_of_sample"] == b"false"
    with open(out / "audit.csv", newline="") as file:
        assert {line["in_sample"] for line in csv.DictReader(file)} == {"true"}
    assert "in sample" in (out / "audit.html").read_text().lower()
    in_sample(root, knowing, tmp_path, "--max-cards", "0")
    assert capsys.readouterr().out.count("IN SAMPLE") == 2
    text = "".join((out / name).read_text() for name in ("summary.json", "audit.csv", "audit.html"))
    assert str(root) not in text and str(knowing.parent) not in text


def test_thresholds_are_moved(audited, root, knowing, tmp_path):
    summary = in_sample(root, knowing, tmp_path, "--noisy-loss-threshold", "1", "--max-noisy-share", "0.1")
    assert summary["partition_by_class"]["sad"]["noisy"] == 0  # a tenth of eight videos is none
    summary = in_sample(root, knowing, tmp_path, "--noisy-loss-threshold", "100", "--hard-agreement-threshold", "1")
    assert summary["partition_by_class"] == {
        "happy": {"clean": 0, "hard": 7, "noisy": 0},
        "sad": {"clean": 0, "hard": 8, "noisy": 0},
    }
    assert summary["agreement_loss"]["noisy_loss_threshold"] == 100 and "above 100.000 (given)" in " ".join(
        summary["rule"]
    )


def test_videos_that_cannot_be_read(root, knowing, tmp_path, capsys):
    shutil.copytree(root / "train", tmp_path / "train")
    (tmp_path / "train" / "sad" / "broken.mp4").write_text("text")
    frames = tmp_path / "train" / "happy" / "happy0"
    (frames / "3.png").write_bytes((frames / "3.png").read_bytes()[:50])  # found out when it is decoded
    with pytest.raises(SystemExit, match="error: .*broken.mp4"):
        in_sample(tmp_path, knowing, tmp_path / "out")
    assert not (tmp_path / "out" / "audit.parquet").exists()
    summary = in_sample(tmp_path, knowing, tmp_path / "out", "--on-bad-video", "skip")
    assert {bad["sample_id"] for bad in summary["unreadable"]} == {"sad/broken.mp4", "happy/happy0"}
    assert all("Cannot read video" in bad["reason"] for bad in summary["unreadable"])
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 16 and sum(row["decode_ok"] for row in rows.values()) == 14
    bad = rows["sad/broken.mp4"]
    assert bad["given_label"] == "sad" and not bad["decode_ok"]
    empty = ("probabilities", "label_quality", "loss", "partition", "weight", "predicted_label", "suspicion_rank")
    assert [bad[name] for name in empty] == [None] * len(empty)
    assert sum(sum(row.values()) for row in summary["partition_by_class"].values()) == 14


def test_labels_are_mapped_by_name_and_unknown_ones_are_said(root, knowing, tmp_path):
    rows = [(root / "train" / "happy" / "happy1", "Happiness"), (root / "train" / "sad" / "sad1", "boredom")]
    (tmp_path / "list.csv").write_text("path,label,truth\n" + "".join(f"{p},{label},joy\n" for p, label in rows))
    options = ["--dataset", str(tmp_path / "list.csv"), "--in-sample", "--model", str(knowing), "--output-dir"]
    options += [str(tmp_path / "out"), *FAST]
    with pytest.raises(SystemExit, match="boredom.*--on-unknown-label skip"):
        audit.main(options)
    summary = audit.main([*options, "--on-unknown-label", "skip", "--truth", "truth"])
    (row,) = rows_of(tmp_path / "out").values()
    assert (row["given_label"], row["true_label"]) == ("happy", "joy")
    assert summary["truth"][0]["auroc"]["value"] is None  # nothing is wrong: joy is happy


def test_aen_is_audited(root, tmp_path):
    audit.main(
        [
            "--dataset",
            str(root / "train"),
            "--in-sample",
            "--model",
            str(AEN_CHECKPOINT),
            "--output-dir",
            str(tmp_path),
        ]
        + ["--face-crop", "false", "--max-cards", "2", *FAST]
    )
    rows = rows_of(tmp_path)
    assert len(rows) == 15
    assert all(sum(row["probabilities"]) == pytest.approx(1, abs=1e-5) for row in rows.values())
    assert all(len(row["probabilities"]) == 7 for row in rows.values())


def test_cards_of_the_most_suspicious_are_kept(root, knowing):
    model, processor = load(str(knowing), "cpu")
    paths = sorted((root / "train").glob("*/*"))
    videos = LabelledVideos([str(p) for p in paths], [p.parent.name for p in paths], [p.name for p in paths])
    *_, args = parse_training_arguments(["--output-dir", "unused", *FAST, "--per-device-eval-batch-size", "4"])
    cards = Cards(2)
    predictions, errors = score(model, processor, videos, range(len(videos)), args, 1, cards)
    assert not errors and set(cards.cards) == set(predictions.loss.argsort(descending=True)[:2].tolist())
    card = cards.cards[videos.sample_ids.index("swapped")]
    assert len(card["frames"]) == len(card["frame_times"]) == 6  # all of the video's
    with Image.open(io.BytesIO(card["frames"][0])) as frame:
        red, _, blue = np.asarray(frame.convert("RGB")).mean((0, 1))
        assert frame.format == "WEBP" and red > blue + 60
    number = videos.sample_ids.index("swapped")
    assert len(card["clips"]) == len(card["clip_frames"]) == predictions.num_valid_clips[number]
    # The card's clips and the table's probabilities are of the same forward pass.
    with torch.no_grad():
        video = model(**processor(videos.sources[number], return_tensors="pt")).logits[0].softmax(-1)
    mean = (video + torch.tensor(card["clips"]).mean(0)) / 2
    assert mean.tolist() == pytest.approx(predictions.probabilities[number].tolist(), abs=1e-4)


def test_settings_that_do_not_fit_are_said(root, tmp_path, capsys):
    for options, message in [
        (["--in-sample"], "pass --dataset"),
        (["--dataset", str(root / "train"), "--push-to-hub", "true"], "--push-to-hub"),
        (["--dataset", str(root / "train"), "--folds", "20"], "8 videos of the most frequent label are too few"),
        (["--sample-table", str(root / "truth.csv")], "no Parquet file"),
    ]:
        with pytest.raises(SystemExit, match=f"error: .*{message}"):
            audit.main([*options, "--output-dir", str(tmp_path / "out"), *TINY, *FAST])
    for options, message in [
        (["--in-sample", "--train_dir", "x", "--train_list", "y"], "--train-dir and --train-list are the same option"),
        (["--dataset", "x", "--in-sample", "--folds", "2"], "not allowed with"),
        (["--dataset", "x", "--truth", "y"], "pass --truth-file"),
        (["--dataset", "x", "--noisy-loss-threshold", "high"], "must be 'auto' or a number"),
    ]:
        with pytest.raises(SystemExit):
            audit.main([*options, "--output-dir", str(tmp_path / "out"), *FAST])
        assert message in capsys.readouterr().err


# Folds ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def list_of_people(root) -> Path:
    """The training videos with who is seen: each person in two videos."""
    lines = ["path,label,actor"]
    for number, path in enumerate(sorted((root / "train").glob("*/*"))):
        lines.append(f"{path.relative_to(root)},{path.parent.name},person {number % 8}")
    (root / "people.csv").write_text("\n".join(lines) + "\n")
    return root / "people.csv"


def by_folds(people, out, *more) -> dict:
    return audit.main(["--dataset", str(people), "--folds", "2", "--output-dir", str(out), *QUICK, *more])


@pytest.fixture(scope="module")
def folded(list_of_people, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("folded")
    return out, by_folds(list_of_people, out)


def test_folds_score_what_they_were_not_trained_on(folded):
    out, summary = folded
    assert summary["out_of_sample"] is True and summary["folds"] == 2
    rows = rows_of(out)
    assert {row["fold"] for row in rows.values()} == {1, 2} and {row["in_sample"] for row in rows.values()} == {False}
    people = {}
    for number, name in enumerate(sorted(rows)):
        people.setdefault(number % 8, set()).add(rows[name]["fold"])
    assert all(len(folds) == 1 for folds in people.values())
    for fold in (1, 2):
        trained_on = pq.read_table(out / f"fold_{fold}" / "sample_table.parquet")["sample_id"].to_pylist()
        assert set(trained_on) == {name for name, row in rows.items() if row["fold"] != fold}
    assert min(rows, key=lambda name: rows[name]["label_quality"]) == "train/sad/swapped"
    assert all((out / name).stat().st_size for name in OUTPUTS)


def test_finished_folds_are_kept_and_others_refused(folded, list_of_people, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folded[0], out)
    # The second fold was interrupted after training.
    (out / "fold_2" / "held_out.safetensors").unlink()
    models = [out / f"fold_{fold}" / "model.safetensors" for fold in (1, 2)]
    before = [model.stat().st_mtime_ns for model in models]
    summary = by_folds(list_of_people, out, "--noisy-loss-threshold", "0.1", "--hard-agreement-threshold", "1")
    assert [model.stat().st_mtime_ns for model in models] == before
    assert summary["agreement_loss"]["noisy_loss_threshold"] == 0.1
    old, new = rows_of(folded[0]), rows_of(out)
    assert all(new[name]["probabilities"] == row["probabilities"] for name, row in old.items())
    assert {row["partition"] for row in new.values()} <= {"hard", "noisy"}
    # An interrupted training is run again.
    (out / "fold_2" / "held_out.safetensors").unlink()
    (out / "fold_2" / "train_results.json").unlink()
    by_folds(list_of_people, out)
    assert [model.stat().st_mtime_ns == time for model, time in zip(models, before)] == [True, False]
    assert all(rows_of(out)[name]["probabilities"] == row["probabilities"] for name, row in old.items())
    with pytest.raises(SystemExit, match="error: .*'loss': \\('default', 'ce'\\)"):
        by_folds(list_of_people, out, "--loss", "ce")
    list_of_people.with_name("other.csv").write_text(list_of_people.read_text().replace("7,sad", "7,happy"))
    with pytest.raises(SystemExit, match="error: .*'folds': \\(2, 3\\)"):
        by_folds(list_of_people, out, "--folds", "3")


def test_a_model_that_knows_the_labels_is_no_start(root, knowing, tmp_path):
    arguments = [
        "--dataset",
        str(root / "clean"),
        "--folds",
        "2",
        "--model",
        str(knowing),
        "--output-dir",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit, match="error: .*trained on 16 of these 16 videos.*--in-sample"):
        audit.main([*arguments, *FAST])


def test_copies_of_a_video_are_in_one_fold(tmp_path):
    hashes = ["a", "a", "b", "c", "c", "d", "e", "f", None, None, "g", "g"]
    videos = LabelledVideos([None] * 12, ["x", "y"] * 6, [str(n) for n in range(12)], {"content_hash": hashes})
    folds = videos.folds(3, seed=0)
    assert sorted(number for fold in folds for number in fold) == list(range(12))
    fold_of = {number: place for place, fold in enumerate(folds) for number in fold}
    assert all(fold_of[a] == fold_of[b] for a, b in [(0, 1), (3, 4), (10, 11)])


# A training's table --------------------------------------------------------------------------------------------------


def test_the_table_of_a_training(root, knowing, tmp_path, capsys):
    table = knowing / "sample_table.parquet"
    summary = audit.main(
        ["--sample-table", str(table), "--dataset", str(root / "clean"), "--output-dir", str(tmp_path), *FAST]
    )
    assert (summary["source"], summary["out_of_sample"], summary["folds"]) == ("training run", False, None)
    assert "running means over 12 epochs" in summary["rule"][0]
    theirs, ours = pq.read_table(table).to_pylist(), rows_of(tmp_path)
    same = ("given_label", "probabilities", "label_quality", "clip_agreement", "loss", "partition", "suggested_label")
    same += ("content_hash", "epoch", "num_frames", "confidence", "variability", "correctness", "num_valid_clips")
    for row in theirs:
        assert [ours[row["sample_id"]][name] for name in same] == [row[name] for name in same]
    alone = audit.main(["--sample-table", str(table), "--output-dir", str(tmp_path / "alone"), *FAST])
    assert alone["partition_by_class"] == summary["partition_by_class"]
    assert "shows no frames" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: .*2 of its 16 videos are not in the data.*happy/happy7"):
        audit.main(
            ["--sample-table", str(table), "--dataset", str(root / "train"), "--output-dir", str(tmp_path), *FAST]
        )


# Truth ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stills(tmp_path_factory) -> Path:
    """Images in folders by label, which is the colour; one is in the wrong folder."""
    root, generator = tmp_path_factory.mktemp("stills"), np.random.default_rng(1)
    for label in ("happy", "sad"):
        draw(root / label, label, generator)
    (root / "happy" / "5.png").rename(root / "sad" / "swapped.png")
    return root


def test_still_images_are_judged_by_views_of_them(stills, knowing, tmp_path):
    options = ["--dataset", str(stills), "--in-sample", "--model", str(knowing), "--noisy-loss-threshold", "1", *FAST]
    audit.main([*options, "--output-dir", str(tmp_path / "views")])
    rows = rows_of(tmp_path / "views")
    assert [name for name, row in rows.items() if row["partition"] == "noisy"] == ["sad/swapped.png"]
    assert rows["sad/swapped.png"]["suggested_label"] == "happy"
    assert {(row["num_frames"], row["num_valid_clips"]) for row in rows.values()} == {(1, 4)}
    cards = json.loads(re.search(r'id="data"[^>]*>(.*?)</script>', (tmp_path / "views/audit.html").read_text())[1])[
        "cards"
    ]
    assert {(len(card["frames"]), len(card["clips"])) for card in cards} == {(1, 4)}
    # A single frame agrees with itself: no label is doubted.
    audit.main([*options, "--output-dir", str(tmp_path / "frame"), "--still-views", "1"])
    rows = rows_of(tmp_path / "frame")
    assert {(row["partition"], row["num_valid_clips"]) for row in rows.values()} == {("clean", 1)}
    # The same views again, whatever other images there are.
    before = rows_of(tmp_path / "views")["happy/3.png"]
    (stills / "happy" / "0.png").unlink()
    audit.main([*options, "--output-dir", str(tmp_path / "again")])
    assert rows_of(tmp_path / "again")["happy/3.png"]["probabilities"] == pytest.approx(
        before["probabilities"], abs=1e-6
    )


def test_the_truth_is_found_by_the_name_of_the_file(audited):
    truth = {entry["score"]: entry for entry in audited[1]["truth"]}
    ours = truth["loss: the audit's suspicion_rank"]
    assert ours["auroc"]["value"] == ours["auprc"]["value"] == ours["precision_at_k"]["value"] == 1
    assert ours["precision_at_k"]["k"] == 1 and ours["hard_vs_noisy"]["value"] == 1
    assert {"noisy first, then loss", "label margin", "label_quality (self-confidence)"} < set(truth)


def test_truth_that_does_not_fit_is_refused(root, knowing, tmp_path):
    for text, message in [
        ("sample_id,label\nhappy1,happy\n", "lacks the column 'true_label'"),
        ("sample_id,true_label\nelse,happy\n", "no row is about any of the videos"),
        ("sample_id,true_label\nhappy1,happy\nhappy1,sad\n", "'happy1' is there twice"),
    ]:
        (tmp_path / "truth.csv").write_text(text)
        with pytest.raises(SystemExit, match=f"error: .*{message}"):
            in_sample(root, knowing, tmp_path / "out", "--truth-file", str(tmp_path / "truth.csv"))
