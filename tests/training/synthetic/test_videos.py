# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

from collections import Counter

import numpy as np
import pytest

from training.synthetic import HARD_KINDS, LABELS, make_truths, plan_video, render_video
from training.synthetic.appearance import ACTION_UNITS
from training.synthetic.faces import POSE
from training.synthetic.labels import CONFUSIONS
from training.synthetic.motion import PROTOTYPES

SHORT = {"num_frames": (12, 16)}


def apex_of(label, start=0, **options):
    """The first video of a class from `start` on, without hard clips."""
    index = start
    while True:
        plan = plan_video(5, index, hard=0, **options)
        if plan.truth.true_label == label:
            return plan
        index += 1


def test_the_same_seed_and_index_give_the_same_bytes():
    frames, truth = render_video(3, 4, size=48)
    again, truth_again = render_video(3, 4, size=48)
    assert frames.dtype == np.uint8 and frames.shape == (truth.num_frames, 3, 48, 48)
    assert frames.tobytes() == again.tobytes() and truth == truth_again


def test_seed_index_and_identity_matter():
    frames, _ = render_video(3, 4, size=32, **SHORT)
    for other in ((3, 5), (4, 4)):
        frames_other, _ = render_video(*other, size=32, **SHORT)
        # Another face before another background: most pixels of the first frame differ visibly.
        assert np.mean(np.abs(frames[0].astype(int) - frames_other[0]).max(0) > 20) > 0.5


def test_labels_do_not_move_a_pixel():
    frames, truth = render_video(1, 9, size=32)
    for options in ({"noise": 0.9}, {"noise": 0.9, "noise_type": "asymmetric"}, {"noise": 0.9, "noise_seed": 7}):
        noisy_frames, noisy = render_video(1, 9, size=32, **options)
        assert noisy_frames.tobytes() == frames.tobytes()
        assert (noisy.true_label, noisy.key_start, noisy.is_hard) == (truth.true_label, truth.key_start, truth.is_hard)


def test_a_clip_that_is_not_hard_does_not_depend_on_the_share_of_hard_ones():
    easy = [t for t in make_truths(40, 2, hard=0.5) if not t.is_hard]
    assert easy
    without = make_truths(40, 2, hard=0.0)
    assert all(without[t.index] == t for t in easy)
    index = easy[0].index
    assert render_video(2, index, 32, hard=0.5)[0].tobytes() == render_video(2, index, 32, hard=0.0)[0].tobytes()


def test_size_changes_the_resolution_only():
    small, _ = render_video(0, 1, size=32, **SHORT)
    large, _ = render_video(0, 1, size=64, **SHORT)
    shrunk = large.reshape(len(large), 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(shrunk - small).mean() < 6


def test_faces_have_skin_tones_over_the_full_range():
    tones = [plan_video(0, index).identity.skin.mean() for index in range(100)]
    assert min(tones) < 0.25 and max(tones) > 0.8
    assert max(np.diff(np.sort(tones))) < 0.1


def test_classes_are_balanced():
    counts = Counter(t.true_label for t in make_truths(70, 0))
    assert counts == {label: 10 for label in LABELS}
    orders = {tuple(t.true_label for t in make_truths(7, seed)) for seed in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.3])
@pytest.mark.parametrize("noise_type", ["symmetric", "asymmetric"])
def test_the_true_flip_rate_is_the_one_asked_for(noise, noise_type):
    truths = make_truths(700, 0, noise, noise_type)
    assert np.mean([t.is_noisy for t in truths]) == pytest.approx(noise, abs=0.01)
    assert all(t.is_noisy == (t.given_label != t.true_label) for t in truths)
    for label in LABELS:
        rate = np.mean([t.is_noisy for t in truths if t.true_label == label])
        assert rate == pytest.approx(noise, abs=0.03)


def test_symmetric_noise_goes_to_every_other_class_alike():
    flips = Counter((t.true_label, t.given_label) for t in make_truths(1050, 1, 0.6) if t.is_noisy)
    assert len(flips) == 42
    assert min(flips.values()) > 5 and max(flips.values()) < 28  # 15 expected


def test_asymmetric_noise_goes_to_allowed_classes_only():
    flips = Counter((t.true_label, t.given_label) for t in make_truths(700, 1, 0.4, "asymmetric") if t.is_noisy)
    assert set(flips) == {(true, given) for true, row in CONFUSIONS.items() for given in row}
    fear = flips["fear", "surprise"] / (flips["fear", "surprise"] + flips["fear", "sad"])
    assert fear == pytest.approx(0.8, abs=0.12)


def test_wrong_labels_do_not_follow_the_hard_clips():
    truths = make_truths(1050, 0, 0.3, hard=0.3)
    hard, easy = ([t.is_noisy for t in truths if t.is_hard == value] for value in (True, False))
    assert abs(np.mean(hard) - np.mean(easy)) < 0.06


def test_hard_share_and_kinds():
    truths = make_truths(700, 0, hard=0.3)
    assert np.mean([t.is_hard for t in truths]) == pytest.approx(0.3, abs=0.01)
    neutral = {t.hard_kind for t in truths if t.is_hard and t.true_label == "neutral"}
    assert neutral == {"distracted", "occluded", "turned"}
    assert {t.hard_kind for t in truths if t.is_hard and t.true_label != "neutral"} == set(HARD_KINDS)
    assert all(t.hard_kind == "" for t in truths if not t.is_hard)
    weak = [t.intensity for t in truths if t.hard_kind == "weak" and t.true_label != "neutral"]
    strong = [t.intensity for t in truths if not t.is_hard and t.true_label != "neutral"]
    assert max(weak) <= 0.5 and min(strong) >= 0.75


