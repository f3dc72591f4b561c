# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Audits the labels of a dataset: a row for each video that says whether its label can be trusted and which other one
fits better, what is mistaken for what, and a page to look at the suspicious ones and decide.

The scores must come from a model that has not learnt the labels they judge. There are three ways:
  --folds K (default: 5)  trains K models, each on the other parts of the dataset, from --model, and scores each part
                          with the model that has not seen it. Takes K trainings; takes up where it was interrupted.
  --in_sample             --model scores the videos as it is: quick. What it was trained on, it has learnt, wrong
                          labels and all: many go unnoticed. All outputs say so.
  --sample_table FILE     the sample_table.parquet that a training has left: in sample, too, but means over epochs, and
                          with how each video was learnt. With the data options the page shows frames as well.
"""

import argparse
import functools
import gc
import hashlib
import heapq
import importlib.util
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from torchvision.transforms import v2
from tqdm.auto import tqdm

from modeling_rdfer.hub.card_facts import library_versions
from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.inference.loading import load
from modeling_rdfer.models.labels_rdfer import canonical_label, class_names
from modeling_rdfer.models.modeling_rdfer import distinct_clips
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions, SampleRecord
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME, sample_table
from modeling_rdfer.trainer.verdicts import NOISY, PARTITIONS, VerdictThresholds
from training.auditing.metrics import detection_quality, estimated_joint, label_scores
from training.data.checks import find_unreadable_videos, open_videos, report_bad_videos
from training.data.labelled_videos import LabelledVideos
from training.data.labels import map_labels
from training.data.messages import first_few
from training.data.sources import find_source
from training.data.video_dataset import ScoringVideoDataset
from training.datasets.videolist import read_rows
from training.reports.card_facts import dataset_title
from training.reports.plots import plot_agreement_loss
from training.running.arguments import DataArguments, ModelArguments, parse_training_arguments
from training.running.fit import fit
from training.running.models import build_model
from training.running.run_folders import last_checkpoint, read_json, settings_of
from training.running.video_sets import VideoSets, load_split, map_videos

EXAMPLES = """examples:
  python -m training.audit --dataset crema_d --root D --out audit --folds 5 --num_train_epochs 30
  python -m training.audit --dataset D/train --out audit --model user/model --in_sample
  python -m training.audit --sample_table out/sample_table.parquet --dataset D/train --out audit
  python -m training.audit --dataset D/train --out audit --truth_file D/truth.csv
Then open audit/audit.html, decide, save decisions.csv, and
  python -m training.train --dataset D/train --decisions decisions.csv --output-dir out

data, as for training.train: --dataset NAME --root D [--fold N] [--dataset_options ...]; or --dataset with a folder, a
  list file or a Hub id. Also --on_bad_video skip, --no-face_crop.
