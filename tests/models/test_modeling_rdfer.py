# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tests of the model, in the shape of transformers' common model tests."""

import copy

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForVideoClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from modeling_rdfer import (
    RDFERForVideoClassification,
    RDFERFrameNet,
    RDFERFrameNetConfig,
    RDFERModel,
    distinct_clips,
)
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.tiny_models import VARIANTS, assert_same, tiny_config, tiny_model, videos


@pytest.fixture(params=VARIANTS)
def model(request) -> RDFERForVideoClassification:
    return tiny_model(**VARIANTS[request.param])


# Shapes and outputs --------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_output_shapes(model):
    batch, clips, frames, labels, size = 3, 4, 4, 5, 64
    outputs = model(videos(batch), labels=torch.tensor([0, 1, 4]), output_hidden_states=True)
    assert outputs.loss.shape == ()
    assert outputs.logits.shape == (batch, labels)
    assert outputs.clip_logits.shape == (batch, clips, labels)
    assert outputs.detector_logits.shape == (batch, labels)
    assert outputs.frame_logits.shape == (batch, 16, labels)
    assert outputs.agreement.shape == outputs.num_valid_clips.shape == (batch,)
    assert outputs.key_frame_indices.shape == (batch, clips, frames)
    assert outputs.short_term_state.shape == (batch, clips, size)
    assert outputs.long_term_state.shape == (batch, size)
    detector_features, detector_states, clip_features, short_term, long_term = outputs.hidden_states
    assert detector_features.shape[:2] == detector_states.shape[:2] == (batch, 16)
    assert clip_features.shape[:3] == (batch, clips, frames)
    assert short_term.shape == (batch, clips, frames, size)
    assert long_term.shape == (batch, clips + 1, size)


@torch.no_grad()
def test_tuple_and_dataclass_are_equivalent(model):
    as_dataclass = model(videos(), output_hidden_states=True)
    as_tuple = model(videos(), output_hidden_states=True, return_dict=False)
    assert len(as_tuple) == len(as_dataclass.to_tuple())
    for left, right in zip(as_tuple[:-1], as_dataclass.to_tuple()[:-1]):
        assert torch.equal(left, right)
    assert "hidden_states" not in model(videos())


@torch.no_grad()
def test_evaluation_is_deterministic(model):
    assert torch.equal(model(videos()).logits, model(videos()).logits)


@torch.no_grad()
def test_base_model_gives_the_states_of_the_classifier():
    model = tiny_model()
    outputs, base_outputs = model(videos()), model.rdfer(videos())
    assert torch.equal(outputs.long_term_state, base_outputs.long_term_state)
    assert torch.equal(outputs.key_frame_indices, base_outputs.key_frame_indices)


@torch.no_grad()
def test_uint8_frames_are_normalised_by_the_model():
    model = tiny_model()
    frames = videos()
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (model.config.image_mean, model.config.image_std))
    assert_same(model(frames).logits, model((frames / 255 - mean) / std).logits)


@torch.no_grad()
def test_the_calibration_temperature_divides_the_scores_of_videos_and_clips_only():
    model, frames = tiny_model(), videos(3)
    plain = model(frames)
    model.config.calibration_temperature = 2.5
    calibrated = model(frames)
    for name, value in plain.items():
        assert_same(calibrated[name], value / 2.5 if name in ("logits", "clip_logits") else value)
    assert_same(model(frames, labels=torch.tensor([0, 1, 4])).logits, calibrated.logits)


def test_wrong_shapes_are_named():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"batch_size, num_frames, num_channels, height, width.*\(2, 3, 56, 56\)"):
        model(videos()[:, 0])
    with pytest.raises(ValueError, match=r"num_channels = 3.*\(2, 20, 1, 56, 56\)"):
        model(videos()[:, :, :1])
    with pytest.raises(ValueError, match=r"frame_mask.*\(2, 20\).*\(2, 19\)"):
        model(videos(), frame_mask=torch.ones(2, 19, dtype=torch.bool))
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match=r"no real frame in row\(s\) \[1\]"):
        model(videos(), frame_mask=mask)


