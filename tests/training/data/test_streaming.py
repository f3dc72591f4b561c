# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.models.loss_aen import UNKNOWN
from modeling_rdfer.trainer import trainer as trainer_module
from modeling_rdfer.trainer.collator import collate_videos
from modeling_rdfer.trainer.pseudo_labels import load_teacher
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from tests.helpers.prepared_sets import (
    LABEL2ID,
    LABELS,
    PROCESSOR,
    hub_videos,
    make_stream,
)
from tests.helpers.range_server import RangeHandler, serve_folder
from tests.helpers.training_job import make_trainer
from training.data.streaming import StreamingVideoDataset
from training.data.video_dataset import VideoDataset
from training.data.video_shards import load_shards


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
        with serve_folder(prepared) as url:
            yield url


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


def order(stream, epoch) -> list[int]:
    stream.set_epoch(epoch)
    return [index for index, _ in stream.read(stream.ranges(epoch, 0, 1, 1)[0], [stream.seed, epoch, 0])]


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
    job = Path(__file__).parents[2] / "helpers" / "streaming_job.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(job)]
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
