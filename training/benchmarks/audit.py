# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Does an audit find wrong labels, are its suggestions right, and does training improve after it? Videos, models and
settings are those of the noise benchmark: preset `tiny` on synthetic videos with known truth. Runs with a result in
results/audit.jsonl are not run again. Synthetic faces only: nothing about real faces follows.
"""

import dataclasses
import gc
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.verdicts import NOISY, OUT_OF_SAMPLE_NOISY_QUANTILE
from training.auditing.folds import with_training_losses
from training.auditing.metrics import detection_quality, label_scores
from training.benchmarks.shared.grid import Grid, run_grid
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.runs import (
    LIBRARIES,
    SEEDS,
    Run,
    given_labels,
    new_model,
    new_trainer,
    outputs_of,
    recognition_of,
    settings,
    training_truths,
)
from training.benchmarks.shared.tables import markdown_table, mean_percent
from training.benchmarks.shared.timing import machine, ratio, take_turns
from training.data.labelled_videos import LabelledVideos
from training.synthetic.labels import LABELS

# Trainings on all given labels, to compare with.
NOISE_FILE = "noise.jsonl"
NOISES = ("symmetric", "asymmetric")
# The default of training.audit.
FOLDS = 5
# Only cross-entropy, which suffers most from wrong labels.
LOSSES = {"ce": {"loss": "ce"}}
POLICIES = {
    "suggested": "videos with the verdict noisy get the suggested label, without review",
    "predicted": "the N most suspicious videos get the predicted label, without review",
    "reviewed": "a person gives the N most suspicious videos their true label",
}
EXAMPLES = """examples:
  python -m training.benchmarks.audit                       every missing run, two at a time
  python -m training.benchmarks.audit --only symmetric-0    only runs whose names contain this
  python -m training.benchmarks.audit --only throughput     the command against training.evaluate
  python -m training.benchmarks.audit --render              only writes the tables
