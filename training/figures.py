# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Draws the figures of the RDFER paper for a checkpoint of either family and labelled videos, as PNG and SVG:

  strips      videos at each level of agreement, with the frames of their clips (figure 3)
  tsne        features of the videos by label, at each level of agreement (figure 4)
  confusion   the confusion matrix (figure 5)
  agreement   accuracy by level of agreement, with 95 % Wilson intervals

The layout is ours, as only the captions of the paper are available to us. figures.json has the numbers.
"""

import json
import sys
from pathlib import Path

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.inference.loading import load
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.trainer.metrics import recognition_metrics
from training.data.video_dataset import ScoringVideoDataset
from training.reports.agreement_figures import (
    LEAST_POINTS,
    accuracy_by_agreement,
    draw_agreement,
    draw_strips,
    draw_tsne,
)
from training.reports.figure_data import FigureData, collect_figure_data
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


def main(argv: list[str] | None = None) -> dict:
    """Draws the figures and writes them and `figures.json`. Returns the contents of `figures.json`."""
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
    except (ValueError, OSError) as error:
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
        "damaged_videos": sum(number > 0 for number in videos.columns.get("num_unreadable", ())),
        "levels": accuracy_by_agreement(data),
    }
    write_figures(arguments.only, data, names, facts, metrics["confusion_matrix"], _note(model), arguments.output_dir)
    write_atomically(arguments.output_dir / "figures.json", json.dumps(facts, indent=2) + "\n")
    print(f"{arguments.output_dir}: {', '.join(arguments.only)} of {len(data.labels)} videos")
    return facts


def _note(model) -> str:
    """A note below the strips of a model without key expression re-sampling."""
    if model.config.model_type == "aen":
        return "AEN has no key expression detector: its clips are parts of the video, its frames evenly spread."
    if model.config.resampling == "uniform":
        return "This model's clips are evenly spread (resampling is off), not drawn by the saliency."
    return ""


def write_figures(which, data: FigureData, label_names: list[str], facts: dict, matrix, note: str, out: Path):
    """Draws figures into a folder, and adds what they show to `facts`."""
    import matplotlib

    matplotlib.use("Agg")
    # Labels and ids may contain dollar signs.
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


if __name__ == "__main__":
    main()
