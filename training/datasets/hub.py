# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A dataset of the datasets library, on the Hub or in a folder: with a column video or image, or a prepared set."""

import json
from pathlib import Path

import datasets
from datasets.fingerprint import Hasher

from training.data.messages import first_few


def load(root, fold: int | None = None, config: str | None = None) -> datasets.DatasetDict:
    """Loads a dataset with the columns `video` (or `image`) and `label` through `datasets.load_dataset`.

    Args:
        root (`str` or `Path`): id on the Hub, or folder.
        fold (`int`, *optional*): loads the configuration `fold_<fold>`, which prepared sets have.
        config (`str`, *optional*): any other configuration.

    Returns:
        `datasets.DatasetDict`: the dataset's splits with `video` or `image` as `{"bytes", "path"}`, not decoded;
        `label` (ClassLabel; labels that are strings are put in alphabetical order); `sample_id`; and its other
        columns.

    Raises:
        ValueError: if a column or a label is missing, an id is in two splits, or a prepared set is not complete.
    """
    if "://" in str(root):
        raise ValueError(f"{root}: a URL can only be streamed (--streaming true); expected a name or a folder.")
    check_complete(root)
    if fold is not None and config is not None:
        raise ValueError(f"fold={fold} and config={config!r}: a fold is a configuration; give only one of them.")
    config = config if fold is None else f"fold_{fold}"
    loaded = datasets.load_dataset(str(root), config, cache_dir=_cache_of(root, config))
    splits = {split: _with_standard_columns(root, split, dataset) for split, dataset in loaded.items()}
    _check_ids(root, splits)
    return datasets.DatasetDict(_number_labels(splits))


def _with_standard_columns(root, split: str, dataset: datasets.Dataset) -> datasets.Dataset:
    found = dataset.column_names
    source = "image" if "image" in found and "video" not in found else "video"
    if missing := [column for column in (source, "label") if column not in found]:
        raise ValueError(f"{root} ({split}) lacks the columns {missing}; it has {found}.")
    # A decoder does not survive in another process, so the processor decodes itself.
    if isinstance(kind := dataset.features[source], (datasets.Video, datasets.Image)):
        dataset = dataset.cast_column(source, type(kind)(decode=False))
    if any(label is None or label == -1 for label in dataset.unique("label")):
        raise ValueError(f"{root} ({split}) has videos without a label (null or -1).")
    if "sample_id" not in dataset.column_names:
        dataset = dataset.add_column("sample_id", [f"{split}/{number}" for number in range(len(dataset))])
    return dataset


def _number_labels(splits: dict[str, datasets.Dataset]) -> dict[str, datasets.Dataset]:
    """Makes labels that are strings or plain numbers a ClassLabel, the same in all splits."""
    if isinstance(next(iter(splits.values())).features["label"], datasets.ClassLabel):
        return splits
    names = sorted({str(label) for dataset in splits.values() for label in dataset.unique("label")})
    numbered = {}
    for split, dataset in splits.items():
        if dataset.features["label"].dtype != "string":
            dataset = dataset.cast_column("label", datasets.Value("string"))
        numbered[split] = dataset.cast_column("label", datasets.ClassLabel(names=names))
    return numbered


def _check_ids(root, splits: dict[str, datasets.Dataset]):
    split_of = {}
    for split, dataset in splits.items():
        if both := sorted(name for name in dataset["sample_id"] if split_of.setdefault(name, split) != split):
            raise ValueError(
                f"{root}: {len(both)} clips are in {split_of[both[0]]} and in {split}: {first_few(both)}."
            )


def _cache_of(root, config: str | None) -> Path | None:
    """A cache folder for exactly these files of a local dataset. The usual cache of `datasets` confuses folders of the
    same name with similar cards, and files that were replaced (huggingface/datasets#6465).
    """
    if not Path(root).is_dir():
        return None
    files = datasets.load_dataset_builder(str(root), config).config.data_files or {}
    key = Hasher.hash({split: (list(names), names.origin_metadata) for split, names in files.items()})
    return Path(datasets.config.HF_DATASETS_CACHE) / "local" / key


def check_complete(root):
    """Raises ValueError if the folder is a prepared set that `training.prepare` has not finished."""
    manifest = Path(root) / "manifest.json"
    if manifest.is_file() and not json.loads(manifest.read_text(encoding="utf-8")).get("complete", True):
        raise ValueError(f"{root} is not complete: let `python -m training.prepare` finish.")
