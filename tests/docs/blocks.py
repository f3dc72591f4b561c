# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The code blocks of README and docs, and what to do with each.

A block of Python is run, a block of shell commands is parsed. An HTML comment right before a block says
otherwise:

    <!-- test: run -->             the commands are run, not only parsed
    <!-- test: parse -->           the Python is compiled, not run (for what stands in for the user's own code)
    <!-- test: skip: the reason -->
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S)
MARKER = re.compile(r"<!-- test: (?P<mode>run|parse|skip)(?:: (?P<reason>.+?))? -->")
# Output, trees and equations.
NOT_CODE = ("text", "", "bibtex")
DEFAULT_MODES = {"python": "run", "bash": "parse", "yaml": "parse"}


@dataclass
class Block:
    """A fenced block of a Markdown file: its language, code, line of its first line of code, and what to do."""

    file: Path
    line: int
    language: str
    code: str
    mode: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


def blocks_of(file: Path) -> list[Block]:
    """All blocks of a file that hold code. Raises ValueError for an unknown language or a skip without a reason."""
    text, found = file.read_text(encoding="utf-8"), []
    for match in FENCE.finditer(text):
        language = match["language"]
        if language in NOT_CODE:
            continue
        line = text.count("\n", 0, match.start()) + 2
        if language not in DEFAULT_MODES:
            raise ValueError(f"{file}:{line}: no rule for blocks of language {language!r}.")
        comments = re.search(r"(?:^ *<!--.*-->\n)*\Z", text[: match.start()], re.M)[0]
        marker = MARKER.search(comments)
        mode, reason = (marker["mode"], marker["reason"]) if marker else (DEFAULT_MODES[language], None)
        if mode == "skip" and not reason:
            raise ValueError(f"{file}:{line}: a block that is skipped needs a reason.")
        indent = len(match["indent"])
        code = "".join(row[indent:] if row.strip() else "\n" for row in match["code"].splitlines(keepends=True))
        found.append(Block(file, line, language, code, mode, reason))
    return found


def commands_of(block: Block) -> list[list[str]]:
    """The commands of a block of shell, without comments, pipes and redirections, split into words."""
    import shlex

    commands = []
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for stop in (">", "|"):
            if stop in words:
                words = words[: words.index(stop)]
        if words:
            commands.append(words)
    return commands


__all__ = ["Block", "blocks_of", "commands_of"]
