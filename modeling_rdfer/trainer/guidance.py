# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Emotion grouping and frame-level guidance in the trainer (docs/method.md, AEN), for both families."""

from pathlib import Path

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel
from transformers.utils import logging

from ..hub.public_names import public_name
from ..models.labels_rdfer import class_names, group_ids
from ..models.loss_aen import group_log_sums, sentiment_cross_entropy, unlabelled_losses
from ..models.package_data_rdfer import embedded_checkpoint
from .arguments import RDFERTrainingArguments
from .pseudo_labels import FrameTeacher, load_teacher, pseudo_labels_of, teacher_columns

logger = logging.get_logger(__name__)

PSEUDO_LABELS_NAME = "pseudo_labels.safetensors"


class GuidanceLoss:
    """Emotion grouping and frame-level guidance: their set-up before training, and their part of the loss.

    Pseudo-labels come from the dataset if its examples have them or it has a `frame_teacher`. Otherwise the teacher
    labels all frames once; the result is kept in `pseudo_labels.safetensors` in the output folder.

    Args:
        model (`PreTrainedModel`): its configuration gives the weights that the arguments leave open.
        args ([`RDFERTrainingArguments`]): weights, teacher, output folder.
        dataset (`Dataset`): the training set.

    Attributes:
        frame_teacher (`str`, *optional*): name of the teacher for the card.
        groups (`list[int]`, *optional*): group of each label, with grouping.
        pseudo_labels (`torch.HalfTensor` of shape `(num_samples, T, C)`, *optional*): those that the teacher gave.
        loss_weights (`dict[str, float]`): weights of all terms.

    Raises:
        ValueError: if dataset, labels or teacher do not fit the grouping or guidance asked for.
    """

    def __init__(self, model: PreTrainedModel, args: RDFERTrainingArguments, dataset: Dataset):
        config = model.config

        def weight(name: str, default: float = 0.0) -> float:
            given = getattr(args, name, None)
            return getattr(config, name, default) if given is None else given

        is_grouped = args.emotion_grouping
        if is_grouped is None:
            is_grouped = hasattr(config, "sentiment_loss_weight")
        self.sentiment_loss_weight = weight("sentiment_loss_weight", 0.5) if is_grouped else 0.0
        self.unlabelled_loss_weights = {
            "consistency_loss_weight": weight("consistency_loss_weight") if is_grouped else 0.0,
            "frame_guidance_weight": weight("frame_guidance_weight"),
            "clip_guidance_weight": weight("clip_guidance_weight"),
        }
        self.frame_teacher: str | None = None
        self.groups: list[int] | None = None
        self.pseudo_labels: torch.Tensor | None = None
        is_guided = weight("frame_guidance_weight") or weight("clip_guidance_weight")
        if (is_grouped or is_guided) and config.problem_type not in (None, "single_label_classification"):
            raise ValueError(f"Grouping and guidance need one label a video, problem_type is {config.problem_type!r}.")
        if is_grouped:
            self.groups = group_ids(class_names(config), getattr(config, "emotion_groups", None))[1]
        if is_guided:
            self._set_up_teacher(class_names(config), args, dataset)

    def _set_up_teacher(self, labels: list[str], args: RDFERTrainingArguments, dataset: Dataset):
        brought: FrameTeacher | None = getattr(dataset, "frame_teacher", None)
        if hasattr(dataset, "batches") and brought is None:
            raise ValueError(
                "Frame-level guidance labels all frames before training, which a stream does not allow unless it "
                "brings pseudo-labels (training.prepare --frame-teacher): do not stream, or set frame_guidance_weight "
                "and clip_guidance_weight to 0."
            )
        teacher = args.frame_teacher or embedded_checkpoint()
        if brought is not None:
            if args.frame_teacher and public_name(teacher) != brought.name:
                raise ValueError(
                    f"The dataset brings pseudo-labels of {brought.name}, not of frame_teacher="
                    f"{public_name(teacher)}: leave that out, or prepare the dataset with it."
                )
            self.frame_teacher = brought.name
            columns = teacher_columns(brought.labels, labels)
            without = [name for name, column in zip(labels, columns) if column is None]
            if without:
                logger.warning(f"{brought.name} does not know the labels {without}: they get no guidance.")
        elif "pseudo_labels" in dataset[0]:
            self.frame_teacher = "the dataset's own pseudo-labels"
        else:
            self.frame_teacher = public_name(teacher)
            # The first process writes the file, the others read it.
            with args.main_process_first(local=False, desc="labelling frames"):
                self.pseudo_labels = pseudo_labels_of(
                    dataset,
                    load_teacher(teacher, args.device),
                    labels,
                    cache=Path(args.output_dir) / PSEUDO_LABELS_NAME,
                    num_workers=args.dataloader_num_workers,
                    progress=not args.disable_tqdm,
                )

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights of all terms that are not 0, by name."""
        weights = {"sentiment_loss_weight": self.sentiment_loss_weight, **self.unlabelled_loss_weights}
        return {name: weight for name, weight in weights.items() if weight}

    def sentiment_losses(self, outputs, targets: torch.LongTensor) -> torch.Tensor | None:
        """Returns the weighted losses of the sentiments `(B,)`, which need the label; None without grouping."""
        if not self.sentiment_loss_weight:
            return None
        sentiments = outputs.get("sentiment_logits")
        if sentiments is None:
            # A model without a sentiment head: the probability of a group is the sum over its emotions.
            sentiments = group_log_sums(outputs["logits"].float().log_softmax(-1), self.groups)
        return self.sentiment_loss_weight * sentiment_cross_entropy(sentiments, targets, self.groups)

    def unlabelled_loss(self, outputs, sample_index: torch.LongTensor, pseudo_labels=None) -> torch.Tensor:
        """Computes the mean of the terms that do not need the label.

        So no weight of a sample applies to them (ours).

        Args:
            outputs: outputs of the model.
            sample_index (`torch.LongTensor` of shape `(B,)`): numbers of the samples.
            pseudo_labels (`torch.Tensor` of shape `(B, T, C)`, *optional*): pseudo-labels that the dataset brings.

        Returns:
            `torch.Tensor` of shape `()`: the weighted sum of the terms.
        """
        if pseudo_labels is None and self.pseudo_labels is not None:
            pseudo_labels = self.pseudo_labels[sample_index.cpu()]
        return unlabelled_losses(outputs, self.groups, pseudo_labels, **self.unlabelled_loss_weights).mean()


__all__ = ["PSEUDO_LABELS_NAME", "GuidanceLoss"]
