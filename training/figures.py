# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Draws the figures of the RDFER paper for a checkpoint of either family and labelled videos, as PNG and SVG:

  strips      videos at each level of agreement, with the frames that the model looked at (figure 3)
  tsne        features of the videos by label, at each level of agreement (figure 4)
  confusion   the confusion matrix (figure 5)
  agreement   accuracy by level of agreement, with 95 % Wilson intervals

The layout of the figures is ours: of the paper only the captions are at hand. figures.json has their numbers.
"""

import hashlib
import json
import math
import sys
from bisect import insort
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.inference.loading import load
from modeling_rdfer.inference.scores import probabilities
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.models.modeling_rdfer import distinct_clips
from modeling_rdfer.plots import COLOURS
from modeling_rdfer.trainer.metrics import recognition_metrics
from training.data.scoring import ScoringBatches
from training.data.video_dataset import ScoringVideoDataset
from training.reports.plots import plot_confusions, save_figure, write_confusion
from training.running.arguments import evaluation_parser
from training.running.video_sets import load_evaluation_videos

FIGURES = ("strips", "tsne", "confusion", "agreement")
EXAMPLES = """examples:
  python -m training.figures --model out --dataset D/test --output-dir out/figures
  python -m training.figures --model out --dataset dfew --root D --fold 1 --no-face-crop --output-dir out/figures
  python -m training.figures --model hub_cards/aen-small --dataset labels.csv --output-dir figures \\
    --only strips agreement
