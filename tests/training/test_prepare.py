# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Preparing on the command line, and training with what was prepared."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from modeling_rdfer import RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.trainer import guidance
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.prepared_sets import ACTORS, LABEL2ID, LABELS, PROCESSOR, clip_names, hub_videos
from tests.helpers.training_job import make_trainer
from training.data.checks import check_videos
from training.data.labelled_videos import LabelledVideos, content_hash
from training.data.streaming import StreamingVideoDataset
from training.data.video_dataset import VideoDataset
from training.data.video_shards import load_shards
from training.datasets import load
from training.prepare import main
from training.preparing.encoding import encode_video
from training.train import main as run_training


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


def test_one_fold_by_itself_and_datasets_without_folds(frames_root, tmp_path):
    arguments = ["--dataset", "crema_d", "--root", str(frames_root), "--dataset-options", "fold=3"]
    main([*arguments, "--output-dir", str(tmp_path), "--size", "16", "--num-frames", "2"])
    loaded = datasets.load_dataset(str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 16, "test": 6}
    with pytest.raises(SystemExit, match=r"fold=9: expected one of \[1, 2, 3, 4, 5\]"):
        main(["--dataset=crema_d", f"--root={frames_root}", "--output-dir=x", "--dataset-options=fold=9"])


TRAINING = ["--fold", "1", "--model_type", "aen", "--preset", "tiny", "--num_train_epochs", "1"]
TRAINING += ["--config_overrides", "image_size=32,num_frames=6,num_clips=2,frames_per_clip=2", "--use_cpu"]
TRAINING += ["--report_to", "none", "--disable_tqdm", "true", "--per_device_train_batch_size", "8"]


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_training_is_guided_by_prepared_pseudo_labels(guided, tmp_path, streaming, monkeypatch):
    seen = []
    losses = guidance.unlabelled_losses

    def record(outputs, groups, pseudo_labels, **weights):
        seen.append((pseudo_labels, weights))
        return losses(outputs, groups, pseudo_labels, **weights)

    monkeypatch.setattr(guidance, "unlabelled_losses", record)
    run_training([*TRAINING, "--dataset", str(guided), "--streaming", streaming, "--output_dir", str(tmp_path)])
    assert not (tmp_path / "pseudo_labels.safetensors").exists()  # no teacher was run
    labels = torch.cat([found for found, _ in seen])
    assert labels.shape == (17, 6, 6) and seen[0][1]["frame_guidance_weight"] > 0
    videos = hub_videos(str(guided), "train", "fold_1")
    expected = {tuple(np.float32(row["joy"])[[0, 2, 3, 4, 6, 7]].tolist()) for row in videos.pseudo_labels}
    assert {tuple(row) for row in labels[:, :, LABELS.index("happy")].tolist()} == expected
    assert "my-teacher" in (tmp_path / "README.md").read_text()
    columns = pq.read_table(tmp_path / SAMPLE_TABLE_NAME).column_names
    assert "sample_id" in columns and "pseudo_labels" not in columns


def test_pseudo_labels_that_do_not_fit_are_refused_where_they_are_wanted(guided, prepared, tmp_path):
    arguments = [*TRAINING, "--dataset", str(guided), "--output_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="brings pseudo-labels of my-teacher, not of frame_teacher=rdfer-small"):
        run_training([*arguments, "--frame_teacher", str(CHECKPOINT)])
    with pytest.raises(SystemExit, match="training.prepare --frame-teacher"):
        run_training([*TRAINING, "--dataset", str(prepared), "--streaming", "true", "--output_dir", str(tmp_path)])
    stream = StreamingVideoDataset(
        load_shards(str(guided), "train", "fold_1").rename_labels(dict(zip(LABELS, "abcdef"))),
        {letter: number for number, letter in enumerate("abcdef")},
        *(PROCESSOR, True),
        num_clips=2,
    )
    names = list("abcdef")
    make_trainer(tmp_path, stream, labels=names)  # without guidance this is no error
    with pytest.raises(
        ValueError, match=r"knows none of the labels \['a', .*only \['surprise', 'joy', 'Anger', 'sad'\]"
    ):
        make_trainer(tmp_path, stream, labels=names, frame_guidance_weight=1.0)


def test_the_training_command_streams(prepared, tmp_path):
    """The same figures as from the same folder without streaming: evaluation does not depend on the order."""
    results = {}
    sources = {"stream": [f"file://{prepared}", "--streaming", "true"], "rows": [str(prepared)]}
    for name, source in sources.items():
        arguments = ["--dataset", *source, "--fold", "1", "--preset", "tiny"]
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
    with pytest.raises(SystemExit, match="--streaming reads Parquet shards"):
        run_training(["--dataset", "dfew", "--root", "x", "--streaming", "true", "--output_dir", str(tmp_path)])
