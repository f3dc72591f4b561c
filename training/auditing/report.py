# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Verdicts and outputs of an audit: tables, summary, plot, page."""

import json
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.hub.card_facts import library_versions
from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.sample_table import sample_table
from modeling_rdfer.trainer.verdicts import (
    NOISY,
    NOISY_QUANTILE,
    OUT_OF_SAMPLE_NOISY_QUANTILE,
    PARTITIONS,
    VerdictThresholds,
)
from training.auditing.metrics import estimated_joint
from training.auditing.page import write_page
from training.auditing.scoring import Audit
from training.auditing.truth import compare_with_truth
from training.auditing.videos import fingerprint
from training.reports.plots import plot_agreement_loss

PAGE_NAME = "audit.html"


def judge(audit: Audit, thresholds: VerdictThresholds) -> SampleRecord:
    """Returns a record with the verdicts on an audit's videos, by the rule of the training; out of sample, only the
    quantile of the loss threshold is another one.
    """
    numbers = {name: number for number, name in enumerate(audit.label_names)}
    labels = torch.tensor([numbers[label] for label in audit.videos.labels])
    quantile = OUT_OF_SAMPLE_NOISY_QUANTILE if audit.out_of_sample else NOISY_QUANTILE
    record = SampleRecord(labels, len(audit.label_names), thresholds, noisy_quantile=quantile)
    record.update(audit.predictions)
    return record


def rule_of(audit: Audit, record: SampleRecord) -> list[str]:
    """Explains in sentences how videos were scored, what the scores mean, and the rule of the verdicts."""
    if audit.out_of_sample:
        scored = f"Out of sample: each video was scored once, by a model trained without it ({audit.folds} folds)."
    else:
        how = {
            "training run": f"running means over {audit.epoch} epochs of a training on these labels",
            "audit": "the model may have been trained on these videos",
        }[audit.source]
        scored = f"IN SAMPLE: {how}. A model agrees with labels that it has memorised, also with wrong ones."
    thresholds = record.thresholds
    if thresholds.noisy_loss_threshold != "auto":
        origin = "given"
    else:
        share = f"{record.noisy_quantile:.0%}"
        origin = (
            f"as strongly as the scores speak for the label in {share} of the videos where it is the most probable"
        )
    if not np.isfinite(record.loss_thresholds.noisy):
        loss = "the loss is large (no video is noisy here, as the losses do not form two groups, large and small)"
    elif record.trust < 1:
        loss = (
            "the loss is large (no video is noisy here, as the model agrees too little with the labels to judge them)"
        )
    else:
        loss = f"the loss is above {record.loss_thresholds.noisy:.3f} ({origin})"
    return [
        scored,
        "label_quality: probability of the given label, mean of the video's and of its clips'; low is suspicious.",
        "margin: that probability minus the one of the most probable other label, -1 to 1; low is suspicious.",
        "loss: cross-entropy of the given label"
        + (
            ", mean of that out of sample and of the running means in the other trainings."
            if audit.out_of_sample
            else "."
        ),
        "suspicion_rank: all videos in the order of the loss, the largest first.",
        f"doubt: from 0 to 1 as the margin falls from 0 to {thresholds.full_doubt_margin:g}, where the loss belongs "
        "to the upper of two groups of losses; it lowers the weight.",
        f"verdict noisy: the clips agree on another label (the margin is below {thresholds.full_doubt_margin:g}), and "
        f"{loss}, and the video has at least two distinct clips. At most {thresholds.max_noisy_share:.0%} of a "
        "label's videos can be noisy, so that a rare label is not wiped out.",
        f"verdict hard: not noisy, and the agreement of the clips is at most {thresholds.hard_agreement_threshold:g}.",
        "verdict clean: everything else. A label is suggested for noisy videos only: the most probable other one.",
    ]


