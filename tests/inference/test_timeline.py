# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from modeling_rdfer import RDFERForVideoClassification, VideoReadError, timeline
from modeling_rdfer.inference import timeline as module
from modeling_rdfer.inference.face_stream import frames_looked_at
from modeling_rdfer.plots import plot_timeline
from tests.helpers.faces import paste, turn_to_the_side
from tests.helpers.paths import DATA
from tests.helpers.video_fixtures import make

CLIP = DATA / "cap13_edit2.mp4"
FACE_BOX = [150, 140, 249, 240]


def test_timeline_is_right_on_the_hand_labelled_stretches():
    windows = timeline(CLIP, window=0.5, step=0.2)
    assert windows[0].start_seconds == 0 and windows[-1].end_seconds == pytest.approx(30.6, abs=0.05)
    starts = [window.start_seconds for window in windows[:-1]]
    assert np.allclose(np.diff(starts), 0.2)
    with open(DATA / "cap13_segments.csv") as file:
        stretches = list(csv.DictReader(file))
    assert len(stretches) == 5
    for stretch in stretches:
        start, end = float(stretch["start_s"]), float(stretch["end_s"])
        inside = [w for w in windows if w.start_seconds >= start - 1e-6 and w.end_seconds <= end + 1e-6]
        assert inside and {window.label for window in inside} == {stretch["label"]}
    for window in windows:
        assert sum(window.scores.values()) == pytest.approx(1, abs=1e-4)
        assert window.start_seconds - 0.04 <= window.key_frame_seconds < window.end_seconds
        assert window.key_frame.shape == (3, 48, 48) and 0 < window.agreement <= 1


def test_timeline_lowers_the_confidence_of_windows_that_show_a_profile(tmp_path):
    with av.open(str(CLIP)) as container:
        first = next(frame for number, frame in enumerate(container.decode(video=0)) if number == 10)
    face = torch.from_numpy(first.to_ndarray(format="rgb24")).permute(2, 0, 1)[:, 100:270, 115:285]
    shown = [turn_to_the_side(face, min(max(8 * (number - 19), 0), 80)) for number in range(50)]
    frames = paste(shown, [(200, 100)] * 50)
    path = tmp_path / "turns.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 600, 400, "yuv420p"
        for image in frames.permute(0, 2, 3, 1).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    seen, call = [], RDFERForVideoClassification.forward

    def forward(self, *args, **kwargs):
        seen.extend(kwargs["face_confidence"].tolist())
        return call(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RDFERForVideoClassification, "forward", forward)
        timeline(path, window=0.8, step=0.6)
    assert len(seen) == 3 and seen[0] == 1 and seen[2] < 0.7


