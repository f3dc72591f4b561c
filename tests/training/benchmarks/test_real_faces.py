# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import shutil
from contextlib import closing

import numpy as np
import PIL.Image
import pytest
import torch

from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.dataset_replicas import ferplus_parquet
from tests.helpers.paths import CHECKPOINT, DATA
from training.benchmarks import real_faces
from training.benchmarks.shared.real_faces_data import MAJORITIES
from training.benchmarks.shared.real_faces_tables import render
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.tables import read_tables
from training.datasets.ferplus import VOTES


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("real_faces") == render(load_results(RESULTS / real_faces.FILE))


def test_figures_of_a_few_faces_counted_by_hand():
    labels = np.array([0, 0, 0, 1])
    scores = np.zeros((4, 8))  # the eighth is a label that FER+'s seven lack
    scores[0, 0], scores[1, 1], scores[2, 7], scores[3, 1] = 0.9, 0.8, 0.7, 0.6
    figures = real_faces.recognition(scores, labels)
    assert figures["accuracy"] == 0.5
    assert figures["recalls"]["neutral"] == pytest.approx(1 / 3) and figures["recalls"]["happiness"] == 1
    assert figures["confusion"][0] == [1, 1, 0, 0, 0, 0, 0, 1] and figures["confusion"][1] == [0, 1] + [0] * 6
    # The surest half is right once, the surest three quarters, too.
    assert figures["accuracy at coverage"]["50%"] == 0.5
    assert figures["accuracy at coverage"]["70%"] == pytest.approx(1 / 3)
    assert figures["calibration error"] == pytest.approx((0.1 + 0.8 + 0.7 + 0.4) / 4)


def test_no_face_is_no_answer():
    scores = np.eye(7)[[0, 3]]
    scores[0] = 0
    assert real_faces.named(scores) == ["no face", "sadness"]
    assert real_faces.recognition(scores, np.array([0, 3]))["accuracy"] == 0.5


def test_interval_of_a_share():
    assert real_faces.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert real_faces.wilson(0, 3)[0] == 0 and real_faces.wilson(3, 3)[1] == 1


@pytest.mark.parametrize(
    "votes, counts",
    [
        ({"anger": 6, "sadness": 4}, [True, True, True]),
        ({"anger": 5, "sadness": 3, "contempt": 2}, [True, True, False]),
        ({"anger": 4, "sadness": 3, "fear": 2, "unknown": 1}, [True, False, False]),
        ({"anger": 4, "contempt": 6}, [False, True, False]),
        ({"anger": 5, "sadness": 5}, [False, False, False]),
    ],
)
def test_who_counts(votes, counts):
    row = np.array([[votes.get(name, 0) for name in VOTES]])
    rules = ("most of all ten votes", "more than half of the votes for the seven", "more than half of all ten votes")
    assert [bool(MAJORITIES[rule](row)[0]) for rule in rules] == counts


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder as --data wants it, with drawn faces for FER+ and the face of cap13 for the other sets."""
    folder = tmp_path_factory.mktemp("faces")
    ferplus_parquet(folder / "ferplus")
    with closing(open_video(DATA / "cap13_edit2.mp4")) as video:
        neutral, surprised = video.get_frames([15, 38]).permute(0, 2, 3, 1).numpy()
    for kind in ("neutral", "smiling"):
        (folder / "london-faces" / kind).mkdir(parents=True)
        for person, picture in (("001", neutral), ("002", surprised)):
            PIL.Image.fromarray(picture).save(folder / "london-faces" / kind / f"{person}.jpg")
    rows = ("face_id,face_age,face_gender,face_eth", "001,24,female,white", "002,NA,male,east_asian")
    (folder / "london-faces" / "people.csv").write_text("\n".join(rows))
    shutil.copytree(DATA / "crema-d", folder / "crema-d")
    (folder / "crema-d" / "VideoFlash").mkdir()
    shutil.copyfile(DATA / "cap13_edit2.mp4", folder / "crema-d" / "VideoFlash" / "1001_DFA_NEU_XX.mp4")
    return folder


def test_a_checkpoint_is_measured_once(data, tmp_path, capsys):
    command = ["--data", str(data), "--only", "ferplus", "london", "crema-d", "--cache", str(tmp_path / "cache")]
    command += ["--model", str(CHECKPOINT), "--name", "mine", "--output-dir", str(tmp_path)]
    real_faces.main(command)
    results = load_results(tmp_path / real_faces.FILE)
    assert set(results) == {"mine, ferplus", "mine, london", "mine, crema-d"}

    everyone = results["mine, london"]["groups"]["all"]["all"]
    assert (everyone["neutral"]["right"], everyone["neutral"]["faces"], everyone["happiness"]["right"]) == (1, 2, 0)
    groups = results["mine, london"]["groups"]
    assert groups["sex"]["female"]["both"]["right"] == 1 and groups["sex"]["male"]["both"]["right"] == 0
    assert set(groups["age"]) == {"under 25", "not known"} and set(groups["ethnicity"]) == {"white", "east asian"}
    assert results["mine, london"]["gaps"]["sex"] == 0.5
    assert results["mine, london"]["answers"]["happiness"] == {"neutral": 1, "surprise": 1}

    clip = results["mine, crema-d"]["clips"][0]
    assert (clip["acted"], clip["crowd"], clip["answer"]) == ("neutral", ["neutral"], "neutral")
    figures = results["mine, ferplus"]["images"]
    assert set(figures) == {"face crops", "whole images"}
    assert all(rules["most of all ten votes"]["faces"] == 2 for rules in figures.values())

    # Nothing is measured again, unless the checkpoint changes.
    capsys.readouterr()
    real_faces.main(command)
    assert "done" not in capsys.readouterr().out
    other = shutil.copytree(CHECKPOINT, tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    command[command.index(str(CHECKPOINT))] = str(other)
    real_faces.main(command)
    assert "mine, london: done" in capsys.readouterr().out


def test_turned_faces_are_counted_apart_with_and_without_their_confidence(data, tmp_path):
    system = real_faces.open_system(str(CHECKPOINT), tmp_path)
    (face,) = system.read([[PIL.Image.open(data / "london-faces" / "neutral" / "001.jpg")]], "face")
    crops = [{**face, "face_confidence": torch.tensor(confidence)} for confidence in (1.0, 0.8, 0.5, 0.5)]
    neutral, happy = VOTES.index("neutral"), VOTES.index("happiness")
    faces = [{"pixel_values_videos": face["pixel_values_videos"]}, *crops]
    labels = np.array([happy, neutral, neutral, neutral, happy])
    figures = real_faces.turned_faces(system, faces, system.classify(faces), labels)
    assert [(found["faces"], found["accuracy"]) for found in figures.values()] == [(1, 1.0), (1, 1.0), (2, 0.5)]
    frontal, turned, profile = (found["mean score"] for found in figures.values())
    assert frontal["with"] == pytest.approx(frontal["without"]) == pytest.approx(profile["without"])
    assert frontal["with"] > turned["with"] > profile["with"]
    assert real_faces.turned_faces(system, faces[:1], system.classify(faces[:1]), labels[:1]) == {}


def test_faces_are_needed(capsys):
    with pytest.raises(SystemExit):
        real_faces.main([])
    assert "--data is needed" in capsys.readouterr().err