def summarise(audit: Audit, record: SampleRecord, title: str, split: str, seed: int, truth: list[dict] | None) -> dict:
    """Collects the contents of `summary.json`, which the page shows, too.

    Args:
        audit ([`Audit`]), record ([`SampleRecord`]): scores and verdicts.
        title (`str`): name of the dataset, or of the model if the dataset is not known.
        split (`str`): split of the dataset.
        seed (`int`): seed of the trainings.
        truth (`list[dict]`, *optional*): what [`compare_with_truth`] returns.
    """
    seen = audit.predictions.index.sort().values
    labels = record.given_labels[seen].numpy()
    joint, pairs = estimated_joint(record.means["probabilities"][seen].numpy(), labels, audit.label_names)
    partition = {
        name: {
            part: int(((record.partition == code) & (record.given_labels == number))[seen].sum())
            for code, part in enumerate(PARTITIONS)
        }
        for number, name in enumerate(audit.label_names)
    }
    return {
        "title": f"Audit of {title}, split {split}",
        "dataset": title,
        "split": split,
        "model": audit.model,
        "model_revision": audit.revision,
        "out_of_sample": audit.out_of_sample,
        "folds": audit.folds,
        "source": audit.source,
        "videos": len(audit.videos),
        "label_names": audit.label_names,
        "rule": rule_of(audit, record),
        "partition_by_class": partition,
        "joint": joint,
        "confused_pairs": pairs,
        "agreement_loss": {
            "noisy_loss_threshold": record.loss_thresholds.noisy
            if np.isfinite(record.loss_thresholds.noisy)
            else None,
            "hard_agreement_threshold": record.thresholds.hard_agreement_threshold,
        },
        "truth": truth,
        "unreadable": [
            {"sample_id": audit.videos.sample_ids[number], "reason": reason}
            for number, reason in sorted(audit.errors.items())
        ],
        "reproducibility": {
            **{f"version of {name}": number for name, number in library_versions().items()},
            "seed": str(seed),
            "fingerprint of ids, contents and labels": fingerprint(audit.videos),
        },
    }


def audit_table(audit: Audit, record: SampleRecord, true_labels: list[str | None] | None = None):
    """Makes the table of an audit, a `pyarrow.Table`; see docs/table_schema.md."""
    count = len(audit.videos)
    ranks = {number: rank for rank, number in enumerate(_by_suspicion(audit), start=1)}
    further = {
        "suspicion_rank": [ranks.get(number) for number in range(count)],
        "in_sample": [not audit.out_of_sample] * count,
        **audit.dynamics,
    }
    if true_labels is not None:
        further["true_label"] = true_labels
    columns = {"sample_id": audit.videos.sample_ids, **audit.videos.columns}
    columns["decode_ok"] = [number not in audit.errors for number in range(count)]
    table = sample_table(record, audit.label_names, columns, audit.epoch, further)
    return table.replace_schema_metadata(
        {**table.schema.metadata, b"out_of_sample": str(audit.out_of_sample).lower().encode()}
    )


def _by_suspicion(audit: Audit) -> list[int]:
    """Numbers of the videos that could be read, the largest loss first."""
    return audit.predictions.index[audit.predictions.loss.argsort(descending=True, stable=True)].tolist()


def write_csv(table, label_names: list[str], path: Path):
    """Writes a table as CSV, with a column `p_<label>` for each label instead of `probabilities`."""
    import pyarrow as pa
    import pyarrow.csv

    place = table.column_names.index("probabilities")
    rows = table["probabilities"].to_pylist()
    table = table.remove_column(place)
    for number, name in enumerate(label_names):
        values = [None if row is None else row[number] for row in rows]
        table = table.add_column(place + number, f"p_{name}", pa.array(values, pa.float32()))
    write_atomically(path, lambda handle: pyarrow.csv.write_csv(table, handle))


