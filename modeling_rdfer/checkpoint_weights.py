# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Loads a checkpoint's weights, all of them: transformers leaves missing tensors random and goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import AutoModelForVideoClassification, PreTrainedModel

from .inference.errors import CheckpointReadError

# Most names of tensors in a message.
NAMED_TENSORS = 5


@contextmanager
def reading(checkpoint: str, file: str) -> Iterator[None]:
    """Makes every exception of transformers, torch and safetensors one about this file of a checkpoint."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and not Path(checkpoint).is_dir():
            raise  # the Hub's, of a name that it does not know
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointReadError(f"Cannot use the checkpoint {checkpoint!r}: {file}: {reason[:500]}") from error


def load_network(checkpoint: str, config=None, new_heads: str | None = None) -> PreTrainedModel:
    """Loads a model. No tensor stays random, except those of heads that are to be new.

    Args:
        checkpoint (`str`): folder or name on the Hub.
        config (`PretrainedConfig`, *optional*): its configuration; that of the checkpoint by default.
        new_heads (`str`, *optional*): how the names of the classifiers end that get new weights, because they are for
            other labels than those of the checkpoint: `"classifier"` for all of them.

    Returns:
        `PreTrainedModel`: the model.

    Raises:
        CheckpointReadError: if weights cannot be read, are missing, have other shapes than those of the configuration,
            or are not finite; the message names the tensors.
    """

    def is_new(name: str) -> bool:
        return new_heads is not None and name.rpartition(".")[0].endswith(new_heads)

    with reading(checkpoint, "config.json and model.safetensors"):
        network, found = AutoModelForVideoClassification.from_pretrained(
            checkpoint,
            config=config,
            use_safetensors=True,  # pickles can run code
            ignore_mismatched_sizes=True,  # reported below
            output_loading_info=True,
        )
        names = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
        unfit = sorted(name for name in names if not is_new(name))
        if unfit:
            examples = ", ".join(unfit[:NAMED_TENSORS]) + (", ..." if len(unfit) > NAMED_TENSORS else "")
            raise ValueError(f"{len(unfit)} of the model's tensors are not there in its shapes: {examples}")
        if new_heads is not None:  # also where the number of labels is the same
            fresh = type(network)(network.config).state_dict()
            network.load_state_dict({name: fresh[name] for name in fresh if is_new(name)}, strict=False)
        for name, tensor in network.state_dict().items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} has numbers that are not finite")
    return network


__all__ = ["load_network", "reading"]