# Length, padding, batching -------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 33])
def test_a_padded_video_gives_what_it_gives_alone(model, num_frames):
    frames = videos(num_frames=40)
    frame_mask = torch.arange(40).expand(2, -1) < num_frames
    padded, alone = model(frames, frame_mask=frame_mask), model(frames[:, :num_frames])
    assert torch.equal(padded.key_frame_indices, alone.key_frame_indices)
    assert padded.key_frame_indices.max() < num_frames
    assert torch.equal(padded.num_valid_clips, alone.num_valid_clips)
    assert_same(padded.logits, alone.logits)
    assert_same(padded.detector_logits, alone.detector_logits)


@torch.no_grad()
def test_a_video_gives_in_a_batch_what_it_gives_alone(model):
    frames = videos(batch=3, num_frames=24)
    frame_mask = torch.arange(24) < torch.tensor([[24], [3], [11]])
    together = model(frames, frame_mask=frame_mask)
    for index in range(3):
        alone = model(frames[index : index + 1], frame_mask=frame_mask[index : index + 1])
        assert_same(together.logits[index], alone.logits[0])
        assert torch.equal(together.key_frame_indices[index], alone.key_frame_indices[0])


@torch.no_grad()
def test_padding_may_stand_anywhere(model):
    frames = videos(num_frames=9)
    spread = torch.zeros(2, 30, 3, 56, 56, dtype=torch.uint8)
    frame_mask = torch.zeros(2, 30, dtype=torch.bool)
    positions = torch.tensor([2, 3, 4, 9, 10, 17, 18, 25, 28])
    spread[:, positions], frame_mask[:, positions] = frames, True
    outputs, expected = model(spread, frame_mask=frame_mask), model(frames)
    assert_same(outputs.logits, expected.logits)
    assert torch.equal(outputs.key_frame_indices, positions[expected.key_frame_indices])


@torch.no_grad()
def test_a_single_clip_has_full_agreement_and_num_valid_clips_1():
    outputs = tiny_model()(videos(num_frames=3))
    assert outputs.num_valid_clips.tolist() == [1, 1]
    assert outputs.agreement.tolist() == [1.0, 1.0]


@torch.no_grad()
@pytest.mark.parametrize("size", [(56, 56), (112, 112), (40, 72)])
def test_other_frame_sizes(model, size):
    frames = torch.randint(0, 256, (1, 8, 3, *size), dtype=torch.uint8)
    assert model(frames).logits.isfinite().all()


# Key expression re-sampling ------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("start", [0, 14, 28])
def test_resampled_frames_follow_what_the_detector_sees(start):
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    with np.load(DATA / "face_expression_reference.npz") as reference:
        crops = torch.from_numpy(reference["crops"]).permute(0, 3, 1, 2)
    crops = torch.nn.functional.interpolate(crops.float(), (48, 48), mode="area").round().to(torch.uint8)
    probabilities = model.classify_frames(crops).softmax(-1)
    neutral, surprise = (model.config.label2id[name] for name in ("neutral", "surprise"))
    video = crops[probabilities[:, neutral].argmax()].repeat(64, 1, 1, 1)
    video[start : start + 36] = crops[probabilities[:, surprise].argmax()]

    def share_in_key_expression():
        indices = model(video[None]).key_frame_indices
        return ((indices >= start) & (indices < start + 36)).float().mean().item()

    assert share_in_key_expression() >= 0.85
    model.config.resampling = "uniform"
    assert share_in_key_expression() <= 0.65


# Residual form -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_new_model_averages_its_key_frames():
    model = tiny_model(randomise_heads=False)
    outputs = model.rdfer(videos())
    frame_answers = model.classifier(outputs.clip_features)
    assert_same(model(videos()).clip_logits, frame_answers.mean(2))
    assert_same(model(videos()).logits, frame_answers.mean((1, 2)))


