# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The part of the trainer that writes model cards and pushes to the Hub."""

import json
import shutil
import tempfile
from dataclasses import MISSING, fields
from pathlib import Path

from transformers import EarlyStoppingCallback, Trainer
from transformers.trainer_utils import HubStrategy, SaveStrategy
from transformers.utils import PushInProgress, logging
from transformers.utils.hub import hf_api

from ..hub.card_facts import CardFacts, facts_of_loaded, hardware, library_versions, origins_of
from ..hub.card_files import write_card
from ..hub.eval_results import write_eval_results
from ..hub.model_card import model_card
from ..hub.public_names import public_name
from ..hub.push import files_to_push, prepare_repo, push_files, push_folder
from ..models.labels_rdfer import class_names
from ..models.video_processing_rdfer import RDFERVideoProcessor
from .arguments import RDFERTrainingArguments
from .guidance import GuidanceLoss
from .lora import merged_state, save_lora
from .sample_record import SampleRecord
from .verdicts import VerdictThresholds

logger = logging.get_logger(__name__)

# Settings of `TrainingArguments` that a card names where they differ from the defaults; all of
# `RDFERTrainingArguments` are added. A list, since other settings hold paths, names of machines and tokens.
CARD_SETTINGS = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "learning_rate"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "optim", "adam_beta1", "adam_beta2"),
    *("adam_epsilon", "max_grad_norm", "label_smoothing_factor", "seed", "data_seed", "full_determinism", "bf16"),
    *("fp16", "tf32", "torch_compile", "gradient_checkpointing", "load_best_model_at_end", "metric_for_best_model"),
)


