# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Do frame-level guidance and emotion grouping help, and how does AEN compare with RDFER and with both together? Trains
preset `tiny` of both on the synthetic videos of `training.benchmarks.noise`, most of whose frames deviate from the
video's expression for a part of the time, and measures on clean videos of other identities. One JSON file a run; what
is there already is not run again. Synthetic faces only: no claim about real ones is drawn from this.
"""

import argparse
import dataclasses
import os
import statistics
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
from training.benchmarks import noise
from training.benchmarks.tables import write_tables
from training.synthetic.labels import LABELS
from training.synthetic.videos import plan_video

RESULTS = noise.RESULTS.with_name("aen")
# A checkpoint beside the results: all guided rows learn from this one teacher.
TEACHER = RESULTS / "teacher"
EXAMPLES = """examples:
  python -m training.benchmarks.aen                    every run that is missing, two at a time
  python -m training.benchmarks.aen --only grouping    those whose names contain this
  python -m training.benchmarks.aen --render           the tables from the files, without running anything
"""


@dataclasses.dataclass(frozen=True)
class Run(noise.Run):
    """One training of a model of either family."""

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
SEEDS = noise.SEEDS


def all_runs() -> list[Run]:
    """Every run, those of one seed before those of the next."""
    runs = []
    for seed in SEEDS:
        for family in ("aen", "rdfer"):
            # Of RDFER only the ends: without, and with everything.
            for part in PARTS if family == "aen" else ("neither", "both"):
                config = {}
                if family == "aen" and part not in ("grouping", "both"):
                    config["emotion_groups"] = dict.fromkeys(LABELS, "any")  # no sentiment to tell first
                arguments = {**WITHOUT, **PARTS[part], "loss": "ce"}
                runs.append(Run(f"{family}-{part}-{seed}", "none", seed, arguments, config, family=family))
    return runs


# The teacher ---------------------------------------------------------------------------------------------------------


def _draw_frames(number: int) -> tuple[np.ndarray, list[int]]:
    """Three frames of a video of its own and what each shows: its expression, twice, and neutral if that is away."""
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
    return plan.take(np.array(frames)).render(noise.SIZE + noise.MARGIN), labels


def train_teacher(videos: int = 1400, epochs: int = 16):
    """
    Trains a frame-level expression classifier on single frames of other faces, for `TEACHER`: the paper's 2D model.
    What it knows of single frames no run sees otherwise; that is what frame-level guidance is about.
    """
    if (RESULTS / "teacher.json").exists():
        return
    jobs = range(3_000_000, 3_000_000 + videos + 280)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        drawn = list(tqdm(pool.map(_draw_frames, jobs, chunksize=20), total=len(jobs), desc="drawing frames"))
    frames = [torch.from_numpy(np.concatenate([f for f, _ in part])) for part in (drawn[:videos], drawn[videos:])]
    labels = [torch.tensor([x for _, shown in part for x in shown]) for part in (drawn[:videos], drawn[videos:])]
    teacher = noise.new_model(Run("teacher", "none", 0, {})).train()
    parameters = [*teacher.rdfer.backbone.parameters(), *teacher.classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.05)
    size, margin, batch = noise.SIZE, noise.MARGIN, 64
    steps = epochs * (len(labels[0]) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in tqdm(range(epochs), desc="training the teacher"):
        for part in torch.randperm(len(labels[0]))[: len(labels[0]) // batch * batch].split(batch):
            top, left = torch.randint(0, margin + 1, (2,)).tolist()
            images = frames[0][part, :, top : top + size, left : left + size]
            images = images.flip(-1) if torch.rand(()) < 0.5 else images
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(teacher.classify_frames(images), labels[0][part], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    teacher.eval().save_pretrained(TEACHER)
    for code in TEACHER.glob("*.py"):
        code.unlink()  # it is here
    inside = frames[1][..., margin // 2 : margin // 2 + size, margin // 2 : margin // 2 + size]
    result = {"frames": len(labels[0]), "test_frames": len(labels[1])}
    for name, checkpoint in (("teacher", TEACHER), ("rdfer_small", embedded_checkpoint())):
        answers = torch.cat([label_frames(load_teacher(checkpoint), part, LABELS) for part in inside.split(100)])
        result[f"{name}_accuracy"] = (answers.argmax(1) == labels[1]).float().mean().item()
    noise.write("teacher", result, RESULTS)


# One run -------------------------------------------------------------------------------------------------------------


def new_model(run: Run) -> PreTrainedModel:
    """The model of a run, from the pretrained backbone."""
    if run.family == "rdfer":
        return noise.new_model(run)
    torch.manual_seed(run.seed)
    config = AENConfig.from_preset("tiny", id2label=list(LABELS), image_size=noise.SIZE, **run.config)
    model = AENForVideoClassification(config)
    noise.load_backbones(backbone=model.aen.backbone)
    return model


def sentiment_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """
    WAR and UAR of sentiments, whose probabilities are the sums over their emotions: in four groups, and in three,
    positive, neutral and negative. Surprise can be pleasant or not: in three groups its videos are left out, and its
    probability counts for none.
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


