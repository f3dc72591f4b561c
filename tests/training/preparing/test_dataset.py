# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import importlib.util
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor, VideoReadError
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.prepared_sets import ACTORS, LABELS, SETTINGS, clip_names, contents, hub_videos
from tests.helpers.ray_cluster import RayCluster
from training.data.labelled_videos import LabelledVideos
from training.data.video_shards import load_shards
from training.datasets import load
from training.prepare import main
from training.preparing.dataset import prepare_dataset


def test_every_clip_is_there_once_and_folds_are_configurations(frames_root, prepared):
    code = (
        "import datasets, json, sys; out = sys.argv[1]\n"
        "s = datasets.load_dataset(out, 'fold_2', split='train', streaming=True)\n"
        "s = s.cast_column('video', datasets.Video(decode=False))\n"
        "t = datasets.load_dataset(out, 'fold_2', split='test')\n"
        "print(json.dumps({'train': [r['sample_id'] for r in s], 'test': t['sample_id'][:], 'fold': t['fold'][:],\n"
        "  'names': s.features['label'].names, 'video': str(t.features['video']), 'columns': t.column_names,\n"
        "  'labels': t.features['label'].int2str(t['label'][:]), 'level': t['level'][:]}))"
    )
    run = subprocess.run([sys.executable, "-c", code, prepared], capture_output=True, text=True, check=True)
    loaded, expected = json.loads(run.stdout.splitlines()[-1]), load("crema_d", frames_root, fold=2)
    for split in ("train", "test"):
        assert sorted(loaded[split]) == sorted(expected[split]["sample_id"])
    assert loaded["names"] == LABELS and loaded["video"].startswith("Video(")
    assert loaded["fold"] == [2] * 4 and loaded["level"] == ["unspecified"] * 4
    codes = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy"}
    assert loaded["labels"] == [codes[name.split("_")[2]] for name in loaded["test"]]
    assert {"path", "content_hash", "num_frames", "actor", "acted_label"} <= set(loaded["columns"])
    shards = sorted((prepared / "data").glob("*.parquet"))
    ids = [name for shard in shards for name in pq.read_table(shard, columns=["sample_id"])["sample_id"].to_pylist()]
    assert sorted(ids) == sorted(clip_names()) and len(shards) == 3 + 2 + 3 + 2 + 2


def test_manifest_and_card_count(prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert {fold: sum(counts.values()) for fold, counts in manifest["counts"].items()} == {
        f"fold_{number}": count for number, count in enumerate(ACTORS.values(), 1)
    }
    assert manifest["counts"]["fold_4"] == {**dict.fromkeys(LABELS, 0), "anger": 1, "disgust": 1, "fear": 1}
    assert manifest["complete"] and manifest["skipped"] == [] and not manifest["settings"]["face_crop"]
    assert str(prepared.parents[1]) not in json.dumps(manifest)  # no path of this machine
    card = (prepared / "README.md").read_text()
    assert "| all | 5 | 4 | 6 | 3 | 4 |" in card and "91 actors of CREMA-D" in card


def test_the_number_of_workers_changes_no_byte(frames_root, prepared, tmp_path):
    prepare_dataset("crema_d", frames_root, tmp_path, num_workers=3, **SETTINGS)
    assert contents(tmp_path) == contents(prepared)


def test_a_bad_clip_is_named_and_the_others_go_on(frames_root, tmp_path, monkeypatch, caplog):
    root = tmp_path / "root"
    shutil.copytree(frames_root, root)
    bad = root / "face_aligned" / "1055_DFA_DIS_XX" / "00.png"
    bad.write_bytes(b"no image")
    with pytest.raises(VideoReadError, match=r"1055_DFA_DIS_XX.*--on-bad-video skip"):
        prepare_dataset("crema_d", root, tmp_path / "out", **SETTINGS)
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "data").iterdir()}
    assert len(finished) >= 3 + 2 + 3
    monkeypatch.setattr(logging.getLogger("training.preparing.dataset"), "propagate", True)
    manifest = prepare_dataset("crema_d", root, tmp_path / "out", on_bad_video="skip", **SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert [entry["path"] for entry in manifest["skipped"]] == ["face_aligned/1055_DFA_DIS_XX"]
    assert str(tmp_path) not in json.dumps(manifest)  # no path of this machine
    assert "image that cannot be read" in manifest["skipped"][0]["reason"] and "1055_DFA_DIS_XX" in caplog.text
    assert manifest["counts"]["fold_4"] == {**dict.fromkeys(LABELS, 0), "anger": 1, "fear": 1}
    videos = hub_videos(str(tmp_path / "out"), "test", "fold_4")
    assert sorted(videos.sample_ids) == ["1055_DFA_ANG_XX", "1055_DFA_FEA_XX"]


def prepare_and_die(kill_at: int, arguments: tuple, options: dict):
    """Prepares, and kills its process at a call of `fsync`. Each file has two: before and after it gets its name."""
    calls, fsync = 0, os.fsync

    def fsync_or_die(handle):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)

    os.fsync = fsync_or_die
    prepare_dataset(*arguments, **options)


