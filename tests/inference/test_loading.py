# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file
from transformers import AutoConfig, AutoModelForVideoClassification, AutoVideoProcessor, pipeline

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor, predict
from modeling_rdfer.inference.errors import CheckpointReadError
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.tiny_models import CLIPS, VIDEO_ENCODERS, tiny_model, videos

CLIP = DATA / "cap13_edit2.mp4"


def scores_of(predictions: list[dict]) -> dict[str, float]:
    return {prediction["label"]: prediction["score"] for prediction in predictions}


def test_pipeline(expected, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    classify = pipeline("video-classification", model=str(CHECKPOINT))
    assert scores_of(classify(str(CLIP), top_k=7)) == pytest.approx(expected, abs=1e-5)
    assert [record.getMessage() for record in caplog.records if "not supported" in record.getMessage()] == []


def test_pipeline_in_batches(expected):
    # A pipeline collates batches with its `feature_extractor`; it has no other argument for a video processor.
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT)
    classify = pipeline("video-classification", model=str(CHECKPOINT), feature_extractor=processor)
    answers = classify([str(CLIP)] * 3, batch_size=2, top_k=7)
    assert len(answers) == 3
    for answer in answers:
        assert scores_of(answer) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loading", ["pipeline", "auto"])
def test_remote_code_where_the_package_is_not_installed(expected, tmp_path, hub_folders, loading):
    folder = tmp_path / "checkpoint"
    shutil.copytree(hub_folders / "rdfer-small", folder)
    script = f"""
import json, sys
sys.modules["modeling_rdfer"] = None  # as if it were not installed
if {loading == "pipeline"}:
    from transformers import pipeline
    classify = pipeline("video-classification", model={str(folder)!r}, trust_remote_code=True)
    print(json.dumps(classify({str(CLIP)!r}, top_k=7)))
else:
    from transformers import AutoConfig, AutoModelForVideoClassification, AutoVideoProcessor
    config = AutoConfig.from_pretrained({str(folder)!r}, trust_remote_code=True)
    model = AutoModelForVideoClassification.from_pretrained({str(folder)!r}, trust_remote_code=True)
    processor = AutoVideoProcessor.from_pretrained({str(folder)!r}, trust_remote_code=True)
    scores = model(**processor({str(CLIP)!r}, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    print(json.dumps([{{"label": config.id2label[i], "score": score}} for i, score in enumerate(scores)]))
    # A model loaded with remote code can be saved, and loaded again in the same way.
    model.save_pretrained({str(tmp_path / "again")!r})
    processor.save_pretrained({str(tmp_path / "again")!r})
    AutoModelForVideoClassification.from_pretrained({str(tmp_path / "again")!r}, trust_remote_code=True)
    AutoVideoProcessor.from_pretrained({str(tmp_path / "again")!r}, trust_remote_code=True).face_detector()
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": "", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    assert scores_of(answer) == pytest.approx(expected, abs=1e-5)


def test_remote_code_of_models_on_video_encoders(tmp_path):
    frames, expected = videos(size=32, num_frames=9), {}
    torch.save(frames, tmp_path / "frames.pt")
    for name, encoder in VIDEO_ENCODERS.items():
        model = tiny_model(backbone_config=encoder, **CLIPS)
        model.save_pretrained(tmp_path / name)
        with torch.no_grad():
            expected[name] = model(frames).logits.tolist()
    script = f"""
import json, sys
sys.modules["modeling_rdfer"] = None  # as if it were not installed
import torch
from transformers import AutoModelForVideoClassification
answers = {{}}
for name in {list(VIDEO_ENCODERS)!r}:
    model = AutoModelForVideoClassification.from_pretrained(name, trust_remote_code=True)
    with torch.no_grad():
        answers[name] = model(torch.load("frames.pt")).logits.tolist()
model.save_pretrained("again")  # the last one, whose encoder is of this package
AutoModelForVideoClassification.from_pretrained("again", trust_remote_code=True)
print(json.dumps(answers))
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": "", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout.strip().splitlines()[-1])
    for name, logits in expected.items():
        torch.testing.assert_close(answers[name], logits, atol=1e-5, rtol=0)


