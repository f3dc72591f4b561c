# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trains the frame network on still face images with people's votes, and makes a checkpoint for videos of it."""

import csv
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments, set_seed

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.checkpoint_weights import load_network
from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.trainer.metrics import expected_calibration_error, fit_temperature, recognition_metrics
from modeling_rdfer.trainer.sample_record import RECORD_NAME
from training.build.face_api_net import build as build_teacher
from training.build.hub_folders import HUB_CARDS
from training.frames.card import facts_of_frame_training
from training.frames.frame_set import combine
from training.frames.frame_trainer import FrameClassifier, FrameTrainer, classify
from training.frames.sources import read_posed, read_unlabelled, read_votes
from training.running import resume
from training.running.arguments import read_config
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.train_frames --config training/recipes/frames_votes.yaml --root FERPLUS --output-dir output/votes
  python -m training.train_frames --config training/recipes/frames_posed.yaml --root FERPLUS --model output/votes \\
    --posed-dataset LONDON --unlabelled-videos tests/data/cap13_edit2.mp4 \\
    --skip-segments tests/data/cap13_segments.csv --output-dir output/frames
  rdfer predict clip.mp4 --model output/frames

An interrupted run goes on when the same command is given again with --resume-from-checkpoint.
"""
# The labels of a new model, which are those of the embedded checkpoint.
LABELS = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]
# There is no record of single videos here.
CHECKPOINT_FILES = tuple(name for name in resume.CHECKPOINT_FILES if name != RECORD_NAME)
# Side of the processor's crops in units of the face box's larger side. Eyes lie as far apart as in FER+.
FACE_MARGIN = 1.15
FACE_DETECTOR = HUB_CARDS / "rdfer-small" / "face_detector.safetensors"
# See `_shift`. The second number makes neutral faces that look a little happy neutral again; it was chosen on FER+
# validation and the London set.
SHIFTS, NEUTRAL_BONUS = torch.linspace(0, 1, 21), 0.2


@dataclass
class FrameArguments:
    """Which faces to learn from."""

    _argument_group_name = "faces"

    root: str = field(default="", metadata={"help": "Folder of FER+, in a layout that the loader ferplus reads."})
    model: str | None = field(
        default=None, metadata={"help": "Checkpoint of preset small to start from (default: random weights)."}
    )
    balance: float = field(
        default=0.5, metadata={"help": "How much more often rare expressions are drawn: 0 not, 1 all alike."}
    )
    posed_dataset: str | None = field(
        default=None,
        metadata={"help": "Folders of photos by the expression that people were asked for, e.g. neutral and smiling."},
    )
    posed_share: float = field(default=0.06, metadata={"help": "Share of posed photos in each batch, 0..1."})
    hold_out: int | None = field(
        default=None,
        metadata={"help": "Do not learn from every second person of --posed-dataset (0 the first, 1 the others)."},
    )
    unlabelled_videos: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Videos of faces of which the network learns to say what the face-expression network of "
            "face-api.js says, so that it keeps what that one knows about videos."
        },
    )
    unlabelled_share: float = field(default=0.06, metadata={"help": "Share of their frames in each batch, 0..1."})
    skip_segments: str | None = field(
        default=None,
        metadata={"help": "CSV with the columns start_s and end_s: stretches of these videos that are to judge."},
    )
    faces_cache: str | None = field(
        default=None,
        metadata={"help": "Folder that keeps the faces of FER+ in memory's form, so that further runs start at once."},
    )


def main(argv: list[str] | None = None) -> dict:
    """Trains, calibrates, evaluates, and writes the checkpoint. Returns the results."""
    arguments, args = _parse(sys.argv[1:] if argv is None else argv)
    set_seed(args.seed)
    try:
        checkpoint = resume.choose_checkpoint(args.resume_from_checkpoint, Path(args.output_dir), CHECKPOINT_FILES)
        model, processor = _start(arguments.model)
        size = model.config.image_size
        label_names = [model.config.id2label[index] for index in range(model.config.num_labels)]
        detector = processor.face_detector()
        validation, majority = _read_votes(arguments, "validation", label_names, detector)
        votes, _ = _read_votes(arguments, "train", label_names, detector, arguments.balance)
        # The splits of FER-2013 share images.
        votes = votes.without(validation.faces)
        sets, shares, held_out = [votes], [1.0], None
        if arguments.posed_dataset:
            posed, held_out = read_posed(arguments.posed_dataset, label_names, detector, arguments.hold_out)
            sets.append(posed)
            shares.append(arguments.posed_share)
        if arguments.unlabelled_videos:
            with tempfile.TemporaryDirectory() as teacher:
                build_teacher(Path(teacher), FACE_DETECTOR)
                skipped = _read_segments(arguments.skip_segments)
                sets.append(read_unlabelled(arguments.unlabelled_videos, skipped, teacher, label_names, detector))
            shares.append(arguments.unlabelled_share)
        shares[0] -= sum(shares[1:])
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    classifier = FrameClassifier(model.rdfer.backbone, model.classifier)
    trainer = FrameTrainer(classifier, args, combine(sets, shares), len(votes), size)
    result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trainer.log_metrics("train", result.metrics)

    clear = majority >= 0
    logits = classify(classifier.eval(), validation.faces[clear], size, FACE_MARGIN)
    shift = _shift(logits, majority[clear], votes.targets.mean(0))
    shift[[canonical_label(name) == "neutral" for name in label_names]] += NEUTRAL_BONUS
    with torch.no_grad():
        model.classifier.bias += shift.to(model.classifier.bias.device)
    logits = logits + shift
    temperature = fit_temperature(logits.softmax(1), majority[clear])
    model.config.calibration_temperature = temperature
    results: dict = {"calibration_temperature": temperature, "shift": dict(zip(label_names, shift.tolist()))}
    results["ferplus_validation"] = _measure(logits, majority[clear], model.config, label_names)
    if held_out is not None and len(held_out):
        logits = classify(classifier, held_out.faces, size, FACE_MARGIN)
        results["posed_held_out"] = _measure(logits, held_out.targets.argmax(1), model.config, label_names)
    # The key expression detecting network sees with the same eye.
    model.rdfer.detector.backbone.load_state_dict(model.rdfer.backbone.state_dict())
    model.rdfer.detector.classifier.load_state_dict(model.classifier.state_dict())
    seconds = result.metrics["train_runtime"] if checkpoint is None else None
    counts = [len(part) for part in sets]
    model.card_facts = facts_of_frame_training(arguments, args, counts, results, trainer.state.epoch, seconds)
    model.save_pretrained(args.output_dir)
    processor.save_pretrained(args.output_dir)
    write_atomically(Path(args.output_dir, "all_results.json"), json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
    return results


def _parse(argv: list[str]) -> tuple[FrameArguments, TrainingArguments]:
    parser = ScriptParser("train_frames", __doc__, EXAMPLES, (FrameArguments, TrainingArguments))
    parser.add_argument("--config", help="YAML file with any of these options; the command line overrides it")
    parser.allow_bare("--resume-from-checkpoint", "true")
    if file := parser.parse_known_args(argv)[0].config:
        read_config(parser, file)
    arguments, args, _ = parser.parse_args_into_dataclasses(argv)
    if not arguments.root:
        parser.error("--root is missing: the folder of FER+.")
    if arguments.hold_out not in (None, 0, 1):
        parser.error(f"--hold-out is 0 or 1, got {arguments.hold_out}.")
    return arguments, args


def _start(checkpoint: str | None) -> tuple[RDFERForVideoClassification, RDFERVideoProcessor]:
    """The model to train and its processor."""
    if checkpoint:
        model = load_network(checkpoint)
        model.config.calibration_temperature = None
        return model, RDFERVideoProcessor.from_pretrained(checkpoint)
    config = RDFERConfig.from_preset("small", id2label=dict(enumerate(LABELS)))
    size = {"height": config.image_size, "width": config.image_size}
    processor = RDFERVideoProcessor(
        do_face_crop=True,
        face_margin=FACE_MARGIN,
        size=size,
        image_mean=config.image_mean,
        image_std=config.image_std,
    )
    return RDFERForVideoClassification(config), processor


def _read_votes(arguments: FrameArguments, split: str, *settings):
    cache = Path(arguments.faces_cache, f"ferplus_{split}.safetensors") if arguments.faces_cache else None
    return read_votes(arguments.root, split, *settings, cache=cache)


def _read_segments(file: str | None) -> list[tuple[float, float]]:
    if file is None:
        return []
    with open(file, newline="") as lines:
        return [(float(row["start_s"]), float(row["end_s"])) for row in csv.DictReader(lines)]


def _shift(logits: torch.Tensor, labels: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """What to add to the logits so that rare expressions are found more often: a part of -log(prior), that with the
    best mean of accuracy and mean recall (logit adjustment, Menon et al., ICLR 2021; the rule is ours).
    """

    def quality(shift: torch.Tensor) -> float:
        right = (logits + shift).argmax(1) == labels
        recalls = torch.stack([right[labels == label].float().mean() for label in labels.unique()])
        return (right.float().mean() + recalls.mean()).item()

    return max((-part * prior.log() for part in SHIFTS), key=quality)


def _measure(logits: torch.Tensor, labels: torch.Tensor, config: RDFERConfig, label_names: list[str]) -> dict:
    probabilities = (logits / config.calibration_temperature).softmax(1)
    metrics = recognition_metrics(probabilities.argmax(1), labels, label_names)
    metrics["expected_calibration_error"] = expected_calibration_error(probabilities, labels)
    return {"num_samples": len(labels), **metrics}


if __name__ == "__main__":
    main()
