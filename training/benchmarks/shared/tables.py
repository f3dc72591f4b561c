# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The tables of the benchmarks in docs/benchmarks.md."""

import statistics
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
END = "<!-- End of the tables -->"


def _around_tables(benchmark: str) -> tuple[str, str, str]:
    """The page before the tables of a benchmark, the tables, and the rest of the page."""
    begin = f"<!-- Tables by python -m training.benchmarks.{benchmark} --render -->"
    before, rest = PAGE.read_text().split(begin)
    tables, after = rest.split(END, 1)
    return before + begin, tables, END + after


def read_tables(benchmark: str) -> str:
    """The tables of a benchmark ("noise", ...) as they stand in the page."""
    return _around_tables(benchmark)[1].strip()


def write_tables(benchmark: str, tables: str):
    """Replaces the tables of a benchmark in the page."""
    before, _, after = _around_tables(benchmark)
    PAGE.write_text(f"{before}\n\n{tables.strip()}\n\n{after}")
    print(f"Wrote the tables of {PAGE}.")


def markdown_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table. Rows without a number after their first column are left out: they were not measured."""
    measured = [row for row in rows if any(letter.isdigit() for cell in row[1:] for letter in cell)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ("---",) * len(header), *measured))


def mean_percent(values: list[float]) -> str:
    """Mean and standard deviation of shares (0..1), in per cent; "-" if there are none."""
    if not values:
        return "-"
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def measured_with(machine: dict) -> str:
    """Text of a machine, e.g. "processor x86_64, threads 1"."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())
