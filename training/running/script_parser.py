# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The command-line parser of all scripts."""

import argparse
import sys
from collections.abc import Sequence
from enum import Enum

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool


class BooleanAction(argparse.Action):
    """An option that is on or off, in every way people write it: `--x`, `--x true`, `--x false`, `--no-x`."""

    # HfArgumentParser passes type, nargs and const of a boolean; this class sets its own.
    def __init__(self, option_strings, dest, type=None, nargs=None, const=None, **kwargs):
        off = [f"--no-{name.removeprefix('--')}" for name in option_strings]
        super().__init__([*option_strings, *off], dest, nargs="?", const=True, type=string_to_bool, **kwargs)

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, value != option_string.startswith("--no-"))


class ScriptParser(HfArgumentParser):
    """The parser of every script. Options are documented with hyphens; underscores mean the same. An unknown option
    ends the program with a message. `--help` shows the defaults.

    Args:
        script (`str`): name of the script's module after `training.`, e.g. `"train"`.
        description (`str`, *optional*): what the script does.
        examples (`str`, *optional*): shown at the end of `--help`.
        dataclass_types (dataclass or sequence of them, *optional*): their fields become options.

    Example:

        parser = ScriptParser("check_data", __doc__, EXAMPLES, SourceArguments)
        parser.add_argument("--num-workers", type=int, default=0, help="processes that read videos")
        source, arguments = parser.parse_args_into_dataclasses(argv)
    """

    def __init__(self, script: str, description: str | None = None, examples: str | None = None, dataclass_types=()):
        super().__init__(
            dataclass_types,
            prog=f"python -m training.{script}",
            usage="%(prog)s [options]",
            description=description,
            epilog=examples,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        # In the help, the options of a named group come before the others.
        self._action_groups.sort(key=lambda group: group in (self._positionals, self._optionals))

    def add_aliases(self, option: str, *aliases: str):
        """Makes `aliases` mean the same as `option`. They do not appear in `--help`."""
        self._hyphenate()
        self._option_string_actions |= dict.fromkeys(aliases, self._option_string_actions[option])

    def allow_bare(self, option: str, value: str):
        """Lets an option stand without a value; it then means `value`."""
        self._hyphenate()
        action = self._option_string_actions[option]
        action.nargs, action.const = "?", value

    def dest_of(self, setting: str) -> str | None:
        """The attribute that a setting of a YAML file sets, e.g. `output-dir` or `output_dir`; None if unknown."""
        self._hyphenate()
        action = self._option_string_actions.get(_with_hyphens(f"--{setting}"))
        return None if action is None else action.dest

    def parse_known_args(self, args: Sequence[str] | None = None, namespace=None):
        """Parses as argparse does. Raises SystemExit if one option is given under two names."""
        self._hyphenate()
        args = [_with_hyphens(token) for token in (sys.argv[1:] if args is None else args)]
        names = {}
        for name in (token.partition("=")[0] for token in args):
            action = self._option_string_actions.get(name)
            if action is not None and not isinstance(action, BooleanAction):
                other = names.setdefault(action, name)
                if other != name:
                    self.error(f"{other} and {name} are the same option: give one of them")
        return super().parse_known_args(args, namespace)

    def parse_args_into_dataclasses(self, args: Sequence[str] | None = None) -> tuple:
        """Parses the command line.

        Args:
            args (sequence of `str`, *optional*): the command line; that of the process by default.

        Returns:
            `tuple`: an instance of each dataclass and, if further options were added, a namespace with these.
        """
        *parsed, unknown = super().parse_args_into_dataclasses(
            None if args is None else list(args), return_remaining_strings=True
        )
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return tuple(parsed)

    def format_help(self) -> str:
        """The help text, with hyphens."""
        self._hyphenate()
        return super().format_help()

    def _hyphenate(self):
        # transformers registers both spellings of an option and shows both.
        for action in self._actions:
            action.option_strings = list(dict.fromkeys(map(_with_hyphens, action.option_strings)))
            self._option_string_actions |= dict.fromkeys(action.option_strings, action)


def _with_hyphens(token: str) -> str:
    name, equals, value = token.partition("=")
    return name.replace("_", "-") + equals + value if token.startswith("--") else token


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of description and examples, and says which options are required and the defaults."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default.value if isinstance(action.default, Enum) else action.default
        if action.required:
            return f"{text} (required)".strip()
        shown = default is not None and default is not False and default not in ("", argparse.SUPPRESS, [])
        if not (shown and action.option_strings) or "default" in text:
            return text
        return f"{text} (default: {default})".replace("%", "%%").strip() if "%(" not in text else text


__all__ = ["BooleanAction", "ScriptParser"]
