# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""CREMA-D: 91 actors, 6 expressions, 7,442 clips, each labelled by about ten people from the face, the voice and both
(Cao et al., IEEE Transactions on Affective Computing 2014; label files under ODbL 1.0).

As a program it reports how often these people disagree with the acted label, or writes what most of them chose.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Literal

import datasets
from transformers.utils import logging

from training.data.messages import first_few
from training.running.script_parser import ScriptParser

from .loader_tools import OnMissing, build_splits, find_clips, find_folder, loader, split_by_person

logger = logging.get_logger(__name__)

CODES = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LABELS = list(CODES.values())
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
FOLDS = [range(1001, 1019), range(1019, 1037), range(1037, 1055), range(1055, 1073), range(1073, 1092)]
# Published numbers of videos by fold and split: of each label, or of all. `training.check_data` compares with them.
PUBLISHED = {
    fold: {"train": 7442 - test, "test": test} for fold, test in enumerate((1463, 1470, 1476, 1476, 1557), start=1)
}
CLIPS = ("VideoFlash", "VideoMP4", "face_aligned", ".")
VOTES_FILE = "processedResults/tabulatedVotes.csv"
# What the voters perceived, by the first digit of a row's number in the file of votes.
SEEN = {"1": "voice", "2": "face", "3": "multimodal"}
LABEL_SOURCES = {"face_vote": "face", "multimodal_vote": "multimodal"}
EXAMPLES = """examples:
  Votes of people who saw the face without sound:
    python -m training.datasets.crema_d --root D --report
  Votes of people who saw and heard the clip; one actor:
    python -m training.datasets.crema_d --root D --report --votes multimodal
    python -m training.datasets.crema_d --root D --report --actor 1001
  What more than half of those chose who saw the face, and an audit of the acted labels that is measured by it:
    python -m training.datasets.crema_d --root D --majorities crowd.csv
    python -m training.audit --dataset crema_d --root D --truth-file crowd.csv --truth label --output-dir audit
"""


@loader("folder")
def load(
    root,
    fold: Literal[1, 2, 3, 4, 5] = 1,
    label_source: Literal["acted", "face_vote", "multimodal_vote"] = "acted",
    on_missing: OnMissing = "error",
) -> datasets.DatasetDict:
    """Loads a fold of CREMA-D.

    Args:
        root (`str` or `Path`): folder with `VideoFlash/1001_DFA_ANG_XX.flv` (or other video files or folders of frames
            of these names), optionally `SentenceFilenames.csv` (all clips that there should be), and
            `processedResults/tabulatedVotes.csv` (required for labels by vote).
        fold (`int`, *optional*, defaults to 1): test on actors 1001-1018, 1019-1036, 1037-1054, 1055-1072 or 1073-1091
            and train on the others.
        label_source (`"acted"`, `"face_vote"` or `"multimodal_vote"`, *optional*, defaults to `"acted"`): the
            expression that the actor was asked for, or the one with most votes. In a tie that includes the acted
            expression, this is the label; otherwise the clip is left out, with a warning that counts such clips.
        on_missing (`"error"` or `"skip"`, *optional*, defaults to `"error"`): whether a listed clip that is not there
            is an error or left out.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`],
        `actor`, `sentence`, `level`, `acted_label` and `fold`. If there are votes: `face_votes` and `multimodal_votes`
        (number of votes for each label, in the order of the labels) and `soft_label` (shares of the multimodal votes
        with `"multimodal_vote"`, otherwise of the face votes).

    Raises:
        FileNotFoundError: if a folder, list or clip is missing.
        ValueError: if lists and clips disagree.
    """
    clips = find_clips(find_folder(root, CLIPS), r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}")
    names = list(clips)
    if (root / "SentenceFilenames.csv").is_file():
        with open(root / "SentenceFilenames.csv", newline="", encoding="utf-8-sig") as handle:
            names = [row["Filename"] for row in csv.DictReader(handle)]
    votes = None
    if label_source != "acted" or (root / VOTES_FILE).is_file():
        votes = read_votes(root)
        if unjudged := [name for name in names if name not in votes["face"] or name not in votes["multimodal"]]:
            raise ValueError(f"{root / VOTES_FILE} has no votes for {len(unjudged)} clips: {first_few(unjudged)}.")
    rows = [_make_row(name, label_source, votes) for name in names]
    if unlabelled := [row["sample_id"] for row in rows if row["label"] is None]:
        logger.warning(
            f"{len(unlabelled)} of {len(names)} clips have no label and are left out: several expressions have most "
            f"votes, and the acted one is not among them: {first_few(unlabelled)}."
        )
    rows = [row for row in rows if row["label"] is not None]
    clips = {name: path for name, path in clips.items() if name not in set(unlabelled)}
    return build_splits(root, LABELS, split_by_person(rows, "actor", FOLDS, fold), clips, on_missing)


