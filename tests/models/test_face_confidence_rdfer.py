# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A face in profile lowers the confidence of the answer, and a frontal one does not."""

import pytest
import torch
from transformers import pipeline

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
    predict,
)
from modeling_rdfer.models.face_confidence_rdfer import face_confidence
from modeling_rdfer.models.loss_aen import group_log_sums
from tests.helpers.faces import paste, turn_to_the_side
from tests.helpers.paths import CHECKPOINT


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [([0, 20, -45], 1), ([65] * 3, 0.5), ([-90] * 3, 0.5), ([55], 0.75), ([0] * 3 + [80], 0.875)],
)
def test_confidence_falls_from_45_to_65_degrees(degrees, expected):
    assert face_confidence(torch.tensor(degrees).deg2rad()) == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def turned_videos(face):
    """The same face seen from the front, at 40 degrees and in profile, eight frames each."""
    return [paste([turn_to_the_side(face, degrees)] * 8, [(200, 100)] * 8) for degrees in (0, 40, 80)]


def test_a_profile_lowers_the_confidence_and_a_half_turned_face_does_not(turned_videos):
    processor = RDFERVideoProcessor(num_frames=8, do_face_crop=True)
    inputs = processor(turned_videos, return_tensors="pt")
    assert inputs["face_confidence"].dtype == torch.float32 and inputs["face_confidence"].shape == (3,)
    assert inputs["face_confidence"][:2].tolist() == [1, 1]
    assert 0.5 <= float(inputs["face_confidence"][2]) < 0.7
    assert "face_confidence" not in processor(turned_videos, do_face_crop=False)


def test_the_scores_of_a_profile_are_closer_to_each_other(turned_videos):
    profile = turned_videos[2]
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT)
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT).eval()
    inputs = processor(profile, return_tensors="pt")
    with torch.no_grad():
        lowered, plain = model(**inputs).logits, model(inputs["pixel_values_videos"], inputs["frame_mask"]).logits
    torch.testing.assert_close(lowered, plain * inputs["face_confidence"])
    expected = lowered.softmax(-1).sort(descending=True).values[0]
    assert float(expected[0]) < float(plain.softmax(-1).max()) - 0.01
    answer = predict(profile, str(CHECKPOINT), device="cpu")
    assert [each["score"] for each in answer["predictions"]] == pytest.approx(expected.tolist(), abs=1e-4)
    piped = pipeline("video-classification", model=str(CHECKPOINT), device="cpu", top_k=7)(profile)
    assert [each["score"] for each in piped] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("model_class", "config_class"),
    [(RDFERForVideoClassification, RDFERConfig), (AENForVideoClassification, AENConfig)],
)
def test_the_confidence_belongs_to_its_row_and_keeps_the_order(model_class, config_class):
    torch.manual_seed(0)
    model = model_class(config_class.from_preset("tiny")).eval()
    videos = torch.randint(0, 256, (2, 8, 3, model.config.image_size, model.config.image_size), dtype=torch.uint8)
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        plain = model(videos, labels=labels)
        lowered = model(videos, labels=labels, face_confidence=torch.tensor([1.0, 0.5]))
    for name in ("logits", "clip_logits"):
        before, after = plain[name].log_softmax(-1), lowered[name].log_softmax(-1)
        torch.testing.assert_close(after[0], before[0])
        torch.testing.assert_close(after[1], (0.5 * before[1]).log_softmax(-1))
    assert torch.equal(lowered.loss, plain.loss)
    # What the processor returns can be passed to the model without heads, too.
    model.base_model(videos, face_confidence=torch.tensor([1.0, 0.5]))
    if model.config.model_type == "aen":
        groups = group_log_sums(lowered.logits, model.config.group_of_label)
        torch.testing.assert_close(lowered.sentiment_logits, groups)
    with pytest.raises(ValueError, match=r"face_confidence.*\(2,\)"):
        model(videos, face_confidence=torch.ones(3))


def test_the_numbers_of_a_regression_are_left_alone():
    config = RDFERConfig.from_preset("tiny", num_labels=1, problem_type="regression")
    model = RDFERForVideoClassification(config).eval()
    videos = torch.randint(0, 256, (1, 8, 3, config.image_size, config.image_size), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(videos, face_confidence=torch.tensor([0.5])).logits, model(videos).logits)