computing: --per_device_eval_batch_size (default: 8), --dataloader_num_workers, --use_cpu.
the trainings of the folds: all other options of python -m training.train --help, e.g. --config, --preset, --seed.
"""
PAGE, SETTINGS, HELD_OUT = "audit.html", "folds.json", "held_out.safetensors"
# What the trainings of the folds do not depend on, or what the fingerprint of the videos says.
OF_THE_DATA = ("dataset", "dataset_options", "split", "on_bad_video")
REFUSED = ("streaming", "push_to_hub", "load_best_model_at_end", "early_stopping_patience", "decisions")
STRIP_FRAMES, STRIP_SIZE = 8, 112
DEFAULTS = {item.name: item.default for item in fields(RDFERTrainingArguments)}


# Scoring -------------------------------------------------------------------------------------------------------------


class Cards:
    """
    What the page shows of the most suspicious videos. While videos are scored it keeps those of the `most` that are
    the most suspicious so far, so memory does not grow with the dataset.

    Args:
        most (`int`): cards to keep.
    """

    def __init__(self, most: int):
        self.most = most
        self._heap: list[tuple[float, int, dict]] = []  # the least suspicious first

    def offer(self, number: int, loss: float, make: Callable[[], dict]):
        """Takes the card that `make` makes if the video is among the most suspicious."""
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (loss, number, make()))
        elif self._heap and (loss, number) > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (loss, number, make()))

    @property
    def cards(self) -> dict[int, dict]:
        """The cards by number of the video."""
        return {number: card for _, number, card in self._heap}


@torch.inference_mode()
def score(
    model,
    processor,
    videos: LabelledVideos,
    numbers: Sequence[int],
    args: RDFERTrainingArguments,
    cards: Cards,
    description: str = "scoring",
) -> tuple[SamplePredictions | None, dict[int, Exception]]:
    """
    Looks at videos once, without augmentation.

    Args:
        model, processor: the model in evaluation mode.
        videos ([`LabelledVideos`]): all of the audit, labelled with the model's names.
        numbers (sequence of `int`): which of them.
        args ([`RDFERTrainingArguments`]): batch size of evaluation and number of workers.
        cards ([`Cards`]): is offered each video.
        description (`str`): of the progress bar.

    Returns:
        The looks, with `index` among `videos`, None if no video can be read; and why others cannot.
    """
    dataset = ScoringVideoDataset(videos.select(list(numbers)), model.config.label2id, processor)
    loader = DataLoader(
        dataset, args.per_device_eval_batch_size, num_workers=args.dataloader_num_workers, collate_fn=list
    )
    looks, errors, position = [], {}, 0
    with tqdm(total=len(dataset), desc=description, unit="video", disable=args.disable_tqdm) as bar:
        for batch in loader:
            places = range(position, position + len(batch))
            position += len(batch)
            errors |= {numbers[p]: e for p, e in zip(places, batch) if isinstance(e, Exception)}
            read = [(p, example) for p, example in zip(places, batch) if not isinstance(example, Exception)]
            if read:
                looks.append(_look(model, dataset, read, numbers, cards))
            bar.update(len(batch))
    return SamplePredictions.concatenate(looks) if looks else None, errors


def _look(
    model, dataset: ScoringVideoDataset, read: list[tuple[int, dict]], numbers, cards: Cards
) -> SamplePredictions:
    examples = [example for _, example in read]
    frames = torch.stack([example["pixel_values_videos"] for example in examples])
    masks = torch.stack([example["frame_mask"] for example in examples])
    labels = torch.tensor([dataset.labels[place] for place, _ in read])
    index = torch.tensor([numbers[place] for place, _ in read])
    outputs = model(frames.to(model.device), frame_mask=masks.to(model.device))
    looks = SamplePredictions.from_outputs(outputs, labels.to(model.device), index).to("cpu")
    clip_mask = distinct_clips(outputs.key_frame_indices).cpu()
    clips, places = outputs.clip_logits.float().softmax(-1).cpu(), outputs.key_frame_indices.cpu()
    for row, example in enumerate(examples):
        valid = clip_mask[row]
        make = functools.partial(make_card, example, clips[row][valid], places[row][valid])
        cards.offer(int(index[row]), looks.loss[row].item(), make)
    return looks


def make_card(example: dict, clips: torch.Tensor, key_frames: torch.LongTensor) -> dict:
    """
    What the page shows of a video, see `training.auditing.page.write_page`: the frames at the centres of its clips,
    and others evenly spread up to 8 in all.

    Args:
        example (`dict`): of [`ScoringVideoDataset`].
        clips (`torch.FloatTensor` of shape `(K, C)`): probabilities of the distinct clips.
        key_frames (`torch.LongTensor` of shape `(K, L)`): their frames.
    """
    centres = key_frames[:, key_frames.shape[1] // 2].tolist()
    real = int(example["frame_mask"].sum())
    even = np.linspace(0, real - 1, max(STRIP_FRAMES - len(set(centres)), 1)).round().astype(int).tolist()
    strip = sorted({*centres, *even})
    seconds = example["seconds"]
    return {
        "frames": [_webp(example["pixel_values_videos"][place]) for place in strip],
        "frame_times": [None if seconds is None or not np.isfinite(seconds[p]) else float(seconds[p]) for p in strip],
        "clips": [[round(value, 5) for value in clip] for clip in clips.tolist()],
        "clip_frames": [strip.index(centre) for centre in centres],
    }


def _webp(frame: torch.Tensor) -> bytes:
    if max(frame.shape[-2:]) > STRIP_SIZE:
        frame = v2.functional.resize(frame, STRIP_SIZE - 1, max_size=STRIP_SIZE, antialias=True)
    file = io.BytesIO()
    Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()).save(file, "WEBP", quality=70, method=2)
    return file.getvalue()


# What there is to judge ----------------------------------------------------------------------------------------------


@dataclass
class Audit:
    """
    The scores of an audit's videos, wherever they come from.

    Attributes:
        videos ([`LabelledVideos`]): all, labelled with the model's names, with the columns of the table.
        label_names (`list[str]`): of the probabilities.
        looks ([`SamplePredictions`]): of those that could be read; `index` is their number among the videos.
        errors (`dict[int, str]`): why the others could not.
        model (`str`): what scored them, by name; `revision` (`str`): its commit on the Hub.
        out_of_sample (`bool`): whether no video was scored by a model that learnt its label.
        source (`"audit"` or `"training run"`): whether the scores are one look each, or means over a training.
        folds (`int`): parts; None without.
        epoch (`int`): epochs the scoring models were trained; None if that is not known.
        cards ([`Cards`]), missing_cards: cards of the most suspicious; and what makes those of others.
        dynamics (`dict` of arrays): `confidence`, `variability`, `correctness` of a training run.
    """

    videos: LabelledVideos
    label_names: list[str]
    looks: SamplePredictions
    errors: dict[int, str]
    model: str
    out_of_sample: bool
    cards: Cards
    missing_cards: Callable[[list[int]], dict[int, dict]]
    revision: str | None = None
    source: str = "audit"
    folds: int | None = None
    epoch: int | None = None
    dynamics: dict[str, np.ndarray] = field(default_factory=dict)


def load_videos(data: DataArguments, split: str) -> LabelledVideos:
    """The videos to audit. Raises ValueError, FileNotFoundError: see [`load_split`]; or none are given."""
    return load_split(data, [split])


def check(videos: LabelledVideos, on_bad_video: str) -> tuple[LabelledVideos, dict[int, Exception]]:
    """
    Opens all videos. Returns them with the columns `num_frames`, `content_hash`, and why which cannot be read.

    Raises:
        ValueError, OSError: a video cannot be read, with `on_bad_video="error"`; or none can.
    """
    looks = open_videos(videos)
    errors = {number: seen for number, seen in enumerate(looks) if isinstance(seen, Exception)}
    report_bad_videos(list(errors.values()), len(videos), on_bad_video)
    for place, name in enumerate(("num_frames", "content_hash")):
        videos.columns[name] = [None if isinstance(seen, Exception) else seen[place] for seen in looks]
    return videos, errors


def fingerprint(videos: LabelledVideos) -> str:
    """blake2b-64 of ids, contents and labels of videos."""
    hashes = videos.columns["content_hash"]
    lines = (f"{name}\t{value}\t{label}\n" for name, value, label in zip(videos.sample_ids, hashes, videos.labels))
    return hashlib.blake2b("".join(lines).encode(), digest_size=8).hexdigest()


def load_scoring_model(name: str | None, data, args: RDFERTrainingArguments):
    """A model in evaluation mode and its processor. Raises OSError, ValueError if it cannot score single labels."""
    model, processor = load(name, str(args.device))
    if model.config.problem_type not in (None, "single_label_classification"):
        raise ValueError(f"{name}: an audit needs one label a video, its problem_type is {model.config.problem_type}.")
    if data.face_crop is not None:
        processor.do_face_crop = data.face_crop
    return model, processor


def score_in_sample(arguments, data, args) -> Audit:
    """--in_sample: the model scores all videos as it is."""
    videos = load_videos(data, arguments.split)
    model, processor = load_scoring_model(arguments.model, data, args)
    videos, _ = map_videos(videos, model.config.label2id, arguments.on_unknown_label)
    videos, errors = check(videos, data.on_bad_video)
    numbers = [number for number in range(len(videos)) if number not in errors]
    cards = Cards(arguments.max_cards)
    looks, further = score(model, processor, videos, numbers, args, cards)
    report_bad_videos(list(further.values()), len(numbers), data.on_bad_video)
    return Audit(
        videos,
        class_names(model.config),
        looks,
        {number: str(error) for number, error in (errors | further).items()},
        model=public_name(model.name_or_path) or "a local checkpoint",
        revision=getattr(model.config, "_commit_hash", None),
        out_of_sample=False,
        cards=cards,
        missing_cards=lambda wanted: _cards_of(model, processor, videos, wanted, args),
    )


def _cards_of(model, processor, videos: LabelledVideos, wanted: list[int], args) -> dict[int, dict]:
    cards = Cards(len(wanted))
    score(model, processor, videos, wanted, args, cards, "frames for the page")
    return cards.cards


# Folds ---------------------------------------------------------------------------------------------------------------


def score_by_folds(arguments, rest: list[str], model_arguments, data, args) -> Audit:
    """--folds: each part of the videos is scored by a model that was trained on the others."""
    out, count = arguments.out, arguments.folds
    refused = [f"--{name}" for name in REFUSED if getattr(data, name, None) or getattr(args, name, None)]
    if refused or args.eval_strategy != "no" or data.model_selection != "last":
        raise ValueError(
            f"{', '.join(refused) or '--eval_strategy and --model_selection'}: the trainings of an audit's folds keep "
            "the model of the last epoch, read files at hand and go nowhere; leave it out."
        )
    videos = load_videos(data, arguments.split)
    videos, errors = check(videos, data.on_bad_video)
    if arguments.model:
        refuse_trained_on(arguments.model, videos)
    settings = {
        "folds": count,
        "seed": args.seed,
        "videos": fingerprint(videos),
        **{
            name: value
            for name, value in settings_of([*rest, "--output_dir", str(out)], "audit").items()
            if name not in OF_THE_DATA
        },
    }
    before = read_json(out / SETTINGS)
    if before and before["settings"] != settings:
        there = before["settings"]
        differing = {
            name: (there.get(name, "default"), settings.get(name, "default"))
            for name in sorted(there.keys() | settings)
            if there.get(name) != settings.get(name)
        }
        raise ValueError(f"{out} has folds of other settings or videos (there, now): {differing}; use another --out.")
    # Fails before anything is trained if labels or settings do not fit.
    model, processor = build_model(model_arguments, videos.label_names)
    label_names = class_names(model.config)
    names = map_labels(sorted(set(videos.labels)), label_names)
    if data.face_crop is not None:
        processor.do_face_crop = data.face_crop
    start = describe_start(model_arguments)
    print(
        f"Out of sample, as --in_sample and --sample_table are not given: {count} trainings, each on {count - 1} of "
        f"{count} parts of {len(videos) - len(errors)} videos for {args.num_train_epochs:g} epochs from {start}; then "
        f"each scores the part it has not seen. Interrupted, it goes on from {out}."
    )
    unreadable = before.get("unreadable")
    if unreadable is None:
        numbers = [number for number in range(len(videos)) if number not in errors]
        further = find_unreadable_videos(
            videos.rename_labels(names).select(numbers), model.config.label2id, processor, args
        )
        further = {numbers[place]: error for place, error in further.items()}
        report_bad_videos(list(further.values()), len(numbers), data.on_bad_video)
        unreadable = {videos.sample_ids[number]: str(error) for number, error in (errors | further).items()}
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"settings": settings, "unreadable": unreadable}, indent=2)
        (out / SETTINGS).write_text(text + "\n")
    del model
    kept = [number for number, name in enumerate(videos.sample_ids) if name not in unreadable]
    parts = [[kept[place] for place in part] for part in videos.select(kept).folds(count, args.seed)]
    cards = Cards(arguments.max_cards)
    scored = videos.rename_labels(names)
    looks, fold_of = [], {}
    for fold, part in enumerate(parts, start=1):
        folder = out / f"fold_{fold}"
        if (folder / HELD_OUT).is_file():
            print(f"Fold {fold} is finished: {folder} is kept.")
        else:
            others = sorted(set(kept) - set(part))
            if not (folder / "train_results.json").is_file():
                print(f"Fold {fold} of {count}: training on {len(others)} videos.")
                train_fold(rest, folder, videos.select(others))
            score_fold(folder, scored, part, label_names, data, args, cards, f"scoring fold {fold} of {count}")
        looks.append(SamplePredictions(**load_file(folder / HELD_OUT)))
        fold_of |= dict.fromkeys(part, fold)
    scored.columns["fold"] = [fold_of.get(number) for number in range(len(videos))]

    def missing_cards(wanted: list[int]) -> dict[int, dict]:
        found = {}
        for fold, part in enumerate(parts, start=1):
            if members := [number for number in wanted if number in set(part)]:
                model, processor = load_scoring_model(str((out / f"fold_{fold}").resolve()), data, args)
                found |= _cards_of(model, processor, scored, members, args)
        return found

    return Audit(
        scored,
        label_names,
        SamplePredictions.concatenate(looks),
        {number: unreadable[name] for number, name in enumerate(videos.sample_ids) if name in unreadable},
        model=f"{count} models trained from {start}",
        out_of_sample=True,
        folds=count,
        epoch=round(args.num_train_epochs),
        cards=cards,
        missing_cards=missing_cards,
    )


def describe_start(arguments: ModelArguments) -> str:
    """What the trainings start from, for people."""
    if arguments.preset:
        return f"scratch (preset {arguments.preset})"
    if arguments.model:
        return public_name(arguments.model) or "a local checkpoint"
    return "aen-small" if arguments.model_type == "aen" else "rdfer-small"


def refuse_trained_on(model: str, videos: LabelledVideos):
    """Raises ValueError if a model's folder says that it was trained on videos of the audit."""
    import pyarrow.parquet as pq

    table = Path(model) / SAMPLE_TABLE_NAME
    if table.is_file():
        learnt = set(pq.read_table(table, columns=["content_hash"])["content_hash"].to_pylist()) - {None}
        if both := len(learnt & set(videos.columns["content_hash"])):
            raise ValueError(
                f"{model} was trained on {both} of these {len(videos)} videos ({SAMPLE_TABLE_NAME} there says so): "
                "models trained on from it know the labels they would judge, so their scores would not be out of "
                "sample. Start from what it was trained from (the default is rdfer-small), or use --in_sample, or "
                f"--sample_table {table}."
            )


