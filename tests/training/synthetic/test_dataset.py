# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import csv
from collections import Counter

import av
import numpy as np
import pytest

from training.synthetic import LABELS, render_video
from training.synthetic.dataset import TRUTH_COLUMNS, write_dataset

SHORT = {"num_frames": (12, 16)}
DATASET = {"noise": 0.4, "hard": 0.3, "size": 32, "seed": 2, "progress": False, **SHORT}


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
    write_dataset(tmp_path / "data", 30, num_workers=2, **DATASET)
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
        ({"num_workers": 0}, "num_workers is 0"),
    ],
)
def test_bad_settings_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "data", 30, **(DATASET | change))
    assert not (tmp_path / "data").exists()
