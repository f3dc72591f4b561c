# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Answers for many videos as a folder of Parquet files, on this computer or on a Ray cluster."""

import json
import os
import sys
import uuid
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import fsspec
from tqdm.auto import tqdm

from ..models.labels_rdfer import class_names
from .loading import load
from .predict import predict
from .ray_shards import map_on_ray, require_package
from .video_list import VideoList, absolute

SHARD_SIZE = 100
# Says which videos and settings the files beside it are of. Readers of folders pass over names that begin with "_".
PLAN_NAME = "_plan.json"
SHARD_NAME = "answers-{number:06}.parquet"
# So begin the names of files that a killed process has left.
UNFINISHED = "_unfinished-"


class Counts(NamedTuple):
    """How many videos were predicted, and how many of them could not be read."""

    videos: int
    failed: int


class ShardPredictor:
    """Predicts whole shards and writes each as one file, which appears when it is complete.

    Args:
        videos ([`VideoList`]): the videos.
        out (`str`): folder of the files, local or with a protocol of fsspec.
        options (`dict`): options of [`predict`].
    """

    def __init__(self, videos: VideoList, out: str, options: dict):
        self.videos, self.out, self.options = videos, out, options
        network, _ = load(options.get("model"), options.get("device"), options.get("engine", "torch"))
        self.labels = class_names(network.config)

    def __call__(self, number: int) -> Counts:
        """Predicts a shard, unless its file exists."""
        import pyarrow.parquet as pq

        filesystem, folder = fsspec.core.url_to_fs(self.out)
        file = f"{folder}/{SHARD_NAME.format(number=number)}"
        if filesystem.exists(file):  # Ray repeats what ran on a machine that died
            with filesystem.open(file, "rb") as handle:
                table = pq.read_table(handle, columns=["error"])
            return Counts(len(self.videos.shard(number)), len(table) - table["error"].null_count)
        names = self.videos.shard(number)
        rows = self._predict(names)
        table = self._table(rows)
        unfinished = f"{folder}/{UNFINISHED}{uuid.uuid4().hex}"
        with filesystem.open(unfinished, "wb") as handle:
            pq.write_table(table, handle)
        # Another process may have written the same answers in the meantime: they replace each other.
        filesystem.mv(unfinished, file)
        return Counts(len(names), sum("error" in row for row in rows))

    def _predict(self, names: list[str]) -> list[dict]:
        videos = [_open(name) for name in names]
        answers = deque(
            predict([v for v in videos if not isinstance(v, Exception)], on_error="report", **self.options)
        )
        rows: list[dict] = []
        for name, video in zip(names, videos):
            if isinstance(video, Exception):
                rows.append({"file": name, "error": f"{name}: {video}"})
            while answers and answers[0]["file"] == name:  # with face="all" there may be several
                rows.append(answers.popleft())
        return rows

    def _table(self, rows: list[dict]):
        import pyarrow as pa

        def scores(row):
            by_label = {prediction["label"]: prediction["score"] for prediction in row.get("predictions", ())}
            return [by_label[label] for label in self.labels] if by_label else None

        def column(name, kind):
            return pa.array([row.get(name) for row in rows], type=kind)

        def text(name):  # names of files that are not UTF-8 cannot be stored as they are
            values = [row.get(name) for row in rows]
            valid = [value and value.encode(errors="surrogateescape").decode(errors="replace") for value in values]
            return pa.array(valid, type=pa.string())

        sentiments = [row.get("sentiment") or {} for row in rows]
        table = pa.table(
            {
                "file": text("file"),
                "face": column("face", pa.int32()),
                "label": column("label", pa.string()),
                "probabilities": pa.array(map(scores, rows), type=pa.list_(pa.float32())),
                "agreement": column("agreement", pa.float32()),
                "sentiment": pa.array([group.get("label") for group in sentiments], type=pa.string()),
                **{name: column(name, pa.float64()) for name in ("start_seconds", "end_seconds")},
                "box": column("box", pa.list_(pa.float32())),
                "warnings": column("warnings", pa.list_(pa.string())),
                "num_frames": column("num_frames", pa.int32()),
                "num_readable": column("num_readable", pa.int32()),
                "num_unreadable": column("num_unreadable", pa.int32()),
                "error": text("error"),
            }
        )
        return table.replace_schema_metadata({"label_names": json.dumps(self.labels)})


