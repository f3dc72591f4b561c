# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Scores of an audit's videos: what all ways of scoring share."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from modeling_rdfer.inference.loading import load
from modeling_rdfer.models.agreement_rdfer import distinct_clips
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions
from training.auditing.video_cards import Cards, make_card
from training.data.labelled_videos import LabelledVideos
from training.data.scoring_batches import ScoringBatches
from training.data.video_dataset import ScoringVideoDataset
from training.running.arguments import DataArguments


@dataclass
class Audit:
    """The scores of an audit's videos.

    Attributes:
        videos ([`LabelledVideos`]): all videos, labelled with the model's names, with the columns of the table.
        label_names (`list[str]`): labels of the probabilities.
        predictions ([`SamplePredictions`]): of the videos that could be read; `index` is their number among `videos`.
        errors (`dict[int, str]`): why the others could not be read.
        model (`str`): name of the model that scored them.
        out_of_sample (`bool`): whether every video was scored by a model that was not trained on it.
        cards ([`Cards`]): of the most suspicious videos.
        missing_cards (`Callable`): makes the cards of other videos, by number.
        revision (`str`, *optional*): commit of the model on the Hub.
        source (`"audit"` or `"training run"`): `"audit"` if each video was scored once, `"training run"` if the scores
            are means over a training.
        folds (`int`, *optional*): number of folds.
        epoch (`int`, *optional*): number of epochs that the scoring models were trained.
        dynamics (`dict` of arrays): `confidence`, `variability`, `correctness` of a training run.
    """

    videos: LabelledVideos
    label_names: list[str]
    predictions: SamplePredictions
    errors: dict[int, str]
    model: str
    out_of_sample: bool
    cards: Cards
    missing_cards: Callable[[list[int]], dict[int, dict]]
    revision: str | None = None
    source: str = "audit"
    folds: int | None = None
    epoch: int | None = None
    dynamics: dict[str, np.ndarray] = field(default_factory=dict)


def load_scoring_model(name: str | None, data: DataArguments, args: RDFERTrainingArguments):
    """Loads a model in evaluation mode and its processor.

    Raises:
        OSError, ValueError: if there is no such model, or it does not give one label a video.
    """
    model, processor = load(name, str(args.device))
    if model.config.problem_type not in (None, "single_label_classification"):
        raise ValueError(f"{name}: an audit needs one label a video, its problem_type is {model.config.problem_type}.")
    if data.face_crop is not None:
        processor.do_face_crop = data.face_crop
    return model, processor


@torch.inference_mode()
def score(
    model,
    processor,
    videos: LabelledVideos,
    numbers: Sequence[int],
    args: RDFERTrainingArguments,
    still_views: int,
    cards: Cards,
    description: str = "scoring",
) -> tuple[SamplePredictions | None, dict[int, Exception]]:
    """Scores videos once, without augmentation; still images as videos of views.

    Args:
        model, processor: see [`load_scoring_model`].
        videos ([`LabelledVideos`]): all videos of the audit, labelled with the model's names.
        numbers (sequence of `int`): which of them to score.
        args ([`RDFERTrainingArguments`]): batch size of evaluation, number of workers, seed of the views.
        still_views (`int`): views of a still image, see [`ScoringVideoDataset`].
        cards ([`Cards`]): collects the cards.
        description (`str`, *optional*, defaults to `"scoring"`): of the progress bar.

    Returns:
        `tuple`: the [`SamplePredictions`], whose `index` is the number among `videos`, or None if no video can be
        read; and the exceptions of videos that cannot be read, by number.
    """
    dataset = ScoringVideoDataset(
        videos.select(list(numbers)), model.config.label2id, processor, seed=args.seed, still_views=still_views
    )
    batches = ScoringBatches(
        dataset,
        model.device,
        args.per_device_eval_batch_size,
        args.dataloader_num_workers,
        on_bad_video="collect",
        description=description,
        disable_progress=args.disable_tqdm,
    )
    parts = []
    for batch in batches:
        index = torch.tensor([numbers[place] for place in batch.numbers])
        outputs = model(batch.frames, frame_mask=batch.frame_mask)
        predictions = SamplePredictions.from_outputs(outputs, batch.labels, index).to("cpu")
        parts.append(predictions)
        clip_mask = distinct_clips(outputs.key_frame_indices).cpu()
        clips, key_frames = outputs.clip_logits.float().softmax(-1).cpu(), outputs.key_frame_indices.cpu()
        for row, example in enumerate(batch.examples):
            make = functools.partial(make_card, example, clips[row][clip_mask[row]], key_frames[row][clip_mask[row]])
            cards.offer(int(index[row]), predictions.loss[row].item(), make)
    errors = {numbers[place]: error for place, error in batches.errors.items()}
    return SamplePredictions.concatenate(parts) if parts else None, errors


def make_cards(model, processor, videos: LabelledVideos, numbers: list[int], args, still_views) -> dict[int, dict]:
    """Makes the cards of some videos by scoring them once more; see [`score`]."""
    cards = Cards(len(numbers))
    score(model, processor, videos, numbers, args, still_views, cards, "frames for the page")
    return cards.cards


__all__ = ["Audit", "load_scoring_model", "make_cards", "score"]