@torch.no_grad()
def test_copies_of_a_clip_do_not_count_twice():
    model = tiny_model(randomise_heads=False)
    outputs = model(videos(num_frames=6))  # three distinct clips: the second of four is there twice
    mask = distinct_clips(outputs.key_frame_indices)
    assert mask.sum(1).tolist() == [3, 3]
    for index in range(2):
        assert_same(outputs.logits[index], outputs.clip_logits[index][mask[index]].mean(0))


# Training ------------------------------------------------------------------------------------------------------------


def test_gradients_reach_every_parameter(model):
    model.train()
    model(videos(), labels=torch.tensor([0, 3])).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_the_detector_learns_from_its_own_loss_only():
    model = tiny_model(detector_loss_weight=0.0).train()
    model(videos(), labels=torch.tensor([0, 3])).loss.backward()
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in model.rdfer.detector.parameters())


def test_loss_is_the_weighted_sum_of_its_terms():
    model, labels = tiny_model(), torch.tensor([0, 3])
    outputs = model(videos(num_frames=6), labels=labels)
    cross_entropy = torch.nn.functional.cross_entropy
    mask = distinct_clips(outputs.key_frame_indices)
    clips = torch.stack([cross_entropy(outputs.clip_logits[i][mask[i]], labels[i].expand(3)) for i in range(2)]).mean()
    expected = cross_entropy(outputs.logits, labels) + 0.1 * clips
    assert_same(outputs.loss, expected + 0.1 * cross_entropy(outputs.detector_logits, labels))


def test_labels_that_do_not_count():
    model = tiny_model()
    alone = model(videos(batch=1), labels=torch.tensor([3])).loss
    assert_same(model(videos(batch=2), labels=torch.tensor([3, -100])).loss, alone)


@pytest.mark.parametrize("labels", [torch.tensor([0, 3], dtype=torch.int32), torch.tensor([[0], [3]])])
def test_labels_of_other_integer_kinds(labels):
    model = tiny_model()
    assert torch.equal(model(videos(), labels=labels).loss, model(videos(), labels=torch.tensor([0, 3])).loss)


def test_clips_are_jittered_in_training_and_reproducible_on_request():
    model = tiny_model(dropout=0.0).train()
    frames = videos(num_frames=60)
    drawn = {tuple(model(frames).key_frame_indices.flatten().tolist()) for _ in range(8)}
    assert len(drawn) > 4
    jitter = torch.full((2, 4), 0.3)
    left, right = model(frames, clip_jitter=jitter), model(frames, clip_jitter=jitter)
    assert torch.equal(left.key_frame_indices, right.key_frame_indices)


