# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Evaluates a checkpoint on labelled videos: WAR, UAR, recalls, calibration, confusion matrix, reject option."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.inference.loading import load
from modeling_rdfer.inference.scores import probabilities
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.trainer.metrics import (
    answered_accuracy,
    expected_calibration_error,
    fit_temperature,
    recognition_metrics,
)
from training.data.scoring_batches import ScoringBatches
from training.data.video_dataset import ScoringVideoDataset
from training.reports.plots import plot_coverage_accuracy, write_confusion
from training.running.arguments import evaluation_parser
from training.running.video_sets import load_evaluation_videos

EXAMPLES = """examples:
  python -m training.evaluate --model out --dataset D --output-dir out/test                   D/test/<label>/<video>
  python -m training.evaluate --model out --dataset labels.csv --output-dir out/test --num-views 4
  python -m training.evaluate --model out --dataset crema_d --root D --fold 1 --output-dir out/crema_d
  python -m training.evaluate --model out --dataset D --split validation --output-dir out/validation --calibrate

--test-dir, --validation-dir, --validation-list, --eval-list and --dataset-name mean --dataset.
"""

# Least confidences that are reported, to choose the `--min-confidence` of `rdfer predict` by.
MIN_CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@torch.inference_mode()
def predict_views(
    model, dataset: ScoringVideoDataset, num_views: int, batch_size: int, num_workers: int, on_bad_video: str
):
    """Predicts probabilities of every video, averaged over temporal views that differ in where the clips are centred.

    Args:
        model ([`RDFERForVideoClassification`]): in evaluation mode.
        dataset ([`ScoringVideoDataset`]): videos.
        num_views (`int`): number of views V. View v centres the clips at (v + 0.5) / V of their strata; V = 1 is the
            usual, deterministic evaluation.
        batch_size, num_workers, on_bad_video: see [`ScoringBatches`].

    Returns:
        `tuple`: arrays of probabilities `(N, C)`, agreement `(N,)` (mean over views) and labels `(N,)`; and the number
        of videos that were left out.

    Raises:
        ValueError, OSError: if a video cannot be read and `on_bad_video="error"` (the message names it); or if none
            can.
    """
    scores, agreements, labels = [], [], []
    batches = ScoringBatches(dataset, model.device, batch_size, num_workers, on_bad_video, "evaluating")
    for batch in batches:
        views = []
        for view in range(num_views):
            jitter = torch.full((len(batch), model.config.num_clips), (view + 0.5) / num_views, device=model.device)
            views.append(model(batch.frames, frame_mask=batch.frame_mask, clip_jitter=jitter))
        scores.append(torch.stack([probabilities(model, view.logits) for view in views]).mean(0).cpu())
        agreements.append(torch.stack([view.agreement for view in views]).mean(0).cpu())
        labels.append(batch.labels.cpu())
    return *(torch.cat(values).numpy() for values in (scores, agreements, labels)), len(batches.errors)


def main(argv: list[str] | None = None) -> dict:
    """Evaluates. Returns the results.

    It writes `all_results.json`, `confusion_matrix.json` and `.png`, and `coverage_accuracy.png`.
    """
    parser = evaluation_parser("evaluate", __doc__, EXAMPLES)
    parser.add_argument("--num-views", type=int, default=1, help="temporal views to average")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="fit a temperature to these videos, which must be neither training nor test videos, and write it into "
        "the config.json of --model, whose scores are then calibrated; the results are those of the calibrated model",
    )
    source, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)

    if arguments.calibrate and not (arguments.model and Path(arguments.model).is_dir()):
        parser.error("--calibrate writes into the checkpoint: --model must be a folder")
    try:
        model, processor = load(arguments.model, arguments.device)
    except OSError as error:
        parser.error(str(error))
    if arguments.calibrate and model.config.problem_type in ("regression", "multi_label_classification"):
        parser.error(
            f"--calibrate needs one label a video; this checkpoint's problem_type is {model.config.problem_type}"
        )
    videos, left_out = load_evaluation_videos(parser, source, arguments, model.config.label2id)
    if arguments.face_crop is not None:
        processor.do_face_crop = arguments.face_crop
    if arguments.calibrate:
        model.config.calibration_temperature = None  # so that a second calibration finds the same temperature
    dataset = ScoringVideoDataset(videos, model.config.label2id, processor)
    try:
        scores, agreement, references, num_bad = predict_views(
            model, dataset, arguments.num_views, arguments.batch_size, arguments.num_workers, arguments.on_bad_video
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    names = class_names(model.config)
    calibration = {}
    if arguments.calibrate:
        temperature = fit_temperature(scores, references)
        calibration = {
            "calibration_temperature": temperature,
            "eval_ece_uncalibrated": expected_calibration_error(scores, references),
        }
        scores = scores.astype(np.float64) ** (1 / temperature)
        scores /= scores.sum(-1, keepdims=True)
        # Only this field is changed: saving the configuration would also update others.
        file = Path(arguments.model) / "config.json"
        config = {**json.loads(file.read_text()), "calibration_temperature": temperature}
        write_atomically(file, json.dumps(config, indent=2) + "\n")
    metrics = recognition_metrics(scores.argmax(-1), references, names, scores, agreement)
    matrix = metrics.pop("confusion_matrix")
    results = {f"eval_{name}": value for name, value in metrics.items()}
    results.update({"eval_samples": len(references), "num_views": arguments.num_views, **calibration})
    results["by_min_confidence"] = answered_accuracy(scores, references, MIN_CONFIDENCES)
    if num_bad:
        results["left_out_videos"] = num_bad
    if any(damaged := videos.columns.get("num_unreadable", ())):
        results["damaged_videos"] = len(damaged) - damaged.count(0)
    if left_out:
        results["left_out_labels"] = dict(left_out)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.output_dir / "all_results.json", json.dumps(results, indent=2) + "\n")
    write_confusion(matrix, names, arguments.output_dir)
    plot_coverage_accuracy(scores, references, MIN_CONFIDENCES, arguments.output_dir / "coverage_accuracy.png")
    for name, value in results.items():
        if name != "by_min_confidence":
            print(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")
    print("\nmin_confidence  coverage  accuracy of the answers")
    for row in results["by_min_confidence"]:
        accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
        print(f"{row['min_confidence']:<14}  {row['coverage']:.4f}    {accuracy}")
    return results


if __name__ == "__main__":
    main()
