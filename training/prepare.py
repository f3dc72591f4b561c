# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Prepares a dataset for training: reads each video as the processor does, finds and crops the face, and writes the
frames that training sees as small videos into sharded Parquet, which `datasets` loads and streams.

With --frame_teacher, a frozen classifier's answers for every frame are stored, too: pseudo-labels for frame-level
guidance, which training then need not compute, and which can be streamed.

A prepared video holds exactly the frames that the processor takes from the original, at their final size, at 25 frames
per second; `content_hash` and `num_frames` are those of the original. Rows are shuffled, the same way every time.
"""

import argparse
import hashlib
import io
import json
import os
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers.utils import logging

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.hub.cards import PEOPLE, DatasetCardFacts, dataset_card, public_name, write_card
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from modeling_rdfer.trainer.pseudo_labels import FrameTeacher, label_frames, load_teacher
from training.data.labelled_videos import content_hash
from training.data.messages import first_few
from training.data.sources import BooleanAction, ScriptParser, SourceArguments, chosen_options
from training.datasets import dataset_options, load

logger = logging.get_logger(__name__)

MANIFEST_NAME = "manifest.json"
FORMAT = 1
FRAMES_PER_SECOND = 25
# What a frame teacher's answers are stored in: by class a list over frames, and the teacher's name.
TEACHER_COLUMNS = ("pseudo_labels", "frame_teacher")
# Measured on 64 face crops of 112 x 112 (a real face): 40 KB, 38 dB, and without B-frames, CABAC and deblocking the
# decoder is a third faster than with x264's defaults at the same size.
# The macroblock tree reads memory that was never written: rarely, the same frames gave other bytes.
CODEC = "libx264"
CODEC_OPTIONS = {"crf": "18", "preset": "medium", "tune": "fastdecode", "bf": "0", "x264-params": "mbtree=0"}
# Rows that a reader has in memory at once: about 1 MB of videos.
ROW_GROUP_SIZE = 32
EXAMPLES = """examples:
  A dataset of face crops, all folds at once:
    python -m training.prepare --dataset dfew --root /data/DFEW --out prepared/dfew
  Videos of whole scenes: faces are found and cropped; clips without one are left out and counted:
    python -m training.prepare --dataset crema_d --root /data/CREMA-D --out prepared/crema_d --on_bad_video skip
    python -m training.prepare --dataset crema_d --dataset_options label_source=face_vote --root R --out O
  Interrupted? The same command goes on where it was. Then:
    datasets.load_dataset("prepared/dfew", "fold_1", split="train", streaming=True)
  With pseudo-labels of each frame by rdfer-small, or by a checkpoint of yours, for AEN or --frame_guidance_weight:
    python -m training.prepare --dataset dfew --root /data/DFEW --out prepared/dfew --frame_teacher
    python -m training.prepare --dataset dfew --root /data/DFEW --out prepared/dfew --frame_teacher my/checkpoint