"""
# Frames of a clip that a strip shows.
SHOWN_FRAMES = 4
# Between the clips of a strip, in widths of a frame.
GAP = 0.3
# Fewer points have no neighbourhoods to keep.
LEAST_POINTS = 5
# Told apart without colour. Their number and that of the colours have no common divisor: 104 labels look different.
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", "p", ">", "h", "d"]


@dataclass
class ShownVideo:
    """
    What a strip shows of a video.

    Attributes:
        sample_id, given, predicted (`str`): its id and labels.
        score (`float`): probability of the predicted label, 0..1.
        clips (`list[str]`): label predicted on each distinct clip, in time.
        frames (`list[np.ndarray]`): of each clip, uint8 `(n, H, W, 3)`, n at most `SHOWN_FRAMES`.
        places (`list[np.ndarray]`): where in the video these frames are, 0..1.
        saliency (`np.ndarray`, *optional*): `(2, S)`: places and posterior of the key expression; RDFER only.
        key_expression (`str`, *optional*): the detector's answer; RDFER only.
    """

    sample_id: str
    given: str
    predicted: str
    score: float
    clips: list[str]
    frames: list[np.ndarray]
    places: list[np.ndarray]
    saliency: np.ndarray | None = None
    key_expression: str | None = None


@dataclass
class FigureData:
    """
    What one pass over N videos has shown.

    Attributes:
        num_clips (`int`): K of the model.
        labels, predictions (lists of `int`): numbers of the given and the predicted labels.
        levels (`list[int | None]`): how many of the K clips agree; None for videos too short for K distinct clips.
        features (list of arrays `(D,)`): what the heads read, see [`video_features`]; empty if not asked for.
        shown (`dict[int | None, list]`): some videos of each level, as sorted pairs of a key and [`ShownVideo`].
        unreadable (`int`): videos left out.
    """

    num_clips: int
    labels: list[int] = field(default_factory=list)
    predictions: list[int] = field(default_factory=list)
    levels: list[int | None] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    shown: dict[int | None, list[tuple[bytes, int, ShownVideo]]] = field(default_factory=dict)
    unreadable: int = 0

    def occurring_levels(self) -> list[int | None]:
        """Levels that occur, the lowest agreement first, short videos last."""
        return sorted(set(self.levels), key=lambda level: math.inf if level is None else level)

    def members(self, level: int | None) -> np.ndarray:
        """Numbers of the videos of a level."""
        return np.array([number for number, other in enumerate(self.levels) if other == level], dtype=int)

    def title(self, level: int | None) -> str:
        """A level in words."""
        if level is None:
            return f"fewer than {self.num_clips} distinct clips"
        return f"agreement {level / self.num_clips:.2f} ({level} of {self.num_clips} clips)"


# ---------------------------------------------------------------------------------------------------------------------
# One pass over the videos
# ---------------------------------------------------------------------------------------------------------------------
def video_features(model, outputs) -> torch.Tensor:
    """
    What the answer for a video is computed from, `(B, D)`: the mean of the frame features and the mean of the states
    of its clips (RDFER: of the distinct ones, and the state of the long-term stream).

    Args:
        model: of either family.
        outputs: of it, with `output_hidden_states=True`.
    """
    if model.config.model_type == "aen":
        frame_features = outputs.hidden_states[len(model.aen.top_down) - 1]
        return torch.cat([frame_features.mean(1), outputs.clip_state.mean(1)], dim=-1).float()
    mask = distinct_clips(outputs.key_frame_indices)[..., None].float()
    clips = torch.cat([outputs.hidden_states[-3].mean(2), outputs.short_term_state], dim=-1).float()
    return torch.cat([(clips * mask).sum(1) / mask.sum(1), outputs.long_term_state.float()], dim=-1)


@torch.inference_mode()
def collect_figure_data(
    model,
    dataset: ScoringVideoDataset,
    *,
    batch_size: int = 8,
    num_workers: int = 0,
    videos_per_level: int = 0,
    with_features: bool = False,
    on_bad_video: str = "error",
    seed: int = 0,
) -> FigureData:
    """
    Passes all videos through a model once. Of `videos_per_level` videos of each level of agreement, drawn at random by
    a hash of seed and id, a few frames are kept; of the others none.

    Args:
        model ([`RDFERForVideoClassification`] or [`AENForVideoClassification`]): in evaluation mode.
        dataset ([`ScoringVideoDataset`]): videos.
        batch_size, num_workers, on_bad_video: see [`ScoringBatches`].
        videos_per_level (`int`): see above.
        with_features (`bool`): whether to keep features.
        seed (`int`): seed of the draw.

    Raises:
        ValueError: a video cannot be read, with `on_bad_video="error"`, or none can.
    """
    data = FigureData(model.config.num_clips)
    batches = ScoringBatches(dataset, model.device, batch_size, num_workers, on_bad_video, "reading videos")
    for batch in batches:
        outputs = model(batch.frames, frame_mask=batch.frame_mask, output_hidden_states=with_features)
        is_distinct = distinct_clips(outputs.key_frame_indices)
        agreeing = (outputs.agreement * is_distinct.sum(1)).round().long().tolist()
        data.labels += batch.labels.tolist()
        data.predictions += outputs.logits.argmax(-1).tolist()
        if with_features:
            data.features.extend(video_features(model, outputs).cpu().numpy())
        for row, number in enumerate(batch.numbers):
            level = agreeing[row] if is_distinct[row].all() else None
            data.levels.append(level)
            name = dataset.videos.sample_ids[number]
            key = (hashlib.blake2b(f"{seed} {name}".encode()).digest(), number)
            shown = data.shown.setdefault(level, [])
            if videos_per_level and (len(shown) < videos_per_level or key < shown[-1][:2]):
                given = model.config.id2label[batch.labels[row].item()]
                video = _shown_video(model, outputs, row, name, given, batch.examples[row], is_distinct[row])
                insort(shown, (*key, video), key=lambda entry: entry[:2])
                del shown[videos_per_level:]
    data.unreadable = len(batches.errors)
    return data


def _shown_video(
    model, outputs, row: int, name: str, given: str, example: dict, is_distinct: torch.Tensor
) -> ShownVideo:
    label_of = model.config.id2label
    scores = probabilities(model, outputs.logits[row])
    num_frames = max(1, int(example["frame_mask"].sum()) - 1)
    clips = is_distinct.nonzero().flatten().tolist()
    indices = [outputs.key_frame_indices[row, clip].cpu() for clip in clips]
    indices = [index[np.unique(np.linspace(0, len(index) - 1, SHOWN_FRAMES).round().astype(int))] for index in indices]
    video = ShownVideo(
        sample_id=name,
        given=given,
        predicted=label_of[scores.argmax().item()],
        score=scores.max().item(),
        clips=[label_of[outputs.clip_logits[row, clip].argmax().item()] for clip in clips],
        frames=[_pictures(model, example["pixel_values_videos"][index]) for index in indices],
        places=[index.numpy() / num_frames for index in indices],
    )
    if model.config.model_type == "rdfer":
        key = outputs.detector_logits[row].argmax().item()
        posterior = probabilities(model, outputs.frame_logits[row])[:, key].cpu().numpy()
        video.saliency = np.stack([outputs.frame_indices[row].cpu().numpy() / num_frames, posterior])
        video.key_expression = label_of[key]
    return video


def _pictures(model, frames: torch.Tensor) -> np.ndarray:
    if frames.is_floating_point():  # of a processor that normalises
        mean, std = (torch.tensor(x)[:, None, None] for x in (model.config.image_mean, model.config.image_std))
        frames = ((frames * std + mean) * 255).round().clamp(0, 255).byte()
    return frames.permute(0, 2, 3, 1).numpy().copy()  # not a view, which would keep all frames


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------
def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def draw_strips(data: FigureData, note: str = ""):
    """
    Some videos of each level of agreement (figure 3 of the paper): the frames of their clips, what is predicted on
    each clip, and where in the video they are.

    Args:
        data ([`FigureData`]): with `shown`.
        note (`str`): goes below.

    Returns:
        `matplotlib.figure.Figure`
    """
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    rows = []
    for level in data.occurring_levels():
        rows += [(level, None), *((level, video) for *_, video in data.shown[level])]
    shown = [video for _, video in rows if video is not None]
    # In inches: sides of a thumbnail, room for words on the left and below, heights of rows.
    side, words, below = 0.75, 2.8, 0.55
    heights = [0.42 if video is None else 1.72 * side for _, video in rows]
    columns = max(8.0, *(sum(len(frames) + GAP for frames in video.frames) for video in shown))
    width, height = words + side * columns, sum(heights) + below
    figure = pyplot.figure(figsize=(width, height))
    top = height
    for (level, video), row in zip(rows, heights):
        top -= row
        if video is None:
            count = len(data.members(level))
            title = f"{data.title(level)}: {count} video{'s' * (count != 1)}"
            if (drawn := len(data.shown[level])) < count:
                title += f", {drawn} of them shown"
            figure.text(0.12 / width, (top + 0.08) / height, title, fontsize=11, weight="bold")
            continue
        axes = figure.add_axes([words / width, top / height, side * columns / width, row / height])
        axes.axis("off")
        is_right = video.predicted == video.given
        lines = [_short(video.sample_id), f"given: {_short(video.given, 22)}"]
        lines.append(f"predicted: {_short(video.predicted, 22)} ({video.score:.2f}) {'✓' if is_right else '✗'}")
        if video.key_expression is not None:
            lines.append(f"key expression: {_short(video.key_expression, 22)}")
        axes.text(-0.2, 0.5, "\n".join(lines), ha="right", va="center", fontsize=8.5, linespacing=1.35)
        left, best = 0.0, None
        for clip, frames, places in zip(video.clips, video.frames, video.places):
            same = clip == video.given
            for number, picture in enumerate(frames):
                axes.imshow(picture, extent=(left + number, left + number + 1, 0, 1))
                if video.saliency is not None:
                    value = np.interp(places[number], *video.saliency)
                    best = max(best or (-1.0, 0.0), (value, left + number), key=lambda pair: pair[0])
            axes.add_patch(
                Rectangle(
                    (left, 0),
                    len(frames),
                    1,
                    fill=False,
                    linewidth=2,
                    edgecolor=COLOURS[0] if same else COLOURS[3],
                    linestyle="-" if same else (0, (2, 1.2)),
                )
            )
            text = f"{_short(clip, 8 * len(frames) + 4)} {'✓' if same else '✗'}"
            axes.text(left + len(frames) / 2, 1.05, text, ha="center", va="bottom", fontsize=8.5)
            left += len(frames) + GAP
        if best is not None:
            axes.plot(best[1] + 0.16, 0.84, marker="*", markersize=11, color="white", markeredgecolor="black")
        _draw_timeline(axes, video, left - GAP)
        axes.set(xlim=(0, columns), ylim=(-0.4, 1.32), aspect="auto")
    marks = ["Clips in time; ✓ and a solid frame: predicted as given, ✗ and a dashed one: otherwise."]
    marks.append("Below: ticks where in the video these frames are")
    if any(video.saliency is not None for video in shown):
        marks[-1] += "; grey: the detector's posterior of the key expression, ★ the frame where it is highest"
    figure.text(0.12 / width, 0.1 / height, "\n".join([" ".join(marks) + ".", note]), fontsize=8)
    return figure


def _draw_timeline(axes, video: ShownVideo, width: float):
    """The whole video below its frames, from the first to the last one."""
    low, high = -0.32, -0.08
    if video.saliency is not None:
        places, values = video.saliency
        axes.fill_between(places * width, low, low + values * (high - low), color="0.75", linewidth=0)
    axes.plot([0, width], [low, low], color="black", linewidth=0.8)
    ticks = np.concatenate(video.places) * width
    axes.vlines(ticks, low, high, color="black", linewidth=0.9)


def draw_tsne(data: FigureData, label_names: list[str], seed: int = 0):
    """
    Two dimensions of the features by given label, a t-SNE for each level of agreement from one half on (figure 4 of
    the paper: 0.5, 0.75, 1.0): standardised, reduced to 50 principal components, then embedded.

    Args:
        data ([`FigureData`]): with `features`.
        label_names (`list[str]`): names of the labels.
        seed (`int`): seed.

    Returns:
        `matplotlib.figure.Figure`, and by level the perplexity, or None where there were too few videos.
    """
    from matplotlib import pyplot

    labels = np.array(data.labels)
    levels = [level for level in range(1, data.num_clips + 1) if 2 * level >= data.num_clips]
    per_row = min(len(levels), 4)
    num_rows = -(-len(levels) // per_row)
    figure, panels = pyplot.subplots(
        num_rows, per_row, figsize=(4 * per_row, 4.1 * num_rows + 0.6), layout="constrained", squeeze=False
    )
    for axes in panels.flat[len(levels) :]:
        axes.axis("off")
    perplexities, occurring = {}, []
    for axes, level in zip(panels.flat, levels):
        members = data.members(level)
        points, perplexity = _embed(np.array([data.features[number] for number in members]), seed)
        perplexities[level] = perplexity
        count = f"{len(members)} video{'s' * (len(members) != 1)}"
        axes.set(xticks=[], yticks=[])
        if points is None:
            reason = f"too few for t-SNE\n(at least {LEAST_POINTS})" if len(members) < LEAST_POINTS else "all alike"
            message = f"{count}:\n{reason}" if len(members) else "no video"
            axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes, fontsize=11)
            axes.set_title(data.title(level), fontsize=10)
            continue
        axes.set_title(f"{data.title(level)}\n{count}, perplexity {perplexity:.3g}", fontsize=10)
        size = float(np.clip(6000 / len(members), 8, 60))
        for label in np.unique(labels[members]):
            inside = labels[members] == label
            style = {"marker": MARKERS[label % len(MARKERS)], "color": COLOURS[label % len(COLOURS)]}
            axes.scatter(*points[inside].T, s=size, edgecolor="black", linewidth=0.4, **style)
        occurring = sorted({*occurring, *labels[members]})
    if occurring:
        handles = [
            pyplot.Line2D(
                *([], []),
                marker=MARKERS[label % len(MARKERS)],
                color=COLOURS[label % len(COLOURS)],
                markeredgecolor="black",
                markeredgewidth=0.5,
                linestyle="",
                markersize=8,
            )
            for label in occurring
        ]
        names = [label_names[label] for label in occurring]
        figure.legend(
            handles, names, loc="outside lower center", ncols=min(len(names), 2 * per_row + 1), frameon=False
        )
    if absent := sum(level not in levels for level in data.levels):
        figure.supxlabel(
            f"Not shown: {absent} of lower agreement, or too short for {data.num_clips} clips", fontsize=9
        )
    return figure, perplexities


def _embed(features: np.ndarray, seed: int) -> tuple[np.ndarray | None, float | None]:
    """Points `(N, 2)` and their perplexity; None, None where there are too few, or all are alike."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if len(features) < LEAST_POINTS or np.allclose(features, features[0], atol=1e-6):
        return None, None
    perplexity = min(30.0, (len(features) - 1) / 3)
    # Sums of several threads come out in any order, and t-SNE makes other pictures of their roundings.
    with threadpool_limits(1):
        features = StandardScaler().fit_transform(features.astype(np.float64))
        features = PCA(min(50, *features.shape), svd_solver="full").fit_transform(features)
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features), perplexity