def test_auto_classes(expected):
    assert type(AutoConfig.from_pretrained(CHECKPOINT)) is RDFERConfig
    model = AutoModelForVideoClassification.from_pretrained(CHECKPOINT)
    processor = AutoVideoProcessor.from_pretrained(CHECKPOINT)
    assert type(model) is RDFERForVideoClassification and type(processor) is RDFERVideoProcessor
    with torch.no_grad():
        scores = model(**processor(CLIP, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    assert {model.config.id2label[i]: score for i, score in enumerate(scores)} == pytest.approx(expected, abs=1e-5)


def test_a_saved_checkpoint_holds_what_the_embedded_one_holds(tmp_path, hub_folders):
    """Its code, configuration, weights, face detector and a card: all a Hub repository needs."""
    RDFERForVideoClassification.from_pretrained(CHECKPOINT).save_pretrained(tmp_path)
    RDFERVideoProcessor.from_pretrained(CHECKPOINT).save_pretrained(tmp_path)
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    embedded = {path.name: path.read_bytes() for path in (hub_folders / "rdfer-small").iterdir()}
    assert saved.keys() == embedded.keys()
    stale = [name for name in saved if name.endswith(".py") and saved[name] != embedded[name]]
    assert stale == [] and saved["face_detector.safetensors"] == embedded["face_detector.safetensors"]
    # The embedded one stores its matrices in half precision.
    state, stored = load(saved["model.safetensors"]), load(embedded["model.safetensors"])
    assert state.keys() == stored.keys() and all(
        torch.equal(state[name], stored[name].to(state[name].dtype)) for name in state
    )


def test_the_name_of_the_embedded_checkpoint_stands_for_it(tmp_path, monkeypatch):
    assert predict(CLIP, "rdfer-small") == predict(CLIP)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rdfer-small").mkdir()
    with pytest.raises(
        FileNotFoundError, match="rdfer-small is not a checkpoint"
    ):  # a folder of one's own comes first
        predict(CLIP, "rdfer-small")


def test_predict_notices_a_checkpoint_that_has_changed(tmp_path):
    model = RDFERForVideoClassification(RDFERConfig.from_preset("tiny", id2label={0: "calm", 1: "excited"}))
    RDFERVideoProcessor(num_frames=8, size={"height": 56, "width": 56}).save_pretrained(tmp_path)
    for label in (0, 1):
        with torch.no_grad():
            model.classifier.bias.zero_()[label] = 50.0
        model.save_pretrained(tmp_path)
        assert predict(CLIP, model=str(tmp_path), top_k=1)["predictions"][0]["label"] == model.config.id2label[label]


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the embedded checkpoint."""
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "checkpoint"))


def with_tensor(checkpoint, change):
    """Writes the weights again after `change` did something to their dictionary."""
    tensors = load((checkpoint / "model.safetensors").read_bytes())
    change(tensors)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})


def edit_json(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


DAMAGE = {
    "config.json: .*JSON": lambda folder: (folder / "config.json").write_text("{"),
    "config.json: .*hidden_size": lambda folder: edit_json(folder / "config.json", hidden_size="x"),
    # Weights that do not fit would stay random.
    "config.json and model.safetensors: .* not there in its shapes: (\\S+, ){5}[.]{3}": lambda folder: edit_json(
        folder / "config.json", hidden_size=32
    ),
    "model.safetensors: 1 of the model's tensors .* classifier.bias": lambda folder: with_tensor(
        folder, lambda tensors: tensors.pop("classifier.bias")
    ),
    "model.safetensors: classifier.bias has numbers that are not finite": lambda folder: with_tensor(
        folder, lambda tensors: tensors["classifier.bias"].fill_(torch.inf)
    ),
    "its scores are not numbers; config.json or model.safetensors is damaged": lambda folder: with_tensor(
        folder, lambda tensors: tensors.update({"classifier.weight": torch.full((7, 192), 3e38)})
    ),
    "model.safetensors: .*[Hh]eader": lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100),
    "video_preprocessor_config.json: .*": lambda folder: (folder / "video_preprocessor_config.json").write_text("[]"),
    "video_preprocessor_config.json: face_margin must be above 0, got 0": lambda folder: edit_json(
        folder / "video_preprocessor_config.json", face_margin=0
    ),
    "face_detector.safetensors: ": lambda folder: (folder / "face_detector.safetensors").write_bytes(bytes(9)),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_of_a_checkpoint_gives_one_clear_error(checkpoint, message):
    DAMAGE[message](checkpoint)
    with pytest.raises(CheckpointReadError, match=f"Cannot use the checkpoint '{checkpoint}': .*{message}") as caught:
        predict(torch.zeros(4, 3, 112, 112, dtype=torch.uint8), model=str(checkpoint), do_face_crop=False)
    assert "\n" not in str(caught.value)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_checkpoint_is_executed(checkpoint, tmp_path):
    trace = tmp_path / "executed"
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CheckpointReadError, match="no file named model.safetensors"):
        predict(CLIP, model=str(checkpoint))
    (checkpoint / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: pass\n")
    edit_json(checkpoint / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil"})
    with pytest.raises(CheckpointReadError, match="config.json: .*trust_remote_code"):
        predict(CLIP, model=str(checkpoint))
    assert not trace.exists()
