# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""How right a checkpoint is on real faces, and how well it knows when it is not. Four sets: FER+ validation (grey
stills with ten votes each), half of the Face Research Lab London Set (neutral and smiling adults with sex, ethnicity
and age), six clips of CREMA-D, and the labelled stretches of the clip cap13, also rolled, dark, blurred and so on.

The faces are in --data and stay there; face crops are kept in --cache. A checkpoint's part is a line of
results/real_faces.jsonl, which is measured again only if checkpoint or processor changed.
"""

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.trainer.metrics import area_under_risk_coverage, expected_calibration_error, risk_coverage
from training.benchmarks.shared.face_checkpoints import Checkpoint
from training.benchmarks.shared.real_faces_data import (
    CHANGES,
    MAJORITIES,
    cap13,
    crema_d,
    fer_plus,
    london,
    padded,
)
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.timing import machine
from training.datasets.ferplus import LABELS as EXPRESSIONS
from training.running.script_parser import ScriptParser

FILE = "real_faces.jsonl"
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
EXAMPLES = """examples:
  python -m training.benchmarks.real_faces --data FOLDER                     the embedded checkpoint
  python -m training.benchmarks.real_faces --data FOLDER --model output/run --only ferplus london --output-dir output/x
  python -m training.benchmarks.real_faces --render                          only writes the tables
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
    recalls = {name: float(right[labels == number].mean()) for number, name in enumerate(EXPRESSIONS)}
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
        "mean score": float(scores.max(1).mean()),
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
    return (share + unit / 2 - half) / (1 + unit), (share + unit / 2 + half) / (1 + unit)


# Parts: each returns the figures of a checkpoint ---------------------------------------------------------------------


def ferplus(system, data: Path) -> dict:
    """FER+ validation, as face crops and as whole images, for each rule of who counts."""
    faces = fer_plus(data)
    whole = system.read(([image] for image in faces.images), "ferplus-whole", do_face_crop=False)
    crops = system.read(([padded(image)] for image in faces.images), "ferplus-crops", do_face_crop=True)
    found = sum(crop is not None for crop in crops)
    # Where no face is found, the whole image.
    crops = [image if crop is None else crop for crop, image in zip(crops, whole)]
    entries = {"face crop": system.classify(crops), "whole image": system.classify(whole)}
    return {
        "faces found": found,
        "images": len(faces.images),
        "entries": {
            entry: {rule: recognition(scores[counts], faces.labels[counts]) for rule, counts in rules.items()}
            for rules in [{rule: is_clear(faces.votes) for rule, is_clear in MAJORITIES.items()}]
            for entry, scores in entries.items()
        },
    }


def london_faces(system, data: Path) -> dict:
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
        return max(shares) - min(shares)

    answered = {
        label: {answer: sum(a == answer and row["label"] == label for a, row in zip(answers, rows)) for answer in seen}
        for seen in [sorted(set(answers))]
        for label in ("neutral", "happiness")
    }
    return {"groups": groups, "gaps": {"sex": gap("sex", 1), "ethnicity": gap("ethnicity", 5)}, "answers": answered}


def crema_d_clips(system, data: Path) -> dict:
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


def cap13_stretches(system, data: Path) -> dict:
    """The labelled stretches of cap13 and their single frames, unchanged and changed in many ways."""
    stretches = cap13()
    labels = [label for _, label in stretches]
    rows = {}
    for number, (name, change) in enumerate(CHANGES.items()):
        videos = system.read((change(frames) for frames, _ in stretches), f"cap13-{number}")
        answers = named(system.classify(videos))
        frames = {label: [0, 0] for label in labels}
        for video, label, (original, _) in zip(videos, labels, stretches):
            seen = [] if video is None else named(system.classify_frames(video))
            frames[label][0] += seen.count(label)
            frames[label][1] += len(seen) or len(original)
        rows[name] = {
            "right": sum(answer == label for answer, label in zip(answers, labels)),
            "answers": answers,
            "frames": frames,
        }
    return {"labels": labels, "changes": rows}


PARTS: dict[str, Callable] = {
    "ferplus": ferplus,
    "london": london_faces,
    "crema-d": crema_d_clips,
    "cap13": cap13_stretches,
}


def summary(name: str, result: dict) -> str:
    """A result in short, for the terminal."""
    part = result["part"]
    if part == "ferplus":
        lines = []
        for entry, rules in result["entries"].items():
            for rule, row in rules.items():
                lines.append(
                    f"{entry}, {rule}: {row['accuracy']:.4f}, recall {row['mean recall']:.4f}, ECE "
                    f"{row['calibration error']:.4f}, AURC {row['AURC']:.4f} | "
                    + " ".join(f"{key[:3]} {value:.2f}" for key, value in row["recalls"].items())
                )
        text = "\n  ".join(lines)
    elif part == "london":
        lines = [
            f"{value}: " + ", ".join(f"{label} {s['right']}/{s['faces']}" for label, s in group.items())
            for values in result["groups"].values()
            for value, group in values.items()
        ]
        lines.append(f"gaps: {result['gaps']}; answers: {result['answers']}")
        text = "\n  ".join(lines)
    elif part == "crema-d":
        text = f"acted {result['right by acted label']}, crowd {result['right by crowd']} of {len(result['clips'])}: "
        text += ", ".join(f"{clip['acted']}/{'+'.join(clip['crowd'])}->{clip['answer']}" for clip in result["clips"])
    else:
        text = "\n  ".join(
            f"{change}: {row['right']}/{len(result['labels'])} {' '.join(answer[:3] for answer in row['answers'])}; "
            + ", ".join(f"frames {label} {right}/{count}" for label, (right, count) in row["frames"].items())
            for change, row in result["changes"].items()
        )
    return f"{name}, {part}:\n  {text}"


def main(argv: list[str] | None = None):
    """Measures and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.real_faces", __doc__, EXAMPLES)
    parser.add_argument("--data", type=Path, help="folder with ferplus, london-faces and crema-d")
    parser.add_argument("--model", type=Path, help="folder of a checkpoint (default: the embedded one)")
    parser.add_argument("--name", help="its name in the tables (default: that of its folder)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="parts to run (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--cache", type=Path, default=Path("output/real_faces"), help="folder of the face crops")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    arguments = parser.parse_args(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    if arguments.data is None:
        parser.error("--data is required")
    measure_all(arguments)


def measure_all(arguments: argparse.Namespace):
    """Measures the parts that have no result yet."""
    path = arguments.output_dir / FILE
    folder = arguments.model or Path(embedded_checkpoint())
    name = arguments.name or folder.resolve().name
    system = Checkpoint(folder, arguments.cache)
    for part in arguments.only:
        line = f"{name}, {part}"
        done = load_results(path).get(line)
        if done is None or done["checkpoint"] != system.digest():
            with torch.random.fork_rng():
                torch.manual_seed(0)
                figures = PARTS[part](system, arguments.data)
            done = {"system": name, "part": part, "checkpoint": system.digest()}
            done |= {"date": datetime.date.today().isoformat(), "machine": machine(), **figures}
            write_result(path, line, done)
        print(summary(name, done), flush=True)


if __name__ == "__main__":
    main()