def accuracy_by_agreement(data: FigureData) -> list[dict]:
    """
    For each level of agreement that occurs: `clips` (how many agree; None: too short for K distinct ones),
    `agreement` (0..1 or None), `videos`, `correct`, `accuracy` (0..1) and `interval` (95 %, Wilson 1927).
    """
    from scipy.stats import binomtest

    hits = np.array(data.labels) == np.array(data.predictions)
    rows = []
    for level in data.occurring_levels():
        inside = hits[data.members(level)]
        interval = binomtest(int(inside.sum()), len(inside)).proportion_ci(method="wilson")
        rows.append(
            {
                "clips": level,
                "agreement": None if level is None else level / data.num_clips,
                "videos": len(inside),
                "correct": int(inside.sum()),
                "accuracy": float(inside.mean()),
                "interval": [float(interval.low), float(interval.high)],
            }
        )
    return rows


def draw_agreement(data: FigureData):
    """Bars of [`accuracy_by_agreement`] with their intervals and counts. Returns a `matplotlib.figure.Figure`."""
    from matplotlib import pyplot

    rows = accuracy_by_agreement(data)
    overall = sum(row["correct"] for row in rows) / len(data.labels)
    figure, axes = pyplot.subplots(figsize=(max(4.8, 1.6 + 1.25 * len(rows)), 4.2), layout="constrained")
    for place, row in enumerate(rows):
        value, (low, high) = 100 * row["accuracy"], (100 * end for end in row["interval"])
        # Short videos are no level.
        style = {"color": COLOURS[5]} if row["clips"] else {"color": "white", "hatch": "//"}
        axes.bar(place, value, width=0.7, edgecolor="black", **style)
        # Rounding must not make a negative length.
        spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(place, value, yerr=spread, color="black", capsize=6, linewidth=1.5)
        text = f"{value:.0f} %\n{row['correct']} of {row['videos']}"
        axes.text(place, max(high, value) + 2, text, ha="center", va="bottom", fontsize=9)
    line = axes.axhline(100 * overall, color="black", linestyle="--", linewidth=1, zorder=0)
    figure.legend([line], [f"all {len(data.labels)}: {100 * overall:.0f} %"], loc="outside upper right", frameon=False)
    short = f"fewer than\n{data.num_clips} clips"
    names = [short if r["clips"] is None else f"{r['agreement']:.2f}\n{r['clips']} of {data.num_clips}" for r in rows]
    axes.set_xticks(range(len(rows)), names)
    axes.set(ylim=(0, 118), yticks=range(0, 101, 20), xlim=(-0.6, len(rows) - 0.4))
    axes.set(xlabel="agreement of the clips", ylabel="accuracy (%), 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# The script
# ---------------------------------------------------------------------------------------------------------------------
def main(argv: list[str] | None = None) -> dict:
    """Draws what the command line asks for and writes `figures.json`, which is returned."""
    parser = evaluation_parser("figures", __doc__, EXAMPLES)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES, help="figures to draw (default: all)")
    parser.add_argument("--videos-per-level", type=int, default=3, help="videos of each level in strips")
    parser.add_argument("--seed", type=int, default=0, help="seed of t-SNE and of the choice of videos (default: 0)")
    source, arguments = parser.parse_args_into_dataclasses(sys.argv[1:] if argv is None else argv)
    if arguments.videos_per_level < 1:
        parser.error(f"--videos-per-level must be at least 1, got {arguments.videos_per_level}")
    try:
        model, processor = load(arguments.model, arguments.device)
    except (OSError, RuntimeError) as error:
        parser.error(str(error))
    if model.config.problem_type not in (None, "single_label_classification"):
        parser.error(
            f"the figures need one label a video; the checkpoint's problem_type is {model.config.problem_type}"
        )
    names = class_names(model.config)
    videos, left_out = load_evaluation_videos(parser, source, arguments, model.config.label2id)
    if arguments.face_crop is not None:
        processor.do_face_crop = arguments.face_crop
    try:
        data = collect_figure_data(
            model,
            ScoringVideoDataset(videos, model.config.label2id, processor),
            batch_size=arguments.batch_size,
            num_workers=arguments.num_workers,
            videos_per_level=arguments.videos_per_level if "strips" in arguments.only else 0,
            with_features="tsne" in arguments.only,
            on_bad_video=arguments.on_bad_video,
            seed=arguments.seed,
        )
    except ValueError as error:
        parser.error(str(error))
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    metrics = recognition_metrics(data.predictions, data.labels, names)
    facts = {
        "model": public_name(model.name_or_path),
        "model_type": model.config.model_type,
        "seed": arguments.seed,
        "videos": len(data.labels),
        "war": metrics["war"],
        "uar": metrics["uar"],
        "left_out_labels": dict(left_out),
        "unreadable_videos": data.unreadable,
        "levels": accuracy_by_agreement(data),
    }
    write_figures(arguments.only, data, names, facts, metrics["confusion_matrix"], _note(model), arguments.output_dir)
    (arguments.output_dir / "figures.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{arguments.output_dir}: {', '.join(arguments.only)} of {len(data.labels)} videos")
    return facts


