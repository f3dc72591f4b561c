# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What goes to the Hub: only weights, configurations, code, the card and figures, never what shows whose videos."""

import functools
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd
from huggingface_hub.errors import RemoteEntryNotFoundError
from transformers import PreTrainedModel
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import logging
from transformers.utils.hub import hf_api

from .cards import (
    CARD_NAME,
    facts_of_loaded,
    is_unedited,
    model_card,
    pin_card,
    pinned_revision,
    write_card,
)

logger = logging.get_logger(__name__)

# Home of the code that travels with a checkpoint.
BUNDLE = Path(__file__).parents[1] / "models"
# What goes up, beside the code that the configurations name. Everything else has paths, sample names, faces or
# pickles in it, or might: training_args.bin, optimiser and random states, trainer_state.json, sample tables, logs.
ALLOWED_FILES = (
    "config.json",
    "video_preprocessor_config.json",
    "model.safetensors",
    "model-?????-of-?????.safetensors",
    "model.safetensors.index.json",
    "face_detector.safetensors",
    CARD_NAME,
    "LICENSE",
    "NOTICE",
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "confusion_matrix.json",
    "confusion_matrix.png",
    "curves.png",
)


def files_to_push(folder, include: Iterable[str] = ()) -> dict[str, Path]:
    """
    The files of a checkpoint that may go to the Hub.

    Args:
        folder (`str` or `os.PathLike`): a checkpoint's folder.
        include (iterable of `str`): patterns of further files, e.g. `"sample_table.parquet"` or `"checkpoint-8/*"`.
            `*` does not match `/`.

    Returns:
        `dict[str, Path]`: file for each name in the repository, sorted by name.

    Raises:
        ValueError: if a configuration names code that neither the folder nor this package has.
    """
    folder = Path(folder)
    files = code_files(folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for pattern in (*ALLOWED_FILES, *include):
        for name, path in found.items():
            if name.count("/") == pattern.count("/") and fnmatchcase(name, pattern):
                files[name] = path
    return dict(sorted(files.items()))


def code_files(folder) -> dict[str, Path]:
    """
    The code of a checkpoint: the modules that its configurations name for remote code (`auto_map`), and the modules
    that these import. Where the folder has no module of a configuration, they are taken from this package.

    Args:
        folder (`str` or `os.PathLike`): a checkpoint's folder.

    Returns:
        `dict[str, Path]`: file for each name.

    Raises:
        ValueError: if a module is neither in the folder nor in this package.
    """
    folder = Path(folder)
    files = {}
    for config in ("config.json", "video_preprocessor_config.json"):
        if not (folder / config).is_file():
            continue
        auto_map = json.loads((folder / config).read_text(encoding="utf-8")).get("auto_map", {})
        # A reference may name code of another repository: "user/repo--module.Class".
        references = [reference.rpartition("--") for reference in auto_map.values()]
        modules = {name.split(".")[0] + ".py": repo_id for repo_id, _, name in references}
        source = folder if any((folder / module).is_file() for module in modules) else BUNDLE
        for module, repo_id in modules.items():
            if (source / module).is_file() and (source is folder or not repo_id):
                for path in (source / module, *map(Path, get_relative_import_files(source / module))):
                    own = folder / path.name
                    files[path.name] = own if own.is_file() else path
            elif source is BUNDLE and not repo_id:
                raise ValueError(f"{folder / config} names {module}, which is neither there nor in modeling_rdfer")
    return files


def prepare_repo(repo_id: str, private: bool | None = None, token=None) -> str:
    """
    Makes a model repository unless it exists.

    Returns:
        `str`: its full name.

    Raises:
        ValueError: it shall be private, exists already and is public.
    """
    repo_id = hf_api().create_repo(repo_id, private=private, token=token, exist_ok=True).repo_id
    if private and not hf_api().repo_info(repo_id, token=token).private:
        raise ValueError(f"{repo_id} exists and is public: make it private on the Hub first, or choose another name.")
    return repo_id


def push_files(
    files: Mapping[str, Path],
    repo_id: str,
    *,
    commit_message: str,
    commit_description: str | None = None,
    token=None,
    revision: str | None = None,
    create_pr: bool = False,
    overwrite_card: bool = False,
    keep_card: bool = False,
    pin: bool = True,
) -> CommitInfo:
    """
    Commits files to a repository; what it has already is not sent again. The example of a card that nobody edited,
    also of one that is there, gets the repository and, in a second commit, the commit to pin. Where model or processor
    is missing there is no example.

    Args:
        files (`dict[str, Path]`): file for each name in the repository.
        repo_id (`str`): full name of a repository that exists.
        revision (`str`, *optional*): branch, made if missing; main by default.
        overwrite_card (`bool`): replace a card that was edited on the Hub, too.
        keep_card (`bool`): replace no card at all.
        pin (`bool`): whether to make the second commit.
        commit_message, commit_description, token, create_pr: see `huggingface_hub.HfApi.create_commit`.

    Returns:
        `CommitInfo` of the last commit.
    """
    api = hf_api()
    if revision and not revision.startswith("refs/pr/"):
        api.create_branch(repo_id, branch=revision, token=token, exist_ok=True)
    options = {"token": token, "revision": revision}
    info = api.repo_info(repo_id, **options)
    head, can_run = info.sha, _can_run({file.rfilename for file in info.siblings} | set(files))
    operations = {name: CommitOperationAdd(name, str(path)) for name, path in files.items()}
    card, remote = None, _remote_card(repo_id, **options)
    if CARD_NAME in files:
        text = files[CARD_NAME].read_text(encoding="utf-8")
        edited_there = remote is not None and not is_unedited(remote)
        if remote is not None and not overwrite_card and (keep_card or (edited_there and is_unedited(text))):
            operations.pop(CARD_NAME)
            if not keep_card:
                logger.warning_once(
                    f"Kept the card of {repo_id}: it was edited there. python -m training.push --overwrite_card "
                    "replaces it (in Python: overwrite_card=True)."
                )
        elif is_unedited(text):
            # The commit of before, so that nothing is committed where nothing has changed.
            before = pinned_revision(remote) if remote is not None and can_run else None
            card = pin_card(text, repo_id, before, folder_name=files[CARD_NAME].parent.name, can_run=can_run)
            operations[CARD_NAME] = CommitOperationAdd(CARD_NAME, card.encode())
    if CARD_NAME not in operations and remote is not None and is_unedited(remote):
        # What comes now may be what its example lacked. A model that it does not describe is not pinned in its place.
        card = None if keep_card and CARD_NAME in files and pinned_revision(remote) else remote
    commit = api.create_commit(
        repo_id,
        list(operations.values()),
        commit_message=commit_message,
        commit_description=commit_description,
        create_pr=create_pr,
        **options,
    )
    nothing_new = commit.oid == head and pinned_revision(card or "") is not None
    if card is None or not pin or not can_run or create_pr or nothing_new:
        return commit
    pinned = CommitOperationAdd(CARD_NAME, pin_card(card, repo_id, commit.oid).encode())
    return api.create_commit(
        repo_id, [pinned], commit_message=f"Pin {commit.oid[:8]} in the example of the card", **options
    )


def _can_run(names: set[str]) -> bool:
    """Whether files of these names are a model with its processor, which the example of a card needs."""
    processor = {"video_preprocessor_config.json", "processor_config.json", "preprocessor_config.json"}
    weights = {"model.safetensors", "model.safetensors.index.json"}
    return "config.json" in names and bool(processor & names) and bool(weights & names)


def push_folder(folder, repo_id: str, *, private: bool | None = None, include: Iterable[str] = (), **options):
    """
    Pushes what is allowed of a checkpoint's folder to the Hub.

    Args:
        folder (`str` or `os.PathLike`): a checkpoint's folder.
        repo_id (`str`): repository; made if missing.
        private (`bool`, *optional*): whether a new repository is private.
        include (iterable of `str`): patterns of further files, see [`files_to_push`].
        options: see [`push_files`].

    Returns:
        `CommitInfo` of the last commit.

    Raises:
        ValueError: the repository shall be private, exists already and is public.
    """
    files = files_to_push(folder, include)
    repo_id = prepare_repo(repo_id, private, options.get("token"))
    return push_files(files, repo_id, **options)


def _remote_card(repo_id: str, **options) -> str | None:
    try:
        # Not what the cache remembers.
        path = hf_api().hf_hub_download(repo_id, CARD_NAME, force_download=True, **options)
    except RemoteEntryNotFoundError:
        return None
    return Path(path).read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------------
# Methods of our classes where this package is installed
# ---------------------------------------------------------------------------------------------------------------------
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
    """
    Saves and uploads to the Hub, as every `push_to_hub` of transformers, but with the card of [`model_card`] instead
    of an empty one. A card on the Hub that was edited is kept, and so is every card if nothing is known about this
    model (`model.card_facts`).

    Args:
        overwrite_card (`bool`): replace the card of the repository in any case.
        Everything else: see `transformers.PreTrainedModel.push_to_hub`.
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


def _with_card(save_pretrained):
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
        save_pretrained(self, save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
        if not is_main_process:
            return
        facts = getattr(self, "card_facts", None)
        if facts is not None or overwrite_card or not (Path(save_directory) / CARD_NAME).exists():
            facts = facts or facts_of_loaded(self.name_or_path)
            facts = replace(facts, tags=[*facts.tags, *(self.model_tags or [])])
            name = Path(save_directory).resolve().name
            write_card(save_directory, model_card(self.config, self.num_parameters(), facts, name), overwrite_card)
        if push_to_hub:
            repo_id = hub_options.pop("repo_id", Path(save_directory).resolve().name)
            options = {name: kwargs[name] for name in ("token", "max_shard_size") if name in kwargs}
            self.push_to_hub(repo_id, overwrite_card=overwrite_card, **hub_options, **options)

    return save_with_card


def add_hub_methods(classifier_class, *other_classes):
    """
    Gives our classes `push_to_hub` as above, and the classifier a `save_pretrained` that writes its card, too. Their
    own files travel as remote code, and there is no card to be had where this package is not installed.
    """
    classifier_class.save_pretrained = _with_card(classifier_class.save_pretrained)
    for cls in (classifier_class, *other_classes):
        cls.push_to_hub = push_to_hub


__all__ = ["ALLOWED_FILES", "add_hub_methods", "files_to_push", "prepare_repo", "push_files", "push_folder"]
