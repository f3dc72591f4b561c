# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Runs of tiny models on the synthetic videos: how they start, train and are measured."""

import dataclasses
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, TrainingArguments

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.resampling_rdfer import resample_clips
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.metrics import recognition_metrics
from modeling_rdfer.trainer.trainer import RDFERTrainer
from training.benchmarks.shared.synthetic_videos import (
    MARGIN,
    SIZE,
    VIDEO_SETS,
    CachedVideos,
    counted_videos,
    video_truths,
)
from training.synthetic.appearance import ACTION_UNITS, make_identity, make_scene
from training.synthetic.faces import draw_faces
from training.synthetic.labels import LABELS
from training.synthetic.motion import move_head

# Weights that every run starts from, whenever it is run.
WEIGHTS = Path(__file__).parents[1] / "weights"
BACKBONES = WEIGHTS / "backbones.safetensors"
SEEDS = (0, 1, 2)
NOISE = {
    "none": {},
    "symmetric": {"noise": 0.3, "noise_type": "symmetric"},
    "asymmetric": {"noise": 0.2, "noise_type": "asymmetric"},
}
# The same for every run.
SCHEDULE = {
    "num_train_epochs": 45,
    "per_device_train_batch_size": 32,
    "learning_rate": 3e-3,
    "bf16": True,
}


# Versions that results depend on.
LIBRARIES = ("torch", "transformers", "accelerate", "scikit-learn", "cleanlab")


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: what differs between runs."""

    name: str
    noise: str
    seed: int
    arguments: dict  # of RDFERTrainingArguments
    config: dict = dataclasses.field(default_factory=dict)  # of RDFERConfig
    muted: tuple[str, ...] = ()  # streams whose heads stay zero
    start: str = "action_units"  # what the backbones know, see `load_backbones`
    summary: str = "all"  # what the detecting network tells the long-term stream, see `tell_identity_only`


def _draw_face(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Four frames of one face, and their action units: drawn at random, not those of an expression."""
    generator = np.random.default_rng([7, number])
    identity, scene = make_identity(generator), make_scene(generator)
    units = (generator.random((4, len(ACTION_UNITS))) < 0.3) * generator.uniform(0.2, 1, (4, len(ACTION_UNITS)))
    pose = np.concatenate([move_head(generator, 1) for _ in units])
    return draw_faces(identity, scene, units, pose, SIZE + MARGIN, generator), units.astype(np.float32)


def pretrain_backbones(faces: int = 3000, epochs: int = 24):
    """Trains both backbones to recognise action units in single frames of other faces, unless `BACKBONES` is there.
    From random weights, preset `tiny` stays at chance for the first thousand steps on weakly labelled videos; in
    practice, too, training starts from pretrained weights. No expression label is used here.
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
    heads = nn.ModuleDict({name: nn.Linear(b.channels[-1], len(ACTION_UNITS)) for name, b in backbones.items()})
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
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    save_file(backbones.state_dict(), BACKBONES)


def new_config(**overrides) -> RDFERConfig:
    """Preset `tiny` for 64 pixels and the labels of the synthetic videos."""
    return RDFERConfig.from_preset(
        "tiny", **{"id2label": LABELS, "image_size": SIZE, "detector_image_size": SIZE, **overrides}
    )


def mute(model: RDFERForVideoClassification, streams: tuple[str, ...]):
    """Keeps the heads of streams at zero, where they start: so the streams do not contribute to the logits."""
    size = model.config.hidden_size
    fused = torch.ones(2 * size)
    if "short_term" in streams:
        model.short_term_classifier.requires_grad_(False)
        fused[:size] = 0
    if "long_term" in streams:
        fused[size:] = 0
    model.fusion_classifier.weight.register_hook(lambda gradient: gradient * fused)


def tell_identity_only(model: RDFERForVideoClassification):
    """The detecting network tells the long-term stream which expression it sees, and nothing else."""

    def keep_identity(module, arguments, outputs):
        detector_logits, frame_logits, summary, states = outputs
        identity = F.one_hot(detector_logits.argmax(-1), summary.shape[-1]).to(summary.dtype)
        return detector_logits, frame_logits, identity, states

    model.rdfer.detector.register_forward_hook(keep_identity)


# Parts of the names of weights that only belong to the later stages of a backbone.
LATER_STAGES = ("stages.1", "stages.2")


def load_backbones(start: str = "action_units", **backbones: nn.Module):
    """Copies the pretrained weights into networks named `backbone` and `detector_backbone`.

    Args:
        start (`"action_units"`, `"low_level"` or `"random"`, *optional*): all weights; those of the stem and the first
            stage alone, so that the backbones know edges and textures but no faces, as after training on ImageNet; or
            none.
        **backbones (`nn.Module`): the networks.
    """
    if start == "random":
        return
    weights = load_file(BACKBONES)
    if start == "low_level":
        weights = {name: value for name, value in weights.items() if not any(part in name for part in LATER_STAGES)}
    for name, backbone in backbones.items():
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        backbone.load_state_dict(own, strict=start == "action_units")


def new_model(run: Run) -> RDFERForVideoClassification:
    """The model of a run."""
    torch.manual_seed(run.seed)
    model = RDFERForVideoClassification(new_config(**run.config))
    load_backbones(run.start, backbone=model.rdfer.backbone, detector_backbone=model.rdfer.detector.backbone)
    if run.muted:
        mute(model, run.muted)
    if run.summary == "identity":
        tell_identity_only(model)
    return model


def new_trainer(
    run: Run,
    model: PreTrainedModel,
    cache: Path,
    output_dir: str,
    labels: list[int] | None = None,
    numbers: list[int] | None = None,
) -> RDFERTrainer:
    """The trainer of a run.

    Args:
        run ([`Run`]): the run.
        model (`PreTrainedModel`): its model.
        cache (`Path`): folder of the cached videos.
        output_dir (`str`): where to save.
        labels (`list[int]`, *optional*): labels of the training set; by default those given to the run.
        numbers (`list[int]`, *optional*): the training videos to use; all by default.
    """
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


def training_truths(run: Run):
    """The truth about each training video, including the label that the run is given."""
    return video_truths("train", **NOISE[run.noise], noise_seed=run.seed)


def given_labels(run: Run) -> list[int]:
    """The label of each training video that the run is given."""
    return [LABELS.index(truth.given_label) for truth in training_truths(run)]


@torch.inference_mode()
def outputs_of(model: PreTrainedModel, cache: Path, name: str, fields: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Fields of the model's output for all videos of a set."""
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


