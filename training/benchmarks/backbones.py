# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the recipes of strong backbones cost: parameters, multiply-adds of a video, memory of a training step. All are
counted in float32, not timed, so they do not depend on the machine. Weights are random; nothing is downloaded.
"""

from pathlib import Path

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode
from transformers import ConvNextV2Config, Dinov2Config, TimmBackboneConfig

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.trainer.lora import add_lora
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, write_tables
from training.running.build_model import parse_overrides
from training.running.script_parser import ScriptParser

FILE = "backbones.jsonl"
RECIPES = Path(__file__).parents[1] / "recipes"
EXAMPLES = "example: python -m training.benchmarks.backbones --only dinov2_small --output-dir output/backbones"
# The networks that the recipes name, as their checkpoints on the Hub configure them. None: the preset's own.
NETWORKS = {
    "consumer_gpu": None,
    "authors": None,
    "convnextv2_tiny": ConvNextV2Config(depths=[3, 3, 9, 3], hidden_sizes=[96, 192, 384, 768], out_indices=[4]),
    "eva02_small": TimmBackboneConfig(backbone="eva02_small_patch14_224", out_indices=[-1]),
    "dinov2_small": Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, out_indices=[12]
    ),
    "dinov2_base": Dinov2Config(image_size=518, patch_size=14, out_indices=[12]),
    "clip_vit_b16": TimmBackboneConfig(backbone="vit_base_patch16_clip_224", out_indices=[-1]),
}
# Figures of others: millions of parameters, billions of multiply-adds (their "FLOPs") of one clip of 16 frames.
PUBLISHED = {
    "SVFAP-S": (30, 18, "SVFAP (arXiv 2401.00416)"),
    "MAE-DFER": (85, 50, "tables 12 to 14 of MAE-DFER (arXiv 2307.02227)"),
    "VideoMAE-base": (86, 81, "the same"),
}


def recipe_model(recipe: str) -> RDFERForVideoClassification:
    """The model of a recipe with random weights, as its training sets it up."""
    settings = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    overrides = parse_overrides(settings.get("config_overrides"))
    if NETWORKS[recipe] is not None:
        overrides["backbone_config"] = NETWORKS[recipe]
    model = RDFERForVideoClassification(RDFERConfig.from_preset(settings["preset"], num_labels=7, **overrides))
    if settings.get("drop_path"):
        model.set_drop_path(settings["drop_path"])
    if settings.get("lora_rank"):
        add_lora(model.rdfer.backbone, settings["lora_rank"])
    if settings.get("gradient_checkpointing"):
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def measure(model: RDFERForVideoClassification) -> dict[str, float]:
    """Figures of a model: numbers of parameters, multiply-adds, and bytes.

    The memory that a step takes is `fixed_bytes` (weights, gradients and AdamW's two moments) and `video_bytes` for
    each video of the batch (what the forward keeps for the backward; with gradient checkpointing, also what the
    recomputed block keeps is needed for a while, which is not counted).
    """
    config = model.config
    frames = torch.zeros(1, config.num_frames, 3, config.image_size, config.image_size, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(frames)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(frames, labels=torch.tensor([0])).loss
    for parameter in model.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    del loss
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    parameters = sum(size for size, _ in sizes)
    trained = sum(size for size, is_trained in sizes if is_trained)
    return {
        "parameters": parameters,
        "trained_parameters": trained,
        "multiply_adds": counter.get_total_flops() / 2,
        "fixed_bytes": 4 * parameters + 12 * trained,
        "video_bytes": sum(kept.values()),
    }


def render(results: dict[str, dict]) -> str:
    """The tables of docs/benchmarks.md."""
    paper = results["authors"]["multiply_adds"]
    rows = [
        (
            f"`{name}.yaml`",
            f"{run['parameters'] / 1e6:.0f}",
            f"{run['trained_parameters'] / 1e6:.1f}",
            f"{run['multiply_adds'] / 1e9:.1f}",
            f"{run['multiply_adds'] / paper:.2f}",
            f"{run['fixed_bytes'] / 1e9:.2f}",
            f"{run['video_bytes'] / 1e9:.2f}",
        )
        for name, run in sorted(results.items(), key=lambda item: item[1]["multiply_adds"])
    ]
    header = (
        *("recipe", "M parameters", "M trained", "G multiply-adds of a video", "times preset `paper`"),
        *("GB of weights, gradients, AdamW", "GB more for each video"),
    )
    published = [
        (name, str(parameters), str(adds), f"{adds * 1e9 / paper:.2f}", source)
        for name, (parameters, adds, source) in PUBLISHED.items()
    ]
    header_published = ("published", "M parameters", "G multiply-adds of a clip", "times preset `paper`", "source")
    return markdown_table(header, rows) + "\n\n" + markdown_table(header_published, published)


def main(argv: list[str] | None = None):
    """Counts and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.backbones", __doc__, EXAMPLES)
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="recipes")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    path = arguments.output_dir / FILE
    for recipe in () if arguments.render else arguments.only:
        write_result(path, recipe, measure(recipe_model(recipe)))
        print(f"{recipe} is counted.", flush=True)
    results = load_results(path)
    if "authors" in results:
        print(render(results))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("backbones", render(results))


if __name__ == "__main__":
    main()
