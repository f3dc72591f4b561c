# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""FER+: ten people's votes on the expression of each image of FER-2013, 35,887 faces of 48x48 grey pixels (Barsoum et
al., ICMI 2016). The votes are under the MIT license; the images were collected from the web, without a license of the
photographers. FER-2013's own labels can be taken instead of the votes.

As a program it writes what most people chose, to measure an audit of FER-2013's labels by, or to trust in training.
"""

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import datasets
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
from transformers.utils import logging

from modeling_rdfer.models.labels_rdfer import canonical_label
from training.data.messages import first_few
from training.running.script_parser import ScriptParser

from .loader_tools import OnMissing, build_splits, find_lists, loader

logger = logging.get_logger(__name__)

# What people could vote for, in the order of the votes. NF is "not a face".
VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
LABELS = VOTES[:7]
# Numbers of images of each label with the default options, counted from the authors' votes; with contempt it is 25,045
# and 3,191 images. `training.check_data` compares with them.
PUBLISHED = {
    None: {
        "train": [8733, 7284, 3136, 3022, 2098, 116, 536],
        "validation": [1180, 862, 411, 348, 289, 25, 60],
    }
}
# FER-2013's names of the splits and its labels, in the order of their numbers.
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FER2013_LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
SIDE = 48
PARQUET = ("train.parquet", "validation.parquet", "test.parquet")
CSV = ("fer2013.csv", "fer2013new.csv")
FOLDERS = ("FER2013Train", "FER2013Valid", "FER2013Test")


@loader("folder")
def load(
    root,
    keep: Literal["majority", "plurality", "all"] = "majority",
    contempt: bool = False,
    label_source: Literal["votes", "fer2013"] = "votes",
    on_missing: OnMissing = "error",
) -> datasets.DatasetDict:
    """Loads FER+, or FER-2013. The images are not decoded.

    Args:
        root (`str` or `Path`): folder with one of:

            - `train.parquet`, `validation.parquet` and, optionally, `test.parquet`, with the columns `image`
              (`{"bytes", "path"}`), `votes` (ten whole numbers) and, optionally, `fer2013_label`;
            - FER-2013's `fer2013.csv` (emotion, pixels, Usage) and FER+'s `fer2013new.csv` (Usage, Image name and ten
              columns of votes), whose rows are those of the former; with `label_source="fer2013"`, the latter may be
              missing;
            - `FER2013Train`, `FER2013Valid` and, optionally, `FER2013Test` (in `root` or in `root/data`), as FER+'s
              own program writes them: PNG images and `label.csv` with name, optionally a box, and ten votes.
        keep (`"majority"`, `"plurality"` or `"all"`, *optional*, defaults to `"majority"`): which images count.
            `"majority"` is the rule of FER+'s authors: single votes are ignored, and one choice must have more than
            half of the other votes. With `"plurality"` one must have more of the ten votes than any other. With both,
            images whose winner is no label (unknown, not a face, contempt) are left out. `"all"` keeps each image with
            a vote for a label; the label with most votes is its label, in a tie the first one.
        contempt (`bool`, *optional*, defaults to `False`): whether contempt is the eighth label.
        label_source (`"votes"` or `"fer2013"`, *optional*, defaults to `"votes"`): with `"fer2013"` the labels are
            those that FER-2013 itself gives, and all images count of which they are known; `keep` and `contempt` are
            about votes only.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether an image that a `label.csv` has
            and its folder has not is an error or left out.

    Returns:
        `datasets.DatasetDict`: `train`, `validation` and, if it is there, `test` (FER-2013's Training, PublicTest and
        PrivateTest) with the columns of [`build_splits`] (`image` is a path if the images are files, else
        `{"bytes", "path"}`); `votes`, the ten numbers of votes for `VOTES`; with labels by vote `soft_label`, the
        shares of the labels in the votes for labels, of sum 1; and, if it is known, `fer2013_label`, FER-2013's own
        label or `None`. `sample_id` is the name of the image, e.g. `"fer0000000"`.

    Raises:
        FileNotFoundError: if files are missing.
        ValueError: if a column is missing, a row has other than ten votes, an image has other than 48x48 pixels, or
            the two lists differ in their rows.
    """
    own = label_source == "fer2013"
    labels = VOTES[:8] if contempt and not own else LABELS
    splits, images = {}, {}
    for split, rows in _read_rows(root, own).items():
        kept = [made for row in rows if (made := _own_label(row) if own else _label_row(row, labels, keep))]
        chosen = "FER-2013's labels" if own else f"FER+, keep={keep}"
        logger.warning(f"{chosen}: {len(kept):,} of the {len(rows):,} images of {split} are kept.")
        if not kept:
            raise ValueError(f"{root}: none of the images of {split} has a label; {chosen} were asked for.")
        images |= {row["sample_id"]: row.pop("image") for row in kept}
        splits[split] = kept
    images = {name: image for name, image in images.items() if isinstance(image, dict) or image.is_file()}
    has_votes = all("votes" in row for rows in splits.values() for row in rows)
    features = {"votes": datasets.List(datasets.Value("int8"), length=len(VOTES))} if has_votes else {}
    return build_splits(root, labels, splits, images, on_missing, features)


# ---------------------------------------------------------------------------------------------------------------------
# Votes
# ---------------------------------------------------------------------------------------------------------------------
def _label_row(row: dict, labels: Sequence[str], keep: str) -> dict | None:
    """The row with its label; `None` if the votes give it none."""
    votes = row["votes"]
    counts = votes[: len(labels)]
    if not sum(counts):
        return None
    label = labels[counts.index(max(counts))]
    winner = label if keep == "all" else _winner(votes, keep)
    if winner not in labels:
        return None
    return {**row, "label": winner, "soft_label": [count / sum(counts) for count in counts]}


def _own_label(row: dict) -> dict | None:
    """The row with FER-2013's label; `None` if that is not known."""
    own = row.get("fer2013_label")
    if not own:
        return None
    return {**row, "label": next(name for name in LABELS if canonical_label(name) == canonical_label(own))}


