# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The faces that the frame network learns from: photos with people's votes, posed photos, and frames
of videos that nobody has labelled.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.checkpoint_weights import load_network
from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from modeling_rdfer.models.labels_rdfer import canonical_label
from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.data.labels import map_labels
from training.datasets import load
from training.datasets.ferplus import LABELS
from training.frames.face_images import read_still_faces, upright_face
from training.frames.frame_set import FrameSet, balanced_weights

# Probability of the expression that was asked for in posed photos; the rest is spread over all labels.
POSED_CERTAINTY = 0.9
# Posed neutral faces are drawn so much more often than others: to see what is not there is the worse mistake.
NEUTRAL_FACTOR = 1.5
# Of a video without labels every such frame is taken. What the teacher says of it is softened by this temperature.
VIDEO_STEP, TEACHER_TEMPERATURE = 3, 2.0


def read_votes(
    root,
    split: str,
    label_names: Sequence[str],
    detector: RDFERFaceDetector,
    balance: float = 0.0,
    cache: Path | None = None,
) -> tuple[FrameSet, torch.Tensor]:
    """Reads the images of FER+ of which at least half of the people chose one of the labels.

    Args:
        root (`str` or `Path`): folder of FER+.
        split (`str`): `"train"`, `"validation"` or `"test"`.
        label_names (sequence of `str`, C of them): the labels of the model.
        detector (`RDFERFaceDetector`): finds the faces.
        balance (`float`, *optional*, defaults to 0.0): see `balanced_weights`.
        cache (`Path`, *optional*): safetensors file that keeps the faces.

    Returns:
        `tuple`: the [`FrameSet`], whose targets are the shares of the votes; and `(N,)` int64, the label with more
        than half of all ten votes, -1 if none has.

    Raises:
        ValueError, FileNotFoundError: as the loader `ferplus`.
    """
    rows = load("ferplus", root, keep="all")[split]
    votes = torch.tensor(rows["votes"])
    kept = (2 * votes[:, : len(LABELS)].sum(1) >= votes.sum(1)).nonzero().flatten()
    rows, votes = rows.select(kept.tolist()), votes[kept]
    names = map_labels(LABELS, label_names)
    order = [LABELS.index(next(name for name in LABELS if names[name] == label)) for label in label_names]
    counts = votes[:, order].float()
    targets = counts / counts.sum(1, keepdim=True)
    majority = torch.where(2 * counts.amax(1) > votes.sum(1), counts.argmax(1), -1)
    if cache is not None and cache.is_file():
        faces = load_file(cache)["faces"]
    else:
        faces = read_still_faces(rows["image"], detector, f"FER+ {split}")
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            save_file({"faces": faces}, cache)
    return FrameSet(faces, targets, balanced_weights(targets, balance)), majority


def read_posed(
    folder, label_names: Sequence[str], detector: RDFERFaceDetector, hold_out: int | None = None
) -> tuple[FrameSet, FrameSet]:
    """Reads photos of people who were asked for an expression: a folder for each, the file named after the person.

    Args:
        folder (`str` or `Path`): what the loader `videofolder` reads.
        label_names (sequence of `str`, C of them): the labels of the model.
        detector (`RDFERFaceDetector`): finds the faces.
        hold_out (`int`, *optional*): 0 or 1, the half of the people that is held out; by default nobody.

    Returns:
        `tuple`: the [`FrameSet`]s of the people to learn from and of those held out.

    Raises:
        ValueError, FileNotFoundError: as the loader `videofolder`; or if a label has no counterpart.
    """
    rows = load("videofolder", folder)["train"]
    given = rows.features["label"].names
    names = map_labels(given, label_names)
    labels = torch.tensor([label_names.index(names[given[label]]) for label in rows["label"]])
    faces = read_still_faces(rows["image"], detector, Path(folder).name)
    stems = [Path(path).stem for path in rows["path"]]
    half = {person: number % 2 for number, person in enumerate(sorted(set(stems)))}
    held_out = torch.tensor([half[stem] == hold_out for stem in stems])
    rest = (1 - POSED_CERTAINTY) / len(label_names)
    targets = torch.full((len(faces), len(label_names)), rest)
    targets[torch.arange(len(faces)), labels] += POSED_CERTAINTY

    weights = torch.ones(len(faces), dtype=torch.float64)
    weights[[canonical_label(label_names[label]) == "neutral" for label in labels]] = NEUTRAL_FACTOR

    def part(chosen: torch.Tensor) -> FrameSet:
        return FrameSet(faces[chosen], targets[chosen], weights[chosen] / weights[chosen].sum())

    return part(~held_out), part(held_out)


@torch.inference_mode()
def read_unlabelled(
    videos: Sequence,
    skipped: Sequence[tuple[float, float]],
    teacher,
    label_names: Sequence[str],
    detector: RDFERFaceDetector,
) -> FrameSet:
    """Reads frames of videos. Their targets are what a teacher says of them; its expressions are drawn alike often.

    Args:
        videos (sequence): what `open_video` reads.
        skipped (sequence of `tuple[float, float]`): start and end, in seconds, of stretches to leave out of every
            video, with 0.3 s around them: those that are to judge the result.
        teacher (`str` or `Path`): folder of an RDFER checkpoint.
        label_names (sequence of `str`, C of them): the labels of the model.
        detector (`RDFERFaceDetector`): finds the faces.

    Returns:
        [`FrameSet`].

    Raises:
        VideoReadError: if a video cannot be read.
        ValueError: if no frame shows a face.
    """
    model, processor = load_network(str(teacher)), RDFERVideoProcessor.from_pretrained(teacher)
    names = map_labels(list(model.config.id2label.values()), label_names)
    order = [next(i for i, name in model.config.id2label.items() if names[name] == label) for label in label_names]
    faces, targets = [], []
    for source in videos:
        with closing(open_video(source)) as video:
            for index in range(0, video.num_frames, VIDEO_STEP):
                seconds = video.pts_seconds[index]
                if any(start - 0.3 <= seconds <= end + 0.3 for start, end in skipped):
                    continue
                image = video.get_frames([index])
                face = upright_face(image, detector)
                if face is not None:
                    crop = processor(image, on_missing_face="full_frame", return_tensors="pt").pixel_values_videos[0]
                    logits = model.eval().classify_frames(torch.cat([crop, crop.flip(-1)])).mean(0)
                    faces.append(face)
                    targets.append((logits[order] / TEACHER_TEMPERATURE).softmax(-1))
    if not faces:
        raise ValueError(f"No face was found in {list(map(str, videos))}; expected videos of faces.")
    targets = torch.stack(targets)
    frequencies = targets.double().mean(0)
    weights = 1 / frequencies[targets.argmax(1)]
    return FrameSet(torch.stack(faces), targets, weights / weights.sum())


__all__ = ["read_posed", "read_unlabelled", "read_votes"]
