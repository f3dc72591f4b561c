# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Grids of runs: every run in a process of its own; a run whose result is there is not run again."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.runs import pretrain_backbones
from training.benchmarks.shared.synthetic_videos import cache_frames
from training.benchmarks.shared.tables import write_tables
from training.running.script_parser import ScriptParser


@dataclass
class Grid:
    """A benchmark that is a grid of runs.

    Attributes:
        benchmark (`str`): its name, which is that of its module and of its results' file.
        stages (`list[list[str]]`): names of the runs; a stage starts when the stage before it is complete.
        execute (`Callable`): does a run, `(name, cache, results so far) -> result`.
        render (`Callable`): `(results) -> Markdown`.
        prepare (`Callable`, *optional*): makes what the runs need in addition to videos and backbones.
        alone (`dict[str, Callable]`): measurements after all runs, one at a time: `(cache) -> result`.
    """

    benchmark: str
    stages: list[list[str]]
    execute: Callable[[str, Path, dict[str, dict]], dict]
    render: Callable[[dict[str, dict]], str]
    prepare: Callable[[], None] | None = None
    alone: dict[str, Callable[[Path], dict]] = field(default_factory=dict)


def run_grid(grid: Grid, description: str, examples: str, argv: list[str] | None = None):
    """The command of a benchmark: runs what is missing and writes the tables, or does the one run of `--run`."""
    arguments = grid_parser(grid.benchmark, description, examples).parse_args(argv)
    path = arguments.output_dir / f"{grid.benchmark}.jsonl"
    if arguments.run:
        torch.set_num_threads(1)
        result = grid.execute(arguments.run, arguments.cache, load_results(path))
        return write_result(path, arguments.run, result)
    if not arguments.render:
        cache_frames(arguments.cache)
        pretrain_backbones()
        if grid.prepare is not None:
            grid.prepare()
        for names in grid.stages:
            run_missing(grid.benchmark, names, path, arguments)
        torch.set_num_threads(1)
        for name, measure in grid.alone.items():
            if is_missing(name, path, arguments):
                write_result(path, name, measure(arguments.cache))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables(grid.benchmark, grid.render(load_results(path)))


def grid_parser(benchmark: str, description: str, examples: str) -> ScriptParser:
    """The command line of a benchmark that is a grid of runs."""
    parser = ScriptParser(f"benchmarks.{benchmark}", description, examples)
    parser.add_argument(
        "--cache", type=Path, default=Path("output/benchmark_videos"), help="folder of what all runs read"
    )
    parser.add_argument("--only", default="", help="only runs whose names contain this")
    parser.add_argument("--num-workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # one run, in the process that run_missing starts
    return parser


def is_missing(name: str, path: Path, arguments: argparse.Namespace) -> bool:
    """Whether a run was asked for and has no result yet."""
    return arguments.only in name and name not in load_results(path)


def run_missing(benchmark: str, names: list[str], path: Path, arguments: argparse.Namespace):
    """Runs `python -m training.benchmarks.BENCHMARK --run NAME` for the names without a result, one thread each.

    Args:
        benchmark (`str`): name of the benchmark.
        names (`list[str]`): all runs.
        path (`Path`): file of the results.
        arguments (`argparse.Namespace`): of [`grid_parser`].

    Raises:
        RuntimeError: if a run fails.
    """
    command = [sys.executable, "-m", f"training.benchmarks.{benchmark}", "--cache", str(arguments.cache)]
    command += ["--output-dir", str(arguments.output_dir), "--run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run_one(name: str):
        done = subprocess.run([*command, name], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Run {name} failed:\n{done.stderr[-3000:]}")

    missing = [name for name in names if is_missing(name, path, arguments)]
    # Processes, since runs in one process would share its random generator. The threads only wait for them.
    with ThreadPoolExecutor(arguments.num_workers) as pool:
        for _ in tqdm(pool.map(run_one, missing), total=len(missing), desc="runs"):
            pass
