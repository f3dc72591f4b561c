# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Trainer with the agreement-weighted loss and a record of every sample."""

import math
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, ProgressCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import EvalPrediction, HubStrategy, rotate_checkpoints
from transformers.utils import logging

from ..models.agreement_rdfer import distinct_clips
from .arguments import RDFERTrainingArguments
from .callbacks import EpochCallback, ShortPrinterCallback, ShortProgressCallback
from .checkpoints import UNFINISHED_FOLDER, checkpoint_error, publish_folder
from .collator import MODEL_INPUTS, check_train_dataset, collate_videos
from .guidance import GuidanceLoss
from .lora import add_lora, load_lora
from .losses import blended_loss_function, cross_entropy, sample_loss_function, weighted_loss
from .metrics import recognition_metrics
from .noise_methods import NOISE_METHOD_NAME, NOISE_METHODS
from .optimizer import decayed_names, parameter_groups
from .publishing import PublishingTrainer, without_prefix
from .sample_record import RECORD_NAME, SamplePredictions, SampleRecord, load_predictions, save_predictions
from .sample_table import write_sample_table
from .sampler import BalancedSampler
from .trusted_labels import TrustedLabels, given_label_logits
from .weighting import SampleWeighting

logger = logging.get_logger(__name__)

# From this share of noisy samples on, a label is reported as being wiped out.
WIPED_OUT_SHARE = 0.4
# Predictions of this many steps are put together. Those of each step apart would take several times the memory.
STEPS_APART = 1000


