# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The detector finds the reference boxes at any size, small faces too, and refuses what it cannot use."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.ops import box_iou
from torchvision.transforms.v2 import functional as tvF

from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from modeling_rdfer.models.face_tracking_rdfer import track_faces
from tests.helpers.faces import FACE_SIDE, furthest, paste, shrink, sides
from tests.helpers.paths import CHECKPOINT

WEIGHTS = CHECKPOINT / "face_detector.safetensors"


@pytest.mark.parametrize(("model", "least_iou"), [("front", 0.98), ("back", 0.8)])
def test_detect_finds_the_reference_boxes(detector, reference, reference_frames, model, least_iou):
    found = detector.detect(reference_frames, model)
    assert [len(boxes) for boxes in found] == [1] * 12
    ious = box_iou(torch.cat(found)[:, :4], torch.from_numpy(reference["face_boxes_xyxy"])).diagonal()
    assert float(ious.min()) > least_iou
    assert all(0.8 < float(boxes[0, 4]) <= 1 for boxes in found)


def test_detect_is_the_same_alone_and_in_a_batch(detector, reference_frames):
    together = detector.detect(reference_frames)
    for i in (0, 5, 11):
        alone = detector.detect(reference_frames[i : i + 1])[0]
        torch.testing.assert_close(alone, together[i], rtol=1e-4, atol=1e-2)
    picked = detector.detect(reference_frames, indices=[11, 0])
    torch.testing.assert_close(picked[0], together[11], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(picked[1], together[0], rtol=1e-4, atol=1e-2)


def test_detect_gives_pixels_of_the_frame_at_any_size(detector, reference_frames):
    frame = reference_frames[:1]
    box = detector.detect(frame)[0][0, :4]
    for height, width in [(600, 800), (1080, 1440), (150, 200), (211, 281)]:
        resized = tvF.resize(frame, [height, width], antialias=True)
        expected = box * torch.tensor([width / 400, height / 300] * 2)
        found = detector.detect(resized)[0]
        assert float(box_iou(found[:1, :4], expected[None])) > 0.8, (height, width)
    portrait = torch.nn.functional.pad(frame, (0, 0, 250, 150))
    moved = detector.detect(portrait, "back")[0]
    assert float(box_iou(moved[:1, :4], (box + torch.tensor([0.0, 250.0, 0.0, 250.0]))[None])) > 0.7


def test_back_net_finds_a_small_face_that_front_misses(detector, face):
    scale = 0.35
    frames = paste([shrink(face, scale)], [(300, 200)])
    assert len(detector.detect(frames, "front")[0]) == 0
    found = detector.detect(frames, "back")[0]
    assert len(found) == 1
    assert furthest(found, [(300, 200)], scale) < 0.15
    assert 0.7 < float(sides(found)) / (FACE_SIDE * scale) < 1.3


def test_detect_keeps_one_box_a_face_and_orders_by_score(detector, face):
    found = detector.detect(paste([torch.cat([face, face], 2)], [(100, 100)]))[0]
    assert len(found) == 2
    assert float(box_iou(found[:1, :4], found[1:, :4])) == 0
    assert found[0, 4] >= found[1, 4]


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (1, 300), (2, 7), (8, 8)])
def test_tiny_frames_have_no_face(detector, shape):
    frames = torch.randint(0, 256, (3, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert [len(boxes) for boxes in detector.detect(frames, "back")] == [0] * 3
    assert track_faces(frames, detector) == []


def test_grey_frames_are_detected(detector, reference, reference_frames):
    grey = tvF.rgb_to_grayscale(reference_frames, num_output_channels=3)
    found = torch.cat([boxes[:1] for boxes in detector.detect(grey)])
    assert float(box_iou(found[:, :4], torch.from_numpy(reference["face_boxes_xyxy"])).diagonal().min()) > 0.85


def test_unknown_net_is_refused(detector, reference_frames):
    with pytest.raises(ValueError, match="'side'"):
        detector.detect(reference_frames, "side")


def test_float32_and_float16_files_give_the_same_detector(detector, reference_frames, tmp_path):
    save_file({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, tmp_path / "w.safetensors")
    other = RDFERFaceDetector.from_file(tmp_path / "w.safetensors")
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    for a, b in zip(detector.detect(reference_frames), other.detect(reference_frames)):
        assert torch.equal(a, b)


def test_wrong_weight_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        RDFERFaceDetector.from_file(tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    state = load_file(WEIGHTS)
    state.pop("front.c1.bias")
    save_file(state, tmp_path / "part.safetensors")
    for name in ("text.safetensors", "part.safetensors"):
        with pytest.raises(ValueError, match=name):
            RDFERFaceDetector.from_file(tmp_path / name)
