# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import copy
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERModel,
)
from modeling_rdfer.cli import main
from modeling_rdfer.inference.export import export
from modeling_rdfer.inference.onnx import ONNXModel
from tests.helpers.paths import DATA, ROOT
from tests.helpers.tiny_models import CLIPS, VIDEO_ENCODERS, tiny_model

CLIP = DATA / "cap13_edit2.mp4"
TOLERANCE = 1e-4


def videos(config, batch: int, num_frames: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random frames; every row but the first ends in padding."""
    generator = torch.Generator().manual_seed(seed)
    size = config.image_size
    mask = torch.ones(batch, num_frames, dtype=torch.bool)
    for row in range(1, batch):
        mask[row, (num_frames + row) // (row + 1) :] = False
    pixel_values = torch.randint(0, 256, (batch, num_frames, 3, size, size), dtype=torch.uint8, generator=generator)
    return {"pixel_values_videos": pixel_values, "frame_mask": mask}


@torch.inference_mode()
def assert_parity(model, run, batch: int, num_frames: int):
    inputs = videos(model.config, batch, num_frames)
    expected, answer = model(**inputs), run(**inputs)
    assert list(answer) == list(expected)
    for name, value in expected.items():
        assert answer[name].shape == value.shape and answer[name].dtype == value.dtype, name
        if not value.is_floating_point():
            assert torch.equal(answer[name], value), name
        elif name.endswith("logits") and model.config.problem_type != "regression":
            is_multi_label = model.config.problem_type == "multi_label_classification"
            scores = [x.sigmoid() if is_multi_label else x.softmax(-1) for x in (answer[name], value)]
            torch.testing.assert_close(*scores, atol=TOLERANCE, rtol=0, msg=name)
        else:
            torch.testing.assert_close(answer[name], value, atol=TOLERANCE, rtol=TOLERANCE, msg=name)


@pytest.mark.parametrize("batch, num_frames", [(1, 1), (3, 1), (3, 5), (1, 16), (3, 64), (1, 100)])
def test_onnx_gives_the_answers_of_the_model(rdfer, cached_file, aen, aen_file, batch, num_frames):
    assert_parity(rdfer, ONNXModel(cached_file, rdfer.config), batch, num_frames)
    assert_parity(aen, ONNXModel(aen_file, aen.config), batch, num_frames)


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO_ENCODERS)
def test_a_model_on_a_video_encoder_gives_the_same_answers_in_onnx(tmp_path, name):
    model = tiny_model(backbone_config=VIDEO_ENCODERS[name], **CLIPS)
    assert export(model, tmp_path / "video.onnx") <= TOLERANCE
    run = ONNXModel(tmp_path / "video.onnx", model.config)
    for batch, num_frames in ((1, 1), (3, 9)):
        assert_parity(model, run, batch, num_frames)


def test_batch_and_padding_change_nothing_in_the_file_itself(rdfer, cached_file):
    inputs = {name: tensor.numpy() for name, tensor in videos(rdfer.config, 3, 12).items()}
    runtime = onnxruntime.InferenceSession(cached_file, providers=["CPUExecutionProvider"])
    (together,) = runtime.run(["logits"], inputs)
    for row, mask in enumerate(inputs["frame_mask"]):
        real = inputs["pixel_values_videos"][row : row + 1, : mask.sum()]
        (alone,) = runtime.run(["logits"], {"pixel_values_videos": real, "frame_mask": mask[None, : mask.sum()]})
        np.testing.assert_allclose(together[row], alone[0], atol=TOLERANCE)
    # A video without real frames raises an error.
    with pytest.raises(Exception, match="invalid index"):
        runtime.run(["logits"], {**inputs, "frame_mask": np.zeros_like(inputs["frame_mask"])})


def test_metadata_has_what_a_user_without_the_package_needs(rdfer, cached_file, aen, aen_file):
    facts = onnxruntime.InferenceSession(cached_file).get_modelmeta().custom_metadata_map
    assert json.loads(facts["labels"]) == [rdfer.config.id2label[i] for i in range(7)]
    assert (facts["model_type"], facts["image_size"], facts["num_frames"]) == ("rdfer", "48", "64")
    assert facts["problem_type"] == "single_label_classification"
    runtime = onnxruntime.InferenceSession(aen_file)
    facts = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(facts["sentiments"]) == aen.config.group_names
    # The logits are divided already, so nobody is told the temperature.
    assert facts["calibrated"] == "true" and "calibration_temperature" not in facts
    assert (facts["image_size"], facts["num_frames"]) == ("56", "32")
    assert (facts["do_face_crop"], facts["face_margin"]) == ("true", "1.3")
    shapes = {tensor.name: (tensor.shape, tensor.type) for tensor in (*runtime.get_inputs(), *runtime.get_outputs())}
    assert shapes["pixel_values_videos"] == (["batch", "frames", 3, 56, 56], "tensor(uint8)")
    assert shapes["frame_mask"] == (["batch", "frames"], "tensor(bool)")
    assert shapes["sentiment_logits"] == (["batch", 4], "tensor(float)")


def without(code: str, *modules: str) -> str:
    """Code that runs as if these modules were not installed."""
    return f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n{code}"


def test_the_example_of_the_docs_needs_no_package(cached_file, tmp_path):
    page = (ROOT / "docs" / "guides" / "export.md").read_text(encoding="utf-8")
    code = re.search(r"<!-- Example without the package -->\n```python\n(.*?)```", page, re.S)[1]
    shutil.copy(cached_file, tmp_path / "rdfer.onnx")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    code = without(code, "torch", "transformers", "modeling_rdfer")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == re.search(r"# (neutral .*)", code)[1]


def test_torch_export_runs_without_the_package(aen, tmp_path):
    config, model = aen.config, copy.deepcopy(aen).bfloat16().train()
    assert export(model, tmp_path / "tiny.pt2", "torch-export") <= TOLERANCE
    assert model.training and model.dtype == torch.bfloat16  # not changed
    inputs = videos(config, 2, 9)
    torch.save(inputs, tmp_path / "inputs.pt")
    code = """
import json, torch
facts = {"metadata.json": ""}
program = torch.export.load("tiny.pt2", extra_files=facts).module()
outputs = program(**torch.load("inputs.pt"))
print(json.dumps([json.loads(json.loads(facts["metadata.json"])["labels"]), outputs["logits"].tolist()]))
"""
    code = without(code, "transformers", "modeling_rdfer")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    told_labels, logits = json.loads(result.stdout)
    assert told_labels == list(config.id2label.values())
    with torch.no_grad():
        expected = model.float().eval()(**inputs).logits
    torch.testing.assert_close(torch.tensor(logits), expected, atol=TOLERANCE, rtol=0)

    # If the comparison fails, no file is written, and an earlier file stays.
    model.frame_classifier.weight.data.fill_(torch.nan)
    before = (tmp_path / "tiny.pt2").read_bytes()
    names = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="differ by nan"):
        export(model, tmp_path / "tiny.pt2", "torch-export")
    assert (tmp_path / "tiny.pt2").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_what_cannot_be_exported_is_one_error(rdfer, tmp_path, capsys, monkeypatch):
    assert main(["export", "--format", "torch-export", "--out", str(tmp_path / "a.onnx")]) == 1
    assert ".pt2" in capsys.readouterr().err
    with pytest.raises(ValueError, match="RDFERModel"):
        export(rdfer.base_model, tmp_path / "a.onnx")
    assert isinstance(rdfer.base_model, RDFERModel)
    assert main(["predict", str(CLIP), "--engine", "onnx", "--device", "cuda"]) == 1
    assert "CPU" in capsys.readouterr().err
    # As if onnxruntime were not installed.
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for arguments in (["export", "--out", str(tmp_path / "a.onnx")], ["predict", str(CLIP), "--engine", "onnx"]):
        from modeling_rdfer.inference.loading import _load_onnx

        _load_onnx.cache_clear()
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert "onnxruntime" in error and "modeling-rdfer[onnx]" in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_class, config",
    [
        (RDFERForVideoClassification, RDFERConfig.from_preset("tiny", num_labels=5, temporal_shift=True)),
        (
            RDFERForVideoClassification,
            RDFERConfig.from_preset("tiny", num_clips=1, frames_per_clip=1, num_detector_frames=1, num_labels=2),
        ),
        (
            RDFERForVideoClassification,
            RDFERConfig.from_preset(
                "tiny",
                num_labels=4,
                problem_type="multi_label_classification",
                clip_stride=3,
                min_clip_separation=9,
                num_recurrent_layers=2,
                num_long_term_layers=2,
            ),
        ),
        (
            RDFERForVideoClassification,
            RDFERConfig.from_preset(
                "tiny", num_labels=1, problem_type="regression", image_size=75, detector_image_size=32, num_clips=7
            ),
        ),
        (
            RDFERForVideoClassification,
            RDFERConfig.from_preset(
                "tiny",
                num_labels=3,
                backbone_config={
                    "model_type": "timm_backbone",
                    "backbone": "mobilenetv3_small_050",
                    "out_indices": [4],
                    "use_pretrained_backbone": False,
                },
            ),
        ),
        (
            RDFERForVideoClassification,
            RDFERConfig.from_preset("tiny", num_clips=3, frames_per_clip=2, resampling="uniform", num_labels=3),
        ),
        (AENForVideoClassification, AENConfig.from_preset("tiny", num_clips=2, frames_per_clip=5)),
    ],
)
def test_other_configurations(model_class, config, tmp_path):
    torch.manual_seed(0)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # the residual parts start at zero
            parameter.add_(0.05 * torch.randn_like(parameter))
    export(model, tmp_path / "a.pt2", "torch-export")
    export(model, tmp_path / "a.onnx")
    run = ONNXModel(tmp_path / "a.onnx", config)
    for batch, num_frames in ((1, 1), (3, 2), (3, 16), (2, 64), (1, 100)):
        assert_parity(model, run, batch, num_frames)