class RDFERTrainer(PublishingTrainer):
    """`transformers.Trainer` that weights samples by the agreement of their clips and keeps a record of every sample.

    What it adds:
    - `--loss` chooses the loss. With `agreement`, the verdicts clean / hard / noisy come from running means over the
      epochs before. Noisy samples are dropped; from `relabel_start` on they learn the label that their clips agree on,
      and doubted samples learn it in proportion (ours). See [`SampleWeighting`].
    - `sample_table.parquet` in the output folder and in every checkpoint has a row for each training sample.
    - After each epoch it logs the agreement, and the share and mean weight of clean, hard and noisy samples of each
      label.
    - Evaluation gives WAR, UAR and the recall of each label.
    - Emotion grouping and frame-level guidance, for RDFER and AEN, see [`GuidanceLoss`].
    - The model card describes the training. What the trainer cannot know (name of the dataset, how the epoch was
      chosen, licence) is taken from its attribute `card_facts`, a [`CardFacts`].
    - It pushes weights, configurations, code, card and figures only, and what `hub_include` names; also with
      `hub_strategy="checkpoint"`.

    Args:
        model (`PreTrainedModel`, *optional*): RDFER or AEN for video classification, see `transformers.Trainer`.
        args ([`RDFERTrainingArguments`], *optional*): settings, see `transformers.Trainer`.
        train_dataset (`Dataset`, *optional*): examples as [`collate_videos`] takes them, with `sample_index`
            numbering them 0, 1, ... It must have `labels`, a sequence of all given labels in that order. If it has
            `set_epoch`, that is called at the beginning of each epoch. If it has `sample_columns`, a `dict` of
            sequences (`sample_id`, `path`, ...), they go into the table. It may have `trusted`, a [`TrustedLabels`]:
            these labels are never doubted, and the loss of the others takes its noise matrix into account. It may
            bring pseudo-labels: a column `pseudo_labels` `(T, C)`, -100 for unknown, and an attribute `frame_teacher`,
            a [`FrameTeacher`]. A dataset that streams has a method `batches(batch_size, collate, rank, world_size,
            num_workers)` that returns an `IterableDataset` of this process's batches, with `mean_batch_size` and
            `skip` (`training.data.streaming.StreamingVideoDataset`). Every sample then counts the same, whatever the
            size of its batch.
        kwargs: see `transformers.Trainer`.

    Raises:
        KeyError: if a column is missing; the message names it.
        ValueError: if labels or settings do not fit the model or the dataset.
    """

    # `compute_loss` returns the mean of a batch; `Trainer` divides it by the accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(self, model=None, args: RDFERTrainingArguments | None = None, train_dataset=None, **kwargs):
        kwargs.setdefault("data_collator", collate_videos)
        super().__init__(model=model, args=args, train_dataset=train_dataset, **kwargs)
        args = self.args
        for callback, shorter in ((PrinterCallback, ShortPrinterCallback), (ProgressCallback, ShortProgressCallback)):
            if self.pop_callback(callback) is not None:
                self.add_callback(shorter(self.class_names))
        if args.freeze_backbone:
            self.model.freeze_backbone()
        if args.drop_path:
            self.model.set_drop_path(args.drop_path)
        if args.lora_rank:
            add_lora(self.model.base_model.backbone, args.lora_rank)
        if self.compute_metrics is None:
            self.compute_metrics = self._recognition_metrics
        base_losses = {"agreement": args.base_loss, **dict.fromkeys(NOISE_METHODS, "ce")}
        self.sample_loss = self._sample_loss(base_losses.get(args.loss, args.loss))
        self.weighting: SampleWeighting | None = None
        self.noise_method: nn.Module | None = None
        self.noise_matrix: torch.Tensor | None = None
        self._sampler = self._batches = None
        self._writes_checkpoint = False
        self._predictions, self._predictions_epoch, self._wiped_out = [], 0, set()
        self._trusted: bool | None = None  # None: nothing was said about it yet
        if train_dataset is not None:
            self._set_up_record(train_dataset)
            self.guidance = GuidanceLoss(self.model, args, train_dataset)
            self.add_callback(EpochCallback(self))

    def _sample_loss(self, name: str):
        args = self.args
        return sample_loss_function(
            name,
            label_smoothing=args.label_smoothing_factor,
            gce_q=args.gce_q,
            sce_alpha=args.sce_alpha,
            sce_beta=args.sce_beta,
        )

    def _set_up_record(self, dataset: Dataset):
        args, num_labels = self.args, self.model.config.num_labels
        labels = check_train_dataset(dataset, num_labels, args.sampler)
        num_epochs = args.num_epochs_of(len(dataset))
        trusted: TrustedLabels | None = getattr(dataset, "trusted", None)
        if trusted is not None:
            if args.loss in NOISE_METHODS:
                raise ValueError(f"Trusted labels cannot be used with --loss {args.loss}.")
            self.noise_matrix = trusted.noise_matrix.to(args.device)
        self.record = SampleRecord(
            labels,
            num_labels,
            args.verdict_thresholds,
            hard_sample_gain=args.hard_sample_gain,
            noisy_sample_weight=args.noisy_sample_weight,
            running_mean_decay=args.running_mean_decay_for(num_epochs),
            trusted=None if trusted is None else trusted.mask,
        )
        self.weighting = SampleWeighting(self.record, num_labels, args, num_epochs)
        if args.loss in NOISE_METHODS:
            self.noise_method = NOISE_METHODS[args.loss](self.model, args, labels, num_epochs).to(args.device)

    # Epochs ----------------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int):
        """Sets what the epoch learns from each sample, see [`SampleWeighting`]; called by a callback."""
        if self._predictions and self._predictions_epoch < epoch:
            self.finish_epoch()  # resumed from a checkpoint that was saved at the very end of an epoch
        self._predictions_epoch = epoch
        if hasattr(self.train_dataset, "set_epoch"):
            self.train_dataset.set_epoch(epoch)
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)
        if self._batches is not None and not self.args.ignore_data_skip:
            accumulation = self.args.gradient_accumulation_steps
            done = self.state.global_step - epoch * math.ceil(len(self._batches) / accumulation)
            self._batches.skip(epoch, done * accumulation)
        self.weighting.begin_epoch(epoch)
        if self.args.loss == "agreement":
            # Robust losses learn little from labels that the model holds for improbable, which at first are all.
            self.sample_loss = blended_loss_function(
                self._sample_loss("ce"), self._sample_loss(self.args.base_loss), self.record.trust
            )

    def finish_epoch(self):
        """Shares the predictions of the epoch among processes, updates the record and logs it."""
        if not self._predictions:
            return  # resumed where training had ended
        predictions = self._take_predictions()
        self._predictions = []
        if self.args.world_size > 1:
            predictions = SamplePredictions.concatenate(gather_object([predictions]))
        self.record.update(predictions)
        summary = self.record.summary(self.class_names)
        if self.weighting.takes_effect(self._predictions_epoch + 1):
            self._report_trust()
            for name in self.class_names:
                share = summary.get(f"share_noisy_{name}", 0.0)
                if share > WIPED_OUT_SHARE and name not in self._wiped_out:
                    self._wiped_out.add(name)  # once is enough: it may last for the rest of the training
                    logger.warning(
                        f"{share:.0%} of the training videos labelled {name!r} are judged noisy: the label is being "
                        "wiped out. Look at sample_table.parquet; lower max_noisy_share or raise noisy_loss_threshold."
                    )
        # Without a threshold the value is infinity, which loggers cannot take.
        self.log({key: value for key, value in summary.items() if np.isfinite(value)})
        if self.is_world_process_zero():
            self._write_table(self.args.output_dir)

    def _report_trust(self):
        if self.record.trust == 0 and self._trusted is None:
            logger.warning(
                "The model agrees with the given labels hardly more often than by chance. Until that changes, its "
                "verdicts are not trusted: samples weigh the same, and the loss is cross-entropy."
            )
            self._trusted = False
        elif self.record.trust > 0 and self._trusted is False:
            logger.warning(f"From epoch {self._predictions_epoch + 2} on, verdicts on samples take effect.")
            self._trusted = True

    def _take_predictions(self) -> SamplePredictions:
        return SamplePredictions.concatenate([part.to("cpu") for part in self._predictions])

    def _write_table(self, folder: str | Path):
        columns = getattr(self.train_dataset, "sample_columns", {})
        write_sample_table(folder, self.record, self.class_names, columns)

    # Steps -----------------------------------------------------------------------------------------------------------

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Computes the loss of a batch, see the class; in evaluation the mean cross-entropy of the videos."""
        labels = inputs["labels"]
        model_inputs = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
        outputs = model(**model_inputs)
        if not model.training:
            loss = cross_entropy(outputs["logits"], labels).mean()
            return (loss, outputs) if return_outputs else loss
        index = inputs["sample_index"]
        targets, weights = self.weighting.targets[index], self.weighting.weights[index]
        if self.noise_method is None:
            loss = self._weighted_loss(self._as_given(outputs, index, targets), targets, weights)
        else:
            with self.accelerator.autocast():
                loss = self.noise_method(
                    outputs, model_inputs, index, targets, weights, self._weighted_loss, self._predictions_epoch
                )
        loss = loss + self.guidance.unlabelled_loss(outputs, index, inputs.get("pseudo_labels"))
        if self._batches is not None:
            loss = loss * (len(labels) / self._batches.mean_batch_size)
        self._predictions.append(SamplePredictions.from_outputs(outputs, labels, index))
        if len(self._predictions) > STEPS_APART:
            self._predictions = [SamplePredictions.concatenate(self._predictions)]
        return (loss, outputs) if return_outputs else loss

    def _as_given(self, outputs, index: torch.LongTensor, targets: torch.LongTensor):
        """The outputs with the scores that the loss compares with the targets: those of given labels for samples that
        learn a label that is not trusted.
        """
        if self.noise_matrix is None:
            return outputs
        index = index.cpu()
        doubtful = ~self.record.trusted[index] & (self.record.given_labels[index] == targets.cpu())
        doubtful, outputs = doubtful.to(targets.device), dict(outputs)
        for name in ("logits", "clip_logits", "detector_logits"):
            if (logits := outputs.get(name)) is not None:
                given = given_label_logits(logits, self.noise_matrix)
                outputs[name] = torch.where(doubtful.view(-1, *[1] * (logits.ndim - 1)), given, logits)
        return outputs

    def _weighted_loss(self, outputs, targets: torch.LongTensor, weights: torch.Tensor) -> torch.Tensor:
        config = self.model.config
        return weighted_loss(
            outputs["logits"],
            outputs["clip_logits"],
            outputs.get("detector_logits"),
            targets,
            distinct_clips(outputs["key_frame_indices"]),
            weights,
            self.sample_loss,
            clip_loss_weight=getattr(config, "clip_loss_weight", 0.0),
            detector_loss_weight=getattr(config, "detector_loss_weight", 0.0),
            video_loss_weight=getattr(config, "emotion_loss_weight", 1.0),
            further_losses=self.guidance.sentiment_losses(outputs, targets),
        )

    def get_train_dataloader(self) -> DataLoader:
        """See `Trainer`. A stream shares its samples among the processes itself, so accelerate must not do it."""
        if not hasattr(self.train_dataset, "batches"):
            return super().get_train_dataloader()
        args = self.args
        self._batches = self.train_dataset.batches(
            self._train_batch_size,
            self.data_collator,
            rank=args.process_index,
            world_size=args.world_size,
            num_workers=args.dataloader_num_workers,
        )
        return DataLoader(
            self._batches,
            batch_size=None,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )

    def num_examples(self, dataloader: DataLoader) -> int:
        """See `Trainer`. A stream's data loader knows only its batches."""
        return super().num_examples(dataloader) if self._batches is None else len(self.train_dataset)

    def _get_train_sampler(self, train_dataset=None):
        if self.args.sampler == "balanced":
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            self._sampler = BalancedSampler(self.record.given_labels, seed)
            return self._sampler
        return super()._get_train_sampler(train_dataset)

    def get_decay_parameter_names(self, model) -> list[str]:
        """See `decayed_names`."""
        return decayed_names(model)

    def create_optimizer(self, model=None):
        """See `Trainer`; the backbones have learning rates of their own if `args` says so."""
        is_new = self.optimizer is None
        if is_new and (self.args.backbone_learning_rate is not None or self.args.layer_decay < 1):
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decayed = self.get_decay_parameter_names(self.model)
            self.optimizer = optimizer_class(parameter_groups(self.model, decayed, self.args), **options)
        optimizer = super().create_optimizer(model)
        if is_new and self.noise_method is not None:
            trained = [parameter for parameter in self.noise_method.parameters() if parameter.requires_grad]
            optimizer.add_param_group({"params": trained, "weight_decay": self.args.weight_decay})
        return optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        if self.args.lora_rank:
            load_lora(self.model, resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self):
        if self.args.lora_rank:
            load_lora(self.model, self.state.best_model_checkpoint)
        else:
            super()._load_best_model()

    # Evaluation ------------------------------------------------------------------------------------------------------

    def evaluation_loop(self, dataloader, *args, metric_key_prefix: str = "eval", **kwargs):
        """See `Trainer`; the loss is the mean over samples instead of over batches."""
        output = super().evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        for name in [name for name in output.metrics if name.endswith("_loss")]:
            logits, labels = torch.from_numpy(output.predictions), torch.from_numpy(output.label_ids)
            output.metrics[name] = cross_entropy(logits, labels).mean().item()
        self.last_evaluation = {
            "metrics": without_prefix(output.metrics, metric_key_prefix),
            "num_samples": output.num_samples,
            "step": self.state.global_step,
            "in_training": self.is_in_train,
            "chose_the_epoch": getattr(dataloader, "dataset", None) is self.eval_dataset and self.chooses_epoch,
        }
        return output

    def _recognition_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        probabilities = torch.from_numpy(np.asarray(prediction.predictions)).float().softmax(-1).numpy()
        metrics = recognition_metrics(probabilities.argmax(-1), prediction.label_ids, self.class_names, probabilities)
        return {name: value for name, value in metrics.items() if isinstance(value, float)}

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model, trial):
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        unfinished = folder.parent / UNFINISHED_FOLDER / folder.name
        if self.args.should_save:
            shutil.rmtree(unfinished.parent, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            self._writes_checkpoint = True
            super()._save_checkpoint(model, trial)
            if self.state.best_global_step == self.state.global_step:
                self.state.best_model_checkpoint = str(folder)
            self._complete_checkpoint(unfinished)
        except (OSError, RuntimeError, SafetensorError) as error:  # of Python and Arrow, of torch, of safetensors
            shutil.rmtree(unfinished.parent, ignore_errors=True)
            raise checkpoint_error(folder, self.model, self.optimizer, error) from error
        finally:
            self._writes_checkpoint = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            publish_folder(unfinished, folder)
            unfinished.parent.rmdir()
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            rotate_checkpoints(
                str(folder.parent), self.args.save_total_limit, self.state.best_model_checkpoint, use_mtime=True
            )
        if self.is_world_process_zero() and self.args.push_to_hub and self.args.hub_strategy != HubStrategy.END:
            self.push_checkpoint(folder)

    def _complete_checkpoint(self, folder: Path):
        """Adds what `Trainer` does not know to a checkpoint that is being written."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._predictions:  # within an epoch: each process saves what it has seen
            save_predictions(folder, self.args.process_index, self._take_predictions(), self._predictions_epoch)
        if self.args.should_save:
            self.state.save_to_json(str(folder / TRAINER_STATE_NAME))  # with the final name of the best checkpoint
        if self.is_world_process_zero():
            save_file(self.record.state_dict(), folder / RECORD_NAME)
            if self.noise_method is not None:
                save_file(self.noise_method.state_dict(), folder / NOISE_METHOD_NAME)
            self._write_table(folder)

    def _get_output_dir(self, trial):
        """See `Trainer`. While a checkpoint is written, it and nothing else lies in a folder beside the others."""
        folder = super()._get_output_dir(trial)
        return os.path.join(folder, UNFINISHED_FOLDER) if self._writes_checkpoint else folder

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        # Called once at the beginning of training, before the first epoch, with None if nothing is resumed.
        self._predictions = []
        if checkpoint is not None and (Path(checkpoint) / RECORD_NAME).exists():
            self.record.load_state_dict(load_file(Path(checkpoint) / RECORD_NAME))
            if self.noise_method is not None:
                self.noise_method.load_state_dict(load_file(Path(checkpoint) / NOISE_METHOD_NAME))
            predictions, self._predictions_epoch = load_predictions(
                Path(checkpoint), self.args.process_index, self.args.world_size
            )
            self._predictions = [part.to(self.args.device) for part in predictions]


__all__ = ["RDFERTrainer"]
