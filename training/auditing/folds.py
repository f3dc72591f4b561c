# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Out-of-sample scores: each part of the videos is scored by a model that was trained on the others."""

import gc
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from modeling_rdfer.trainer.verdicts import log_odds_against, loss_at
from training.auditing.arguments import AuditArguments
from training.auditing.scoring import Audit, load_scoring_model, make_cards, score
from training.auditing.video_cards import Cards
from training.auditing.videos import fingerprint, open_audit_videos
from training.data.checks import find_unreadable_videos, report_bad_videos
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.running.arguments import DataArguments, ModelArguments, parse_training_arguments
from training.running.build_model import build_model
from training.running.fit import fit
from training.running.resume import resolve_resume
from training.running.run_folders import differing_settings, read_json, settings_of
from training.running.video_sets import VideoSets, load_split

DEFAULT_FOLDS = 5
SETTINGS_NAME, PREDICTIONS_NAME = "folds.json", "held_out.safetensors"
# Settings that the trainings of the folds do not depend on, or that the fingerprint of the videos covers.
DATA_SETTINGS = ("dataset", "dataset_options", "split", "eval_dataset", "eval_split", "on_bad_video", "on_damage")
REFUSED = (
    "streaming",
    "push_to_hub",
    "load_best_model_at_end",
    "early_stopping_patience",
    "decisions",
    "trusted_list",
)


def score_by_folds(
    arguments: AuditArguments,
    argv: list[str],
    model_arguments: ModelArguments,
    data: DataArguments,
    args: RDFERTrainingArguments,
) -> Audit:
    """`--folds`: trains a model on each fold's other parts and scores the fold with it. Finished folds are kept, and
    interrupted ones resumed.

    Args:
        arguments ([`AuditArguments`]): arguments of the audit.
        argv (`list[str]`): command line of the trainings, without the options of the audit.
        model_arguments, data, args: what [`parse_training_arguments`] has parsed from it.

    Returns:
        [`Audit`]: the scores.

    Raises:
        ValueError, OSError: if settings, labels or videos do not fit each other, or the output folder has folds of
            other settings.
    """
    output_dir, count = Path(arguments.output_dir), arguments.folds or DEFAULT_FOLDS
    refused = [f"--{name.replace('_', '-')}" for name in REFUSED if getattr(data, name, getattr(args, name, None))]
    if refused or args.eval_strategy != "no" or data.model_selection != "last":
        raise ValueError(
            f"{', '.join(refused) or '--eval-strategy and --model-selection'}: the trainings of an audit's folds read "
            "local files, keep the model of the last epoch and are not pushed; leave it out."
        )
    videos = load_split(data, [data.split])
    errors = open_audit_videos(videos, data.on_bad_video, data.on_damage)
    if model_arguments.model:
        refuse_trained_on(model_arguments.model, videos)
    kept_settings = {name: value for name, value in settings_of(argv, "audit").items() if name not in DATA_SETTINGS}
    settings = {"folds": count, "seed": args.seed, "videos": fingerprint(videos), **kept_settings}
    before = read_json(output_dir / SETTINGS_NAME)
    if before and before["settings"] != settings:
        differing = differing_settings(before["settings"], settings)
        raise ValueError(
            f"{output_dir} has folds of other settings or videos (there, now): {differing}; use another --output-dir."
        )
    # Fails before anything is trained if labels or settings do not fit.
    model, processor = build_model(model_arguments, videos.label_names)
    label_names = class_names(model.config)
    names = map_labels(sorted(set(videos.labels)), label_names)
    if data.face_crop is not None:
        processor.do_face_crop = data.face_crop
    start = describe_start(model_arguments)
    print(
        f"Out of sample, as neither --in-sample nor --sample-table is given: {count} trainings, each on {count - 1} "
        f"of {count} parts of {len(videos) - len(errors)} videos for {args.num_train_epochs:g} epochs from {start}. "
        f"Each model then scores the part it was not trained on. If interrupted, it resumes from {output_dir}."
    )
    unreadable = before.get("unreadable")
    if unreadable is None:
        numbers = [number for number in range(len(videos)) if number not in errors]
        renamed = videos.rename_labels(names).select(numbers)
        further = find_unreadable_videos(renamed, model.config.label2id, processor, args)
        further = {numbers[place]: error for place, error in further.items()}
        report_bad_videos(list(further.values()), len(numbers), data.on_bad_video)
        unreadable = {videos.sample_ids[number]: str(error) for number, error in (errors | further).items()}
        output_dir.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"settings": settings, "unreadable": unreadable}, indent=2)
        write_atomically(output_dir / SETTINGS_NAME, text + "\n")
    del model
    kept = [number for number, name in enumerate(videos.sample_ids) if name not in unreadable]
    folds = [[kept[place] for place in fold] for fold in videos.select(kept).folds(count, args.seed)]
    cards = Cards(arguments.max_cards)
    scored = videos.rename_labels(names)
    parts, fold_of = [], {}
    for number, members in enumerate(folds, start=1):
        folder = output_dir / f"fold_{number}"
        if (folder / PREDICTIONS_NAME).is_file():
            print(f"Fold {number} is finished: {folder} is kept.")
        else:
            others = sorted(set(kept) - set(members))
            if not (folder / "train_results.json").is_file():
                print(f"Fold {number} of {count}: training on {len(others)} videos.")
                train_fold(argv, folder, videos.select(others))
            description = f"scoring fold {number} of {count}"
            score_fold(folder, scored, members, label_names, data, args, cards, description)
        parts.append(SamplePredictions.from_state_dict(load_file(folder / PREDICTIONS_NAME)))
        fold_of |= dict.fromkeys(members, number)
    predictions = SamplePredictions.concatenate(parts)
    scored_ids = [videos.sample_ids[number] for number in predictions.index.tolist()]
    predictions.loss = with_training_losses(predictions.loss, losses_in_trainings(scored_ids, output_dir, count))
    scored.columns["fold"] = [fold_of.get(number) for number in range(len(videos))]

    def missing_cards(wanted: list[int]) -> dict[int, dict]:
        found = {}
        for number, _members in enumerate(folds, start=1):
            if chosen := [video for video in wanted if fold_of[video] == number]:
                folder = (output_dir / f"fold_{number}").resolve()
                model = load_scoring_model(str(folder), data, args)
                found |= make_cards(*model, scored, chosen, args, data.still_views)
        return found

    return Audit(
        scored,
        label_names,
        predictions,
        {number: unreadable[name] for number, name in enumerate(videos.sample_ids) if name in unreadable},
        model=f"{count} models trained from {start}",
        out_of_sample=True,
        folds=count,
        epoch=round(args.num_train_epochs),
        cards=cards,
        missing_cards=missing_cards,
    )


