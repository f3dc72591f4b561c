# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Does the agreement-weighted loss help with wrong labels, and what do re-sampling and both streams contribute? Trains
preset `tiny` on synthetic videos with known truth and measures on videos with right labels of other identities. Runs
with a result in results/noise.jsonl are not run again. Synthetic faces only: nothing about real faces follows.
"""

import dataclasses
import itertools
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.utils.flop_counter import FlopCounterMode

from modeling_rdfer import RDFERForVideoClassification
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from training.benchmarks.shared.grid import Grid, run_grid
from training.benchmarks.shared.runs import (
    LIBRARIES,
    NOISE,
    SCHEDULE,
    SEEDS,
    Run,
    new_config,
    new_model,
    new_trainer,
    recognition_of,
    settings,
    training_truths,
)
from training.benchmarks.shared.synthetic_videos import NUM_FRAMES, SIZE, VIDEO_SETS
from training.benchmarks.shared.tables import markdown_table, mean_percent, measured_with
from training.benchmarks.shared.timing import machine, ratio, take_turns
from training.synthetic.labels import LABELS

EXAMPLES = """examples:
  python -m training.benchmarks.noise                        every missing run, two at a time
  python -m training.benchmarks.noise --only agreement-sym   only runs whose names contain this
  python -m training.benchmarks.noise --only step_time       the time of a training step
  python -m training.benchmarks.noise --render               only writes the tables
