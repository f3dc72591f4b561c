# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Makes complete Hub folders of rdfer-small and aen-small: what hub_cards/ holds (configuration, weights, card) and
the code that travels with a checkpoint. They hold what a push uploads, and load with `trust_remote_code=True`.
"""

import shutil
from pathlib import Path

from modeling_rdfer.hub.push import code_files, files_to_push
from training.running.script_parser import ScriptParser

REPOSITORY = Path(__file__).parents[2]
HUB_CARDS = REPOSITORY / "hub_cards"
CHECKPOINTS = (HUB_CARDS / "rdfer-small", HUB_CARDS / "aen-small")
EXAMPLES = "example: python -m training.build.hub_folders --output-dir output/hub"


def build(checkpoint, folder) -> Path:
    """Copies what a push of a checkpoint uploads into a folder.

    Args:
        checkpoint (`str` or `os.PathLike`): a checkpoint's folder, with or without code.
        folder (`str` or `os.PathLike`): where to write; replaced if it exists.

    Returns:
        `Path`: the folder.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, path in files_to_push(checkpoint).items():
        shutil.copyfile(path, folder / name)
    return folder


def remove_code(folder):
    """Removes the code that `save_pretrained` wrote; in this repository it is in modeling_rdfer/models only."""
    for name in code_files(folder):
        (Path(folder) / name).unlink(missing_ok=True)


def main(argv: list[str] | None = None):
    """Writes both folders."""
    parser = ScriptParser("build.hub_folders", __doc__, EXAMPLES)
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=REPOSITORY / "output" / "hub",
        help="folder to write both into; folders of the same names are replaced (default: output/hub)",
    )
    arguments = parser.parse_args(argv)
    for checkpoint in CHECKPOINTS:
        print(f"Wrote {build(checkpoint, arguments.output_dir / checkpoint.name)}")


if __name__ == "__main__":
    main()
