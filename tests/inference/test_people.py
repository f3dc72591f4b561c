# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv

import numpy as np
import pytest

from modeling_rdfer import LiveRecognizer, timeline
from modeling_rdfer.cli import main
from modeling_rdfer.plots import plot_timeline
from tests.helpers.people_videos import write_pictures


def test_people_keep_their_numbers_when_they_come_back(meeting):
    windows = timeline(meeting, window=1.0, step=0.5, face="all")
    starts = {person: [w.start_seconds for w in windows if w.person == person] for person in (0, 1)}
    assert {window.person for window in windows} == {0, 1}
    assert starts[0] == [number / 2 for number in range(11)]
    assert starts[1] == [0, 0.5, 1, 1.5, 3.5, 4, 4.5, 5]
    for window in windows:
        middle = (window.box[0] + window.box[2]) / 2
        assert middle < 300 if window.person == 0 else middle > 340


def test_the_default_is_one_person_and_says_that_there_are_others(meeting, caplog):
    windows = timeline(meeting, window=1.0, step=0.5)
    assert all(window.person == 0 and window.box[2] < 320 for window in windows)
    assert "shows 2 people" in caplog.text


def side_by_side(*pictures):
    """Two pictures of 300 x 300 pixels, or None, beside each other."""
    return np.concatenate([np.zeros((300, 300, 3), np.uint8) if p is None else p for p in pictures], axis=1)


def spans(windows):
    """Person -> start of the first window and end of the last one."""
    ends: dict[int, tuple[float, float]] = {}
    for window in windows:
        start, _ = ends.get(window.person, (window.start_seconds, None))
        ends[window.person] = round(start, 2), round(window.end_seconds, 2)
    return ends


def test_after_a_cut_a_face_in_the_same_place_is_a_new_person(faces, tmp_path):
    pictures = [faces[number] if number < 40 else faces[number - 30][:, ::-1] for number in range(100)]
    write_pictures(tmp_path / "cut.mp4", pictures)
    windows = timeline(tmp_path / "cut.mp4", window=0.4, step=0.4, face="all")
    assert spans(windows) == {0: (1.6, 4.0), 1: (0.0, 1.6)}
    alone = timeline(tmp_path / "cut.mp4", window=0.4, step=0.4)
    assert [window.scores is None for window in alone] == [True] * 4 + [False] * 6


def test_who_stays_while_the_rest_of_the_picture_changes_keeps_the_number(faces, tmp_path):
    """A call in which another camera is off for a while."""
    pictures = [side_by_side(faces[n], faces[70 - n][:, ::-1] if not 25 <= n < 50 else None) for n in range(75)]
    write_pictures(tmp_path / "call.mp4", pictures)
    windows = timeline(tmp_path / "call.mp4", window=0.4, step=0.2, face="all")
    left = [window for window in windows if window.box[0] < 300]
    assert spans(left) == {0: (0.0, 3.0)} and len(left) == 14 and not any(window.warnings for window in left)
    assert spans(window for window in windows if window.person) == {1: (0.0, 1.2), 2: (1.8, 3.0)}
    assert all(window.person == 0 for window in timeline(tmp_path / "call.mp4", window=0.4, step=0.2))
    recognizer, live = LiveRecognizer(window=0.4, step=0.2), []
    for number, picture in enumerate(pictures):
        live += recognizer.update(picture, number / 25)
    assert len({answer.person for answer in live if answer.box[0] < 300}) == 1


def test_who_takes_the_place_of_another_in_a_part_of_the_picture_is_new(faces, tmp_path):
    """A call of nine, whose picture as a whole changes little. After a flash all are whom they were."""
    pictures = []
    for number in range(75):
        picture = np.full((900, 900, 3), 60, np.uint8)
        picture[:300, :300] = faces[number]
        picture[300:600, 300:600] = faces[74 - number][:, ::-1] if number < 40 else faces[number - 40]
        pictures.append(np.full_like(picture, 250) if number in (15, 16) else picture)
    write_pictures(tmp_path / "nine.mp4", pictures)
    windows = timeline(tmp_path / "nine.mp4", window=0.4, step=0.2, face="all")
    left, middle = ([window for window in windows if (window.box[0] < 300) == is_left] for is_left in (True, False))
    assert spans(left) == {0: (0.0, 3.0)}
    assert spans(middle) == {1: (0.0, 1.6), 2: (1.4, 3.0)}


def test_who_walks_by_and_stops_keeps_the_number(faces, tmp_path):
    y, x = np.mgrid[:300, :300]
    is_head = (((x - 150) / 80) ** 2 + ((y - 180) / 100) ** 2 < 1)[..., None]
    tiles = np.random.default_rng(0).integers(60, 160, (9, 20, 3), np.uint8)
    pictures = []
    for number in range(75):
        picture, left = np.kron(tiles, np.ones((40, 40, 1), np.uint8)), 6 * min(number, 50)
        picture[:300, left : left + 300] = np.where(is_head, faces[number], picture[:300, left : left + 300])
        pictures.append(picture)
    write_pictures(tmp_path / "walk.mp4", pictures)
    windows = timeline(tmp_path / "walk.mp4", window=0.5, step=0.5, face="all")
    assert spans(windows) == {0: (0.0, 3.0)} and windows[-1].box[0] > 350


@pytest.mark.parametrize("window, step", [(0.5, 1.5), (0.5, 2.0), (1.0, 3.0), (10.0, 10.0)])
def test_who_moves_between_windows_keeps_the_number(clip_path, window, step):
    assert {answer.person for answer in timeline(clip_path, window=window, step=step, face="all")} == {0}
    assert all(answer.scores for answer in timeline(clip_path, window=window, step=step))


def test_the_command_writes_a_row_for_each_window_of_each_person(meeting, tmp_path, capsys):
    out = tmp_path / "people.csv"
    assert main(["timeline", str(meeting), "--window", "2", "--step", "2", "--face", "all", "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.open()))
    assert {row["person"] for row in rows} == {"0", "1"} and float(rows[0]["x2"]) < 320
    assert "of 2 people" in capsys.readouterr().out


def test_the_picture_has_a_row_for_each_person(meeting, tmp_path):
    windows = timeline(meeting, window=1.0, step=1.0, face="all")
    plot_timeline(windows, tmp_path / "people.svg", title="meeting")
    text = (tmp_path / "people.svg").read_text()
    assert "<!-- person 0 -->" in text and "<!-- person 1 -->" in text and "<!-- person 2 -->" not in text
    assert text.count("<!-- no face -->") == 1  # where the right person is away
    plot_timeline([window for window in windows if window.person == 1], tmp_path / "one.svg")
    assert "<!-- no face -->" in (tmp_path / "one.svg").read_text()
    with pytest.raises(ValueError, match="no window shows a face"):
        plot_timeline([], tmp_path / "none.svg")


def test_windows_warn_of_others_and_of_cuts(meeting, faces, tmp_path):
    windows = timeline(meeting, window=1.0, step=1.0)
    assert [window.warnings for window in windows] == [["several_faces"]] * 2 + [[]] * 2 + [["several_faces"]] * 2
    assert all(window.frame_size == [640, 300] and window.num_frames in (12, 13) for window in windows)
    dark = [faces[number] // 8 if number < 18 else 255 - faces[number] // 8 for number in range(20)]
    write_pictures(tmp_path / "dark.mp4", dark)
    (window,) = timeline(tmp_path / "dark.mp4", window=2.0)
    assert window.warnings == ["dark", "cut"] and window.num_frames == 9
