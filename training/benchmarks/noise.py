# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""
Does the agreement-weighted loss help when labels are wrong, and do re-sampling and both streams help at all? Trains
preset `tiny` on synthetic videos with known truth and measures on clean videos of other identities. One JSON file a
run; what is there already is not run again. Synthetic faces only: no claim about real ones is drawn from this.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, TrainingArguments

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.modeling_rdfer import resample_clips
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME
from modeling_rdfer.trainer.trainer import RDFERTrainer
from training.benchmarks.tables import markdown_table, write_tables
from training.synthetic.faces import AUS, draw_faces, make_identity, make_scene
from training.synthetic.labels import LABELS
from training.synthetic.videos import make_truths, move_head, plan_video

RESULTS = Path(__file__).parent / "results" / "noise"
# Beside the results, not in the cache: all rows, whenever they were run, start from these.
BACKBONES = RESULTS / "backbones.safetensors"
EXAMPLES = """examples:
  python -m training.benchmarks.noise                        every run that is missing, two at a time
  python -m training.benchmarks.noise --only agreement-sym   those whose names contain this
  python -m training.benchmarks.noise --render               the page's tables from the files, without running anything
"""

# The videos: first index, how many, and what `plan_video` is told. The same for every run; labels differ by noise and
# seed. Every index is another identity.
VIDEO_SETS = {
    "train": (0, 490, {}),
    "test": (1_000_000, 1400, {}),
    "brief": (2_000_000, 700, {"hard": 1.0, "hard_kinds": ("brief",)}),
}
NOISE = {
    "none": {},
    "symmetric": {"noise": 0.3, "noise_type": "symmetric"},
    "asymmetric": {"noise": 0.2, "noise_type": "asymmetric"},
}
NUM_FRAMES, SIZE, MARGIN = 64, 64, 8
# One schedule for every row.
SCHEDULE = {
    "num_train_epochs": 45,
    "per_device_train_batch_size": 32,
    "learning_rate": 3e-3,
    "bf16": True,
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: what differs from the others. Its name is that of its file."""

    name: str
    noise: str
    seed: int
    arguments: dict  # of RDFERTrainingArguments
    config: dict = dataclasses.field(default_factory=dict)  # of RDFERConfig
    muted: tuple[str, ...] = ()  # streams whose states reach no head


LOSSES = {
    "ce": {"loss": "ce"},
    "sce": {"loss": "sce"},
    "gce": {"loss": "gce"},
    "agreement": {},
    "agreement_hard_gain": {"hard_sample_gain": 0.5},
    "agreement_one_look": {"running_mean_decay": 0.0},
}
# Ablations of the model, on clean labels with cross-entropy, one seed.
MODELS = {
    "uniform": {"config": {"resampling": "uniform"}},
    "short_term_only": {"muted": ("long_term",)},
    "long_term_only": {"muted": ("short_term",)},
    "no_stream": {"muted": ("short_term", "long_term")},
    "short_term_only_uniform": {"config": {"resampling": "uniform"}, "muted": ("long_term",)},
    "no_stream_uniform": {"config": {"resampling": "uniform"}, "muted": ("short_term", "long_term")},
    "2_clips": {"config": {"num_clips": 2}},
    "2_clips_uniform": {"config": {"num_clips": 2, "resampling": "uniform"}},
    "8_clips": {"config": {"num_clips": 8}},
}
SEEDS = (0, 1, 2)
# What is asked of the default loss without wrong labels, 0.5 point, is less than three seeds can tell.
CLEAN_SEEDS = (3, 4, 5)


def all_runs() -> list[Run]:
    """Every run, those of one seed before those of the next."""
    runs = []
    for seed in SEEDS:
        runs += [
            Run(f"{loss}-{noise}-{seed}", noise, seed, arguments)
            for (loss, arguments), noise in itertools.product(LOSSES.items(), NOISE)
        ]
    runs += [Run(f"{name}-none-0", "none", 0, {"loss": "ce"}, **what) for name, what in MODELS.items()]
    runs += [
        Run(f"{loss}-none-{seed}", "none", seed, LOSSES[loss])
        for seed in CLEAN_SEEDS
        for loss in ("ce", "agreement", "agreement_hard_gain")
    ]
    return runs


# What all runs share: frames and backbones ---------------------------------------------------------------------------


def _draw(job) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sampled frames `(T, 3, size, size)`, which are real and which show the key expression `(T,)` of a video."""
    index, options = job
    plan = plan_video(0, index, **options)
    metadata = argparse.Namespace(total_num_frames=plan.truth.num_frames, fps=None)
    sampled = RDFERVideoProcessor().sample_frames(metadata, NUM_FRAMES)
    frames = plan.render(SIZE + MARGIN)[sampled]
    missing = NUM_FRAMES - len(sampled)
    frames = np.concatenate([frames, frames[-1:].repeat(missing, 0)])
    return frames, np.arange(NUM_FRAMES) < len(sampled), np.pad(plan.key[sampled] > 0, (0, missing))


def cache_frames(folder: Path):
    """Draws the videos once: `<set>_frames.npy` uint8 (N, T, 3, size, size), `<set>_mask.npy` and `<set>_key.npy`."""
    for name, (start, count, options) in VIDEO_SETS.items():
        if (folder / f"{name}_key.npy").exists():
            continue
        shape = (count, NUM_FRAMES, 3, SIZE + MARGIN, SIZE + MARGIN)
        frames = np.lib.format.open_memmap(folder / f"{name}_frames.npy", "w+", np.uint8, shape)
        masks, keys = np.empty(shape[:2], bool), np.empty(shape[:2], bool)
        jobs = [(start + number, options) for number in range(count)]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            drawn = tqdm(pool.map(_draw, jobs, chunksize=8), total=count, desc=f"drawing {name} videos")
            for number, video in enumerate(drawn):
                frames[number], masks[number], keys[number] = video
        frames.flush()
        np.save(folder / f"{name}_mask.npy", masks)
        np.save(folder / f"{name}_key.npy", keys)


def _draw_face(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Four frames of one face, action units drawn at random, not those of an expression."""
    generator = np.random.default_rng([7, number])
    identity, scene = make_identity(generator), make_scene(generator)
    units = (generator.random((4, len(AUS))) < 0.3) * generator.uniform(0.2, 1, (4, len(AUS)))
    pose = np.concatenate([move_head(generator, 1) for _ in units])
    return draw_faces(identity, scene, units, pose, SIZE + MARGIN, generator), units.astype(np.float32)


def pretrain_backbones(faces: int = 3000, epochs: int = 24):
    """
    Trains both backbones to tell the action units in single frames of other faces; writes `BACKBONES`.
    From random weights, `tiny` stays at chance for the first thousand steps on weakly labelled videos; people
    fine-tune from pretrained weights anyway. No expression label is seen here.
    """
    if BACKBONES.exists():
        return
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        drawn = list(tqdm(pool.map(_draw_face, range(faces), chunksize=50), total=faces, desc="drawing faces"))
    frames = torch.from_numpy(np.concatenate([video for video, _ in drawn]))
    units = torch.from_numpy(np.concatenate([strengths for _, strengths in drawn]))
    torch.manual_seed(0)
    model = RDFERForVideoClassification(new_config())
    backbones = nn.ModuleDict({"backbone": model.rdfer.backbone, "detector_backbone": model.rdfer.detector.backbone})
    heads = nn.ModuleDict({name: nn.Linear(b.channels[-1], len(AUS)) for name, b in backbones.items()})
    steps = epochs * (len(frames) // 64)
    optimizer = torch.optim.AdamW([*backbones.parameters(), *heads.parameters()], weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.config.image_mean, model.config.image_std))
    for _ in tqdm(range(epochs), desc="training backbones"):
        for batch in torch.randperm(len(frames))[: len(frames) // 64 * 64].split(64):
            top, left = torch.randint(0, MARGIN + 1, (2,)).tolist()
            images = frames[batch, :, top : top + SIZE, left : left + SIZE]
            images = images.flip(-1) if torch.rand(()) < 0.5 else images
            images = ((images / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                loss = sum(
                    F.mse_loss(heads[name](network(images).feature_maps[-1].mean((2, 3))), units[batch])
                    for name, network in backbones.items()
                )
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    RESULTS.mkdir(parents=True, exist_ok=True)
    save_file(backbones.state_dict(), BACKBONES)


def new_config(**overrides) -> RDFERConfig:
    """Configuration of preset `tiny` for 64 pixels and the labels of the synthetic videos."""
    return RDFERConfig.from_preset(
        "tiny", **{"id2label": LABELS, "image_size": SIZE, "detector_image_size": SIZE, **overrides}
    )


class CachedVideos(torch.utils.data.Dataset):
    """
    The cached videos of a set, or some of them by number, with given labels. In training every video is cropped and
    flipped at random.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        labels: list[int],
        num_clips: int,
        training: bool,
        seed: int = 0,
        numbers: list[int] | None = None,
    ):
        self.numbers = list(range(len(labels))) if numbers is None else numbers
        self.frames = np.load(folder / f"{name}_frames.npy", mmap_mode="c")
        self.masks = np.load(folder / f"{name}_mask.npy")
        self.labels, self.num_clips, self.training = labels, num_clips, training
        self.seed, self.epoch = seed, 0
        self.sample_columns = {"sample_id": [f"{number:06d}" for number in self.numbers]}

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        number = self.numbers[index]
        example = {"labels": self.labels[index], "sample_index": index, "frame_mask": self.masks[number]}
        top = left = MARGIN // 2
        flip = False
        if self.training:
            generator = np.random.default_rng([self.seed, self.epoch, number])
            top, left = generator.integers(0, MARGIN, 2, endpoint=True)
            flip = generator.random() < 0.5
            example["clip_jitter"] = torch.from_numpy(generator.random(self.num_clips, dtype=np.float32))
        frames = torch.from_numpy(self.frames[number, :, :, top : top + SIZE, left : left + SIZE])
        example["pixel_values_videos"] = frames.flip(-1) if flip else frames.contiguous()
        return example


# One run -------------------------------------------------------------------------------------------------------------


def mute(model: RDFERForVideoClassification, streams: tuple[str, ...]):
    """Keeps the heads of streams at zero, where they start: what a stream says then reaches no answer."""
    size = model.config.hidden_size
    fused = torch.ones(2 * size)
    if "short_term" in streams:
        model.short_term_classifier.requires_grad_(False)
        fused[:size] = 0
    if "long_term" in streams:
        fused[size:] = 0
    model.fusion_classifier.weight.register_hook(lambda gradient: gradient * fused)


def load_backbones(**backbones: nn.Module):
    """Copies the pretrained weights into a `backbone` and a `detector_backbone`."""
    weights = load_file(BACKBONES)
    for name, backbone in backbones.items():
        prefix = f"{name}."
        backbone.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})


