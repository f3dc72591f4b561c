# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Preparing datasets, and reading and streaming what was prepared; the datasets are replicas in CREMA-D's layout."""

import functools
import http.server
import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from modeling_rdfer import (
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
    VideoReadError,
)
from modeling_rdfer.models.loss_aen import UNKNOWN
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.trainer import trainer as trainer_module
from modeling_rdfer.trainer.collator import collate_videos
from modeling_rdfer.trainer.pseudo_labels import load_teacher
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.training_job import make_trainer
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos, content_hash
from training.data.streaming import StreamingVideoDataset, load_shards
from training.data.video_dataset import VideoDataset
from training.datasets import load
from training.prepare import main
from training.preparing.dataset import prepare_dataset
from training.preparing.encoding import encode_video
from training.train import main as run_training

LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
LABEL2ID = {name: number for number, name in enumerate(LABELS)}
ACTORS = {1001: 5, 1019: 4, 1037: 6, 1055: 3, 1073: 4}  # with their number of clips; one in each fold
PROCESSOR = RDFERVideoProcessor(num_frames=8, size={"height": 32, "width": 32})
SETTINGS = {"size": 32, "num_frames": 8, "shard_size": 2}


def hub_videos(root, split: str, config: str) -> LabelledVideos:
    return LabelledVideos.from_dataset(load("hub", root, config=config)[split], split)


def clip_names(actors=ACTORS) -> list[str]:
    codes = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    return [f"{actor}_DFA_{code}_XX" for actor, count in actors.items() for code in codes[:count]]


@pytest.fixture(scope="session")
def frames_root(tmp_path_factory) -> Path:
    """Folders of frames: smooth, so that they survive compression, and different in each clip and frame."""
    root = tmp_path_factory.mktemp("frames") / "face_aligned"
    ramp = np.linspace(0, 120, 48)
    for clip, name in enumerate(clip_names()):
        (root / name).mkdir(parents=True)
        for number in range(12):
            base = np.add.outer(ramp * (clip % 4) / 3, ramp) / 2
            frame = np.stack([base + 4 * clip, base[::-1] + 8 * number, base.T + 60], -1)
            Image.fromarray(frame.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:02}.png")
    return root.parent


@pytest.fixture(scope="session")
def prepared(frames_root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare_dataset("crema_d", frames_root, out, num_workers=1, **SETTINGS)
    return out


@pytest.fixture(scope="session")
def scenes_root(tmp_path_factory) -> Path:
    """Video files of whole scenes: short cuts of a real clip."""
    root = tmp_path_factory.mktemp("scenes")
    (root / "VideoMP4").mkdir()
    with open_video(DATA / "cap13_edit2.mp4") as video:
        for number, name in enumerate(clip_names(dict.fromkeys(ACTORS, 1))):
            frames = video.get_frames(range(100 * number, 100 * number + 40))
            (root / "VideoMP4" / f"{name}.mp4").write_bytes(encode_video(frames))
    return root


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------------------------------------------------------
# What is written
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.decoding
def test_training_sees_in_the_prepared_set_what_it_sees_in_the_originals(scenes_root, tmp_path, clip_path):
    arguments = ["--dataset", "crema_d", "--root", str(scenes_root), "--output-dir", str(tmp_path)]
    main([*arguments, "--shard-size", "4", "--num-frames", "16"])
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT, num_frames=16)
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT).eval()
    assert processor.do_face_crop  # so it must know that the prepared ones are crops
    originals = VideoDataset(
        LabelledVideos.from_dataset(load("crema_d", scenes_root)["train"], "train"), LABEL2ID, processor
    )
    videos = check_videos(hub_videos(str(tmp_path), "train", "fold_1"))
    read = VideoDataset(videos, LABEL2ID, processor)
    assert sorted(videos.sample_ids) == sorted(originals.videos.sample_ids) and len(read) == 4
    for number, sample_id in enumerate(videos.sample_ids):
        original = originals[originals.videos.sample_ids.index(sample_id)]
        example = read[number]
        assert example["labels"] == original["labels"]
        assert torch.equal(example["frame_mask"], original["frame_mask"])
        pixels, expected = example["pixel_values_videos"], original["pixel_values_videos"]
        assert (pixels.float() - expected.float()).abs().mean() < 4
        with torch.no_grad():
            probabilities = [model(frames[None]).logits.softmax(-1) for frames in (pixels, expected)]
        assert (probabilities[0] - probabilities[1]).abs().max() < 0.05
        file = scenes_root / videos.columns["path"][number]
        assert videos.columns["content_hash"][number] == content_hash(file)
        assert videos.columns["num_frames"][number] == 40


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


