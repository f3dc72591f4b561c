# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from dataclasses import dataclass, field

import pytest

from training.data.dataset_argument import SourceArguments
from training.running.script_parser import BooleanAction, ScriptParser


@dataclass
class Arguments:
    batch_size: int = field(default=8, metadata={"help": "Videos at once."})
    keep_order: bool = field(default=True, metadata={"help": "Whether to keep the order."})
    face_crop: bool | None = field(default=None, metadata={"help": "Crop.", "action": BooleanAction})


def make_parser() -> ScriptParser:
    parser = ScriptParser("example", "What it does.", "examples:\n  one", (Arguments, SourceArguments))
    parser.add_argument("--output_dir", required=True, help="folder")
    parser.add_aliases("--dataset", "--train-dir")
    return parser


def test_hyphens_and_underscores_mean_the_same():
    for batch_size, order, out in [
        ("--batch-size", "--no-keep-order", "--output-dir"),
        ("--batch_size", "--no_keep_order", "--output_dir"),
    ]:
        arguments, source, rest = make_parser().parse_args_into_dataclasses(
            [f"{batch_size}=4", order, out, "some_folder", "--train_dir", "a_b", "--no-face_crop"]
        )
        assert (arguments.batch_size, arguments.keep_order, arguments.face_crop) == (4, False, False)
        assert (rest.output_dir, source.dataset) == ("some_folder", "a_b")


def test_help_shows_hyphens_defaults_and_what_is_required():
    text = " ".join(make_parser().format_help().split())
    assert "--batch-size BATCH_SIZE Videos at once. (default: 8)" in text and "folder (required)" in text
    assert "--batch_size" not in text and "--output_dir" not in text and "--train-dir" not in text
    assert text.index("videos: --dataset") < text.index("--output-dir") and "usage: python -m training.example" in text


def test_two_names_of_one_option_are_refused_and_repeating_it_is_not(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args_into_dataclasses(["--output-dir", "x", "--train_dir", "y", "--dataset", "z"])
    assert "--train-dir and --dataset are the same option" in capsys.readouterr().err
    _, source, _ = make_parser().parse_args_into_dataclasses(["--output-dir", "x", "--dataset", "y", "--dataset", "z"])
    assert source.dataset == "z"


def test_parts_of_names_are_no_options(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args_into_dataclasses(["--output-dir", "x", "--batch", "4"])
    assert "python -m training.example: error: unrecognized arguments: --batch 4" in capsys.readouterr().err