def test_killed_at_any_moment_it_goes_on_without_redoing_or_doubling(frames_root, prepared, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.preparing.dataset"])
    arguments, options = ("crema_d", frames_root, tmp_path / "out"), {**SETTINGS, "num_workers": 2}

    def shards() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("data/*.parquet")}

    # Killed before and after the manifest is there, before and after the first shard, later, after the last of the
    # 12 shards, and before the complete manifest; and how many shards are there then.
    finished = {}
    for kill_at, expected in [(1, 0), (2, 0), (1, 0), (2, 1), (3, 2), (6, 5), (14, 12), (1, 12)]:
        process = context.Process(target=prepare_and_die, args=(kill_at, arguments, options))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        now = shards()
        assert {path: now[path] for path in finished} == finished  # what was finished is left alone
        assert len(now) == expected
        finished = now
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    prepare_dataset(*arguments, **options)
    assert shards() == finished and contents(tmp_path / "out") == contents(prepared)


def test_other_settings_or_another_source_are_refused(frames_root, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(frames_root, root)
    prepare_dataset("crema_d", root, tmp_path / "out", **SETTINGS)
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="num_frames was 8 and is now 4"):
        prepare_dataset("crema_d", root, tmp_path / "out", **{**SETTINGS, "num_frames": 4})
    with pytest.raises(ValueError, match="already|choose another --output-dir"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "notes.txt").write_text("mine")
        prepare_dataset("crema_d", root, tmp_path / "other", **SETTINGS)
    with open(root / "face_aligned" / clip_names()[0] / "03.png", "ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="dataset has changed"):
        prepare_dataset("crema_d", root, tmp_path / "out", **SETTINGS)
    assert contents(tmp_path / "out") == before


def test_odd_sizes_are_refused_before_anything_is_written(frames_root, tmp_path):
    with pytest.raises(ValueError, match="33 x 33.*even"):
        prepare_dataset("crema_d", frames_root, tmp_path / "out", size=33)
    assert not (tmp_path / "out").exists()


def test_a_split_of_which_nothing_can_be_read_is_an_error(tmp_path):
    (tmp_path / "own" / "train" / "happy").mkdir(parents=True)
    (tmp_path / "own" / "train" / "happy" / "a.mp4").write_text("text")
    with pytest.raises(ValueError, match="No clip of train can be read: .*a.mp4"):
        prepare_dataset("videofolder", tmp_path / "own", tmp_path / "out", on_bad_video="skip", **SETTINGS)


def test_any_dataset_of_the_datasets_library_can_be_prepared(tmp_path):
    rows = {"video": [str(DATA / "cap13_edit2.mp4")], "label": ["sad"]}
    (tmp_path / "raw").mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "raw" / "train-00000.parquet")
    prepare_dataset("hub", tmp_path / "raw", tmp_path / "out", face_crop=False, **SETTINGS)
    assert load("hub", tmp_path / "out")["train"]["sample_id"][0] == "train/0"