def new_model(run: Run) -> RDFERForVideoClassification:
    """The model of a run, from the pretrained backbones."""
    torch.manual_seed(run.seed)
    model = RDFERForVideoClassification(new_config(**run.config))
    load_backbones(backbone=model.rdfer.backbone, detector_backbone=model.rdfer.detector.backbone)
    if run.muted:
        mute(model, run.muted)
    return model


def new_trainer(
    run: Run,
    model: PreTrainedModel,
    cache: Path,
    output_dir: str,
    labels: list[int] | None = None,
    numbers: list[int] | None = None,
) -> RDFERTrainer:
    """The trainer of a run: its training set with given labels, or other `labels` or some `numbers` of it."""
    if labels is None:
        labels = given_labels(run)
    if numbers is not None:
        labels = [labels[number] for number in numbers]
    arguments = RDFERTrainingArguments(
        output_dir=output_dir,
        seed=run.seed,
        save_strategy="no",
        report_to="none",
        logging_strategy="epoch",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **{**SCHEDULE, **run.arguments},
    )
    dataset = CachedVideos(cache, "train", labels, model.config.num_clips, True, run.seed, numbers)
    return RDFERTrainer(model=model, args=arguments, train_dataset=dataset)


def video_truths(name: str, **noise):
    """Truths of a set of videos."""
    start, count, options = VIDEO_SETS[name]
    return make_truths(count, 0, start=start, **options, **noise)


