# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Do robust losses help with label noise that people made? Trains on FER-2013's own labels, of which a crowd of ten
rejects a third, and tests on what the crowd sees. A still face becomes a video of eight views of itself, which is not
motion. Runs with a result in results/human_noise.jsonl are not run again.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from modeling_rdfer.trainer.trusted_labels import TrustedLabels, estimate_noise_matrix
from training.benchmarks.shared.grid import grid_parser, run_missing
from training.benchmarks.shared.results import RESULTS, load_results, write_result
from training.benchmarks.shared.runs import LIBRARIES, SEEDS, settings
from training.benchmarks.shared.still_runs import SCHEDULE, classify, new_trainer
from training.benchmarks.shared.still_views import PER_LABEL, VIEWS, Stills, cache_views, stills
from training.benchmarks.shared.tables import markdown_table, mean_percent, measured_with, write_tables
from training.benchmarks.shared.timing import machine
from training.datasets.ferplus import LABELS

EXAMPLES = """examples:
  python -m training.benchmarks.human_noise --root FERPLUS             every missing run
  python -m training.benchmarks.human_noise --root FERPLUS --only ce   only runs whose names contain this
  python -m training.benchmarks.human_noise --render                   only writes the tables

FERPLUS is a folder that the loader ferplus reads, with FER-2013's own labels (training/datasets/ferplus.py).
"""


@dataclasses.dataclass(frozen=True)
class Method:
    """What a run learns, and how.

    Attributes:
        arguments (`dict`): of `RDFERTrainingArguments`.
        learns (`str`): "fer2013": FER-2013's labels; "votes": what most people chose.
        trusted_share (`float`): share of the images that have what most people chose as a trusted label, 0..1.
    """

    arguments: dict
    learns: str = "fer2013"
    trusted_share: float = 0.0


METHODS = {
    "ce": Method({"loss": "ce"}),
    "sce": Method({"loss": "sce"}),
    "gce": Method({"loss": "gce"}),
    "co_teaching": Method({"loss": "co_teaching"}),
    "self_cure": Method({"loss": "self_cure"}),
    "agreement": Method({}),
    "ce_trusted_2": Method({"loss": "ce", "class_weights": "balanced"}, trusted_share=0.02),
    "ce_trusted_5": Method({"loss": "ce", "class_weights": "balanced"}, trusted_share=0.05),
    "agreement_trusted_2": Method({"class_weights": "balanced"}, trusted_share=0.02),
    "agreement_trusted_5": Method({"class_weights": "balanced"}, trusted_share=0.05),
    "votes": Method({"loss": "ce", "class_weights": "balanced"}, learns="votes"),
}
# How many of the most suspicious images are looked at.
LOOKED_AT = (50, 100, 200, 500, 1000)
SCORES = ("label_quality", "loss", "self_confidence", "normalized_margin", "confidence_weighted_entropy")


def all_runs() -> dict[str, tuple[str, int]]:
    """Method and seed of all runs by name, seed by seed."""
    return {f"{method}-{seed}": (method, seed) for seed in SEEDS for method in METHODS}