"""


@dataclass
class Source:
    """
    A dataset to prepare.

    Attributes:
        groups (`dict[str, datasets.Dataset]`): its rows, each once: by split, or as `fold_1`, `fold_2`, ... by the
            fold in which a clip is a test clip.
        labels (`list[str]`): names of the labels, in the dataset's order.
        column (`str`): `"video"` or `"frames"`: the column that holds what to read.
        has_folds (`bool`): whether groups are folds.
    """

    groups: dict[str, datasets.Dataset]
    labels: list[str]
    column: str
    has_folds: bool

    def features(self, teacher: FrameTeacher | None) -> datasets.Features:
        """Columns of the prepared set."""
        own = next(iter(self.groups.values())).features
        made = {
            "video": datasets.Video(),
            "label": datasets.ClassLabel(names=self.labels),
            "sample_id": datasets.Value("string"),
            "path": datasets.Value("string"),
            "content_hash": datasets.Value("string"),
            "num_frames": datasets.Value("int32"),
            "prepared": datasets.Value("bool"),
        }
        if teacher is not None:
            # The order of the classes is in the names of the fields, so nobody can take one for another.
            made["pseudo_labels"] = {name: datasets.List(datasets.Value("float32")) for name in teacher.labels}
            made["frame_teacher"] = datasets.Value("string")
        return datasets.Features({**made, **{k: v for k, v in own.items() if k not in (*made, self.column)}})


def find_source(name: str, root, chosen: dict) -> Source:
    """
    Loads a dataset by name; one with folds in all its folds, unless `chosen` names one.

    Raises:
        ValueError: the folds are no partition of the clips, naming some that are in the way.
        Everything that its loader raises.
    """
    folds = dataset_options(name).get("fold", ())
    if len(folds) < 2 or "fold" in chosen:
        groups = dict(load(name, root, **chosen))
        has_folds = False
        train = groups.get("train")
        if len(groups) == 1 and "fold" not in chosen and "fold" in train.column_names:
            # A list that says its folds.
            numbers = sorted(set(train["fold"]))
            groups = {f"fold_{fold}": train.filter(lambda row, fold=fold: row["fold"] == fold) for fold in numbers}
            has_folds = True
    else:
        groups, parts = {}, {}
        for fold in folds:
            loaded = load(name, root, **chosen, fold=fold)
            groups[f"fold_{fold}"] = loaded["test"]
            parts[fold] = {
                split: dict(zip(loaded[split]["sample_id"], _label_names(loaded[split]))) for split in loaded
            }
        _check_folds(parts)
        has_folds = True
    labels = list(dict.fromkeys(label for group in groups.values() for label in group.features["label"].names))
    for group, dataset in groups.items():
        if "video" in dataset.column_names and isinstance(dataset.features["video"], datasets.Video):
            groups[group] = dataset.cast_column("video", datasets.Video(decode=False))
    if odd := [group for group in groups if not re.fullmatch(r"\w+", group)]:
        raise ValueError(
            f"Splits {odd}: their names must be of letters, digits and _, or `datasets` cannot load them."
        )
    for group, dataset in groups.items():
        # Of a set that was prepared before: its frames may be others than those of this one.
        dataset = groups[group] = dataset.remove_columns([c for c in TEACHER_COLUMNS if c in dataset.column_names])
        if "path" not in dataset.column_names:
            groups[group] = dataset.add_column("path", list(dataset["sample_id"]))
    column = "video" if "video" in next(iter(groups.values())).column_names else "frames"
    return Source(groups, labels, column, has_folds)


def _label_names(dataset: datasets.Dataset) -> list[str]:
    return dataset.features["label"].int2str(list(dataset["label"]))


def _check_folds(parts: dict[int, dict[str, dict[str, str]]]):
    hint = "They cannot be prepared all at once: prepare one, e.g. --fold 1."
    tested = Counter(clip for splits in parts.values() for clip in splits["test"])
    if twice := sorted(clip for clip, count in tested.items() if count > 1):
        raise ValueError(f"{len(twice)} clips are test clips of more than one fold: {first_few(twice)}. {hint}")
    label_of = {clip: label for splits in parts.values() for clip, label in splits["test"].items()}
    for fold, splits in parts.items():
        wanted = {clip: label for clip, label in label_of.items() if clip not in splits["test"]}
        if splits["train"] != wanted:
            odd = sorted({clip for clip, _ in splits["train"].items() ^ wanted.items()})
            raise ValueError(
                f"The training clips of fold {fold} and their labels are not those of the other folds' tests; "
                f"{len(odd)} differ: {first_few(odd)}. {hint}"
            )


# ---------------------------------------------------------------------------------------------------------------------
# One video
# ---------------------------------------------------------------------------------------------------------------------
def encode_video(frames: torch.Tensor) -> bytes:
    """
    Encodes frames as an H.264 MP4 file, 25 a second. The same frames give the same bytes.

    Args:
        frames (`torch.Tensor` of shape `(T, 3, H, W)`): uint8 RGB, 0..255; H and W even.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(CODEC, rate=FRAMES_PER_SECOND, options=CODEC_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames.permute(0, 2, 3, 1).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def prepare_video(processor: RDFERVideoProcessor, source, teacher: PreTrainedModel | None = None) -> dict:
    """
    What a row of the prepared set needs of a video.

    Args:
        processor ([`RDFERVideoProcessor`]): says which frames, what size, and whether to crop faces.
        source: path of a file or of a folder of frames, or `{"bytes", "path"}`.
        teacher (*optional*): gives `pseudo_labels`, see [`~modeling_rdfer.trainer.pseudo_labels.load_teacher`].

    Returns:
        `dict` with `video` (bytes), `content_hash` and `num_frames` of the original, with a teacher `pseudo_labels`
        (its probabilities, 0..1, by class a list over the frames of `video`); or only `reason`, why it cannot be read.
    """
    try:
        inputs = processor(source, return_tensors="pt", return_metadata=True)
        digest = content_hash(source)
    except VideoReadError as error:
        # Without its path, which is of this machine.
        reason = "found {1}; expected {2}".format(*error.args)
        return {"reason": reason.replace(str(source), Path(source).name) if isinstance(source, str) else reason}
    except OSError as error:
        return {"reason": error.strerror or type(error).__name__}
    frames = inputs["pixel_values_videos"][0][inputs["frame_mask"][0]]
    num_frames = inputs["video_metadata"][0].total_num_frames
    made = {"video": encode_video(frames), "content_hash": digest, "num_frames": num_frames}
    if teacher is not None:
        labels = class_names(teacher.config)
        made["pseudo_labels"] = dict(zip(labels, label_frames(teacher, frames, labels).T.tolist()))
    return made


def _in_order(executor: Executor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """Results in the order of the items, of which only `ahead` are under way at once."""
    waiting = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------
def _write(file: Path, write: Callable):
    """Writes a file that is there whole or not at all, whenever the machine stops."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    with open(unfinished, "wb") as handle:
        write(handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(unfinished, file)
    if os.name == "posix":
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _write_text(file: Path, text: str):
    _write(file, lambda handle: handle.write(text.encode()))


def write_shard(file: Path, rows: list[dict], skipped: list[dict], features: datasets.Features):
    """Writes rows as Parquet that carries their features, and in its metadata what was left out and why."""
    schema = features.arrow_schema
    schema = schema.with_metadata({**schema.metadata, b"skipped": json.dumps(skipped).encode()})
    # Compressing videos, or keeping statistics and dictionaries of them, only costs time.
    others = [name for name in features if name != "video"]

    def write(handle):
        compression = {"video.bytes": "none", "video.path": "snappy", **dict.fromkeys(others, "snappy")}
        with pq.ParquetWriter(
            handle, schema, compression=_leaves(schema, compression), use_dictionary=others, write_statistics=others
        ) as writer:
            for start in range(0, len(rows), ROW_GROUP_SIZE):
                encoded = [features.encode_example(row) for row in rows[start : start + ROW_GROUP_SIZE]]
                writer.write_table(pa.Table.from_pylist(encoded, schema=schema), row_group_size=ROW_GROUP_SIZE)

    _write(file, write)


def _leaves(schema: pa.Schema, compression: dict[str, str]) -> dict[str, str]:
    """Compression by the names that Parquet gives to columns, of which nested ones have their own."""
    leaves = pq.ParquetFile(_empty(schema)).schema
    paths = [leaves.column(number).path for number in range(len(leaves.names))]
    return {path: compression.get(path, compression.get(path.split(".")[0], "snappy")) for path in paths}


def _empty(schema: pa.Schema) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(schema.empty_table(), file)
    return file


def _read_shard(file: Path) -> tuple[list[int], list[dict]]:
    """Labels of a shard's rows, and what was left out."""
    with pq.ParquetFile(file) as shard:
        labels = shard.read(columns=["label"])["label"].to_pylist()
        return labels, json.loads(shard.schema_arrow.metadata[b"skipped"])


def card_facts(manifest: dict) -> DatasetCardFacts:
    """What the card says of a prepared set, with the files of each split for `datasets`."""
    files = {group: f"data/{group}-[0-9]*.parquet" for group in manifest["counts"]}
    if manifest["folds"]:
        configs = [
            {
                "config_name": fold,
                "data_files": [
                    {"split": "train", "path": [path for other, path in files.items() if other != fold]},
                    {"split": "test", "path": [files[fold]]},
                ],
            }
            for fold in files
        ]
        first = next(iter(files))
        use = f"""\
Each clip is there once, in the fold in which it is a test clip; the configuration `{first}` has that fold for `test`
and the others for `train`.

```python
datasets.load_dataset("path/of/this", "{first}", split="train", streaming=True)
```"""
    else:
        data_files = [{"split": group, "path": [path]} for group, path in files.items()]
        configs = [{"config_name": "default", "data_files": data_files}]
        use = '```python\ndatasets.load_dataset("path/of/this", split="train", streaming=True)\n```'
    settings, pseudo_labels = manifest["settings"], {}
    if teacher := settings.get("frame_teacher"):
        pseudo_labels["pseudo-labels"] = (
            f"what {teacher['name'] or 'a checkpoint'} says about each frame, a model's opinion and no truth; classes "
            f"{', '.join(teacher['labels'])}"
        )
    return DatasetCardFacts(
        name=f"{manifest['dataset']}, prepared for training",
        license="other",
        summary=f"""\
The clips of {manifest["dataset"]} as small videos, made by `python -m training.prepare` of modeling-rdfer; nothing was
added. Licence: that of the original dataset, which also says whether this may be passed on.""",
        use=use,
        counts={group: dict(counts) for group, counts in manifest["counts"].items()},
        settings={
            "frames": "at most {num_frames} of {size[height]} x {size[width]} pixels".format(**settings),
            "shown": "the face, found and cropped" if settings["face_crop"] else "whole frames of the original",
            "left out": f"{len(manifest['skipped']):,} clips that could not be read; `{MANIFEST_NAME}` names them",
            **pseudo_labels,
        },
        people=PEOPLE.get(manifest["dataset"].replace("_", "")),
        configs=configs,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The whole
# ---------------------------------------------------------------------------------------------------------------------
def _fingerprint(source):
    """What shows that a video has changed, without reading it."""
    if isinstance(source, dict):
        if source.get("bytes") is not None:
            return content_hash(source)
        source = source["path"]
    path = Path(source)
    if path.is_dir():
        return content_hash(path)
    if not path.is_file():
        return None
    return [path.stat().st_size, path.stat().st_mtime_ns]


def _source_hash(source: Source) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for group, dataset in source.groups.items():
        described = dataset.remove_columns([source.column])
        rows = tqdm(range(len(dataset)), desc=f"looking at {group}", unit="clip", leave=False)
        for number in rows:
            row = {**described[number], "file": _fingerprint(dataset[number][source.column])}
            digest.update(json.dumps([group, row], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _begin(out: Path, manifest: dict) -> dict:
    """Checks that what stands in the folder was begun with the same settings and source; begins if nothing does."""
    file = out / MANIFEST_NAME
    (out / "data").mkdir(parents=True, exist_ok=True)
    for unfinished in [*out.glob("*.unfinished"), *out.glob("data/*.unfinished")]:
        unfinished.unlink()
    if not file.exists():
        if found := sorted(path.name for path in [*out.iterdir(), *out.glob("data/*")] if path.name != "data"):
            raise ValueError(f"{out} holds {first_few(found)} and no {MANIFEST_NAME}: choose another --out.")
        _write_text(file, json.dumps(manifest, indent=2) + "\n")
        return manifest
    begun = json.loads(file.read_text())
    advice = "Use what it was begun with, or another --out."
    for name in ("format", "dataset"):
        if begun[name] != manifest[name]:
            raise ValueError(f"{out} was begun with {name} {begun[name]!r}, now it is {manifest[name]!r}. {advice}")
    changed = [
        f"{name} was {begun['settings'].get(name)!r} and is now {value!r}"
        for name, value in manifest["settings"].items()
        if begun["settings"].get(name) != value
    ]
    if changed:
        raise ValueError(f"{out} was begun with other settings: {'; '.join(changed)}. {advice}")
    if begun["source_hash"] != manifest["source_hash"]:
        raise ValueError(
            f"The dataset has changed since {out} was begun: its lists or the size or date of its files are others. "
            "Choose another --out to prepare it as it is now."
        )
    if begun["versions"] != manifest["versions"]:
        logger.warning(f"{out} was begun with {begun['versions']}; now there are {manifest['versions']}.")
    return begun


def _bad(entry: dict, more: int, out: Path) -> VideoReadError:
    found, _, expected = entry["reason"].removeprefix("found ").partition("; expected ")
    rest = f" And {more} more." if more else ""
    advice = f"{rest} --on_bad_video skip leaves it out and counts it; what is finished in {out} is kept"
    return VideoReadError(entry["path"], found, (expected or "a video that can be read") + "." + advice)


def prepare(
    dataset: str,
    root,
    out,
    dataset_options: dict | None = None,
    model: str | None = None,
    size: int | None = None,
    num_frames: int = 64,
    face_crop: bool | None = None,
    on_missing_face: str | None = None,
    on_bad_video: str = "error",
    shard_size: int = 256,
    workers: int | None = None,
    frame_teacher: str | None = None,
) -> dict:
    """
    Prepares a dataset, or goes on where an interrupted run was.

    Args:
        dataset (`str`): a key of `training.datasets.DATASETS`.
        root (`str` or `Path`): its folder.
        out (`str` or `Path`): folder to write: `data/*.parquet`, `manifest.json`, `README.md`.
        dataset_options (`dict`, *optional*): options of its loader. With `fold`, only that fold is prepared.
        model (`str`, *optional*): checkpoint whose processor is used; the embedded rdfer-small by default.
        size (`int`, *optional*): height and width of frames, even; the processor's own by default.
        num_frames (`int`): most frames of a video, taken as the processor does.
        face_crop (`bool`, *optional*): whether to find and crop faces; by default for video files, not for folders of
            frames, which the datasets of the field distribute as face crops.
        on_missing_face (`"error"` or `"full_frame"`, *optional*): whether a clip without a face counts as bad; as the
            processor says by default.
        on_bad_video (`"error"` or `"skip"`): stop at a clip that cannot be read, or leave it out and count it.
        shard_size (`int`): most clips of a shard.
        workers (`int`, *optional*): clips at once; one for each core by default. Their number changes no byte.
        frame_teacher (`str`, *optional*): RDFER or AEN checkpoint whose answers for each frame are stored as
            pseudo-labels.

    Returns:
        `dict`: the manifest.

    Raises:
        ValueError: an argument is wrong, the folder was begun with other settings or another source, or the checkpoint
            cannot be a frame teacher.
        OSError: there is no such checkpoint.
        VideoReadError: a clip cannot be read, with `on_bad_video="error"`.
    """
    out = Path(out)
    processor = RDFERVideoProcessor.from_pretrained(
        model or embedded_checkpoint(), num_frames=num_frames, do_sample_frames=True, do_rescale=False
    )
    processor.do_normalize = False
    if size is not None:
        processor.size = {"height": size, "width": size}
    if on_missing_face is not None:
        processor.on_missing_face = on_missing_face
    height, width = processor.size["height"], processor.size["width"]
    if not (height and width) or height % 2 or width % 2:
        raise ValueError(f"Frames of {height} x {width} cannot be encoded: --size must be an even number.")
    if num_frames < 1 or shard_size < 1:
        raise ValueError(f"num_frames ({num_frames}) and shard_size ({shard_size}) must be at least 1.")

    network = teacher = None
    if frame_teacher is not None:
        network = load_teacher(frame_teacher, "cuda" if torch.cuda.is_available() else None)
        teacher = FrameTeacher(public_name(frame_teacher), class_names(network.config))
    source = find_source(dataset, root, dataset_options or {})
    processor.do_face_crop = source.column == "video" if face_crop is None else face_crop
    # By a hash of their id: mixed, so that a shard is like the whole, and always the same.
    groups = {
        group: sorted(
            range(len(rows)),
            key=lambda number, ids=list(rows["sample_id"]): hashlib.blake2b(str(ids[number]).encode()).digest(),
        )
        for group, rows in source.groups.items()
    }
    shards = [
        (out / "data" / f"{group}-{number:05}.parquet", group, order[start : start + shard_size])
        for group, order in groups.items()
        for number, start in enumerate(range(0, len(order), shard_size))
    ]
    settings = {
        "dataset_options": {name: value for name, value in sorted((dataset_options or {}).items())},
        "model": Path(model).name if model and Path(model).exists() else model or "rdfer-small",
        "size": {"height": height, "width": width},
        "num_frames": num_frames,
        "face_crop": processor.do_face_crop,
        "shard_size": shard_size,
        "codec": {"name": CODEC, **CODEC_OPTIONS},
        "frame_teacher": None if teacher is None else {**teacher._asdict(), "weights_hash": _weights_hash(network)},
    }
    if processor.do_face_crop:
        settings |= {name: getattr(processor, name) for name in ("face", "face_margin", "on_missing_face")}
    manifest = {
        "format": FORMAT,
        "dataset": dataset,
        "complete": False,
        "settings": settings,
        "source_hash": _source_hash(source),
        "versions": {name: version(name) for name in ("modeling-rdfer", "torch", "transformers", "av", "torchcodec")},
        "labels": source.labels,
        "folds": source.has_folds,
    }
    manifest = _begin(out, manifest)

    missing = [shard for shard in shards if not shard[0].exists()]
    faces = "found and cropped" if processor.do_face_crop else "not looked for (--face_crop would)"
    logger.warning(
        f"{sum(map(len, groups.values()))} clips of {dataset} into {len(shards)} shards, of which "
        f"{len(shards) - len(missing)} are there; faces are {faces}."
    )
    _write_shards(
        *(missing, source, processor, network, teacher, on_bad_video, workers or os.cpu_count() or 1, shards, out)
    )

    counts, skipped, listed = {group: Counter() for group in groups}, [], []
    for file, group, _ in shards:
        labels, left_out = _read_shard(file)
        counts[group].update(source.labels[label] for label in labels)
        skipped += left_out
        listed.append({"file": f"data/{file.name}", "group": group, "rows": len(labels), "bytes": file.stat().st_size})
    if skipped and on_bad_video == "error":
        raise _bad(skipped[0], len(skipped) - 1, out)
    if empty := [group for group, number in counts.items() if not number]:
        raise ValueError(f"No clip of {', '.join(empty)} can be read: {_bad(skipped[0], len(skipped) - 1, out)}")
    manifest |= {
        "complete": True,
        "counts": {group: {name: number[name] for name in source.labels} for group, number in counts.items()},
        "skipped": skipped,
        "shards": listed,
    }
    write_card(out, dataset_card(card_facts(manifest)))
    _write_text(out / MANIFEST_NAME, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    if skipped:
        logger.warning(
            f"{len(skipped)} clips cannot be read and are left out: {first_few(e['path'] for e in skipped)}."
        )
    return manifest


def _weights_hash(network: PreTrainedModel) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write_shards(
    missing, source: Source, processor, network, teacher, on_bad_video: str, workers: int, shards, out: Path
):
    """Writes the shards that are missing, one after the other."""
    total = sum(len(numbers) for _, _, numbers in shards)
    to_do = [(group, number) for _, group, numbers in missing for number in numbers]
    sources = (source.groups[group][number][source.column] for group, number in to_do)
    bar = tqdm(total=total, initial=total - len(to_do), desc="preparing", unit="clip")
    threads = torch.get_num_threads()
    # Threads: decoders, torch and the encoder leave Python's lock. On two cores they are as fast as processes, whose
    # start takes as long as dozens of clips. Each opens its own decoder.
    executor = ThreadPoolExecutor(workers)
    results = _in_order(executor, partial(prepare_video, processor, teacher=network), sources, ahead=3 * workers)
    try:
        torch.set_num_threads(1)  # the workers share the cores
        for file, group, numbers in missing:
            rows, skipped, described = [], [], source.groups[group].remove_columns([source.column])
            for number in numbers:
                row = described[number]
                row["label"] = source.groups[group].features["label"].int2str(row["label"])
                made = next(results)
                if "reason" in made:
                    skipped.append({"group": group, "sample_id": row["sample_id"], "path": row["path"], **made})
                    if on_bad_video == "error":
                        raise _bad(skipped[0], 0, out)
                    logger.warning(f"Left out: {row['path']}: {made['reason']}.")
                else:
                    video = {"bytes": made.pop("video"), "path": str(Path(row["path"]).with_suffix(".mp4"))}
                    own = {} if teacher is None else {"frame_teacher": teacher.name}
                    rows.append({**row, **made, **own, "video": video, "prepared": True})
                bar.update()
            write_shard(file, rows, skipped, source.features(teacher))
    finally:
        torch.set_num_threads(threads)
        bar.close()
        executor.shutdown(cancel_futures=True)


def main(argv: list[str] | None = None) -> dict:
    """Prepares a dataset as the command line says."""
    parser = ScriptParser(
        SourceArguments,
        prog="python -m training.prepare",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--model", help="checkpoint whose processor is used (default: the embedded rdfer-small)")
    parser.add_argument("--size", type=int, help="height and width of frames (default: as the processor says)")
    parser.add_argument("--num_frames", type=int, default=64, help="most frames of a video (default: 64)")
    parser.add_argument(
        "--face_crop",
        "--face-crop",
        action=BooleanAction,
        help="find and crop faces (default: in video files; not in folders of frames, which are face crops already)",
    )
    parser.add_argument(
        "--on_missing_face",
        choices=["error", "full_frame"],
        help="a clip without a face counts as bad, or is taken whole (default: as the processor says)",
    )
    parser.add_argument(
        "--on_bad_video", choices=["error", "skip"], default="error", help="stop, or leave it out (default: error)"
    )
    parser.add_argument("--shard_size", type=int, default=256, help="most clips of a shard (default: 256)")
    parser.add_argument("--workers", type=int, help="clips at once (default: one for each core)")
    parser.add_argument(
        "--frame_teacher",
        nargs="?",
        const=embedded_checkpoint(),
        metavar="CHECKPOINT",
        help="store what this RDFER or AEN checkpoint says about each frame, for frame-level guidance (without a "
        "name: the embedded rdfer-small; default: no pseudo-labels)",
    )
    source, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    if not source.dataset or not source.root:
        parser.error("pass --dataset and --root")
    try:
        chosen = chosen_options(source)
        manifest = prepare(source.dataset, source.root, dataset_options=chosen, **vars(arguments))
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    written = sum(shard["rows"] for shard in manifest["shards"])
    size = sum(shard["bytes"] for shard in manifest["shards"]) / 2**20
    print(f"{arguments.out}: {written} clips, {len(manifest['shards'])} shards, {size:.1f} MB")
    return manifest


if __name__ == "__main__":
    main()
