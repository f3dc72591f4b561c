# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The dataset card of a prepared set."""

from modeling_rdfer.hub.card_facts import PEOPLE, DatasetCardFacts
from training.preparing.plan import MANIFEST_NAME


def card_facts(manifest: dict) -> DatasetCardFacts:
    """What the card says, from the complete manifest. It also names the files of each split, for `datasets`."""
    files = {group: f"data/{group}-[0-9]*.parquet" for group in manifest["counts"]}
    if manifest["folds"]:
        configs = [_fold_config(fold, files) for fold in files]
        first = next(iter(files))
        use = f"""\
Each clip is stored once, with the fold in which it is a test clip. The configuration `{first}` has that fold as `test`
and the other folds as `train`.

```python
datasets.load_dataset("path/of/this", "{first}", split="train", streaming=True)
```"""
    else:
        data_files = [{"split": group, "path": [path]} for group, path in files.items()]
        configs = [{"config_name": "default", "data_files": data_files}]
        use = '```python\ndatasets.load_dataset("path/of/this", split="train", streaming=True)\n```'
    settings = manifest["settings"]
    described = {
        "frames": "at most {num_frames} of {size[height]} x {size[width]} pixels".format(**settings),
        "shown": "the face, found and cropped" if settings["face_crop"] else "whole frames of the original",
        "left out": f"{len(manifest['skipped']):,} clips that could not be read; `{MANIFEST_NAME}` names them",
    }
    if manifest["damaged"]:
        described["damaged"] = f"{manifest['damaged']:,} clips, of which the frames that could be decoded are used"
    if teacher := settings.get("frame_teacher"):
        described["pseudo-labels"] = (
            f"predictions of {teacher['name'] or 'a checkpoint'} for each frame, which can be wrong; classes "
            f"{', '.join(teacher['labels'])}"
        )
    return DatasetCardFacts(
        name=f"{manifest['dataset']}, prepared for training",
        license="other",
        summary=f"""\
The clips of {manifest["dataset"]} as small videos, made by `python -m training.prepare` of modeling-rdfer. Nothing was
added. The licence of the original dataset applies; it also says whether this copy may be passed on.""",
        use=use,
        counts={group: dict(counts) for group, counts in manifest["counts"].items()},
        settings=described,
        people=PEOPLE.get(manifest["dataset"].replace("_", "")),
        configs=configs,
    )


def _fold_config(fold: str, files: dict[str, str]) -> dict:
    train = [path for other, path in files.items() if other != fold]
    return {
        "config_name": fold,
        "data_files": [{"split": "train", "path": train}, {"split": "test", "path": [files[fold]]}],
    }


__all__ = ["card_facts"]