def _make_row(name: str, label_source: str, votes: dict | None) -> dict:
    """The row of a clip; its label is None if the votes tie without the acted label."""
    actor, sentence, code, level = name.split("_")
    acted = CODES.get(code, code)
    row = {"sample_id": name, "label": acted, "actor": int(actor), "sentence": sentence}
    row |= {"level": LEVELS.get(level, level), "acted_label": acted}
    if votes:
        counts = votes[LABEL_SOURCES.get(label_source, "face")][name]
        row |= {"face_votes": votes["face"][name], "multimodal_votes": votes["multimodal"][name]}
        row["soft_label"] = [count / sum(counts) for count in counts]
        winners = most_voted(counts)
        if label_source != "acted" and acted not in winners:
            row["label"] = winners[0] if len(winners) == 1 else None
    return row


def read_votes(root) -> dict[str, dict[str, list[int]]]:
    """Reads the votes of the crowd.

    Args:
        root (`str` or `Path`): folder of the dataset.

    Returns:
        `dict[str, dict[str, list[int]]]`: for `"voice"`, `"face"` and `"multimodal"`, and for each clip, the number of
        votes for each label.

    Raises:
        FileNotFoundError: if `processedResults/tabulatedVotes.csv` is not in `root`.
        ValueError: if a column is missing, or a clip has no votes or two rows of a kind.
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
    """The labels with most votes: one, or several in a tie."""
    return [label for label, count in zip(LABELS, counts) if count == max(counts)]


def disagreement(root, votes: str = "face", actor: int | None = None) -> dict:
    """Counts how often the crowd's vote is not the acted label.

    Args:
        root (`str` or `Path`): folder of the dataset; only the file of votes is needed.
        votes (`"face"`, `"multimodal"` or `"voice"`, *optional*, defaults to `"face"`): what the voters perceived.
        actor (`int`, *optional*): count only clips of this actor.

    Returns:
        `dict`: `votes`; `counts`, for `"all"` and each acted label the number of `clips`, of those that `agree` (only
        the acted label has most votes), `tie` (the acted label and others have most votes) and `disagree` (only others
        have most votes), and `disagree_tied`, the ties among the last; `confusion`, for each acted label the number of
        clips by the label with most votes, without ties.

    Raises:
        FileNotFoundError: if there is no file of votes.
        ValueError: if there is no clip of that actor.
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
    """The result of [`disagreement`] as a report."""
    everything = result["counts"]["all"]
    share = 100 / everything["clips"]
    lines = [
        f"CREMA-D, {result['votes']} votes against the acted label, {everything['clips']} clips",
        f"  disagree: {everything['disagree']} ({everything['disagree'] * share:.1f} %), others have "
        f"most votes; {everything['disagree_tied']} of them are ties among other labels",
        f"  tie:      {everything['tie']} ({everything['tie'] * share:.1f} %), it and others have most votes",
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


def write_majorities(root, file: Path, votes: str = "face") -> int:
    """Writes the label that more than half of the people chose, of each clip that has one, as a CSV file.

    Args:
        root (`str` or `Path`): folder of the dataset; only the file of votes is needed.
        file (`Path`): CSV to write, with the columns `sample_id` and `label`.
        votes (`"face"`, `"multimodal"` or `"voice"`, *optional*, defaults to `"face"`): what the voters perceived.

    Returns:
        `int`: number of clips.
    """
    clear = {name: count for name, count in read_votes(root)[votes].items() if 2 * max(count) > sum(count)}
    with open(file, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sample_id", "label"])
        writer.writerows([name, LABELS[count.index(max(count))]] for name, count in clear.items())
    return len(clear)


def main(argv: list[str] | None = None):
    """Prints the report, or writes the majorities."""
    parser = ScriptParser("datasets.crema_d", __doc__, EXAMPLES)
    parser.add_argument("--root", required=True, help=f"folder of CREMA-D, with {VOTES_FILE}; no videos are needed")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--report", action="store_true", help="print the report")
    task.add_argument("--majorities", type=Path, help="CSV file to write what more than half chose: sample_id, label")
    parser.add_argument("--votes", default="face", choices=list(SEEN.values()), help="what the voters perceived")
    parser.add_argument("--actor", type=int, help="of the report: count only clips of this actor, e.g. 1001")
    arguments = parser.parse_args(argv)
    try:
        if arguments.report:
            print(format_disagreement(disagreement(arguments.root, arguments.votes, arguments.actor)))
        else:
            number = write_majorities(arguments.root, arguments.majorities, arguments.votes)
            print(f"Wrote {arguments.majorities}: {number:,} clips with a label that more than half chose.")
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