def recognition_of(model: RDFERForVideoClassification, cache: Path, name: str) -> dict:
    """WAR, UAR and recalls on a set with right labels; share of re-sampled frames that show the key expression."""
    truths = video_truths(name)
    labels = np.array([LABELS.index(truth.true_label) for truth in truths])
    masks, key = (torch.from_numpy(np.load(cache / f"{name}_{what}.npy")) for what in ("mask", "key"))
    output = outputs_of(model, cache, name, ("logits", "key_frame_indices"))
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
    # Neutral videos have no key expression.
    with_key = taken & (labels != LABELS.index("neutral"))
    metrics = recognition_metrics(predicted[taken], labels[taken], LABELS)
    return {
        **{key: value for key, value in metrics.items() if isinstance(value, float)},
        "videos": int(taken.sum()),
        "key_share": float(shares[with_key].mean()),
        "key_share_uniform": float(uniform_shares[with_key].mean()),
    }


# Settings of the verdicts, which only the agreement loss uses.
VERDICT_SETTINGS = {
    *("full_doubt_margin", "noisy_loss_threshold", "max_noisy_share", "noisy_sample_weight"),
    *("relabel_start", "hard_agreement_threshold", "hard_sample_gain", "agreement_warmup_epochs", "base_loss"),
}


def settings(arguments: RDFERTrainingArguments) -> dict:
    """The settings that a run depends on, defaults included, so that a changed default is noticed."""
    own = {field.name for field in dataclasses.fields(RDFERTrainingArguments)}
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)}
    names = (own - inherited) | {*SCHEDULE, "label_smoothing_factor", "weight_decay", "warmup_steps"}
    # Grouping and guidance: only if the run has them.
    optional = ("emotion_grouping", "sentiment_loss_weight", "frame_guidance_weight", "clip_guidance_weight")
    names -= {name for name in (*optional, "frame_teacher") if getattr(arguments, name) is None}
    # Options that change nothing by default, which no run uses.
    unused = {"layer_decay": 1.0, "drop_path": 0.0, "lora_rank": 0}
    names -= {name for name, default in unused.items() if getattr(arguments, name) == default}
    names = {name for name in names if not name.startswith("hub_")}
    if arguments.loss != "co_teaching":
        names.remove("forget_rate")
    names.remove("trusted_weight")  # of runs with trusted labels, which have no other setting
    if arguments.loss != "agreement":
        names -= VERDICT_SETTINGS
    return {name: getattr(arguments, name) for name in sorted(names)}
