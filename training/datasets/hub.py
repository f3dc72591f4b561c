# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A dataset of the datasets library, from the Hub or local: any with a Video column, and prepared ones."""

import json
from pathlib import Path

import datasets
from datasets.fingerprint import Hasher

from training.data.messages import first_few


def load(root, fold: int | None = None, config: str | None = None) -> datasets.DatasetDict:
    """
    Loads a dataset with the columns `video` and `label` through `datasets.load_dataset`.

    Args:
        root (`str` or `Path`): name on the Hub, or folder.
        fold (`int`, *optional*): of a dataset that has a configuration `fold_<fold>`, as `training.prepare` writes.
        config (`str`, *optional*): any other configuration.

    Returns:
        `datasets.DatasetDict` of the dataset's splits with `video` as `{"bytes", "path"}`, not decoded, `label`
        (ClassLabel; labels that are strings are put in alphabetical order), `sample_id` and what else it has.

    Raises:
        ValueError: a column is missing, naming those that are there; a label is none; an id is in two splits; or a
            prepared set is not complete.
    """
    if "://" in str(root):
        raise ValueError(f"{root}: URLs are read while training, with --streaming true; expected a name or a folder.")
    check_complete(root)
    if fold is not None and config is not None:
        raise ValueError(f"fold={fold} and config={config!r}: a fold is a configuration itself; give one of them.")
    config = config if fold is None else f"fold_{fold}"
    found = datasets.load_dataset(str(root), config, cache_dir=_cache_of(root, config))
    names = None
    for split, dataset in found.items():
        if missing := [column for column in ("video", "label") if column not in dataset.column_names]:
            raise ValueError(f"{root} ({split}) lacks the columns {missing}; it has {dataset.column_names}.")
        # A decoder of a worker process is dead in another one: the processor decodes itself.
        if isinstance(dataset.features["video"], datasets.Video):
            dataset = dataset.cast_column("video", datasets.Video(decode=False))
        labels = dataset.unique("label")
        if any(label is None or label == -1 for label in labels):
            raise ValueError(f"{root} ({split}) has videos without a label (null or -1).")
        if "sample_id" not in dataset.column_names:
            dataset = dataset.add_column("sample_id", [f"{split}/{number}" for number in range(len(dataset))])
        found[split] = dataset
    if not isinstance(next(iter(found.values())).features["label"], datasets.ClassLabel):
        names = sorted({str(label) for dataset in found.values() for label in dataset.unique("label")})
        for split, dataset in found.items():
            if dataset.features["label"].dtype != "string":
                dataset = dataset.cast_column("label", datasets.Value("string"))
            found[split] = dataset.cast_column("label", datasets.ClassLabel(names=names))
    seen = {}
    for split, dataset in found.items():
        if both := sorted(name for name in dataset["sample_id"] if seen.setdefault(name, split) != split):
            raise ValueError(f"{root}: {len(both)} clips are in {seen[both[0]]} and in {split}: {first_few(both)}.")
    return found


def _cache_of(root, config: str | None) -> Path | None:
    """
    A cache for the very files of a local folder. By itself `datasets` gives what it has cached of any folder of that
    name with a card like it, or of files that have been replaced since (huggingface/datasets#6465).
    """
    if not Path(root).is_dir():
        return None
    files = datasets.load_dataset_builder(str(root), config).config.data_files or {}
    key = Hasher.hash({split: (list(names), names.origin_metadata) for split, names in files.items()})
    return Path(datasets.config.HF_DATASETS_CACHE) / "local" / key


def check_complete(root):
    """Raises ValueError for a local folder that `training.prepare` has begun and not finished."""
    manifest = Path(root) / "manifest.json"
    if manifest.is_file() and not json.loads(manifest.read_text(encoding="utf-8")).get("complete", True):
        raise ValueError(f"{root} is not complete: let `python -m training.prepare` finish.")
