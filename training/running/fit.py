# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A training, from its arguments to the files in its output folder."""

from dataclasses import replace
from pathlib import Path

from huggingface_hub.errors import HTTPError
from transformers import EarlyStoppingCallback, set_seed

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.checkpoints import CheckpointError
from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from modeling_rdfer.trainer.trainer import RDFERTrainer
from training.data.checks import check_videos, find_unreadable_videos, report_bad_videos
from training.data.dataset_argument import find_source
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.streaming import StreamingVideoDataset
from training.data.video_dataset import VideoDataset
from training.reports.card_facts import dataset_key, facts_of_run
from training.reports.plots import plot_curves, write_confusion
from training.reports.tables import print_partitions
from training.running.arguments import DataArguments, ModelArguments
from training.running.build_model import build_model
from training.running.resume import resolve_resume
from training.running.video_sets import VideoSets, load_video_sets, warn_of_overlap

# What a run writes in addition to its model.
RESULT_FILES = (
    *("all_results.json", "train_results.json", "eval_results.json", "confusion_matrix.json", "confusion_matrix.png"),
    "curves.png",
)


def run_training(
    model_arguments: ModelArguments, data: DataArguments, args: RDFERTrainingArguments
) -> dict[str, float]:
    """Loads and checks the videos, trains, evaluates, and writes everything into `args.output_dir`. Wrong arguments
    and bad videos end the program with a message.

    Args:
        model_arguments, data, args: see [`parse_training_arguments`].

    Returns:
        `dict[str, float]`: the metrics of the evaluation; empty without videos to evaluate on.
    """
    try:
        resolve_resume(args)
        videos = load_video_sets(data, args.seed)
        num_found = len(videos.train_videos)
        if videos.eval_videos is None and args.eval_strategy != "no":
            raise ValueError("--eval-strategy needs videos to evaluate on: pass --eval-dataset or --eval-split.")
        if not data.streaming:  # streamed videos were checked by training.prepare, or are remote
            videos = videos.map(
                lambda part, name: check_videos(part, data.on_bad_video, data.on_damage, f"checking {name} videos")
            )
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    return fit(model_arguments, data, args, videos, num_found - len(videos.train_videos), not data.streaming)


def fit(
    model_arguments: ModelArguments,
    data: DataArguments,
    args: RDFERTrainingArguments,
    videos: VideoSets,
    num_left_out: int = 0,
    read_first: bool = False,
) -> dict[str, float]:
    """Trains on videos that have been checked, evaluates, and writes everything into `args.output_dir`.

    Args:
        model_arguments, data, args: see [`parse_training_arguments`]; `args.resume_from_checkpoint` is a folder or
            None, see [`resolve_resume`].
        videos ([`VideoSets`]): the videos.
        num_left_out (`int`): training videos that could not be opened, for the card.
        read_first (`bool`): whether to read every video once before training starts, see [`find_unreadable_videos`].

    Returns:
        `dict[str, float]`: the metrics of the evaluation; empty without videos to evaluate on.
    """
    set_seed(args.seed)
    try:
        if videos.eval_videos is not None:
            warn_of_overlap(videos.train_videos, videos.eval_videos)
        model, processor = build_model(model_arguments, videos.train_videos.label_names)
        label2id = model.config.label2id
        videos = videos.map(lambda part, _: to_labels(part, label2id))
        if data.face_crop is not None:
            processor.do_face_crop = data.face_crop
        if read_first:
            num_opened = len(videos.train_videos)
            videos = videos.map(lambda part, name: _readable(part, name, label2id, processor, data, args))
            num_left_out += num_opened - len(videos.train_videos)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    if args.should_save:
        # Files of an earlier run must not remain with the new model. A resumed run continues its sample table.
        for name in (*RESULT_FILES, *([] if args.resume_from_checkpoint else [SAMPLE_TABLE_NAME])):
            (Path(args.output_dir) / name).unlink(missing_ok=True)
    dataset_class = StreamingVideoDataset if data.streaming else VideoDataset
    train_dataset = dataset_class(
        videos.train_videos,
        label2id,
        processor,
        training=True,
        num_clips=model.config.num_clips,
        seed=args.seed,
        crop_scale=(data.crop_scale, 1.0),
        colour_jitter=data.colour_jitter,
        still_views=data.still_views,
    )
    eval_dataset, selection_dataset = (
        None if part is None else dataset_class(part, label2id, processor)
        for part in (videos.eval_videos, videos.selection_videos)
    )
    try:
        trainer = RDFERTrainer(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=selection_dataset or eval_dataset,
            processing_class=processor,
            callbacks=[EarlyStoppingCallback(data.early_stopping_patience)] if data.early_stopping_patience else [],
        )
    except (ValueError, OSError, HTTPError) as error:  # settings that do not fit; the Hub refuses or is unreachable
        raise SystemExit(f"error: {error}") from error
    trainer.card_facts = _card_facts(model_arguments, data, args, videos, num_left_out)
    try:
        result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    except CheckpointError as error:  # a full disk
        raise SystemExit(f"error: {error}") from error
    trainer.save_model()
    trainer.save_state()
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    metrics = {}
    if eval_dataset is not None:
        metrics = _evaluate(trainer, eval_dataset, evaluation_protocol(data, args, videos.eval_videos))
    if trainer.is_world_process_zero():
        plot_curves(trainer.state.log_history, Path(args.output_dir) / "curves.png")
        print_partitions(trainer.record, trainer.class_names)
    if args.push_to_hub:
        trainer.push_to_hub()
    else:
        trainer.create_model_card()
    return metrics