def training_truths(run: Run):
    """Truths of the training set, with the labels that the run is given."""
    return video_truths("train", **NOISE[run.noise], noise_seed=run.seed)


def given_labels(run: Run) -> list[int]:
    """The labels of the training set that the run is given, as numbers."""
    return [LABELS.index(truth.given_label) for truth in training_truths(run)]


@torch.inference_mode()
def answer(model: PreTrainedModel, cache: Path, name: str, fields: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Some fields of the model's output for all videos of a set."""
    videos = CachedVideos(cache, name, [0] * VIDEO_SETS[name][1], model.config.num_clips, training=False)
    model.eval()
    parts = {field: [] for field in fields}
    for part in torch.arange(len(videos)).split(50):
        examples = [videos[number] for number in part.tolist()]
        masks = torch.stack([torch.from_numpy(example["frame_mask"]) for example in examples])
        with torch.autocast("cpu", torch.bfloat16, enabled=SCHEDULE["bf16"]):
            output = model(torch.stack([example["pixel_values_videos"] for example in examples]), frame_mask=masks)
        for field, values in parts.items():
            values.append(output[field])
    return {field: torch.cat(values) for field, values in parts.items()}


def counted_videos(name: str, truths) -> np.ndarray:
    """Which videos of a set count: in that of brief ones neutral ones are there for the balance of labels only."""
    return np.array([name != "brief" or truth.hard_kind == "brief" for truth in truths])


def test(model: RDFERForVideoClassification, cache: Path, name: str) -> dict:
    """WAR, UAR and recalls on a clean set; how much of what re-sampling looks at shows the key expression."""
    truths = video_truths(name)
    labels = np.array([LABELS.index(truth.true_label) for truth in truths])
    masks, key = (torch.from_numpy(np.load(cache / f"{name}_{what}.npy")) for what in ("mask", "key"))
    output = answer(model, cache, name, ("logits", "key_frame_indices"))
    predicted = output["logits"].argmax(-1).numpy()
    even = resample_clips(
        torch.ones(masks.shape),
        masks.sum(1),
        **{name: getattr(model.config, name) for name in ("num_clips", "frames_per_clip", "clip_stride")},
    )
    shares, uniform_shares = (
        key.gather(1, indices.flatten(1)).float().mean(1).numpy() for indices in (output["key_frame_indices"], even)
    )
    taken = counted_videos(name, truths)
    # A neutral video has no key expression.
    with_key = taken & (labels != LABELS.index("neutral"))
    metrics = recognition_metrics(predicted[taken], labels[taken], LABELS)
    return {
        **{key: value for key, value in metrics.items() if isinstance(value, float)},
        "videos": int(taken.sum()),
        "key_share": float(shares[with_key].mean()),
        "key_share_uniform": float(uniform_shares[with_key].mean()),
    }


def noise_detection(table, truths) -> dict:
    """
    How well each score of a sample table, low for suspicious, tells wrong labels from right ones: AUROC, average
    precision, precision at the true rate, and AUROC among hard and wrongly labelled videos only.
    """
    from cleanlab.rank import get_label_quality_scores

    labels = np.array([LABELS.index(truth.given_label) for truth in truths])
    wrong = np.array([truth.is_noisy for truth in truths])
    hard = np.array([truth.is_hard for truth in truths])
    probabilities = np.array(table["probabilities"].to_pylist(), np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    loss = table["loss"].to_numpy()
    scores = {"label_quality": table["label_quality"].to_numpy(), "loss": -loss}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        scores[f"cleanlab {method}"] = get_label_quality_scores(labels, probabilities, method=method)
    result = {}
    for name, score in scores.items():
        worst = np.argsort(score, kind="stable")[: wrong.sum()]
        among = hard | wrong
        result[name] = {
            "auroc": float(roc_auc_score(wrong, -score)),
            "auprc": float(average_precision_score(wrong, -score)),
            "precision_at_true_rate": float(wrong[worst].mean()),
            "auroc_hard_noisy": float(roc_auc_score(wrong[among], -score[among])),
        }
    return result


def execute(run: Run, cache: Path) -> dict:
    """Trains and measures."""
    import pyarrow.parquet

    start = time.time()
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = new_trainer(run, new_model(run), cache, output_dir)
        trainer.train()
        table = pyarrow.parquet.read_table(Path(output_dir) / SAMPLE_TABLE_NAME)
    minutes = (time.time() - start) / 60
    truths = training_truths(run)
    noisy = np.array(table["partition"].to_pylist()) == "noisy"
    wrong = np.array([truth.is_noisy for truth in truths])
    hard = np.array([truth.is_hard for truth in truths])
    result = {
        "run": dataclasses.asdict(run),
        "settings": settings(trainer.args),
        "train_videos": len(truths),
        "flipped": float(wrong.mean()),
        "test": test(trainer.model, cache, "test"),
        "brief": test(trainer.model, cache, "brief"),
        "partition": {
            "hard_called_noisy": float(noisy[hard & ~wrong].mean()),
            "clean_called_noisy": float(noisy[~hard & ~wrong].mean()),
            "called_noisy": float(noisy.mean()),
        },
        "minutes": round(minutes, 2),
        "machine": machine(),
    }
    if wrong.any():
        result["partition"]["wrong_called_noisy"] = float(noisy[wrong].mean())
        result["detection"] = noise_detection(table, truths)
    return result


# Settings of the verdicts: they change nothing where no verdict takes effect.
VERDICT_SETTINGS = {
    *("noisy_margin_threshold", "full_doubt_margin", "noisy_loss_threshold", "max_noisy_share", "noisy_sample_weight"),
    *("relabel_start", "hard_agreement_threshold", "hard_sample_gain", "agreement_warmup_epochs", "base_loss"),
}


def settings(arguments: RDFERTrainingArguments) -> dict:
    """What a run was told and depends on, defaults included, so that results of other defaults are found out."""
    own = {field.name for field in dataclasses.fields(RDFERTrainingArguments)}
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)}
    names = (own - inherited) | {*SCHEDULE, "label_smoothing_factor", "weight_decay", "warmup_steps"}
    # Grouping and guidance: told only where a run has them.
    optional = ("emotion_grouping", "sentiment_loss_weight", "frame_guidance_weight", "clip_guidance_weight")
    names -= {name for name in (*optional, "frame_teacher") if getattr(arguments, name) is None}
    names = {name for name in names if not name.startswith("hub_")}
    if arguments.loss != "agreement":
        names -= VERDICT_SETTINGS
    return {name: getattr(arguments, name) for name in sorted(names)}


