# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Every code block of README and docs runs, or at least every option in it exists."""

import argparse
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from modeling_rdfer import cli
from tests.docs.blocks import Block, blocks_of, commands_of
from tests.helpers.paths import ROOT
from training.running.script_parser import ScriptParser
from training.synthetic.dataset import write_dataset

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page: blocks_of(page) for page in PAGES}
# Programs that are not ours: nothing to check.
OTHERS = {"apt-get", "cd", "curl", "docker", "ffmpeg", "git", "hf", "sudo", "ls", "python3", "source", "tensorboard"}
# What `settings_of` parses before the options that were given, to know the defaults.
DEFAULTS, PARSE = ["--output-dir", "unused"], ScriptParser.parse_args_into_dataclasses
MODULES = {"training.synthetic": "training.synthetic.__main__"}


class ParsedError(BaseException):
    """All options were understood; no `except` of a script catches it."""


class OptionError(BaseException):
    """An option is unknown, missing or has a wrong value."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder with what the blocks name: D with drawn faces by split and label, some videos, and the repository's
    files that a user in a checkout has.
    """
    folder = tmp_path_factory.mktemp("docs")
    write_dataset(folder / "D", 21, size=64, num_frames=(12, 14), splits=(0.34, 0.33, 0.33), progress=False)
    clip = ROOT / "tests" / "data" / "cap13_edit2.mp4"
    for name in ("clip.mp4", "talk.mp4", "meeting.mp4", "a.mp4", "b.mp4", "c.mp4"):
        (folder / name).symlink_to(clip)
    (folder / "recordings").mkdir()
    (folder / "recordings" / "clip.mp4").symlink_to(clip)
    for name in ("hub_cards", "tests", "training", "docs", "Makefile", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture
def workplace(videos, monkeypatch) -> Path:
    monkeypatch.chdir(videos)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return videos


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCKS[page]], ids=lambda page: str(page.relative_to(ROOT))
)
def test_blocks_of_page(page, workplace, monkeypatch):
    namespace = {"__name__": "__main__"}
    for block in BLOCKS[page]:
        if block.mode == "skip":
            continue
        if block.language == "yaml":
            check_settings(block, monkeypatch)
        elif block.language == "python":
            run_python(block, namespace)
        else:
            for words in commands_of(block):
                run_command(words, block) if block.mode == "run" else parse_command(words, block, monkeypatch)


@pytest.mark.parametrize(
    "command",
    [
        "rdfer predict clip.mp4 --topk 3",
        "python -m training.train --dataset D --output-dir out --sampling balanced",
        "python -m training.train --dataset D --output-dir out --loss mse",
        "python -m training.cross_validate --dataset dfew --root D --output-dir out --sampling balanced",
        "torchrun --nproc_per_node 2 -m training.train --dataset D --no-such-option",
        "python -m training.evaluate --model out --dataset D",  # no output folder
        "make tset",
        'pip install ".[trainning]"',
        "rdferr predict clip.mp4",
    ],
)
def test_a_wrong_command_is_found(command, workplace, monkeypatch):
    block = Block(Path("page.md"), 1, "bash", command, "parse")
    with pytest.raises(AssertionError):
        parse_command(commands_of(block)[0], block, monkeypatch)


def test_commands_of_make_demo(workplace, monkeypatch):
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("\t$(BIN)/") for line in lines if line.startswith("\t$(BIN)/")]
    block = Block(ROOT / "Makefile", 1, "bash", "\n".join(commands), "parse")
    ours = [words for words in commands_of(block) if words[0] == "rdfer" or (words[2:3] and "training" in words[2])]
    assert len(ours) >= 4
    for words in ours:
        parse_command(words, block, monkeypatch)


def run_python(block: Block, namespace: dict):
    code = compile("\n" * (block.line - 1) + block.code, str(block.file), "exec")
    if block.mode == "run":
        exec(code, namespace)


def check_settings(block: Block, monkeypatch):
    """A YAML block is a `--config` of training.train: every key is an option."""
    settings = Path("settings.yaml").absolute()
    settings.write_text(block.code)
    arguments = ["--config", str(settings), "--dataset", "D", "--output-dir", "out"]
    parse(importlib.import_module("training.train").main, arguments, str(block), monkeypatch)


def run_command(words: list[str], block: Block):
    if words[0] == "rdfer":
        assert cli.main(words[1:]) == 0, f"{block}: {' '.join(words)}"
    elif words[:2] == ["python", "-m"]:
        importlib.import_module(MODULES.get(words[2], words[2])).main(words[3:])
    else:
        raise AssertionError(f"{block}: no way to run {words[0]!r}.")


def parse_command(words: list[str], block: Block, monkeypatch):
    """Raises OptionError if a command of ours has an option, target or extra that does not exist."""
    where = f"{block}: {' '.join(words)}"
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[0] == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert set(words[1:]) <= targets, where
    elif words[0] == "pip" or words[:3] == ["python", "-m", "pip"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in words:
            for names in re.findall(r"\[([\w,-]+)\]$", word):
                assert set(names.split(",")) <= set(extras), where
    elif words[0] == "rdfer":
        parse(cli.main, words[1:], where, monkeypatch)
    elif "-m" in words and words[0] in ("python", "torchrun", "accelerate"):
        if words[0] == "torchrun":
            assert words[1].startswith(("--nproc", "--nnodes")), where
        module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
        if not module.startswith(("training", "modeling_rdfer")):
            return
        main = importlib.import_module(MODULES.get(module, module)).main
        parse(main, arguments, where, monkeypatch)
    else:
        assert words[0] in OTHERS, f"{where}: no rule for {words[0]!r}"


def parse_only(parser, arguments=None, *args, **kwargs):
    """Stands in for the parsers' methods: understands the options, or not, and goes no further."""
    if arguments == DEFAULTS:
        return PARSE(parser, arguments)
    unknown = parser.parse_known_args(arguments)[1]
    raise OptionError(f"unknown: {unknown}") if unknown else ParsedError


def parse(main, arguments: list[str], where: str, monkeypatch):
    """Runs a script until its options are parsed. Scripts parse in their own ways and hand options on to each other,
    so nothing but running them shows that an option exists.
    """
    with monkeypatch.context() as patch:
        patch.chdir(empty_folder())
        patch.setattr(argparse.ArgumentParser, "error", refuse)
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
        patch.setattr(ScriptParser, "parse_args_into_dataclasses", parse_only)
        try:
            main(arguments)
        except OptionError as error:
            raise AssertionError(f"{where}\n{error}") from None
        except ParsedError:
            return
    raise AssertionError(f"{where}: the script ended without parsing all options.")


def refuse(parser, message: str):
    raise OptionError(message)


def empty_folder() -> Path:
    """A folder with the repository's own files alone."""
    folder = Path.cwd() / "empty"
    folder.mkdir(exist_ok=True)
    for name in ("training", "hub_cards", "tests"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder
