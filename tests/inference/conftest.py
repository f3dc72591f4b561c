# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from huggingface_hub import cached_assets_path
from PIL import Image

from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.cli import main
from modeling_rdfer.inference.onnx_cache import load_onnx_model
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.people_videos import LEFT, write_pictures


@pytest.fixture(scope="session")
def expected() -> dict[str, float]:
    """Label -> probability for the clip, computed without `predict`."""
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT)
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT)
    with torch.no_grad():
        scores = model(**processor(DATA / "cap13_edit2.mp4", return_tensors="pt")).logits.softmax(-1)[0]
    return {model.config.id2label[index]: score.item() for index, score in enumerate(scores)}


@pytest.fixture(scope="session")
def noise_video(tmp_path_factory) -> Path:
    """A folder of 20 frames of noise: a readable video without a face."""
    folder = tmp_path_factory.mktemp("noise")
    frames = np.random.default_rng(0).integers(0, 256, (20, 96, 128, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture(scope="session")
def rdfer():
    return RDFERForVideoClassification.from_pretrained(CHECKPOINT).eval()


@pytest.fixture(scope="session")
def cached_file(rdfer) -> Path:
    """rdfer-small as an ONNX file, exported by its first use."""
    load_onnx_model(rdfer)
    (file,) = cached_assets_path("modeling-rdfer", namespace="onnx").glob("*.onnx")
    return file


@pytest.fixture(scope="session")
def aen():
    backbone = {**AENConfig.presets["tiny"]["backbone_config"], "depths": [1], "hidden_sizes": [16]}
    config = AENConfig.from_preset(
        "tiny",
        backbone_config={**backbone, "out_features": ["stage1"]},
        num_frames=32,
        calibration_temperature=2.0,
    )
    model = AENForVideoClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # the residual parts start at zero
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return model


@pytest.fixture(scope="session")
def aen_file(aen, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aen")
    aen.save_pretrained(folder / "checkpoint")
    RDFERVideoProcessor(do_face_crop=True, size={"height": 56, "width": 56}).save_pretrained(folder / "checkpoint")
    file = folder / "new folder" / "aen.onnx"
    assert main(["export", "--model", str(folder / "checkpoint"), "--out", str(file)]) == 0
    assert [path.name for path in file.parent.iterdir()] == ["aen.onnx"]
    return file


@pytest.fixture(scope="session")
def faces():
    """75 frames of a face, 300 x 300 pixels."""
    with av.open(str(DATA / "cap13_edit2.mp4")) as container:
        return [f.to_ndarray(format="rgb24")[:, 50:350] for f, _ in zip(container.decode(video=0), range(75))]


@pytest.fixture(scope="session")
def meeting(faces, tmp_path_factory):
    """6 s: the left person all the time; the right one leaves after 2 s and is back after 4 s."""
    pictures = []
    for number in range(150):
        picture = np.full((300, 640, 3), 110, np.uint8)
        picture[:, LEFT] = faces[number % 75]
        if not 50 <= number < 100:
            picture[25:275, 380:630] = faces[(number + 30) % 75][25:275, 275:25:-1]
        pictures.append(picture)
    path = tmp_path_factory.mktemp("people") / "meeting.mp4"
    write_pictures(path, pictures)
    return path