def execute(method: Method, seed: int, cache: Path) -> dict:
    """Trains and measures a run."""
    start = time.time()
    faces = stills(cache, "train")
    labels = faces.given if method.learns == "fer2013" else faces.votes[:, : len(LABELS)].argmax(1)
    labels, trusted = _trust(faces, labels, method.trusted_share, seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = new_trainer(faces, labels, seed, folder, trusted, **method.arguments)
        trainer.train()
        table = pyarrow.parquet.read_table(Path(folder) / SAMPLE_TABLE_NAME)
    minutes = (time.time() - start) / 60
    result = {
        "run": {**dataclasses.asdict(method), "seed": seed},
        "settings": settings(trainer.args),
        "images": {"all": len(labels), **_counts(faces)},
        "test": _recognition(trainer.model, stills(cache, "validation")),
        "minutes": round(minutes, 2),
        "machine": machine(*LIBRARIES),
    }
    if method.learns == "fer2013" and trusted is None:
        result |= {"verdicts": _verdicts(table, faces), "detection": _detection(table, faces)}
        result["most_suspicious"] = _most_suspicious(table, faces)
    return result


def _trust(faces: Stills, labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, TrustedLabels | None]:
    """Labels of which a share, drawn at random, is what most people chose, and which they are."""
    if not share:
        return labels, None
    known = np.flatnonzero((faces.majority >= 0) & (faces.majority < len(LABELS)))
    chosen = np.random.default_rng(seed).choice(known, round(share * len(labels)), replace=False)
    true, given = (torch.from_numpy(values[chosen]) for values in (faces.majority, labels))
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[chosen] = True
    labels = np.where(mask, faces.majority, labels)
    return labels, TrustedLabels(mask, estimate_noise_matrix(true, given, len(LABELS)))


def _counts(faces: Stills) -> dict:
    kinds = {"rejected": faces.rejected, "confirmed": faces.confirmed, "hard": faces.hard}
    return {kind: _by_label(members, faces.given) for kind, members in kinds.items()}


def _by_label(members: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    return {name: int(members[labels == number].sum()) for number, name in enumerate(LABELS)}


def _recognition(model, faces: Stills) -> dict:
    """WAR, UAR, recalls and confusions on test images with a majority for one of the labels, by the crowd and by
    FER-2013's own labels.
    """
    predicted = classify(model, faces).argmax(1).numpy()
    counted = (faces.majority >= 0) & (faces.majority < len(LABELS))
    references = {"crowd": faces.majority, "fer2013": faces.given}
    return {
        name: recognition_metrics(predicted[counted], reference[counted], LABELS)
        for name, reference in references.items()
    }


def _verdicts(table: pyarrow.Table, faces: Stills) -> dict:
    """Share of the images that are called noisy, of those whose label the crowd rejects, those whose votes split, and
    those whose label it confirms; of all labels and of each.
    """
    noisy = np.array(table["partition"].to_pylist()) == "noisy"

    def share(members: np.ndarray) -> float | None:
        return float(noisy[members].mean()) if members.any() else None

    kinds = {"rejected": faces.rejected, "hard": faces.hard, "confirmed": faces.confirmed}
    return {
        kind: {"all": share(members)}
        | {name: share(members & (faces.given == number)) for number, name in enumerate(LABELS)}
        for kind, members in kinds.items()
    }


def _detection(table: pyarrow.Table, faces: Stills) -> dict:
    """How well scores of the sample table (low = suspicious) tell rejected labels from confirmed ones: AUROC, average
    precision, precision among the N most suspicious (N: number of rejected labels); AUROC of each label.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities = np.array(table["probabilities"].to_pylist(), np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    scores = {"label_quality": table["label_quality"].to_numpy(), "loss": -table["loss"].to_numpy()}
    for name in SCORES[2:]:
        scores[name] = get_label_quality_scores(faces.given, probabilities, method=name)
    judged = faces.rejected | faces.confirmed
    wrong, given = faces.rejected[judged], faces.given[judged]
    result = {}
    for name, score in scores.items():
        suspicion = -score[judged]
        worst = np.argsort(-suspicion, kind="stable")[: wrong.sum()]
        result[name] = {
            "auroc": float(roc_auc_score(wrong, suspicion)),
            "auprc": float(average_precision_score(wrong, suspicion)),
            "precision_at_true_rate": float(wrong[worst].mean()),
            "auroc_by_label": {
                label: float(roc_auc_score(wrong[given == number], suspicion[given == number]))
                for number, label in enumerate(LABELS)
            },
        }
    issues = find_label_issues(faces.given, probabilities)
    result["cleanlab issues"] = {
        "rejected": float(issues[faces.rejected].mean()),
        "hard": float(issues[faces.hard].mean()),
        "confirmed": float(issues[faces.confirmed].mean()),
    }
    return result


def _most_suspicious(table: pyarrow.Table, faces: Stills) -> dict[str, dict[str, int]]:
    """Of the N images that the page of an audit shows first, how many labels the crowd rejects, how many are hard, and
    how many it confirms. The rest are split votes with fewer than two for the label.
    """
    noisy = np.array(table["partition"].to_pylist()) == "noisy"
    order = np.lexsort([-table["loss"].to_numpy(), ~noisy])
    kinds = {"rejected": faces.rejected, "hard": faces.hard, "confirmed": faces.confirmed}
    return {
        str(number): {kind: int(members[order[:number]].sum()) for kind, members in kinds.items()}
        for number in LOOKED_AT
    }


# Tables --------------------------------------------------------------------------------------------------------------


def render(results: dict[str, dict]) -> str:
    """Markdown tables of all results; shares in per cent, mean and standard deviation over the seeds."""
    some = next(iter(results.values()))
    images = some["images"]
    totals = {kind: sum(images[kind].values()) for kind in ("rejected", "confirmed", "hard")}
    return "\n\n".join(
        [
            f"Of {images['all']:,} training images the crowd confirms the label of {totals['confirmed']:,} and "
            f"rejects that of {totals['rejected']:,}; {totals['hard']:,} are hard. Recognition on the test images, by "
            "the crowd and by FER-2013's own labels:",
            _recognition_table(results),
            "Recall of each label, by the crowd:",
            _recall_table(results),
            "Finding labels that the crowd rejects by scores of the sample table: AUROC / average precision / "
            "precision among the N most suspicious (N: number of rejected labels):",
            _detection_table(results),
            "The same by label, with `--loss agreement`: share of rejected labels among those that the crowd judges, "
            "AUROC of label_quality and of the loss, and the shares called noisy of rejected, hard, confirmed ones:",
            _label_table(results, "agreement"),
            "Share called noisy:",
            _verdict_table(results),
            "Of the N images that an audit of the sample table shows first, the number whose label the crowd rejects "
            "/ that are hard / whose label it confirms. Of the rest the votes split, with at most one for the label:",
            _suspicious_table(results),
            f"Measured with {measured_with(some['machine'])}; {len(results)} of {len(all_runs())} runs; seeds "
            f"{', '.join(map(str, SEEDS))}; at most {PER_LABEL} training images of each label, {VIEWS['train']} views "
            "each; " + ", ".join(f"{name} {value}" for name, value in SCHEDULE.items()) + ".",
        ]
    )


def _values(results: dict[str, dict], method: str, *path: str) -> list[float]:
    """One value of the results of a method, of all its seeds."""
    values = [results[f"{method}-{seed}"] for seed in SEEDS if f"{method}-{seed}" in results]
    for key in path:
        values = [value[key] for value in values if value.get(key) is not None]
    return values


def _cell(results: dict[str, dict], method: str, *path: str) -> str:
    return mean_percent(_values(results, method, *path))


def _mean(results: dict[str, dict], method: str, *path: str) -> str:
    return _cell(results, method, *path).split(" ")[0]


def _name(method: str) -> str:
    name, _, percent = method.partition("_trusted_")
    if percent:
        return f"{name}, {percent} % trusted"
    return "ce, trained on the votes" if method == "votes" else method.replace("_", " ")


def _recognition_table(results: dict[str, dict]) -> str:
    header = ("loss", "mean recall, crowd", "WAR, crowd", "mean recall, FER-2013", "WAR, FER-2013")
    rows = [
        (
            _name(method),
            *(
                _cell(results, method, "test", reference, metric)
                for reference in ("crowd", "fer2013")
                for metric in ("uar", "war")
            ),
        )
        for method in METHODS
    ]
    return markdown_table(header, rows)


def _recall_table(results: dict[str, dict]) -> str:
    confusions = next(iter(results.values()))["test"]["crowd"]["confusion_matrix"]
    rows = [("test images", *(f"{sum(row)}" for row in confusions))]
    rows += [
        (_name(method), *(_cell(results, method, "test", "crowd", f"recall_{label}") for label in LABELS))
        for method in METHODS
    ]
    return markdown_table(("loss", *LABELS), rows)


def _detection_table(results: dict[str, dict]) -> str:
    metrics = ("auroc", "auprc", "precision_at_true_rate")
    methods = [name for name, method in METHODS.items() if method.learns == "fer2013" and not method.trusted_share]
    rows = [
        (
            score.replace("_", " "),
            *(
                " / ".join(_mean(results, method, "detection", score, metric) for metric in metrics)
                for method in methods
            ),
        )
        for score in SCORES
    ]
    return markdown_table(("score", *map(_name, methods)), rows)


def _label_table(results: dict[str, dict], method: str) -> str:
    images = next(iter(results.values()))["images"]
    rows = []
    for label in LABELS:
        rejected, confirmed = images["rejected"][label], images["confirmed"][label]
        rows.append(
            (
                label,
                f"{100 * rejected / (rejected + confirmed):.0f} % of {rejected + confirmed}",
                *(
                    _cell(results, method, "detection", score, "auroc_by_label", label)
                    for score in ("label_quality", "loss")
                ),
                *(_cell(results, method, "verdicts", kind, label) for kind in ("rejected", "hard", "confirmed")),
            )
        )
    header = ("label", "rejected", "AUROC, label quality", "AUROC, loss")
    return markdown_table((*header, "noisy: rejected", "noisy: hard", "noisy: confirmed"), rows)


def _verdict_table(results: dict[str, dict]) -> str:
    kinds = ("rejected", "hard", "confirmed")
    rows = [
        (method.replace("_", " "), *(_cell(results, method, "verdicts", kind, "all") for kind in kinds))
        for method in METHODS
        if method == "agreement"
    ]
    rows.append(
        ("cleanlab, after agreement", *(_cell(results, "agreement", "detection", "cleanlab issues", k) for k in kinds))
    )
    return markdown_table(("verdict by", *kinds), rows)


def _suspicious_table(results: dict[str, dict]) -> str:
    methods = ("ce", "gce", "agreement")

    def cell(method: str, number: int) -> str:
        numbers = [
            _values(results, method, "most_suspicious", str(number), kind)
            for kind in ("rejected", "hard", "confirmed")
        ]
        return " / ".join(f"{np.mean(values):.0f}" if values else "-" for values in numbers)

    rows = [(f"{number:,}", *(cell(method, number) for method in methods)) for number in LOOKED_AT]
    return markdown_table(("N", *methods), rows)


def main(argv: list[str] | None = None):
    """Runs what is missing and writes the tables, as the command line says."""
    parser = grid_parser("human_noise", __doc__, EXAMPLES)
    parser.add_argument("--root", type=Path, help="folder of FER+ with FER-2013's own labels")
    parser.set_defaults(cache=Path("output/still_views"))
    arguments = parser.parse_args(argv)
    path = arguments.output_dir / "human_noise.jsonl"
    runs = all_runs()
    torch.set_num_threads(1)
    if arguments.run:
        method, seed = runs[arguments.run]
        return write_result(path, arguments.run, execute(METHODS[method], seed, arguments.cache))
    if not arguments.render:
        if arguments.root is None:
            parser.error("--root is needed: the folder of the faces")
        try:
            cache_views(arguments.root, arguments.cache)
        except (ValueError, OSError, RuntimeError) as error:
            raise SystemExit(f"error: {error}") from error
        run_missing("human_noise", list(runs), path, arguments)
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("human_noise", render(load_results(path)))


if __name__ == "__main__":
    main()
