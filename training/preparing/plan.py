# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Which clip goes into which shard, and the manifest by which an interrupted run is continued."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from modeling_rdfer.complete_files import UNFINISHED_SUFFIX, write_atomically
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.pseudo_labels import FrameTeacher
from training.data.messages import first_few
from training.preparing.clips import ClipSource
from training.preparing.encoding import CODEC, CODEC_OPTIONS

logger = logging.get_logger(__name__)

MANIFEST_NAME = "manifest.json"
FORMAT = 1
# Packages that decide which bytes are written.
PACKAGES = ("modeling-rdfer", "torch", "transformers", "av", "torchcodec")


@dataclass(frozen=True)
class PlannedShard:
    """A shard's file, its group, and the numbers of its clips in the group."""

    file: Path
    group: str
    numbers: list[int]


def plan_shards(source: ClipSource, output_dir: Path, shard_size: int) -> list[PlannedShard]:
    """Divides the clips of each group among shards. The order is that of a hash of the clips' ids: it is mixed, so
    each shard is a sample of the whole, and it is the same every time.
    """
    shards = []
    for group, rows in source.groups.items():
        keys = [hashlib.blake2b(str(sample_id).encode()).digest() for sample_id in rows["sample_id"]]
        order = sorted(range(len(rows)), key=keys.__getitem__)
        for number, start in enumerate(range(0, len(order), shard_size)):
            file = output_dir / "data" / f"{group}-{number:05}.parquet"
            shards.append(PlannedShard(file, group, order[start : start + shard_size]))
    return shards


def make_settings(
    processor: RDFERVideoProcessor,
    options: dict,
    model: str | None,
    shard_size: int,
    teacher: FrameTeacher | None,
    teacher_network: PreTrainedModel | None,
) -> dict:
    """All settings that decide what is in the prepared set, for the manifest."""
    settings = {
        "dataset_options": dict(sorted(options.items())),
        # Manifests are published, so they have no paths of this machine.
        "model": Path(model).name if model and Path(model).exists() else model or "rdfer-small",
        "size": {"height": processor.size["height"], "width": processor.size["width"]},
        "num_frames": processor.num_frames,
        "sampling": processor.sampling,
        "face_crop": processor.do_face_crop,
        "on_damage": processor.on_damage,
        "shard_size": shard_size,
        "codec": {"name": CODEC, **CODEC_OPTIONS},
        "frame_teacher": None
        if teacher is None
        else {**teacher._asdict(), "weights_hash": _weights_hash(teacher_network)},
    }
    if processor.do_face_crop:
        settings |= {name: getattr(processor, name) for name in ("face", "face_margin", "on_missing_face")}
    return settings


def start_manifest(dataset: str, source: ClipSource, settings: dict) -> dict:
    """The manifest of a prepared set of which nothing is written yet."""
    return {
        "format": FORMAT,
        "dataset": dataset,
        "complete": False,
        "settings": settings,
        "source_hash": source.fingerprint(),
        "versions": {name: version(name) for name in PACKAGES},
        "labels": source.labels,
        "folds": source.has_folds,
    }


def begin_or_continue(output_dir: Path, manifest: dict) -> dict:
    """Writes the manifest into a new folder; in a folder that was begun before, checks that it is the same.

    Args:
        output_dir (`Path`): folder of the prepared set.
        manifest (`dict`): see [`start_manifest`].

    Returns:
        `dict`: the manifest in the folder.

    Raises:
        ValueError: if the folder holds other files, or was begun with other settings or another dataset.
    """
    file = output_dir / MANIFEST_NAME
    (output_dir / "data").mkdir(parents=True, exist_ok=True)
    for folder in (output_dir, output_dir / "data"):
        for unfinished in folder.glob(f"*{UNFINISHED_SUFFIX}"):
            unfinished.unlink()
    if not file.exists():
        others = [path.name for path in [*output_dir.iterdir(), *output_dir.glob("data/*")] if path.name != "data"]
        if others:
            raise ValueError(
                f"{output_dir} holds {first_few(sorted(others))} and no {MANIFEST_NAME}: choose another --output-dir."
            )
        write_manifest(output_dir, manifest)
        return manifest
    begun = json.loads(file.read_text(encoding="utf-8"))
    _check_same(begun, manifest, output_dir)
    if begun["versions"] != manifest["versions"]:
        logger.warning(f"{output_dir} was begun with {begun['versions']}; now there are {manifest['versions']}.")
    return begun


def write_manifest(output_dir: Path, manifest: dict):
    """Writes the manifest; it is complete or not there."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    write_atomically(output_dir / MANIFEST_NAME, text)


def _check_same(begun: dict, manifest: dict, output_dir: Path):
    advice = "Use what it was begun with, or another --output-dir."
    for name in ("format", "dataset"):
        if begun[name] != manifest[name]:
            raise ValueError(
                f"{output_dir} was begun with {name} {begun[name]!r}, now it is {manifest[name]!r}. {advice}"
            )
    changed = [
        f"{name} was {begun['settings'].get(name)!r} and is now {value!r}"
        for name, value in manifest["settings"].items()
        if begun["settings"].get(name) != value
    ]
    if changed:
        raise ValueError(f"{output_dir} was begun with other settings: {'; '.join(changed)}. {advice}")
    if begun["source_hash"] != manifest["source_hash"]:
        raise ValueError(
            f"The dataset has changed since {output_dir} was begun: its lists, or sizes or dates of its files. Choose "
            "another --output-dir to prepare it as it is now."
        )


def _weights_hash(network: PreTrainedModel) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


__all__ = [
    "MANIFEST_NAME",
    "PlannedShard",
    "begin_or_continue",
    "make_settings",
    "plan_shards",
    "start_manifest",
    "write_manifest",
]
