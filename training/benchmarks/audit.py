# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Does an audit find wrong labels, are its suggestions right, and is training better after it? The videos, models and
settings of training.benchmarks.noise: preset `tiny` on synthetic videos with known truth. One JSON file a run; what is
there already is not run again. Synthetic faces only: no claim about real ones is drawn from this.
"""

import argparse
import dataclasses
import gc
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.verdicts import NOISY
from training.auditing.metrics import detection_quality, label_scores
from training.benchmarks import noise
from training.benchmarks.noise import SEEDS, Run, given_labels, load_results, machine, run_in_processes, write
from training.benchmarks.tables import markdown_table, write_tables
from training.data.labelled_videos import LabelledVideos
from training.synthetic.labels import LABELS

RESULTS = Path(__file__).parent / "results" / "audit"
NOISES = ("symmetric", "asymmetric")
# As training.audit does by default.
FOLDS = 5
# Of the trainings that the audits rest on. The gain was the default when they were run; training.benchmarks.noise has
# what it is worth.
AUDIT = {"hard_sample_gain": 0.5}
# Of cross-entropy, which wrong labels hurt; the default loss loses little to them.
LOSSES = {"ce": {"loss": "ce"}}
POLICIES = {
    "suggested": "videos called noisy get the suggested label, nobody looks",
    "predicted": "the N most suspicious get the label that the model predicts, nobody looks",
    "reviewed": "a person gives the N most suspicious their true label",
}
EXAMPLES = """examples:
  python -m training.benchmarks.audit --cache output/noise              every run that is missing, two at a time
  python -m training.benchmarks.audit --only symmetric-0                those whose names contain this
  python -m training.benchmarks.audit --only throughput                 the command against training.evaluate
  python -m training.benchmarks.audit --render                          the page's tables from the files, runs nothing