def machine() -> dict:
    """What the figures were measured with."""
    names = ("torch", "transformers", "accelerate", "scikit-learn", "cleanlab")
    return {
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in names},
    }


def measure_step_time(cache: Path, repeats: int = 60) -> dict:
    """
    Seconds of a training step of the same model and batch, alternating: with the model's own loss and no record, with
    `--loss ce` (which keeps the record, too) and with `--loss agreement`; and of the verdicts at the end of an epoch.
    """
    seconds = {"plain": [], "ce": [], "agreement": []}
    with tempfile.TemporaryDirectory() as output_dir:
        runs = [Run(name, "symmetric", 0, {"loss": name.replace("plain", "ce")}) for name in seconds]
        trainers = {run.name: new_trainer(run, new_model(run), cache, output_dir) for run in runs}
        size = SCHEDULE["per_device_train_batch_size"]
        for trainer in trainers.values():
            trainer.create_optimizer()
            trainer.begin_epoch(0)
            trainer.model.train()
        dataset = trainers["ce"].train_dataset
        batch = trainers["ce"].data_collator([dataset[number] for number in range(size)])
        plain = {name: value for name, value in batch.items() if name != "sample_index"}
        for turn in range(repeats + 3):
            for name, trainer in trainers.items():
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=SCHEDULE["bf16"]):
                    if name == "plain":
                        loss = trainer.model(**plain).loss
                    else:
                        loss = trainer.compute_loss(trainer.model, batch)
                loss.backward()
                trainer.optimizer.step()
                trainer.optimizer.zero_grad()
                if turn >= 3:  # the first ones allocate
                    seconds[name].append(time.perf_counter() - start)
        start = time.perf_counter()
        trainers["agreement"].finish_epoch()
        end_of_epoch = time.perf_counter() - start
    median = {name: statistics.median(values) for name, values in seconds.items()}
    # Ratios of neighbouring steps: the machine's moods hit both alike.
    ratios = {
        f"agreement : {name}": statistics.median(a / b for a, b in zip(seconds["agreement"], seconds[name]))
        for name in ("ce", "plain")
    }
    return {"seconds": median, "end_of_epoch_seconds": end_of_epoch, "ratios": ratios, "machine": machine()}


