# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tests of AEN, in the shape of those of RDFER."""

import copy
import logging

import pytest
import torch
from transformers import AutoModel, AutoModelForVideoClassification, ResNetConfig, ResNetForImageClassification

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    AENModel,
    RDFERForVideoClassification,
    clip_agreement,
    distinct_clips,
)
from modeling_rdfer.models import modeling_aen
from modeling_rdfer.models.loss_aen import consistency_loss, frame_guidance_loss
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT
from tests.helpers.tiny_models import FRAME_NET, assert_same, videos

LABELS = ["neutral", "happy", "sad", "angry", "surprise"]  # three groups of one label
LOSSES = ("emotion_loss", "sentiment_loss", "consistency_loss", "frame_guidance", "clip_guidance")
VARIANTS = {
    "resnet": {},
    "frame_net": {"backbone_config": {**FRAME_NET, "out_features": ["stage2", "stage3"]}},
    "timm": {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet10t", "out_indices": [3, 4]}},
}  # fmt: skip


def tiny_model(randomise_heads: bool = True, **overrides) -> AENForVideoClassification:
    torch.manual_seed(0)
    model = AENForVideoClassification(AENConfig.from_preset("tiny", **{"id2label": LABELS, **overrides}))
    if randomise_heads:
        # The residual heads start at zero and would hide most of the model from the tests.
        for parameter in model.parameters():
            if parameter.abs().max() == 0:
                torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def pseudo(batch=2, num_frames=20, labels=5) -> torch.Tensor:
    return torch.randn(batch, num_frames, labels, generator=torch.Generator().manual_seed(1)).mul(2).softmax(-1)


@pytest.fixture(params=VARIANTS)
def model(request) -> AENForVideoClassification:
    return tiny_model(**VARIANTS[request.param])


# Shapes and outputs --------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_output_shapes(model):
    batch, clips, frames, labels, groups, levels, size = 3, 4, 4, 5, 4, len(model.aen.top_down), 64
    outputs = model(videos(batch), labels=torch.tensor([0, 1, 4]), output_hidden_states=True)
    assert outputs.loss.shape == ()
    assert outputs.logits.shape == outputs.emotion_scores.shape == (batch, labels)
    assert outputs.sentiment_logits.shape == (batch, groups)
    assert outputs.clip_logits.shape == (batch, clips, labels)
    assert outputs.frame_logits.shape == (batch, clips * frames, labels)
    assert outputs.agreement.shape == outputs.num_valid_clips.shape == (batch,)
    assert outputs.key_frame_indices.shape == (batch, clips, frames)
    assert torch.equal(outputs.frame_indices, outputs.key_frame_indices.flatten(1))
    assert outputs.clip_state.shape == (batch, clips, levels * size)
    bottom_up, top_down = outputs.hidden_states[:levels], outputs.hidden_states[levels:]
    assert [state.shape[2] for state in bottom_up] == list(model.aen.backbone.channels)
    assert [tuple(state.shape) for state in top_down] == [(batch, clips * frames, size)] * levels
    assert "hidden_states" not in model(videos())


@torch.no_grad()
def test_tuple_and_dataclass_are_equivalent():
    model = tiny_model()
    as_dataclass = model(videos(), labels=torch.tensor([0, 1]))
    as_tuple = model(videos(), labels=torch.tensor([0, 1]), return_dict=False)
    assert len(as_tuple) == len(as_dataclass.to_tuple())
    assert all(torch.equal(left, right) for left, right in zip(as_tuple, as_dataclass.to_tuple()))


@torch.no_grad()
def test_emotion_is_sentiment_times_emotion_within_it(model):
    outputs = model(videos())
    emotions, sentiments = outputs.logits.softmax(-1), outputs.sentiment_logits.softmax(-1)
    assert_same(outputs.logits.exp(), emotions)  # log-probabilities already
    assert_same(emotions.sum(-1), torch.ones(2))
    assert model.config.group_names == ["neutral", "positive", "negative", "surprise"]
    by_group = torch.stack([emotions[:, 0], emotions[:, 1], emotions[:, 2] + emotions[:, 3], emotions[:, 4]], dim=1)
    assert_same(sentiments, by_group)
    inside = outputs.emotion_scores[:, 2:4].softmax(-1)
    assert_same(emotions[:, 2:4] / sentiments[:, 2:3], inside)
    assert_same(outputs.clip_logits.exp().sum(-1), torch.ones(2, 4))
    # The sentiment has a head of its own: the emotions alone would give another one.
    assert (outputs.emotion_scores.softmax(-1) - emotions).abs().max() > 0.01


@torch.no_grad()
def test_a_calibrated_sentiment_is_the_sum_of_its_calibrated_emotions():
    model, frames = tiny_model(), videos(3)
    plain = model(frames)
    model.config.calibration_temperature = 2.5
    calibrated = model(frames)
    for name in ("logits", "clip_logits"):
        assert_same(calibrated[name].exp(), (plain[name] / 2.5).softmax(-1))
    emotions, groups = calibrated.logits.exp(), torch.tensor(model.groups)
    sums = torch.stack([emotions[:, groups == group].sum(-1) for group in range(groups.max() + 1)], dim=-1)
    assert_same(calibrated.sentiment_logits.softmax(-1), sums)
    for name in ("agreement", "emotion_scores", "frame_logits"):
        assert_same(calibrated[name], plain[name])


@torch.no_grad()
def test_the_sentiment_comes_first():
    model = tiny_model()
    before = model(videos())
    model.emotion_classifier.weight.neg_()
    after = model(videos())
    assert torch.equal(after.sentiment_logits, before.sentiment_logits)
    assert (after.logits - before.logits).abs().max() > 0.01


def test_levels_are_combined_from_the_deepest_to_the_shallowest_and_over_time():
    model = tiny_model()
    states = model(videos(), output_hidden_states=True).hidden_states[3:]
    for level, state in enumerate(states):
        reached = [
            torch.autograd.grad(state.sum(), top_down.projection.weight, retain_graph=True, allow_unused=True)[0]
            for top_down in model.aen.top_down
        ]
        assert [gradient is not None for gradient in reached] == [number <= level for number in range(3)]
    with torch.no_grad():
        forwards, backwards = model(videos()), model(videos().flip(1))
    assert_same(forwards.frame_logits.mean(1), backwards.frame_logits.mean(1))
    assert (forwards.logits - backwards.logits).abs().max() > 1e-3  # the same frames in another order


@torch.no_grad()
@pytest.mark.parametrize("names, num_groups", [("aaaaa", 1), ("abcde", 5), ("abbba", 2)])
def test_groups_of_all_labels_and_of_one(names, num_groups):
    model = tiny_model(emotion_groups=dict(zip(LABELS, names)))
    outputs = model(videos(), labels=torch.tensor([1, 3]), frame_targets=pseudo())
    assert_same(outputs.logits.exp().sum(-1), torch.ones(2))
    assert outputs.sentiment_logits.shape == (2, num_groups)
    if num_groups == 1:  # the sentiment is always the same: emotions alone decide
        assert_same(outputs.logits, outputs.emotion_scores.log_softmax(-1))
    if num_groups == 5:  # each group has one emotion: sentiments alone decide
        assert_same(outputs.logits, outputs.sentiment_logits)
    assert outputs.loss.isfinite()


@torch.no_grad()
def test_a_new_model_averages_its_frames(model):
    model = tiny_model(randomise_heads=False)
    outputs = model(videos())
    assert_same(outputs.logits, outputs.frame_logits.mean(1).log_softmax(-1))
    assert_same(outputs.clip_logits, outputs.frame_logits.unflatten(1, (4, 4)).mean(2).log_softmax(-1))


@torch.no_grad()
def test_frames_are_classified_alone_as_in_their_video():
    model = tiny_model()
    frames, outputs = videos(), model(videos())
    alone = model.classify_frames(frames[1, outputs.frame_indices[1]])
    assert_same(alone, outputs.frame_logits[1])


@torch.no_grad()
def test_agreement_counts_distinct_clips():
    model = tiny_model()
    outputs = model(videos(num_frames=2))
    assert outputs.num_valid_clips.tolist() == [2, 2]
    mask = distinct_clips(outputs.key_frame_indices)
    assert torch.equal(outputs.agreement, clip_agreement(outputs.clip_logits, mask))
    assert model(videos(num_frames=1)).num_valid_clips.tolist() == [1, 1]


@torch.no_grad()
def test_frames_are_spread_over_the_video_and_jittered_within_their_parts():
    model = tiny_model()
    assert model(videos(num_frames=64)).frame_indices[0].tolist() == list(range(2, 64, 4))
    jitter = torch.tensor([[0.0, 0.3, 0.6, 0.9]] * 2)
    expected = [4 * part + part // 4 for part in range(16)]
    assert model(videos(num_frames=64), clip_jitter=jitter).frame_indices[0].tolist() == expected
    model.train()
    assert len({tuple(model(videos(num_frames=64)).frame_indices[0].tolist()) for _ in range(6)}) > 3


def test_wrong_shapes_are_named():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"batch_size, num_frames, num_channels, height, width.*\(2, 3, 56, 56\)"):
        model(videos()[:, 0])
    with pytest.raises(ValueError, match=r"frame_mask.*\(2, 20\).*\(2, 19\)"):
        model(videos(), frame_mask=torch.ones(2, 19, dtype=torch.bool))
    with pytest.raises(ValueError, match="integers"):
        model(videos(), labels=torch.rand(2, 5))


# Length, padding, batching -------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 2, 7, 16, 33])
def test_a_padded_video_gives_what_it_gives_alone(num_frames):
    model = tiny_model()
    frames = videos(num_frames=40)
    frame_mask = torch.arange(40).expand(2, -1) < num_frames
    padded, alone = model(frames, frame_mask=frame_mask), model(frames[:, :num_frames])
    assert torch.equal(padded.key_frame_indices, alone.key_frame_indices)
    assert padded.key_frame_indices.max() < num_frames
    assert torch.equal(padded.num_valid_clips, alone.num_valid_clips)
    assert_same(padded.logits, alone.logits)
    assert_same(padded.frame_logits, alone.frame_logits)


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
def test_padding_may_stand_anywhere():
    model = tiny_model()
    frames = videos(num_frames=9)
    spread = torch.zeros(2, 30, 3, 56, 56, dtype=torch.uint8)
    frame_mask = torch.zeros(2, 30, dtype=torch.bool)
    positions = torch.tensor([2, 3, 4, 9, 10, 17, 18, 25, 28])
    spread[:, positions], frame_mask[:, positions] = frames, True
    outputs, expected = model(spread, frame_mask=frame_mask), model(frames)
    assert_same(outputs.logits, expected.logits)
    assert torch.equal(outputs.key_frame_indices, positions[expected.key_frame_indices])


# Training ------------------------------------------------------------------------------------------------------------


def test_gradients_reach_every_parameter(model):
    model.train()
    model(videos(), labels=torch.tensor([0, 3]), frame_targets=pseudo()).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_loss_is_the_weighted_sum_of_its_terms():
    labels, weights = torch.tensor([2, 3]), dict(zip(LOSSES, (1.0, 0.5, 0.25, 2.0, 4.0)))

    def loss(**kept):
        model = tiny_model(**{f"{name}_weight": kept.get(name, 0.0) for name in LOSSES})
        return model(videos(), labels=labels, frame_targets=pseudo())

    alone = {name: loss(**{name: weight}).loss for name, weight in weights.items()}
    assert all(value > 0 for value in alone.values())
    outputs = loss(**weights)
    assert_same(outputs.loss, sum(alone.values()))
    assert loss().loss == 0
    assert_same(alone["emotion_loss"], torch.nn.functional.cross_entropy(outputs.logits, labels))
    sentiment = torch.nn.functional.cross_entropy(outputs.sentiment_logits, torch.tensor([2, 2]))
    assert_same(alone["sentiment_loss"], 0.5 * sentiment)
    groups = [0, 1, 2, 2, 3]
    consistency = consistency_loss(outputs.sentiment_logits, outputs.emotion_scores, groups).mean()
    assert_same(alone["consistency_loss"], 0.25 * consistency)
    seen = torch.stack([pseudo()[video, outputs.frame_indices[video]] for video in range(2)])
    assert_same(alone["frame_guidance"], 2 * frame_guidance_loss(outputs.frame_logits, seen).mean())


def test_consistency_starts_at_zero():
    model = tiny_model(
        randomise_heads=False, **{f"{name}_weight": float(name == "consistency_loss") for name in LOSSES}
    )
    assert model(videos(), labels=torch.tensor([0, 3])).loss.abs() < 1e-6


def test_without_pseudo_labels_there_is_no_guidance_and_one_warning(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("modeling_rdfer"), "propagate", True)
    modeling_aen.logger.warning_once.cache_clear()
    inputs = {"labels": torch.tensor([0, 3]), "clip_jitter": torch.full((2, 4), 0.5)}
    unguided = tiny_model(frame_guidance_weight=0, clip_guidance_weight=0, dropout=0).train()
    expected = unguided(videos(), **inputs).loss
    assert not caplog.records
    model = tiny_model(dropout=0).train()
    losses = [model(videos(), **inputs).loss for _ in range(2)]
    assert_same(torch.stack(losses), expected.expand(2))
    assert len(caplog.records) == 1 and "without frame-level guidance" in caplog.text


@torch.no_grad()
def test_pseudo_labels_never_change_the_scores():
    model = tiny_model()
    assert torch.equal(model(videos()).logits, model(videos(), frame_targets=pseudo()).logits)


def test_labels_that_do_not_count():
    model = tiny_model(consistency_loss_weight=0.0)
    alone = model(videos(batch=1), labels=torch.tensor([3])).loss
    assert_same(model(videos(batch=2), labels=torch.tensor([3, -100])).loss, alone)


@pytest.mark.parametrize("guided", [False, True])
def test_it_learns(guided):
    model = tiny_model(False, frame_guidance_weight=float(guided), clip_guidance_weight=0.0, dropout=0.0).train()
    targets = torch.nn.functional.one_hot(torch.tensor([0, 3]).repeat(2, 10), 5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        outputs = model(
            videos(), labels=torch.tensor([2, 4]), frame_targets=targets, clip_jitter=torch.full((2, 4), 0.5)
        )
        optimizer.zero_grad()
        outputs.loss.backward()
        optimizer.step()
    assert outputs.logits.argmax(-1).tolist() == [2, 4]
    shown = targets.argmax(-1).gather(1, outputs.frame_indices)
    # Frames learn what they show, whatever the label of the video, and only with guidance.
    assert ((outputs.frame_logits.argmax(-1) == shown).float().mean() > 0.9) == guided


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_checkpointing_changes_nothing_but_memory(variant, use_reentrant):
    plain = tiny_model(**VARIANTS[variant], dropout=0.0).train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    assert checkpointed.is_gradient_checkpointing
    for model in (plain, checkpointed):
        torch.manual_seed(1)
        model(videos(), labels=torch.tensor([0, 3]), frame_targets=pseudo()).loss.backward()
    for (name, left), (_, right) in zip(plain.named_parameters(), checkpointed.named_parameters()):
        torch.testing.assert_close(left.grad, right.grad, msg=name, atol=1e-5, rtol=1e-4)
    for (name, left), (_, right) in zip(plain.named_buffers(), checkpointed.named_buffers()):
        assert torch.equal(left, right), name


def test_a_frozen_backbone_stays_as_it_is(model):
    model.freeze_backbone()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(videos(), labels=torch.tensor([0, 3]), frame_targets=pseudo()).loss.backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any("backbone" in name for name in changed)


# Saving, loading, initialisation -------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("auto_class", [AENForVideoClassification, AutoModelForVideoClassification])
def test_save_and_load_are_bit_equal(model, auto_class, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = auto_class.from_pretrained(tmp_path)
    assert type(loaded) is AENForVideoClassification and not loaded.training
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert torch.equal(loaded(videos()).logits, model(videos()).logits)


@torch.no_grad()
def test_base_model_loads_from_the_classifier_and_back(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path / "classifier")
    base = AutoModel.from_pretrained(tmp_path / "classifier")
    assert type(base) is AENModel
    assert torch.equal(base(videos()).clip_state, model(videos()).clip_state)
    base.save_pretrained(tmp_path / "base")
    again = AENForVideoClassification.from_pretrained(tmp_path / "base")
    assert torch.equal(again(videos()).clip_state, model(videos()).clip_state)
    assert again.emotion_classifier.weight.abs().max() == again.sentiment_classifier.weight.abs().max() == 0


@torch.no_grad()
def test_other_labels_load_with_ignore_mismatched_sizes(model, tmp_path):
    model.save_pretrained(tmp_path)
    labels = {0: "happy", 1: "sad", 2: "bored"}
    loaded, info = AENForVideoClassification.from_pretrained(
        tmp_path, id2label=labels, emotion_groups={"bored": "negative"}, ignore_mismatched_sizes=True,
        output_loading_info=True,
    )  # fmt: skip
    assert loaded.config.group_names == ["positive", "negative"]
    outputs = loaded(videos())
    assert outputs.logits.shape == (2, 3) and outputs.sentiment_logits.shape == (2, 2)
    resized = {name.rsplit(".", 1)[0] for name, *_ in info["mismatched_keys"]}
    assert resized == {"frame_classifier", "sentiment_classifier", "emotion_classifier"}
    with pytest.raises(ValueError, match="bored"):
        AENForVideoClassification.from_pretrained(tmp_path, id2label=labels, ignore_mismatched_sizes=True)


@torch.no_grad()
def test_from_backbone_pretrained_copies_the_weights_in(tmp_path):
    config = AENConfig.from_preset("tiny", id2label=LABELS, hidden_size=32)
    backbone = {**config.backbone_config.to_dict(), "out_features": None, "out_indices": None, "num_labels": 10}
    classifier = ResNetForImageClassification(ResNetConfig(**backbone))
    for buffer in classifier.buffers():
        buffer += 1
    classifier.save_pretrained(tmp_path / "resnet")
    model = AENForVideoClassification.from_backbone_pretrained(tmp_path / "resnet", config=config, num_levels=2)
    for name, value in model.aen.backbone.state_dict().items():
        assert torch.equal(value, classifier.resnet.state_dict()[name]), name
    assert list(model.aen.backbone.channels) == [32, 64] and len(model.aen.top_down) == 2
    assert model.config.hidden_size == 32 and model.config.id2label == dict(enumerate(LABELS))
    model.save_pretrained(tmp_path / "model")
    loaded = AENForVideoClassification.from_pretrained(tmp_path / "model")
    assert torch.equal(loaded(videos()).logits, model.eval()(videos()).logits)


# Precision, compilation, export --------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(model, dtype):
    expected = model(videos())
    outputs = model.to(dtype)(videos())
    assert outputs.logits.dtype == outputs.sentiment_logits.dtype == dtype
    assert_same(outputs.logits.float(), expected.logits, tolerance=0.15)


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
def test_exported_model_with_dynamic_batch_and_frames_gives_eager_logits():
    model = tiny_model()
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


# The assembled checkpoint --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_assembled_model_is_the_frame_classifier_of_rdfer_small():
    aen = AENForVideoClassification.from_pretrained(AEN_CHECKPOINT)
    rdfer = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    frames = videos(batch=5, num_frames=1, size=112)
    assert_same(aen.classify_frames(frames[:, 0]), rdfer.classify_frames(frames[:, 0]))
    assert_same(aen(frames).logits, rdfer(frames).logits.log_softmax(-1), tolerance=1e-4)
