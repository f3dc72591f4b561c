# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import logging
import shutil
from collections import Counter

import pytest

from tests.helpers.paths import DATA
from training.datasets import load
from training.datasets.crema_d import LABELS, disagreement, main, most_voted, read_votes

# The real label files, the rows of actor 1001.
REAL = DATA / "crema-d"
NAMES = [row["Filename"] for row in csv.DictReader((REAL / "SentenceFilenames.csv").open())]


@pytest.fixture
def root(tmp_path):
    """Actor 1001 and, as a test fold of its own, a made-up actor 1020 who repeats her; empty files as clips."""
    shutil.copytree(REAL, tmp_path / "crema")
    for name in ("SentenceFilenames.csv", "processedResults/tabulatedVotes.csv"):
        file = tmp_path / "crema" / name
        head, rest = file.read_text().split("\n", 1)
        file.write_text("\n".join([head, rest.rstrip("\n"), rest.rstrip("\n").replace('"1001_', '"1020_'), ""]))
    (tmp_path / "crema" / "VideoFlash").mkdir()
    for name in NAMES:
        for actor in ("1001", "1020"):
            (tmp_path / "crema" / "VideoFlash" / f"{actor}{name[4:]}.flv").touch()
    return tmp_path / "crema"


def test_disagreement_of_actor_1001_is_what_a_hand_count_says():
    counts = disagreement(REAL, actor=1001)["counts"]
    assert len(NAMES) == 82
    assert (counts["all"]["clips"], counts["all"]["disagree"], counts["all"]["tie"]) == (82, 19, 7)
    assert counts["all"]["agree"] == 82 - 19 - 7
    for kind in counts["all"]:
        assert sum(counts[label][kind] for label in LABELS) == counts["all"][kind]


def test_votes_are_those_of_the_authors_own_summary():
    votes = read_votes(REAL)
    columns = {"voice": "VoiceVote", "face": "FaceVote", "multimodal": "MultiModalVote"}
    with (REAL / "processedResults" / "summaryTable.csv").open() as handle:
        for row in csv.DictReader(handle):
            for seen, column in columns.items():
                winners = ":".join(label[0].upper() for label in most_voted(votes[seen][row["FileName"]]))
                assert winners == row[column]


def test_the_report_prints_counts_and_confusion_and_names_what_is_missing(capsys, tmp_path):
    main(["--root", str(REAL), "--report", "--actor", "1001"])
    text = capsys.readouterr().out
    assert "face votes" in text and "disagree: 19 (23.2 %)" in text and "tie:      7 (8.5 %)" in text
    confusion = disagreement(REAL)["confusion"]
    sad = next(line for line in reversed(text.splitlines()) if line.startswith("sad")).split()[1:]
    assert [int(count) for count in sad] == [confusion["sad"][label] for label in LABELS]
    assert max(confusion["sad"], key=confusion["sad"].get) == "neutral"  # sadness is seen as neutral
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path), "--report"])
    assert "tabulatedVotes.csv" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m training.datasets.crema_d --root" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no clip of actor 7"):
        disagreement(REAL, actor=7)


def test_acted_labels_come_from_the_names(root):
    splits = load("crema_d", root, fold=2)
    assert splits["train"].num_rows == splits["test"].num_rows == 82
    assert splits["test"].features["label"].names == ["anger", "disgust", "fear", "happy", "neutral", "sad"]
    assert set(splits["test"]["actor"]) == {1020} and set(splits["train"]["actor"]) == {1001}
    row = splits["train"][NAMES.index("1001_IEO_HAP_LO")]
    assert row["sample_id"] == "1001_IEO_HAP_LO" and row["path"] == "VideoFlash/1001_IEO_HAP_LO.flv"
    assert (row["label"], row["acted_label"], row["level"], row["sentence"]) == (3, "happy", "low", "IEO")


