# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Arguments of the scripts that train or evaluate a model."""

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import yaml

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.data.dataset_argument import SourceArguments
from training.data.still_views import NUM_VIEWS
from training.running.script_parser import BooleanAction, ScriptParser

# Other names of --dataset and --eval-dataset; the first three of transformers' example scripts.
DATASET_ALIASES = ("--train-dir", "--train-list", "--dataset-name")
EVAL_DATASET_ALIASES = ("--validation-dir", "--validation-list", "--test-dir", "--eval-list")

ON_DAMAGE_HELP = (
    "What to do with damaged or truncated videos: treat them as unreadable, or take the frames that can be decoded, "
    "if they are at least a quarter; the damaged videos are counted. To find them, all are decoded once more."
)


@dataclass
class ModelArguments:
    """Which model to start from."""

    _argument_group_name = "model"

    model: str | None = field(
        default=None,
        metadata={"help": "Checkpoint to start from, folder or Hub id (default: rdfer-small, or aen-small)."},
    )
    model_type: Literal["rdfer", "aen"] | None = field(
        default=None, metadata={"help": "Family of the model (default: the checkpoint's, or rdfer)."}
    )
    preset: Literal["tiny", "small", "base", "paper"] | None = field(
        default=None, metadata={"help": "Start from scratch with this preset instead of a checkpoint."}
    )
    backbone: str | None = field(
        default=None,
        metadata={
            "help": "With --preset: pretrained backbone to start from, e.g. microsoft/resnet-18 or, of timm, "
            "timm/vit_base_patch16_clip_224.openai."
        },
    )
    config_overrides: str | None = field(
        default=None, metadata={"help": "Fields of the model's configuration, e.g. image_size=64,num_frames=32."}
    )
    emotion_groups: str | None = field(
        default=None,
        metadata={
            "help": "Groups (sentiments) of labels, e.g. bored=negative,surprise=positive. The common labels have one "
            "by default: positive, neutral, negative or surprise."
        },
    )
    license: str | None = field(
        default=None,
        metadata={"help": "Licence of the trained weights for the card, e.g. cc-by-nc-4.0. Mind the dataset's terms."},
    )


@dataclass
class DataArguments(SourceArguments):
    """Which videos to train and evaluate on, and how they are read."""

    split: str = field(default="train", metadata={"help": "Split of --dataset to train on."})
    eval_dataset: str | None = field(
        default=None,
        metadata={
            "help": "Separate videos to evaluate on, in the same forms as --dataset (default: the split test or "
            "validation of --dataset)."
        },
    )
    eval_root: str | None = field(default=None, metadata={"help": "Folder of a dataset that --eval-dataset names."})
    eval_split: str | None = field(
        default=None,
        metadata={
            "help": "Split to evaluate on (default: of --dataset test, else validation; of --eval-dataset validation, "
            "else test)."
        },
    )
    model_selection: Literal["last", "held_out", "best_on_test"] = field(
        default="last",
        metadata={
            "help": "Which epoch's model is kept (default: last). last: that of the last epoch. held_out: the best on "
            "the validation split of --dataset, or, if it has none beside the evaluation split, on a part held out of "
            "the training set. best_on_test: the best on the evaluation videos themselves, which makes the reported "
            "figures too good; results and card state it."
        },
    )
    held_out_share: float = field(
        default=0.1,
        metadata={"help": "Share of the training videos that --model-selection held_out holds out, by whole persons."},
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Read the Parquet shards of --dataset (a Hub id, a prepared folder or an fsspec URL) during "
            "training instead of downloading them first. Memory does not depend on the number of videos."
        },
    )
    on_bad_video: Literal["error", "skip"] = field(
        default="error",
        metadata={
            "help": "What to do with videos that cannot be read or, with face crop, show no face: stop before "
            "training starts, or leave them out."
        },
    )
    on_damage: Literal["error", "use_readable"] = field(default="error", metadata={"help": ON_DAMAGE_HELP})
    face_crop: bool | None = field(
        default=None,
        metadata={
            "help": "Find and crop faces while reading (default: as the checkpoint's processor does).",
            "action": BooleanAction,
        },
    )
    crop_scale: float = field(
        default=0.7, metadata={"help": "Smallest share of the area that the random crop keeps, 0..1."}
    )
    colour_jitter: float = field(
        default=0.4, metadata={"help": "Strength of the jitter of brightness, contrast and saturation, 0..1."}
    )
    still_views: int = field(
        default=NUM_VIEWS,
        metadata={
            "help": "In training and in audits, a still image becomes a video of so many views of itself (crops, "
            "rolls, mirroring, light, blur), so that clips differ and their agreement says something. 1: it stays one "
            "frame, which agrees with itself, so no label of it is ever doubted."
        },
    )
    decisions: str | None = field(
        default=None,
        metadata={
            "help": "decisions.csv of an audit: training videos to relabel or drop. It is refused if labels or files "
            "have changed since the audit."
        },
    )
    trusted_list: str | None = field(
        default=None,
        metadata={
            "help": "CSV, TSV or JSONL with sample_id or path, and label: training videos whose right label is known. "
            "They learn that label, weigh --trusted-weight times as much and are never doubted; where their labels in "
            "the dataset differ shows which labels are mistaken for which, and the loss of all others takes that into "
            "account."
        },
    )
    # Number of decisions of each kind; set when the videos are loaded.
    decision_counts: dict | None = field(default=None, init=False)
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after this many evaluations without a better --metric-for-best-model."},
    )


