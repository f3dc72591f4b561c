# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Lets mkdocstrings read docstrings as transformers writes them.

- `name (`int`, *optional*, defaults to 4): ...` becomes `name (int, optional): ...`.
- Fields of a configuration that follow the summary without a heading get one, `Args:`.
- [`Name`] becomes a link to that name if the reference has a page for it, else plain code.
"""

import re
from pathlib import Path

import griffe

PARAMETER = re.compile(r"^( *)(\*{0,2}\w+(?:, \*{0,2}\w+)*) \((.*`.*)\):[ ]*", re.M)
FIELD = re.compile(r"^\w+(?:, \w+)* \(`[^\n]*\):$", re.M)
LINK = re.compile(r"\[`~?([\w.]+)`\](?![\[(])")


def _plain_type(match: re.Match) -> str:
    indent, names, kind = match.groups()
    kind = re.sub(r"[`*]|\[`|`\]", "", kind).replace("[`", "").replace("`]", "")
    return f"{indent}{names} ({kind}): "


def rewrite(text: str, public: dict[str, str]) -> str:
    """The docstring `text` in the notation of griffe's Google parser; `public` maps names to their full paths."""
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if FIELD.match(line)), None)
    if first is not None and not re.search(r"^Args:$", text, re.M):
        end = next(
            (n for n in range(first, len(lines)) if lines[n] and not lines[n].startswith(" ") and not FIELD.match(lines[n])),
            len(lines),
        )
        lines[first:end] = ["Args:", *("    " + line if line else line for line in lines[first:end])]
        text = "\n".join(lines)
    text = PARAMETER.sub(_plain_type, text)

    def link(match: re.Match) -> str:
        name = match[1].rsplit(".", 1)[-1]
        return f"[`{name}`][{public[name]}]" if name in public else f"`{name}`"

    return LINK.sub(link, text)


def names_of_the_reference() -> dict[str, str]:
    """What the pages of the reference describe: name -> full path."""
    pages = (Path(__file__).parents[1] / "reference").glob("*.md")
    paths = [path for page in pages for path in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.M)]
    return {path.rsplit(".", 1)[-1]: path for path in paths}


class TransformersDocstrings(griffe.Extension):
    """Rewrites every docstring of the package before it is parsed."""

    def __init__(self):
        self.public = names_of_the_reference()

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = rewrite(obj.docstring.value, self.public)
