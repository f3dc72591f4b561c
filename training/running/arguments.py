# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Arguments of the scripts that train or evaluate a model."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.data.sources import SourceArguments
from training.running.script_parser import BooleanAction, ScriptParser


@dataclass
class ModelArguments:
    """Which model to start from."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Checkpoint of either family: folder or Hub name; rdfer-small or aen-small by default."},
    )
    model_type: Literal["rdfer", "aen"] | None = field(
        default=None, metadata={"help": "Family of the model; that of the checkpoint, or rdfer, by default."}
    )
    preset: Literal["tiny", "small", "base", "paper"] | None = field(
        default=None, metadata={"help": "Start from scratch with this preset instead of a checkpoint."}
    )
    backbone: str | None = field(
        default=None, metadata={"help": "With --preset: copy this pretrained backbone in, e.g. microsoft/resnet-18."}
    )
    config_overrides: str | None = field(
        default=None, metadata={"help": "Fields of the configuration, e.g. image_size=64,num_frames=32."}
    )
    emotion_groups: str | None = field(
        default=None,
        metadata={
            "help": "Groups (sentiments) of labels, e.g. bored=negative,surprise=positive. Common labels have one: "
            "positive, neutral, negative or surprise."
        },
    )
    license: str | None = field(
        default=None,
        metadata={"help": "Licence of the trained weights for the card, e.g. cc-by-nc-4.0. Mind the dataset's terms."},
    )


@dataclass
class DataArguments(SourceArguments):
    """Which videos to train and evaluate on: a --dataset, or one source each."""

    train_dir: str | None = field(default=None, metadata={"help": "Folder with a sub-folder of videos a label."})
    validation_dir: str | None = field(default=None, metadata={"help": "The same for evaluation."})
    train_list: str | None = field(default=None, metadata={"help": "CSV, TSV or JSONL list: path, label[, split]."})
    validation_list: str | None = field(default=None, metadata={"help": "The same for evaluation."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "Dataset on the Hub or local, with columns video and label."}
    )
    train_split: str = field(default="train", metadata={"help": "Split of --dataset_name for training."})
    validation_split: str | None = field(default=None, metadata={"help": "Split of --dataset_name for evaluation."})
    model_selection: Literal["last", "held_out", "best_on_test"] = field(
        default="last",
        metadata={
            "help": "Which epoch's model is kept. last: the last one's. held_out: the best one on the dataset's "
            "validation split, or, if it has none beside the test split, on a part held out of the training set. "
            "best_on_test: the best one on the very videos that are reported, which makes the figures too good; "
            "results and card say so."
        },
    )
    held_out_share: float = field(
        default=0.1,
        metadata={"help": "Share of the training set that --model_selection held_out takes, whole persons if known."},
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Read the Parquet shards of --dataset hub while training goes on, from the Hub, a folder or an "
            "fsspec URL, instead of fetching them first. Memory does not depend on the number of videos."
        },
    )
    on_bad_video: Literal["error", "skip"] = field(
        default="error",
        metadata={
            "help": "What to do with videos that cannot be read or, with face crop, show no face: stop before "
            "training starts, or leave them out."
        },
    )
    face_crop: bool | None = field(
        default=None,
        metadata={
            "help": "Find and crop faces while reading; as the checkpoint says by default.",
            "action": BooleanAction,
        },
    )
    crop_scale: float = field(default=0.7, metadata={"help": "Least share of the area a random crop keeps."})
    colour_jitter: float = field(default=0.4, metadata={"help": "Strength of colour jitter (authors: 0.4)."})
    decisions: str | None = field(
        default=None,
        metadata={
            "help": "decisions.csv of the page of training.audit: which training videos to relabel or drop. Refused "
            "if labels or files have changed since."
        },
    )
    # How many, by kind; set when the videos are loaded.
    decision_counts: dict | None = field(default=None, init=False)
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Stop after so many evaluations without a better --metric_for_best_model."}
    )


def parse_training_arguments(
    argv: list[str], script: str = "train", description: str | None = None, examples: str | None = None
) -> tuple[ModelArguments, DataArguments, RDFERTrainingArguments]:
    """
    Parses the arguments of a training: the command line overrides `--config FILE.yaml`, which overrides the defaults.
    What is wrong ends the program with a message.

    Args:
        argv (`list[str]`): the command line.
        script (`str`, *optional*, defaults to `"train"`): name of the script, for messages.
        description, examples (`str`, *optional*): for `--help`.
    """
    parser = ScriptParser(
        (ModelArguments, DataArguments, RDFERTrainingArguments),
        prog=f"python -m training.{script}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="YAML file with any of these arguments; the command line overrides it.")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config")
    file = config.parse_known_args(argv)[0].config
    if file:
        settings = yaml.safe_load(Path(file).read_text()) or {}
        known = {action.dest for action in parser._actions}
        unknown = sorted(set(settings) - known)
        if unknown:
            parser.error(f"{file} has unknown settings {unknown}")
        for action in parser._actions:
            if action.dest in settings:
                action.required = False
        parser.set_defaults(**settings)
    model_arguments, data, args, _ = parser.parse_args_into_dataclasses(argv)
    chooses = args.load_best_model_at_end or data.early_stopping_patience is not None
    if data.model_selection != "last" and not args.load_best_model_at_end:
        strategy = "epoch" if args.eval_strategy == "no" else args.eval_strategy.value
        argv = [*argv, "--eval_strategy", strategy, "--save_strategy", strategy, "--load_best_model_at_end", "true"]
        argv += ["--save_steps", str(args.eval_steps or args.save_steps)]
        argv += ["--metric_for_best_model", args.metric_for_best_model or "war", "--greater_is_better", "true"]
        argv += ["--save_total_limit", str(args.save_total_limit or 1)]
        model_arguments, data, args, _ = parser.parse_args_into_dataclasses(argv)
    elif data.dataset and data.model_selection == "last" and chooses:
        parser.error(
            "--load_best_model_at_end and --early_stopping_patience would choose the model on the test set of "
            "--dataset: use --model_selection held_out, or best_on_test, which results and card then say."
        )
    return model_arguments, data, args


def evaluation_parser(script: str, description: str, examples: str) -> ScriptParser:
    """A parser of what scripts take that show a checkpoint labelled videos; see [`load_evaluation_videos`]."""
    parser = ScriptParser(
        SourceArguments,
        prog=f"python -m training.{script}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="folder or name on the Hub (default: the embedded rdfer-small)")
    parser.add_argument("--test_dir", help="folder with a sub-folder of videos for each label")
    parser.add_argument("--test_list", help="CSV, TSV or JSONL list: path, label")
    parser.add_argument("--dataset_name", help="dataset on the Hub or local, with columns video and label")
    parser.add_argument("--split", help="split of the dataset (default: test; validation if there is none)")
    parser.add_argument(
        "--on_unknown_label",
        choices=["error", "skip"],
        default="error",
        help="what to do with labels of the data that the model has not: stop, or leave their videos out",
    )
    parser.add_argument("--batch_size", type=int, default=8, help="videos at once (default: 8)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read videos (default: 0)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    parser.add_argument("--face_crop", "--face-crop", action=BooleanAction, help="default: as the checkpoint says")
    parser.add_argument("--on_bad_video", choices=["error", "skip"], default="error", help="default: error")
    return parser


__all__ = ["DataArguments", "ModelArguments", "evaluation_parser", "parse_training_arguments"]