@pytest.mark.parametrize(
    "problem_type, labels",
    [
        ("single_label_classification", torch.tensor([0, 4])),
        ("multi_label_classification", torch.tensor([[1.0, 0, 0, 1, 0], [0, 0, 1, 1, 0]])),
        ("regression", torch.tensor([[0.5, 0, 0, 1, 0], [0, 0, 1, 1, 0.1]])),
    ],
)
def test_problem_types_are_learnt(problem_type, labels):
    model = tiny_model(problem_type=problem_type, dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(15):
        loss = model(videos(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_single_output_regression():
    model = tiny_model(num_labels=1)
    outputs = model(videos(), labels=torch.tensor([0.3, 0.7]))
    expected = torch.nn.functional.mse_loss(outputs.logits.squeeze(-1), torch.tensor([0.3, 0.7]))
    assert outputs.loss.isfinite() and outputs.loss >= expected


def test_soft_labels_without_a_problem_type_are_an_error():
    with pytest.raises(ValueError, match="problem_type"):
        tiny_model()(videos(), labels=torch.rand(2, 5))


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_checkpointing_changes_nothing_but_memory(variant, use_reentrant):
    plain = tiny_model(**VARIANTS[variant], dropout=0.0).train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    assert checkpointed.is_gradient_checkpointing
    for _ in range(2):
        for model in (plain, checkpointed):
            torch.manual_seed(1)
            model(videos(), labels=torch.tensor([0, 3])).loss.backward()
    for (name, left), (_, right) in zip(plain.named_parameters(), checkpointed.named_parameters()):
        torch.testing.assert_close(left.grad, right.grad, msg=name, atol=1e-5, rtol=1e-4)
    for (name, left), (_, right) in zip(plain.named_buffers(), checkpointed.named_buffers()):
        assert torch.equal(left, right), name  # batch-norm statistics are updated once a step, not twice

    checkpointed.gradient_checkpointing_disable()
    assert not checkpointed.is_gradient_checkpointing
    assert all("forward" not in module.__dict__ for module in checkpointed.modules())


def test_gradient_checkpointing_saves_activations():
    def saved_bytes(checkpointing):
        model = tiny_model(dropout=0.0).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        sizes = []

        def pack(tensor):
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(videos(size=112), labels=torch.tensor([0, 3]))
        return sum(sizes)

    assert saved_bytes(True) < 0.7 * saved_bytes(False)


def test_frozen_backbones_stay_as_they_are(model):
    model.freeze_backbone()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(videos(), labels=torch.tensor([0, 3])).loss.backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any("backbone" in name for name in changed)


# Saving, loading, initialisation -------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("auto_class", [RDFERForVideoClassification, AutoModelForVideoClassification])
def test_save_and_load_are_bit_equal(model, auto_class, tmp_path):
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    loaded = auto_class.from_pretrained(tmp_path)
    assert type(loaded) is RDFERForVideoClassification and not loaded.training
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert torch.equal(loaded(videos()).logits, model(videos()).logits)


@torch.no_grad()
def test_base_model_loads_from_the_classifier_and_back(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path / "classifier")
    base = AutoModel.from_pretrained(tmp_path / "classifier")
    assert type(base) is RDFERModel
    assert torch.equal(base(videos()).long_term_state, model(videos()).long_term_state)
    base.save_pretrained(tmp_path / "base")
    again = RDFERForVideoClassification.from_pretrained(tmp_path / "base")
    assert torch.equal(again(videos()).long_term_state, model(videos()).long_term_state)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_missing_from_a_checkpoint_are_initialised(variant, tmp_path):
    """Models load through the meta device: missing weights would otherwise be uninitialised memory."""
    from safetensors.torch import load_file, save_file

    model = tiny_model(randomise_heads=False, **VARIANTS[variant])
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "backbone" in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded, info = RDFERForVideoClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == set(weights) - set(kept)
    for name, value in loaded.state_dict().items():
        expected = weights.get(name)
        if name in kept:
            assert torch.equal(value, expected), name
        elif expected is not None and expected.is_floating_point():
            assert value.isfinite().all() and value.abs().max() < 5, name
            # The same distribution: zeros stay zeros, ones stay ones, and the spread is about the same.
            torch.testing.assert_close(value.mean(), expected.mean(), atol=0.2, rtol=0.2, msg=name)
            torch.testing.assert_close(
                value.std(correction=0), expected.std(correction=0), atol=0.01, rtol=0.5, msg=name
            )


def test_residual_heads_start_at_zero():
    model = tiny_model(randomise_heads=False)
    detector = model.rdfer.detector
    for head in (
        model.short_term_classifier,
        model.fusion_classifier,
        detector.residual_classifier,
        detector.attention,
    ):
        assert all(parameter.abs().max() == 0 for parameter in head.parameters())
    assert model.classifier.weight.std() > 0.01 and detector.classifier.weight.std() > 0.01


@torch.no_grad()
def test_another_number_of_labels_loads_with_ignore_mismatched_sizes(model, tmp_path):
    model.save_pretrained(tmp_path)
    labels = {0: "happy", 1: "sad", 2: "angry"}
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        RDFERForVideoClassification.from_pretrained(tmp_path, id2label=labels)
    loaded, info = RDFERForVideoClassification.from_pretrained(
        tmp_path, id2label=labels, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert loaded(videos()).logits.shape == (2, 3)
    assert loaded.config.id2label == labels and loaded.config.label2id["sad"] == 1
    resized = {name.rsplit(".", 1)[0] for name, *_ in info["mismatched_keys"]}
    assert resized == {
        "classifier",
        "short_term_classifier",
        "fusion_classifier",
        "rdfer.detector.classifier",
        "rdfer.detector.residual_classifier",
    }
    for name, value in loaded.state_dict().items():
        if name.rsplit(".", 1)[0] not in resized:
            assert torch.equal(value, model.state_dict()[name]), name
    assert loaded.fusion_classifier.weight.abs().max() == 0


@torch.no_grad()
def test_from_backbone_pretrained_copies_the_weights_in(tmp_path):
    config = tiny_config(hidden_size=32)
    classifier = ResNetForImageClassification(ResNetConfig(**{**config.backbone_config.to_dict(), "num_labels": 10}))
    for buffer in classifier.buffers():
        buffer += 1
    classifier.save_pretrained(tmp_path / "resnet")
    frame_net = RDFERFrameNet(RDFERFrameNetConfig(hidden_sizes=[8, 16], depths=[1, 1]))
    frame_net.save_pretrained(tmp_path / "frame_net")

    model = RDFERForVideoClassification.from_backbone_pretrained(
        tmp_path / "resnet", detector_backbone=tmp_path / "frame_net", config=config
    )
    for name, value in model.rdfer.backbone.state_dict().items():
        assert torch.equal(value, classifier.resnet.state_dict()[name]), name
    for name, value in model.rdfer.detector.backbone.state_dict().items():
        assert torch.equal(value, frame_net.state_dict()[name]), name
    assert model.config.hidden_size == 32 and model.config.num_labels == 5
    assert model(videos()).logits.shape == (2, 5)
    model.save_pretrained(tmp_path / "model")
    loaded = RDFERForVideoClassification.from_pretrained(tmp_path / "model")
    model.eval()
    assert torch.equal(loaded(videos()).logits, model(videos()).logits)


def test_a_model_with_hooks_survives_deepcopy():
    model = tiny_model(temporal_shift=True)
    model.gradient_checkpointing_enable()
    twin = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.data.zero_()
    assert twin(videos()).logits.abs().max() > 0


# Precision, compilation, export --------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(model, dtype):
    expected = model(videos())
    outputs = model.to(dtype)(videos())
    assert outputs.logits.dtype == dtype
    # A few clips may move by rounding; the scores stay close.
    assert_same(outputs.detector_logits.float(), expected.detector_logits, tolerance=0.15)
    assert outputs.logits.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_model_gives_eager_logits(backend):
    model = tiny_model()
    # `fullgraph` fails at any break of the graph, except at recurrent layers, which `allow_rnn` permits.
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(model, backend=backend, fullgraph=True)
        for num_frames in (20, 7):
            outputs, expected = compiled(videos(num_frames=num_frames)), model(videos(num_frames=num_frames))
            assert_same(outputs.logits, expected.logits)
            assert torch.equal(outputs.key_frame_indices, expected.key_frame_indices)


@torch.no_grad()
def test_exported_model_with_dynamic_batch_and_frames_gives_eager_logits(model):
    batch, num_frames = torch.export.Dim("batch", min=1, max=16), torch.export.Dim("num_frames", min=1, max=256)
    arguments = {"pixel_values_videos": videos(2, 12), "frame_mask": torch.ones(2, 12, dtype=torch.bool)}
    dynamic_shapes = {name: {0: batch, 1: num_frames} for name in arguments}
    program = torch.export.export(model, (), arguments, dynamic_shapes=dynamic_shapes)
    for size, length in [(1, 1), (3, 7), (2, 40)]:
        frames = videos(size, length)
        frame_mask = torch.ones(size, length, dtype=torch.bool)
        frame_mask[0, length // 2 + 1 :] = False
        exported = program.module()(pixel_values_videos=frames, frame_mask=frame_mask)
        assert_same(exported["logits"], model(frames, frame_mask=frame_mask).logits)