@pytest.mark.parametrize("num_frames", [(12, 30), (24, 96)])
def test_brief_clips_are_brief_and_others_are_not(num_frames):
    def filled(truths):
        return [(t.key_end - t.key_start) / t.num_frames for t in truths if t.true_label != "neutral"]

    brief = filled(make_truths(140, 0, hard=1, hard_kinds=["brief"], num_frames=num_frames))
    assert max(brief) < 0.3 and min(brief) > 0.05
    easy = filled(make_truths(140, 0, hard=0, num_frames=num_frames))
    assert min(easy) > 0.3 and max(easy) <= 0.85


def test_key_intervals_lie_anywhere():
    middles = [
        (t.key_start + t.key_end) / 2 / t.num_frames
        for t in make_truths(210, 0, hard=1, hard_kinds=["brief"])
        if t.true_label != "neutral"
    ]
    assert min(middles) < 0.2 and max(middles) > 0.8 and abs(np.mean(middles) - 0.5) < 0.1


@pytest.mark.parametrize("label", [label for label in LABELS if label != "neutral"])
def test_the_key_interval_holds_the_expression(label):
    for start in (0, 40):
        plan = apex_of(label, start)
        truth = plan.truth
        inside = np.zeros(truth.num_frames, bool)
        inside[truth.key_start : truth.key_end] = True
        assert np.array_equal(plan.key > 0, inside)
        assert plan.key.max() > 0.99
        apex = plan.key.argmax()
        for unit, strength in PROTOTYPES[label][0].items():
            assert plan.strengths[apex, ACTION_UNITS.index(unit)] > 0.5 * strength
        np.testing.assert_array_equal(plan.strengths[~inside], plan.other_strengths[~inside])


@pytest.mark.parametrize("label", [label for label in LABELS if label != "neutral"])
def test_the_expression_shows_in_the_frames_of_the_key_interval_only(label):
    plan = apex_of(label)
    shown, without = plan.render(64).astype(int), plan.without_key().render(64).astype(int)
    change = np.abs(shown - without).mean((1, 2, 3))
    assert change[plan.key == 0].max(initial=0) == 0
    assert change[plan.key > 0.9].min() > 0.5
    # It is the face that moves, not the brightness of the picture or the background.
    assert abs(shown.mean() - without.mean()) < 4
    apex = plan.key.argmax()
    assert (np.abs(shown[apex] - without[apex]).max(0) > 12).mean() < 0.5


def test_neutral_videos_show_at_most_brief_and_weak_distractions():
    plans = [plan_video(0, index, hard=0.5) for index in range(210)]
    plans = [plan for plan in plans if plan.truth.true_label == "neutral"]
    assert all(plan.truth.second_label for plan in plans if plan.truth.hard_kind == "distracted")
    assert not all(plan.truth.second_label for plan in plans)
    speech = [ACTION_UNITS.index(unit) for unit in (18, 20, 25, 26, 43)]
    for plan in plans:
        assert plan.truth.key_start is None and plan.truth.key_end is None and not plan.key.any()
        expression = np.delete(plan.strengths, speech, axis=1)
        assert expression.max() < 0.45
        assert (expression.max(1) > 0).mean() < 0.35


def test_second_expressions_are_weaker_than_the_key_expression():
    blends = 0
    for index in range(140):
        plan = plan_video(0, index, hard=1, hard_kinds=["blend"])
        if plan.truth.true_label == "neutral":
            continue
        blends += 1
        assert plan.truth.second_label not in ("", "neutral", plan.truth.true_label)
        apex = plan.key.argmax()
        own = PROTOTYPES[plan.truth.true_label][0]
        second = PROTOTYPES[plan.truth.second_label]
        foreign = set(second[0]) - set(own) - set(PROTOTYPES[plan.truth.true_label][1])
        strongest = max(plan.strengths[apex, ACTION_UNITS.index(unit)] for unit in own)
        assert strongest > max(
            (plan.strengths[apex, ACTION_UNITS.index(unit)] for unit in foreign - {43, 26, 20}), default=0
        )
    assert blends == 120
    easy = [plan_video(0, index, hard=0) for index in range(70)]
    distracted = [plan for plan in easy if plan.truth.second_label and plan.truth.true_label != "neutral"]
    assert distracted
    quiet = [i for i, unit in enumerate(ACTION_UNITS) if unit not in (18, 20, 25, 26, 43)]
    for plan in distracted:
        assert plan.other_strengths[:, quiet].max() < min(0.65, plan.strengths[:, quiet].max())


def test_turned_and_occluded_clips_hide_a_part():
    turned = [plan_video(0, index, hard=1, hard_kinds=["turned"]) for index in range(14)]
    assert min(np.abs(plan.pose[:, POSE.index("yaw")]).mean() for plan in turned) > 0.3
    occluded = plan_video(0, 0, hard=1, hard_kinds=["occluded"])
    frames = occluded.render(64).astype(int)
    occluded.scene.occluder = None
    hidden = (np.abs(frames - occluded.render(64)).max(1) > 20).mean()
    assert 0.03 < hidden < 0.6


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hard": 1.5}, "hard is 1.5"),
        ({"num_frames": (5, 9)}, "num_frames is"),
        ({"hard_kinds": ["blurred"]}, "hard_kinds is"),
        ({"noise": -0.1}, "noise is -0.1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        plan_video(0, 0, **options)
