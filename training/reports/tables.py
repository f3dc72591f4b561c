# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Tables that scripts print and write."""

from modeling_rdfer.trainer.verdicts import PARTITIONS

# How the reported models were selected, by --model-selection.
SELECTIONS = {
    "last": "The model of the last epoch is reported; the test folds selected nothing.",
    "held_out": "The epoch was selected on videos held out of each training set; the test folds selected nothing.",
    "best_on_test": "**The epoch was selected on the test folds themselves: these figures are too good, and are not "
    "comparable to those of the last epoch or of a held-out selection.**",
    "best_on_validation": "**The epoch was selected on the reported videos themselves: these figures are too good.**",
}


def print_partitions(record, label_names: list[str]):
    """Prints how many training samples of each label are clean, hard and noisy."""
    width = max(map(len, [*label_names, "label"]))
    print(f"\n{'label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    for number, label in enumerate(label_names):
        members = record.given_labels == number
        counts = [(record.partition[members] == code).sum().item() for code in range(len(PARTITIONS))]
        print(f"{label:<{width}}" + "".join(f"{count:>8}" for count in counts))


def cross_validation_table(title: str, merged: dict, missing: list[int]) -> str:
    """The results of a cross-validation as a page of Markdown.

    Args:
        title (`str`): heading.
        merged (`dict`): what `training.cross_validate.merge` returns.
        missing (`list[int]`): folds that are not finished.

    Returns:
        `str`: the page.
    """
    labels = list(dict.fromkeys(label for fold in merged["folds"].values() for label in fold["recall"]))
    lines = [f"# {title}", "", SELECTIONS[merged["model_selection"]], ""]
    if missing:
        lines += [f"Not finished, and not included: folds {', '.join(map(str, missing))}.", ""]
    lines += ["| fold | videos | WAR | UAR | " + " | ".join(f"recall {label}" for label in labels) + " |"]
    lines += ["|" + " --- |" * (4 + len(labels))]

    def cells(*values) -> str:
        return " | ".join("-" if value is None else f"{100 * value:.2f}" for value in values)

    for number, fold in merged["folds"].items():
        recalls = cells(*(fold["recall"].get(label) for label in labels))
        lines.append(f"| {number} | {fold['samples']} | {cells(fold['war'], fold['uar'])} | {recalls} |")
    total = sum(fold["samples"] for fold in merged["folds"].values())
    for name in ("mean", "std"):
        values = cells(merged[name]["war"], merged[name]["uar"])
        lines.append(f"| {name} |  | {values} |" + "  |" * len(labels))
    if "pooled" in merged:
        values = cells(merged["pooled"]["war"], merged["pooled"]["uar"])
        lines.append(f"| all videos together | {total} | {values} |" + "  |" * len(labels))
    lines += ["", "WAR, UAR and recall in per cent; std is the sample standard deviation over the folds."]
    return "\n".join(lines) + "\n"


__all__ = ["cross_validation_table", "print_partitions"]
