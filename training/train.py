# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes RDFER or AEN on labelled videos of faces."""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from accelerate import PartialState
from huggingface_hub.errors import HTTPError
from transformers import (
    AutoConfig,
    AutoModelForVideoClassification,
    EarlyStoppingCallback,
    PreTrainedModel,
    set_seed,
)
from transformers.utils import logging

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.models.labels_rdfer import group_labels
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.trainer import SAMPLE_TABLE_NAME, RDFERTrainer, RDFERTrainingArguments
from training.auditing.decisions import apply_decisions, describe
from training.build.aen_small import FOLDER as AEN_SMALL
from training.data.checks import check_videos, find_unreadable_videos, report_bad_videos
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.data.sources import BooleanAction, ScriptParser, SourceArguments, load_source, parse_options
from training.data.streaming import NoSuchSplitError, StreamingVideoDataset, VideoShards, load_shards
from training.data.video_dataset import VideoDataset
from training.datasets import load
from training.reports.plots import facts_of_run, plot_curves, print_partitions, write_confusion

logger = logging.get_logger(__name__)

# By their names in checkpoints: configuration, model.
FAMILIES = {"rdfer": (RDFERConfig, RDFERForVideoClassification), "aen": (AENConfig, AENForVideoClassification)}
EXAMPLES = """examples:
  python -m training.train --train_dir D/train --validation_dir D/validation --output_dir out
  python -m training.train --train_list labels.csv --output_dir out --preset base --loss ce
  python -m training.train --train_dir D/train --output_dir out --model_type aen --preset base
  python -m training.train --dataset dfew --root D --fold 1 --face_crop false --output_dir out
  python -m training.train --dataset crema_d --root D --fold 1 --model_selection held_out --output_dir out
  python -m training.train --train_dir D/train --decisions decisions.csv --output_dir out
  python -m training.train --config training/recipes/cpu.yaml --train_dir D/train --output_dir out
  torchrun --nproc_per_node 2 -m training.train --train_dir D/train --output_dir out
  python -m training.train --train_dir D/train --output_dir out --push_to_hub --hub_model_id you/my-model
"""
# What a run leaves beside its model.
RESULT_FILES = (
    *("all_results.json", "train_results.json", "eval_results.json", "confusion_matrix.json", "confusion_matrix.png"),
    "curves.png",
)


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


def load_videos(
    folder: str | None, file: str | None, dataset: str | None, splits: Sequence[str | None]
) -> LabelledVideos | None:
    """
    The videos of the one source that is given, None if none is: all of a folder; of a list with splits, and of a
    dataset, the first of `splits` that it has.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or it has no such split, naming those it has.
    """
    if folder:
        source, found = folder, load("videofolder", folder)
    elif file:
        source, found = file, load("videolist", file)
    elif dataset and any(splits):
        source, found = dataset, load("hub", dataset)
    else:
        return None
    if not dataset and len(found) == 1:
        # Without splits it is what it is given for.
        return LabelledVideos.from_dataset(next(iter(found.values())), splits[0])
    split = next((split for split in splits if split in found), None)
    if split is None:
        raise ValueError(f"{source} has none of the splits {[name for name in splits if name]}; it has {list(found)}.")
    return LabelledVideos.from_dataset(found[split], split)


def load_split(
    source: SourceArguments, folder: str | None, file: str | None, dataset: str | None, splits: Sequence[str]
) -> LabelledVideos | None:
    """
    The videos of the first of `splits` that --dataset has, or else those that [`load_videos`] finds.

    Raises:
        ValueError, FileNotFoundError: see there and [`load_source`]; or the dataset has no such split.
    """
    if not source.dataset:
        return load_videos(folder, file, dataset, splits)
    found = load_source(source)
    split = next((split for split in splits if split in found), None)
    if split is None:
        raise ValueError(f"{source.root} has none of the splits {list(splits)}; it has {list(found)}.")
    return found[split]


def load_streams(data: DataArguments) -> tuple[VideoShards, VideoShards | None]:
    """
    The shards to train on and those to report, if there are any.

    Raises:
        ValueError, FileNotFoundError: see [`load_shards`]; or what cannot be streamed is asked for.
    """
    if data.dataset != "hub" or not data.root or data.model_selection == "held_out":
        raise ValueError(
            "--streaming needs --dataset hub with --root, and nothing can be held out of a stream: --model_selection "
            "last or best_on_test."
        )
    config = parse_options("hub", data.dataset_options).get("config")
    config = f"fold_{data.fold}" if data.fold is not None else config
    training = load_shards(data.root, "train", config)
    for split in ("test", "validation"):
        try:
            return training, load_shards(data.root, split, config)
        except NoSuchSplitError as error:
            logger.warning(str(error))
    return training, None


