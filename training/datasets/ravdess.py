# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""RAVDESS: 24 actors speak and sing with 8 expressions; 6 folds by actor (Livingstone and Russo, PLOS ONE 2018)."""

from typing import Literal

import datasets

from .loader_tools import build_splits, find_clips, loader, split_by_person

LABELS = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
MODALITIES = {"audio-video": "01", "video-only": "02"}
CHANNELS = {"speech": ["01"], "song": ["02"], "both": ["01", "02"]}
FOLDS = [range(first, first + 4) for first in range(1, 25, 4)]
# Numbers of speech clips by fold and split. `training.check_data` compares with them.
PUBLISHED = {fold: {"train": 1200, "test": 240} for fold in range(1, 7)}


@loader("folder")
def load(
    root,
    fold: Literal[1, 2, 3, 4, 5, 6] = 1,
    channel: Literal["speech", "song", "both"] = "speech",
    modality: Literal["video-only", "audio-video"] = "video-only",
) -> datasets.DatasetDict:
    """Loads a fold of RAVDESS.

    Args:
        root (`str` or `Path`): folder with video files or folders of frames, at any depth, that are named by seven
            numbers (modality, channel, expression, intensity, statement, repetition, actor), e.g.
            `Actor_01/02-01-01-01-01-01-01.mp4`.
        fold (`int`, *optional*, defaults to 1): test on actors 1-4, 5-8, ..., 21-24 and train on the others.
        channel (`"speech"`, `"song"` or `"both"`, *optional*, defaults to `"speech"`): which recordings to take. Songs
            have no disgust or surprised, and no actor 18.
        modality (`"video-only"` or `"audio-video"`, *optional*, defaults to `"video-only"`): which of the two copies
            of every recording to take.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns of [`build_splits`],
        `actor`, `sex`, `channel`, `intensity`, `statement`, `repetition` and `fold`.

    Raises:
        FileNotFoundError: if there is no clip of the channel and modality.
        ValueError: if a clip is there twice, has an unknown expression, or a fold is empty.
    """
    channels = "|".join(CHANNELS[channel])
    clips = find_clips(root, rf"{MODALITIES[modality]}-({channels})(-\d\d){{5}}")
    rows = []
    for name in clips:
        _, voice, emotion, intensity, statement, repetition, actor = map(int, name.split("-"))
        rows.append(
            {
                "sample_id": name,
                "label": LABELS[emotion - 1] if 1 <= emotion <= 8 else f"{emotion:02d}",
                "actor": actor,
                "sex": "male" if actor % 2 else "female",
                "channel": {1: "speech", 2: "song"}[voice],
                "intensity": {1: "normal", 2: "strong"}.get(intensity, str(intensity)),
                "statement": statement,
                "repetition": repetition,
            }
        )
    return build_splits(root, LABELS, split_by_person(rows, "actor", FOLDS, fold), clips)
