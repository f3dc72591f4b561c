# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import AENForVideoClassification, RDFERForVideoClassification, explain, predict
from modeling_rdfer.cli import main
from modeling_rdfer.inference.explain import overlay
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT, DATA
from tests.helpers.tiny_models import CLIPS, TINY_VIT, VIDEO_ENCODERS, tiny_model, videos
from training.synthetic import plan_video
from training.synthetic.appearance import ACTION_UNITS
from training.synthetic.faces import POSE, VIEW

CLIP = DATA / "cap13_edit2.mp4"
SIZE = 48
SMILE, RAISED_BROWS = {12: 1.0, 25: 0.7}, {1: 0.9, 2: 1.0, 5: 0.6}


def drawn_face(index: int, units: dict[int, float]):
    """A face seen from the front that shows nothing but these action units; masks of its mouth and its brows."""
    plan = plan_video(5, index, hard=0).take(slice(0, 1))
    strengths, pose = np.zeros_like(plan.strengths), np.zeros_like(plan.pose)
    for unit, strength in units.items():
        strengths[:, ACTION_UNITS.index(unit)] = strength
    pose[:, POSE.index("scale")] = 1.0
    frame = torch.from_numpy(replace(plan, strengths=strengths, pose=pose).render(SIZE)[0])
    at = (torch.arange(SIZE) + 0.5) / SIZE * 2 * VIEW - VIEW
    x, y, me = at[None, :], at[:, None], plan.identity
    mouth = (x.abs() < 0.65) & ((y - me.nose_y - me.mouth_gap).abs() < 0.35)
    brows = (x.abs() < 0.85) & (y > me.eye_y - 0.6) & (y < me.eye_y + 0.12)
    return frame, mouth, brows


def concentration(model, units: dict[int, float], label: int, faces: range) -> tuple[float, float]:
    """How many times as much heat as chance would give is on the mouth, and on the brows; means over faces."""
    found = []
    for index in faces:
        frame, *regions = drawn_face(index, units)
        heat = explain(model, frame[None, None], labels=torch.tensor([label])).heatmaps.mean((0, 1, 2))
        shares = [heat[region].sum() / heat.sum().clamp(min=1e-9) for region in regions]
        found.append([share / region.float().mean() for share, region in zip(shares, regions)])
    mouth, brows = torch.tensor(found).mean(0).tolist()
    return mouth, brows


@pytest.mark.parametrize(
    ("model_class", "checkpoint"),
    [(RDFERForVideoClassification, CHECKPOINT), (AENForVideoClassification, AEN_CHECKPOINT)],
)
def test_a_smile_lights_up_the_mouth_and_raised_brows_the_brows(model_class, checkpoint):
    model = model_class.from_pretrained(checkpoint).eval()
    mouth, brows = concentration(model, SMILE, model.config.label2id["happy"], range(5))
    assert mouth > 1.5 and mouth > 1.5 * brows
    mouth, brows = concentration(model, RAISED_BROWS, model.config.label2id["surprise"], range(5))
    assert brows > 1.5 and brows > 1.5 * mouth


def test_explain_leaves_the_model_alone_and_needs_no_trainable_weights():
    model, frames = tiny_model(), videos()
    free = explain(model, frames)
    model.requires_grad_(False)
    with torch.inference_mode():
        frozen = explain(model, frames)
    torch.testing.assert_close(frozen.heatmaps, free.heatmaps)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    outputs = model(frames)
    assert free.labels.equal(outputs.logits.argmax(-1)) and free.key_frame_indices.equal(outputs.key_frame_indices)
    assert free.heatmaps.shape == (*outputs.key_frame_indices.shape, 56, 56)
    assert free.heatmaps.flatten(1).amax(1).tolist() == pytest.approx([1.0, 1.0])
    alone = explain(model, frames[1:])  # other videos make no difference
    torch.testing.assert_close(alone.heatmaps[0], free.heatmaps[1], atol=1e-3, rtol=1e-3)


# Patches so small that there are 8 x 8 of them, or 6 x 6.
TRANSFORMERS = {name: {**CLIPS, "backbone_config": {**each, "patch_size": 4}} for name, each in VIDEO_ENCODERS.items()}
TRANSFORMERS["images"] = {**CLIPS, "backbone_config": {**TINY_VIT, "image_size": 84}, "image_size": 84}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_heat_of_a_transformer_is_what_its_last_features_say_for_the_label(name):
    settings = TRANSFORMERS[name]
    # A new model averages what its classifier says of each place of each frame.
    model = tiny_model(randomise_heads=False, **settings)
    torch.nn.init.normal_(model.classifier.weight)
    frames = videos(size=settings["image_size"], num_frames=9)
    found = explain(model, frames, labels=torch.tensor([2, 0]))
    weights = model.classifier.weight.detach()
    weights = 1.5 * (weights - weights.mean(0))  # a label less the mean of the two others
    for video, label in enumerate(found.labels):
        with torch.no_grad():
            key_frames = model._normalise(frames[video, found.key_frame_indices[video].flatten()])
            (features,) = model.rdfer.backbone(key_frames).feature_maps
        heat = torch.einsum("nchw,c->nhw", features, weights[label]).relu()
        heat = torch.nn.functional.interpolate(heat[:, None], frames.shape[-2:], mode="bilinear")[:, 0]
        torch.testing.assert_close(found.heatmaps[video].flatten(0, 1), heat / heat.max(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VIDEO_ENCODERS)
def test_too_few_patches_for_a_map_are_refused(name):
    with pytest.raises(ValueError, match="no feature maps of 6 x 6 pixels for frames of .32, 32. pixels"):
        explain(tiny_model(backbone_config=VIDEO_ENCODERS[name], **CLIPS), videos(size=32, num_frames=9))


def test_frames_too_small_for_a_map_are_refused():
    with pytest.raises(ValueError, match="no feature maps of 6 x 6 pixels for frames of .8, 8. pixels"):
        explain(tiny_model(), videos(size=8))


def test_predict_returns_heat_maps_of_its_clips():
    answer = predict(CLIP, return_heatmaps=True)
    clips = answer.pop("clips")
    assert answer == predict(CLIP) and len(clips) == 4
    heat = torch.stack([clip["heatmaps"] for clip in clips])
    assert heat.shape == (4, 4, 48, 48) and heat.min() >= 0 and heat.max() == 1
    with pytest.raises(ValueError, match="return_heatmaps=True needs gradients, so engine='torch', got 'onnx'"):
        predict(CLIP, engine="onnx", return_heatmaps=True)


def test_the_command_writes_a_picture_for_each_video(tmp_path, capsys):
    assert (
        main(["predict", str(CLIP), str(tmp_path / "none.mp4"), "--json", "--heatmaps", str(tmp_path / "heat")]) == 1
    )
    first, second = json.loads(capsys.readouterr().out)["answers"]
    assert "clips" not in first and "error" in second
    (file,) = (tmp_path / "heat").iterdir()
    assert file.name == "0000_cap13_edit2.png" and Image.open(file).size == (3 * 4 * 48, 3 * 4 * 48)
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "o"), "--heatmaps", str(tmp_path / "heat")]) == 1
    assert "--heatmaps does not go with --out" in capsys.readouterr().err


def test_overlays_are_grey_where_nothing_speaks_for_the_label_and_red_where_most_does():
    frame = torch.full((3, 1, 2), 90, dtype=torch.uint8)
    picture = overlay(frame, torch.tensor([[0.0, 1.0]]))
    assert picture[:, 0, 0].tolist() == [90, 90, 90]
    red, green, blue = picture[:, 0, 1].tolist()
    assert red > 200 and green < 40 and blue < 40
