# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The command-line parser of the scripts."""

import argparse

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool


class ScriptParser(HfArgumentParser):
    """Ends with a message where an argument is unknown, as argparse does; transformers' own raises ValueError."""

    def parse_args_into_dataclasses(self, args: list[str]) -> tuple:
        *parsed, unknown = super().parse_args_into_dataclasses(args, return_remaining_strings=True)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return tuple(parsed)


class BooleanAction(argparse.Action):
    """An argument that is on or off, in every way people write it: `--x`, `--x true`, `--x false`, `--no-x`."""

    # HfArgumentParser says type, nargs and const of a boolean itself.
    def __init__(self, option_strings, dest, type=None, nargs=None, const=None, **kwargs):
        off = [f"--no-{name.removeprefix('--')}" for name in option_strings]
        super().__init__([*option_strings, *off], dest, nargs="?", const=True, type=string_to_bool, **kwargs)

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, value != option_string.startswith("--no-"))


__all__ = ["BooleanAction", "ScriptParser"]
