# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Your own videos: a folder for each label, inside a folder for each split or alone."""

from pathlib import Path

import datasets

from modeling_rdfer.models.video_decoding_rdfer import IMAGE_SUFFIXES, VIDEO_SUFFIXES

from .loader_tools import SPLIT_NAMES, build_splits, loader


@loader("folder")
def load(root) -> datasets.DatasetDict:
    """Loads videos in folders.

    Args:
        root (`str` or `Path`): folder with `<split>/<label>/<video>`, where a video is a file or a folder of frame
            images and the splits are named train (or training), validation (val, valid, dev) and test (testing); or
            with `<label>/<video>`, which is one split, train.

    Returns:
        `datasets.DatasetDict`: the splits with the columns of [`build_splits`]. Labels are
        in alphabetical order. `sample_id` is the path relative to the root.

    Raises:
        FileNotFoundError: if a folder is missing or holds no videos.
        ValueError: if two folders mean the same split.
    """
    parts = _split_folders(root)
    clips, splits = {}, {}
    for split, part in parts.items():
        found = {
            path.relative_to(root).as_posix(): path
            for folder in _folders(part)
            for path in sorted(folder.iterdir())
            if not path.name.startswith(".") and (path.suffix.lower() in VIDEO_SUFFIXES or _is_frame_folder(path))
        }
        if not found:
            raise FileNotFoundError(f"{part} holds no videos: expected {part}/<label>/<video or folder of frames>.")
        clips |= found
        splits[split] = [{"sample_id": name, "label": path.parent.name} for name, path in found.items()]
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


def _is_frame_folder(path: Path) -> bool:
    return path.is_dir() and any(image.suffix.lower() in IMAGE_SUFFIXES for image in path.iterdir())
