# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Low-rank adapters (LoRA, arXiv 2106.09685) of a backbone's linear layers, through PEFT.

Checkpoints hold the merged weights, as every model can load them, and beside them the trained parameters, which a
resumed training needs.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

LORA_NAME = "lora.safetensors"


def add_lora(backbone: nn.Module, rank: int):
    """Freezes a backbone and gives each of its linear layers an adapter of `rank`, scaled by 2, that starts at zero.

    Args:
        backbone (`nn.Module`): the backbone; it is changed.
        rank (`int`): rank of the adapters, at least 1.

    Raises:
        ImportError: if PEFT is missing.
        ValueError: if there is no linear layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError("--lora-rank needs PEFT: pip install peft.") from error
    layers = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"--lora-rank: the backbone, a {type(backbone).__name__}, has no linear layers.")
    backbone.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers), backbone)


def _lora_layers(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the state of a model with the adapters added to the weights, under the names it has without adapters."""
    layers = _lora_layers(model)
    state = {}
    for name, value in model.state_dict().items():
        owner, _, rest = name.partition(".base_layer.")
        if owner in layers and rest:
            state[f"{owner}.{rest}"] = value + layers[owner].get_delta_weight("default") if rest == "weight" else value
        elif name.partition(".lora_")[0] not in layers:
            state[name] = value
    return state


def save_lora(model: nn.Module, folder):
    """Writes the trained parameters of a model with adapters into a checkpoint's folder."""
    trained = {name: value.detach().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    save_file(trained, Path(folder) / LORA_NAME)


def load_lora(model: nn.Module, folder):
    """Loads a checkpoint that [`save_lora`] completed into a model with adapters.

    The frozen layers below adapters keep their weights, since those of the checkpoint are merged.

    Raises:
        FileNotFoundError: if the checkpoint is of a training without adapters.
    """
    folder = Path(folder)
    if not (folder / LORA_NAME).is_file():
        raise FileNotFoundError(f"{folder} has no {LORA_NAME}: it comes from a training without --lora-rank.")
    layers = _lora_layers(model)
    merged = {
        name: value for path in sorted(folder.glob("model*.safetensors")) for name, value in load_file(path).items()
    }
    state = {name: value for name, value in merged.items() if name.rpartition(".")[0] not in layers}
    model.load_state_dict(state | load_file(folder / LORA_NAME), strict=False)


__all__ = ["LORA_NAME", "add_lora", "load_lora", "merged_state", "save_lora"]
