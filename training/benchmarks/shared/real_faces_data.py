# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Real faces to measure on: FER+, the Face Research Lab London Set, clips of CREMA-D and the clip cap13. All but the
last stay in a folder outside of the repository.
"""

import csv
import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pyarrow.parquet
import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tvF

from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.timing import CLIP
from training.datasets.crema_d import CODES, most_voted, read_votes
from training.datasets.ferplus import LABELS as EXPRESSIONS

# Who counts: how many of an image's ten votes one of the seven expressions has. The first rule is the main one: it
# leaves out the fewest images, 209 of 3,579.
MAJORITIES = {
    "most of all ten votes": lambda votes: (
        (votes[:, :7].max(1) == votes.max(1)) & ((votes == votes.max(1, keepdims=True)).sum(1) == 1)
    ),
    "more than half of the votes for the seven": lambda votes: 2 * votes[:, :7].max(1) > votes[:, :7].sum(1),
    "more than half of all ten votes": lambda votes: 2 * votes[:, :7].max(1) > votes.sum(1),
}
# FER+ images are 48 pixels wide and hold nothing but the face: so many border pixels are repeated before it is looked
# for.
PADDING = 24


@dataclass
class FERPlus:
    """N images of FER+.

    Attributes:
        images (`list[PIL.Image.Image]`): 48x48 pixels, grey.
        votes (`np.ndarray` of shape `(N, 10)`): int, how many of ten people chose each of FER+'s `VOTES`,
            which begin with the seven expressions.
    """

    images: list[PIL.Image.Image]
    votes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The expression with most votes: int of shape `(N,)`, 0..6."""
        return self.votes[:, : len(EXPRESSIONS)].argmax(1)


def fer_plus(data: Path) -> FERPlus:
    """Reads the validation part of FER+ (`ferplus/validation.parquet`)."""
    table = pyarrow.parquet.read_table(data / "ferplus" / "validation.parquet", columns=["image", "votes"])
    images = [PIL.Image.open(io.BytesIO(image["bytes"])).convert("L") for image in table["image"].to_pylist()]
    return FERPlus(images, np.array(table["votes"].to_pylist(), dtype=int))


def padded(image: PIL.Image.Image) -> PIL.Image.Image:
    """Repeats the border of a grey image by `PADDING` pixels."""
    return PIL.Image.fromarray(np.pad(np.asarray(image), PADDING, mode="edge"))


def london(data: Path) -> list[dict]:
    """Lists the pictures of the London set (`london-faces/`): rows with `path`, `label`, `sex`, `ethnicity` and `age`;
    the age is "under 25", "25-34", "35 and older" or "not known".
    """
    rows = []
    with open(data / "london-faces" / "people.csv", newline="") as file:
        for person in csv.DictReader(file):
            years = int(person["face_age"]) if person["face_age"].isdigit() else None
            age = "not known" if years is None else ("under 25" if years < 25 else "25-34" if years < 35 else "")
            for folder, label in (("neutral", "neutral"), ("smiling", "happiness")):
                rows.append(
                    {
                        "path": data / "london-faces" / folder / f"{person['face_id']}.jpg",
                        "label": label,
                        "sex": person["face_gender"],
                        "ethnicity": person["face_eth"].replace("_", " "),
                        "age": age or "35 and older",
                    }
                )
    return rows


def crema_d(data: Path) -> list[dict]:
    """Lists the clips of CREMA-D (`crema-d/VideoFlash/`): rows with `path`, `acted` and `crowd`, the expressions with
    most votes of people who saw the face.
    """
    votes = read_votes(data / "crema-d")["face"]
    return [
        {
            "path": path,
            "acted": canonical_label(CODES[path.stem.split("_")[2]]),
            "crowd": [canonical_label(label) for label in most_voted(votes[path.stem])],
        }
        for path in sorted((data / "crema-d" / "VideoFlash").iterdir())
    ]


def cap13() -> list[tuple[torch.Tensor, str]]:
    """Reads the hand-labelled stretches of the clip cap13: frames (uint8 `(T, 3, H, W)`) and label of each."""
    stretches = []
    with open(CLIP.parent / "cap13_segments.csv", newline="") as file, closing(open_video(CLIP)) as source:
        for row in csv.DictReader(file):
            first, end = (round(float(row[key]) * source.average_fps) for key in ("start_s", "end_s"))
            frames = source.get_frames(list(range(first, min(end, source.num_frames))))
            stretches.append((frames, canonical_label(row["label"])))
    return stretches


# Changes of a video: uint8 (T, 3, H, W) -> frames of the same kind, or the bytes of an encoded video -----------------


def _roll(degrees: float) -> Callable:
    def change(frames):
        # Border pixels are repeated where the turned frame shows nothing.
        height, width = frames.shape[-2:]
        wide = F.pad(frames.float(), (width // 2, width // 2, height // 2, height // 2), mode="replicate")
        turned = tvF.rotate(wide, degrees, interpolation=tvF.InterpolationMode.BILINEAR)
        return tvF.center_crop(turned, [height, width]).round().byte()

    return change


def _levels(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """A change of the levels, which are 0..1."""
    return lambda frames: (function(frames.float() / 255).clamp(0, 1) * 255).round().byte()


def _cast(red: float, green: float, blue: float) -> Callable:
    return _levels(lambda levels: levels * torch.tensor([red, green, blue]).view(3, 1, 1))


def _noise(levels: torch.Tensor) -> torch.Tensor:
    return levels + 0.1 * torch.randn(levels.shape, generator=torch.Generator().manual_seed(0))


def _small(factor: int) -> Callable:
    return lambda frames: tvF.resize(frames, [side // factor for side in frames.shape[-2:]], antialias=True)


def _jpeg(quality: int) -> Callable:
    def change(frames):
        changed = []
        for frame in frames:
            file = io.BytesIO()
            PIL.Image.fromarray(frame.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
            changed.append(torch.from_numpy(np.array(PIL.Image.open(file))).permute(2, 0, 1))
        return torch.stack(changed)

    return change


def _h264(crf: int) -> Callable:
    def change(frames):
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
            stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return file.getvalue()

    return change


CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor | bytes]] = {
    "as it is": lambda frames: frames,
    "rolled by 15°": _roll(15),
    "rolled by -15°": _roll(-15),
    "rolled by 30°": _roll(30),
    "rolled by -30°": _roll(-30),
    "rolled by 45°": _roll(45),
    "rolled by -45°": _roll(-45),
    "dark (a quarter of the light)": _levels(lambda levels: levels / 4),
    "bright (1.6 times the light)": _levels(lambda levels: levels * 1.6),
    "gamma 2.2": _levels(lambda levels: levels**2.2),
    "gamma 0.45": _levels(lambda levels: levels**0.45),
    "low contrast (40 %)": _levels(lambda levels: 0.5 + 0.4 * (levels - 0.5)),
    "red cast": _cast(1.2, 0.9, 0.6),
    "blue cast": _cast(0.6, 0.9, 1.2),
    "grey": lambda frames: tvF.rgb_to_grayscale(frames, 3),
    "blur (sigma 3 pixels)": lambda frames: tvF.gaussian_blur(frames, [19, 19], [3.0, 3.0]),
    "noise (deviation 0.1)": _levels(_noise),
    "a quarter of the size (100x75)": _small(4),
    "JPEG, quality 10": _jpeg(10),
    "H.264, crf 40": _h264(40),
}