def train_fold(rest: list[str], folder: Path, videos: LabelledVideos):
    """Trains on a fold's videos, from the last checkpoint in its folder if there is one."""
    checkpoint = last_checkpoint(folder)
    resume = ["--resume_from_checkpoint", str(checkpoint)] if checkpoint else []
    fit(*parse_training_arguments([*rest, "--output_dir", str(folder), *resume], "audit"), VideoSets(videos))
    # The trainer and its optimizer refer to each other: let go of them before the next fold.
    gc.collect()


def score_fold(
    folder: Path, videos: LabelledVideos, part: list[int], label_names, data, args, cards: Cards, description: str
):
    """Scores a fold's held-out videos with its model and writes them into its folder when they are complete."""
    model, processor = load_scoring_model(str(folder.resolve()), data, args)
    if class_names(model.config) != label_names:
        raise ValueError(
            f"{folder} has a model of the labels {class_names(model.config)}, expected {label_names} in that order."
        )
    looks, errors = score(model, processor, videos, part, args, cards, description)
    if errors:  # it was readable a while ago
        report_bad_videos(list(errors.values()), len(part), "error")
    save_file(looks.state_dict(), folder / f"{HELD_OUT}.part")
    (folder / f"{HELD_OUT}.part").rename(folder / HELD_OUT)


