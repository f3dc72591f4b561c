# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Assembles hub_cards/aen-small from hub_cards/rdfer-small, bit for bit the same every time."""

from pathlib import Path

import numpy as np
import torch

from modeling_rdfer import AENConfig, AENForVideoClassification, RDFERForVideoClassification, RDFERVideoProcessor
from training.build.hub_folders import remove_code
from training.build.rdfer_small import FOLDER as RDFER_SMALL
from training.build.rdfer_small import store_half_precision
from training.running.script_parser import ScriptParser

FOLDER = RDFER_SMALL.with_name("aen-small")
EXAMPLES = "example: python -m training.build.aen_small"


def draw_matrices(state: dict[str, torch.Tensor]):
    """Initialises the untrained parts, which work over time: draws all matrices that are not zero. It uses NumPy's
    uniform draws, since PyTorch's normal draws differ between processors and versions.
    """
    generator = np.random.default_rng(0)
    for tensor in state.values():
        if tensor.ndim == 2 and tensor.abs().max() > 0:
            bound = (6 / sum(tensor.shape)) ** 0.5
            tensor.copy_(torch.from_numpy(generator.random(tensor.shape, dtype=np.float32) * 2 - 1) * bound)


def build_model(rdfer_small) -> AENForVideoClassification:
    """Builds preset `small` with the frame classifier of rdfer-small as backbone and frame head. The residual heads
    are zero.

    Args:
        rdfer_small (`str` or `os.PathLike`): folder of rdfer-small.

    Returns:
        [`AENForVideoClassification`] in evaluation mode.
    """
    source = RDFERForVideoClassification.from_pretrained(rdfer_small)
    model = AENForVideoClassification(AENConfig.from_preset("small", id2label=source.config.id2label)).eval()
    draw_matrices(model.state_dict())
    model.aen.backbone.load_state_dict(source.rdfer.backbone.state_dict())
    model.frame_classifier.load_state_dict(source.classifier.state_dict())
    model.config.calibration_temperature = source.config.calibration_temperature
    return model


def build(folder, rdfer_small=RDFER_SMALL):
    """Writes everything a Hub repository of the checkpoint holds, except its code and its card (README.md).

    Args:
        folder (`str` or `os.PathLike`): where to write; made if missing.
        rdfer_small (`str` or `os.PathLike`): folder of rdfer-small.

    Raises:
        OSError: if there is no such checkpoint.
    """
    model = build_model(rdfer_small)
    model.save_pretrained(folder)
    store_half_precision(Path(folder) / "model.safetensors")
    RDFERVideoProcessor.from_pretrained(rdfer_small).save_pretrained(folder)
    remove_code(folder)


def main(argv: list[str] | None = None):
    """Writes the checkpoint."""
    parser = ScriptParser("build.aen_small", __doc__, EXAMPLES)
    parser.add_argument("--output-dir", default=FOLDER, help="folder to write into (default: hub_cards/aen-small)")
    arguments = parser.parse_args(argv)
    build(arguments.output_dir)
    print(f"Wrote {arguments.output_dir}")


if __name__ == "__main__":
    main()