def _open(name: str) -> dict | Exception:
    """A video as `predict` takes it, with the bytes of what only fsspec can read; or why it cannot be read."""
    if "://" not in name or name.startswith(("http://", "https://")):
        return {"path": name}
    try:
        with fsspec.open(name, "rb") as file:
            return {"path": name, "bytes": file.read()}
    except (OSError, ValueError, ImportError) as error:  # ImportError: the package of a protocol is missing
        return error


def predict_shards(
    source: str,
    out: str,
    *,
    ray: str | None = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = False,
    **options,
) -> Counts:
    """Predicts all videos of a folder or list, and writes the answers as Parquet files into a folder.

    A file has the answers for `shard_size` videos, in their order, one row for each video or, with `face="all"`, for
    each face. Videos that cannot be read have a row with `error`. A file appears when it is complete. If the call is
    repeated, for example after the computer failed, it goes on with the shards that are missing.

    Args:
        source (`str`): a folder of video files, or a text file with a path or URL of a video in each line; relative
            paths start at its folder. It, the videos and `out` may be local or have a protocol of fsspec, as `s3://`.
            Videos that only fsspec can read are held in memory, all those of a shard at a time.
        out (`str`): folder for the answers; made if it does not exist.
        ray (`str`, *optional*): address of a Ray cluster, or `"auto"` for the one that runs on this computer, or else
            a new one with all its cores. Without it, this process predicts one shard after the other. All machines
            need this package and see the same files.
        shard_size (`int`, *optional*, defaults to 100): videos in a file.
        progress (`bool`, *optional*, defaults to `False`): whether to show a progress bar.
        options: options of [`predict`], for example `model`, `face`, `on_damage`. `top_k`, `return_clips`, `on_error`
            and arrays are not possible.

    Returns:
        `Counts`: number of the videos that this call predicted, and of those among them that could not be read.

    Raises:
        OSError: if `source` or the checkpoint does not exist.
        ValueError: if `source` names no video, or `out` has answers for other videos or of other settings.
        ImportError: if pyarrow or, with `ray`, Ray is not installed.
    """
    for package in ("pyarrow", *(["ray"] if ray is not None else [])):
        require_package(package)
    # Workers of Ray have other working folders.
    source, out = absolute(source), absolute(out)
    if options.get("model") is not None and os.path.isdir(options["model"]):
        options["model"] = os.path.abspath(options["model"])
    videos = VideoList(source, shard_size)
    filesystem, folder = fsspec.core.url_to_fs(out)
    filesystem.makedirs(folder, exist_ok=True)
    options = {name: value for name, value in options.items() if value is not None}
    # The device and the engine change answers by rounding only.
    plan = {"videos": len(videos), "digest": videos.digest, "shard_size": shard_size}
    plan |= {"options": {k: str(v) for k, v in sorted(options.items()) if k not in ("device", "engine", "batch_size")}}
    present = {name.rsplit("/", 1)[-1] for name in filesystem.ls(folder, detail=False)}
    has_answers = any(name.endswith(".parquet") for name in present)
    _keep_plan(filesystem, f"{folder}/{PLAN_NAME}", plan, out, has_answers)
    missing = [number for number in range(videos.num_shards) if SHARD_NAME.format(number=number) not in present]
    if missing and len(missing) < videos.num_shards:
        print(f"{out} has {videos.num_shards - len(missing)} of {videos.num_shards} files already.", file=sys.stderr)
    if not missing:
        return Counts(0, 0)
    if ray is None:
        parts: Iterable[Counts] = map(ShardPredictor(videos, out, options), missing)
    else:
        parts = (Counts(**row) for row in map_on_ray(ShardPredictor, (videos, out, options), missing, ray))
    total = Counts(0, 0)
    with tqdm(total=len(missing), unit="file", disable=not progress) as bar:
        for part in parts:
            total = Counts(total.videos + part.videos, total.failed + part.failed)
            bar.update()
    return total


def _keep_plan(filesystem, file: str, plan: dict, out: str, has_answers: bool):
    """Writes the plan. That of a call which gave no answers, e.g. as its checkpoint was missing, is replaced."""
    if has_answers and filesystem.exists(file):
        with filesystem.open(file, "rb") as handle:
            before = json.load(handle)
        if different := [name for name in plan if before.get(name) != plan[name]]:
            raise ValueError(
                f"{out} has answers for other videos or settings ({', '.join(different)}): choose another folder."
            )
        return
    with filesystem.open(file, "wb") as handle:
        handle.write(json.dumps(plan, indent=2).encode())


__all__ = ["Counts", "ShardPredictor", "predict_shards"]
