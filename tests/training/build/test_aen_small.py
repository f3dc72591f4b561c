# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The checkpoint aen-small through every door that rdfer-small has."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForVideoClassification, AutoVideoProcessor, pipeline

from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERVideoProcessor, predict, timeline
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT, DATA
from tests.inference.test_predict import scores_of
from training.build.aen_small import build

CLIP = DATA / "cap13_edit2.mp4"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    """Label -> probability for the clip, by the plainest door."""
    model = AENForVideoClassification.from_pretrained(AEN_CHECKPOINT)
    processor = RDFERVideoProcessor.from_pretrained(AEN_CHECKPOINT)
    with torch.no_grad():
        scores = model(**processor(CLIP, return_tensors="pt")).logits.softmax(-1)[0]
    return {model.config.id2label[index]: score.item() for index, score in enumerate(scores)}


def test_the_committed_checkpoint_is_rebuilt_bit_for_bit(tmp_path):
    build(tmp_path)
    committed = {path.name: path.read_bytes() for path in AEN_CHECKPOINT.iterdir() if path.is_file()}
    committed.pop("README.md")
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    built.pop("README.md")  # a general one: training.build.cards writes that of the checkpoint
    assert built.keys() == committed.keys()
    stale = [name for name in built if built[name] != committed[name]]
    assert stale == [], "run python -m training.build.aen_small"


def test_auto_classes_and_pipeline(expected):
    assert type(AutoConfig.from_pretrained(AEN_CHECKPOINT)) is AENConfig
    assert type(AutoModelForVideoClassification.from_pretrained(AEN_CHECKPOINT)) is AENForVideoClassification
    assert type(AutoVideoProcessor.from_pretrained(AEN_CHECKPOINT)) is RDFERVideoProcessor
    classify = pipeline("video-classification", model=str(AEN_CHECKPOINT))
    assert scores_of(classify(str(CLIP), top_k=7)) == pytest.approx(expected, abs=1e-5)


def test_remote_code_where_the_package_is_not_installed(expected, tmp_path, hub_folders):
    shutil.copytree(hub_folders / "aen-small", tmp_path / "checkpoint")
    script = f"""
import json, sys
sys.modules["modeling_rdfer"] = None  # importing it fails, as where it is not installed
from transformers import AutoModelForVideoClassification, pipeline
classify = pipeline("video-classification", model={str(tmp_path / "checkpoint")!r}, trust_remote_code=True)
# What was loaded with remote code can be saved and loaded again the same way.
classify.model.save_pretrained({str(tmp_path / "again")!r})
AutoModelForVideoClassification.from_pretrained({str(tmp_path / "again")!r}, trust_remote_code=True)
print(json.dumps(classify({str(CLIP)!r}, top_k=7)))
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": "", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert scores_of(json.loads(result.stdout.strip().splitlines()[-1])) == pytest.approx(expected, abs=1e-5)


def test_predict_and_command(expected):
    answer = predict(CLIP, model=AEN_CHECKPOINT)
    assert scores_of(answer["predictions"]) == pytest.approx(expected, abs=1e-5)
    assert answer["predictions"][0]["label"] == "neutral"  # most of the clip, as rdfer-small says
    command = [sys.executable, "-m", "modeling_rdfer", "predict", str(CLIP), "--model", str(AEN_CHECKPOINT), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    (printed,) = json.loads(output)["answers"]
    assert scores_of(printed["predictions"]) == pytest.approx(expected, abs=1e-5)
    assert printed["agreement"] == answer["agreement"] == 1.0


def test_timeline_tells_the_labelled_stretches_as_rdfer_small_does():
    answers = {}
    for checkpoint in (CHECKPOINT, AEN_CHECKPOINT):
        windows = timeline(CLIP, model=checkpoint, window=0.5, step=1.5)
        answers[checkpoint] = [window.label for window in windows]
        assert all(0 <= window.start_seconds <= window.key_frame_seconds <= window.end_seconds for window in windows)
    rdfer, aen = answers.values()
    assert {"neutral", "surprise"} <= set(aen)
    # RDFER looks at the key frames, AEN at all parts of a window: they may differ where the expression changes.
    assert sum(one == other for one, other in zip(rdfer, aen)) >= 0.85 * len(aen)