# A training's table --------------------------------------------------------------------------------------------------


def read_sample_table(arguments, data, args) -> Audit:
    """--sample_table: the running means that a training has left."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = arguments.sample_table
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} is no Parquet file that can be read ({error}).") from error
    needed = ("sample_id", "given_label", "probabilities", "loss", "clip_agreement", "clip_std", "num_valid_clips")
    missing = [name for name in needed if name not in table.column_names]
    if missing or b"label_names" not in (table.schema.metadata or {}):
        raise ValueError(f"{file} is no sample table of a training: it lacks {missing or 'the names of its labels'}.")
    if "in_sample" in table.column_names:
        raise ValueError(f"{file} is the table of an audit already; expected {SAMPLE_TABLE_NAME} of a training.")
    label_names = json.loads(table.schema.metadata[b"label_names"])
    rows = table.to_pydict()
    seen = [number for number, values in enumerate(rows["probabilities"]) if values is not None]
    if not seen:
        raise ValueError(f"{file} has no video that was looked at.")
    take = lambda name: torch.tensor([rows[name][number] for number in seen])  # noqa: E731
    looks = SamplePredictions(
        torch.tensor(seen), take("loss"), take("clip_agreement"), take("clip_std"), take("probabilities"),
        take("num_valid_clips"),
    )  # fmt: skip
    columns = {name: rows[name] for name in ("path", "content_hash", "split", "fold", "num_frames") if name in rows}
    videos = LabelledVideos([None] * table.num_rows, rows["given_label"], rows["sample_id"], columns, label_names)
    run = file.resolve().parent
    name = arguments.model or (str(run) if (run / "config.json").is_file() else None)
    audit = Audit(
        videos,
        label_names,
        looks,
        {},
        model=public_name(name or str(run)) or "a training run",
        out_of_sample=False,
        source="training run",
        epoch=max((value for value in rows.get("epoch", []) if value is not None), default=None),
        cards=Cards(0),
        missing_cards=lambda wanted: {},
        dynamics={n: np.array(rows[n], float) for n in ("confidence", "variability", "correctness") if n in rows},
    )
    if not has_source(data):
        print("Without --dataset the page shows no frames.")
    elif name is None:
        raise ValueError(f"{run} has no model to show clips of: pass --model, or leave the data options out.")
    else:
        add_videos(audit, load_videos(data, arguments.split), name, file, data, args)
    return audit


def has_source(data) -> bool:
    """Whether the data options name videos."""
    return data.dataset is not None


def add_videos(audit: Audit, found: LabelledVideos, model: str, file: Path, data, args):
    """Gives the rows of a training's table their videos, so that there can be cards. Raises ValueError if others."""
    places = {name: place for place, name in enumerate(found.sample_ids)}
    if unknown := [name for name in audit.videos.sample_ids if name not in places]:
        raise ValueError(
            f"{file}: {len(unknown)} of its {len(audit.videos)} videos are not in the data given: "
            f"{first_few(unknown)}. Give what the training was given."
        )
    network, processor = load_scoring_model(model, data, args)
    if class_names(network.config) != audit.label_names:
        raise ValueError(
            f"{model} has the labels {class_names(network.config)}, {file} has {audit.label_names}, in that order."
        )
    found = found.select([places[name] for name in audit.videos.sample_ids])
    audit.videos.sources = found.sources
    audit.videos.columns |= {name: values for name, values in found.columns.items() if name == "prepared"}
    hashes = audit.videos.columns.get("content_hash", [None] * len(found))

    def cards(wanted: list[int]) -> dict[int, dict]:
        changed = [audit.videos.sample_ids[n] for n in wanted if hashes[n] and found.content_hash(n) != hashes[n]]
        if changed:
            raise ValueError(f"{file}: {len(changed)} videos have changed since the training: {first_few(changed)}.")
        return _cards_of(network, processor, audit.videos, wanted, args)

    audit.missing_cards = cards