# Tables --------------------------------------------------------------------------------------------------------------


def render(results: dict[str, dict]) -> str:
    """Markdown tables of all results, WAR and shares in per cent: mean and standard deviation over the seeds."""

    def cell(name: str, *path: str) -> str:
        values = [results[f"{name}-{seed}"] for seed in (*SEEDS, *CLEAN_SEEDS) if f"{name}-{seed}" in results]
        for key in path:
            values = [value[key] for value in values if key in value]
        if not values:
            return "-"
        spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{100 * statistics.mean(values):.1f}{spread}"

    flipped = {noise: cell(f"ce-{noise}", "flipped").split(" ")[0] for noise in NOISE}
    parts = [
        "WAR on 1,400 clean test videos, by loss and by wrong labels in training (share of labels truly flipped):",
        markdown_table(
            ("loss", *(f"{noise} ({share} %)" for noise, share in flipped.items())),
            [
                (loss.replace("_", " "), *(cell(f"{loss}-{noise}", "test", "war") for noise in NOISE))
                for loss in LOSSES
            ],
        ),
        "Finding the wrong labels in the sample table of the same runs: AUROC / average precision / precision among "
        "as many videos as are truly wrong / AUROC of wrong labels against hard videos:",
        markdown_table(
            ("run", "score", "symmetric", "asymmetric"),
            [
                (
                    loss,
                    score,
                    *(
                        " / ".join(
                            cell(f"{loss}-{noise}", "detection", score, name)
                            for name in ("auroc", "auprc", "precision_at_true_rate", "auroc_hard_noisy")
                        )
                        for noise in ("symmetric", "asymmetric")
                    ),
                )
                for loss in ("agreement", "ce")
                for score in DETECTION_SCORES
            ],
        ),
        "Whom the verdict noisy meets at the end of training with `--loss agreement`:",
        markdown_table(
            ("share called noisy", *NOISE),
            [
                (text, *(cell(f"agreement-{noise}", "partition", name) for noise in NOISE))
                for text, name in (
                    ("of wrong labels", "wrong_called_noisy"),
                    ("of hard videos with the right label", "hard_called_noisy"),
                    ("of other videos with the right label", "clean_called_noisy"),
                )
            ],
        ),
        "Parts of the model, cross-entropy and clean labels. Brief: 600 other videos whose key expression fills less "
        "than 30 % of the frames. Frames: share of re-sampled frames that show the key expression (evenly spread ones "
        "in brackets):",
        markdown_table(
            ("model", "WAR", "WAR, brief", "frames, brief"),
            [
                (
                    name.replace("_", " "),
                    cell(f"{name}-none", "test", "war"),
                    cell(f"{name}-none", "brief", "war"),
                    f"{cell(f'{name}-none', 'brief', 'key_share')} "
                    f"({cell(f'{name}-none', 'brief', 'key_share_uniform').split(' ')[0]})",
                )
                for name in ("ce", *MODELS)
            ],
        ),
    ]
    if "step_time" in results:
        step = results["step_time"]
        parts.append(
            f"Time of a training step with `--loss agreement`: {step['ratios']['agreement : ce']:.3f} of that with "
            f"`--loss ce`, {step['ratios']['agreement : plain']:.3f} of one that keeps no record; the verdicts take "
            f"{1000 * step['end_of_epoch_seconds']:.0f} ms at the end of an epoch of {VIDEO_SETS['train'][1]} videos."
        )
    any_result = next(result for name, result in results.items() if name != "step_time")
    tested = ", ".join(f"{name} {value}" for name, value in any_result["machine"].items())
    parts.append(
        f"Measured with {tested}; {len(results) - ('step_time' in results)} of {len(all_runs())} runs are there, "
        f"seeds {', '.join(map(str, SEEDS))}, of ce and agreement without wrong labels also "
        f"{', '.join(map(str, CLEAN_SEEDS))}; {any_result['train_videos']} training videos; "
        + ", ".join(f"{name} {value}" for name, value in SCHEDULE.items())
        + "."
    )
    return "\n\n".join(parts)


