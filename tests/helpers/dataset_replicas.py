# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Miniature replicas of datasets, in their layouts, and files to make some of."""

import csv
import io
import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

DFEW_LABELS = ["happy", "sad", "neutral", "anger", "surprise", "disgust", "fear"]
WORDS = ["Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"]
# One clip of each label in train, three in test; ids of one to five digits.
DFEW_TRAIN = {1: 1, 22: 2, 333: 3, 4444: 4, 15555: 5, 6: 6, 7: 7}
DFEW_TEST = {8: 2, 90: 3, 16000: 4}
FERPLUS_COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"]
FERPLUS_COLUMNS += ["contempt", "unknown", "NF"]
# Votes in this order. The comment says what has won: by the rule of FER+'s authors; by most votes of all ten.
FERPLUS_VOTES = {
    "train": {
        "fer0000000": [9, 0, 0, 1, 0, 0, 0, 0, 0, 0],  # neutral
        "fer0000001": [0, 5, 1, 1, 1, 0, 0, 1, 1, 0],  # happiness: 5 of 5, without single votes
        "fer0000002": [4, 0, 0, 2, 0, 0, 0, 0, 4, 0],  # nothing; a tie with unknown
        "fer0000003": [0, 0, 0, 4, 3, 3, 0, 0, 0, 0],  # nothing; sadness
        "fer0000004": [1, 0, 0, 0, 0, 0, 0, 9, 0, 0],  # contempt
        "fer0000005": [0, 0, 0, 0, 0, 0, 0, 0, 10, 0],  # unknown
        "fer0000006": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # nothing
    },
    "validation": {"fer0028638": [0, 0, 0, 0, 0, 0, 10, 0, 0, 0], "fer0028639": [0, 0, 6, 0, 0, 0, 4, 0, 0, 0]},
    "test": {"fer0032220": [0, 0, 0, 0, 2, 8, 0, 0, 0, 0]},
}


def write_frames(folder: Path, suffix="jpg"):
    folder.mkdir(parents=True)
    for number in range(1, 3):
        Image.new("RGB", (16, 16), (number * 40, 90, 30)).save(folder / f"{number:05d}.{suffix}")


def write_video(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 60 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_text(path: Path, lines, encoding="utf-8", end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode(encoding))


def write_list(file: Path, header, rows) -> Path:
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(dict(zip(header, row))) for row in rows))
    else:
        comma = "\t" if file.suffix == ".tsv" else ","
        file.write_text("\n".join(comma.join(map(str, row)) for row in [header, *rows]), encoding="utf-8-sig")
    return file


def labels_of(dataset) -> dict[str, str]:
    return dict(zip(dataset["sample_id"], dataset.features["label"].int2str(list(dataset["label"]))))


def dfew(root: Path, nested="Clip/clip_224x224", lists="authors") -> Path:
    for number in [*DFEW_TRAIN, *DFEW_TEST]:
        write_frames(root / nested / f"{number:05d}")
    for split, rows in {"train": DFEW_TRAIN, "test": DFEW_TEST}.items():
        if lists == "authors":
            file = root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / "set_2.csv"
            write_text(file, ["video_name,label", *(f"{name},{label}" for name, label in rows.items())])
        elif lists == "padded":
            file = root / "annotation" / f"{split}_set_2.csv"
            write_text(file, ["video_name,label", *(f"{name:05d},{label - 1}" for name, label in rows.items())])
        else:
            file = root / "annotation" / f"DFEW_set_2_{split}.txt"
            write_text(file, [f"/data2/my clips/{name:05d} 77 {label - 1}" for name, label in rows.items()])
    return root


def draw_face(number: int) -> Image.Image:
    """A grey image of 48x48 pixels like those of FER-2013, drawn: a disc with two eyes, whose grey is the number."""
    y, x = np.mgrid[:48, :48]
    face = np.where((x - 24) ** 2 + (y - 24) ** 2 < 400, 100 + number % 151, 30)
    for eye in (16, 32):
        face[(x - eye) ** 2 + (y - 18) ** 2 < 9] = 0
    return Image.fromarray(face.astype(np.uint8))


def png_of(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def ferplus_parquet(root: Path, splits=("train", "validation")) -> Path:
    """FER+ in Parquet, as drawn faces; FER-2013's own label of every other one is not known."""
    root.mkdir(exist_ok=True)
    for split in splits:
        votes = FERPLUS_VOTES[split]
        images = [{"bytes": png_of(draw_face(int(name[3:]))), "path": f"{name}.png"} for name in FERPLUS_VOTES[split]]
        table = pa.table(
            {
                "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                "votes": pa.array(list(votes.values()), pa.list_(pa.int8())),
                "fer2013_label": pa.array(["angry" if number % 2 else None for number in range(len(votes))]),
            }
        )
        pq.write_table(table, root / f"{split}.parquet")
    return root


def ferplus_csv(root: Path) -> Path:
    """FER+ in the authors' two lists; after the first image comes one without a face, which has no name."""
    images = [["emotion", "pixels", "Usage"]]
    votes = [["Usage", "Image name", *FERPLUS_COLUMNS]]
    for usage, split in zip(("Training", "PublicTest", "PrivateTest"), FERPLUS_VOTES):
        for number, (name, counts) in enumerate(FERPLUS_VOTES[split].items()):
            pixels = " ".join(map(str, np.asarray(draw_face(int(name[3:]))).flatten()))
            images.append([number % 7, pixels, usage])
            votes.append([usage, f"{name}.png", *counts])
    images.insert(2, [0, "0 " * (48 * 48), "Training"])
    votes.insert(2, ["Training", "", *[0] * 9, 10])
    root.mkdir(exist_ok=True)
    for name, rows in {"fer2013.csv": images, "fer2013new.csv": votes}.items():
        with open(root / name, "w", newline="") as handle:
            csv.writer(handle).writerows(rows)
    return root


def ferplus_folders(root: Path, with_box=True) -> Path:
    """FER+ as the authors' program writes it."""
    for folder, split in zip(("FER2013Train", "FER2013Valid", "FER2013Test"), FERPLUS_VOTES):
        (root / folder).mkdir(parents=True)
        with open(root / folder / "label.csv", "w", newline="") as handle:
            for name, counts in FERPLUS_VOTES[split].items():
                draw_face(int(name[3:])).save(root / folder / f"{name}.png")
                box = ["(0, 0, 48, 48)"] if with_box else []
                csv.writer(handle).writerow([f"{name}.png", *box, *counts])
    return root
