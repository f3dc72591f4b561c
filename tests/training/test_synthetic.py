# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import json
from collections import Counter

import av
import numpy as np
import pytest

from training.synthetic import HARD_KINDS, LABELS, make_truths, noise_matrix, plan_video, render_video
from training.synthetic.__main__ import main
from training.synthetic.dataset import TRUTH_COLUMNS, write_dataset
from training.synthetic.faces import AUS, POSE
from training.synthetic.labels import CONFUSIONS
from training.synthetic.videos import PROTOTYPES

SHORT = {"num_frames": (12, 16)}


def read_truth(folder):
    with (folder / "truth.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24").transpose(2, 0, 1) for frame in container.decode(stream)]
        return np.stack(frames), stream.codec_context.name, float(stream.average_rate), stream.pix_fmt


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def apex_of(label, start=0, **options):
    """The first video of a class from `start` on, without hard clips."""
    index = start
    while True:
        plan = plan_video(5, index, hard=0, **options)
        if plan.truth.true_label == label:
            return plan
        index += 1


# Frames


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


# Truth


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
            assert plan.aus[apex, AUS.index(unit)] > 0.5 * strength
        np.testing.assert_array_equal(plan.aus[~inside], plan.other_aus[~inside])


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
    speech = [AUS.index(unit) for unit in (18, 20, 25, 26, 43)]
    for plan in plans:
        assert plan.truth.key_start is None and plan.truth.key_end is None and not plan.key.any()
        expression = np.delete(plan.aus, speech, axis=1)
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
        strongest = max(plan.aus[apex, AUS.index(unit)] for unit in own)
        assert strongest > max((plan.aus[apex, AUS.index(unit)] for unit in foreign - {43, 26, 20}), default=0)
    assert blends == 120
    easy = [plan_video(0, index, hard=0) for index in range(70)]
    distracted = [plan for plan in easy if plan.truth.second_label and plan.truth.true_label != "neutral"]
    assert distracted
    quiet = [i for i, unit in enumerate(AUS) if unit not in (18, 20, 25, 26, 43)]
    for plan in distracted:
        assert plan.other_aus[:, quiet].max() < min(0.65, plan.aus[:, quiet].max())


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


# Matrix files


def identity_rows():
    return {label: {label: 1.0} for label in LABELS}


def test_a_json_matrix_goes_by_name(tmp_path):
    rows = identity_rows() | {"fear": {"surprise": 0.75, "fear": 0.25}}
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(dict(reversed(rows.items()))))
    matrix = noise_matrix(noise_type=path)
    assert matrix[LABELS.index("fear"), LABELS.index("surprise")] == 0.75
    assert np.trace(matrix) == 6.25
    truths = make_truths(280, 0, noise_type=str(path))
    assert {(t.true_label, t.given_label) for t in truths if t.is_noisy} == {("fear", "surprise")}
    assert np.mean([t.is_noisy for t in truths if t.true_label == "fear"]) == pytest.approx(0.75, abs=0.06)


def test_a_csv_matrix_goes_by_name(tmp_path):
    names = list(reversed(LABELS))
    lines = [",".join(["true", *names])]
    for true in LABELS:
        row = {true: 1.0} if true != "sad" else {"sad": 0.4, "neutral": 0.6}
        lines.append(",".join([true, *(str(row.get(given, 0)) for given in names)]))
    path = tmp_path / "noise.csv"
    path.write_text("\n".join(lines))
    expected = np.eye(7)
    expected[LABELS.index("sad")] = 0
    expected[LABELS.index("sad"), [LABELS.index("sad"), LABELS.index("neutral")]] = 0.4, 0.6
    np.testing.assert_allclose(noise_matrix(noise_type=path), expected)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fear": {"fear": 0.5, "surprise": 0.3}}, "row 'fear' adds up to 0.8, expected 1"),
        ({"fear": {"fear": 0.5, "suprise": 0.5}}, "unknown class 'suprise'"),
        ({"anger": {"anger": 1.0}}, r"unknown: \['anger'\]"),
        ({"fear": {"fear": 1.5, "sad": -0.5}}, "fear -> fear is 1.5"),
        ({"fear": {"fear": "much"}}, "fear -> fear is 'much'"),
        ({"fear": 1.0}, "expected"),
    ],
)
def test_a_wrong_matrix_is_refused(tmp_path, change, message):
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(identity_rows() | change))
    with pytest.raises(ValueError, match=message) as error:
        noise_matrix(noise_type=path)
    assert "noise.json" in str(error.value)


def test_a_matrix_with_a_missing_class_and_other_mistakes(tmp_path):
    path = tmp_path / "noise.json"
    rows = identity_rows()
    del rows["happy"]
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"missing: \['happy'\]"):
        noise_matrix(noise_type=path)
    path.write_text(json.dumps(identity_rows()))
    with pytest.raises(ValueError, match=r"noise is 0\.3, but the matrix file"):
        noise_matrix(0.3, path)
    with pytest.raises(FileNotFoundError, match="symetric"):
        noise_matrix(0.3, "symetric")
    table = tmp_path / "noise.csv"
    table.write_text("true," + ",".join(LABELS) + "\nfear,1,0\n")
    with pytest.raises(ValueError, match="row 'fear' has 2 values, the header 7 classes"):
        noise_matrix(noise_type=table)


# Files

