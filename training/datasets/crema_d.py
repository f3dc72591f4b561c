# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
CREMA-D: 91 actors, 6 expressions, 7,442 clips, each judged by about ten people from the face, the voice and both (Cao
et al., IEEE Transactions on Affective Computing 2014; label files under ODbL 1.0).

Run as a program it reports how often people disagree with the acted label.

Examples:
  Votes of people who saw the face without sound:
    python -m training.datasets.crema_d --root /data/CREMA-D --report
  Votes of people who saw and heard the clip; one actor:
    python -m training.datasets.crema_d --root /data/CREMA-D --report --votes multimodal
    python -m training.datasets.crema_d --root /data/CREMA-D --report --actor 1001
"""

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import Literal

import datasets

from training.data.messages import first_few

from .loading import OnMissing, build, find_clips, first_folder, folds_by_person, loader, logger

CODES = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LABELS = list(CODES.values())
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
FOLDS = [range(1001, 1019), range(1019, 1037), range(1037, 1055), range(1055, 1073), range(1073, 1092)]
# How many videos the authors' lists have: of each label in its order, or in all. `training.check_data` compares.
PUBLISHED = {
    fold: {"train": 7442 - test, "test": test} for fold, test in enumerate((1463, 1470, 1476, 1476, 1557), start=1)
}
CLIPS = ("VideoFlash", "VideoMP4", "face_aligned", ".")
VOTES_FILE = "processedResults/tabulatedVotes.csv"
# The first digit of a row's number in the file of votes.
SEEN = {"1": "voice", "2": "face", "3": "multimodal"}
LABEL_SOURCES = {"face_vote": "face", "multimodal_vote": "multimodal"}


@loader
def load(
    root,
    fold: Literal[1, 2, 3, 4, 5] = 1,
    label_source: Literal["acted", "face_vote", "multimodal_vote"] = "acted",
    on_missing: OnMissing = "error",
) -> datasets.DatasetDict:
    """
    Loads a fold of CREMA-D.

    Args:
        root (`str` or `Path`): the folder that holds `VideoFlash/1001_DFA_ANG_XX.flv` (or other video files or folders
            of frames of these names), `SentenceFilenames.csv` (says which clips there should be; not required) and
            `processedResults/tabulatedVotes.csv` (required for labels by vote).
        fold (`int`): test on actors 1001-1018, 1019-1036, 1037-1054, 1055-1072 or 1073-1091; train on the others.
        label_source (`"acted"`, `"face_vote"` or `"multimodal_vote"`): the expression the actor was asked for, or the
            one most people saw. When several got most votes, the acted one counts if it is among them; otherwise the
            clip has no label and is left out, with a warning that counts these.
        on_missing (`"error"` or `"skip"`): what to do with listed clips that are not there.

    Returns:
        `datasets.DatasetDict` of `train` and `test` with the columns of [`~training.datasets.loading.build`], `actor`,
        `sentence`, `level`, `acted_label`, `fold` and, if the votes are there, `face_votes` and `multimodal_votes`
        (how many chose each label, in the order of the labels) and `soft_label` (shares of the votes: the multimodal
        ones for `"multimodal_vote"`, else those on the face).

    Raises:
        FileNotFoundError: a folder, list or clip is missing.
        ValueError: lists and clips disagree.
    """
    clips = find_clips(first_folder(root, CLIPS), r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}")
    names = list(clips)
    if (root / "SentenceFilenames.csv").is_file():
        with open(root / "SentenceFilenames.csv", newline="", encoding="utf-8-sig") as handle:
            names = [row["Filename"] for row in csv.DictReader(handle)]
    votes = None
    if label_source != "acted" or (root / VOTES_FILE).is_file():
        votes = read_votes(root)
        if unjudged := [name for name in names if name not in votes["face"] or name not in votes["multimodal"]]:
            raise ValueError(f"{root / VOTES_FILE} has no votes for {len(unjudged)} clips: {first_few(unjudged)}.")
    rows, without = [], []
    for name in names:
        actor, sentence, code, level = name.split("_")
        acted = CODES.get(code, code)
        row = {"sample_id": name, "label": acted, "actor": int(actor), "sentence": sentence}
        row |= {"level": LEVELS.get(level, level), "acted_label": acted}
        if votes:
            seen = votes[LABEL_SOURCES.get(label_source, "face")][name]
            row |= {"face_votes": votes["face"][name], "multimodal_votes": votes["multimodal"][name]}
            row["soft_label"] = [count / sum(seen) for count in seen]
            if label_source != "acted":
                winners = most_voted(seen)
                if len(winners) > 1 and acted not in winners:
                    without.append(name)
                    continue
                row["label"] = acted if acted in winners else winners[0]
        rows.append(row)
    if without:
        logger.warning(
            f"{len(without)} of {len(names)} clips have no label: several expressions got most votes, and the acted "
            f"one is not among them: {first_few(without)}."
        )
    clips = {name: path for name, path in clips.items() if name not in set(without)}
    return build(root, LABELS, folds_by_person(rows, "actor", FOLDS, fold), clips, on_missing)


def read_votes(root) -> dict[str, dict[str, list[int]]]:
    """
    The crowd's votes: for "voice", "face" and "multimodal", for each clip, how many people chose each label.

    Raises:
        FileNotFoundError: `processedResults/tabulatedVotes.csv` is not in `root`.
        ValueError: a clip has no or two rows of votes of a kind, or the columns are others.
    """
    file = Path(root) / VOTES_FILE
    if not file.is_file():
        raise FileNotFoundError(f"There is no file of votes {file}.")
    votes = {seen: {} for seen in SEEN.values()}
    with open(file, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        wanted = {"", *"ADFHNS", "fileName"}
        if missing := wanted - set(reader.fieldnames or []):
            raise ValueError(f"{file} lacks the columns {sorted(missing)}; it has {reader.fieldnames}.")
        for row in reader:
            seen, name = SEEN.get(row[""][:1]), row["fileName"]
            counts = [int(row[code[0]]) for code in CODES]
            if seen is None or name in votes[seen] or not sum(counts):
                raise ValueError(
                    f"{file}, row {row['']}: expected a number that begins with {', '.join(SEEN)}, at least one vote, "
                    f"and one row of a kind for each clip; found {sum(counts)} votes for {name}."
                )
            votes[seen][name] = counts
    return votes


def most_voted(counts: list[int]) -> list[str]:
    """The labels that got most votes: one, or several in a tie."""
    return [label for label, count in zip(LABELS, counts) if count == max(counts)]


def disagreement(root, votes: str = "face", actor: int | None = None) -> dict:
    """
    How often the crowd's vote is not the acted label.

    Args:
        root (`str` or `Path`): folder of the dataset; only the file of votes is needed.
        votes (`"face"`, `"multimodal"` or `"voice"`): what people saw or heard.
        actor (`int`, *optional*): count the clips of this actor only.

    Returns:
        `dict`: `clips`, and for "all" and each acted label in `counts`: `agree` (most votes for the acted label
        alone), `tie` (the acted label shares most votes with others), `disagree` (others alone got most votes) and
        `disagree_tied`, how many of these are ties among others; `confusion`, for each acted label, the clips by the
        label with most votes, where there is a single one.

    Raises:
        FileNotFoundError: there is no file of votes.
        ValueError: there is no clip of that actor.
    """
    clips = read_votes(root)[votes]
    counts = {label: Counter() for label in ["all", *LABELS]}
    confusion = {label: Counter() for label in LABELS}
    for name, count in clips.items():
        number, _, code, _ = name.split("_")
        if actor is not None and int(number) != actor:
            continue
        acted, winners = CODES[code], most_voted(count)
        verdict = "disagree" if acted not in winners else "agree" if len(winners) == 1 else "tie"
        for label in ("all", acted):
            counts[label].update([verdict, "clips"])
            counts[label]["disagree_tied"] += verdict == "disagree" and len(winners) > 1
        if len(winners) == 1:
            confusion[acted].update(winners)
    if not counts["all"]["clips"]:
        raise ValueError(f"{Path(root) / VOTES_FILE} has no clip of actor {actor}.")
    kinds = ("clips", "agree", "tie", "disagree", "disagree_tied")
    return {
        "votes": votes,
        "counts": {label: {kind: count[kind] for kind in kinds} for label, count in counts.items()},
        "confusion": {label: {other: count[other] for other in LABELS} for label, count in confusion.items()},
    }


def format_disagreement(result: dict) -> str:
    """The report of [`disagreement`] as text."""
    everything = result["counts"]["all"]
    share = 100 / everything["clips"]
    lines = [
        f"CREMA-D, {result['votes']} votes against the acted label, {everything['clips']} clips",
        f"  disagree: {everything['disagree']} ({everything['disagree'] * share:.1f} %), the acted label did not get "
        f"most votes; {everything['disagree_tied']} of them are ties among others",
        f"  tie:      {everything['tie']} ({everything['tie'] * share:.1f} %), it shares most votes with others",
        f"  agree:    {everything['agree']} ({everything['agree'] * share:.1f} %)",
        "",
        f"{'acted':<10}{'clips':>8}{'agree':>8}{'tie':>8}{'disagree':>10}{'disagree %':>12}",
    ]
    for label in LABELS:
        count = result["counts"][label]
        rate = f"{100 * count['disagree'] / count['clips']:.1f}" if count["clips"] else "-"
        lines.append(
            f"{label:<10}{count['clips']:>8}{count['agree']:>8}{count['tie']:>8}{count['disagree']:>10}{rate:>12}"
        )
    lines += ["", "Label with most votes (columns) of each acted label (rows), clips without ties:"]
    lines.append(" " * 10 + "".join(f"{label:>10}" for label in LABELS))
    for label, count in result["confusion"].items():
        lines.append(f"{label:<10}" + "".join(f"{count[other]:>10}" for other in LABELS))
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m training.datasets.crema_d",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", required=True, help=f"folder of CREMA-D, with {VOTES_FILE}; no videos are needed")
    parser.add_argument("--report", action="store_true", required=True, help="print the report")
    parser.add_argument(
        "--votes", default="face", choices=list(SEEN.values()), help="what people judged from (default face)"
    )
    parser.add_argument("--actor", type=int, help="count the clips of this actor only, e.g. 1001")
    args = parser.parse_args(arguments)
    try:
        print(format_disagreement(disagreement(args.root, args.votes, args.actor)))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