def load_parts(
    data: DataArguments, seed: int
) -> tuple[LabelledVideos | None, LabelledVideos | None, LabelledVideos | None]:
    """
    The videos to train on, those that choose the model (None: the last epoch's is kept), those to report.

    Raises:
        ValueError, FileNotFoundError: see [`training.datasets.load`]; or nothing is given to train on.
    """
    choosing = None
    others = ("train_dir", "validation_dir", "train_list", "validation_list", "dataset_name", "validation_split")
    if data.dataset and (given := [f"--{name}" for name in others if getattr(data, name)]):
        raise ValueError(f"--dataset {data.dataset} is a source by itself; {', '.join(given)} cannot be beside it.")
    if data.streaming and data.decisions:
        raise ValueError("--decisions needs all videos at hand: leave --streaming out.")
    elsewhere = set()
    if data.streaming:
        training, test = load_streams(data)
    elif data.dataset:
        splits = load_source(data)
        training = splits.get("train")
        test = splits.get("test", splits.get("validation"))
        choosing = splits.get("validation") if "test" in splits else None
        if training is None:
            raise ValueError(f"{data.root} has no split for training, only {list(splits)}.")
        elsewhere = {name for split, videos in splits.items() if split != "train" for name in videos.sample_ids}
    else:
        training = load_videos(data.train_dir, data.train_list, data.dataset_name, [data.train_split])
        validation = [data.validation_split] if data.dataset_name else ["validation", "test"]
        test = load_videos(data.validation_dir, data.validation_list, data.dataset_name, validation)
        if training is None:
            raise ValueError("Nothing to train on: pass --dataset, --train_dir, --train_list or --dataset_name.")
    if data.decisions:
        training, data.decision_counts = apply_decisions(training, data.decisions, elsewhere)
        print(f"Decisions of {data.decisions}: {describe(data.decision_counts)}.")
    if data.model_selection == "last":
        return training, None, test
    if test is None:
        raise ValueError(f"--model_selection {data.model_selection} needs videos to report: a test or validation set.")
    if data.model_selection == "best_on_test":
        return training, test, test
    if choosing is None:
        training, choosing = training.hold_out(data.held_out_share, seed)
    return training, choosing, test


def parse_overrides(text: str | None, config_class: type = RDFERConfig) -> dict:
    """`a=1,b=x` to a dict, numbers and booleans as such."""
    import yaml

    overrides = {}
    for item in (text or "").split(","):
        if item:
            name, separator, value = item.partition("=")
            if not separator or not hasattr(config_class(), name):
                raise ValueError(
                    f"--config_overrides: expected FIELD=VALUE with a field of {config_class.__name__}, got {item!r}."
                )
            overrides[name] = yaml.safe_load(value)
    return overrides


def parse_groups(text: str | None) -> dict[str, str] | None:
    """`bored=negative,...` to a dict; None if nothing is given."""
    pairs = [item.partition("=") for item in (text or "").split(",") if item]
    if not all(label and group for label, _, group in pairs):
        raise ValueError(f"--emotion_groups: expected LABEL=GROUP,..., got {text!r}.")
    return {label: group for label, _, group in pairs} or None