"""

LOSSES = {
    "ce": {"loss": "ce"},
    "sce": {"loss": "sce"},
    "gce": {"loss": "gce"},
    "agreement": {},
    "agreement_hard_gain": {"hard_sample_gain": 0.5},
    "agreement_last_epoch": {"running_mean_decay": 0.0},
}
# Ablations of the model, on clean labels with cross-entropy; one seed, or all where the summary is compared.
MODELS = {
    "uniform": {"config": {"resampling": "uniform"}},
    "short_term_only": {"muted": ("long_term",)},
    "long_term_only": {"muted": ("short_term",)},
    "no_stream": {"muted": ("short_term", "long_term")},
    "short_term_only_uniform": {"config": {"resampling": "uniform"}, "muted": ("long_term",)},
    "no_stream_uniform": {"config": {"resampling": "uniform"}, "muted": ("short_term", "long_term")},
    "2_clips": {"config": {"num_clips": 2}},
    "2_clips_uniform": {"config": {"num_clips": 2, "resampling": "uniform"}},
    "8_clips": {"config": {"num_clips": 8}},
    "identity_summary": {"summary": "identity"},
    "identity_summary_uniform": {"summary": "identity", "config": {"resampling": "uniform"}},
    "8_detector_frames": {"config": {"num_detector_frames": 8}},
    "8_detector_frames_uniform": {"config": {"num_detector_frames": 8, "resampling": "uniform"}},
    "32_detector_pixels": {"config": {"detector_image_size": 32}},
    "32_detector_pixels_uniform": {"config": {"detector_image_size": 32, "resampling": "uniform"}},
}
SUMMARIES = ("uniform", "identity_summary", "identity_summary_uniform")
# Starts from which a model has much to learn before it can judge labels, with a short schedule.
STARTS = {"random": "random weights", "low_level": "stem and first stage only (like ImageNet)"}
SHORT_SCHEDULE = {"num_train_epochs": 30, "per_device_train_batch_size": 16, "learning_rate": 2e-3}
# Three seeds cannot show a difference of 0.5 points without wrong labels.
CLEAN_SEEDS = (3, 4, 5)


def all_runs() -> list[Run]:
    """All runs, seed by seed."""
    runs = []
    for seed in SEEDS:
        runs += [
            Run(f"{loss}-{noise}-{seed}", noise, seed, arguments)
            for (loss, arguments), noise in itertools.product(LOSSES.items(), NOISE)
        ]
    runs += [
        Run(f"{loss}_{start}-symmetric-{seed}", "symmetric", seed, {**LOSSES[loss], **SHORT_SCHEDULE}, start=start)
        for start, loss, seed in itertools.product(STARTS, ("ce", "agreement"), SEEDS)
    ]
    runs += [
        Run(f"{name}-none-{seed}", "none", seed, {"loss": "ce"}, **what)
        for name, what in MODELS.items()
        for seed in (SEEDS if name in SUMMARIES else SEEDS[:1])
    ]
    runs += [
        Run(f"{loss}-none-{seed}", "none", seed, LOSSES[loss])
        for seed in CLEAN_SEEDS
        for loss in ("ce", "agreement", "agreement_hard_gain")
    ]
    return runs


DETECTION_SCORES = (
    "label_quality",
    "loss",
    "cleanlab self_confidence",
    "cleanlab normalized_margin",
    "cleanlab confidence_weighted_entropy",
)


def noise_detection(table, truths) -> dict:
    """How well the scores of a sample table (low = suspicious) find wrong labels: AUROC, average precision, precision
    among the N most suspicious (N: number of wrong labels), and AUROC of wrong labels against hard videos.
    """
    from cleanlab.rank import get_label_quality_scores

    labels = np.array([LABELS.index(truth.given_label) for truth in truths])
    wrong = np.array([truth.is_noisy for truth in truths])
    hard = np.array([truth.is_hard for truth in truths])
    probabilities = np.array(table["probabilities"].to_pylist(), np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    loss = table["loss"].to_numpy()
    scores = {"label_quality": table["label_quality"].to_numpy(), "loss": -loss}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        scores[f"cleanlab {method}"] = get_label_quality_scores(labels, probabilities, method=method)
    result = {}
    for name, score in scores.items():
        worst = np.argsort(score, kind="stable")[: wrong.sum()]
        among = hard | wrong
        result[name] = {
            "auroc": float(roc_auc_score(wrong, -score)),
            "auprc": float(average_precision_score(wrong, -score)),
            "precision_at_true_rate": float(wrong[worst].mean()),
            "auroc_hard_noisy": float(roc_auc_score(wrong[among], -score[among])),
        }
    return result


def execute(run: Run, cache: Path) -> dict:
    """Trains and measures a run."""
    start = time.time()
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = new_trainer(run, new_model(run), cache, output_dir)
        trainer.train()
        table = pyarrow.parquet.read_table(Path(output_dir) / SAMPLE_TABLE_NAME)
    minutes = (time.time() - start) / 60
    truths = training_truths(run)
    noisy = np.array(table["partition"].to_pylist()) == "noisy"
    wrong = np.array([truth.is_noisy for truth in truths])
    hard = np.array([truth.is_hard for truth in truths])
    result = {
        "run": dataclasses.asdict(run),
        "settings": settings(trainer.args),
        "train_videos": len(truths),
        "flipped": float(wrong.mean()),
        "test": recognition_of(trainer.model, cache, "test"),
        "brief": recognition_of(trainer.model, cache, "brief"),
        "partition": {
            "hard_called_noisy": float(noisy[hard & ~wrong].mean()),
            "clean_called_noisy": float(noisy[~hard & ~wrong].mean()),
            "called_noisy": float(noisy.mean()),
        },
        "trust": trainer.record.trust,
        "minutes": round(minutes, 2),
        "machine": machine(*LIBRARIES),
    }
    if wrong.any():
        result["partition"]["wrong_called_noisy"] = float(noisy[wrong].mean())
        result["detection"] = noise_detection(table, truths)
    return result


def measure_step_time(cache: Path, repeats: int = 60) -> dict:
    """Seconds of a training step of the same model and batch, taking turns: with the model's own loss and no sample
    record ("plain"), with `--loss ce` (which keeps the record, too) and with `--loss agreement`; and of the verdicts
    at the end of an epoch.
    """
    with tempfile.TemporaryDirectory() as output_dir:
        losses = {"plain": "ce", "ce": "ce", "agreement": "agreement"}
        runs = [Run(name, "symmetric", 0, {"loss": loss}) for name, loss in losses.items()]
        trainers = {run.name: new_trainer(run, new_model(run), cache, output_dir) for run in runs}
        for trainer in trainers.values():
            trainer.create_optimizer()
            trainer.begin_epoch(0)
            trainer.model.train()
        dataset = trainers["ce"].train_dataset
        batch = trainers["ce"].data_collator([dataset[n] for n in range(SCHEDULE["per_device_train_batch_size"])])
        plain = {name: value for name, value in batch.items() if name != "sample_index"}

        def step(name: str, trainer):
            with torch.autocast("cpu", torch.bfloat16, enabled=SCHEDULE["bf16"]):
                if name == "plain":
                    loss = trainer.model(**plain).loss
                else:
                    loss = trainer.compute_loss(trainer.model, batch)
            loss.backward()
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()

        steps = {name: partial(step, name, trainer) for name, trainer in trainers.items()}
        seconds = take_turns(steps, repeats, warm_up=3)
        start = time.perf_counter()
        trainers["agreement"].finish_epoch()
        end_of_epoch = time.perf_counter() - start
    return {
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "end_of_epoch_seconds": end_of_epoch,
        "ratios": {
            f"agreement : {name}": ratio(seconds["agreement"], seconds[name])["median"] for name in ("ce", "plain")
        },
        "machine": machine(*LIBRARIES),
    }


# Tables --------------------------------------------------------------------------------------------------------------


def render(results: dict[str, dict]) -> str:
    """Markdown tables of all results; WAR and shares in per cent, mean and standard deviation over the seeds."""
    parts = [
        "WAR on 1,400 test videos with right labels, by loss and by noise in training (share of wrong labels):",
        _loss_table(results),
        "WAR from starts that know little, with symmetric noise: "
        + ", ".join(f"{name} {value}" for name, value in SHORT_SCHEDULE.items())
        + ". Trust: in the model's judgement at the end of training, see docs/method.md:",
        _start_table(results),
        "Finding wrong labels by scores of the sample table of the same runs: AUROC / average precision / precision "
        "among the N most suspicious (N: number of wrong labels) / AUROC of wrong labels against hard videos:",
        _detection_table(results),
        "Videos with the verdict noisy at the end of training with `--loss agreement`:",
        _verdict_table(results),
        "Parts of the model, with cross-entropy and right labels. Brief: 600 other videos whose key expression fills "
        "less than 30 % of the frames. Frames: share of the re-sampled frames that show the key expression (in "
        "brackets: of evenly spread frames):",
        _model_table(results),
    ]
    if "step_time" in results:
        step = results["step_time"]
        parts.append(
            f"A training step with `--loss agreement` takes {step['ratios']['agreement : ce']:.3f} times as long as "
            f"with `--loss ce`, and {step['ratios']['agreement : plain']:.3f} times as long as without a sample "
            f"record. The verdicts take {1000 * step['end_of_epoch_seconds']:.0f} ms at the end of an epoch of "
            f"{VIDEO_SETS['train'][1]} videos."
        )
    any_result = next(result for name, result in results.items() if name != "step_time")
    parts.append(
        f"Measured with {measured_with(any_result['machine'])}; {len(results) - ('step_time' in results)} of "
        f"{len(all_runs())} runs; seeds {', '.join(map(str, SEEDS))}, without wrong labels for some losses also "
        f"{', '.join(map(str, CLEAN_SEEDS))}; {any_result['train_videos']} training videos; "
        + ", ".join(f"{name} {value}" for name, value in SCHEDULE.items())
        + "."
    )
    return "\n\n".join(parts)


def _cell(results: dict[str, dict], name: str, *path: str) -> str:
    """Mean over the seeds of one value of the results of a run."""
    values = [results[f"{name}-{seed}"] for seed in (*SEEDS, *CLEAN_SEEDS) if f"{name}-{seed}" in results]
    for key in path:
        values = [value[key] for value in values if key in value]
    return mean_percent(values)


def _mean(results: dict[str, dict], name: str, *path: str) -> str:
    """The same without the standard deviation."""
    return _cell(results, name, *path).split(" ")[0]


def _loss_table(results: dict[str, dict]) -> str:
    header = ("loss", *(f"{noise} ({_mean(results, f'ce-{noise}', 'flipped')} %)" for noise in NOISE))
    rows = [
        (loss.replace("_", " "), *(_cell(results, f"{loss}-{noise}", "test", "war") for noise in NOISE))
        for loss in LOSSES
    ]
    return markdown_table(header, rows)


def _start_table(results: dict[str, dict]) -> str:
    rows = [
        (
            text,
            *(_cell(results, f"{loss}_{start}-symmetric", "test", "war") for loss in ("ce", "agreement")),
            _cell(results, f"agreement_{start}-symmetric", "trust"),
        )
        for start, text in STARTS.items()
    ]
    return markdown_table(("start", "ce", "agreement", "trust"), rows)


def _detection_table(results: dict[str, dict]) -> str:
    metrics = ("auroc", "auprc", "precision_at_true_rate", "auroc_hard_noisy")
    noises = ("symmetric", "asymmetric")

    def cell(loss: str, noise: str, score: str) -> str:
        return " / ".join(_cell(results, f"{loss}-{noise}", "detection", score, metric) for metric in metrics)

    rows = [
        (loss, score, *(cell(loss, noise, score) for noise in noises))
        for loss in ("agreement", "ce")
        for score in DETECTION_SCORES
    ]
    return markdown_table(("run", "score", *noises), rows)


def _verdict_table(results: dict[str, dict]) -> str:
    shares = {
        "of wrong labels": "wrong_called_noisy",
        "of hard videos with the right label": "hard_called_noisy",
        "of other videos with the right label": "clean_called_noisy",
    }
    rows = [
        (text, *(_cell(results, f"agreement-{noise}", "partition", share) for noise in NOISE))
        for text, share in shares.items()
    ]
    return markdown_table(("share called noisy", *NOISE), rows)


def _model_table(results: dict[str, dict]) -> str:
    rows = []
    for name in ("ce", *MODELS):
        run = f"{name}-none"
        if f"{run}-0" not in results:
            continue
        even = _mean(results, run, "brief", "key_share_uniform")
        rows.append(
            (
                name.replace("_", " "),
                _cell(results, run, "test", "war"),
                _cell(results, run, "brief", "war"),
                f"{_cell(results, run, 'brief', 'key_share')} ({even})",
                f"{_multiply_adds(MODELS.get(name, {}).get('config', {})) / 1e6:.0f}",
            )
        )
    return markdown_table(("model", "WAR", "WAR, brief", "frames, brief", "M multiply-adds"), rows)


def _multiply_adds(config: dict) -> float:
    """Of one video."""
    model = RDFERForVideoClassification(new_config(**config)).eval()
    frames = torch.zeros(1, NUM_FRAMES, 3, SIZE, SIZE, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(frames)
    return counter.get_total_flops() / 2


def main(argv: list[str] | None = None):
    """Runs what is missing and writes the tables, as the command line says."""
    runs = {run.name: run for run in all_runs()}
    grid = Grid(
        benchmark="noise",
        stages=[list(runs)],
        execute=lambda name, cache, results: execute(runs[name], cache),
        render=render,
        alone={"step_time": measure_step_time},
    )
    run_grid(grid, __doc__, EXAMPLES, argv)


if __name__ == "__main__":
    main()
