# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import math

import av
import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import LiveRecognizer, timeline
from tests.helpers.paths import DATA
from tests.helpers.video_fixtures import make

CLIP = DATA / "cap13_edit2.mp4"
FACE_BOX = [150, 140, 249, 240]


def read(path, seconds=math.inf):
    """Pictures and times of a video."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time >= seconds:
                return
            yield frame.to_ndarray(format="rgb24"), frame.time


@pytest.fixture(scope="module")
def clip():
    """The first 4 s, 100 frames."""
    return list(read(CLIP, 4))


def feed(recognizer, frames, **options):
    return [answer for picture, time in frames for answer in recognizer.update(picture, time, **options)]


def same(window, answer) -> bool:
    return all(abs(window.scores[label] - answer.scores[label]) < 1e-3 for label in window.scores)


@pytest.mark.parametrize("window, step", [(1.0, 0.5), pytest.param(2.0, 0.7, marks=pytest.mark.slow)])
def test_answers_are_those_of_the_timeline(window, step):
    recognizer = LiveRecognizer(window=window, step=step)
    answers = feed(recognizer, read(CLIP)) + recognizer.finish()
    found = {(round(answer.start_seconds, 3), round(answer.end_seconds, 3)): answer for answer in answers}
    expected = timeline(CLIP, window=window, step=step, face="all")
    assert len(expected) > 40
    for each in expected:
        answer = found[round(each.start_seconds, 3), round(each.end_seconds, 3)]
        assert same(each, answer) and answer.agreement == each.agreement and answer.warnings == each.warnings
        assert answer.box == pytest.approx(each.box, abs=1) and answer.num_frames == each.num_frames
    # Before the first window is full there are answers about what there is.
    assert answers[0].start_seconds == 0 and answers[0].end_seconds < window


def test_people_who_come_and_go(meeting):
    recognizer = LiveRecognizer(window=1.0, step=0.5)
    answers = feed(recognizer, read(meeting)) + recognizer.finish()
    numbers = {}
    for each in timeline(meeting, window=1.0, step=0.5, face="all"):
        (answer,) = (
            other
            for other in answers
            if (other.start_seconds, other.end_seconds) == pytest.approx((each.start_seconds, each.end_seconds))
            and abs(other.box[0] - each.box[0]) < 1
        )
        assert same(each, answer)
        assert numbers.setdefault(each.person, answer.person) == answer.person
    assert sorted(numbers.values()) == [0, 1]


def test_frames_of_opencv_and_pillow(clip):
    frames = clip[:40]
    (expected, *_) = feed(LiveRecognizer(), frames)
    turned = [(picture[..., ::-1], time) for picture, time in frames]
    (opencv, *_) = feed(LiveRecognizer(), turned, channel_order="bgr")
    (pillow, *_) = feed(LiveRecognizer(), [(Image.fromarray(picture), time) for picture, time in frames])
    (tensor, *_) = feed(LiveRecognizer(), [(torch.from_numpy(picture), time) for picture, time in frames])
    assert expected.scores == opencv.scores == pillow.scores == tensor.scores


def test_memory_of_a_frame_may_be_used_again(clip):
    recognizer, buffer = LiveRecognizer(), np.empty_like(clip[0][0])
    answers = []
    for picture, time in clip[:40]:
        buffer[:] = picture
        answers += recognizer.update(buffer, time)
    assert answers[0].scores == feed(LiveRecognizer(), clip[:40])[0].scores


def test_answers_go_on_after_gaps_clock_jumps_and_other_sizes(clip, caplog):
    recognizer = LiveRecognizer(window=1.0, step=0.5)
    answers = feed(recognizer, [(picture, 1e9 + time) for picture, time in clip])
    before = len(answers)
    assert before == 7 and answers[-1].end_seconds == pytest.approx(3.5)
    answers += feed(recognizer, [(picture, 1e9 + 86400 + time) for picture, time in clip])  # a day without a frame
    # The windows right after the last frame, and those after the gap; none in between.
    assert len(answers) - before < 12 and answers[-1].start_seconds == pytest.approx(86402.5)
    answers += feed(recognizer, clip)  # the clock was set
    assert "went back" in caplog.text and answers[-1].end_seconds > 86406
    small = [(picture[::2, ::2], 10 + time) for picture, time in clip]
    last = feed(recognizer, small)[-1]
    assert last.frame_size == [200, 150] and last.box[2] < 150 and last.person == answers[0].person
    ends = [answer.end_seconds for answer in answers]
    assert ends == sorted(ends)


@pytest.mark.parametrize("name", ["size_200x150", "size_200x300"])
def test_boxes_are_in_pixels_of_the_frame_size_that_is_stated_with_them(tmp_path, name):
    recognizer = LiveRecognizer(window=0.3, step=0.1)
    answers = feed(recognizer, read(make(name, tmp_path))) + recognizer.finish()
    sizes = {tuple(answer.frame_size) for answer in answers}
    assert len(sizes) == 2 and (400, 300) in sizes
    for answer in answers:
        # The smaller frames are the whole picture, or its middle.
        scale, left = answer.frame_size[1] / 300, 100 if answer.frame_size == [200, 300] else 0
        box = [edge / scale + offset for edge, offset in zip(answer.box, (left, 0, left, 0))]
        assert box == pytest.approx(FACE_BOX, abs=15)


def test_a_repeated_time_does_not_make_all_later_frames_late(clip):
    """A camera of 60 frames a second whose clock stands still once, and goes back by half a second once."""
    times = [number / 60 for number in range(200)]
    times[30] = times[29]
    recognizer = LiveRecognizer()
    feed(recognizer, [(clip[number // 2][0], time) for number, time in enumerate(times)])
    assert recognizer._last_time() == pytest.approx(199 / 60)
    feed(recognizer, [(clip[0][0], 199 / 60 - 0.5 + number / 60) for number in range(100)])
    assert recognizer._last_time() == pytest.approx(199 / 60 - 0.5 + 99 / 60)


def test_only_the_last_window_is_kept(clip):
    recognizer = LiveRecognizer(window=0.4, step=0.2)
    for start in range(5):
        feed(recognizer, [(picture, 4 * start + time) for picture, time in clip])
        kept = [len(faces) for faces in recognizer._stream._faces.values()]
        assert sum(kept) <= 8 and len(recognizer._times) <= 25


def test_a_fast_camera_costs_no_more(clip):
    fast = [(picture, (4 * number + part) / 100) for number, (picture, _) in enumerate(clip[:40]) for part in range(4)]
    recognizer = LiveRecognizer()
    looked_at = {answer.num_frames for answer in feed(recognizer, fast) if answer.end_seconds >= 1}
    assert looked_at == {12} and len(recognizer._open) <= 6


def test_without_a_face_there_is_no_answer_but_of_whole_frames(clip):
    grey = [(np.full_like(picture, 99), time) for picture, time in clip[:40]]
    assert feed(LiveRecognizer(), grey) == []
    answers = feed(LiveRecognizer(do_face_crop=False), grey)
    assert answers and answers[0].person is None and answers[0].box is None


def test_the_end_is_answered_once(clip):
    recognizer = LiveRecognizer(window=1.0, step=0.5)
    feed(recognizer, clip[:40])
    assert [answer.end_seconds for answer in recognizer.finish()] == pytest.approx([1.6])
    assert recognizer.finish() == []
    answers = feed(recognizer, clip[40:60])  # a stream that goes on
    assert [answer.end_seconds for answer in answers] == pytest.approx([2.0])
    assert [answer.end_seconds for answer in recognizer.finish()] == pytest.approx([2.4])


def test_min_confidence(clip):
    assert {answer.label for answer in feed(LiveRecognizer(min_confidence=1.0), clip[:40])} == {"uncertain"}


def test_what_is_no_frame_or_no_time_is_refused(clip):
    recognizer, (picture, _) = LiveRecognizer(), clip[0]
    # OpenCV gives None when a camera ends.
    for wrong in (picture[..., 0], picture.astype(np.float32), picture.transpose(2, 0, 1), picture[:0], None, "a.jpg"):
        with pytest.raises(ValueError, match=r"uint8 of shape \(height, width, 3\)"):
            recognizer.update(wrong)
    with pytest.raises(ValueError, match="finite"):
        recognizer.update(picture, math.nan)
    with pytest.raises(ValueError, match="channel_order"):
        recognizer.update(picture, channel_order="gbr")
    for window, step in ((1, 0), (0.5, 1), (math.inf, 1)):
        with pytest.raises(ValueError, match="step must be"):
            LiveRecognizer(window=window, step=step)
    assert recognizer.finish() == []
