# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Do frame-level guidance and emotion grouping help AEN and RDFER? Trains preset `tiny` of both families on synthetic
videos, in most of which some frames do not show the video's expression, and measures on videos of other identities.
Runs with a result in results/aen.jsonl are not run again. Synthetic faces only: nothing about real faces follows.
"""

import dataclasses
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from modeling_rdfer import AENConfig, AENForVideoClassification
from modeling_rdfer.models.labels_rdfer import group_ids
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.pseudo_labels import label_frames, load_teacher
from training.benchmarks.shared import runs
from training.benchmarks.shared.grid import Grid, run_grid
from training.benchmarks.shared.results import RESULTS, load_results, write_result
from training.benchmarks.shared.runs import LIBRARIES, SEEDS, WEIGHTS, load_backbones, outputs_of
from training.benchmarks.shared.synthetic_videos import MARGIN, SIZE, counted_videos, video_truths
from training.benchmarks.shared.tables import markdown_table, mean_percent
from training.benchmarks.shared.timing import machine
from training.build.hub_folders import remove_code
from training.synthetic.labels import LABELS
from training.synthetic.videos import plan_video

FILE = "aen.jsonl"
# The frame teacher of all guided runs.
TEACHER = WEIGHTS / "frame_teacher"
EXAMPLES = """examples:
  python -m training.benchmarks.aen                    every missing run, two at a time
  python -m training.benchmarks.aen --only grouping    only runs whose names contain this
  python -m training.benchmarks.aen --render           only writes the tables
