# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Answers as a JSON document with a version, for other programs; answer_schema.json beside this file describes it."""

import functools
import hashlib
from pathlib import Path

from ..models.labels_rdfer import class_names
from ..models.package_data_rdfer import embedded_checkpoint
from .face_stream import Window
from .loading import EMBEDDED, Engine, checkpoint_of, load

# The second number grows when keys or warning codes are added, the first one when any changes or goes.
SCHEMA_VERSION = "1.1"


def model_facts(model: str | None = None, device: str | None = None, engine: Engine = "torch") -> dict:
    """Describes a checkpoint for a JSON document.

    Args:
        model, device, engine: see [`load`].

    Returns:
        `dict`: `"name"`, the name on the Hub or that of the folder; `"revision"`, the commit on the Hub, or "sha256:"
        and the first 16 digits of the hash of the weights in a folder; `"calibrated"` (`bool`), whether its scores are
        calibrated; `"labels"` (`list[str]`).
    """
    config = load(model, device, engine)[0].config
    name = checkpoint_of(model)
    folder = Path(name)
    if folder.is_dir():
        name = EMBEDDED if folder.samefile(embedded_checkpoint()) else folder.resolve().name
        files = [(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.safetensors"))]
        revision = _weights_hash(tuple(files))
    else:
        revision = config._commit_hash
    calibrated = config.calibration_temperature is not None
    return {"name": name, "revision": revision, "calibrated": calibrated, "labels": class_names(config)}


@functools.lru_cache(maxsize=8)
def _weights_hash(files: tuple[tuple[Path, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _ in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:16]}"


def answers_document(answers: list[dict], facts: dict) -> dict:
    """Puts the answers of [`predict`] into a document that `json.dumps` takes.

    Args:
        answers (`list[dict]`): the answers, without `"clips"`.
        facts (`dict`): what `model_facts` returned.

    Returns:
        `dict`: `"schema_version"`, `"model"` and `"answers"`.
    """
    return {"schema_version": SCHEMA_VERSION, "model": facts, "answers": answers}


def timeline_document(windows: list[Window], facts: dict, file: str, window: float, step: float) -> dict:
    """Puts a timeline into a document that `json.dumps` takes.

    Args:
        windows (`list[Window]`): the result of [`timeline`].
        facts (`dict`): what `model_facts` returned.
        file (`str`): the video as it was named.
        window, step (`float`): the options of [`timeline`], in seconds.

    Returns:
        `dict`: `"schema_version"`, `"model"`, `"file"`, `"window_seconds"`, `"step_seconds"` and `"windows"`.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "model": facts,
        "file": file,
        "window_seconds": window,
        "step_seconds": step,
        "windows": [window_document(window) for window in windows],
    }


def window_document(window: Window) -> dict:
    """One window of a timeline or a live stream, as a document that `json.dumps` takes."""
    scores = sorted((window.scores or {}).items(), key=lambda item: -item[1])
    return {
        "person": window.person,
        "start_seconds": window.start_seconds,
        "end_seconds": window.end_seconds,
        "num_frames": window.num_frames,
        "frame_size": window.frame_size,
        "box": window.box and [round(edge, 1) for edge in window.box],
        "label": window.label,
        "predictions": [{"label": label, "score": score} for label, score in scores],
        "agreement": window.agreement,
        "key_frame_seconds": window.key_frame_seconds,
        "warnings": window.warnings,
    }


__all__ = ["SCHEMA_VERSION", "answers_document", "model_facts", "timeline_document", "window_document"]