def test_one_fold_by_itself_and_datasets_without_folds(frames_root, tmp_path):
    main(
        [
            "--dataset",
            "crema_d",
            "--root",
            str(frames_root),
            "--output-dir",
            str(tmp_path),
            "--dataset-options",
            "fold=3",
        ]
        + ["--size", "16", "--num-frames", "2"]
    )
    loaded = datasets.load_dataset(str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 16, "test": 6}
    with pytest.raises(SystemExit, match=r"fold=9: expected one of \[1, 2, 3, 4, 5\]"):
        main(["--dataset=crema_d", f"--root={frames_root}", "--output-dir=x", "--dataset-options=fold=9"])


def test_folds_that_overlap_are_refused(frames_root, tmp_path):
    # DFEW's folds come from lists: the fourth tests a clip of the first.
    for number in range(10):
        shutil.copytree(frames_root / "face_aligned" / clip_names()[0], tmp_path / f"clip_224x224/{number:05}")
    for fold in range(1, 6):
        test = [2 * fold - 2, 2 * fold - 1] if fold != 4 else [0, 7]
        for split, rows in {"test": test, "train": [row for row in range(10) if row not in test]}.items():
            lines = "".join(f"{row},{row % 7}\n" for row in rows)
            (tmp_path / f"{split}_set_{fold}.csv").write_text("video_name,label\n" + lines)
    with pytest.raises(ValueError, match=r"1 clips are test clips of more than one fold: 00000.*--fold 1"):
        prepare_dataset("dfew", tmp_path, tmp_path / "out")


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


def test_killed_at_any_moment_it_goes_on_without_redoing_or_doubling(frames_root, prepared, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.preparing.dataset"])
    arguments = ("crema_d", frames_root, tmp_path / "out")
    finished, kills = {}, 0

    def shards() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("data/*.parquet")}

    for moment in range(20):
        process = context.Process(target=prepare_dataset, args=arguments, kwargs={**SETTINGS, "num_workers": 2})
        process.start()
        # Once before anything is there, then when one, two, or three more shards are, at once or a little later.
        wanted = len(finished) + (moment % 4 if finished or moment else 0)
        while process.is_alive() and (len(shards()) < wanted or not (tmp_path / "out" / "manifest.json").exists()):
            time.sleep(0.001)
        time.sleep(0.01 * (moment % 3))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        now = shards()
        assert {path: now[path] for path in finished} == finished  # what was finished is left alone
        finished = now
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert process.exitcode == 0 and kills >= 3
    assert contents(tmp_path / "out") == contents(prepared)


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


# ---------------------------------------------------------------------------------------------------------------------
# Reading and streaming
# ---------------------------------------------------------------------------------------------------------------------
def load_batches(dataset, workers: int) -> list[dict]:
    return list(torch.utils.data.DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=collate_videos))