def training_parser(script: str, description: str | None = None, examples: str | None = None) -> ScriptParser:
    """A parser of all arguments of a training. The arguments are those of [`ScriptParser`]."""
    parser = ScriptParser(script, description, examples, (ModelArguments, DataArguments, RDFERTrainingArguments))
    parser.add_argument("--config", help="YAML file with any of these options; the command line overrides it")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: all GPUs, or the CPU if there is none)")
    parser.add_aliases("--model", "--model-name-or-path")
    parser.add_aliases("--dataset", *DATASET_ALIASES)
    parser.add_aliases("--eval-dataset", *EVAL_DATASET_ALIASES)
    parser.add_aliases("--dataloader-num-workers", "--num-workers")
    parser.allow_bare("--resume-from-checkpoint", "true")
    return parser


def parse_training_arguments(
    argv: list[str], script: str = "train", description: str | None = None, examples: str | None = None
) -> tuple[ModelArguments, DataArguments, RDFERTrainingArguments]:
    """Parses the arguments of a training. The command line overrides `--config FILE.yaml`, which overrides the
    defaults. Wrong arguments end the program with a message.

    Args:
        argv (`list[str]`): the command line.
        script, description, examples (`str`): see [`ScriptParser`].

    Returns:
        `tuple`: the [`ModelArguments`], [`DataArguments`] and [`RDFERTrainingArguments`].
    """
    parser = training_parser(script, description, examples)
    if file := parser.parse_known_args(argv)[0].config:
        read_config(parser, file)
    argv = [*argv, *_select_device(parser, parser.parse_known_args(argv)[0].device)]
    model_arguments, data, args, _ = parser.parse_args_into_dataclasses(argv)
    selects = args.load_best_model_at_end or data.early_stopping_patience is not None
    if data.model_selection != "last" and not args.load_best_model_at_end:
        strategy = "epoch" if args.eval_strategy == "no" else args.eval_strategy.value
        argv += ["--eval-strategy", strategy, "--save-strategy", strategy, "--load-best-model-at-end", "true"]
        argv += ["--save-steps", str(args.eval_steps or args.save_steps)]
        argv += ["--metric-for-best-model", args.metric_for_best_model or "war", "--greater-is-better", "true"]
        argv += ["--save-total-limit", str(args.save_total_limit or 1)]
        model_arguments, data, args, _ = parser.parse_args_into_dataclasses(argv)
    elif data.model_selection == "last" and selects and not (data.eval_dataset or data.eval_split == "validation"):
        parser.error(
            "--load-best-model-at-end and --early-stopping-patience would select the model on the test set of "
            "--dataset: use --model-selection held_out; or best_on_test, which results and card then state; or select "
            "on other videos, --eval-split validation or --eval-dataset."
        )
    return model_arguments, data, args


def read_config(parser: ScriptParser, file: str):
    """Makes the settings of a YAML file the defaults of a parser."""
    try:
        settings = yaml.safe_load(Path(file).read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        parser.error(f"--config {file}: {error}")
    if unknown := sorted(name for name in settings if parser.dest_of(name) is None):
        parser.error(f"{file} has unknown settings {unknown}")
    parser.set_defaults(**{parser.dest_of(name): value for name, value in settings.items()})


def _select_device(parser: ScriptParser, name: str | None) -> list[str]:
    """Options of `Trainer` that make it use a device; a single GPU is selected by hiding the others."""
    try:
        device = torch.device(name) if name else None
    except RuntimeError:
        parser.error(f"--device: expected cpu, cuda or cuda:N, got {name!r}")
    if device is None:
        return []
    if device.type == "cpu":
        return ["--use-cpu", "true"]
    if device.type == "cuda" and device.index is not None and "LOCAL_RANK" in os.environ:
        parser.error(f"--device {name}: with torchrun each process takes a GPU of its own; leave it out")
    if device.type == "cuda" and not _has_gpu(device.index):
        parser.error(f"--device {name}: there is no such GPU")
    return []


@functools.cache
def _has_gpu(index: int | None) -> bool:
    # Neither call initialises CUDA, which would fix the visible devices.
    count = torch.cuda.device_count()
    if index is None or index >= count:
        return index is None and count > 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[index]
    return True


def evaluation_parser(script: str, description: str, examples: str) -> ScriptParser:
    """A parser of the options of scripts that run a checkpoint on labelled videos, see [`load_evaluation_videos`]. The
    arguments are those of [`ScriptParser`].
    """
    parser = ScriptParser(script, description, examples, SourceArguments)
    parser.add_aliases("--dataset", "--dataset-name", *EVAL_DATASET_ALIASES)
    parser.add_argument("--model", help="checkpoint, folder or Hub id (default: the embedded rdfer-small)")
    parser.add_argument("--split", help="split of --dataset (default: test, or validation if there is none)")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder to write into")
    parser.add_argument(
        "--on-unknown-label",
        choices=["error", "skip"],
        default="error",
        help="what to do with labels of the data that the model does not have: stop, or leave their videos out",
    )
    parser.add_argument(
        "--on-bad-video",
        choices=["error", "skip"],
        default="error",
        help="what to do with videos that cannot be read or, with face crop, show no face: stop, or leave them out",
    )
    parser.add_argument("--on-damage", choices=["error", "use_readable"], default="error", help=ON_DAMAGE_HELP)
    parser.add_argument("--batch-size", type=int, default=8, help="videos at once")
    parser.add_argument("--num-workers", type=int, default=0, help="processes that read videos (default: 0)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument(
        "--face-crop",
        action=BooleanAction,
        help="find and crop faces while reading (default: as the checkpoint's processor does)",
    )
    return parser


__all__ = [
    "DataArguments",
    "ModelArguments",
    "evaluation_parser",
    "parse_training_arguments",
    "training_parser",
]