def test_a_set_says_whose_pseudo_labels_it_holds(guided, prepared, teacher, frames_root):
    stored = json.loads((guided / "manifest.json").read_text())["settings"]["frame_teacher"]
    assert (stored["name"], stored["labels"]) == ("my-teacher", ["surprise", "joy", "Anger", "sad"])
    assert str(teacher.parent) not in (guided / "manifest.json").read_text()
    assert "predictions of my-teacher for each frame" in (guided / "README.md").read_text()
    videos = hub_videos(str(guided), "train", "fold_1")
    assert videos.frame_teacher == load_shards(str(guided), "train", "fold_1").frame_teacher
    assert videos.frame_teacher == ("my-teacher", ["surprise", "joy", "Anger", "sad"])
    # The videos are those of a set without pseudo-labels, which says that it has none.
    for file in (prepared / "data").iterdir():
        plain, other = pq.read_table(file).to_pydict(), pq.read_table(guided / "data" / file.name).to_pydict()
        assert {**plain, "pseudo_labels": other["pseudo_labels"], "frame_teacher": other["frame_teacher"]} == other
    # In a folder of the same name, whose rows `datasets` would give for it.
    assert hub_videos(str(prepared), "train", "fold_1").frame_teacher is None
    with pytest.raises(ValueError, match="begun with other settings: frame_teacher was"):
        prepare_dataset("crema_d", frames_root, guided, **SETTINGS)


def test_a_set_prepared_from_one_with_pseudo_labels_has_none(guided, tmp_path):
    """It takes other frames, for which there are no pseudo-labels."""
    options = {"dataset_options": {"config": "fold_1"}, "face_crop": False}
    prepare_dataset("hub", guided, tmp_path, **{**SETTINGS, "num_frames": 3}, **options)
    assert LabelledVideos.from_dataset(load("hub", tmp_path)["test"], "test").frame_teacher is None


def test_faces_in_still_images_are_cropped(tmp_path):
    with open_video(DATA / "cap13_edit2.mp4") as video:
        for label, frame in zip(("happy", "neutral"), video.get_frames([100, 700])):
            (tmp_path / "photos" / label).mkdir(parents=True)
            Image.fromarray(frame.permute(1, 2, 0).numpy()).save(tmp_path / "photos" / label / "a.png")
    manifest = prepare_dataset("videofolder", tmp_path / "photos", tmp_path / "out", size=48)
    assert manifest["settings"]["face_crop"] and manifest["counts"]["train"] == {"happy": 1, "neutral": 1}
    videos = hub_videos(tmp_path / "out", "train", None)
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT, num_frames=1)
    for source, label in zip(videos.sources, videos.labels):
        with open_video(source) as video:
            crop = video.get_frames(range(len(video))).float()
        photo = processor(tmp_path / "photos" / label / "a.png", return_tensors="pt")["pixel_values_videos"][0]
        assert len(crop) == 1 and (crop - photo).abs().mean() < 3


needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")


def prepare_on_ray(cluster, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "training.prepare", *arguments, "--ray", cluster.address],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_ray
@pytest.mark.slow
def test_ray_writes_the_same_bytes_though_a_node_is_killed(frames_root, teacher, tmp_path):
    root, cut = tmp_path / "root", clip_names()[7]
    shutil.copytree(frames_root, root)
    (root / "face_aligned" / cut / "00.png").write_bytes(b"no image")
    arguments = ["--dataset", "crema_d", "--root", str(root), "--frame-teacher", str(teacher)]
    arguments += [f"--{name.replace('_', '-')}={value}" for name, value in {**SETTINGS, "shard_size": 1}.items()]
    skipping = [*arguments, "--on-bad-video", "skip"]
    main([*skipping, "--output-dir", str(tmp_path / "local")])
    out, folder = tmp_path / "ray", tempfile.mkdtemp(prefix="ray-")
    cluster = RayCluster(folder)
    try:
        driver = prepare_on_ray(cluster, *skipping, "--output-dir", str(out))
        while len(list(out.glob("data/*.parquet"))) < 4:
            assert driver.poll() is None, driver.stdout.read()[-4000:]
            time.sleep(0.02)
        cluster.kill_node()
        output, _ = driver.communicate()
        assert driver.returncode == 0, output[-4000:]
        assert contents(out) == contents(tmp_path / "local")
        assert f"1 clips cannot be read and are left out: face_aligned/{cut}" in output
        driver = prepare_on_ray(cluster, *arguments, "--output-dir", str(tmp_path / "strict"))
        output, _ = driver.communicate()
        assert driver.returncode == 1
        assert f"error: Cannot read video 'face_aligned/{cut}'" in output and "--on-bad-video skip" in output
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
