# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Results of benchmarks: one JSON Lines file for each benchmark, one line for each run."""

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
# Of the option --output-dir.
RESULTS_HELP = "folder of the file of results (default: training/benchmarks/results)"


def read_lines(path) -> list[dict]:
    """Reads a file of results.

    Args:
        path (`str` or `os.PathLike`): the file; it may be missing.

    Returns:
        `list[dict]`: the runs in the order of their lines; `name` is the name of a run.
    """
    path = Path(path)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def load_results(path) -> dict[str, dict]:
    """Reads a file of results as `{name of the run: result}`, sorted by name."""
    return {line.pop("name"): line for line in sorted(read_lines(path), key=lambda line: line["name"])}


def write_result(path, name: str, result: dict):
    """Adds the result of a complete run. A line of the same name and processor is replaced. Several processes may add
    results at the same time. A crash leaves the file as it was, as a complete copy replaces it.

    Args:
        path (`str` or `os.PathLike`): the file; made if missing.
        name (`str`): name of the run.
        result (`dict`): its result; `machine` may say where it ran.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        lines = read_lines(path)
        new = {"name": name, **result}
        places = [number for number, line in enumerate(lines) if _key(line) == _key(new)]
        if places:
            lines[places[0]] = new
        else:
            lines.append(new)
        partial = path.with_suffix(".part")
        with open(partial, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


def _key(line: dict) -> tuple:
    return line["name"], line.get("machine", {}).get("processor")


@contextmanager
def _locked(folder: Path):
    """Holds the lock of a folder, which other processes wait for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