def build_model(arguments: ModelArguments, labels: list[str]) -> tuple[PreTrainedModel, RDFERVideoProcessor]:
    """
    The model to train and its processor. A checkpoint's labels, and their order, are kept if each of the data's has a
    counterpart among them ("angry" and "anger" are one); otherwise new heads are made for the data's labels, in the
    data's order, which is said.

    Raises:
        ValueError: a setting or a label does not fit the model, naming it.
    """
    groups = parse_groups(arguments.emotion_groups)
    model_type = arguments.model_type or "rdfer"
    if not arguments.preset:
        name = arguments.model_name_or_path or (AEN_SMALL if model_type == "aen" else embedded_checkpoint())
        config = AutoConfig.from_pretrained(name)
        if config.model_type not in FAMILIES or arguments.model_type not in (None, config.model_type):
            raise ValueError(
                f"{name} is a checkpoint of type {config.model_type!r}, expected "
                f"{arguments.model_type or ' or '.join(FAMILIES)}."
            )
        model_type = config.model_type
    config_class, model_class = FAMILIES[model_type]
    overrides = parse_overrides(arguments.config_overrides, config_class)
    if model_type == "aen":
        try:
            group_labels(labels, groups)
        except ValueError as error:
            raise ValueError(f"{error} On the command line: --emotion_groups LABEL=GROUP,...") from error
    if arguments.preset and arguments.model_name_or_path:
        raise ValueError("--preset starts from scratch, --model_name_or_path from a checkpoint: give one of them.")
    if arguments.preset:
        # RDFER has no groups of its own: the trainer finds them there all the same.
        overrides |= {"emotion_groups": groups} if groups else {}
        config = config_class.from_preset(arguments.preset, id2label=dict(enumerate(labels)), **overrides)
        if arguments.backbone:
            model = model_class.from_backbone_pretrained(arguments.backbone, config=config)
        else:
            model = model_class(config)
        processor = RDFERVideoProcessor(
            num_frames=config.num_frames,
            size={"height": config.image_size, "width": config.image_size},
            image_mean=config.image_mean,
            image_std=config.image_std,
        )
        return model, processor
    config = config_class.from_pretrained(name, **overrides)
    if groups:
        config.emotion_groups = groups
    try:
        map_labels(labels, list(config.label2id))
        logger.warning(f"Keeping the labels of {name}: {list(config.label2id)}.")
    except ValueError:
        logger.warning(
            f"The labels of the data, {labels}, are not those of {name}, {list(config.label2id)}: its heads are "
            "replaced by new ones for the data's labels."
        )
        config.id2label = dict(enumerate(labels))
    model = AutoModelForVideoClassification.from_pretrained(name, config=config, ignore_mismatched_sizes=True)
    processor = RDFERVideoProcessor.from_pretrained(name, num_frames=config.num_frames)
    return model, processor