def test_labels_by_vote_follow_the_tie_rule_and_leave_out_what_has_no_label(root, caplog, monkeypatch):
    file = root / "processedResults" / "tabulatedVotes.csv"
    # Among actor 1001's clips no tie excludes the acted label on the face: make one.
    votes = read_votes(root)["face"]
    rows = file.read_text().split("\n")
    number = next(i for i, row in enumerate(rows) if row.startswith('"2') and '"1020_IEO_HAP_LO"' in row)
    fields = rows[number].split(",")
    rows[number] = ",".join([fields[0], "5", "0", "0", "1", "5", "0", *fields[7:]])
    file.write_text("\n".join(rows))
    monkeypatch.setattr(logging.getLogger("training.datasets.crema_d"), "propagate", True)
    splits = load("crema_d", root, fold=2, label_source="face_vote")
    tied = [name for name in NAMES if len(most_voted(votes[name])) > 1]
    left_out = [name for name in tied if Counter(most_voted(votes[name]))[acted(name)] == 0]
    assert splits["train"].num_rows == 82 - len(left_out)
    assert splits["test"].num_rows == 82 - len(left_out) - 1
    assert f"{2 * len(left_out) + 1} of 164 clips have no label" in caplog.text
    assert "1020_IEO_HAP_LO" not in splits["test"]["sample_id"]
    labels = splits["train"].features["label"].int2str(list(splits["train"]["label"]))
    for row, label in zip(splits["train"], labels):
        winners = most_voted(votes[row["sample_id"]])
        assert label == (row["acted_label"] if row["acted_label"] in winners else winners[0])
        assert row["face_votes"] == votes[row["sample_id"]]
        assert row["soft_label"] == pytest.approx([vote / sum(row["face_votes"]) for vote in row["face_votes"]])
    assert sum(label != row["acted_label"] for row, label in zip(splits["train"], labels)) == 19 - len(left_out)


def acted(name):
    return {label[:3].upper(): label for label in ["anger", *LABELS[1:]]}[name.split("_")[2]]


def test_multimodal_labels_have_multimodal_soft_labels(root):
    votes = read_votes(root)["multimodal"]
    for row in load("crema_d", root, label_source="multimodal_vote", fold=2)["train"]:
        counts = votes[row["sample_id"]]
        assert row["soft_label"] == pytest.approx([count / sum(counts) for count in counts])
        assert LABELS[row["label"]] in most_voted(counts)


def test_missing_clips_votes_and_rows_are_named(root):
    (root / "VideoFlash" / "1020_IEO_NEU_XX.flv").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the 82 clips of test.*1020_IEO_NEU_XX"):
        load("crema_d", root, fold=2)
    assert load("crema_d", root, fold=2, on_missing="skip")["test"].num_rows == 81
    file = root / "processedResults" / "tabulatedVotes.csv"
    text = file.read_text()
    file.write_text("\n".join(row for row in text.split("\n") if "1001_IEO_FEA_HI" not in row))
    with pytest.raises(ValueError, match="no votes for 1 clips: 1001_IEO_FEA_HI"):
        load("crema_d", root, fold=2, label_source="face_vote", on_missing="skip")
    file.write_text(text + text.split("\n")[1] + "\n")
    with pytest.raises(ValueError, match="one row of a kind"):
        read_votes(root)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="tabulatedVotes.csv"):
        load("crema_d", root, fold=2, label_source="face_vote", on_missing="skip")
    splits = load("crema_d", root, fold=2, on_missing="skip")  # acted labels need no votes
    assert "soft_label" not in splits["train"].column_names
    with pytest.raises(ValueError, match="label_source='voice'.*'acted', 'face_vote'"):
        load("crema_d", root, label_source="voice")


def test_what_most_people_chose_is_written(tmp_path, capsys):
    main(["--root", str(REAL), "--majorities", str(tmp_path / "crowd.csv"), "--votes", "face"])
    rows = {row["sample_id"]: row["label"] for row in csv.DictReader((tmp_path / "crowd.csv").open())}
    votes = read_votes(REAL)["face"]
    assert rows["1001_DFA_SAD_XX"] == "neutral" != "sad"
    for name, counts in votes.items():
        most = [label for label, count in zip(LABELS, counts) if 2 * count > sum(counts)]
        assert rows.get(name) == (most[0] if most else None)
    assert f"{len(rows)} clips" in capsys.readouterr().out


def test_a_split_without_clips_is_left_out_if_missing_ones_are(root):
    for clip in (root / "VideoFlash").glob("1020*"):
        clip.unlink()
    with pytest.raises(FileNotFoundError, match="82 of the 82 clips of test"):
        load("crema_d", root, fold=2)
    splits = load("crema_d", root, fold=2, on_missing="skip")
    assert list(splits) == ["train"] and len(splits["train"]) == 82
    for clip in (root / "VideoFlash").glob("1001*"):
        clip.unlink()
    with pytest.raises((FileNotFoundError, ValueError)):
        load("crema_d", root, fold=2, on_missing="skip")
