# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tables that scripts print."""

from modeling_rdfer.trainer.verdicts import PARTITIONS


def print_partitions(record, label_names: list[str]):
    """Prints how many training samples of each label are clean, hard and noisy."""
    width = max(map(len, [*label_names, "label"]))
    print(f"\n{'label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    for number, label in enumerate(label_names):
        members = record.given_labels == number
        counts = [(record.partition[members] == code).sum().item() for code in range(len(PARTITIONS))]
        print(f"{label:<{width}}" + "".join(f"{count:>8}" for count in counts))


__all__ = ["print_partitions"]