def test_timeline_leaves_windows_without_a_face_empty(tmp_path):

    frames = [frame.to_ndarray(format="rgb24") for frame in av.open(str(CLIP)).decode(video=0)][:100]
    path = tmp_path / "face_then_none.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
        for index in range(200):
            image = frames[index] if index < 100 else np.full((300, 400, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    windows = timeline(path, window=1.0, step=1.0)
    assert len(windows) == 8
    assert [window.scores is not None for window in windows] == [True] * 4 + [False] * 4
    assert windows[-1].label is None and windows[-1].agreement is None


def test_timeline_needs_frame_times(noise_video):
    with pytest.raises(VideoReadError, match="times"):
        timeline(noise_video)


def test_windows_below_min_confidence_are_uncertain():
    plain = timeline(CLIP, window=1.0, step=1.0)
    best = sorted(max(window.scores.values()) for window in plain)
    least = (best[2] + best[3]) / 2
    windows = timeline(CLIP, window=1.0, step=1.0, min_confidence=least)
    expected = [w.label if max(w.scores.values()) >= least else "uncertain" for w in plain]
    assert [window.label for window in windows] == expected and expected.count("uncertain") == 3
    assert [window.scores for window in windows] == [window.scores for window in plain]


@pytest.mark.parametrize("wrong", [{"window": 0}, {"step": -1.0}, {"min_confidence": 0}])
def test_timeline_wants_positive_lengths(wrong):
    with pytest.raises(ValueError, match="above 0"):
        timeline(CLIP, **wrong)


def test_windows_cover_the_video_and_none_is_empty():
    times = [index / 25 for index in range(100)]  # 4 seconds
    spans = module._windows(times, 4.0, window=1.0, step=0.5)
    assert [(start, end) for start, end, _ in spans] == [(s / 2, s / 2 + 1) for s in range(7)]
    assert all(len(frames) in (25, 26) for _, _, frames in spans)
    assert {frame for _, _, frames in spans for frame in frames} == set(range(100))
    # The last window has full length and ends with the video.
    assert module._windows(times, 4.0, window=1.0, step=0.7)[-1][:2] == (3.0, 4.0)
    # A video shorter than one window gives one window.
    assert module._windows(times, 4.0, window=10.0, step=1.0) == [(0.0, 4.0, range(0, 100))]
    assert module._windows([0.0], 0.04, window=1.0, step=1.0) == [(0.0, 0.04, range(0, 1))]
    # Variable frame rate: a window without new frames has the frame that is shown at its start.
    spans = module._windows([0.0, 0.1, 0.2, 5.0, 5.1], 5.14, window=0.5, step=0.5)
    assert all(len(frames) >= 1 for _, _, frames in spans)
    assert spans[4][2] == range(2, 3) and spans[-1][1] == 5.14


def test_twelve_frames_a_second_are_looked_at():
    times = [index / 25 for index in range(100)]
    places = frames_looked_at(times)
    assert len(places) == 48 and places[:7] == [0, 3, 5, 7, 9, 11, 13]  # the first in each twelfth of a second
    # Frames that come a few at a time give the same.
    parts = [(times[first : first + 7], times[first - 1] if first else None) for first in range(0, 100, 7)]
    one_by_one = [7 * number + place for number, part in enumerate(parts) for place in frames_looked_at(*part)]
    assert one_by_one == places
    assert frames_looked_at([0.0, 0.5, 7.0]) == [0, 1, 2]
    assert {answer.num_frames for answer in timeline(CLIP, window=1.0, step=10.0)} <= {12, 13}


def test_windows_keep_only_their_key_frame_in_memory():
    """A view would keep every frame of the video in memory."""
    for window in timeline(CLIP, window=4.0, step=8.0):
        assert window.key_frame.untyped_storage().nbytes() == window.key_frame.nbytes


def test_timeline_of_a_decoder_without_times_is_an_error_and_not_wrong(tmp_path):
    torchcodec = pytest.importorskip("torchcodec.decoders", exc_type=RuntimeError)
    try:
        decoder = torchcodec.VideoDecoder(str(CLIP))
    except RuntimeError:
        pytest.skip("torchcodec finds no FFmpeg")
    with pytest.raises(VideoReadError, match="times"):
        timeline(decoder)


def test_timeline_tells_its_progress():
    progress = []
    windows = timeline(CLIP, window=2.0, step=2.0, progress=lambda done, total: progress.append((done, total)))
    assert len(windows) == 16 and progress == [(8, 16), (16, 16)]


@pytest.mark.parametrize("window, step", [(8.0, 2.0), (6.0, 1.7), (6.0, 6.0)])
def test_windows_of_more_frames_than_the_model_looks_at(window, step):
    """Overlapping windows sample different frames."""
    windows = timeline(CLIP, window=window, step=step)
    assert {answer.num_frames for answer in windows} == {64}
    assert windows[-1].end_seconds == pytest.approx(30.6, abs=0.1)


@pytest.mark.parametrize("name", ["size_200x150", "size_200x300"])
def test_boxes_are_in_pixels_of_the_video_where_its_frames_change_their_size(tmp_path, name):
    for window in timeline(make(name, tmp_path), window=0.3, step=0.1, face="all"):
        assert window.frame_size == [400, 300] and window.box == pytest.approx(FACE_BOX, abs=15)


def test_cost_and_rows_do_not_grow_with_a_gap_of_hours_or_a_wrong_length(tmp_path):
    path, hours = tmp_path / "gap.mp4", 10 * 3600
    with av.open(str(CLIP)) as container, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
        for number, frame in zip(range(100), container.decode(video=0)):
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            picture.pts, picture.time_base = number + (25 * hours if number >= 50 else 0), Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    windows = timeline(path, window=2.0, step=20.0)
    starts = [window.start_seconds for window in windows]
    # The last frame before the gap is taken to be shown for ten minutes. The last window ends with the video.
    assert starts == [20.0 * n for n in range(31)] + [hours + 2]
    assert [window.num_frames for window in windows[1:-1]] == [1] * 30 and windows[-1].num_frames > 20
    plot_timeline(windows, tmp_path / "gap.svg")
    assert "<!-- no face -->" in (tmp_path / "gap.svg").read_text()
    spans = module._windows([0.0, 0.04], 1e15, window=2.0, step=0.5)
    assert len(spans) == 1201 and spans[-1][:2] == (600.0, 602.0)