# Truth ---------------------------------------------------------------------------------------------------------------


def read_truth(videos: LabelledVideos, file: Path, column: str) -> tuple[list[str | None], list[bool | None]]:
    """
    True labels from a list, by `sample_id`, `path` or the name of the file without its suffix.

    Returns:
        For each video its true label, None if it has none there; and from the column `is_hard`, if there is one,
        whether it is hard.

    Raises:
        ValueError: a column is missing, a row fits several videos, or no row fits any.
    """
    rows = read_rows(file)
    found = sorted(set().union(*rows) - {None})
    if column not in found or not {"sample_id", "path"} & set(found):
        raise ValueError(f"{file} lacks the column {column!r}, or sample_id or path; it has {found}.")
    paths = videos.columns.get("path") or [None] * len(videos)
    for keys, name in (
        (videos.sample_ids, "sample_id"),
        (paths, "path"),
        (videos.sample_ids, "path"),
        ([Path(path or name).stem for path, name in zip(paths, videos.sample_ids)], "sample_id"),
    ):
        known = {}
        for row in rows:
            if row.get(name) and known.setdefault(str(row[name]), row) is not row:
                raise ValueError(f"{file}: {name} {row[name]!r} is there twice.")
        matched = [known.get(str(key)) for key in keys]
        if any(matched):
            break
    else:
        theirs = first_few(row.get("sample_id") or row.get("path") for row in rows)
        raise ValueError(
            f"{file}: no row is about any of the videos: {theirs} there, {first_few(videos.sample_ids)} here."
        )
    taken = [key for key, row in zip(keys, matched) if row is not None]
    if len(set(taken)) < len(taken):
        raise ValueError(f"{file}: rows fit several videos of the same file name; give sample_id as in audit.csv.")
    labels = [(row or {}).get(column) or None for row in matched]
    hard = [None if row is None or row.get("is_hard") in (None, "") else _is_true(row["is_hard"]) for row in matched]
    return labels, hard


