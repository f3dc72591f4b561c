# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""FER-2013's faces with FER-2013's labels and FER+'s votes, and what a frozen network sees in views of each face."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from modeling_rdfer.models.labels_rdfer import canonical_label
from training.build.face_api_net import MEAN, FaceAPINet, FaceAPINetConfig
from training.build.npm_weights import FACE_API, fetch_package, load_face_expression
from training.data.still_views import random_views
from training.datasets import load
from training.datasets.ferplus import LABELS

# Training images of each of FER-2013's labels, views of a training and of a test image in the cache, side of a view.
PER_LABEL, VIEWS, SIZE = 800, {"train": 12, "validation": 8}, 112


@dataclass
class Stills:
    """N face images that have a label of FER-2013.

    Attributes:
        given (`np.ndarray` of shape `(N,)`): FER-2013's label, a number in `LABELS`.
        votes (`np.ndarray` of shape `(N, 10)`): int, how many of ten people chose each of FER+'s `VOTES`, which begin
            with `LABELS`.
        features (`torch.HalfTensor` of shape `(N, V, 256)`): what the network sees in each of V views.
    """

    given: np.ndarray
    votes: np.ndarray
    features: torch.Tensor

    @property
    def majority(self) -> np.ndarray:
        """What more than half of the ten people chose, a number in FER+'s `VOTES`; -1 if the votes split: `(N,)`."""
        return np.where(2 * self.votes.max(1) > self.votes.sum(1), self.votes.argmax(1), -1)

    @property
    def rejected(self) -> np.ndarray:
        """Whether more than half of the people chose something else than the given label, bool `(N,)`."""
        return (self.majority >= 0) & (self.majority != self.given)

    @property
    def confirmed(self) -> np.ndarray:
        """Whether more than half of the people chose the given label, bool `(N,)`."""
        return self.majority == self.given

    @property
    def hard(self) -> np.ndarray:
        """Whether the votes split, and at least two people chose the given label, bool `(N,)`."""
        return (self.majority < 0) & (self.votes[np.arange(len(self.given)), self.given] >= 2)


def stills(folder: Path, split: str) -> Stills:
    """Reads what [`cache_views`] has written.

    Args:
        folder (`Path`): the cache.
        split (`str`): "train" or "validation".

    Returns:
        [`Stills`].
    """
    tensors = load_file(folder / f"{split}.safetensors")
    return Stills(tensors["given"].numpy(), tensors["votes"].numpy(), tensors["features"])


def cache_views(root: Path, folder: Path):
    """Computes what the network of face-api.js sees in views of the images, unless the cache is there.

    The network (324 k parameters, published in 2018, before any vote was used here) is frozen. Of the training images
    at most `PER_LABEL` of each of FER-2013's labels are taken, and none that is among the validation images, too.

    Args:
        root (`Path`): folder of FER+ in a layout that has FER-2013's labels, see `training.datasets.ferplus`.
        folder (`Path`): the cache; made if missing.

    Raises:
        FileNotFoundError, RuntimeError, ValueError: if faces or weights are missing, or are not the expected ones.
    """
    if all((folder / f"{split}.safetensors").exists() for split in VIEWS):
        return
    splits = load(name="ferplus", root=root, keep="all")
    if "fer2013_label" not in splits["train"].column_names:
        raise ValueError(f"{root} has no column fer2013_label: the labels that FER-2013 gives are needed.")
    network = _network(folder)
    rows = {split: [row for row in splits[split] if row["fer2013_label"]] for split in VIEWS}
    tested = {row["image"]["bytes"] for row in rows["validation"]}
    rows["train"] = _balanced([row for row in rows["train"] if row["image"]["bytes"] not in tested])
    for split, number in VIEWS.items():
        images = np.stack([_grey(row["image"]) for row in rows[split]])
        save_file(
            {
                "given": torch.tensor([_number(row["fer2013_label"]) for row in rows[split]]),
                "votes": torch.tensor([row["votes"] for row in rows[split]]),
                "features": _see(network, torch.from_numpy(images), number, split),
            },
            folder / f"{split}.safetensors",
        )


def _number(label: str) -> int:
    return LABELS.index(canonical_label(label))


def _grey(image: dict) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(image["bytes"])).convert("L"))


def _balanced(rows: list[dict]) -> list[dict]:
    """At most `PER_LABEL` rows of each of FER-2013's labels, drawn once for all runs, in the order of the dataset."""
    order = np.random.default_rng(0).permutation(len(rows))
    kept, counts = [], {}
    for index in order:
        label = rows[index]["fer2013_label"]
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= PER_LABEL:
            kept.append(index)
    return [rows[index] for index in sorted(kept)]


def _network(folder: Path) -> FaceAPINet:
    network = FaceAPINet(FaceAPINetConfig()).eval().requires_grad_(False)
    weights = load_face_expression(fetch_package(FACE_API, folder))
    network.load_state_dict({name: tensor for name, tensor in weights.items() if not name.startswith("fc.")})
    return network.to(memory_format=torch.channels_last)


@torch.inference_mode()
def _see(network: FaceAPINet, images: torch.Tensor, number: int, split: str) -> torch.Tensor:
    """Pooled features `(N, number, 256)` of views of the images `(N, 48, 48)`."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.tensor(MEAN).view(3, 1, 1)
    features = torch.empty(len(images), number, network.num_features[-1], dtype=torch.half)
    for index, image in enumerate(tqdm(images, desc=f"views of {split} images")):
        views = random_views(image.expand(number, 1, -1, -1), (SIZE, SIZE), generator)
        pixels = ((views.expand(-1, 3, -1, -1) - mean) / 255).contiguous(memory_format=torch.channels_last)
        features[index] = network(pixels).feature_maps[-1].mean((2, 3)).half()
    return features


__all__ = ["PER_LABEL", "SIZE", "VIEWS", "Stills", "cache_views", "stills"]