def assert_equal(first: list[dict], second: list[dict]):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["files", "prepared"])
def test_workers_change_no_batch(frames_root, prepared, kind):
    videos = LabelledVideos.from_dataset(load("crema_d", frames_root)["train"], "train")
    if kind == "prepared":
        videos = hub_videos(str(prepared), "train", "fold_1")
    dataset = VideoDataset(videos, LABEL2ID, PROCESSOR, training=True, seed=3)
    dataset.set_epoch(2)
    assert_equal(load_batches(dataset, 0), load_batches(dataset, 2))


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Sends the bytes asked for, as storage does, and counts them; or whole files, as Python's server does."""

    ranges, sent = True, 0

    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not (self.ranges and wanted and path.is_file()):
            return super().send_head()
        start, stop = int(wanted[1]), int(wanted[2] or path.stat().st_size - 1) + 1
        data = path.read_bytes()[start:stop]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        RangeHandler.sent += len(data)
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture(params=["local", "memory", "http", "http without ranges"])
def location(prepared, request, monkeypatch):
    """The prepared set where it can be read from."""
    if request.param == "local":
        yield str(prepared)
    elif request.param == "memory":
        system = fsspec.filesystem("memory")
        system.put(str(prepared), "/prepared", recursive=True)
        yield "memory://prepared"
        system.rm("/prepared", recursive=True)
    else:
        monkeypatch.setattr(RangeHandler, "ranges", request.param == "http")
        handler = functools.partial(RangeHandler, directory=str(prepared))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()


def test_streams_give_the_examples_that_files_give(location, prepared):
    dataset = VideoDataset(hub_videos(str(prepared), "train", "fold_1"), LABEL2ID, PROCESSOR, training=True)
    shards = load_shards(location, "train", "fold_1")
    stream = StreamingVideoDataset(shards, LABEL2ID, PROCESSOR, training=True, buffer_size=4)
    assert stream.labels == dataset.labels and stream.sample_columns == dataset.sample_columns
    assert len(stream) == len(dataset) == 17
    seen = {}
    for workers in (0, 2):
        stream.set_epoch(1)
        dataset.set_epoch(1)
        examples = list(torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers))
        seen[workers] = [example["sample_index"] for example in examples]
        assert sorted(seen[workers]) == list(range(17))
        for example in examples:
            expected = dataset[example["sample_index"]]
            assert torch.equal(example["pixel_values_videos"], expected["pixel_values_videos"])
            assert torch.equal(example["clip_jitter"], expected["clip_jitter"])
            assert example["labels"] == expected["labels"]


