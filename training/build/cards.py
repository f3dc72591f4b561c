# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Renders the committed cards of both checkpoints and of the synthetic videos from the templates in hub_cards/."""

from pathlib import Path

from transformers import AutoModelForVideoClassification

from modeling_rdfer.hub.card_facts import CODE_ORIGIN, FACE_DETECTOR_ORIGIN, FRAME_NET_ORIGIN, CardFacts
from modeling_rdfer.hub.card_files import CARD_NAME, write_card
from modeling_rdfer.hub.dataset_card import dataset_card
from modeling_rdfer.hub.model_card import model_card
from training.build.hub_folders import HUB_CARDS
from training.running.script_parser import ScriptParser
from training.synthetic.card import card_facts
from training.synthetic.dataset import plan_dataset

# The dataset of the quick start.
SYNTHETIC = {"videos": 700, "noise": 0.3}
EXAMPLES = "example: python -m training.build.cards"

# For both checkpoints.
NO_CODE = """\
In the source repository this folder has no code, so `trust_remote_code=True` fails there. `make hub` makes a folder
with the code, as on the Hub, in `output/hub/`."""
PEOPLE = """\
not known. The makers of the image classifier name "public datasets
and images from the web" and itemise nothing."""
NOT_CALIBRATED = "Its probabilities are not calibrated: they are close to 0 or 1 even if the label is wrong."


def rdfer_small_facts() -> CardFacts:
    """Facts about rdfer-small."""
    return CardFacts(
        model_name="rdfer-small",
        license="apache-2.0",
        language="en",
        summary="""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise. It takes raw videos: it finds the
largest face, follows it, crops it and classifies it. 0.78 M parameters, made for CPUs.

**This checkpoint was assembled, not trained.** No training set for dynamic facial expression recognition was available
under a licence that permits it. Both backbones and both frame heads of the RDFER architecture
([arXiv 2502.16129](https://arxiv.org/abs/2502.16129)) are a published classifier for single images. The parts that
read movement and change over time are untrained and contribute nothing (their heads are zero). So the answer is the
mean of an image classifier over the frames in which the key expression of the video shows. Fine-tuning teaches the
model about time. As it is, use it as a starting point, and as a model that works on real faces at once.""",
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
        rebuild=f"`python -m training.build.rdfer_small` rebuilds all of it, bit for bit.\n\n{NO_CODE}",
    )


def aen_small_facts() -> CardFacts:
    """Facts about aen-small."""
    return CardFacts(
        model_name="aen-small",
        license="apache-2.0",
        language="en",
        summary="""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise; and its sentiment: neutral,
positive, negative, surprise. It takes raw videos: it finds the largest face, follows it, crops it and classifies it.
0.48 M parameters, made for CPUs.

**This checkpoint was assembled, not trained.** No training set for dynamic facial expression recognition was available
under a licence that permits it. The backbone and the frame head of the AEN architecture (Lee, Shin, Ku, Ko, CVPR
Workshops 2023; our reading of its abstract) are a published classifier for single images. The top-down branch, which
reads change over time and predicts the sentiment before the emotion, is untrained and contributes nothing (its heads
are zero). So the answer comes from the mean scores of an image classifier over sixteen frames spread over the video,
and the probability of a sentiment is the sum over the emotions of its group. Fine-tuning teaches the model about time.
As it is, use it as a starting point. The default frame teacher is the same image classifier: guidance by it keeps the
predictions for frames as they are.

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
The model averages the scores (logits) of the frames, which is more confident than averaging their probabilities: for
  `cap13_edit2.mp4`, where 3 of its 16 frames show surprise, it gives neutral 99.9 %; the mean of the probabilities is
  81.1 %.""",
            "The groups are a convention of this package: surprise can be pleasant or not and is a group of its own.",
        ],
        origins=[
            ("backbone, frame head (`model.safetensors`)", FRAME_NET_ORIGIN, "MIT"),
            ("top-down branch (`model.safetensors`)", "drawn at random, heads zero", "Apache-2.0"),
            FACE_DETECTOR_ORIGIN,
            CODE_ORIGIN,
        ],
        rebuild=f"`python -m training.build.aen_small` rebuilds all of it from rdfer-small, bit for bit.\n\n{NO_CODE}",
    )


def render() -> dict[Path, str]:
    """Renders the committed cards: the text of each file."""
    cards = {}
    for facts in (rdfer_small_facts(), aen_small_facts()):
        folder = HUB_CARDS / facts.model_name
        model = AutoModelForVideoClassification.from_pretrained(folder)
        cards[folder / CARD_NAME] = model_card(model.config, model.num_parameters(), facts, facts.model_name)
    settings, rows = plan_dataset(SYNTHETIC["videos"], noise=SYNTHETIC["noise"])
    return cards | {HUB_CARDS / "synthetic" / CARD_NAME: dataset_card(card_facts(settings, rows))}


def main(argv: list[str] | None = None):
    """Writes the cards."""
    parser = ScriptParser("build.cards", __doc__, EXAMPLES)
    parser.add_argument("--overwrite", action="store_true", help="replace cards that were edited by hand, too")
    arguments = parser.parse_args(argv)
    for path, text in render().items():
        if write_card(path.parent, text, arguments.overwrite):
            print(f"Wrote {path}")


if __name__ == "__main__":
    main()
