# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Facts about a training of the frame network, for the card of its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from transformers import TrainingArguments

from modeling_rdfer.hub.card_facts import CardFacts, hardware, library_versions, origins_of
from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.trainer.publishing import changed_settings
from training.reports.card_facts import TITLES

# Of the arguments of training.train_frames; the others are paths.
SETTINGS = ("balance", "posed_share", "hold_out", "unlabelled_share")
FERPLUS = """\
{count:,} photos of FER+ (Barsoum et al., ICMI 2016), each with the votes of ten people. The votes are under the MIT
  licence. The photos are those of FER-2013, from the web, without a licence of the photographers."""
LIMITS = [
    "The parts that read movement and change over time were not trained here.",
    "The results are those of still images. Videos, whose frames are averaged, were not measured. The temperature of "
    "the scores and the shift of the logits were fitted on the same images of FER+ validation, so these results are a "
    "little too good.",
]


def facts_of_frame_training(
    arguments, args: TrainingArguments, counts: Sequence[int], results: Mapping, epochs: float, seconds: float | None
) -> CardFacts:
    """The facts that the card of a frame training states.

    Args:
        arguments ([`FrameArguments`]): which faces were learnt from.
        args (`TrainingArguments`): settings.
        counts (sequence of `int`): faces of FER+, then of the posed photos and of the videos, as far as they are used.
        results (mapping): what `training.train_frames` has measured.
        epochs (`float`): epochs trained.
        seconds (`float`, *optional*): duration of the training; None if it was resumed.

    Returns:
        [`CardFacts`]: the facts.
    """
    base_model = public_name(arguments.model) if arguments.model else None
    remaining = iter(counts)
    data, people = [FERPLUS.format(count=next(remaining))], ["people on photos from the web (FER+)"]
    if arguments.posed_dataset:
        name = public_name(arguments.posed_dataset) or "a folder of photos"
        data.append(f"{next(remaining):,} photos of people who were asked for an expression: {name}.")
        people.append(f"those of {name}")
    if arguments.unlabelled_videos:
        names = ", ".join(public_name(video) or "a video" for video in arguments.unlabelled_videos)
        data.append(
            f"{next(remaining):,} frames of videos without labels ({names}): the targets are the answers of the "
            "face-expression network of face-api.js (MIT)."
        )
        people.append(f"those of {names}")
    defaults = {setting.name: setting.default for setting in fields(arguments)}
    own = {name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) != defaults[name]}
    return CardFacts(
        model_name=Path(args.output_dir).resolve().name,
        summary=_summary(data, results),
        base_model=base_model,
        preset=None if arguments.model else "small",
        dataset_name=TITLES["ferplus"],
        train_split="train",
        people=f"{', and '.join(people)}; about them nothing was recorded.",
        loss="cross-entropy with the targets",
        hyperparameters={**changed_settings(args), **own},
        epochs=epochs,
        versions=library_versions(),
        hardware=hardware(args.device, args.world_size),
        train_seconds=seconds,
        origins=origins_of(base_model, has_face_detector=True),
        limits=LIMITS,
        rebuild="`python -m training.train_frames` with these settings trains it again.",
    )


def _summary(data: Sequence[str], results: Mapping) -> str:
    measured = {"FER+ validation": results["ferplus_validation"]}
    if "posed_held_out" in results:
        measured["posed photos of people left out of training"] = results["posed_held_out"]
    rows = [
        f"| {name} | {part['num_samples']:,} | {100 * part['war']:.1f} | {100 * part['uar']:.1f} | "
        f"{part['expected_calibration_error']:.3f} |"
        for name, part in measured.items()
    ]
    labels = list(results["shift"])
    recalls = [
        f"| {name} | " + " | ".join(_recall(part.get(f"recall_{label}")) for label in labels) + " |"
        for name, part in measured.items()
    ]
    return "\n".join(
        [
            f"Emotion in a video of a face: {', '.join(labels)}. The frame network was trained on still faces:",
            "",
            *(f"- {part}" for part in data),
            "",
            "Measured on still images, those of FER+ with more than half of all ten votes on one label (%):",
            "",
            "| images | number | accuracy | mean recall | calibration error (0..1) |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"| recall | {' | '.join(labels)} |",
            "|---|" + "---|" * len(labels),
            *recalls,
        ]
    )


def _recall(share: float | None) -> str:
    return "none in the set" if share is None else f"{100 * share:.1f}"


__all__ = ["facts_of_frame_training"]