Noisy and clean trainings to compare with are those of training.benchmarks.noise.
"""


def all_runs() -> list[str]:
    """Names of every run; an audit comes before the trainings on its decisions."""
    names = []
    for seed in SEEDS:
        names += [f"audit-{kind}-{seed}" for kind in NOISES]
        names += [f"{policy}-{loss}-{kind}-{seed}" for policy in POLICIES for loss in LOSSES for kind in NOISES]
    return names


def audit(kind: str, seed: int, cache: Path) -> dict:
    """Scores each fold of the training set by a model trained on the others with the agreement loss, and judges."""
    start = time.time()
    run = Run(f"audit-{kind}-{seed}", kind, seed, AUDIT)
    labels, truths = given_labels(run), noise.training_truths(run)
    videos = LabelledVideos(
        [None] * len(labels), [LABELS[label] for label in labels], [str(n) for n in range(len(labels))]
    )
    looks = []
    for part in videos.folds(FOLDS, seed):
        others = sorted(set(range(len(labels))) - set(part))
        with tempfile.TemporaryDirectory() as output_dir:
            trainer = noise.new_trainer(run, noise.new_model(run), cache, output_dir, numbers=others)
            trainer.train()
        fields = ("logits", "clip_logits", "agreement", "key_frame_indices")
        outputs = {name: values[part] for name, values in noise.answer(trainer.model, cache, "train", fields).items()}
        looks.append(SamplePredictions.from_outputs(outputs, torch.tensor(labels)[part], torch.tensor(part)))
        settings = noise.settings(trainer.args)
        del trainer
        gc.collect()
    record = SampleRecord(torch.tensor(labels), len(LABELS))
    record.update(SamplePredictions.concatenate(looks))
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
        "run": dataclasses.asdict(run),
        "settings": settings,
        "folds": FOLDS,
        "train_videos": len(labels),
        "wrong": int(wrong.sum()),
        "war_of_folds": float((record.means["probabilities"].argmax(1).numpy() == true).mean()),
        "detection": detection_quality(scores, wrong, hard, seed),
        "noisy": {
            "videos": int(noisy.sum()),
            "share_of_wrong": float(noisy[wrong].mean()),
            "share_of_hard_right": float(noisy[hard & ~wrong].mean()),
            "share_of_other_right": float(noisy[~hard & ~wrong].mean()),
            "precision": float(wrong[noisy].mean()) if noisy.any() else None,
        },
        # Of wrong labels: those called noisy; those among the N most suspicious; all (without suggestion: unrepaired).
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
        # For the trainings after it.
        "order": order.tolist(),
        "suggested": {int(number): int(suggested[number]) for number in np.flatnonzero(noisy)},
        "predicted": predicted.tolist(),
        "minutes": round((time.time() - start) / 60, 2),
        "machine": machine(),
    }


def retrain(policy: str, loss: str, kind: str, seed: int, cache: Path) -> dict:
    """Trains on the training set after decisions from the audit, and measures on clean videos."""
    start = time.time()
    file = RESULTS / f"audit-{kind}-{seed}.json"
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file.name} yet: run --only audit-{kind}-{seed} first.")
    found = json.loads(file.read_text())
    run = Run(f"{policy}-{loss}-{kind}-{seed}", kind, seed, LOSSES[loss])
    labels = given_labels(run)
    true = [LABELS.index(truth.true_label) for truth in noise.training_truths(run)]
    if policy == "suggested":
        decided = {int(number): label for number, label in found["suggested"].items()}
    else:
        known = true if policy == "reviewed" else found["predicted"]
        decided = {number: known[number] for number in found["order"][: found["wrong"]]}
    labels = [decided.get(number, label) for number, label in enumerate(labels)]
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = noise.new_trainer(run, noise.new_model(run), cache, output_dir, labels)
        trainer.train()
    return {
        "run": dataclasses.asdict(run),
        "settings": noise.settings(trainer.args),
        "wrong_after": statistics.mean(a != b for a, b in zip(labels, true)),
        "test": noise.test(trainer.model, cache, "test"),
        "minutes": round((time.time() - start) / 60, 2),
        "machine": machine(),
    }


def measure_throughput(videos: int = 140, repeats: int = 5) -> dict:
    """
    Videos a second of `training.audit --in_sample`, from opening the files to the page, and of `training.evaluate`,
    by the embedded checkpoint on the same files, alternating.
    """
    from training import audit as audit_command
    from training import evaluate
    from training.synthetic.dataset import write_dataset

    seconds = {"evaluate": [], "audit": []}
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", videos, splits=(1.0, 0.0, 0.0), progress=False)
        data, out = f"{folder}/data/train", f"{folder}/out"
        for turn in range(repeats + 1):
            for name, function in (
                ("evaluate", lambda: evaluate.main(["--test_dir", data, "--output_dir", out])),
                ("audit", lambda: audit_command.main(["--train_dir", data, "--in_sample", "--out", out])),
            ):
                start = time.perf_counter()
                function()
                if turn:  # the first one loads what is loaded once
                    seconds[name].append(time.perf_counter() - start)
    return {
        "videos": videos,
        "repeats": repeats,
        "videos_per_second": {name: videos / statistics.median(values) for name, values in seconds.items()},
        # Ratios of neighbouring runs: the machine's moods hit both alike.
        "audit : evaluate": statistics.median(a / b for a, b in zip(seconds["evaluate"], seconds["audit"])),
        "machine": machine(),
    }


def render(results: dict[str, dict], before: dict[str, dict]) -> str:
    """
    Markdown tables, shares in per cent, mean and standard deviation over the seeds.

    Args:
        results (`dict[str, dict]`): of this benchmark, by name.
        before (`dict[str, dict]`): of training.benchmarks.noise.
    """

    if not results:
        return "No run is there yet."

    def cell(values: list[float | None], most: int = len(SEEDS)) -> str:
        values = [value for value in values if value is not None]
        if not values:
            return "-"
        spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{100 * statistics.mean(values):.1f}{spread}" + (f" (n = {len(values)})" if len(values) < most else "")

    def of_audits(kind: str, pick) -> str:
        return cell([pick(results[name]) for s in SEEDS if (name := f"audit-{kind}-{s}") in results])

    def war(found: dict[str, dict], start: str) -> list[float]:
        return [found[name]["test"]["war"] for seed in SEEDS if (name := f"{start}-{seed}") in found]

    def recovered(policy: str, loss: str, kind: str) -> str:
        shares = []
        for seed in SEEDS:
            names = (f"{loss}-none-{seed}", f"{loss}-{kind}-{seed}", f"{policy}-{loss}-{kind}-{seed}")
            if names[0] in before and names[1] in before and names[2] in results:
                clean, noisy, after = (
                    found[name]["test"]["war"] for found, name in zip((before, before, results), names)
                )
                shares.append((after - noisy) / (clean - noisy))
        return cell(shares)

    audits = [result for name, result in results.items() if name.startswith("audit-")]
    names = [entry["score"] for entry in audits[0]["detection"]] if audits else []
    metrics = ("auroc", "auprc", "precision_at_k", "hard_vs_noisy")

    def measured(kind: str, score: str) -> str:
        def of(metric: str):
            return lambda result: next(e for e in result["detection"] if e["score"] == score)[metric]["value"]

        return " / ".join(of_audits(kind, of(metric)) for metric in metrics)

    parts = [
        f"Finding wrong labels out of sample, {FOLDS} folds, by scores of the same predictions: AUROC / average "
        "precision / share of wrong ones among the N most suspicious (N: how many are wrong) / AUROC of wrong labels "
        "against hard videos:",
        markdown_table(("score", *NOISES), [(name, *(measured(kind, name) for kind in NOISES)) for name in names]),
        "What the verdict noisy and its suggestions are worth:",
        markdown_table(
            ("share", *NOISES),
            [
                (text, *(of_audits(kind, lambda result, a=a, b=b: result[a].get(b)) for kind in NOISES))
                for text, a, b in (
                    ("of wrong labels called noisy", "noisy", "share_of_wrong"),
                    ("of hard videos with the right label called noisy", "noisy", "share_of_hard_right"),
                    ("of other videos with the right label called noisy", "noisy", "share_of_other_right"),
                    ("of wrong labels called noisy: suggestion is the truth", "repaired", "of_wrong_called_noisy"),
                    ("of wrong labels among the N most suspicious: repaired", "repaired", "of_wrong_in_top"),
                    ("of all wrong labels: repaired", "repaired", "of_all_wrong"),
                    ("of all labels still wrong after relabelling as suggested", "wrong_after", "suggested"),
                    (
                        "of wrong labels among the N most suspicious: prediction is the truth",
                        "repaired",
                        "of_wrong_in_top_by_prediction",
                    ),
                    (
                        "of all wrong labels: repaired where the N most suspicious get the prediction",
                        "repaired",
                        "of_all_wrong_by_prediction",
                    ),
                    ("of all labels still wrong after that", "wrong_after", "predicted"),
                )
            ],
        ),
        "WAR on 1,400 clean test videos after training anew, and the share of the WAR lost to noise that came back. "
        + "; ".join(f"{name.capitalize()}: {text}" for name, text in POLICIES.items())
        + ".",
        markdown_table(
            ("loss", "labels", *NOISES),
            [
                *((loss, "clean", *(cell(war(before, f"{loss}-none")) for _ in NOISES)) for loss in LOSSES),
                *((loss, "noisy", *(cell(war(before, f"{loss}-{kind}")) for kind in NOISES)) for loss in LOSSES),
                *(
                    (
                        loss,
                        policy,
                        *(
                            f"{cell(war(results, f'{policy}-{loss}-{kind}'))}; back: {recovered(policy, loss, kind)}"
                            for kind in NOISES
                        ),
                    )
                    for loss in LOSSES
                    for policy in POLICIES
                ),
            ],
        ),
    ]
    if "throughput" in results:
        found = results["throughput"]
        parts.append(
            f"`training.audit --in_sample`, from opening the files to the page, does "
            f"{100 * found['audit : evaluate']:.0f} % of the videos a second of `training.evaluate` "
            f"({found['videos']} synthetic videos, rdfer-small, median of {found['repeats']} alternated runs)."
        )
    there = sum(name in results for name in all_runs())
    parts.append(f"{there} of {len(all_runs())} runs are there; settings and machine as in the tables above.")
    return "\n\n".join(parts)


def execute(name: str, cache: Path) -> dict:
    """Runs one by its name."""
    *what, kind, seed = name.split("-")
    return audit(kind, int(seed), cache) if what == ["audit"] else retrain(*what, kind, int(seed), cache)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("output/noise"), help="folder of the frames")
    parser.add_argument("--only", default="", help="only runs whose names contain this; throughput is one, too")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (default: 2)")
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what this script calls itself with
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(1)
        return write(arguments.one, execute(arguments.one, arguments.cache), RESULTS)
    if not arguments.render:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        noise.cache_frames(arguments.cache)
        noise.pretrain_backbones()
        missing = [n for n in all_runs() if arguments.only in n and not (RESULTS / f"{n}.json").exists()]
        # The trainings need the audits.
        for first in (True, False):
            names = [name for name in missing if name.startswith("audit-") == first]
            run_in_processes("training.benchmarks.audit", names, arguments.cache, arguments.jobs)
        if arguments.only in "throughput" and not (RESULTS / "throughput.json").exists():
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
            write("throughput", measure_throughput(), RESULTS)
    write_tables("training.benchmarks.audit", render(load_results(RESULTS), load_results()))


if __name__ == "__main__":
    main()
