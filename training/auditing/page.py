# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The page of an audit: one self-contained HTML file on which a person looks at the suspicious videos and decides
about them. This module renders the overview from page.html; page.js makes cards and table from the data in the file,
and writes decisions.csv.
"""

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jinja2

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.disclaimer import NOT_FOR

_FOLDER = Path(__file__).parent
PARTITIONS = ("noisy", "hard", "clean")
# What the script reads of a row. Columns that are empty in all rows are left out.
COLUMNS = (
    *("sample_id", "path", "content_hash", "split", "fold", "epoch", "given_label", "predicted_label"),
    *("suggested_label", "true_label", "probabilities", "label_quality", "margin", "clip_agreement"),
    *(
        "clip_std",
        "num_valid_clips",
        "loss",
        "weight",
        "partition",
        "confidence",
        "variability",
        "correctness",
        "num_frames",
    ),
)
# The page warns that a label may be wiped out if this share of its videos is noisy, and that is this many times the
# share in the whole dataset, or at least half of them are.
WIPED_OUT_SHARE, WIPED_OUT_RATIO = 0.25, 1.5
HEAT_LEVELS = 9
METRIC_NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "noisy_vs_clean": "AUROC, wrong label against right label of an easy video",
    "hard_vs_noisy": "AUROC, wrong label against right label of a hard video",
}


def write_page(path: Path, rows: list[dict], summary: dict, cards: dict[str, dict]) -> None:
    """Writes the page of an audit as one HTML file without references to other files or hosts.

    Args:
        path (`Path`): file to write; its folder exists.
        rows (`list[dict]`): one for each video, with the columns of docs/table_schema.md, and `true_label`,
            `confidence`, `variability`, `correctness` (0..1) where known. `partition` is None for a file that could
            not be read. The page shows noisy videos first, then the others, each by falling loss.
        summary (`dict`): `title`, `dataset`, `split`, `model`, `model_revision`, `out_of_sample`, `folds`, `source`
            ("audit" or "training run"), `label_names`, `rule` (sentences), `partition_by_class` (label -> partition ->
            count), `joint` (C x C, share of videos by given label, a row, and true label, a column),
            `confused_pairs` (`given`, `true`, `share`, `count`), `agreement_loss` (`noisy_loss_threshold`,
            `hard_agreement_threshold`; None or infinite: there is none), `truth` (None, or a
            dict for each score: `score` and metrics, each a number or `{"value", "low", "high"}`, `precision_at_k`
            with `k`), `unreadable` (`sample_id`, `reason`), `reproducibility` (name -> value).
        cards (`dict[str, dict]`): sample_id -> `frames` (WebP, `bytes` each), `frame_times` (seconds or None),
            `clips` (K x C, probabilities of each distinct clip), `clip_frames` (K, index from 0 into `frames` of the
            frame at the centre of each clip).

    Raises:
        ValueError: if a card belongs to no row, or its lists do not fit together.
    """
    rows = sorted(rows, key=_order)
    position = {row["sample_id"]: index for index, row in enumerate(rows)}
    for sample_id, card in cards.items():
        if sample_id not in position:
            raise ValueError(f"There is a card for {sample_id!r}, but no row with this sample_id.")
        frames, clips = len(card["frames"]), len(card["clips"])
        if len(card["frame_times"]) != frames or len(card["clip_frames"]) != clips:
            raise ValueError(
                f"The card of {sample_id!r} has {frames} frames and {len(card['frame_times'])} times, {clips} clips "
                f"and {len(card['clip_frames'])} centres: expected the same number of both."
            )
        if not all(0 <= index < frames for index in card["clip_frames"]):
            raise ValueError(f"`clip_frames` of {sample_id!r} are {card['clip_frames']}: it has {frames} frames.")

    names = summary["label_names"]
    columns = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    data = {
        "audit": _identity(rows, summary),
        "labels": names,
        "columns": columns,
        "rows": [[_plain(row.get(name)) for name in columns] for row in rows],
        "cards": [
            {
                "row": position[sample_id],
                "frames": [base64.b64encode(frame).decode() for frame in cards[sample_id]["frames"]],
                **{key: _plain(cards[sample_id][key]) for key in ("frame_times", "clips", "clip_frames")},
            }
            for sample_id in sorted(cards, key=position.__getitem__)
        ],
        "thresholds": {name: _plain(value) for name, value in summary["agreement_loss"].items()},
    }
    matrix = _matrix(summary["partition_by_class"], names)
    css, script = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    # `tojson` escapes what could end the script element, and keeps the order of the keys.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"share": _share, "metric": _metric}
    html = environment.from_string((_FOLDER / "page.html").read_text(encoding="utf-8")).render(
        **summary,
        not_for=NOT_FOR,
        css=css,
        css_hash=_hash(css),
        script=script,
        script_hash=_hash(script),
        data=data,
        num_videos=len(rows),
        has_stills=any(row.get("num_frames") == 1 for row in rows),
        counts=Counter(row["partition"] for row in rows),
        partitions=PARTITIONS,
        matrix=matrix,
        wiped_out=_wiped_out(matrix),
        heat=_heat(summary["joint"]),
        metrics=_metrics(summary["truth"]),
        cards_sentence=_cards_sentence(rows, cards),
        columns=columns,
    )
    write_atomically(path, html)


def _order(row: dict) -> tuple:
    """Sort key: noisy videos first, then the largest loss, which finds wrong labels better than label_quality does."""
    loss = row["loss"]
    return row["partition"] != "noisy", loss is None, -(loss or 0.0)


def _identity(rows: list[dict], summary: dict) -> str:
    """The key of the decisions in the browser: the same for the same videos, labels and model, whatever the scores."""
    parts = [summary[key] for key in ("dataset", "split", "source", "model", "model_revision")]
    parts += sorted(repr((row["sample_id"], row["content_hash"], row["given_label"])) for row in rows)
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _hash(text: str) -> str:
    """Hash for the content security policy, which allows only this script and style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plain(value):
    """Python numbers (five digits) and lists; values that are not finite become None, as JSON cannot hold them."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _share(value: float) -> str:
    # Small and large shares do not appear as 0 % or 100 %.
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"


def _metric(value) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    if not isinstance(value, dict):
        return f"{value:.3f}"
    if isinstance(value["value"], dict):
        return _metric(value["value"])
    text = _metric(value["value"])
    if value.get("low") is not None and value.get("high") is not None:
        text += f" ({value['low']:.3f} to {value['high']:.3f})"
    return text


def _metrics(truth: list[dict] | None) -> dict[str, str]:
    """Columns of the table of metrics: key -> heading."""
    found = {}
    for score in truth or []:
        for key, value in score.items():
            if key == "precision_at_k" and value is not None:
                found[key] = f"Precision among the {value['k']} most suspicious"
            elif key != "score":
                found.setdefault(key, METRIC_NAMES.get(key, key.replace("_", " ")))
    return found


def _matrix(counts: dict, names: Sequence[str]) -> list[dict]:
    rows = [{"label": name, **{key: counts.get(name, {}).get(key, 0) for key in PARTITIONS}} for name in names]
    for row in rows:
        row["total"] = sum(row[key] for key in PARTITIONS)
    return rows


def _wiped_out(matrix: list[dict]) -> list[dict]:
    """Labels that lose too many videos if noisy ones are dropped, with their share and that of all videos."""
    videos = max(sum(row["total"] for row in matrix), 1)
    overall = sum(row["noisy"] for row in matrix) / videos
    found = []
    for row in matrix:
        share = row["noisy"] / max(row["total"], 1)
        if share >= WIPED_OUT_SHARE and (share >= WIPED_OUT_RATIO * overall or share >= 0.5):
            rare = row["total"] < videos / len(matrix) / 2
            found.append({**row, "share": share, "overall": overall, "rare": rare})
    return sorted(found, key=lambda row: -row["share"])


def _heat(joint: Sequence[Sequence[float]]) -> list[list[dict]]:
    """Cells with their depth of colour, 0..HEAT_LEVELS; diagonal and other cells are scaled separately."""
    size = range(len(joint))
    largest = {
        diagonal: max((joint[i][j] for i in size for j in size if (i == j) == diagonal), default=0.0)
        for diagonal in (True, False)
    }
    return [
        [
            {"share": float(joint[i][j]), "level": math.ceil(HEAT_LEVELS * joint[i][j] / (largest[i == j] or 1.0))}
            for j in size
        ]
        for i in size
    ]


def _cards_sentence(rows: list[dict], cards: dict) -> str:
    noisy = [row["sample_id"] for row in rows if row["partition"] == "noisy"]
    shown = sum(sample_id in cards for sample_id in noisy)
    others = len(cards) - shown
    if not cards:
        return "This page has no cards with frames; all videos are in the table below."
    if not noisy:
        return f"No video was judged noisy. Cards for the {others} with the largest loss."
    if shown < len(noisy):
        return (
            f"Cards for the {shown} most suspicious of {len(noisy)} videos judged noisy: the others would make this "
            "page too large. They are in the table below, where you can decide about them, too. --max-cards of the "
            "audit sets the limit."
        )
    more = f", and for {others} other{'s' * (others > 1)} with large losses" if others else ""
    return f"Cards for all {len(noisy)} videos judged noisy{more}."


__all__ = ["write_page"]