def _is_true(value) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")


# Verdicts and outputs ------------------------------------------------------------------------------------------------


def judge(audit: Audit, arguments) -> SampleRecord:
    """The record with the verdicts of an audit: those of the package's own rule."""
    numbers = {name: number for number, name in enumerate(audit.label_names)}
    thresholds = VerdictThresholds(
        noisy_margin_threshold=arguments.noisy_margin_threshold,
        noisy_loss_threshold=arguments.noisy_loss_threshold,
        hard_agreement_threshold=arguments.hard_agreement_threshold,
        max_noisy_share=arguments.max_noisy_share,
    )
    record = SampleRecord(
        torch.tensor([numbers[label] for label in audit.videos.labels]), len(audit.label_names), thresholds
    )
    record.update(audit.looks)
    return record


def rule_of(audit: Audit, record: SampleRecord) -> list[str]:
    """The rule of the partition in sentences, with its numbers."""
    if audit.out_of_sample:
        scored = f"Out of sample: each video was scored once, by a model trained without it ({audit.folds} folds)."
    else:
        how = {
            "training run": f"running means over {audit.epoch} epochs of a training on these very labels",
            "audit": "the model may have been trained on these very videos",
        }[audit.source]
        scored = f"IN SAMPLE: {how}. Labels learnt by heart, wrong ones among them, look right."
    thresholds = record.thresholds
    origin = "given" if thresholds.noisy_loss_threshold != "auto" else "where the upper of two groups of losses begins"
    if np.isfinite(record.loss_threshold):
        loss = f"its loss is above {record.loss_threshold:.3f} ({origin})"
    else:
        loss = "its loss is above a threshold, which was not found: the losses do not form two groups, so no video is"
    return [
        scored,
        "label_quality is the probability of the given label, mean of the video's and of its clips'. margin is the "
        "same minus the probability of the most probable other label. Low values of both are suspicious. "
        "suspicion_rank orders all videos by the loss of the given label, the largest first.",
        f"noisy: the clips agree on another label (the margin is below {thresholds.noisy_margin_threshold:g}), and "
        f"{loss}, and the video has at least two distinct clips. At most {thresholds.max_noisy_share:.0%} of a "
        "label's videos can be noisy, so that a rare label is not wiped out.",
        f"hard: not noisy, and the agreement of the clips is at most {thresholds.hard_agreement_threshold:g}.",
        "clean: everything else. A label is suggested for noisy videos only: the most probable other one.",
    ]


def summarise(audit: Audit, record: SampleRecord, arguments, args, data, truth) -> dict:
    """The contents of summary.json, which the page shows, too."""
    seen = audit.looks.index.sort().values
    probabilities = record.means["probabilities"][seen].numpy()
    labels = record.given_labels[seen].numpy()
    joint, pairs = estimated_joint(probabilities, labels, audit.label_names)
    partition = {
        name: {
            part: int(((record.partition == code) & (record.given_labels == number))[seen].sum())
            for code, part in enumerate(PARTITIONS)
        }
        for number, name in enumerate(audit.label_names)
    }
    title = dataset_title(find_source(data.dataset, data.root)) if has_source(data) else audit.model
    split = next(iter(audit.videos.columns.get("split") or []), None) or arguments.split
    finite = float(record.loss_threshold) if np.isfinite(record.loss_threshold) else None
    summary = {
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
            "noisy_margin_threshold": record.thresholds.noisy_margin_threshold,
            "noisy_loss_threshold": finite,
            "hard_agreement_threshold": record.thresholds.hard_agreement_threshold,
        },
        "truth": None,
        "unreadable": [
            {"sample_id": audit.videos.sample_ids[number], "reason": reason}
            for number, reason in sorted(audit.errors.items())
        ],
        "reproducibility": {
            **{f"version of {name}": number for name, number in library_versions().items()},
            "seed": str(args.seed),
            "fingerprint of ids, contents and labels": fingerprint(audit.videos),
        },
    }
    if truth is not None:
        summary["truth"] = measure(audit, record, truth, args.seed)
    return summary


