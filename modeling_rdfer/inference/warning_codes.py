# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Says what makes an answer about a face less reliable, as codes that programs can read."""

import numpy as np
import torch

from ..models.face_tracking_rdfer import FaceTrack

# Code -> what it means. Also the list in the schema of JSON answers.
WARNING_CODES = {
    "several_faces": "several faces are in the frames looked at, and the answer is about one of them",
    "no_face": "no face was found, and whole frames were classified",
    "face_often_absent": "the face is in fewer than half of the frames looked at",
    "small_face": "the face has fewer pixels than the model looks at, and was enlarged",
    "profile": "the face is turned to the side by more than 45 degrees most of the time",
    "dark": "the face is so dark that the brightest twentieth of its pixels is below 50 of 255 levels",
    "cut": "the face jumps from one frame looked at to the next: a cut, perhaps to another person",
    "damaged_file": "the file is damaged: what its frames show can be wrong, and some may be left out",
}
_PROFILE_DEGREES = 45
_DARK_SHARE, _DARK_LEVEL = 0.05, 50
_LUMA = (0.299, 0.587, 0.114)  # BT.601


def face_warnings(track: FaceTrack, crops: torch.Tensor, margin: float) -> list[str]:
    """Returns the codes for one face (ours).

    Args:
        track (`FaceTrack`): the face in T frames, boxes in pixels of the video.
        crops (`torch.Tensor` of shape `(T, 3, height, width)`): the crops of the face; darkness is only known of
            uint8.
        margin (`float`): side of a crop in units of the box, as `face_margin` of [`RDFERVideoProcessor`].

    Returns:
        `list[str]`: keys of `WARNING_CODES`, in its order.
    """
    sides = (track.boxes[:, 2:] - track.boxes[:, :2]).amax(1)
    codes = set()
    if track.presence < 0.5:
        codes.add("face_often_absent")
    if float(sides.median()) * margin < min(crops.shape[-2:]):
        codes.add("small_face")
    if float(track.yaws.abs().rad2deg().median()) > _PROFILE_DEGREES:
        codes.add("profile")
    if crops.dtype == torch.uint8 and _is_dark(crops):
        codes.add("dark")
    if _jumps(track.boxes, sides):
        codes.add("cut")
    return in_order(codes)


def in_order(codes: set[str]) -> list[str]:
    """Sorts codes as `WARNING_CODES` does."""
    return [code for code in WARNING_CODES if code in codes]


def _is_dark(crops: torch.Tensor) -> bool:
    """Whether the brightest twentieth of all pixels is below the level of dark faces: light, not the skin's colour."""
    # NumPy takes a fifth of torch's time.
    luma = np.array(_LUMA, np.float32) @ crops.flatten(2).cpu().numpy()
    return bool(np.count_nonzero(luma < _DARK_LEVEL) > int((1 - _DARK_SHARE) * luma.size))


def _jumps(boxes: torch.Tensor, sides: torch.Tensor) -> bool:
    """Whether a face moves by more than its own size, or changes its size by half, between two frames beside each
    other: what the tracker takes for one person does less.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    smaller, larger = torch.minimum(sides[:-1], sides[1:]), torch.maximum(sides[:-1], sides[1:])
    distances = (centres[1:] - centres[:-1]).norm(dim=1)
    return bool(((distances > smaller) | (larger > 1.6 * smaller)).any())


__all__ = ["WARNING_CODES", "face_warnings", "in_order"]