def test_labels_are_read_without_the_videos(tmp_path, prepared, monkeypatch):
    # Videos that outweigh everything else.
    table = pq.read_table(prepared / "data" / "fold_1-00000.parquet")
    rows = table.to_pylist()
    for row in rows:
        row["video"]["bytes"] = os.urandom(400_000)
    manifest = json.loads((prepared / "manifest.json").read_text())
    manifest["shards"] = [{"file": "big.parquet", "group": "fold_1", "rows": len(rows)}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    pq.write_table(table.from_pylist(rows, schema=table.schema), tmp_path / "big.parquet", use_dictionary=False)
    monkeypatch.setattr(RangeHandler, "sent", 0)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(RangeHandler, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shards = load_shards(f"http://127.0.0.1:{server.server_port}", "test", "fold_1")
    server.shutdown()
    server.server_close()
    assert shards.rows == [len(rows)] and 0 < RangeHandler.sent < 200_000


def test_what_cannot_be_streamed_is_said(prepared, tmp_path):
    with pytest.raises(ValueError, match="fold_1.*not 'fold_7'"):
        load_shards(f"file://{prepared}", "train", "fold_7")
    with pytest.raises(ValueError, match=r"splits \['train', 'test'\], not 'dev'"):
        load_shards(str(prepared), "dev", "fold_1")
    (tmp_path / "data").mkdir()
    shutil.copy(DATA / "cap13_edit2.mp4", tmp_path / "data" / "a.mp4")
    with pytest.raises(ValueError, match="Only Parquet files are streamed.*a.mp4"):
        load_shards(str(tmp_path), "train")


def make_stream(prepared, **options) -> StreamingVideoDataset:
    return StreamingVideoDataset(
        load_shards(str(prepared), "train", "fold_1"), LABEL2ID, PROCESSOR, training=True, buffer_size=3, **options
    )


def order(stream, epoch) -> list[int]:
    stream.set_epoch(epoch)
    return [index for index, _ in stream.read(stream.pieces(epoch, 0, 1, 1)[0], [stream.seed, epoch, 0])]


def test_the_order_is_keyed_by_seed_and_epoch(prepared):
    stream = make_stream(prepared)
    first = order(stream, 0)
    assert first == order(make_stream(prepared), 0) and sorted(first) == list(range(17))
    assert len({tuple(order(stream, epoch)) for epoch in range(4)}) == 4
    assert first != order(make_stream(prepared, seed=1), 0)
    # A shard has at most two rows: the buffer mixes those of different shards.
    shard = np.repeat(np.arange(len(stream.videos.rows)), stream.videos.rows)[first]
    assert (shard[1:] == shard[:-1]).sum() < 4


@pytest.mark.parametrize("world_size, workers", [(1, 0), (2, 0), (3, 0), (9, 0), (17, 0), (1, 3), (2, 2)])
def test_processes_get_equally_many_batches_and_every_sample_once(prepared, world_size, workers, monkeypatch):
    monkeypatch.setattr(
        StreamingVideoDataset, "make_example", lambda self, video, pseudo_labels, index: {"index": index}
    )
    stream = make_stream(prepared)
    shard = np.repeat(np.arange(len(stream.videos.rows)), stream.videos.rows)
    lengths = set()
    for epoch in range(3):
        stream.set_epoch(epoch)
        seen, touched = [], []
        for rank in range(world_size):
            batches = stream.batches(4, list, rank, world_size, workers)
            loaded = list(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=workers))
            lengths |= {len(batches), len(loaded)}
            assert all(1 <= len(batch) <= 4 for batch in loaded)
            mine = [example["index"] for batch in loaded for example in batch]
            seen += mine
            touched.append(set(shard[mine]))
        assert sorted(seen) == list(range(17))
        if world_size <= len(stream.videos.rows):  # whole shards, then
            assert sum(map(len, touched)) == len(stream.videos.rows)
    assert len(lengths) == 1


def test_a_process_with_fewer_videos_than_batches_repeats_some(prepared, monkeypatch):
    monkeypatch.setattr(StreamingVideoDataset, "make_example", lambda self, video, pseudo_labels, index: index)
    loaded = [list(make_stream(prepared).batches(1, list, rank, 3)) for rank in range(3)]
    assert [len(batches) for batches in loaded] == [6, 6, 6]
    seen = [index for batches in loaded for (index,) in batches]
    assert set(seen) == set(range(17)) and sum(len(set(map(tuple, batches))) for batches in loaded) == 17


def test_more_processes_than_videos_are_refused(prepared):
    with pytest.raises(ValueError, match="17 videos are too few for 18 processes"):
        make_stream(prepared).batches(4, collate_videos, 0, 18)


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------
def train(prepared, output_dir, resume=None, epochs=2, workers=0, **options):
    trainer = make_trainer(
        output_dir,
        make_stream(prepared, num_clips=2),
        labels=LABELS,
        num_train_epochs=epochs,
        dataloader_num_workers=workers,
        agreement_warmup_epochs=1,
        **options,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_trainer_learns_from_a_stream_and_resumes_in_the_middle_of_an_epoch(prepared, tmp_path, monkeypatch):
    options = {"save_strategy": "steps", "save_steps": 7}
    plain = train(prepared, tmp_path / "plain", **options)
    assert plain.state.global_step == 2 * 5
    table = pq.read_table(tmp_path / "plain" / SAMPLE_TABLE_NAME).to_pydict()
    expected = hub_videos(str(prepared), "train", "fold_1")
    for name in ("path", "content_hash", "num_frames", "fold"):
        assert table[name] == expected.columns[name]
    assert table["sample_id"] == expected.sample_ids and None not in table["loss"]
    decoded = []
    example = StreamingVideoDataset.make_example
    monkeypatch.setattr(StreamingVideoDataset, "make_example", lambda *args: decoded.append(args[3]) or example(*args))
    resumed = train(prepared, tmp_path / "resumed", tmp_path / "plain" / "checkpoint-7", **options)
    for first, second in zip(plain.model.parameters(), resumed.model.parameters()):
        assert torch.equal(first, second)
    assert pq.read_table(tmp_path / "resumed" / SAMPLE_TABLE_NAME).to_pydict() == table
    assert len(decoded) == 17 - 2 * 3  # two of five batches were thrown away, and not decoded


def test_every_sample_counts_the_same_whatever_its_batch(prepared, tmp_path, monkeypatch):
    # The loss of a batch is the mean of its samples' weights, and the gradient of these says how much each counts.
    monkeypatch.setattr(trainer_module, "weighted_loss", lambda *inputs, **options: inputs[5].mean())
    trainer = make_trainer(tmp_path, make_stream(prepared, num_clips=2), labels=LABELS)
    loader = trainer.get_train_dataloader()
    trainer.begin_epoch(0)
    trainer.weighting.weights.requires_grad_()
    trainer.model.train()
    sizes = set()
    for batch in loader:
        trainer.compute_loss(trainer.model, batch).backward()
        sizes.add(len(batch["labels"]))
    assert sizes == {3, 4}
    assert torch.allclose(trainer.weighting.weights.grad, torch.full((17,), 5 / 17))


def test_two_processes_see_every_sample_once_and_open_their_own_shards(prepared, tmp_path):
    job = Path(__file__).parents[1] / "helpers" / "streaming_job.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29519", str(job)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(job.parents[2])}
    run = subprocess.run([*command, prepared, tmp_path], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    reports = [json.loads((tmp_path / f"report_{rank}.json").read_text()) for rank in range(2)]
    for epoch in range(2):
        seen = [report["seen"][epoch] for report in reports]
        assert sorted(seen[0] + seen[1]) == list(range(17)) and len(seen[0]) != len(seen[1])
        opened = [set(report["opened"][epoch]) for report in reports]
        assert opened[0] and opened[1] and not opened[0] & opened[1]
        assert len(opened[0] | opened[1]) == 9
    assert reports[0]["seen"][0] != reports[0]["seen"][1]
    table = pq.read_table(tmp_path / SAMPLE_TABLE_NAME).to_pydict()
    assert len(table["loss"]) == 17 and None not in table["loss"]


def test_balanced_sampling_is_refused(prepared, tmp_path):
    with pytest.raises(ValueError, match="balanced.*class_weights"):
        make_trainer(tmp_path, make_stream(prepared), labels=LABELS, sampler="balanced")


# ---------------------------------------------------------------------------------------------------------------------
# Pseudo-labels
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A checkpoint whose classes are others, in another order and under other names than the dataset's labels."""
    folder = tmp_path_factory.mktemp("teachers") / "my-teacher"
    torch.manual_seed(0)
    config = RDFERConfig.from_preset("tiny", id2label=["surprise", "joy", "Anger", "sad"], image_size=32)
    model = RDFERForVideoClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def guided(frames_root, teacher, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("guided") / "out"
    arguments = ["--dataset", "crema_d", "--root", str(frames_root), "--output-dir", str(out), "--num-workers", "2"]
    arguments += [f"--{name}={value}" for name, value in SETTINGS.items()]
    main([*arguments, "--frame-teacher", str(teacher)])
    return out


def stream_of(root, split="train", processor=PROCESSOR, training=True, label2id=LABEL2ID) -> StreamingVideoDataset:
    return StreamingVideoDataset(load_shards(str(root), split, "fold_1"), label2id, processor, training=training)


@pytest.mark.parametrize("num_frames", [8, 3, 11])
def test_pseudo_labels_follow_the_frames_that_are_sampled(frames_root, guided, teacher, num_frames):
    """By name, of the very frames: all of the prepared ones, some, or padded."""
    network = load_teacher(str(teacher))
    processor = RDFERVideoProcessor(num_frames=num_frames, size={"height": 32, "width": 32}, do_face_crop=False)
    # Numbers of labels that are in no order, as `label2id` may be.
    label2id = {"neutral": 1, "sad": 0, "happy": 3, "fear": 2, "anger": 5, "disgust": 4}
    rows = VideoDataset(hub_videos(str(guided), "train", "fold_1"), label2id, processor, training=True)
    streamed = {example["sample_index"]: example for example in stream_of(guided, "train", processor, True, label2id)}
    assert len(rows) == len(streamed) == 17
    differ = 0.0
    for number, sample_id in enumerate(rows.videos.sample_ids):
        example = rows[number]
        found, mask = example["pseudo_labels"], example["frame_mask"]
        assert found.shape == (num_frames, 6) and mask.sum() == min(num_frames, 8)
        assert torch.equal(streamed[number]["pseudo_labels"], found)
        originals = PROCESSOR(frames_root / "face_aligned" / sample_id, return_tensors="pt", do_face_crop=False)
        frames = originals["pixel_values_videos"][0]
        chosen = (2 * np.arange(num_frames) + 1) * 8 // (2 * num_frames) if num_frames < 8 else np.arange(8)
        with torch.no_grad():
            expected = network.classify_frames(frames[chosen]).softmax(-1)
        # happy is joy, anger is Anger, sad is sad; the teacher knows no other.
        torch.testing.assert_close(found[mask][:, [3, 5, 0]], expected[:, [1, 2, 3]], atol=1e-5, rtol=1e-4)
        assert (found[mask][:, [1, 2, 4]] == UNKNOWN).all() and (found[~mask] == UNKNOWN).all()
        differ += expected.std(0).max().item() / len(rows)
    assert differ > 0.02  # from frame to frame, or their order could be any


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
    """Its frames are others, which nobody has asked the teacher about."""
    options = {"dataset_options": {"config": "fold_1"}, "face_crop": False}
    prepare_dataset("hub", guided, tmp_path, **{**SETTINGS, "num_frames": 3}, **options)
    assert LabelledVideos.from_dataset(load("hub", tmp_path)["test"], "test").frame_teacher is None


TRAINING = ["--dataset", "hub", "--fold", "1", "--model_type", "aen", "--preset", "tiny", "--num_train_epochs", "1"]
TRAINING += ["--config_overrides", "image_size=32,num_frames=6,num_clips=2,frames_per_clip=2", "--use_cpu"]
TRAINING += ["--report_to", "none", "--disable_tqdm", "true", "--per_device_train_batch_size", "8"]


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_training_is_guided_by_prepared_pseudo_labels(guided, tmp_path, streaming, monkeypatch):
    seen = []
    losses = trainer_module.unlabelled_losses

    def record(outputs, groups, pseudo_labels, **weights):
        seen.append((pseudo_labels, weights))
        return losses(outputs, groups, pseudo_labels, **weights)

    monkeypatch.setattr(trainer_module, "unlabelled_losses", record)
    run_training([*TRAINING, "--root", str(guided), "--streaming", streaming, "--output_dir", str(tmp_path)])
    assert not (tmp_path / "pseudo_labels.safetensors").exists()  # nobody was asked
    labels = torch.cat([found for found, _ in seen])
    assert labels.shape == (17, 6, 6) and seen[0][1]["frame_guidance_weight"] > 0
    videos = hub_videos(str(guided), "train", "fold_1")
    expected = {tuple(np.float32(row["joy"])[[0, 2, 3, 4, 6, 7]].tolist()) for row in videos.pseudo_labels}
    assert {tuple(row) for row in labels[:, :, LABELS.index("happy")].tolist()} == expected
    assert "my-teacher" in (tmp_path / "README.md").read_text()
    columns = pq.read_table(tmp_path / SAMPLE_TABLE_NAME).column_names
    assert "sample_id" in columns and "pseudo_labels" not in columns


def test_pseudo_labels_that_do_not_fit_are_refused_where_they_are_wanted(guided, prepared, tmp_path):
    arguments = [*TRAINING, "--root", str(guided), "--output_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="brings pseudo-labels of my-teacher, not of frame_teacher=rdfer-small"):
        run_training([*arguments, "--frame_teacher", str(CHECKPOINT)])
    with pytest.raises(SystemExit, match="training.prepare --frame_teacher"):
        run_training([*TRAINING, "--root", str(prepared), "--streaming", "true", "--output_dir", str(tmp_path)])
    stream = StreamingVideoDataset(
        load_shards(str(guided), "train", "fold_1").rename_labels(dict(zip(LABELS, "abcdef"))),
        {letter: number for number, letter in enumerate("abcdef")},
        *(PROCESSOR, True),
        num_clips=2,
    )
    names = list("abcdef")
    make_trainer(tmp_path, stream, labels=names)  # without guidance nobody minds
    with pytest.raises(
        ValueError, match=r"knows none of the labels \['a', .*only \['surprise', 'joy', 'Anger', 'sad'\]"
    ):
        make_trainer(tmp_path, stream, labels=names, frame_guidance_weight=1.0)


def test_a_video_of_other_frames_than_its_pseudo_labels_is_named(guided):
    videos = hub_videos(str(guided), "train", "fold_1")
    videos.pseudo_labels = [{name: [0.25] * 5 for name in videos.frame_teacher.labels}] * len(videos)
    with pytest.raises(ValueError, match=f"{videos.sample_ids[0]} has 8 frames and pseudo-labels for 5"):
        VideoDataset(videos, LABEL2ID, PROCESSOR, training=True)[0]


def test_a_list_with_folds_is_prepared_in_all_of_them(frames_root, tmp_path):
    rows = [("path", "label", "fold")]
    rows += [(f"face_aligned/{name}", name[9:12], number % 3 + 1) for number, name in enumerate(clip_names()[:9])]
    (frames_root / "list.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    prepare_dataset("videolist", frames_root / "list.csv", tmp_path, num_workers=1, **SETTINGS)
    for fold in (1, 2, 3):
        loaded = load("hub", tmp_path, fold=fold)
        expected = [path for path, _, number in rows[1:] if number == fold]
        assert sorted(loaded["test"]["sample_id"]) == expected and len(loaded["train"]) == 6
        assert loaded["test"].features["label"].names == ["ANG", "DIS", "FEA", "HAP", "NEU"]


def test_the_training_command_streams(prepared, tmp_path):
    """The same figures as from the same folder without streaming: evaluation does not depend on the order."""
    results = {}
    for name, source in {"stream": ["--root", f"file://{prepared}", "--streaming", "true"], "rows": []}.items():
        arguments = ["--dataset", "hub", "--root", str(prepared), *source, "--fold", "1", "--preset", "tiny"]
        arguments += ["--config_overrides", "image_size=32,num_frames=8,detector_image_size=32", "--use_cpu"]
        arguments += [
            "--learning_rate",
            "1e-9",
            "--freeze_backbone",
            "true",
            "--num_train_epochs",
            "1",
            "--report_to",
            "none",
        ]
        metrics = run_training([*arguments, "--output_dir", str(tmp_path / name), "--disable_tqdm", "true"])
        table = pq.read_table(tmp_path / name / SAMPLE_TABLE_NAME).sort_by("sample_id")
        results[name] = (metrics["eval_loss"], table["content_hash"].to_pylist(), table["given_label"].to_pylist())
    assert results["stream"][0] == pytest.approx(results["rows"][0], abs=1e-5)
    assert results["stream"][1:] == results["rows"][1:] and len(results["rows"][1]) == 17
    with pytest.raises(SystemExit, match="--streaming needs --dataset hub"):
        run_training(["--dataset", "dfew", "--root", "x", "--streaming", "true", "--output_dir", str(tmp_path)])


def test_what_is_not_complete_or_has_no_folds_is_not_read(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "part")
    manifest = json.loads((tmp_path / "part" / "manifest.json").read_text())
    (tmp_path / "part" / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    for read in (lambda: load("hub", tmp_path / "part", fold=1), lambda: load_shards(str(tmp_path / "part"), "train")):
        with pytest.raises(ValueError, match="is not complete"):
            read()
    (tmp_path / "part" / "manifest.json").write_text(json.dumps({**manifest, "folds": False}))
    with pytest.raises(ValueError, match="not prepared in folds"):
        load_shards(f"file://{tmp_path}/part", "train", "fold_1")


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
