# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Where the benchmarks' tables stand: docs/benchmarks.md."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
END = "<!-- End of the tables -->"


def _around_tables(module: str) -> tuple[str, str, str]:
    """The page up to the tables of a benchmark, the tables, and the rest."""
    begin = f"<!-- Tables by python -m {module} --render -->"
    before, rest = PAGE.read_text().split(begin)
    tables, after = rest.split(END, 1)
    return before + begin, tables, END + after


def read_tables(module: str) -> str:
    """The tables of a benchmark (`training.benchmarks.noise`, ...) as they stand in the page."""
    return _around_tables(module)[1].strip()


def write_tables(module: str, tables: str):
    """Puts them there, in place of the old ones."""
    before, _, after = _around_tables(module)
    PAGE.write_text(f"{before}\n\n{tables}\n\n{after}")
    print(f"Wrote the tables of {PAGE}.")


def markdown_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of the rows with a number in any column but the first: the others have not been measured."""
    measured = [row for row in rows if any(letter.isdigit() for cell in row[1:] for letter in cell)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ("---",) * len(header), *measured))