def test(model: PreTrainedModel, cache: Path, name: str) -> dict:
    """
    Emotion and sentiment WAR and UAR on a clean set, and how many frames the model answers rightly (`frame_war`): with
    the expression where it shows, with neutral where it does not.
    """
    truths = noise.video_truths(name)
    labels = np.array([LABELS.index(truth.true_label) for truth in truths])
    output = noise.answer(model, cache, name, ("logits", "frame_logits", "frame_indices"))
    taken = noise.counted_videos(name, truths)
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
    """Trains and measures."""
    start = time.time()
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = noise.new_trainer(run, new_model(run), cache, output_dir)
        trainer.train()
    trained = time.time()
    settings = noise.settings(trainer.args)
    settings.pop("frame_teacher", None)  # a path; there is one teacher
    return {
        "run": {"name": run.name, "family": run.family, "seed": run.seed, "config": run.config},
        "settings": settings,
        "test": test(trainer.model, cache, "test"),
        "brief": test(trainer.model, cache, "brief"),
        "minutes": round((trained - start) / 60, 2),
        "machine": noise.machine(),
    }


# Tables --------------------------------------------------------------------------------------------------------------


def render(results: dict[str, dict]) -> str:
    """Markdown tables of all results, in per cent: mean and standard deviation over the seeds."""
    names = list(dict.fromkeys(run.name.rsplit("-", 1)[0] for run in all_runs()))

    def cell(name: str, videos: str, metric: str) -> str:
        found = [results[f"{name}-{seed}"] for seed in SEEDS if f"{name}-{seed}" in results]
        values = [100 * result[videos][metric] for result in found]
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.1f}{spread}"

    metrics = ("war", "uar", "sentiment4_war", "sentiment4_uar", "sentiment3_war", "sentiment3_uar", "frame_war")
    header = ("model", "emotion WAR", "UAR")
    header += ("4 sentiments WAR", "UAR", "3 sentiments WAR", "UAR", "frames")
    parts = []
    for videos, text in (
        ("test", "1,400 videos:"),
        ("brief", "600 other videos whose key expression fills less than 30 % of the frames:"),
    ):
        lines = [header, ("---",) * len(header)]
        for name in names:
            if any(f"{name}-{seed}" in results for seed in SEEDS):
                family, part = name.split("-")
                row = f"{family.upper()}, {part.replace('_', ' ')}"
                lines.append((row, *(cell(name, videos, metric) for metric in metrics)))
        parts += [text, "\n".join("| " + " | ".join(line) + " |" for line in lines)]
    if "teacher" in results:
        teacher = results["teacher"]
        parts.append(
            f"The frame teacher is right on {100 * teacher['teacher_accuracy']:.1f} % of {teacher['test_frames']} "
            "frames of other faces; rdfer-small, made for real faces, on "
            f"{100 * teacher['rdfer_small_accuracy']:.1f} % of these drawings."
        )
    done = len([name for name in results if name != "teacher"])
    parts.append(f"{done} of {len(all_runs())} runs are there, seeds {', '.join(map(str, SEEDS))}.")
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("output/noise"), help="folder for the frames, that of the noise benchmark"
    )
    parser.add_argument("--only", default="", help="only runs whose names contain this")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (default: 2)")
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what this script calls itself with
    arguments = parser.parse_args()
    runs = {run.name: run for run in all_runs()}
    if arguments.one:
        torch.set_num_threads(1)
        return noise.write(arguments.one, execute(runs[arguments.one], arguments.cache), RESULTS)
    if not arguments.render:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        noise.cache_frames(arguments.cache)
        noise.pretrain_backbones()
        train_teacher()
        missing = [name for name in runs if arguments.only in name and not (RESULTS / f"{name}.json").exists()]
        noise.run_in_processes("training.benchmarks.aen", missing, arguments.cache, arguments.jobs)
    write_tables("training.benchmarks.aen", render(noise.load_results(RESULTS)))


if __name__ == "__main__":
    main()
