# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Gives our classes `push_to_hub` and `save_pretrained` that write cards, where this package is installed."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitInfo
from transformers import PreTrainedModel

from .card_facts import facts_of_loaded
from .card_files import CARD_NAME, write_card
from .eval_results import write_eval_results
from .model_card import model_card
from .push import push_folder


def push_to_hub(
    self,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str = "50GB",
    tags: list[str] | str | None = None,
    overwrite_card: bool = False,
) -> CommitInfo:
    """Saves and uploads to the Hub, like every `push_to_hub` of transformers, with the card of [`model_card`].

    A card on the Hub is kept if it was edited there, or if nothing is known about this model (`model.card_facts`).

    Args:
        repo_id, commit_message, commit_description, private, token, revision, create_pr, max_shard_size, tags: see
            `transformers.PreTrainedModel.push_to_hub`.
        overwrite_card (`bool`, *optional*, defaults to `False`): whether to replace the repository's card in any case.

    Returns:
        `CommitInfo`: the last commit.
    """
    facts = getattr(self, "card_facts", None)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / repo_id.split("/")[-1]
        tags = [tags] if isinstance(tags, str) else list(tags or [])
        if isinstance(self, PreTrainedModel):
            self.add_model_tags(tags)
        self.save_pretrained(folder, max_shard_size=max_shard_size)
        return push_folder(
            folder,
            repo_id,
            commit_message=commit_message or f"Upload {type(self).__name__}",
            commit_description=commit_description,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            overwrite_card=overwrite_card,
            keep_card=facts is None,
        )


def _restore_name(cls: type):
    """Gives the class that FSDP2 has derived from a model's class the name and module of that class.

    It counts as defined in a file of torch, which transformers would copy into checkpoints as the model's code.
    """
    if cls.__module__.startswith("torch."):
        original = cls.__bases__[-1]
        cls.__name__, cls.__module__ = original.__name__, original.__module__


def _with_card(save_pretrained):
    """Makes a `save_pretrained` that also writes the card, and that pushes with `push_to_hub` above."""
    hub_names = {"repo_id", "commit_message", "commit_description", "private", "revision", "create_pr", "tags"}

    @functools.wraps(save_pretrained)
    def save_with_card(
        self,
        save_directory,
        is_main_process: bool = True,
        state_dict: dict | None = None,
        push_to_hub: bool = False,
        *,
        overwrite_card: bool = False,
        **kwargs,
    ):
        hub_options = {name: kwargs.pop(name) for name in hub_names & kwargs.keys()}
        _restore_name(type(self))
        save_pretrained(self, save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
        if not is_main_process:
            return
        facts = getattr(self, "card_facts", None)
        if facts is not None or overwrite_card or not (Path(save_directory) / CARD_NAME).exists():
            facts = facts or facts_of_loaded(self.name_or_path)
            facts = replace(facts, tags=[*facts.tags, *(self.model_tags or [])])
            name = Path(save_directory).resolve().name
            write_card(save_directory, model_card(self.config, self.num_parameters(), facts, name), overwrite_card)
            write_eval_results(save_directory, facts)
        if push_to_hub:
            repo_id = hub_options.pop("repo_id", Path(save_directory).resolve().name)
            options = {name: kwargs[name] for name in ("token", "max_shard_size") if name in kwargs}
            self.push_to_hub(repo_id, overwrite_card=overwrite_card, **hub_options, **options)

    return save_with_card


def add_hub_methods(classifier_class, *other_classes):
    """Replaces `push_to_hub` of our classes, and `save_pretrained` of the classifier, by methods that write cards.

    The methods are set from outside because every checkpoint carries the classes as remote code. That code has to run
    without this package, so it cannot import cards and pushing. Without the package, the methods of transformers are
    in use.

    Args:
        classifier_class (`type`): class that gets both methods.
        other_classes (`type`): classes that get `push_to_hub` only.
    """
    classifier_class.save_pretrained = _with_card(classifier_class.save_pretrained)
    for cls in (classifier_class, *other_classes):
        cls.push_to_hub = push_to_hub


__all__ = ["add_hub_methods"]
