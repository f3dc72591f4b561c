# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Arguments of an audit beyond those of a training."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class AuditArguments:
    """How an audit scores, and what it writes."""

    output_dir: str = field(metadata={"help": "Folder to write into."})
    folds: int | None = field(
        default=None,
        metadata={
            "help": "Out of sample: number of parts, each scored by a model trained on the others (default: 5)."
        },
    )
    in_sample: bool = field(
        default=False, metadata={"help": "In sample: score with --model as it is (default: rdfer-small)."}
    )
    ray: str | None = field(
        default=None,
        metadata={
            "metavar": "ADDRESS",
            "help": "With --in-sample: score on the Ray cluster at this address; without a value on that of this "
            "computer, or on all its cores. The scores are the same.",
        },
    )
    sample_table: str | None = field(
        default=None, metadata={"help": "In sample: take the scores from the sample_table.parquet of a training."}
    )
    on_unknown_label: Literal["error", "skip"] = field(
        default="error",
        metadata={"help": "With --in-sample: stop at labels that the model does not have, or leave their videos out."},
    )
    truth_file: str | None = field(
        default=None, metadata={"help": "CSV, TSV or JSONL with sample_id or path, and true labels."}
    )
    truth: str | None = field(
        default=None,
        metadata={
            "help": "Column with the true labels, of --truth-file or of the list that --dataset names (default: "
            "true_label)."
        },
    )
    max_cards: int = field(default=300, metadata={"help": "Number of videos that the page shows frames of."})

    def __post_init__(self):
        modes = {"--folds": self.folds is not None, "--in-sample": self.in_sample}
        modes["--sample-table"] = self.sample_table is not None
        given = [name for name, is_given in modes.items() if is_given]
        if len(given) > 1:
            raise ValueError(f"{given[0]} is not allowed with {given[1]}: give one of them.")
        if self.ray is not None and not self.in_sample:
            raise ValueError("--ray needs --in-sample: the trainings of an audit by folds run in one process.")
        if (self.folds is not None and self.folds < 2) or self.max_cards < 0:
            raise ValueError("--folds must be at least 2 and --max-cards at least 0.")


__all__ = ["AuditArguments"]