DATASET = {"noise": 0.4, "hard": 0.3, "size": 32, "seed": 2, "progress": False, **SHORT}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    write_dataset(folder, 30, **DATASET)
    return folder


def test_layout_and_truth(dataset):
    rows = read_truth(dataset)
    assert tuple(rows[0]) == TRUTH_COLUMNS
    assert Counter(row["split"] for row in rows) == {"train": 21, "validation": 3, "test": 6}
    assert sorted(row["path"] for row in rows) == sorted(p for p in contents(dataset) if p.endswith(".mp4"))
    for row in rows:
        assert row["path"] == f"{row['split']}/{row['given_label']}/{row['sample_id']}.mp4"
        assert (row["is_noisy"] == "True") == (row["given_label"] != row["true_label"])
        assert (row["key_start"] == "") == (row["key_end"] == "") == (row["true_label"] == "neutral")
        if row["key_start"]:
            assert 0 <= int(row["key_start"]) < int(row["key_end"]) <= int(row["num_frames"])
    assert {row["split"] for row in rows if row["is_noisy"] == "True"} == {"train"}
    for split in ("train", "validation", "test"):
        assert {path.name for path in (dataset / split).iterdir()} == set(LABELS)


def test_files_hold_the_frames(dataset):
    for row in read_truth(dataset)[::7]:
        frames, truth = render_video(2, int(row["sample_id"]), 32, hard=0.3, **SHORT)
        decoded, codec, rate, pixel_format = decode(dataset / row["path"])
        assert decoded.shape == frames.shape == (int(row["num_frames"]), 3, 32, 32)
        assert (truth.true_label, str(truth.is_hard)) == (row["true_label"], row["is_hard"])
        assert codec in ("h264", "mpeg4") and rate == 25 and pixel_format == "yuv420p"
        # In brightness: yuv420p keeps colour at a quarter of the resolution.
        weights = np.array([0.299, 0.587, 0.114])[:, None, None]
        error = ((decoded - frames.astype(float)) * weights).sum(1)
        assert np.abs(error).mean((1, 2)).max() < 5
        assert np.abs(error.mean((1, 2))).max() < 2


def test_workers_change_nothing(dataset, tmp_path):
    write_dataset(tmp_path / "data", 30, workers=2, **DATASET)
    assert contents(tmp_path / "data") == contents(dataset)


def test_other_noise_changes_labels_and_folders_only(dataset, tmp_path):
    options = DATASET | {"noise": 0.5, "noise_type": "asymmetric", "noisy_splits": ["train", "validation"]}
    write_dataset(tmp_path / "data", 30, **options)
    before, after = read_truth(dataset), read_truth(tmp_path / "data")
    labels = ("given_label", "is_noisy", "path")
    for row, other in zip(before, after):
        assert {k: v for k, v in row.items() if k not in labels} == {k: v for k, v in other.items() if k not in labels}
        assert (dataset / row["path"]).read_bytes() == (tmp_path / "data" / other["path"]).read_bytes()
    assert any(row["path"] != other["path"] for row, other in zip(before, after))
    assert not any(row["is_noisy"] == "True" for row in after if row["split"] == "test")


def test_a_broken_off_run_goes_on_and_keeps_finished_files(dataset, tmp_path):
    folder = tmp_path / "data"
    write_dataset(folder, 30, **DATASET)
    paths = [folder / row["path"] for row in read_truth(folder)]
    for path in paths[4:]:
        path.unlink()
    (paths[4].with_name(paths[4].name + ".part")).write_bytes(b"half a file")
    (folder / "truth.csv").unlink()
    kept = [path.stat().st_mtime_ns for path in paths[:4]]
    write_dataset(folder, 30, **DATASET)
    assert [path.stat().st_mtime_ns for path in paths[:4]] == kept
    assert contents(folder) == contents(dataset)


def test_other_settings_are_not_mixed_in(dataset, tmp_path):
    before = contents(dataset)
    for change in ({"size": 48}, {"seed": 3}, {"noise": 0.2}, {"hard": 0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(change))} is .* there and .* asked for"):
            write_dataset(dataset, 30, **(DATASET | change))
    assert contents(dataset) == before
    (tmp_path / "mine.txt").write_text("something else")
    with pytest.raises(ValueError, match="is not empty and has no dataset.json"):
        write_dataset(tmp_path, 30, **DATASET)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"splits": (0.7, 0.1, 0.1)}, "adding up to 1"),
        ({"noisy_splits": ["test"]}, "the test set is clean"),
        ({"size": 33}, "size is 33"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_bad_settings_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "data", 30, **(DATASET | change))
    assert not (tmp_path / "data").exists()


def test_command_line(tmp_path, capsys):
    command = ["--out", str(tmp_path / "data"), "--videos", "14", "--noise", "0.3", "--size", "32"]
    command += ["--num_frames", "12", "14", "--splits", "0.5", "0", "0.5"]
    assert main(command) == 0
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    rows = read_truth(tmp_path / "data")
    flipped = np.mean([row["is_noisy"] == "True" for row in rows if row["split"] == "train"])
    assert table["train"] == ["7", *["1"] * 7, f"{flipped:.1%}", table["train"][-1]]
    assert table["test"][:9] == ["7", *["1"] * 7, "0.0%"] and table["all"][0] == "14"
    assert main([*command, "--seed", "1"]) == 2
    assert "seed is 0 there and 1 asked for" in capsys.readouterr().err
