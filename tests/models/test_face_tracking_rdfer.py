# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Faces are followed through moves, cuts and gaps, and cropped where they are."""

import math

import pytest
import torch
from torchvision.ops import box_iou
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvF

from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from modeling_rdfer.models.face_tracking_rdfer import FaceTrack, crop_faces, detect_ahead, track_faces
from tests.helpers.faces import FACE_SIDE, centres, furthest, paste, shrink, sides, turn_to_the_side

# Tracking ------------------------------------------------------------------------------------------------------------


def test_track_of_the_real_clip_stays_on_the_face(detector, clip):
    frames = clip[torch.linspace(0, len(clip) - 1, 64).round().long()]
    tracks = track_faces(frames, detector)
    assert len(tracks) == 1
    track = tracks[0]
    assert isinstance(track, FaceTrack)
    assert track.boxes.shape == (64, 4) and track.boxes.dtype == torch.float32
    assert track.detected.shape == (64,) and track.detected.dtype == torch.bool
    assert 8 <= int(track.detected.sum()) < 40  # a few frames, not all
    assert track.presence == 1
    assert 0.8 < track.score <= 1
    everywhere = torch.cat([boxes[:1] for boxes in detector.detect(frames)])
    distance = (centres(track.boxes) - centres(everywhere)).norm(dim=1) / sides(everywhere)
    assert float(distance.mean()) < 0.06 and float(distance.max()) < 0.25


@pytest.mark.parametrize("num_frames", range(1, 9))
def test_short_videos(detector, clip, num_frames):
    frames = clip[500 : 500 + 3 * num_frames : 3]
    (track,) = track_faces(frames, detector)
    assert track.boxes.shape == (num_frames, 4)
    assert track.detected.all() and track.presence == 1
    everywhere = torch.cat(detector.detect(frames))
    assert float(box_iou(track.boxes, everywhere[:, :4]).diagonal().min()) > 0.8


def test_the_box_of_a_still_face_is_steady(detector, clip):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(64, 3, 300, 400, generator=generator) * 12
    frames = (clip[10] + noise).clamp(0, 255).to(torch.uint8)
    (track,) = track_faces(frames, detector)
    raw = torch.cat(detector.detect(frames))
    raw_steps = (raw[1:, :4] - raw[:-1, :4]).abs()
    steps = (track.boxes[1:] - track.boxes[:-1]).abs()
    assert float(raw_steps.mean()) > 0.2  # there is something to smooth
    assert float(steps.mean()) < 0.1 * float(raw_steps.mean())
    assert float(track.boxes.amax(0).sub(track.boxes.amin(0)).max()) < 1.5