def _note(model) -> str:
    """What a model lacks of what strips are about."""
    if model.config.model_type == "aen":
        return "AEN has no key expression detector: its clips are parts of the video, its frames evenly spread."
    if model.config.resampling == "uniform":
        return "This model's clips are evenly spread (resampling is off), not drawn by the saliency."
    return ""


def write_figures(which, data: FigureData, label_names: list[str], facts: dict, matrix, note: str, out: Path):
    """Draws figures into a folder; what they tell beyond `facts` is added to these."""
    import matplotlib

    matplotlib.use("Agg")
    # Labels and ids may hold dollar signs.
    with matplotlib.rc_context({"text.parse_math": False}):
        drawn = {}
        if "strips" in which:
            drawn["strips"] = draw_strips(data, note)
            facts["strips"] = {data.title(level): [v.sample_id for *_, v in data.shown[level]] for level in data.shown}
        if "tsne" in which:
            drawn["tsne"], perplexities = draw_tsne(data, label_names, facts["seed"])
            facts["tsne_perplexity"] = {data.title(level): value for level, value in perplexities.items()}
            for level, value in perplexities.items():
                if value is None:
                    count = len(data.members(level))
                    reason = f"{count} videos, too few (below {LEAST_POINTS}) or alike"
                    print(f"t-SNE at {data.title(level)} is empty: {reason}.")
        if "agreement" in which:
            drawn["agreement"] = draw_agreement(data)
        for name, figure in drawn.items():
            for suffix in (".png", ".svg"):
                save_figure(figure, out / f"{name}{suffix}")
        if "confusion" in which:
            write_confusion(matrix, label_names, out)
            title = f"WAR {100 * facts['war']:.1f}, UAR {100 * facts['uar']:.1f}, {len(data.labels)} videos"
            for suffix in (".png", ".svg"):
                plot_confusions({title: (matrix, label_names)}, out / f"confusion_matrix{suffix}")


__all__ = [
    "FigureData",
    "ShownVideo",
    "accuracy_by_agreement",
    "collect_figure_data",
    "draw_agreement",
    "draw_strips",
    "draw_tsne",
    "video_features",
    "write_figures",
]


if __name__ == "__main__":
    main()