def describe_start(arguments: ModelArguments) -> str:
    """What the trainings start from, in words."""
    if arguments.preset:
        return f"scratch (preset {arguments.preset})"
    if arguments.model:
        return public_name(arguments.model) or "a local checkpoint"
    return "aen-small" if arguments.model_type == "aen" else "rdfer-small"


def refuse_trained_on(model: str, videos: LabelledVideos):
    """Raises ValueError if the sample table in a model's folder has videos of the audit."""
    import pyarrow.parquet as pq

    table = Path(model) / SAMPLE_TABLE_NAME
    if not table.is_file():
        return
    trained_on = set(pq.read_table(table, columns=["content_hash"])["content_hash"].to_pylist()) - {None}
    if common := len(trained_on & set(videos.columns["content_hash"])):
        raise ValueError(
            f"{model} was trained on {common} of these {len(videos)} videos, as its {SAMPLE_TABLE_NAME} shows: models "
            "trained from it know the labels that they would judge, so their scores would not be out of sample. Start "
            "from the model that it was trained from (default: rdfer-small), or use --in-sample, or --sample-table "
            f"{table}."
        )


def train_fold(argv: list[str], folder: Path, videos: LabelledVideos):
    """Trains on a fold's videos, from the last checkpoint in its folder if there is one."""
    argv = [*argv, "--output-dir", str(folder), "--resume-from-checkpoint", "true"]
    model_arguments, data, args = parse_training_arguments(argv, "audit")
    resolve_resume(args)
    fit(model_arguments, data, args, VideoSets(videos))
    # The trainer and its optimizer refer to each other: free them before the next fold.
    gc.collect()


def score_fold(
    folder: Path,
    videos: LabelledVideos,
    members: list[int],
    label_names: list[str],
    data: DataArguments,
    args: RDFERTrainingArguments,
    cards: Cards,
    description: str,
):
    """Scores a fold's held-out videos with its model and writes the predictions into its folder."""
    model, processor = load_scoring_model(str(folder.resolve()), data, args)
    if class_names(model.config) != label_names:
        raise ValueError(
            f"{folder} has a model of the labels {class_names(model.config)}, expected {label_names} in that order."
        )
    predictions, errors = score(model, processor, videos, members, args, data.still_views, cards, description)
    if errors:  # they were readable before the training
        report_bad_videos(list(errors.values()), len(members), "error")
    save_file(predictions.state_dict(), folder / PREDICTIONS_NAME)  # which is complete or not there


def losses_in_trainings(sample_ids: list[str], output_dir: Path, count: int) -> list[list[float]]:
    """Reads the losses of videos in the trainings of the folds from their sample tables.

    Args:
        sample_ids (`list[str]`): the videos; each was in at least one training.
        output_dir (`Path`): of the audit.
        count (`int`): number of folds.

    Returns:
        `list[list[float]]`: for each video its losses, one for each training that had it.
    """
    import pyarrow.parquet as pq

    losses: dict[str, list[float]] = {}
    for number in range(1, count + 1):
        table = pq.read_table(output_dir / f"fold_{number}" / SAMPLE_TABLE_NAME, columns=["sample_id", "loss"])
        seen = table.filter(table["loss"].is_valid()).to_pydict()
        for name, value in zip(seen["sample_id"], seen["loss"]):
            losses.setdefault(name, []).append(value)
    return [losses[name] for name in sample_ids]


def with_training_losses(held_out: torch.Tensor, in_trainings: list[list[float]]) -> torch.Tensor:
    """Averages the loss out of sample with the losses in the trainings of the other folds (ours).

    A single look of one model is a noisy measurement. The other trainings had the video: the running mean of its loss
    over their epochs stands in their sample tables. It finds more wrong labels, and takes fewer hard videos for them,
    see docs/benchmarks.md.

    Args:
        held_out (`torch.FloatTensor` of shape `(N,)`): losses out of sample.
        in_trainings (`list[list[float]]`): for each video its losses in the trainings that had it, at least one.

    Returns:
        `torch.FloatTensor` of shape `(N,)`: the loss at the mean of the log-odds out of sample and of the mean
        log-odds in the trainings, see [`log_odds_against`].
    """
    sizes = torch.tensor([len(losses) for losses in in_trainings])
    log_odds = log_odds_against(torch.tensor([loss for losses in in_trainings for loss in losses]))
    videos = torch.arange(len(sizes)).repeat_interleave(sizes)
    training = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, videos, log_odds) / sizes
    return loss_at((log_odds_against(held_out) + training) / 2).float()


__all__ = ["score_by_folds"]
