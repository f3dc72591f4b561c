# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Emotion grouping and frame-level guidance in the trainer, for both families."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoConfig

from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.loss_aen import UNKNOWN, group_log_sums, sentiment_cross_entropy, unlabelled_losses
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.pseudo_labels import label_frames, load_teacher, pseudo_labels_of
from modeling_rdfer.trainer.trainer import RDFERTrainer
from tests.helpers.training_job import Videos, make_model
from tests.trainer.test_trainer import table_of
from training import evaluate, train
from training.running.arguments import ModelArguments
from training.running.build_model import AEN_SMALL, build_model

LABELS = ["happy", "sad", "angry"]
BACKBONE = {"model_type": "rdfer_frame_net", "hidden_sizes": [8, 8, 16], "depths": [1, 1, 1]}


def aen(**overrides) -> AENForVideoClassification:
    torch.manual_seed(0)
    backbone = {**BACKBONE, "out_features": ["stage2", "stage3"]}
    settings = {"backbone_config": backbone, "hidden_size": 16, "num_clips": 2, "frames_per_clip": 2, "dropout": 0.0}
    return AENForVideoClassification(AENConfig(**{**settings, "id2label": LABELS, **overrides}))


def rdfer(labels=LABELS):
    model = make_model()
    model.config.id2label = dict(enumerate(labels))
    return model


def trainer_of(model, output_dir, dataset=None, **options) -> RDFERTrainer:
    defaults = {
        "per_device_train_batch_size": 4, "num_train_epochs": 1, "learning_rate": 3e-3, "report_to": "none",
        "disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "dataloader_pin_memory": False,
    }  # fmt: skip
    args = RDFERTrainingArguments(output_dir=str(output_dir), **{**defaults, **options})
    return RDFERTrainer(model=model, args=args, train_dataset=dataset or Named(8))


class Named(Videos):
    """Videos that change from epoch to epoch in training only, and that have names."""

    def __init__(self, count):
        super().__init__(count)
        self.training = True
        self.sample_columns = {"sample_id": [f"video {number}" for number in range(count)]}

    def __getitem__(self, index):
        epoch, self.epoch = self.epoch, self.epoch if self.training else 0
        example = super().__getitem__(index)
        self.epoch = epoch
        example["frame_mask"][6:] = False
        return example


class Labelled(Named):
    """Videos that bring their pseudo-labels: each frame shows the label after the video's."""

    def __getitem__(self, index):
        example = super().__getitem__(index)
        shown = (self.labels[index] + 1) % 3
        example["pseudo_labels"] = torch.nn.functional.one_hot(torch.tensor(shown), 3).float().expand(8, 3)
        return example


@pytest.fixture
def teacher(tmp_path):
    """A checkpoint that knows two of the three labels, under other names, and one more."""
    torch.manual_seed(0)
    config = RDFERConfig.from_preset("tiny", id2label=["Anger", "neutral", "joy"], image_size=32)
    model = RDFERForVideoClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(tmp_path / "teacher")
    return str(tmp_path / "teacher")


# Pseudo-labels -------------------------------------------------------------------------------------------------------


def test_pseudo_labels_are_the_teachers_answers_mapped_by_name(teacher):
    dataset, network = Named(3), load_teacher(teacher)
    dataset.epoch = 5
    found = pseudo_labels_of(dataset, network, LABELS, progress=False)
    assert found.shape == (3, 8, 3)
    dataset.epoch = 0  # without augmentation
    for number in range(3):
        frames = dataset[number]["pixel_values_videos"][:6]
        expected = network.classify_frames(frames).softmax(-1)
        torch.testing.assert_close(found[number, :6, 0].float(), expected[:, 2], atol=1e-3, rtol=1e-2)  # joy
        torch.testing.assert_close(found[number, :6, 2].float(), expected[:, 0], atol=1e-3, rtol=1e-2)  # anger
        assert (found[number, :6, 1] == UNKNOWN).all()
        assert (found[number, 6:] == UNKNOWN).all()  # padding
    assert dataset.training


def test_pseudo_labels_are_kept_for_the_same_samples_teacher_and_labels(teacher, tmp_path):
    network, cache = load_teacher(teacher), tmp_path / "pseudo_labels.safetensors"

    class Counting(Named):
        reads = 0

        def __getitem__(self, index):
            Counting.reads += 1
            return super().__getitem__(index)

    def read(count=4, network=network, labels=LABELS):
        Counting.reads = 0
        found = pseudo_labels_of(Counting(count), network, labels, cache=cache, progress=False)
        return found, Counting.reads

    first, reads = read()
    assert reads == 5
    again, reads = read()
    assert reads == 1 and torch.equal(again, first)
    assert read(count=5)[1] == 6
    assert read(labels=["angry", "sad", "happy"])[1] == 5
    other = load_teacher(teacher)
    other.classifier.bias.data[0] += 1
    assert not torch.equal(read(network=other)[0], first)


