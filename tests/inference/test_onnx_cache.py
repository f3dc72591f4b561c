# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import modeling_rdfer
from modeling_rdfer import RDFERForVideoClassification, predict, timeline
from modeling_rdfer.cli import main
from modeling_rdfer.inference.onnx_cache import _cache_key
from tests.helpers.paths import CHECKPOINT, DATA

CLIP = DATA / "cap13_edit2.mp4"
TOLERANCE = 1e-4


def scores(answer: dict) -> dict[str, float]:
    return {prediction["label"]: prediction["score"] for prediction in answer["predictions"]}


def test_predict_with_onnx_gives_the_same_answers(cached_file, tmp_path, capsys):
    options = {"top_k": 3, "batch_size": 2, "return_clips": True}
    broken = tmp_path / "broken.mp4"
    broken.write_text("text")
    batch = [CLIP, broken, torch.randint(0, 256, (5, 3, 80, 60), dtype=torch.uint8)]
    for more in ({"face": "all", "on_missing_face": "full_frame"}, {"do_face_crop": False}):
        expected = predict(batch, on_error="report", **options, **more)
        answers = predict(batch, on_error="report", **options, **more, engine="onnx")
        assert len(answers) == len(expected) == 3
        assert answers[1] == expected[1] and "broken.mp4" in answers[1]["error"]
        for answer, wanted in zip(answers[::2], expected[::2]):
            assert list(scores(answer)) == list(scores(wanted))
            assert scores(answer) == pytest.approx(scores(wanted), abs=TOLERANCE)
            assert answer["agreement"] == wanted["agreement"]
            assert [clip["seconds"] for clip in answer["clips"]] == [clip["seconds"] for clip in wanted["clips"]]

    written = cached_file.stat().st_mtime_ns
    assert main(["predict", str(CLIP), "--engine", "onnx", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert scores(answer) == pytest.approx(scores(predict(CLIP)), abs=TOLERANCE)
    assert cached_file.stat().st_mtime_ns == written  # not exported again


def test_timeline_with_onnx_gives_the_same_windows(cached_file):
    options = {"window": 4.0, "step": 4.0, "do_face_crop": False}
    for window, expected in zip(timeline(CLIP, **options, engine="onnx"), timeline(CLIP, **options), strict=True):
        assert window.scores == pytest.approx(expected.scores, abs=TOLERANCE)
        assert window.key_frame_seconds == expected.key_frame_seconds


def test_cached_files_belong_to_weights_and_settings(rdfer):
    known = _cache_key(rdfer)
    other = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    assert _cache_key(other) == known
    other.classifier.bias.data[0] += 1e-3
    assert _cache_key(other) != known
    assert _cache_key(RDFERForVideoClassification.from_pretrained(CHECKPOINT, saliency_floor=0.2)) != known


def test_only_the_code_of_the_model_and_of_the_export_invalidates_the_cache(tmp_path):
    package = Path(modeling_rdfer.__file__).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    script = """
import json
from pathlib import Path
import modeling_rdfer
from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.inference.onnx_cache import _cache_key
folder = Path(modeling_rdfer.__file__).parent
models = [
    RDFERForVideoClassification(RDFERConfig.from_preset("tiny")),
    AENForVideoClassification(AENConfig.from_preset("tiny")),
]
changed = {}
keys = [_cache_key(model) for model in models]
for file in sorted(folder.rglob("*.py")):
    text = file.read_text()
    file.write_text(text + "# A comment")
    name = file.relative_to(folder).as_posix()
    changed[name] = [_cache_key(model) != key for model, key in zip(models, keys)]
    file.write_text(text)
print(json.dumps(changed))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    changed = json.loads(result.stdout)
    both = {"inference/export.py", "models/agreement_rdfer.py", "models/configuration_rdfer.py"}
    both |= {"models/face_confidence_rdfer.py", "models/frame_net_rdfer.py", "models/video_backbone_rdfer.py"}
    both |= {"models/clip_encoder_rdfer.py", "models/region_encoder_rdfer.py"}
    rdfer = {"models/modeling_rdfer.py", "models/resampling_rdfer.py"}
    assert {name for name, (rdfer, _) in changed.items() if rdfer} == both | rdfer
    aen = {"models/modeling_aen.py", "models/configuration_aen.py", "models/loss_aen.py", "models/labels_rdfer.py"}
    assert {name for name, (_, aen) in changed.items() if aen} == both | aen
    assert {"cli.py", "models/video_decoding_rdfer.py"} < changed.keys()