def write_outputs(
    audit: Audit,
    record: SampleRecord,
    output_dir: Path,
    title: str | None,
    split: str,
    seed: int,
    max_cards: int,
    truth: tuple[list[str | None], list[bool | None]] | None = None,
) -> dict:
    """Writes `audit.parquet`, `audit.csv`, `summary.json`, `agreement_loss.png` and `audit.html`.

    Args:
        audit ([`Audit`]), record ([`SampleRecord`]): scores and verdicts.
        output_dir (`Path`): where to write.
        title (`str`, *optional*): name of the dataset.
        split (`str`): split of the dataset, if the videos do not say theirs.
        seed (`int`): seed of the trainings, and of the intervals against the truth.
        max_cards (`int`): videos that the page shows frames of.
        truth (`tuple` of lists, *optional*): what [`read_truth`] returns.

    Returns:
        `dict`: the summary, see [`summarise`].
    """
    import pyarrow.parquet as pq

    measured = None if truth is None else compare_with_truth(audit, record, *truth, seed)
    split = next(iter(audit.videos.columns.get("split") or []), None) or split
    summary = summarise(audit, record, title or audit.model, split, seed, measured)
    table = audit_table(audit, record, None if truth is None else truth[0])
    output_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(output_dir / "audit.parquet", lambda handle: pq.write_table(table, handle))
    write_csv(table, audit.label_names, output_dir / "audit.csv")
    write_atomically(output_dir / "summary.json", json.dumps(summary, indent=2) + "\n")
    heading = summary["title"] + ("" if audit.out_of_sample else "\nIN SAMPLE: wrong labels may have been learnt")
    plot_agreement_loss(table, summary["agreement_loss"], heading, output_dir / "agreement_loss.png")
    # Noisy videos first, as on the page.
    wanted = sorted(_by_suspicion(audit), key=lambda number: record.partition[number] != NOISY)[:max_cards]
    cards = audit.cards.cards
    if missing := [number for number in wanted if number not in cards]:
        cards |= audit.missing_cards(missing)
    cards = {audit.videos.sample_ids[number]: cards[number] for number in wanted if number in cards}
    write_page(output_dir / PAGE_NAME, table.to_pylist(), summary, cards)
    return summary


def print_summary(summary: dict, output_dir: Path):
    """Prints the most important results and where the files are."""
    print(f"\n{summary['title']}, {summary['videos']} videos, by {summary['model']}\n")
    print("\n".join(summary["rule"]))
    counts = summary["partition_by_class"]
    width = max(map(len, [*counts, "given label"]))
    print(f"\n{'given label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    total = {name: sum(row[name] for row in counts.values()) for name in PARTITIONS}
    for label, row in [*counts.items(), ("all", total)]:
        print(f"{label:<{width}}" + "".join(f"{row[name]:>8}" for name in PARTITIONS))
    if summary["confused_pairs"]:
        print("\nMost frequent probable mistakes (given -> true, estimated number):")
        for pair in summary["confused_pairs"][:5]:
            print(f"  {pair['given']} -> {pair['true']}: {pair['count']}")
    for entry in summary["truth"] or []:
        if entry is summary["truth"][0]:
            k = entry["precision_at_k"]["k"]
            print(f"\nAgainst the truth ({k} wrong labels): AUROC, AUPRC, precision among the {k} most suspicious")
        cells = ", ".join(_interval(entry[name]) for name in ("auroc", "auprc", "precision_at_k"))
        print(f"  {entry['score']}: {cells}")
    if summary["unreadable"]:
        print(f"\n{len(summary['unreadable'])} videos cannot be read; their decode_ok is false.")
    print(f"\nWrote audit.parquet, audit.csv, summary.json, agreement_loss.png and {PAGE_NAME} into {output_dir}.")
    if not summary["out_of_sample"]:
        print("IN SAMPLE: use --folds for scores of models that were not trained on the labels they judge.")


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "-"
    return f"{metric['value']:.3f} ({metric['low']:.3f}..{metric['high']:.3f})"


__all__ = ["judge", "print_summary", "write_outputs"]
