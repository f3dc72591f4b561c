# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads and writes cards as files.

A card that this package wrote ends with a mark that holds its hash, so an edited card is recognised and kept. The
example of an unedited card can be pinned to a commit on the Hub.
"""

import hashlib
import re
from pathlib import Path

from transformers.utils import logging

from ..complete_files import write_atomically

logger = logging.get_logger(__name__)

CARD_NAME = "README.md"

_MARK = re.compile(r"\n*<!-- Written by modeling-rdfer; an edited card is kept\. sha256 ([0-9a-f]{64}) -->\s*\Z")
_EXAMPLE = re.compile(
    r'^(?:classify = pipeline\("video-classification", model="[^"\n]*".*\nclassify\("clip\.mp4"\)'
    r"|# No example yet: .*)$",
    re.MULTILINE,
)


def _digest(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").strip().encode()).hexdigest()


def sign_card(text: str) -> str:
    """Adds the mark by which an edited card is recognised later."""
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")).strip()
    return f"{text}\n\n<!-- Written by modeling-rdfer; an edited card is kept. sha256 {_digest(text)} -->\n"


def is_unedited(text: str) -> bool:
    """Tells whether a card was written by this package and has not been changed since."""
    mark = _MARK.search(text.replace("\r\n", "\n"))
    return mark is not None and _digest(text.replace("\r\n", "\n")[: mark.start()]) == mark[1]


def write_card(folder, text: str, overwrite: bool = False) -> bool:
    """Writes a card as `README.md`. A card that was edited or written by hand is kept, with a warning.

    Args:
        folder (`str` or `os.PathLike`): where to write; made if missing.
        text (`str`): the card.
        overwrite (`bool`, *optional*, defaults to `False`): whether to replace an edited card, too.

    Returns:
        `bool`: whether it was written.
    """
    path = Path(folder) / CARD_NAME
    if path.exists() and not overwrite and not is_unedited(path.read_text(encoding="utf-8")):
        logger.warning_once(
            f"Kept {path}: it was written or edited by hand. To get a new one, delete it (in Python: "
            "overwrite_card=True)."
        )
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return True


def pin_card(
    text: str, repo_id: str, revision: str | None, folder_name: str | None = None, can_run: bool = True
) -> str:
    """Makes the example of a card load the model from the Hub.

    Args:
        text (`str`): an unedited card.
        repo_id (`str`): the repository.
        revision (`str` or `None`): commit to pin.
        folder_name (`str`, *optional*): name of the checkpoint's folder. If the card has it as its title, the
            repository's name replaces it.
        can_run (`bool`, *optional*, defaults to `True`): whether the repository has model and processor; without them
            a comment replaces the example.

    Returns:
        `str`: the card, signed again.
    """
    text = _MARK.sub("", text)
    if folder_name and f"\n# {folder_name}\n" in text:
        name = repo_id.split("/")[-1]
        text = text.replace(f"\n# {folder_name}\n", f"\n# {name}\n", 1)
        text = re.sub(r"^model-index:\n- name: .*$", f'model-index:\n- name: "{name}"', text, flags=re.MULTILINE)
    return sign_card(_EXAMPLE.sub(lambda _: example_code(repo_id, revision, can_run), text))


def pinned_revision(text: str) -> str | None:
    """Returns the commit that the example of a card pins, or None."""
    example = _EXAMPLE.search(text)
    revision = example and re.search(r'revision="([^"]+)"', example[0])
    return revision[1] if revision else None


def example_code(repo_id: str | None, revision: str | None, can_run: bool = True) -> str:
    """Returns the example of a model card: Python code that loads the model and classifies a video."""
    if not can_run:
        return f'# No example yet: push the processor, too: processor.push_to_hub("{repo_id}")'
    if not repo_id:
        where, note = 'model="."', "  # in the folder of this card"
    else:
        where, note = f'model="{repo_id}"' + (f', revision="{revision}"' if revision else ""), ""
    return f'classify = pipeline("video-classification", {where}, trust_remote_code=True){note}\nclassify("clip.mp4")'


__all__ = ["CARD_NAME", "is_unedited", "pin_card", "pinned_revision", "write_card"]