"""


@dataclasses.dataclass(frozen=True)
class Run(runs.Run):
    """One training of a model of one of the families."""

    family: str = "rdfer"


WITHOUT = {"frame_guidance_weight": 0.0, "clip_guidance_weight": 0.0, "emotion_grouping": False}
GUIDANCE = {"frame_guidance_weight": 0.5, "clip_guidance_weight": 0.1, "frame_teacher": str(TEACHER)}
FRAME_GUIDANCE = {**GUIDANCE, "clip_guidance_weight": 0.0}
GROUPING = {"emotion_grouping": True}
PARTS = {
    "neither": {},
    "frame_guidance": FRAME_GUIDANCE,
    "guidance": GUIDANCE,
    "grouping": GROUPING,
    "both": {**GUIDANCE, **GROUPING},
}


def all_runs() -> list[Run]:
    """All runs, seed by seed."""
    found = []
    for seed in SEEDS:
        for family in ("aen", "rdfer"):
            # RDFER only without anything and with everything.
            for part in PARTS if family == "aen" else ("neither", "both"):
                config = {}
                if family == "aen" and part not in ("grouping", "both"):
                    config["emotion_groups"] = dict.fromkeys(LABELS, "any")  # one group: no sentiment to predict
                arguments = {**WITHOUT, **PARTS[part], "loss": "ce"}
                found.append(Run(f"{family}-{part}-{seed}", "none", seed, arguments, config, family=family))
    return found


# The teacher ---------------------------------------------------------------------------------------------------------


def _draw_frames(number: int) -> tuple[np.ndarray, list[int]]:
    """Two frames of a video that show its expression and one that shows none (neutral), with their labels."""
    plan = plan_video(0, number, hard=0.0)
    label = LABELS.index(plan.truth.true_label)
    generator = np.random.default_rng([11, number])
    shown = np.flatnonzero(plan.key > 0.6) if label != LABELS.index("neutral") else np.arange(len(plan.key))
    rest = np.flatnonzero(plan.key == 0)
    frames = list(generator.choice(shown, 2))
    labels = [label] * 2
    if len(rest):
        frames.append(generator.choice(rest))
        labels.append(LABELS.index("neutral"))
    return plan.take(np.array(frames)).render(SIZE + MARGIN), labels


def train_teacher(videos: int = 1400, epochs: int = 16):
    """Trains the frame teacher (`TEACHER`), a frame-level expression classifier, on single frames of other faces,
    unless its result is there. No run has labels of single frames otherwise: they are what frame-level guidance adds.
    """
    if "teacher" in load_results(RESULTS / FILE):
        return
    jobs = range(3_000_000, 3_000_000 + videos + 280)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        drawn = list(tqdm(pool.map(_draw_frames, jobs, chunksize=20), total=len(jobs), desc="drawing frames"))
    frames = [torch.from_numpy(np.concatenate([f for f, _ in part])) for part in (drawn[:videos], drawn[videos:])]
    labels = [torch.tensor([x for _, shown in part for x in shown]) for part in (drawn[:videos], drawn[videos:])]
    teacher = runs.new_model(Run("teacher", "none", 0, {})).train()
    parameters = [*teacher.rdfer.backbone.parameters(), *teacher.classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.05)
    batch = 64
    steps = epochs * (len(labels[0]) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in tqdm(range(epochs), desc="training the teacher"):
        for part in torch.randperm(len(labels[0]))[: len(labels[0]) // batch * batch].split(batch):
            top, left = torch.randint(0, MARGIN + 1, (2,)).tolist()
            images = frames[0][part, :, top : top + SIZE, left : left + SIZE]
            images = images.flip(-1) if torch.rand(()) < 0.5 else images
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(teacher.classify_frames(images), labels[0][part], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    teacher.eval().save_pretrained(TEACHER)
    remove_code(TEACHER)
    inside = frames[1][..., MARGIN // 2 : MARGIN // 2 + SIZE, MARGIN // 2 : MARGIN // 2 + SIZE]
    result = {"frames": len(labels[0]), "test_frames": len(labels[1])}
    for name, checkpoint in (("teacher", TEACHER), ("rdfer_small", embedded_checkpoint())):
        answers = torch.cat([label_frames(load_teacher(checkpoint), part, LABELS) for part in inside.split(100)])
        result[f"{name}_accuracy"] = (answers.argmax(1) == labels[1]).float().mean().item()
    write_result(RESULTS / FILE, "teacher", result)


# One run -------------------------------------------------------------------------------------------------------------


def new_model(run: Run) -> PreTrainedModel:
    """The model of a run, with the pretrained backbone."""
    if run.family == "rdfer":
        return runs.new_model(run)
    torch.manual_seed(run.seed)
    config = AENConfig.from_preset("tiny", id2label=list(LABELS), image_size=SIZE, **run.config)
    model = AENForVideoClassification(config)
    load_backbones(backbone=model.aen.backbone)
    return model


def sentiment_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """WAR and UAR of the sentiment, whose probability is the sum over the emotions of its group. In four groups; and
    in three (positive, neutral, negative), without the videos and the probability of surprise, which can be either.
    """
    names, groups = group_ids(LABELS)
    groups = np.array(groups)
    sums = np.stack([probabilities[:, groups == number].sum(1) for number in range(len(names))], axis=1)
    truth = groups[labels]
    surprise = names.index("surprise")
    result = {}
    for count, taken, kept in (
        (4, np.full(len(labels), True), list(range(4))),
        (3, truth != surprise, [number for number in range(4) if number != surprise]),
    ):
        predicted = sums[taken][:, kept].argmax(1)
        references = np.array([kept.index(number) for number in truth[taken]])
        metrics = recognition_metrics(predicted, references, [names[number] for number in kept])
        result |= {f"sentiment{count}_war": metrics["war"], f"sentiment{count}_uar": metrics["uar"]}
    return result


def recognition_of(model: PreTrainedModel, cache: Path, name: str) -> dict:
    """WAR and UAR of emotion and sentiment on a set with right labels, and the share of frames whose prediction is
    right (`frame_war`): the expression if the frame shows it, otherwise neutral.
    """
    truths = video_truths(name)
    labels = np.array([LABELS.index(truth.true_label) for truth in truths])
    output = outputs_of(model, cache, name, ("logits", "frame_logits", "frame_indices"))
    taken = counted_videos(name, truths)
    probabilities = output["logits"].float().softmax(-1).numpy()[taken]
    labels_taken = labels[taken]
    metrics = recognition_metrics(probabilities.argmax(1), labels_taken, LABELS, probabilities)
    key = torch.from_numpy(np.load(cache / f"{name}_key.npy")).gather(1, output["frame_indices"]).numpy()
    shown = np.where(key, labels[:, None], LABELS.index("neutral"))
    right = output["frame_logits"].argmax(-1).numpy() == shown
    return {
        **{key: value for key, value in metrics.items() if isinstance(value, float)},
        **sentiment_metrics(probabilities, labels_taken),
        "frame_war": float(right[taken].mean()),
        "videos": int(taken.sum()),
    }


def execute(run: Run, cache: Path) -> dict:
    """Trains and measures a run."""
    start = time.time()
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = runs.new_trainer(run, new_model(run), cache, output_dir)
        trainer.train()
    trained = time.time()
    settings = runs.settings(trainer.args)
    settings.pop("frame_teacher", None)  # the path of TEACHER
    return {
        "run": {"name": run.name, "family": run.family, "seed": run.seed, "config": run.config},
        "settings": settings,
        "test": recognition_of(trainer.model, cache, "test"),
        "brief": recognition_of(trainer.model, cache, "brief"),
        "minutes": round((trained - start) / 60, 2),
        "machine": machine(*LIBRARIES),
    }


# Tables --------------------------------------------------------------------------------------------------------------


def render(results: dict[str, dict]) -> str:
    """Markdown tables of all results, in per cent: mean and standard deviation over the seeds."""
    names = list(dict.fromkeys(run.name.rsplit("-", 1)[0] for run in all_runs()))

    def cell(name: str, videos: str, metric: str) -> str:
        found = [results[f"{name}-{seed}"] for seed in SEEDS if f"{name}-{seed}" in results]
        return mean_percent([result[videos][metric] for result in found])

    metrics = ("war", "uar", "sentiment4_war", "sentiment4_uar", "sentiment3_war", "sentiment3_uar", "frame_war")
    header = ("model", "emotion WAR", "UAR")
    header += ("4 sentiments WAR", "UAR", "3 sentiments WAR", "UAR", "frames")
    parts = []
    for videos, text in (
        ("test", "1,400 videos:"),
        ("brief", "600 other videos whose key expression fills less than 30 % of the frames:"),
    ):
        rows = []
        for name in names:
            if any(f"{name}-{seed}" in results for seed in SEEDS):
                family, part = name.split("-")
                row = f"{family.upper()}, {part.replace('_', ' ')}"
                rows.append((row, *(cell(name, videos, metric) for metric in metrics)))
        parts += [text, markdown_table(header, rows)]
    if "teacher" in results:
        teacher = results["teacher"]
        parts.append(
            f"The frame teacher is right on {100 * teacher['teacher_accuracy']:.1f} % of {teacher['test_frames']} "
            "frames of other faces; rdfer-small, made for real faces, on "
            f"{100 * teacher['rdfer_small_accuracy']:.1f} % of these drawings."
        )
    done = len([name for name in results if name != "teacher"])
    parts.append(f"{done} of {len(all_runs())} runs; seeds {', '.join(map(str, SEEDS))}.")
    return "\n\n".join(parts)


def main(argv: list[str] | None = None):
    """Runs what is missing and writes the tables, as the command line says."""
    by_name = {run.name: run for run in all_runs()}
    grid = Grid(
        benchmark="aen",
        stages=[list(by_name)],
        execute=lambda name, cache, results: execute(by_name[name], cache),
        render=render,
        prepare=train_teacher,
    )
    run_grid(grid, __doc__, EXAMPLES, argv)


if __name__ == "__main__":
    main()