MOVES = {
    "straight": lambda t: (20 + 380 * t, 30 + 180 * t),
    "there and back": lambda t: (215 - 190 * math.cos(2 * math.pi * t), 110),
    "swinging": lambda t: (215 + 150 * math.sin(6 * math.pi * t), 110 + 60 * math.cos(4 * math.pi * t)),
    "stop and go": lambda t: (20 + 380 * min(1, max(0, 10 * (t - 0.45))), 110),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("num_frames", [12, 64])
def test_a_moving_face_stays_in_its_crop(detector, face, move, num_frames):
    places = [MOVES[move](t / (num_frames - 1)) for t in range(num_frames)]
    (track,) = track_faces(paste([face] * num_frames, places), detector)
    assert furthest(track.boxes, places) < 0.25  # the crop's margin is 0.15 of the face's side, beyond the box
    assert float(sides(track.boxes).min()) / FACE_SIDE > 0.8 and float(sides(track.boxes).max()) / FACE_SIDE < 1.2


def test_a_face_that_jumps_about_from_frame_to_frame_is_followed(detector, face):
    # few frames taken from a long video: no two neighbours overlap
    places = [(10, 10), (400, 200), (30, 220), (420, 20), (200, 100), (10, 200), (400, 10), (200, 220)]
    (track,) = track_faces(paste([face] * 8, places), detector)
    assert furthest(track.boxes, places) < 0.15
    assert track.presence == 1


def test_a_zoom_is_followed(detector, face):
    scales = [0.5 + 1.5 * t / 39 for t in range(40)]
    places = [(300 - 85 * scale, 200 - 85 * scale) for scale in scales]
    (track,) = track_faces(paste([shrink(face, scale) for scale in scales], places), detector)
    ratio = sides(track.boxes) / (FACE_SIDE * torch.tensor(scales))
    assert float(ratio.min()) > 0.8 and float(ratio.max()) < 1.25


@pytest.mark.parametrize(("model", "scale"), [("auto", 0.9), ("front", 0.9), ("back", 0.4)])
def test_the_larger_of_two_faces_comes_first(detector, face, model, scale):
    frames = paste([shrink(face, scale)] * 32, [(20, 250)] * 32)
    frames[:, :, 100:270, 350:520] = face
    tracks = track_faces(frames, detector, model=model)
    assert len(tracks) == 2
    assert furthest(tracks[0].boxes, [(350, 100)] * 32) < 0.1
    assert furthest(tracks[1].boxes, [(20, 250)] * 32, scale) < 0.15
    assert tracks[0].presence == tracks[1].presence == 1


def test_a_face_seen_throughout_beats_a_larger_one_seen_briefly(detector, face):
    frames = paste([shrink(face, 0.6)] * 64, [(20, 250)] * 64)
    frames[20:30, :, 100:270, 350:520] = face
    tracks = track_faces(frames, detector)
    assert len(tracks) == 2
    assert furthest(tracks[0].boxes, [(20, 250)] * 64, 0.6) < 0.15
    assert tracks[0].presence == 1
    assert tracks[1].presence == pytest.approx(10 / 64, abs=0.05)


@pytest.mark.parametrize(("model", "num_tracks"), [("back", 2), ("auto", 1)])
def test_two_faces_that_pass_each_other_keep_their_tracks(detector, face, model, num_tracks):
    upper = [(10 + 10 * t, 10) for t in range(48)]  # too small for the front net
    lower = [(420 - 8 * t, 220) for t in range(48)]
    frames = paste([shrink(face, 0.6)] * 48, upper)
    frames[:, :, 200:] = paste([face] * 48, lower)[:, :, 200:]
    tracks = track_faces(frames, detector, model)
    assert len(tracks) == num_tracks  # and no false alarms: the front net has some here
    assert furthest(tracks[0].boxes, lower) < 0.2
    assert num_tracks == 1 or furthest(tracks[1].boxes, upper, 0.6) < 0.25


def test_a_false_alarm_in_a_frame_without_the_face_does_not_move_the_box(detector, face):
    # frame 21 is one of the frames that are examined first
    places = [(400, 20) if t == 21 else (20, 200) for t in range(64)]
    (track,) = track_faces(paste([face] * 64, places), detector)
    assert furthest(track.boxes, [(20, 200)] * 64) < 0.1


@pytest.mark.parametrize("first", [5, 20, 32, 50])
def test_before_a_late_face_the_box_is_constant(detector, face, first):
    frames = paste([None] * first + [face] * (64 - first), [(150, 80)] * 64)
    (track,) = track_faces(frames, detector)
    assert furthest(track.boxes, [(150, 80)] * 64) < 0.1
    assert track.presence == pytest.approx((64 - first) / 64, abs=0.04)
    assert not track.detected[:first].any() and track.detected[first:].any()


def test_after_a_face_has_left_the_box_is_constant(detector, face):
    frames = paste([face] * 32 + [None] * 32, [(30 + 10 * t, 80) for t in range(32)] + [(0, 0)] * 32)
    (track,) = track_faces(frames, detector)
    assert furthest(track.boxes[:32], [(30 + 10 * t, 80) for t in range(32)]) < 0.2
    assert furthest(track.boxes[32:], [(340, 80)] * 32) < 0.2
    assert track.presence == pytest.approx(0.5, abs=0.04)


def test_a_face_that_is_hidden_for_a_while_stays_one_track(detector, face):
    frames = paste([None if 24 <= t < 40 else face for t in range(64)], [(150, 80)] * 64)
    (track,) = track_faces(frames, detector)
    assert furthest(track.boxes, [(150, 80)] * 64) < 0.1
    assert track.presence == pytest.approx(0.75, abs=0.05)


def test_a_face_that_is_hidden_while_another_is_seen_stays_one_track(detector, face):
    frames = paste([None if 24 <= t < 40 else face for t in range(64)], [(20, 20)] * 64)
    frames[:, :, 215:385, 400:570] = face
    tracks = track_faces(frames, detector)
    assert [track.presence for track in tracks] == [1, pytest.approx(0.75, abs=0.05)]
    assert furthest(tracks[0].boxes, [(400, 215)] * 64) < 0.1
    assert furthest(tracks[1].boxes, [(20, 20)] * 64) < 0.1


def test_no_more_detections_than_allowed(detector, face):
    places = [((t * 97) % 430, (t * 61) % 230) for t in range(64)]
    frames = paste([face] * 64, places)
    for most in (16, 20, 40):
        tracks = track_faces(frames, detector, max_detections=most)
        assert 8 < sum(track.detected for track in tracks).bool().sum() <= most


@pytest.mark.parametrize("cut", [1, 13, 31, 47, 62])
def test_the_box_jumps_exactly_at_a_hard_cut(detector, face, cut):
    places = [(20, 20)] * cut + [(400, 200)] * (64 - cut)
    (track,) = track_faces(paste([face] * 64, places), detector)
    assert furthest(track.boxes, places) < 0.1
    assert track.presence == 1


def test_alternating_shots_give_one_track(detector, face):
    places = [(20, 20) if t // 16 % 2 else (400, 200) for t in range(64)]
    (track,) = track_faces(paste([face] * 64, places), detector)
    assert furthest(track.boxes, places) < 0.1


def test_a_face_flashing_up_in_one_frame_is_no_track(detector, face):
    frames = paste([shrink(face, 0.8)] * 64, [(20, 200)] * 64)
    flash = 21  # one of the frames that are examined first
    frames[flash, :, 20:190, 400:570] = face
    assert len(detector.detect(frames[flash : flash + 1])[0]) == 2
    (track,) = track_faces(frames, detector)
    assert track.detected[flash]
    assert furthest(track.boxes, [(20, 200)] * 64, 0.8) < 0.1


@pytest.mark.parametrize("num_frames", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("kind", ["black", "white", "noise", "stripes"])
def test_a_video_without_a_face_has_no_track(detector, kind, num_frames):
    generator = torch.Generator().manual_seed(1)
    frames = {
        "black": torch.zeros(num_frames, 3, 120, 160, dtype=torch.uint8),
        "white": torch.full((num_frames, 3, 120, 160), 255, dtype=torch.uint8),
        "noise": torch.randint(0, 256, (num_frames, 3, 120, 160), dtype=torch.uint8, generator=generator),
        "stripes": (torch.arange(160) // 8 % 2 * 255).to(torch.uint8).expand(num_frames, 3, 120, 160),
    }[kind]
    assert track_faces(frames, detector) == []


def test_a_face_cut_by_the_border_keeps_its_centre(detector, face):
    places = [(-50, 100)] * 16
    (track,) = track_faces(paste([face] * 16, places), detector)
    assert float(track.boxes[:, 0].max()) < 5
    assert furthest(track.boxes, places) < 0.25


def test_small_faces_are_tracked_by_the_back_net(detector, face):
    scale = 0.35
    places = [(50 + 6 * t, 100 + 3 * t) for t in range(64)]
    (track,) = track_faces(paste([shrink(face, scale)] * 64, places), detector)
    assert furthest(track.boxes, places, scale) < 0.25
    assert track.presence == pytest.approx(1, abs=0.1)


def test_tracking_leaves_the_frames_alone_and_is_deterministic(detector, clip):
    frames = clip[::12]
    before = frames.clone()
    first, again = track_faces(frames, detector)[0], track_faces(frames, detector)[0]
    assert torch.equal(frames, before)
    assert torch.equal(first.boxes, again.boxes) and torch.equal(first.detected, again.detected)


@pytest.mark.parametrize("model", ["auto", "back"])
def test_detecting_ahead_leaves_little_to_do_and_changes_nothing(detector, clip, model, monkeypatch):
    frames = clip[::12]
    places = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0)).tolist()
    filled = torch.zeros_like(frames)

    def fill():
        for place in places:
            filled[place] = frames[place]
            yield place

    detections = detect_ahead(filled, fill(), detector, model)
    ahead = set(detections)
    expected = track_faces(frames, detector, model)[0]
    later, detect = [], RDFERFaceDetector.detect
    monkeypatch.setattr(
        RDFERFaceDetector,
        "detect",
        lambda self, frames, net, chunk, **turns: later.extend(chunk) or detect(self, frames, net, chunk, **turns),
    )
    track = track_faces(frames, detector, model, detections=detections)[0]
    assert torch.equal(track.boxes, expected.boxes) and torch.equal(track.detected, expected.detected)
    assert len(ahead) == 16 and not set(later) & ahead
    assert set(detections) == ahead | set(later)
    assert len(later) == track.examined.sum() - 16
    # If reading broke off, the other frames are examined later.
    part = detect_ahead(frames, range(40), detector, model)
    assert 0 < len(part) < 16
    assert torch.equal(track_faces(frames, detector, model, detections=part)[0].boxes, expected.boxes)


# Pose ----------------------------------------------------------------------------------------------------------------


def lean(frames, degrees):
    """Frames turned about their middle, clockwise."""
    return tvF.rotate(frames, -degrees, InterpolationMode.BILINEAR, fill=[90.0] * 3)


def count_turned(monkeypatch):
    """How many frames the detector sees turned from now on: a list that grows."""
    turned, detect = [], RDFERFaceDetector.detect

    def spy(self, frames, model="front", indices=None, **options):
        turned.extend(indices if options.get("quarter_turns") else [])
        return detect(self, frames, model, indices, **options)

    monkeypatch.setattr(RDFERFaceDetector, "detect", spy)
    return turned


@pytest.mark.parametrize("degrees", [-45, -30, -15, 15, 30, 45])
def test_a_leaning_face_is_upright_in_its_crops(detector, clip, degrees, monkeypatch):
    upright = clip[::48]
    turned = count_turned(monkeypatch)
    places = []
    for frames, expected in ((upright, 0), (lean(upright, degrees), degrees)):
        (track,) = track_faces(frames, detector)
        assert track.rolls.shape == (len(frames),) and track.rolls.dtype == torch.float32
        assert float((track.rolls.rad2deg() - expected).abs().max()) < 9
        crops = crop_faces(frames, track.boxes, track.rolls)
        places.append(torch.cat([boxes[:1, 5:] for boxes in detector.detect(crops)]))
    assert not turned  # a normal video costs no more
    # Eyes and nose are where they are in the upright video's crops: the size is right, too.
    assert float((places[1] - places[0]).abs().max()) < 14
    assert float((places[1] - places[0]).mean(0).abs().max()) < 9
    right_eye, left_eye = places[1][:, :2], places[1][:, 2:4]
    assert float(torch.atan2(*(left_eye - right_eye).flip(1).T).rad2deg().abs().max()) < 12


def test_a_face_that_rocks_is_followed_without_jumps(detector, face):
    frames = paste([face] * 64, [(200, 100)] * 64)
    degrees = [40 * math.sin(2 * math.pi * t / 63) for t in range(64)]
    frames = torch.cat([lean(frame[None], angle) for frame, angle in zip(frames, degrees)])
    (track,) = track_faces(frames, detector)
    assert float((track.rolls.rad2deg() - torch.tensor(degrees)).abs().max()) < 10
    assert float(track.rolls.rad2deg().diff().abs().max()) < 8  # the face itself: up to 4


@pytest.mark.parametrize("scale", [0.9, 0.35])
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_video_that_lies_or_stands_on_its_head_gives_upright_crops(detector, face, scale, quarter_turns):
    upright = paste([shrink(face, scale)] * 24, [(100 + 5 * t, 150) for t in range(24)])
    (expected,) = track_faces(upright, detector)
    frames = torch.rot90(upright, quarter_turns, (2, 3)).contiguous()
    (track,) = track_faces(frames, detector)
    # Boxes are in the frames' own pixels: turned back they are the upright video's.
    x1, y1, x2, y2 = track.boxes.T
    back = {
        1: (600 - y2, x1, 600 - y1, x2),
        2: (600 - x2, 400 - y2, 600 - x1, 400 - y1),
        3: (y1, 400 - x2, y2, 400 - x1),
    }
    assert float(box_iou(torch.stack(back[quarter_turns], 1), expected.boxes).diagonal().min()) > 0.8
    crops = crop_faces(frames, track.boxes, track.rolls).float()
    wanted = crop_faces(upright, expected.boxes, expected.rolls).float()
    assert float((crops - wanted).abs().mean()) < 8 < float((crops.flip(-1) - wanted).abs().mean())


def test_an_upright_face_beside_one_on_its_head_is_not_turned(detector, face):
    frames = paste([face] * 16, [(20, 120)] * 16)
    frames[:, :, 100:270, 400:570] = torch.rot90(face, 2, (1, 2))
    tracks = track_faces(frames, detector)
    assert furthest(tracks[0].boxes, [(20, 120)] * 16) < 0.1
    assert float(tracks[0].rolls.abs().max()) < 0.15


def test_yaw_is_the_turn_to_the_side(detector, face):
    yaws = []
    for degrees in (-80, -30, 0, 30, 80):
        (track,) = track_faces(paste([turn_to_the_side(face, degrees)] * 4, [(200, 100)] * 4), detector)
        assert track.yaws.shape == (4,) and track.yaws.dtype == torch.float32
        yaws.append(float(track.yaws.mean().rad2deg()))
    assert yaws == sorted(yaws)
    assert yaws[0] < -60 and -45 < yaws[1] < -10 and abs(yaws[2]) < 15 and 10 < yaws[3] < 45 and yaws[4] > 60


@pytest.mark.parametrize(
    "wrong", [{"num_detections": 0}, {"max_detections": 4}, {"steadiness": -1}, {"model": "side"}]
)
def test_wrong_tracking_settings_are_refused(detector, reference_frames, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        track_faces(reference_frames, detector, **wrong)


# Cropping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(2, 3, 8, 8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
    ],
    ids=["float", "one frame", "one channel", "empty"],
)
def test_wrong_frames_are_refused_with_what_was_found(detector, frames):
    for call in (
        lambda: detector.detect(frames),
        lambda: track_faces(frames, detector),
        lambda: crop_faces(frames, torch.tensor([[0.0, 0, 4, 4]] * len(frames)), torch.zeros(len(frames))),
    ):
        with pytest.raises(ValueError, match=r"uint8 of shape \(T, 3, H, W\)") as error:
            call()
        assert str(tuple(frames.shape)) in str(error.value)


def test_crops_are_the_reference_crops(reference, reference_frames):
    crops = crop_faces(reference_frames, torch.from_numpy(reference["face_boxes_xyxy"]), torch.zeros(12))
    assert crops.shape == (12, 3, 112, 112) and crops.dtype == torch.uint8
    difference = (crops.permute(0, 2, 3, 1).numpy().astype(int) - reference["crops"]).__abs__()
    assert difference.mean(axis=(1, 2, 3)).max() < 3


def test_crop_geometry():
    # a picture whose red is the column and whose green is the row
    ramp = torch.stack(
        [torch.arange(200).expand(200, 200), torch.arange(200)[:, None].expand(200, 200), torch.zeros(200, 200)]
    ).to(torch.uint8)[None]
    crop = crop_faces(ramp, torch.tensor([[80.0, 90, 120, 110]]), torch.zeros(1), size=(52, 26))[0].float()
    # side 1.3 * 40 = 52 around (100, 100 - 0.12 * 20): columns 74..125, rows 71.6..122.6
    assert crop.shape == (3, 52, 26)
    assert crop[0, 0, [0, 25]].tolist() == pytest.approx([74.5, 124.5], abs=1)
    assert crop[1, [0, 51], 0].tolist() == pytest.approx([71.6, 122.6], abs=1)
    box = torch.tensor([[80.0, 90, 120, 110]])
    wide = crop_faces(ramp, box, torch.zeros(1), size=(20, 20), margin=1.0, shift_up=0.0)[0].float()
    assert wide[0, 0, [0, 19]].tolist() == pytest.approx([80.5, 118.5], abs=1)
    assert wide[1, [0, 19], 0].tolist() == pytest.approx([80.5, 118.5], abs=1)


@pytest.mark.parametrize("box", [(-60.0, 20, 60, 140), (150.0, 100, 260, 210), (-500.0, -500, -400, -400)])
@pytest.mark.parametrize("roll", [0.0, 0.7])
def test_outside_the_frame_the_border_is_repeated(box, roll):
    roll = torch.tensor([roll])
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 10, 11), dtype=torch.uint8, generator=generator)
    frame = tvF.resize(coarse, [200, 220], antialias=True)
    crop = crop_faces(frame, torch.tensor([box]), roll, size=(64, 64))
    margin = 700
    padded = torch.nn.functional.pad(frame.float(), (margin,) * 4, mode="replicate").to(torch.uint8)
    expected = crop_faces(padded, torch.tensor([box]) + margin, roll, size=(64, 64))
    # The outermost pixels of a reduced frame are means over a few of its own.
    assert float((crop.float() - expected.float()).abs().max()) < 12
    assert float((crop.float() - expected.float()).abs().mean()) < 1.5


