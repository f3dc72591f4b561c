# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Converts a checkpoint that MAE-DFER publishes (github.com/sunlicai/MAE-DFER), pre-trained or fine-tuned, into a
folder that --backbone takes. Only the names and shapes of its weights follow that repository (MIT license).
"""

import argparse
import re
from pathlib import Path

import torch

from modeling_rdfer.models.configuration_rdfer import RDFERRegionEncoderConfig
from modeling_rdfer.models.region_encoder_rdfer import RDFERRegionEncoder
from training.data.messages import first_few
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.build.mae_dfer --checkpoint checkpoint-49.pth --output-dir output/mae_dfer
  python -m training.train --config training/recipes/mae_dfer.yaml --backbone output/mae_dfer --dataset D \\
    --output-dir out
"""
NORMS = {
    "first_attn_norm0": "region_norm",
    "second_attn_norm0": "representative_norm",
    "third_attn_norm0": "exchange_norm",
    "third_attn_norm1": "exchange_representative_norm",
    "norm2": "mlp_norm",
}
ATTENTIONS = {
    "first_attn": "region_attention",
    "second_attn": "representative_attention",
    "third_attn": "exchange_attention",
}
# The decoder of the pre-training and the classifier of the fine-tuning are left out.
LEFT_OUT = re.compile(r"decoder\.|encoder_to_decoder\.|mask_token$|head\.")


def convert_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Renames the weights of MAE-DFER's encoder.

    Args:
        state (`dict[str, torch.Tensor]`): weights by their published names, of the pre-training (`encoder.` before
            each) or of the fine-tuning.

    Returns:
        `dict[str, torch.Tensor]`: weights by the names of [`RDFERRegionEncoder`].

    Raises:
        ValueError: if a name is not one of MAE-DFER's.
    """
    converted, unknown = {}, []
    for published, value in state.items():
        name = published.removeprefix("module.").removeprefix("encoder.")
        block = re.fullmatch(r"blocks\.(\d+)\.(\w+)\.(.+)", name)
        part, rest = (block[2], block[3]) if block else ("", "")
        prefix = f"layers.{block[1]}." if block else ""
        if LEFT_OUT.match(name) or LEFT_OUT.match(published):
            continue
        if name.startswith("patch_embed.proj."):
            converted[name.replace("patch_embed.proj", "patch_embedding")] = value
        elif name == "lg_region_tokens":
            converted["region_tokens"] = value
        elif name in ("norm.weight", "norm.bias", "fc_norm.weight", "fc_norm.bias"):
            converted[name.removeprefix("fc_")] = value
        elif part in NORMS:
            converted[f"{prefix}{NORMS[part]}.{rest}"] = value
        elif part == "mlp" and rest.startswith(("fc1.", "fc2.")):
            converted[f"{prefix}mlp.{0 if rest.startswith('fc1.') else 2}.{rest[4:]}"] = value
        elif part in ATTENTIONS and rest == "kv.weight":
            key, half = f"{prefix}{ATTENTIONS[part]}", value.shape[0] // 2
            converted[f"{key}.key.weight"], converted[f"{key}.value.weight"] = value[:half], value[half:]
        elif part in ATTENTIONS and rest in ("q.weight", "q_bias", "v_bias", "proj.weight", "proj.bias"):
            own = {"q.weight": "query.weight", "q_bias": "query.bias", "v_bias": "value.bias"}
            converted[f"{prefix}{ATTENTIONS[part]}.{own.get(rest, rest.replace('proj', 'output'))}"] = value
        else:
            unknown.append(published)
    if unknown:
        raise ValueError(f"{len(unknown)} weights are not those of MAE-DFER's encoder: {first_few(unknown)}.")
    return converted


def convert(checkpoint, output_dir, config: RDFERRegionEncoderConfig | None = None):
    """Converts a published file.

    Args:
        checkpoint (`str` or `os.PathLike`): the file, with the weights under "model" or "module" or directly.
        output_dir (`str` or `os.PathLike`): folder to write.
        config ([`RDFERRegionEncoderConfig`], *optional*): sizes, by default those that are published.

    Raises:
        ValueError: if the weights are not those of such an encoder; the message names the file and some of them.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        contents = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = contents.get("model", contents.get("module", contents))
    encoder = RDFERRegionEncoder(config or RDFERRegionEncoderConfig())
    try:
        encoder.load_state_dict(convert_state(state))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    encoder.save_pretrained(output_dir)


def main(argv: list[str] | None = None):
    """Converts the file that the command line names."""
    parser = ScriptParser("build.mae_dfer", __doc__, EXAMPLES)
    parser.add_argument("--checkpoint", type=Path, required=True, help="file of MAE-DFER, *.pth")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args(argv)
    try:
        convert(arguments.checkpoint, arguments.output_dir)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