def measure(audit: Audit, record: SampleRecord, truth, seed: int) -> list[dict]:
    """How well the audit, and other scores of the same probabilities, find the labels that are wrong by the truth."""
    true_labels, hard = truth
    seen = [n for n in audit.looks.index.sort().values.tolist() if true_labels[n] is not None]
    if not seen:
        raise ValueError("None of the videos that could be read has a true label.")
    wrong = [canonical_label(true_labels[n]) != canonical_label(audit.videos.labels[n]) for n in seen]
    scores = label_scores(
        record.means["probabilities"][seen].numpy(),
        record.given_labels[seen].numpy(),
        record.means["loss"][seen].numpy(),
        (record.partition[seen] == NOISY).numpy(),
    )
    known = [hard[n] for n in seen]
    return detection_quality(scores, wrong, None if None in known else known, seed)


def write_csv(table, label_names: list[str], path: Path):
    """The table as CSV: the probabilities are a column `p_<label>` for each label."""
    import pyarrow as pa
    import pyarrow.csv

    place = table.column_names.index("probabilities")
    rows = table["probabilities"].to_pylist()
    table = table.remove_column(place)
    for number, name in enumerate(label_names):
        values = [None if row is None else row[number] for row in rows]
        table = table.add_column(place + number, f"p_{name}", pa.array(values, pa.float32()))
    pyarrow.csv.write_csv(table, path)


def write_outputs(audit: Audit, record: SampleRecord, arguments, args, data) -> dict:
    """Writes everything into --out. Returns the summary."""
    import pyarrow.parquet as pq

    from training.auditing.page import write_page

    out, count = arguments.out, len(audit.videos)
    truth = None
    if arguments.truth or arguments.truth_file:
        file = arguments.truth_file or Path(data.dataset)
        truth = read_truth(audit.videos, file, arguments.truth or "true_label")
        if missing := truth[0].count(None):
            print(f"{missing} of {count} videos have no true label in {file}; the figures are of the others.")
    summary = summarise(audit, record, arguments, args, data, truth)
    ranked = audit.looks.index[audit.looks.loss.argsort(descending=True, stable=True)].tolist()
    ranks = {number: rank for rank, number in enumerate(ranked, start=1)}
    further = {
        "suspicion_rank": [ranks.get(number) for number in range(count)],
        "in_sample": [not audit.out_of_sample] * count,
        **audit.dynamics,
    }
    if truth is not None:
        further["true_label"] = truth[0]
    columns = {"sample_id": audit.videos.sample_ids, **audit.videos.columns}
    columns["decode_ok"] = [number not in audit.errors for number in range(count)]
    table = sample_table(record, audit.label_names, columns, audit.epoch, further)
    metadata = {**table.schema.metadata, b"out_of_sample": str(audit.out_of_sample).lower().encode()}
    table = table.replace_schema_metadata(metadata)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out / "audit.parquet")
    write_csv(table, audit.label_names, out / "audit.csv")
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    title = summary["title"] + ("" if audit.out_of_sample else "\nIN SAMPLE: wrong labels may have been learnt")
    plot_agreement_loss(table, summary["agreement_loss"], title, out / "agreement_loss.png")

    # Those with a suggestion first, as on the page.
    wanted = sorted(ranked, key=lambda number: record.partition[number] != NOISY)[: arguments.max_cards]
    cards = audit.cards.cards
    if missing := [number for number in wanted if number not in cards]:
        cards |= audit.missing_cards(missing)
    cards = {audit.videos.sample_ids[number]: cards[number] for number in wanted if number in cards}
    write_page(out / PAGE, table.to_pylist(), summary, cards)
    return summary