@pytest.mark.parametrize("degrees", [-150, -90, -20, 20, 90, 180])
def test_a_turned_square_is_cut_out_of_the_frame(degrees):
    # a picture whose red is the column and whose green is the row
    column, row = torch.arange(200).expand(200, 200), torch.arange(200)[:, None].expand(200, 200)
    ramp = torch.stack([column, row, torch.zeros(200, 200)]).to(torch.uint8)[None]
    roll = torch.tensor([math.radians(degrees)])
    crop = crop_faces(ramp, torch.tensor([[80.0, 80, 120, 120]]), roll, size=(52, 52))[0].float()
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # pixel (10, 40) of the crop is 14.5 right of its middle and 15.5 above; the middle is 0.12 * 40 above the box's
    scale = 1 + 0.25 * math.sin(2 * math.radians(degrees)) ** 2
    across, down = 14.5 * scale, -15.5 * scale - 4.8
    assert float(crop[0, 10, 40]) == pytest.approx(99.5 + cos * across - sin * down, abs=1)
    assert float(crop[1, 10, 40]) == pytest.approx(99.5 + sin * across + cos * down, abs=1)


@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_a_crop_that_is_reduced_has_no_moire(roll):
    stripes = (torch.arange(600) % 2 * 255).to(torch.uint8).expand(1, 3, 600, 600)
    crop = crop_faces(stripes, torch.tensor([[200.0, 200, 400, 400]]), torch.tensor([roll]), size=(48, 48))
    assert float(crop.float().std()) < 8


