# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Your own videos or images: a folder for each label, inside a folder for each split or alone."""

from pathlib import Path

import datasets
from transformers.utils import logging

from modeling_rdfer.models.video_decoding_rdfer import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from training.data.messages import first_few

from .loader_tools import SPLIT_NAMES, build_splits, loader

logger = logging.get_logger(__name__)


@loader("folder")
def load(root) -> datasets.DatasetDict:
    """Loads videos or still images in folders.

    Args:
        root (`str` or `Path`): folder with `<split>/<label>/<video>`, where a video is a file or a folder of frame
            images and the splits are named train (or training), validation (val, valid, dev) and test (testing); or
            with `<label>/<video>`, which is one split, train. If there is no video anywhere, image files in the place
            of the videos are the dataset; images beside videos are left out, with a warning.

    Returns:
        `datasets.DatasetDict`: the splits with the columns of [`build_splits`]. Labels are
        in alphabetical order. `sample_id` is the path relative to the root.

    Raises:
        FileNotFoundError: if a folder is missing or holds no videos.
        ValueError: if two folders mean the same split.
    """
    parts = _split_folders(root)
    entries = {
        split: [path for folder in _folders(part) for path in sorted(folder.iterdir()) if path.name[0] != "."]
        for split, part in parts.items()
    }
    found = {split: [path for path in paths if _is_video(path)] for split, paths in entries.items()}
    images = {split: [path for path in paths if _is_image(path)] for split, paths in entries.items()}
    if not any(found.values()):
        found = images
    elif beside := [path.relative_to(root).as_posix() for paths in images.values() for path in paths]:
        logger.warning(f"{root}: {len(beside)} images beside the videos are left out: {first_few(beside)}.")
    clips, splits = {}, {}
    for split, part in parts.items():
        if not found[split]:
            raise FileNotFoundError(
                f"{part} holds no videos: expected {part}/<label>/<video, folder of frames or image>."
            )
        own = {path.relative_to(root).as_posix(): path for path in found[split]}
        clips |= own
        splits[split] = [{"sample_id": name, "label": path.parent.name} for name, path in own.items()]
    labels = {row["label"] for rows in splits.values() for row in rows}
    return build_splits(root, sorted(labels), splits, clips)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split; `root` itself if it has no folders of splits."""
    folders = _folders(root)
    if not folders or any(folder.name.lower() not in SPLIT_NAMES for folder in folders):
        return {"train": root}
    parts = {}
    for folder in folders:
        other = parts.setdefault(SPLIT_NAMES[folder.name.lower()], folder)
        if other != folder:
            raise ValueError(
                f"{root} has {other.name} and {folder.name}, which mean the same split; keep one of them."
            )
    return parts


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_video(path: Path) -> bool:
    """Whether this is a video file or a folder of frames."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    return path.is_dir() and any(_is_image(image) for image in path.iterdir())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
