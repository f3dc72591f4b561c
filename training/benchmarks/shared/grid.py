# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Grids of runs: every run in a process of its own; a run whose result is there is not run again."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from training.benchmarks.shared.results import RESULTS, load_results


def grid_parser(description: str, examples: str) -> argparse.ArgumentParser:
    """The command line of a benchmark that is a grid of runs."""
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("output/benchmark_videos"), help="folder of the drawn videos"
    )
    parser.add_argument("--only", default="", help="only runs whose names contain this")
    parser.add_argument(
        "--num-workers", "--num_workers", type=int, default=2, help="runs at a time, one thread each (default: 2)"
    )
    parser.add_argument("--output-dir", "--output_dir", type=Path, default=RESULTS, help="folder of the results' file")
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # one run, in the process that run_missing starts
    return parser


def is_missing(name: str, path: Path, arguments: argparse.Namespace) -> bool:
    """Whether a run was asked for and has no result yet."""
    return arguments.only in name and name not in load_results(path)


def run_missing(benchmark: str, names: list[str], path: Path, arguments: argparse.Namespace):
    """
    Runs `python -m training.benchmarks.BENCHMARK --run NAME` for the names without a result, one thread each.

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
