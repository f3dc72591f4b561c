# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pushes checkpoints to the Hub.

Only `ALLOWED_FILES` and the code of a checkpoint are uploaded by default. Sample tables, logs and training states are
not, since they name videos and paths.
"""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd
from huggingface_hub.errors import RemoteEntryNotFoundError
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import logging
from transformers.utils.hub import hf_api

from .card_files import CARD_NAME, is_unedited, pin_card, pinned_revision
from .eval_results import EVAL_RESULTS_NAME

logger = logging.get_logger(__name__)

# Home of the code that travels with a checkpoint.
BUNDLE = Path(__file__).parents[1] / "models"
# What is uploaded, besides the code that the configurations name. Other files contain, or may contain, paths, names of
# videos, faces or pickles: training_args.bin, optimiser and random states, trainer_state.json, sample tables, logs.
ALLOWED_FILES = (
    "config.json",
    "video_preprocessor_config.json",
    "model.safetensors",
    "model-?????-of-?????.safetensors",
    "model.safetensors.index.json",
    "face_detector.safetensors",
    CARD_NAME,
    EVAL_RESULTS_NAME,
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
    """Lists the files of a checkpoint that may go to the Hub.

    Args:
        folder (`str` or `os.PathLike`): a checkpoint's folder.
        include (iterable of `str`, *optional*, defaults to `()`): patterns of further files, e.g.
            `"sample_table.parquet"` or `"checkpoint-8/*"`. `*` does not match `/`.

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
    """Lists the code of a checkpoint.

    It consists of the modules that the configurations name for remote code (`auto_map`), and the modules that these
    import. If the folder has none of the modules of a configuration, they are taken from this package.

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
    """Makes a model repository unless it exists.

    Args:
        repo_id (`str`): name of the repository.
        private (`bool`, *optional*): whether it has to be private.
        token (*optional*): see `huggingface_hub.HfApi.create_repo`.

    Returns:
        `str`: its full name.

    Raises:
        ValueError: if it has to be private, but exists and is public.
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
    """Commits files to a repository. Files that it has already are not sent again.

    The example of an unedited card, in `files` or in the repository, gets the name of the repository and, by a second
    commit, the commit to pin. There is no example until the repository has both model and processor.

    Args:
        files (`dict[str, Path]`): file for each name in the repository.
        repo_id (`str`): full name of an existing repository.
        commit_message, commit_description, token, create_pr: see `huggingface_hub.HfApi.create_commit`.
        revision (`str`, *optional*): branch, made if missing; the main branch by default.
        overwrite_card (`bool`, *optional*, defaults to `False`): whether to replace a card that was edited on the Hub,
            too.
        keep_card (`bool`, *optional*, defaults to `False`): whether to keep the repository's card in any case.
        pin (`bool`, *optional*, defaults to `True`): whether to make the second commit.

    Returns:
        `CommitInfo`: the last commit.
    """
    api = hf_api()
    if revision and not revision.startswith("refs/pr/"):
        api.create_branch(repo_id, branch=revision, token=token, exist_ok=True)
    options = {"token": token, "revision": revision}
    info = api.repo_info(repo_id, **options)
    can_run = _can_run({file.rfilename for file in info.siblings} | set(files))
    content, card = _choose_card(
        files.get(CARD_NAME), _remote_card(repo_id, **options), repo_id, can_run, overwrite_card, keep_card
    )
    operations = [CommitOperationAdd(name, str(path)) for name, path in files.items() if name != CARD_NAME]
    if content is not None:
        operations.append(CommitOperationAdd(CARD_NAME, content))
    commit = api.create_commit(
        repo_id,
        operations,
        commit_message=commit_message,
        commit_description=commit_description,
        create_pr=create_pr,
        **options,
    )
    nothing_new = commit.oid == info.sha and pinned_revision(card or "") is not None
    if card is None or not pin or not can_run or create_pr or nothing_new:
        return commit
    pinned = CommitOperationAdd(CARD_NAME, pin_card(card, repo_id, commit.oid).encode())
    return api.create_commit(
        repo_id, [pinned], commit_message=f"Pin {commit.oid[:8]} in the example of the card", **options
    )


def _choose_card(
    path: Path | None, remote: str | None, repo_id: str, can_run: bool, overwrite_card: bool, keep_card: bool
) -> tuple[bytes | None, str | None]:
    """Decides what to upload as the card, and which unedited card gets its example pinned; None for neither.

    Args:
        path (`Path` or `None`): the card among the files.
        remote (`str` or `None`): the card of the repository.
        repo_id, can_run: see [`pin_card`].
        overwrite_card, keep_card: see [`push_files`].
    """
    if path is not None:
        text = path.read_text(encoding="utf-8")
        edited_there = remote is not None and not is_unedited(remote)
        keep = keep_card or (edited_there and is_unedited(text))
        if remote is None or overwrite_card or not keep:
            if not is_unedited(text):
                return path.read_bytes(), None
            # The same pin as now, so that nothing is committed if nothing has changed.
            revision = pinned_revision(remote) if remote is not None and can_run else None
            card = pin_card(text, repo_id, revision, folder_name=path.parent.name, can_run=can_run)
            return card.encode(), card
        if not keep_card:
            logger.warning_once(
                f"Kept the card of {repo_id}: it was edited there. python -m training.push --overwrite-card "
                "replaces it (in Python: overwrite_card=True)."
            )
    if remote is None or not is_unedited(remote):
        return None, None
    # The new files may complete what its example needs. But an example that pins another model stays.
    if keep_card and path is not None and pinned_revision(remote):
        return None, None
    return None, remote


def _can_run(names: set[str]) -> bool:
    """Whether files of these names include model and processor, which the example of a card needs."""
    processor = {"video_preprocessor_config.json", "processor_config.json", "preprocessor_config.json"}
    weights = {"model.safetensors", "model.safetensors.index.json"}
    return "config.json" in names and bool(processor & names) and bool(weights & names)


def push_folder(folder, repo_id: str, *, private: bool | None = None, include: Iterable[str] = (), **options):
    """Pushes the allowed files of a checkpoint's folder, see [`files_to_push`], to the Hub.

    Args:
        folder (`str` or `os.PathLike`): a checkpoint's folder.
        repo_id (`str`): repository; made if missing.
        private (`bool`, *optional*): whether the repository has to be private.
        include (iterable of `str`, *optional*, defaults to `()`): patterns of further files, see [`files_to_push`].
        options: see [`push_files`].

    Returns:
        `CommitInfo`: the last commit.

    Raises:
        ValueError: if the repository has to be private, but exists and is public; if code is missing.
    """
    files = files_to_push(folder, include)
    repo_id = prepare_repo(repo_id, private, options.get("token"))
    return push_files(files, repo_id, **options)


def _remote_card(repo_id: str, **options) -> str | None:
    try:
        # From the Hub, not from the cache.
        path = hf_api().hf_hub_download(repo_id, CARD_NAME, force_download=True, **options)
    except RemoteEntryNotFoundError:
        return None
    return Path(path).read_text(encoding="utf-8")


__all__ = ["ALLOWED_FILES", "code_files", "files_to_push", "prepare_repo", "push_files", "push_folder"]