def parse_arguments(
    argv: list[str], script: str = "train"
) -> tuple[ModelArguments, DataArguments, RDFERTrainingArguments]:
    """Arguments from the command line over those of `--config FILE.yaml` over the defaults; `script` is who asks."""
    import argparse

    import yaml

    parser = ScriptParser(
        (ModelArguments, DataArguments, RDFERTrainingArguments),
        prog=f"python -m training.{script}",
        description=__doc__,
        epilog=EXAMPLES,
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


def to_labels(videos: LabelledVideos, label2id: dict[str, int]) -> LabelledVideos:
    """The videos under the model's names of their labels. Raises ValueError naming labels without a counterpart."""
    return videos.rename_labels(map_labels(sorted(set(videos.labels)), list(label2id)))


def warn_of_overlap(training: LabelledVideos, test: LabelledVideos):
    """Warns of videos and people that are both in the training set and among what is reported."""
    hashes = set(training.columns.get("content_hash", ())) - {None}
    same = [name for name, value in zip(test.sample_ids, test.columns.get("content_hash", ())) if value in hashes]
    if same:
        logger.warning(
            f"{len(same)} videos of the reported set are also in the training set (same content): {first_few(same)}."
        )
    if training_people := set(getattr(training, "persons", None) or ()):
        people = sorted(training_people & set(test.persons or ()), key=str)
        if people:
            logger.warning(
                f"{len(people)} people are in the training set and in the reported set: {first_few(people)}."
            )


def protocol(data: DataArguments, args: RDFERTrainingArguments, test: LabelledVideos) -> dict:
    """What the reported figures are of, and how the model was chosen, for `all_results.json`."""
    selection = data.model_selection
    if selection == "last" and (args.load_best_model_at_end or data.early_stopping_patience):
        # The user's own validation set chooses, and is reported.
        selection = "best_on_validation"
    facts = {"model_selection": selection, "eval_split": test.columns["split"][0]}
    return facts | ({"dataset": data.dataset, "fold": data.fold} if data.dataset else {})


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Trains, evaluates and writes everything into `--output_dir`. Returns the metrics of the evaluation."""
    model_arguments, data, args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        training, choosing, test = load_parts(data, args.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error
    if test is None and args.eval_strategy != "no":
        raise SystemExit("--eval_strategy needs --validation_dir, --validation_list or --validation_split.")
    num_found = len(training)
    try:
        if not data.streaming:  # what is streamed was read by training.prepare, or is not at hand
            training = check_videos(training, data.on_bad_video, "checking training videos")
            if choosing is not None and choosing is not test:
                choosing = check_videos(choosing, data.on_bad_video, "checking held-out videos")
            if test is not None:
                test = check_videos(test, data.on_bad_video, "checking test videos")
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    return fit(model_arguments, data, args, training, choosing, test, num_found - len(training), not data.streaming)


def without_unreadable(
    part: str, videos: LabelledVideos, label2id, processor, data: DataArguments, args
) -> LabelledVideos:
    """
    Videos of a part that training can read.

    Raises:
        ValueError, OSError: one cannot be read, with `on_bad_video="error"`, naming it; or none can.
    """
    errors = find_unreadable_videos(videos, label2id, processor, args, f"reading {part} videos")
    report_bad_videos(list(errors.values()), len(videos), data.on_bad_video)
    return videos.select([number for number in range(len(videos)) if number not in errors]) if errors else videos


def fit(
    model_arguments: ModelArguments,
    data: DataArguments,
    args: RDFERTrainingArguments,
    training: LabelledVideos,
    choosing: LabelledVideos | None = None,
    test: LabelledVideos | None = None,
    num_left_out: int = 0,
    read_first: bool = False,
) -> dict[str, float]:
    """
    Trains on videos that have been checked, evaluates, and writes everything into `--output_dir`.

    Args:
        model_arguments, data, args: of `parse_arguments`.
        training, choosing, test ([`LabelledVideos`]): see [`load_parts`].
        num_left_out (`int`): training videos that could not be read, for the card.
        read_first (`bool`): whether to read every video once before training starts, see [`find_unreadable_videos`].

    Returns:
        The metrics of the evaluation; none without `test`.
    """
    set_seed(args.seed)
    try:
        if test is not None:
            warn_of_overlap(training, test)
        model, processor = build_model(model_arguments, training.label_names)
        label2id = model.config.label2id
        training, choosing, test = (
            None if videos is None else to_labels(videos, label2id) for videos in (training, choosing, test)
        )
        if data.face_crop is not None:
            processor.do_face_crop = data.face_crop
        if read_first:
            found = len(training)
            read = functools.partial(without_unreadable, label2id=label2id, processor=processor, data=data, args=args)
            training = read("training", training)
            if choosing is not None and data.model_selection == "held_out":
                choosing = read("held-out", choosing)
            if test is not None:
                test = read("test", test)
            num_left_out += found - len(training)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    if args.should_save:
        # Of another model, or cut off: nothing of it may stand beside this one. The table goes on when resuming.
        for name in (*RESULT_FILES, *([] if args.resume_from_checkpoint else [SAMPLE_TABLE_NAME])):
            (Path(args.output_dir) / name).unlink(missing_ok=True)
    dataset_class = StreamingVideoDataset if data.streaming else VideoDataset
    train_dataset = dataset_class(
        training,
        label2id,
        processor,
        training=True,
        num_clips=model.config.num_clips,
        seed=args.seed,
        crop_scale=(data.crop_scale, 1.0),
        colour_jitter=data.colour_jitter,
    )
    test_dataset = None if test is None else dataset_class(test, label2id, processor)
    eval_dataset = test_dataset
    if choosing is not None and data.model_selection == "held_out":
        eval_dataset = VideoDataset(choosing, label2id, processor)
    callbacks = [EarlyStoppingCallback(data.early_stopping_patience)] if data.early_stopping_patience else []
    try:
        trainer = RDFERTrainer(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processor,
            callbacks=callbacks,
        )
    except (ValueError, OSError, HTTPError) as error:  # settings that do not fit, a Hub that refuses or is not there
        raise SystemExit(f"error: {error}") from error
    facts = trainer.card_facts = facts_of_run(model_arguments, data, training)
    facts.num_left_out_videos = num_left_out
    if test is not None:
        facts.eval_split = test.columns["split"][0]
        facts.model_selection = protocol(data, args, test)["model_selection"]
    if choosing is not None and choosing.columns["split"][0] == training.columns["split"][0]:
        facts.held_out_share = data.held_out_share
    result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    metrics = {}
    if test_dataset is not None:
        output = trainer.predict(test_dataset, metric_key_prefix="eval")
        metrics = output.metrics
        trainer.log_metrics("eval", metrics)
        if trainer.is_world_process_zero():
            result = recognition_metrics(output.predictions.argmax(-1), output.label_ids, trainer.class_names)
            write_confusion(result["confusion_matrix"], trainer.class_names, args.output_dir)
        # Last, so that a folder whose results hold `eval_war` is complete.
        trainer.save_metrics("eval", {**metrics, "eval_samples": len(test_dataset), **protocol(data, args, test)})
    if trainer.is_world_process_zero():
        plot_curves(trainer.state.log_history, Path(args.output_dir) / "curves.png")
        print_partitions(trainer.record, trainer.class_names)
    if args.push_to_hub:
        trainer.push_to_hub()
    else:
        trainer.create_model_card()
    return metrics


if __name__ == "__main__":
    main()
    # Of several processes, one that ends with its group alive can be aborted by its threads (pytorch/pytorch#179291).
    PartialState().destroy_process_group()