def to_labels(videos: LabelledVideos, label2id: dict[str, int]) -> LabelledVideos:
    """Renames the videos' labels to the model's. Raises ValueError naming labels without a counterpart."""
    return videos.rename_labels(map_labels(sorted(set(videos.labels)), list(label2id)))


def _readable(videos: LabelledVideos, name: str, label2id, processor, data: DataArguments, args) -> LabelledVideos:
    """The videos that can be decoded. Raises ValueError or OSError as [`report_bad_videos`] does."""
    errors = find_unreadable_videos(videos, label2id, processor, args, f"reading {name} videos")
    report_bad_videos(list(errors.values()), len(videos), data.on_bad_video)
    return videos.select([number for number in range(len(videos)) if number not in errors]) if errors else videos


def evaluation_protocol(data: DataArguments, args: RDFERTrainingArguments, eval_videos: LabelledVideos) -> dict:
    """What was evaluated and how the model was selected, for `all_results.json`."""
    selection = data.model_selection
    if selection == "last" and (args.load_best_model_at_end or data.early_stopping_patience):
        # The user's own validation set selects the model and is reported.
        selection = "best_on_validation"
    facts = {"model_selection": selection, "eval_split": eval_videos.columns["split"][0]}
    return facts | {"dataset": dataset_key(find_source(data.dataset, data.root)), "fold": data.fold}


def _card_facts(model_arguments, data: DataArguments, args, videos: VideoSets, num_left_out: int):
    facts = facts_of_run(model_arguments, data, videos.train_videos)
    facts = replace(facts, num_left_out_videos=num_left_out)
    if videos.eval_videos is not None:
        facts.eval_split = videos.eval_videos.columns["split"][0]
        facts.model_selection = evaluation_protocol(data, args, videos.eval_videos)["model_selection"]
    if videos.selection_videos is not None:
        selection_split, train_split = (
            part.columns["split"][0] for part in (videos.selection_videos, videos.train_videos)
        )
        facts.held_out_share = data.held_out_share if selection_split == train_split else None
    return facts


def _evaluate(trainer: RDFERTrainer, dataset, protocol: dict) -> dict[str, float]:
    """Evaluates the trained model and writes the metrics and the confusion matrix."""
    output = trainer.predict(dataset, metric_key_prefix="eval")
    trainer.log_metrics("eval", output.metrics)
    if trainer.is_world_process_zero():
        result = recognition_metrics(output.predictions.argmax(-1), output.label_ids, trainer.class_names)
        write_confusion(result["confusion_matrix"], trainer.class_names, trainer.args.output_dir)
    # Written last: a folder whose results hold `eval_war` is complete.
    trainer.save_metrics("eval", {**output.metrics, "eval_samples": len(dataset), **protocol})
    return output.metrics


__all__ = ["evaluation_protocol", "fit", "run_training", "to_labels"]
