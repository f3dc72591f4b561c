# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes RDFER on labelled videos of faces."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from transformers import EarlyStoppingCallback, HfArgumentParser, set_seed
from transformers.utils import logging

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.inference_rdfer import embedded_checkpoint
from modeling_rdfer.metrics_rdfer import recognition_metrics
from modeling_rdfer.trainer_rdfer import RDFERTrainer, RDFERTrainingArguments
from training.data import VideoDataset, Videos, check_videos, load_folder, load_hub_dataset, load_list
from training.reports import facts_of_run, plot_curves, print_partitions, write_confusion

logger = logging.get_logger(__name__)

EXAMPLES = """examples:
  python -m training.train --train_dir D/train --validation_dir D/validation --output_dir out
  python -m training.train --train_list labels.csv --output_dir out --preset base --loss ce
  python -m training.train --config training/recipes/cpu.yaml --train_dir D/train --output_dir out
  torchrun --nproc_per_node 2 -m training.train --train_dir D/train --output_dir out
  python -m training.train --train_dir D/train --output_dir out --push_to_hub --hub_model_id you/my-model
"""


@dataclass
class ModelArguments:
    """Which model to start from."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "RDFER checkpoint: folder or Hub name; the embedded rdfer-small by default."}
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
    license: str | None = field(
        default=None,
        metadata={"help": "Licence of the trained weights for the card, e.g. cc-by-nc-4.0. Mind the dataset's terms."},
    )


@dataclass
class DataArguments:
    """Which videos to train and evaluate on."""

    train_dir: str | None = field(default=None, metadata={"help": "Folder with a sub-folder of videos a label."})
    validation_dir: str | None = field(default=None, metadata={"help": "The same for evaluation."})
    train_list: str | None = field(default=None, metadata={"help": "CSV, TSV or JSONL list: path, label[, split]."})
    validation_list: str | None = field(default=None, metadata={"help": "The same for evaluation."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "Dataset on the Hub or local, with columns video and label."}
    )
    train_split: str = field(default="train", metadata={"help": "Split of --dataset_name for training."})
    validation_split: str | None = field(default=None, metadata={"help": "Split of --dataset_name for evaluation."})
    on_bad_video: Literal["error", "skip"] = field(
        default="error", metadata={"help": "What to do with videos that cannot be read: stop, or leave them out."}
    )
    face_crop: bool | None = field(
        default=None, metadata={"help": "Find and crop faces while reading; as the checkpoint says by default."}
    )
    crop_scale: float = field(default=0.7, metadata={"help": "Least share of the area a random crop keeps."})
    colour_jitter: float = field(default=0.4, metadata={"help": "Strength of colour jitter (authors: 0.4)."})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Stop after so many evaluations without a better --metric_for_best_model."}
    )


def load_videos(folder: str | None, file: str | None, dataset: str | None, split: str | None) -> Videos | None:
    """The videos of the one source that is given, None if none is."""
    if folder:
        return load_folder(folder)
    if file:
        return load_list(file)
    return load_hub_dataset(dataset, split) if dataset and split else None


def parse_overrides(text: str | None) -> dict:
    """`a=1,b=x` to a dict, numbers and booleans as such."""
    import yaml

    overrides = {}
    for item in (text or "").split(","):
        if item:
            name, separator, value = item.partition("=")
            if not separator or not hasattr(RDFERConfig(), name):
                raise ValueError(
                    f"--config_overrides: expected FIELD=VALUE with a field of RDFERConfig, got {item!r}."
                )
            overrides[name] = yaml.safe_load(value)
    return overrides


def build_model(
    arguments: ModelArguments, labels: list[str]
) -> tuple[RDFERForVideoClassification, RDFERVideoProcessor]:
    """
    The model to train and its processor. A checkpoint's labels, and their order, are kept if the data's names are
    among them; otherwise new heads are made for the data's labels, which is said.
    """
    overrides = parse_overrides(arguments.config_overrides)
    if arguments.preset:
        config = RDFERConfig.from_preset(arguments.preset, id2label=dict(enumerate(labels)), **overrides)
        if arguments.backbone:
            model = RDFERForVideoClassification.from_backbone_pretrained(arguments.backbone, config=config)
        else:
            model = RDFERForVideoClassification(config)
        processor = RDFERVideoProcessor(
            num_frames=config.num_frames,
            size={"height": config.image_size, "width": config.image_size},
            image_mean=config.image_mean,
            image_std=config.image_std,
        )
        return model, processor
    name = arguments.model_name_or_path or embedded_checkpoint()
    config = RDFERConfig.from_pretrained(name, **overrides)
    if set(labels) <= set(config.label2id):
        logger.warning(f"Keeping the labels of {name}: {list(config.label2id)}.")
    else:
        logger.warning(
            f"The labels of the data, {labels}, are not those of {name}, {list(config.label2id)}: its heads are "
            "replaced by new ones for the data's labels."
        )
        config.id2label = dict(enumerate(labels))
    model = RDFERForVideoClassification.from_pretrained(name, config=config, ignore_mismatched_sizes=True)
    processor = RDFERVideoProcessor.from_pretrained(name, num_frames=config.num_frames)
    return model, processor


def parse_arguments(argv: list[str]) -> tuple[ModelArguments, DataArguments, RDFERTrainingArguments]:
    """Arguments from the command line over those of `--config FILE.yaml` over the defaults."""
    import argparse

    import yaml

    parser = HfArgumentParser(
        (ModelArguments, DataArguments, RDFERTrainingArguments),
        prog="python -m training.train",
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
    model_arguments, data_arguments, training_arguments, _ = parser.parse_args_into_dataclasses(argv)
    return model_arguments, data_arguments, training_arguments


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Trains, evaluates and writes everything into `--output_dir`. Returns the metrics of the evaluation."""
    model_arguments, data, args = parse_arguments(sys.argv[1:] if argv is None else argv)
    set_seed(args.seed)
    training = load_videos(data.train_dir, data.train_list, data.dataset_name, data.train_split)
    if training is None:
        raise SystemExit("Nothing to train on: pass --train_dir, --train_list or --dataset_name.")
    validation = load_videos(data.validation_dir, data.validation_list, data.dataset_name, data.validation_split)
    num_found = len(training)
    training = check_videos(training, data.on_bad_video, "checking training videos")
    if validation is not None:
        validation = check_videos(validation, data.on_bad_video, "checking validation videos")

    model, processor = build_model(model_arguments, sorted(set(training.labels)))
    if data.face_crop is not None:
        processor.do_face_crop = data.face_crop
    label2id = model.config.label2id
    train_dataset = VideoDataset(
        training,
        label2id,
        processor,
        training=True,
        num_clips=model.config.num_clips,
        seed=args.seed,
        crop_scale=(data.crop_scale, 1.0),
        colour_jitter=data.colour_jitter,
    )
    eval_dataset = None if validation is None else VideoDataset(validation, label2id, processor)
    if eval_dataset is None and args.eval_strategy != "no":
        raise SystemExit("--eval_strategy needs --validation_dir, --validation_list or --validation_split.")
    callbacks = [EarlyStoppingCallback(data.early_stopping_patience)] if data.early_stopping_patience else []
    trainer = RDFERTrainer(
        model=model,
        args=args,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=processor,
        callbacks=callbacks,
    )
    trainer.card_facts = facts_of_run(model_arguments, data)
    trainer.card_facts.num_left_out_videos = num_found - len(training)
    result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    metrics = {}
    if eval_dataset is not None:
        output = trainer.predict(eval_dataset, metric_key_prefix="eval")
        metrics = output.metrics
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
        if trainer.is_world_process_zero():
            result = recognition_metrics(output.predictions.argmax(-1), output.label_ids, trainer.class_names)
            write_confusion(result["confusion_matrix"], trainer.class_names, args.output_dir)
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