def _winner(votes: Sequence[int], keep: str) -> str | None:
    """What has won the vote; `None` if nothing has."""
    most = max(votes)
    if keep == "majority":
        won = most > 1 and 2 * most > sum(count for count in votes if count > 1)
    else:
        won = votes.count(most) == 1
    return VOTES[votes.index(most)] if won else None


def _check_votes(where: str, votes: Sequence) -> list[int]:
    """The votes as whole numbers. Raises ValueError if they are not ten."""
    try:
        counts = [int(count) for count in votes]
    except (TypeError, ValueError):
        counts = []
    if len(counts) != len(VOTES) or min(counts) < 0:
        raise ValueError(f"{where}: expected {len(VOTES)} numbers of votes for {', '.join(VOTES)}; found {votes}.")
    return counts


# ---------------------------------------------------------------------------------------------------------------------
# Layouts
# ---------------------------------------------------------------------------------------------------------------------
def _read_rows(root: Path, own_labels: bool = False) -> dict[str, list[dict]]:
    """The rows of each split: `sample_id`, `path`, `votes`, `image` (`{"bytes", "path"}`, or a path that may lead
    nowhere) and, if it is known, `fer2013_label`. With `own_labels`, FER-2013's list alone is enough; its rows have no
    `votes`.
    """
    lists = [f"{folder}/label.csv" for folder in FOLDERS]
    files = find_lists(root, [PARQUET[:2], CSV, *([CSV[:1]] if own_labels else []), lists[:2]])
    if files[0].name == CSV[0]:
        return _read_csv(*files) if len(files) == 2 else _read_fer2013(*files)
    read = _read_parquet if files[0].name == PARQUET[0] else _read_folder
    base = files[0].parent if read is _read_parquet else files[0].parent.parent
    files = [base / name for name in (PARQUET if read is _read_parquet else lists)]
    return {split: read(file, root) for split, file in zip(USAGES.values(), files) if file.is_file()}


def _read_parquet(file: Path, root: Path) -> list[dict]:
    try:
        with pq.ParquetFile(file) as parquet:
            found = parquet.schema_arrow.names
            _check_columns(file, ("image", "votes"), found)
            columns = ["image", "votes", *(["fer2013_label"] if "fer2013_label" in found else [])]
            rows = parquet.read(columns=columns).to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is no intact Parquet file: {error}.") from error
    for number, row in enumerate(rows):
        where = f"{file}, row {number}"
        row["votes"] = _check_votes(where, row["votes"])
        if not isinstance(row["image"], dict) or not row["image"].get("bytes") or not row["image"].get("path"):
            raise ValueError(f'{where}: expected an image as {{"bytes", "path"}}.')
        row |= {"sample_id": Path(row["image"]["path"]).stem, "path": row["image"]["path"]}
    return rows


def _read_csv(fer2013: Path, ferplus: Path) -> dict[str, list[dict]]:
    splits: dict[str, list[dict]] = {}
    images = _read_lines(fer2013, ("emotion", "pixels", "Usage"))
    votes = _read_lines(ferplus, ("Usage", "Image name", *VOTES))
    end = ("the end of the other", {})
    for (where, image), (voted_where, voted) in itertools.zip_longest(images, votes, fillvalue=end):
        if image.get("Usage") != voted.get("Usage") or image["Usage"] not in USAGES:
            raise ValueError(
                f"{where} has Usage {image.get('Usage')!r}, {voted_where} has {voted.get('Usage')!r}: expected the "
                f"same rows in both files, with Usage {', '.join(USAGES)}."
            )
        counts, name = _check_votes(voted_where, [voted[column] for column in VOTES]), voted["Image name"]
        if name:  # FER+'s authors give no name to what is not a face
            row = {"sample_id": Path(name).stem, "path": name, "votes": counts}
            row["image"] = {"bytes": _make_png(where, image["pixels"]), "path": name}
            row["fer2013_label"] = _fer2013_label(where, image["emotion"])
            splits.setdefault(USAGES[image["Usage"]], []).append(row)
    return splits


