# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Renders the committed cards, of both checkpoints and of the synthetic videos, from the templates in hub_cards/."""

import argparse
from pathlib import Path

from transformers import AutoModelForVideoClassification

from modeling_rdfer.hub.cards import (
    CARD_NAME,
    CODE_ORIGIN,
    FACE_DETECTOR_ORIGIN,
    FRAME_NET_ORIGIN,
    CardFacts,
    dataset_card,
    model_card,
    write_card,
)
from training.build.hub_folders import HUB_CARDS
from training.synthetic.dataset import card_facts, plan

# The data set that the README makes.
SYNTHETIC = {"videos": 700, "noise": 0.3}


# What is true of both checkpoints.
PEOPLE = """\
not known. The makers of the image classifier name "public datasets
and images from the web" and itemise nothing."""
NOT_CALIBRATED = "Its probabilities are not calibrated: they are close to 0 or 1 also where it is wrong."


def rdfer_small_facts() -> CardFacts:
    """What is known about the assembled checkpoint."""
    return CardFacts(
        model_name="rdfer-small",
        license="apache-2.0",
        language="en",
        summary="""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise. It takes raw videos: it finds the
largest face, follows it, crops it and classifies it. 0.78 M parameters, made for CPUs.

**This checkpoint was assembled, not trained.** No training set for dynamic facial expression recognition could be had
under a licence that permits it. Both backbones and both frame heads of the RDFER architecture
([arXiv 2502.16129](https://arxiv.org/abs/2502.16129)) are a published classifier for single images; the parts that
read movement and change over time are untrained and contribute nothing (their heads are zero). So it answers with the
mean of an image classifier over the frames where the key expression of the video shows. Fine-tuned, it learns about
time; as it is, take it as a starting point, and as something that works on a real face at once.""",
        people=PEOPLE,
        limits=[
            """\
Measured on real video: on 426 hand-labelled frames of three videos of two people, showing happy, neutral and surprise
  only, the image classifier's first label is right on 99.8 %. On the five hand-labelled stretches of the clip
  `cap13_edit2.mp4` (neutral, surprise) the labels of this checkpoint over half-second windows are right. For **sad,
  angry, fear and disgust nothing has been measured** on video.""",
            NOT_CALIBRATED,
        ],
        origins=[
            ("backbones, frame heads (`model.safetensors`)", FRAME_NET_ORIGIN, "MIT"),
            ("streams over time (`model.safetensors`)", "drawn at random, heads zero", "Apache-2.0"),
            FACE_DETECTOR_ORIGIN,
            CODE_ORIGIN,
        ],
        rebuild="`python -m training.build.rdfer_small` rebuilds all of it, bit for bit.",
    )


def aen_small_facts() -> CardFacts:
    """What is known about the other assembled checkpoint."""
    return CardFacts(
        model_name="aen-small",
        license="apache-2.0",
        language="en",
        summary="""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise; and its sentiment: neutral,
positive, negative, surprise. It takes raw videos: it finds the largest face, follows it, crops it and classifies it.
0.48 M parameters, made for CPUs.

**This checkpoint was assembled, not trained.** No training set for dynamic facial expression recognition could be had
under a licence that permits it. The backbone and the frame head of the AEN architecture (Lee, Shin, Ku, Ko, CVPR
Workshops 2023; our reading of its abstract) are a published classifier for single images; the top-down branch, which
reads change over time and tells the sentiment before the emotion, is untrained and contributes nothing (its heads are
zero). So it answers from the mean of an image classifier's scores over sixteen frames spread over the video, and its
sentiment is the sum over the emotions of a group. Fine-tuned, it learns about time; as it is, take it as a starting
point. The default teacher of frame-level guidance is the very classifier it starts from: guidance by it keeps the
frames' answers as they are.

The sentiment is in the model's output: `outputs.sentiment_logits.softmax(-1)`, in the order of
`model.config.group_names`.""",
        people=PEOPLE,
        limits=[
            """\
Measured on real video: on 426 hand-labelled frames of three videos of two people, showing happy, neutral and surprise
  only, the image classifier's first label is right on 99.8 %. For **sad, angry, fear and disgust nothing has been
  measured** on video.""",
            NOT_CALIBRATED,
            """\
The mean is one of scores (logits), which is more confident than the mean of the frames' probabilities: for
  `cap13_edit2.mp4`, where 3 of its 16 frames show surprise, it gives neutral 99.9 %; the mean of the frames'
  probabilities is 81.1 %.""",
            "The groups are a convention of this package: surprise can be pleasant or not and is a group of its own.",
        ],
        origins=[
            ("backbone, frame head (`model.safetensors`)", FRAME_NET_ORIGIN, "MIT"),
            ("top-down branch (`model.safetensors`)", "drawn at random, heads zero", "Apache-2.0"),
            FACE_DETECTOR_ORIGIN,
            CODE_ORIGIN,
        ],
        rebuild="`python -m training.build.aen_small` rebuilds all of it from rdfer-small, bit for bit.",
    )


def render() -> dict[Path, str]:
    """The committed cards: text by file."""
    cards = {}
    for facts in (rdfer_small_facts(), aen_small_facts()):
        folder = HUB_CARDS / facts.model_name
        model = AutoModelForVideoClassification.from_pretrained(folder)
        cards[folder / CARD_NAME] = model_card(model.config, model.num_parameters(), facts, facts.model_name)
    settings, rows = plan(SYNTHETIC["videos"], noise=SYNTHETIC["noise"])
    return cards | {HUB_CARDS / "synthetic" / CARD_NAME: dataset_card(card_facts(settings, rows))}


def main():
    parser = argparse.ArgumentParser(prog="python -m training.build.cards", description=__doc__)
    parser.add_argument("--overwrite", action="store_true", help="replace also cards that were edited by hand")
    arguments = parser.parse_args()
    for path, text in render().items():
        if write_card(path.parent, text, arguments.overwrite):
            print(f"Wrote {path}")


if __name__ == "__main__":
    main()
