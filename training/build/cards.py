# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Renders the committed cards of both checkpoints and of the synthetic videos from the templates in hub_cards/."""

from pathlib import Path

from transformers import AutoModelForVideoClassification

from modeling_rdfer.hub.card_facts import (
    CODE_ORIGIN,
    FACE_DETECTOR_ORIGIN,
    FRAME_NET_LICENCE,
    FRAME_NET_ORIGIN,
    CardFacts,
)
from modeling_rdfer.hub.card_files import CARD_NAME, write_card
from modeling_rdfer.hub.dataset_card import dataset_card
from modeling_rdfer.hub.model_card import model_card
from training.benchmarks.shared.real_faces_tables import BEFORE, MINI_XCEPTION, card_table
from training.benchmarks.shared.results import RESULTS, load_results
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
people of all ages on 28,000 photos from the web (FER+), about whom nothing was
recorded; and 50 adults of the Face Research Lab London Set: 35 White, 6 Black, 6 East Asian, 3 West Asian; 22 women,
28 men."""
EYE = """\
one network, which we trained on still images:

- FER+ (Barsoum et al., ICMI 2016): the votes of ten people on each of 28,000 photos. The votes are under the MIT
  licence. The photos are those of FER-2013, collected from the web for a challenge, without a licence of the
  photographers: they served training and measuring only, and are in no part of this package.
- the Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0): 50 people, neutral and smiling.
- 174 frames of a video (`cap13_edit2.mp4`, MIT), labelled by the face-expression network of face-api.js (MIT)."""
# Of people left out of training in turn: training.train_frames with --hold-out 0 and with --hold-out 1.
HELD_OUT = "neutral 45 of 50, smiling 41 of 50"


LIMITS = [
    """\
The scores are calibrated on FER+ validation: on other faces, and on videos, whose frames are averaged, they can be too
  high or too low. `--min-confidence` leaves out answers below a score.""",
    """\
The network sees 48 x 48 grey pixels. What it misses most are slight smiles, which men show more often in these photos,
  disgust, fear, and anger that is held back.""",
]


def measured() -> str:
    """What was measured on real faces."""
    table = card_table(load_results(RESULTS / "real_faces.jsonl"), (BEFORE, MINI_XCEPTION, "rdfer-small"))
    return f"""\
Measured on real faces, rdfer-small beside the frame classifier that it was made of before and the package fer
(`python -m training.benchmarks.real_faces`; the benchmarks' page of the documentation has all tables, by expression,
sex, ethnic group and age):

{table}

The people of the London set and the man of cap13 were trained on, so these rows say what was learnt. Of London people
left out of training in turn: {HELD_OUT}. CREMA-D here is six clips of one actor."""


def rdfer_small_facts() -> CardFacts:
    """Facts about rdfer-small."""
    return CardFacts(
        model_name="rdfer-small",
        license="apache-2.0",
        language="en",
        summary=f"""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise. It takes raw videos: it finds the
largest face, follows it, crops it upright and classifies it. 2.6 M parameters, made for CPUs.

**Its eye was trained, its sense of time was not.** Both backbones and both frame heads of the RDFER architecture
([arXiv 2502.16129](https://arxiv.org/abs/2502.16129)) are {EYE}

No training set for dynamic facial expression recognition was available under a licence that permits it. So the parts
that read movement and change over time are untrained and contribute nothing (their heads are zero): the answer is the
mean of the network over the frames in which the key expression of the video shows. Fine-tuning teaches the model about
time.

{measured()}""",
        people=PEOPLE,
        limits=LIMITS,
        origins=[
            ("backbones, frame heads (`model.safetensors`)", FRAME_NET_ORIGIN, FRAME_NET_LICENCE),
            ("streams over time (`model.safetensors`)", "drawn at random, heads zero", "Apache-2.0"),
            FACE_DETECTOR_ORIGIN,
            CODE_ORIGIN,
        ],
        rebuild=f"""\
`python -m training.train_frames` with `training/recipes/frames_votes.yaml` and `frames_posed.yaml` trains the network,
and `python -m training.build.rdfer_small` makes this folder of it.

{NO_CODE}""",
    )


def aen_small_facts() -> CardFacts:
    """Facts about aen-small."""
    return CardFacts(
        model_name="aen-small",
        license="apache-2.0",
        language="en",
        summary=f"""\
Emotion in a video of a face: neutral, happy, sad, angry, fear, disgust, surprise; and its sentiment: neutral,
positive, negative, surprise. It takes raw videos: it finds the largest face, follows it, crops it upright and
classifies it. 1.4 M parameters, made for CPUs.

**Its eye was trained, its sense of time was not.** The backbone and the frame head of the AEN architecture (Lee, Shin,
Ku, Ko, CVPR Workshops 2023; our reading of its abstract) are those of rdfer-small: {EYE}

The top-down branch, which reads change over time and predicts the sentiment before the emotion, is untrained and
contributes nothing (its heads are zero). So the answer comes from the mean scores of the network over sixteen frames
spread over the video, and the probability of a sentiment is the sum over the emotions of its group. Fine-tuning
teaches the model about time. As it is, use it as a starting point. The default frame teacher is the same network:
guidance by it keeps the predictions for frames as they are.

The sentiment is in the model's output: `outputs.sentiment_logits.softmax(-1)`, in the order of
`model.config.group_names`.

{measured()}""",
        people=PEOPLE,
        limits=[
            *LIMITS,
            "The groups are a convention of this package: surprise can be pleasant or not and is a group of its own.",
        ],
        origins=[
            ("backbone, frame head (`model.safetensors`)", FRAME_NET_ORIGIN, FRAME_NET_LICENCE),
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