def test_frames_of_other_sizes_and_wrong_teachers(teacher):
    network = load_teacher(teacher)
    # Of one colour each, so that only their size differs.
    frames = torch.randint(0, 256, (4, 3, 1, 1), dtype=torch.uint8)
    expected = label_frames(network, frames.expand(-1, -1, 32, 32), LABELS)
    assert expected[:, 0].std() > 0.01
    torch.testing.assert_close(label_frames(network, frames.expand(-1, -1, 80, 50), LABELS), expected)
    with pytest.raises(ValueError, match="uint8"):
        label_frames(network, frames / 255, LABELS)
    with pytest.raises(ValueError, match=r"knows none of the labels \['bored'\]"):
        label_frames(network, frames, ["bored"])


# Training ------------------------------------------------------------------------------------------------------------


def test_aen_learns_with_the_agreement_weighted_loss(tmp_path):
    unguided = {"frame_guidance_weight": 0.0, "clip_guidance_weight": 0.0}
    options = {"num_train_epochs": 12, "agreement_warmup_epochs": 2, "learning_rate": 1e-2, **unguided}
    trainer = trainer_of(aen(), tmp_path, Named(24), **options)
    trainer.train()
    metrics = trainer.evaluate(Named(12))
    assert metrics["eval_war"] >= 0.9
    table = table_of(tmp_path)
    assert len(table) == 24 and all(0 < row["clip_agreement"] <= 1 and row["num_valid_clips"] == 2 for row in table)
    names = json.loads(pq.read_schema(tmp_path / "sample_table.parquet").metadata[b"label_names"])
    assert names == LABELS


@pytest.mark.parametrize("family", [aen, rdfer])
def test_loss_of_a_batch_is_the_sum_of_its_terms(family, teacher, tmp_path):
    weights = {"sentiment_loss_weight": 0.25, "frame_guidance_weight": 2.0, "clip_guidance_weight": 0.5}

    def loss(**options):
        trainer = trainer_of(
            family(), tmp_path, loss="ce", label_smoothing_factor=0.0, frame_teacher=teacher, **options
        )
        trainer.begin_epoch(0)
        trainer.weighting.weights[:] = torch.arange(8.0)  # weights of samples
        batch = trainer.data_collator([trainer.train_dataset[number] for number in range(4)])
        return trainer, *trainer.compute_loss(trainer.model.train(), batch, return_outputs=True)

    nothing = dict.fromkeys(weights, 0.0)
    trainer, plain, outputs = loss(emotion_grouping=False, **nothing)
    assert not (tmp_path / "pseudo_labels.safetensors").exists()
    groups, labels = [0, 1, 1], torch.tensor([0, 1, 2, 0])
    sentiments = outputs.get("sentiment_logits")
    if family is rdfer:
        sentiments = group_log_sums(outputs["logits"].log_softmax(-1), groups)
    grouped = (torch.arange(4.0) * sentiment_cross_entropy(sentiments, labels, groups)).mean()
    _, with_grouping, _ = loss(emotion_grouping=True, **{**nothing, "sentiment_loss_weight": 0.25})
    consistency = 0.0
    if family is aen:
        weight = trainer.model.config.consistency_loss_weight
        consistency = unlabelled_losses(outputs, groups, consistency_loss_weight=weight).mean()
    torch.testing.assert_close(with_grouping, plain + 0.25 * grouped + consistency)
    # Guidance does not need the label: weights of samples do not apply.
    trainer, guided, outputs = loss(emotion_grouping=False, **{**weights, "sentiment_loss_weight": 0.0})
    pseudo_labels = trainer.guidance.pseudo_labels[:4]
    expected = unlabelled_losses(outputs, None, pseudo_labels, frame_guidance_weight=2.0, clip_guidance_weight=0.5)
    assert expected.mean() > 0.01
    torch.testing.assert_close(guided, plain + expected.mean())
    assert (tmp_path / "pseudo_labels.safetensors").exists()