class PublishingTrainer(Trainer):
    """`transformers.Trainer` whose model cards describe the training, and which pushes only the allowed files.

    The allowed files are those of [`files_to_push`]. A subclass sets the attributes as it trains.

    Args:
        kwargs: see `transformers.Trainer`. `args` is an [`RDFERTrainingArguments`].

    Attributes:
        card_facts ([`CardFacts`]): what the trainer cannot know; it takes precedence in cards.
        base_model (`str`, *optional*): public name of the checkpoint that the model was loaded from.
        record ([`SampleRecord`], *optional*): record of the training set.
        guidance ([`GuidanceLoss`], *optional*): grouping and guidance of the training.
        resumed (`bool`): whether the training was resumed, so that its duration is not known.
        last_evaluation (`dict`, *optional*): metrics, step and circumstances of the last evaluation.
    """

    args: RDFERTrainingArguments

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.card_facts = CardFacts()
        self.base_model = public_name(self.model.name_or_path) if self.model.name_or_path else None
        self.record: SampleRecord | None = None
        self.guidance: GuidanceLoss | None = None
        self.resumed = False
        self.last_evaluation: dict | None = None

    @property
    def class_names(self) -> list[str]:
        """Names of the model's labels, in the order of their numbers (`label_names` of `Trainer` are columns)."""
        return class_names(self.model.config)

    # Card ------------------------------------------------------------------------------------------------------------

    @property
    def chooses_epoch(self) -> bool:
        """Whether evaluations during training decide which weights are kept."""
        callbacks = self.callback_handler.callbacks
        return self.args.load_best_model_at_end or any(isinstance(c, EarlyStoppingCallback) for c in callbacks)

    def collect_card_facts(self) -> CardFacts:
        """Returns what the trainer knows about the model; `card_facts` takes precedence."""
        args, state = self.args, self.state
        hub_model_id = self.hub_model_id or args.hub_model_id
        collected = CardFacts(
            model_name=hub_model_id.split("/")[-1] if hub_model_id else Path(args.output_dir).resolve().name,
            repo_id=self.hub_model_id,
        )
        has_face_detector = isinstance(self.processing_class, RDFERVideoProcessor)
        if state.global_step == 0:
            loaded = facts_of_loaded(self.base_model)
            collected.loaded_from, collected.license = loaded.loaded_from, loaded.license
            collected.origins = origins_of(self.base_model, has_face_detector, part="the weights as loaded")
        else:
            frame_teacher = self.guidance.frame_teacher if self.guidance is not None else None
            collected.base_model, collected.frame_teacher = self.base_model, frame_teacher
            collected.origins = origins_of(self.base_model, has_face_detector, frame_teacher)
        if state.global_step > 0 and self.record is not None:
            self._add_training(collected)
        self._add_evaluation(collected)
        return self.card_facts.filled_from(collected)

    def _add_training(self, facts: CardFacts):
        args, state = self.args, self.state
        runtimes = [log["train_runtime"] for log in state.log_history if "train_runtime" in log]
        facts.loss = f"agreement, weighting {args.base_loss}" if args.loss == "agreement" else args.loss
        facts.loss_weights = self.guidance.loss_weights
        facts.hyperparameters = changed_settings(args)
        facts.num_train_videos = len(self.train_dataset)
        facts.epochs = round(state.epoch, 2)
        facts.versions = library_versions()
        facts.hardware = hardware(args.device, args.world_size)
        facts.train_seconds = runtimes[-1] if runtimes and not self.resumed else None
        if self.record.epochs_seen.max() > 0:
            facts.partitions = self.record.count_partitions(self.class_names)

    def _add_evaluation(self, facts: CardFacts):
        """Adds the metrics of the model's present weights, if these were evaluated."""
        evaluation, state = self.last_evaluation, self.state
        if evaluation is None:
            return
        metrics = evaluation["metrics"]
        if evaluation["in_training"] and not self.is_in_train and self.args.load_best_model_at_end:
            # The best weights were loaded after the last evaluation.
            logs = [log for log in state.log_history if log["step"] == state.best_global_step]
            metrics = next((found for log in logs if "war" in (found := without_prefix(log, "eval"))), {})
        elif evaluation["step"] != state.global_step:
            return
        shown = ("war", "uar", "ece")
        facts.metrics = {name: metrics[name] for name in metrics if name in shown or name.startswith("recall_")}
        facts.num_eval_videos = evaluation["num_samples"]
        if evaluation["chose_the_epoch"]:
            facts.model_selection = "best_on_test"
        elif not self.chooses_epoch:
            facts.model_selection = "last"

    def _save(self, output_dir=None, state_dict=None):
        self.model.card_facts = self.collect_card_facts()
        if not self.args.lora_rank:
            super()._save(output_dir, state_dict)
            return
        super()._save(output_dir, merged_state(self.model))
        if self.is_in_train:
            save_lora(self.model, output_dir)

    def create_model_card(
        self,
        language=None,
        license=None,
        tags=None,
        model_name=None,
        finetuned_from=None,
        tasks=None,
        dataset_tags=None,
        dataset=None,
        dataset_args=None,
        overwrite_card: bool = False,
    ):
        """Writes the card into the output folder. A card that was edited is kept, with a warning.

        Args:
            language, license, model_name (`str`, *optional*): these take precedence over `card_facts`.
            tags (`str` or `list[str]`, *optional*): tags of the model.
            finetuned_from (`str`, *optional*): the base model.
            dataset_tags, dataset (`str` or list of one, *optional*): the dataset's name on the Hub, and its title.
            dataset_args (`str` or list of one, *optional*): configuration of the dataset.
            tasks (*optional*): not used; the task is video-classification.
            overwrite_card (`bool`, *optional*, defaults to `False`): whether to replace an edited card, too.
        """
        if not self.is_world_process_zero():
            return
        first = lambda value: value[0] if isinstance(value, (list, tuple)) and value else value or None  # noqa: E731
        given = CardFacts(
            language=language,
            license=license,
            tags=[tags] if isinstance(tags, str) else list(tags or []),
            model_name=model_name,
            base_model=finetuned_from,
            dataset_id=first(dataset_tags),
            dataset_name=first(dataset),
            dataset_config=first(dataset_args),
        )
        facts = self.model.card_facts = given.filled_from(self.collect_card_facts())
        card = model_card(self.model.config, self.model.num_parameters(), facts, facts.model_name)
        write_card(self.args.output_dir, card, overwrite_card)
        write_eval_results(self.args.output_dir, facts)

    # Hub -------------------------------------------------------------------------------------------------------------

    def init_hf_repo(self, token=None, private=None):
        """See `Trainer`. Fails, before training starts, if the repository has to be private but is public."""
        super().init_hf_repo(token=token, private=private)
        if self.is_world_process_zero():
            private = self.args.hub_private_repo if private is None else private
            prepare_repo(self.hub_model_id, private, token or self.args.hub_token)

    def push_to_hub(
        self,
        commit_message="End of training",
        blocking=True,
        token=None,
        revision=None,
        private=None,
        overwrite_card: bool = False,
        **kwargs,
    ):
        """Saves the model, writes the card, and uploads the allowed files and those that `hub_include` names.

        Args:
            commit_message, blocking, token, revision, private: see `transformers.Trainer.push_to_hub`.
            overwrite_card (`bool`, *optional*, defaults to `False`): whether to replace a card that was edited, here
                or on the Hub.
            kwargs: see `create_model_card`.

        Returns:
            `CommitInfo`: the last commit; a `Future` of it with `blocking=False`; `None` in all processes but the
            first.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        token = token or self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        self.create_model_card(overwrite_card=overwrite_card, **kwargs)
        self._finish_current_push()
        options = {
            "commit_message": commit_message,
            "token": token,
            "revision": revision or self.args.hub_revision,
            "include": self.args.hub_include,
            "overwrite_card": overwrite_card,
        }
        if blocking:
            return push_folder(self.args.output_dir, self.hub_model_id, **options)
        return hf_api().run_as_future(push_folder, self.args.output_dir, self.hub_model_id, **options)

    def _push_from_checkpoint(self, checkpoint_folder):
        """Does nothing: `Trainer` calls it before the checkpoint is complete. See `push_checkpoint`."""

    def push_checkpoint(self, checkpoint: Path):
        """Pushes a checkpoint in the background, from a copy, since the folder may change in the meantime."""
        if not self.args.hub_always_push and self.push_in_progress is not None and not self.push_in_progress.is_done():
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        prefixes = {HubStrategy.CHECKPOINT: "last-checkpoint/", HubStrategy.ALL_CHECKPOINTS: f"{checkpoint.name}/"}
        prefix = prefixes.get(self.args.hub_strategy)
        files = files_to_push(checkpoint)
        if prefix:
            files |= {prefix + name: path for name, path in files_to_push(checkpoint, self.args.hub_include).items()}
        copies = tempfile.mkdtemp(prefix="rdfer-push-")
        for name, path in files.items():
            files[name] = Path(copies) / name
            files[name].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, files[name])
        unit = "step" if self.args.save_strategy == SaveStrategy.STEPS else "epoch"
        count = self.state.global_step if unit == "step" else int(self.state.epoch)
        job = hf_api().run_as_future(self._push_copies, copies, files, f"Training in progress, {unit} {count}")
        if self.push_in_progress is None or self.push_in_progress.is_done():
            self.push_in_progress = PushInProgress([job])
        else:
            self.push_in_progress.jobs.append(job)

    def _push_copies(self, copies: str, files: dict[str, Path], commit_message: str):
        options = {"token": self.args.hub_token, "revision": self.args.hub_revision}
        try:
            push_files(files, self.hub_model_id, commit_message=commit_message, pin=False, **options)
        except Exception as error:  # training goes on; the next push sends what is missing
            logger.warning(f"A push failed ({commit_message}): {error} {error.__cause__ or ''}")
        finally:
            shutil.rmtree(copies, ignore_errors=True)


def without_prefix(metrics: dict, prefix: str) -> dict:
    """Returns the metrics whose names begin with `prefix` and "_", under their names without it."""
    return {name.removeprefix(f"{prefix}_"): value for name, value in metrics.items() if name.startswith(f"{prefix}_")}


def changed_settings(args: RDFERTrainingArguments) -> dict:
    """Returns the settings that a card names and that differ from the defaults."""
    own = {**RDFERTrainingArguments.__annotations__, **VerdictThresholds.__annotations__}.keys() - {"hub_include"}
    changed = {}
    for setting in fields(args):
        if setting.name in CARD_SETTINGS or setting.name in own:
            default = setting.default if setting.default_factory is MISSING else setting.default_factory()
            value = getattr(args, setting.name)
            value, default = (getattr(v, "value", v) for v in (value, default))  # of enumerations
            if setting.name == "lr_scheduler_kwargs" and isinstance(value, str):
                value = json.loads(value)
            # `TrainingArguments` turns None into False by itself.
            if value != default and not (default is None and value is False and setting.name not in own):
                changed[setting.name] = value
    return changed


__all__ = ["PublishingTrainer", "changed_settings", "without_prefix"]