The trainings to compare with are those of training.benchmarks.noise.
"""


def all_runs() -> list[str]:
    """Names of all runs; an audit comes before the trainings on its decisions."""
    names = []
    for seed in SEEDS:
        names += [f"audit-{kind}-{seed}" for kind in NOISES]
        names += [f"{policy}-{loss}-{kind}-{seed}" for policy in POLICIES for loss in LOSSES for kind in NOISES]
    return names


def audit(kind: str, seed: int, cache: Path) -> dict:
    """Scores each fold of the training set with a model trained on the others, and compares with the truth."""
    start = time.time()
    run = Run(f"audit-{kind}-{seed}", kind, seed, {})
    record, used_settings = _score_folds(run, cache)
    return {
        "run": dataclasses.asdict(run),
        "settings": used_settings,
        "folds": FOLDS,
        "train_videos": len(record.given_labels),
        **_compare_with_truth(record, training_truths(run), seed),
        "minutes": round((time.time() - start) / 60, 2),
        "machine": machine(*LIBRARIES),
    }


def _score_folds(run: Run, cache: Path) -> tuple[SampleRecord, dict]:
    """The sample record of the training set, each fold scored by a model of the others, and the settings of these. As
    in the audit itself, the loss is averaged with those in the trainings that had the video.
    """
    labels = given_labels(run)
    videos = LabelledVideos(
        [None] * len(labels), [LABELS[label] for label in labels], [str(n) for n in range(len(labels))]
    )
    predictions = []
    in_trainings = [[] for _ in labels]
    for part in videos.folds(FOLDS, run.seed):
        others = sorted(set(range(len(labels))) - set(part))
        with tempfile.TemporaryDirectory() as output_dir:
            trainer = new_trainer(run, new_model(run), cache, output_dir, numbers=others)
            trainer.train()
        for number, loss in zip(others, trainer.record.means["loss"].tolist(), strict=True):
            in_trainings[number].append(loss)
        fields = ("logits", "clip_logits", "agreement", "key_frame_indices")
        outputs = {name: values[part] for name, values in outputs_of(trainer.model, cache, "train", fields).items()}
        predictions.append(SamplePredictions.from_outputs(outputs, torch.tensor(labels)[part], torch.tensor(part)))
        used_settings = settings(trainer.args)
        del trainer
        gc.collect()
    record = SampleRecord(torch.tensor(labels), len(LABELS), noisy_quantile=OUT_OF_SAMPLE_NOISY_QUANTILE)
    scored = SamplePredictions.concatenate(predictions)
    scored.loss = with_training_losses(scored.loss, [in_trainings[number] for number in scored.index.tolist()])
    record.update(scored)
    return record, used_settings


def _compare_with_truth(record: SampleRecord, truths, seed: int) -> dict:
    """How well scores and verdicts find wrong labels, and how often the suggestions are right."""
    labels = record.given_labels.numpy()
    wrong, hard = (np.array([getattr(truth, name) for truth in truths]) for name in ("is_noisy", "is_hard"))
    true = np.array([LABELS.index(truth.true_label) for truth in truths])
    noisy, suggested = (record.partition == NOISY).numpy(), record.suggested_labels.numpy()
    loss = record.means["loss"].numpy()
    order = np.argsort(-loss, kind="stable")
    top = np.zeros(len(wrong), bool)
    top[order[: wrong.sum()]] = True
    predicted = record.means["probabilities"].argmax(1).numpy()
    right = suggested == true
    scores = label_scores(record.means["probabilities"].numpy(), labels, loss, noisy)
    return {
        "wrong": int(wrong.sum()),
        "war_of_folds": float((predicted == true).mean()),
        "detection": detection_quality(scores, wrong, hard, seed),
        "noisy": {
            "videos": int(noisy.sum()),
            "share_of_wrong": float(noisy[wrong].mean()),
            "share_of_hard_right": float(noisy[hard & ~wrong].mean()),
            "share_of_other_right": float(noisy[~hard & ~wrong].mean()),
            "precision": float(wrong[noisy].mean()) if noisy.any() else None,
        },
        # Shares of wrong labels: of those called noisy; of those among the N most suspicious; of all.
        "repaired": {
            "of_wrong_called_noisy": float(right[wrong & noisy].mean()) if (wrong & noisy).any() else None,
            "of_wrong_in_top": float((right & noisy)[wrong & top].mean()),
            "of_all_wrong": float((right & noisy)[wrong].mean()),
            "right_ones_spoilt": int((noisy & ~wrong).sum()),
            "of_wrong_in_top_by_prediction": float((predicted == true)[wrong & top].mean()),
            "of_all_wrong_by_prediction": float(((predicted == true) & top)[wrong].mean()),
        },
        "wrong_after": {
            "suggested": float((np.where(noisy, suggested, labels) != true).mean()),
            "predicted": float((np.where(top, predicted, labels) != true).mean()),
        },
        # For the trainings on the audit's decisions.
        "order": order.tolist(),
        "suggested": {int(number): int(suggested[number]) for number in np.flatnonzero(noisy)},
        "predicted": predicted.tolist(),
    }


def retrain(policy: str, loss: str, kind: str, seed: int, cache: Path, audits: dict[str, dict]) -> dict:
    """Trains with the labels that follow from decisions on an audit, and measures on videos with right labels."""
    start = time.time()
    if f"audit-{kind}-{seed}" not in audits:
        raise ValueError(f"There is no result of audit-{kind}-{seed} yet: run --only audit-{kind}-{seed} first.")
    found = audits[f"audit-{kind}-{seed}"]
    run = Run(f"{policy}-{loss}-{kind}-{seed}", kind, seed, LOSSES[loss])
    labels = given_labels(run)
    true = [LABELS.index(truth.true_label) for truth in training_truths(run)]
    if policy == "suggested":
        decided = {int(number): label for number, label in found["suggested"].items()}
    else:
        known = true if policy == "reviewed" else found["predicted"]
        decided = {number: known[number] for number in found["order"][: found["wrong"]]}
    labels = [decided.get(number, label) for number, label in enumerate(labels)]
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = new_trainer(run, new_model(run), cache, output_dir, labels)
        trainer.train()
    return {
        "run": dataclasses.asdict(run),
        "settings": settings(trainer.args),
        "wrong_after": statistics.mean(a != b for a, b in zip(labels, true)),
        "test": recognition_of(trainer.model, cache, "test"),
        "minutes": round((time.time() - start) / 60, 2),
        "machine": machine(*LIBRARIES),
    }


def measure_throughput(cache: Path, videos: int = 140, repeats: int = 5) -> dict:
    """Videos a second of `training.audit --in-sample`, from opening the files to the page, and of `training.evaluate`,
    with the embedded checkpoint on the same files, taking turns. Draws videos of its own, not those of the cache.
    """
    from training import audit as audit_command
    from training import evaluate
    from training.synthetic.dataset import write_dataset

    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", videos, splits=(1.0, 0.0, 0.0), progress=False)
        options = ["--dataset", f"{folder}/data/train", "--output-dir", f"{folder}/out"]
        commands = {
            "evaluate": partial(evaluate.main, options),
            "audit": partial(audit_command.main, [*options, "--in-sample"]),
        }
        seconds = take_turns(commands, repeats)
    return {
        "videos": videos,
        "repeats": repeats,
        "videos_per_second": {name: videos / statistics.median(values) for name, values in seconds.items()},
        "audit : evaluate": ratio(seconds["evaluate"], seconds["audit"])["median"],
        "machine": machine(*LIBRARIES),
    }


def render(results: dict[str, dict], before: dict[str, dict]) -> str:
    """Markdown tables; shares in per cent, mean and standard deviation over the seeds.

    Args:
        results (`dict[str, dict]`): results of this benchmark, by name.
        before (`dict[str, dict]`): results of the noise benchmark.

    Returns:
        `str`: the tables.
    """
    if not results:
        return "There are no results yet."
    parts = [
        f"Finding wrong labels out of sample, {FOLDS} folds, by scores of the same predictions (the loss also counts "
        "the trainings of the other folds): AUROC / average precision / precision among the N most suspicious (N: "
        "number of wrong labels) / AUROC of wrong labels against hard videos:",
        _detection_table(results),
        "Quality of the verdict noisy and of its suggested labels:",
        _share_table(results),
        "WAR on 1,400 test videos with right labels after training again, and the share of the WAR lost to noise that "
        "comes back. " + "; ".join(f"{name.capitalize()}: {text}" for name, text in POLICIES.items()) + ".",
        _training_table(results, before),
    ]
    if "throughput" in results:
        found = results["throughput"]
        parts.append(
            f"`training.audit --in-sample`, from opening the files to the page, reaches "
            f"{100 * found['audit : evaluate']:.0f} % of the videos per second of `training.evaluate` "
            f"({found['videos']} synthetic videos, rdfer-small, median of {found['repeats']} turns)."
        )
    there = sum(name in results for name in all_runs())
    parts.append(f"{there} of {len(all_runs())} runs; settings and machine as for the tables on wrong labels.")
    return "\n\n".join(parts)


def _cell(values: list[float | None]) -> str:
    """Mean over the seeds; how many there are, if some are missing."""
    values = [value for value in values if value is not None]
    return mean_percent(values) + (f" (n = {len(values)})" if 0 < len(values) < len(SEEDS) else "")


def _audits(results: dict[str, dict], kind: str) -> list[dict]:
    return [results[name] for seed in SEEDS if (name := f"audit-{kind}-{seed}") in results]


def _detection_table(results: dict[str, dict]) -> str:
    metrics = ("auroc", "auprc", "precision_at_k", "hard_vs_noisy")
    audits = [result for name, result in results.items() if name.startswith("audit-")]
    scores = [entry["score"] for entry in audits[0]["detection"]] if audits else []

    def cell(kind: str, score: str) -> str:
        entries = [
            entry for result in _audits(results, kind) for entry in result["detection"] if entry["score"] == score
        ]
        return " / ".join(_cell([entry[metric]["value"] for entry in entries]) for metric in metrics)

    return markdown_table(("score", *NOISES), [(score, *(cell(kind, score) for kind in NOISES)) for score in scores])


# Text -> keys of the share in the result of an audit.
SHARES = {
    "of wrong labels called noisy": ("noisy", "share_of_wrong"),
    "of hard videos with the right label called noisy": ("noisy", "share_of_hard_right"),
    "of other videos with the right label called noisy": ("noisy", "share_of_other_right"),
    "of wrong labels called noisy: suggestion is the truth": ("repaired", "of_wrong_called_noisy"),
    "of wrong labels among the N most suspicious: repaired": ("repaired", "of_wrong_in_top"),
    "of all wrong labels: repaired": ("repaired", "of_all_wrong"),
    "of all labels still wrong after relabelling as suggested": ("wrong_after", "suggested"),
    "of wrong labels among the N most suspicious: prediction is the truth": (
        "repaired",
        "of_wrong_in_top_by_prediction",
    ),
    "of all wrong labels: repaired if the N most suspicious get the prediction": (
        "repaired",
        "of_all_wrong_by_prediction",
    ),
    "of all labels still wrong after that": ("wrong_after", "predicted"),
}


def _share_table(results: dict[str, dict]) -> str:
    rows = [
        (text, *(_cell([result[group].get(name) for result in _audits(results, kind)]) for kind in NOISES))
        for text, (group, name) in SHARES.items()
    ]
    return markdown_table(("share", *NOISES), rows)


def _training_table(results: dict[str, dict], before: dict[str, dict]) -> str:
    def war(found: dict[str, dict], start: str) -> list[float]:
        return [found[name]["test"]["war"] for seed in SEEDS if (name := f"{start}-{seed}") in found]

    def back(policy: str, loss: str, kind: str) -> str:
        shares = []
        for seed in SEEDS:
            clean, noisy = before.get(f"{loss}-none-{seed}"), before.get(f"{loss}-{kind}-{seed}")
            after = results.get(f"{policy}-{loss}-{kind}-{seed}")
            if clean and noisy and after:
                clean, noisy, after = (result["test"]["war"] for result in (clean, noisy, after))
                shares.append((after - noisy) / (clean - noisy))
        return _cell(shares)

    rows = []
    for loss in LOSSES:
        rows.append((loss, "clean", *(_cell(war(before, f"{loss}-none")) for _ in NOISES)))
        rows.append((loss, "noisy", *(_cell(war(before, f"{loss}-{kind}")) for kind in NOISES)))
        for policy in POLICIES:
            cells = (
                f"{_cell(war(results, f'{policy}-{loss}-{kind}'))}; back: {back(policy, loss, kind)}"
                for kind in NOISES
            )
            rows.append((loss, policy, *cells))
    return markdown_table(("loss", "labels", *NOISES), rows)


def execute(name: str, cache: Path, results: dict[str, dict]) -> dict:
    """Does a run by its name; `results` are those so far."""
    *what, kind, seed = name.split("-")
    return audit(kind, int(seed), cache) if what == ["audit"] else retrain(*what, kind, int(seed), cache, results)


def main(argv: list[str] | None = None):
    """Runs what is missing and writes the tables, as the command line says."""
    names = all_runs()
    grid = Grid(
        benchmark="audit",
        # The trainings need the audits.
        stages=[[name for name in names if name.startswith("audit-") == first] for first in (True, False)],
        execute=execute,
        render=lambda results: render(results, load_results(RESULTS / NOISE_FILE)),
        alone={"throughput": measure_throughput},
    )
    run_grid(grid, __doc__, EXAMPLES, argv)


if __name__ == "__main__":
    main()