DETECTION_SCORES = (
    "label_quality",
    "loss",
    "cleanlab self_confidence",
    "cleanlab normalized_margin",
    "cleanlab confidence_weighted_entropy",
)


def load_results(folder: Path = RESULTS) -> dict[str, dict]:
    """All results by the names of their files, in the order of the names."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def write(name: str, result: dict, folder: Path = RESULTS):
    """Writes a result when it is complete, not before."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.part"
    partial.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(partial, folder / f"{name}.json")


def run_in_processes(module: str, names: list[str], cache: Path, jobs: int):
    """Runs `python -m module --one NAME` for all names, `jobs` at a time, one thread each."""
    command = [sys.executable, "-m", module, "--cache", str(cache), "--one"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run_one(name: str):
        done = subprocess.run([*command, name], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Run {name} failed:\n{done.stderr[-3000:]}")

    # Processes, since runs would share one random generator; threads only wait for them.
    with ThreadPoolExecutor(jobs) as pool:
        for _ in tqdm(pool.map(run_one, names), total=len(names), desc="runs"):
            pass


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("output/noise"), help="folder for the frames")
    parser.add_argument("--only", default="", help="only runs whose names contain this; step_time is one, too")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (default: 2)")
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what this script calls itself with
    arguments = parser.parse_args()
    runs = {run.name: run for run in all_runs()}
    if arguments.one:
        torch.set_num_threads(1)
        return write(arguments.one, execute(runs[arguments.one], arguments.cache))
    if not arguments.render:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        cache_frames(arguments.cache)
        pretrain_backbones()
        missing = [name for name in runs if arguments.only in name and not (RESULTS / f"{name}.json").exists()]
        run_in_processes("training.benchmarks.noise", missing, arguments.cache, arguments.jobs)
        if arguments.only in "step_time" and not (RESULTS / "step_time.json").exists():
            torch.set_num_threads(1)
            write("step_time", measure_step_time(arguments.cache))
    write_tables("training.benchmarks.noise", render(load_results()))


if __name__ == "__main__":
    main()
