# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads faces into memory: small grey images with the face upright in the middle."""

from collections.abc import Sequence
from contextlib import closing

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from modeling_rdfer.models.face_tracking_rdfer import crop_faces
from modeling_rdfer.models.frame_net_rdfer import LUMA
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video

# Height and width of a face image in pixels, and the same in units of the face's side: with some surroundings, for
# random crops.
SIZE, MARGIN = 96, 2.0
# Images of at most so many pixels are tight crops, such as those of FER+: about 1.2 times as wide as the face.
TIGHT, WHOLE_MARGIN = 64, 1.2


def read_still_faces(sources: Sequence, detector: RDFERFaceDetector, name: str) -> torch.Tensor:
    """Reads the face of each still image.

    Args:
        sources (sequence): what `open_video` reads, of one frame each.
        detector (`RDFERFaceDetector`): finds the faces.
        name (`str`): what the progress bar calls the images.

    Returns:
        `torch.Tensor` of shape `(N, SIZE, SIZE)`: uint8, grey, 0..255. In a tight crop (of at most `TIGHT` pixels) in
        which no face is found, the face is taken to fill the image.

    Raises:
        VideoReadError: if an image cannot be read, or is no tight crop and shows no face; the message names it.
    """
    faces = torch.empty(len(sources), SIZE, SIZE, dtype=torch.uint8)
    for index, source in enumerate(tqdm(sources, desc=f"reading {name}", unit="image")):
        with closing(open_video(source)) as video:
            face = upright_face(video.get_frames([0]), detector)
            if face is None:
                raise VideoReadError(video.name, "no face", "an image of a face")
        faces[index] = face
    return faces


def upright_face(image: torch.Tensor, detector: RDFERFaceDetector) -> torch.Tensor | None:
    """Cuts the surest face out of an image.

    Args:
        image (`torch.Tensor` of shape `(1, 3, H, W)`): uint8 RGB.
        detector (`RDFERFaceDetector`): finds the face.

    Returns:
        `torch.Tensor` of shape `(SIZE, SIZE)`, *optional*: uint8, grey; None if there is no face.
    """
    height, width = image.shape[-2:]
    border = max(height, width) // 3 if max(height, width) <= TIGHT else 0
    # The detector expects surroundings.
    image = F.pad(image.float(), [border] * 4, mode="replicate").to(torch.uint8)
    rows = detector.detect(image, "front")[0][:1]
    if not len(rows) and not border:
        rows = detector.detect(image, "back")[0][:1]
    if len(rows):
        across = rows[:, 7:9] - rows[:, 5:7]  # from the eye at the left of the picture to the other one
        crop = crop_faces(image, rows[:, :4], torch.atan2(across[:, 1], across[:, 0]), (SIZE, SIZE), MARGIN)
    elif border:
        whole = torch.tensor([[border, border, border + width, border + height]])
        crop = crop_faces(image, whole, torch.zeros(1), (SIZE, SIZE), MARGIN / WHOLE_MARGIN, shift_up=0.0)
    else:
        return None
    return (crop[0].float() * torch.tensor(LUMA).view(3, 1, 1)).sum(0).round().to(torch.uint8)


__all__ = ["MARGIN", "SIZE", "read_still_faces", "upright_face"]