@pytest.mark.parametrize("family", [aen, rdfer])
def test_guidance_pulls_frames_to_pseudo_labels_of_the_dataset(family, tmp_path):
    dataset = Labelled(12)
    weights = {"frame_guidance_weight": 2.0, "clip_guidance_weight": 0.0}
    trainer = trainer_of(family(), tmp_path, dataset, num_train_epochs=25, learning_rate=1e-2, loss="ce", **weights)
    assert trainer.guidance.pseudo_labels is None  # no teacher is asked
    trainer.train()
    batch = trainer.data_collator([dataset[number] for number in range(12)])
    with torch.no_grad():
        outputs = trainer.model.eval()(batch["pixel_values_videos"], frame_mask=batch["frame_mask"])
    shown = (batch["labels"] + 1) % 3
    assert (outputs.frame_logits.argmax(-1) == shown[:, None]).float().mean() > 0.9
    assert (outputs.logits.argmax(-1) == batch["labels"]).float().mean() > 0.9


def test_the_default_teacher_is_the_embedded_checkpoint(tmp_path):
    dataset = Named(2)
    found = trainer_of(aen(), tmp_path, dataset).guidance.pseudo_labels
    assert ((found >= 0).all(-1) == torch.tensor([True] * 6 + [False] * 2)).all()
    with pytest.raises(ValueError, match="weights of the guidance to 0"):
        trainer_of(aen(id2label=["bored", "awake"], emotion_groups={"bored": "a", "awake": "b"}), tmp_path, dataset)


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="frame_guidance_weight"):
        RDFERTrainingArguments(output_dir=str(tmp_path), frame_guidance_weight=-1.0)
    with pytest.raises(ValueError, match="red"):
        trainer_of(rdfer(["red", "green", "blue"]), tmp_path, emotion_grouping=True)


# The scripts ---------------------------------------------------------------------------------------------------------


def test_train_and_evaluate_by_the_scripts(tmp_path):
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for channel, label in {0: "happy", 2: "bored"}.items():
        for video in range(6):
            folder = tmp_path / "data" / label / f"{video:02d}"
            folder.mkdir(parents=True)
            for number in range(4):
                frame = generator.integers(0, 120, (32, 32, 3))
                frame[..., channel] += 100
                Image.fromarray(frame.astype(np.uint8)).save(folder / f"{number}.png")
    fast = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true"]
    arguments = ["--dataset", str(tmp_path / "data"), "--eval-dataset", str(tmp_path / "data"), *fast]
    arguments += ["--num_train_epochs", "12", "--per_device_train_batch_size", "6", "--learning_rate", "1e-2"]
    arguments += ["--output_dir", str(tmp_path / "out"), "--model_type", "aen", "--preset", "tiny"]
    arguments += ["--config_overrides", "image_size=32,num_frames=8"]
    with pytest.raises(SystemExit, match=r"\['bored'\].*--emotion-groups LABEL=GROUP"):
        train.main(arguments)
    metrics = train.main([*arguments, "--emotion_groups", "bored=negative"])
    assert metrics["eval_war"] >= 0.9
    # `happy` alone is known to rdfer-small; no frame of the data is a face, which is fine here.
    assert (tmp_path / "out" / "pseudo_labels.safetensors").exists()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "aen" and config["emotion_groups"] == {"bored": "negative"}
    results = evaluate.main(
        ["--model", str(tmp_path / "out"), "--dataset", str(tmp_path / "data"), "--device", "cpu", "--num_views", "2"]
        + ["--output_dir", str(tmp_path / "evaluated")]
    )
    assert results["eval_war"] >= 0.9 and "eval_ece_agreement" in results


def test_checkpoints_of_either_family_by_name():
    model, processor = build_model(ModelArguments(model_type="aen"), ["happy", "neutral"])
    assert type(model) is AENForVideoClassification and model.config.num_labels == 7 and processor.do_face_crop
    model, _ = build_model(ModelArguments(model=str(AEN_SMALL)), ["happy", "Calm"])
    assert type(model) is AENForVideoClassification and model.config.group_names == ["positive", "neutral"]
    # Groups for the grouping of RDFER.
    for arguments in ({}, {"preset": "tiny"}):
        model, _ = build_model(ModelArguments(emotion_groups="happy=good", **arguments), ["happy", "sad"])
        assert AutoConfig.for_model(**model.config.to_dict()).emotion_groups == {"happy": "good"}
    with pytest.raises(ValueError, match="LABEL=GROUP.*'happy'"):
        build_model(ModelArguments(emotion_groups="happy"), ["happy", "sad"])
    with pytest.raises(ValueError, match="type 'aen', expected rdfer"):
        build_model(ModelArguments(model=str(AEN_SMALL), model_type="rdfer"), ["happy", "sad"])