def test_each_frame_gets_its_own_box(reference_frames):
    boxes = torch.tensor([[10.0 * i, 5.0 * i, 10.0 * i + 60, 5.0 * i + 50 + i] for i in range(12)])
    rolls = torch.linspace(-3, 3, 12)
    crops = crop_faces(reference_frames, boxes, rolls)
    for i in range(12):
        own = slice(i, i + 1)
        assert torch.equal(crops[own], crop_faces(reference_frames[own], boxes[own], rolls[own]))


def test_a_frame_of_one_pixel_is_cropped():
    frames = torch.full((2, 3, 1, 1), 77, dtype=torch.uint8)
    assert (crop_faces(frames, torch.tensor([[0.0, 0, 1, 1], [0.2, 0.2, 0.3, 0.3]]), torch.ones(2)) == 77).all()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(1, 4), r"shape \(12, 4\)"),
        (torch.zeros(12, 5), r"shape \(12, 4\)"),
        (torch.zeros(12, 4), "x1 < x2"),
        (torch.full((12, 4), torch.nan), "finite"),
    ],
)
def test_wrong_boxes_are_refused(reference_frames, boxes, message):
    with pytest.raises(ValueError, match=message):
        crop_faces(reference_frames, boxes, torch.zeros(12))


@pytest.mark.parametrize("rolls", [torch.zeros(11), torch.full((12,), torch.nan)])
def test_wrong_rolls_are_refused(reference, reference_frames, rolls):
    with pytest.raises(ValueError, match="12 finite angles"):
        crop_faces(reference_frames, torch.from_numpy(reference["face_boxes_xyxy"]), rolls)


def test_the_face_stays_in_place_in_the_crops_of_a_moving_face(detector, face):
    places = [(20 + 6 * t, 30 + 3 * t) for t in range(64)]
    frames = paste([face] * 64, places)
    (track,) = track_faces(frames, detector)
    crops = crop_faces(frames, track.boxes, track.rolls).float()
    # inner part of the crop: the same face in all of them, up to the smoothing's lag
    inner = crops[:, :, 30:90, 25:87]
    (first,) = track_faces(frames[:1], detector)
    unmoved = crop_faces(frames, first.boxes.expand(64, 4), first.rolls.expand(64)).float()[:, :, 30:90, 25:87]
    assert float((inner - inner[32]).abs().mean()) < 0.4 * float((unmoved - unmoved[0]).abs().mean())