def _read_fer2013(file: Path) -> dict[str, list[dict]]:
    """FER-2013's list alone; its images have no names, so ids are numbers of rows."""
    splits: dict[str, list[dict]] = {}
    for number, (where, image) in enumerate(_read_lines(file, ("emotion", "pixels", "Usage"))):
        if image["Usage"] not in USAGES:
            raise ValueError(f"{where} has Usage {image['Usage']!r}; expected one of {', '.join(USAGES)}.")
        name = f"row{number:05d}"
        row = {"sample_id": name, "path": f"{name}.png", "fer2013_label": _fer2013_label(where, image["emotion"])}
        row["image"] = {"bytes": _make_png(where, image["pixels"]), "path": f"{name}.png"}
        splits.setdefault(USAGES[image["Usage"]], []).append(row)
    return splits


def _read_folder(file: Path, root: Path) -> list[dict]:
    rows = []
    with open(file, newline="", encoding="utf-8-sig") as handle:
        for line in (reader := csv.reader(handle)):
            # The authors' lists have a box between name and votes, those that their program writes have none.
            image, first = file.with_name(line[0]), 2 if len(line) == len(VOTES) + 2 else 1
            votes = _check_votes(f"{file}, line {reader.line_num}", line[first:])
            path = image.relative_to(root).as_posix()
            rows.append({"sample_id": image.stem, "path": path, "votes": votes, "image": image})
    if extra := sorted({image.name for image in file.parent.glob("*.png")} - {row["image"].name for row in rows}):
        logger.warning(f"{file} lacks {len(extra)} images of its folder, which are left out: {first_few(extra)}.")
    return rows


def _read_lines(file: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row of a CSV file is, for messages, and the row."""
    with open(file, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        _check_columns(file, columns, reader.fieldnames or [])
        for row in reader:
            yield f"{file}, line {reader.line_num}", {column: (row[column] or "").strip() for column in columns}


def _check_columns(file: Path, columns: Sequence[str], found: Sequence[str]):
    if missing := [column for column in columns if column not in found]:
        raise ValueError(f"{file} lacks the columns {missing}; it has {list(found)}.")


def _make_png(where: str, text: str) -> bytes:
    """The image of FER-2013's pixels, numbers separated by spaces."""
    pixels = np.fromstring(text, np.int64, sep=" ")  # ends at what is no number
    if len(pixels) != SIDE * SIDE or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(
            f"{where}: expected {SIDE}x{SIDE} = {SIDE * SIDE:,} pixels from 0 to 255, found {len(pixels):,} numbers, "
            f"{text[:30]}..."
        )
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8).reshape(SIDE, SIDE)).save(file, "png", compress_level=0)
    return file.getvalue()


def _fer2013_label(where: str, number: str) -> str:
    if number not in map(str, range(len(FER2013_LABELS))):
        raise ValueError(f"{where} has emotion {number!r}; expected the number of one of {FER2013_LABELS}, from 0.")
    return FER2013_LABELS[int(number)]


def majority(votes: Sequence[int]) -> str | None:
    """What more than half of the people chose, one of `VOTES`; `None` if the votes split."""
    return VOTES[votes.index(max(votes))] if 2 * max(votes) > sum(votes) else None


def write_majorities(root: Path, file: Path) -> int:
    """Writes the label that more than half of the people chose, of each image that has one, as a CSV file.

    Args:
        root (`Path`): see [`load`].
        file (`Path`): CSV to write, with the columns `sample_id` and `label`.

    Returns:
        `int`: number of images.
    """
    rows = [row for rows in _read_rows(root).values() for row in rows if majority(row["votes"]) in LABELS]
    with open(file, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sample_id", "label"])
        writer.writerows([row["sample_id"], majority(row["votes"])] for row in rows)
    return len(rows)


EXAMPLES = """examples:
  What more than half of the ten people chose:
    python -m training.datasets.ferplus --root D --majorities crowd.csv
  An audit of FER-2013's labels that is measured by it:
    python -m training.audit --dataset ferplus --root D --dataset-options label_source=fer2013 \\
      --truth-file crowd.csv --truth label --no-face-crop --output-dir audit
"""


def main(argv: list[str] | None = None):
    """Writes the majorities."""
    parser = ScriptParser("datasets.ferplus", __doc__, EXAMPLES)
    parser.add_argument("--root", required=True, type=Path, help="folder of FER+")
    parser.add_argument("--majorities", required=True, type=Path, help="CSV file to write: sample_id, label")
    arguments = parser.parse_args(argv)
    try:
        number = write_majorities(arguments.root, arguments.majorities)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"Wrote {arguments.majorities}: {number:,} images with a label that more than half of the people chose.")


__all__ = ["LABELS", "PUBLISHED", "VOTES", "load", "majority", "write_majorities"]


if __name__ == "__main__":
    main()