def print_summary(summary: dict, out: Path):
    """What people want to know first."""
    print(f"\n{summary['title']}, {summary['videos']} videos, by {summary['model']}\n")
    print("\n".join(summary["rule"]))
    counts = summary["partition_by_class"]
    width = max(map(len, [*counts, "given label"]))
    print(f"\n{'given label':<{width}}" + "".join(f"{name:>8}" for name in PARTITIONS))
    for label, row in counts.items():
        print(f"{label:<{width}}" + "".join(f"{row[name]:>8}" for name in PARTITIONS))
    total = {name: sum(row[name] for row in counts.values()) for name in PARTITIONS}
    print(f"{'all':<{width}}" + "".join(f"{total[name]:>8}" for name in PARTITIONS))
    if summary["confused_pairs"]:
        print("\nProbably mistaken most often (given -> true, estimated number):")
        for pair in summary["confused_pairs"][:5]:
            print(f"  {pair['given']} -> {pair['true']}: {pair['count']}")
    for entry in summary["truth"] or []:
        if entry is summary["truth"][0]:
            k = entry["precision_at_k"]["k"]
            print(f"\nAgainst the truth ({k} wrong labels): AUROC, AUPRC, precision among the {k} most suspicious")
        cells = ", ".join(_interval(entry[name]) for name in ("auroc", "auprc", "precision_at_k"))
        print(f"  {entry['score']}: {cells}")
    if summary["unreadable"]:
        print(f"\n{len(summary['unreadable'])} videos cannot be read; decode_ok is false for them.")
    print(f"\nWrote audit.parquet, audit.csv, summary.json, agreement_loss.png and {PAGE} into {out}.")
    if not summary["out_of_sample"]:
        print("IN SAMPLE: for scores of models that have not seen the labels they judge, use --folds.")


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "-"
    return f"{metric['value']:.3f} ({metric['low']:.3f}..{metric['high']:.3f})"


def main(argv: list[str] | None = None) -> dict:
    """
    Audits and writes `audit.parquet`, `audit.csv`, `summary.json`, `agreement_loss.png` and `audit.html`. Returns what
    summary.json holds.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.audit",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument(
        "--model", help="checkpoint, folder or name on the Hub: what scores, or what the folds' trainings start from"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--folds", type=int, default=5, help="parts of the dataset, out of sample (default: 5)")
    mode.add_argument("--in_sample", action="store_true", help="score with --model as it is (default: rdfer-small)")
    mode.add_argument("--sample_table", type=Path, help=f"{SAMPLE_TABLE_NAME} of a training")
    parser.add_argument("--split", default="train", help="split of the dataset to audit (default: train)")
    parser.add_argument(
        "--on_unknown_label",
        choices=["error", "skip"],
        default="error",
        help="with --in_sample: labels of the data that the model has not stop it, or their videos are left out",
    )
    verdicts = parser.add_argument_group("verdicts", "Changing these trains nothing anew.")
    for name in ("noisy_margin_threshold", "hard_agreement_threshold", "max_noisy_share"):
        verdicts.add_argument(f"--{name}", type=float, default=DEFAULTS[name], help=f"default: {DEFAULTS[name]:g}")
    verdicts.add_argument(
        "--noisy_loss_threshold",
        default="auto",
        help="a number, or auto: where the upper of two groups of losses begins (default)",
    )
    parser.add_argument(
        "--truth", help="column with true labels, of --truth_file or of the list of videos (default: true_label)"
    )
    parser.add_argument("--truth_file", type=Path, help="CSV, TSV or JSONL with sample_id or path, and true labels")
    parser.add_argument("--max_cards", type=int, default=300, help="videos that the page shows frames of (300)")
    arguments, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    if arguments.folds < 2 or arguments.max_cards < 0:
        parser.error("--folds must be at least 2 and --max_cards at least 0")
    if arguments.noisy_loss_threshold != "auto":
        try:
            float(arguments.noisy_loss_threshold)
        except ValueError:
            parser.error(f"--noisy_loss_threshold must be auto or a number, got {arguments.noisy_loss_threshold!r}")
    if not (arguments.in_sample or arguments.sample_table) and arguments.model:
        rest += ["--model", arguments.model]
    if importlib.util.find_spec("cleanlab") is None:  # found out now and not after the trainings
        parser.error('an audit needs cleanlab: pip install -e ".[audit]"')
    model_arguments, data, args = parse_training_arguments(
        [*rest, "--output_dir", str(arguments.out)], "audit", __doc__, EXAMPLES
    )
    if args.world_size > 1:
        parser.error("an audit runs in one process: start it without torchrun")
    if arguments.truth and not arguments.truth_file and not Path(data.dataset or "").is_file():
        parser.error("--truth names a column of a list: pass --truth_file, or a list file as --dataset")
    if arguments.truth_file and not arguments.truth_file.is_file():
        parser.error(f"--truth_file: there is no file {arguments.truth_file}")
    try:
        if arguments.in_sample:
            audit = score_in_sample(arguments, data, args)
        elif arguments.sample_table:
            audit = read_sample_table(arguments, data, args)
        else:
            audit = score_by_folds(arguments, rest, model_arguments, data, args)
        summary = write_outputs(audit, judge(audit, arguments), arguments, args, data)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print_summary(summary, arguments.out)
    return summary


if __name__ == "__main__":
    main()
