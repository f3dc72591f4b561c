# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Lets mkdocstrings read docstrings as transformers writes them.

- `name (`int`, *optional*, defaults to 4): ...` becomes `name (int, optional): ...`.
- The help text of a dataclass field becomes its docstring, and its default its value.
- `docs/method.md, Heading` becomes a link to the heading.
- A list gets the empty line before it that Markdown needs.
- [`Name`] becomes a link to that name if the reference has a page for it, else plain code.
"""

import ast
import re
from pathlib import Path

import griffe

PARAMETER = re.compile(r"^( *)(\*{0,2}\w+(?:, \*{0,2}\w+)*) \((.*`.*)\):[ ]*", re.M)
RETURNED = re.compile(r"^( *Returns:\n +)([^\n]*?`):(?=[ \n])", re.M)
# Markdown starts a list after an empty line only.
LIST = re.compile(r"^( *)(?!- )(\S.*)\n(?=\1- )", re.M)
LINK = re.compile(r"\[`~?([\w.]+)`\](?![\[(])")
# Its headings, each of which is a place to link to.
METHOD = re.findall(r"^## (.+)$", (Path(__file__).parents[1] / "method.md").read_text("utf-8"), re.M)


def _plain(text: str) -> str:
    """A type without the marks of Markdown."""
    return re.sub(r"[`*]", "", text.replace("[`", "").replace("`]", ""))


def rewrite(text: str, public: dict[str, str], has_signature: bool) -> str:
    """Brings a docstring to the notation of griffe's Google parser.

    Args:
        text (`str`): the docstring.
        public (`dict[str, str]`): name -> full path of what the reference describes.
        has_signature (`bool`): whether a signature shows the defaults, so that they are left out here.

    Returns:
        `str`: the docstring.
    """

    def parameter(match: re.Match) -> str:
        kind = _plain(match[3])
        return f"{match[1]}{match[2]} ({re.sub(r', defaults to .*', '', kind) if has_signature else kind}): "

    text = PARAMETER.sub(parameter, LIST.sub(r"\1\2\n\n", text))
    text = RETURNED.sub(lambda match: f"{match[1]}{_plain(match[2])}:", text)

    def link(match: re.Match) -> str:
        name = match[1].rsplit(".", 1)[-1]
        return f"[`{name}`][{public[name]}]" if name in public else f"`{name}`"

    for heading in METHOD:
        words = r"\s+".join(map(re.escape, heading.split()))
        identifier = heading.lower().replace(" ", "-")
        text = re.sub(rf"docs/method\.md,\s+{words}", f"[Method, {heading}][{identifier}]", text)
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

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs) -> None:
        if not isinstance(attr.value, griffe.ExprCall) or str(attr.value.function) != "field":
            return
        given = {part.name: part.value for part in attr.value.arguments if isinstance(part, griffe.ExprKeyword)}
        metadata = ast.parse(str(given.get("metadata")), mode="eval").body
        if attr.docstring is None and isinstance(metadata, ast.Dict):
            for key, value in zip(metadata.keys, metadata.values):
                if ast.literal_eval(key) == "help" and isinstance(value, ast.Constant):
                    attr.docstring = griffe.Docstring(value.value, parent=attr)
        attr.value = given.get("default", given.get("default_factory"))

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = rewrite(obj.docstring.value, self.public, obj.is_function)
