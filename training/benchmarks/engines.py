# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Which engine computes a model fastest on a CPU, and what int8 changes. Forwards take turns in one process (medians
with quartiles, share of the speed of a matrix product). The answers in int8, calibrated on synthetic videos, are
compared on other synthetic videos and on the labelled parts of a real one.
"""

import argparse
import copy
import csv
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
)
from modeling_rdfer.inference.export import export
from modeling_rdfer.inference.onnx import ONNXModel
from modeling_rdfer.models.video_decoding_rdfer import open_video
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, REPOSITORY, machine, ratio, summary, take_turns
from training.running.script_parser import ScriptParser
from training.synthetic import LABELS, render_video

FILE = "engines.jsonl"
DATA = CLIP.parent
CHECKPOINTS = {
    "rdfer-small": (RDFERForVideoClassification, REPOSITORY / "hub_cards" / "rdfer-small"),
    "aen-small": (AENForVideoClassification, REPOSITORY / "hub_cards" / "aen-small"),
}
MODELS = ("small", "base", "AEN base")
ENGINES = ("eager", "channels last", "torch.compile", "torch.export", "ONNX Runtime", "ONNX Runtime int8", "bfloat16")
LIMIT = "matrix product 2048x2048"
# The table that the page shows first.
HEADLINE = "base, 1 video"
# Seeds of synthetic videos: different identities.
CALIBRATION_SEED, TEST_SEED = 1, 2
NUM_CALIBRATION_VIDEOS = 32
EXAMPLES = """examples:
  python -m training.benchmarks.engines                         everything
  python -m training.benchmarks.engines --models base --engines eager "ONNX Runtime" --repeats 5
  python -m training.benchmarks.engines --render                only writes the tables
"""


def models() -> dict[str, PreTrainedModel]:
    """The models to time, by name."""
    return {
        "small": RDFERForVideoClassification.from_pretrained(CHECKPOINTS["rdfer-small"][1]),
        "base": RDFERForVideoClassification(RDFERConfig.from_preset("base", num_labels=7)),
        "AEN base": AENForVideoClassification(AENConfig.from_preset("base")),
    }


# Eight bits ----------------------------------------------------------------------------------------------------------


class _Videos(CalibrationDataReader):
    def __init__(self, videos: list[torch.Tensor]):
        self._videos = iter(videos)

    def get_next(self):
        video = next(self._videos, None)
        if video is None:
            return None
        return {"pixel_values_videos": video[None].numpy(), "frame_mask": np.ones((1, len(video)), dtype=bool)}


def quantise(model: PreTrainedModel, folder: Path, videos: list[torch.Tensor]) -> ONNXModel:
    """The backbones in int8 (per-channel weights), statically calibrated on `videos`; the rest stays in float32."""
    export(model, folder / "float.onnx")
    # Fold batch norms into convolutions.
    quant_pre_process(str(folder / "float.onnx"), str(folder / "folded.onnx"), skip_symbolic_shape=True)
    graph = onnx.load(folder / "folded.onnx").graph
    kinds = ["Conv", "Add", "MaxPool", "Relu"]
    nodes = []
    # Everything after a convolution, up to the mean over the image, belongs to a backbone.
    inside = set()
    for node in graph.node:
        if node.op_type == "Conv" or (node.op_type in (*kinds, "Pad") and any(name in inside for name in node.input)):
            inside.update(node.output)
            nodes.append(node.name)
    quantize_static(
        folder / "folded.onnx",
        folder / "int8.onnx",
        _Videos(videos),
        op_types_to_quantize=[*kinds, "Pad"],
        nodes_to_quantize=nodes,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return ONNXModel(folder / "int8.onnx", model.config)


def synthetic(seed: int, count: int, size: int, num_frames: int = 64) -> list[tuple[torch.Tensor, int]]:
    """Synthetic videos as the processor returns them, each with the number of its label."""
    videos = []
    for index in range(count):
        frames, truth = render_video(seed, index, size)
        chosen = (2 * np.arange(num_frames) + 1) * len(frames) // (2 * num_frames)
        frames = frames[np.unique(chosen)]
        videos.append((torch.from_numpy(frames), LABELS.index(truth.true_label)))
    return videos


def labelled_windows(processor: RDFERVideoProcessor, seconds: float = 0.6) -> list[tuple[torch.Tensor, int]]:
    """Face crops of windows in the hand-labelled parts of the real clip, each with the number of its label."""
    windows = []
    with open(DATA / "cap13_segments.csv", newline="") as file:
        segments = list(csv.DictReader(file))
    with closing(open_video(DATA / segments[0]["video"])) as source:
        fps = source.average_fps
        for segment in segments:
            start, end = float(segment["start_s"]), float(segment["end_s"])
            while start + seconds <= end + 1e-6:
                frames = source.get_frames(list(range(round(start * fps), round((start + seconds) * fps))))
                inputs = processor(frames, do_sample_frames=False, return_tensors="pt")
                windows.append((inputs["pixel_values_videos"][0], LABELS.index(segment["label"])))
                start += seconds / 2
    return windows


@torch.inference_mode()
def scores(run: Callable, videos: list[tuple[torch.Tensor, int]]) -> torch.Tensor:
    """Probabilities `(N, C)` of N videos, computed one by one."""
    return torch.cat([run(video[None]).logits.softmax(-1) for video, _ in videos])


def accuracy(work: Path, num_videos: int) -> dict:
    """Changes of the checkpoints' answers in int8."""
    rows = {}
    for name, (model_class, folder) in CHECKPOINTS.items():
        model = model_class.from_pretrained(folder).eval()
        processor = RDFERVideoProcessor.from_pretrained(folder)
        size = model.config.image_size
        calibration = [video for video, _ in synthetic(CALIBRATION_SEED, NUM_CALIBRATION_VIDEOS, size)]
        (work / name).mkdir()
        int8 = quantise(model, work / name, calibration)
        sets = {
            "synthetic videos": synthetic(TEST_SEED, num_videos, size),
            "labelled windows of the real clip": labelled_windows(processor),
        }
        for kind, videos in sets.items():
            labels = torch.tensor([label for _, label in videos])
            before, after = scores(model, videos), scores(int8, videos)
            change = (after - before).abs().amax(-1)
            rows[f"{name}, {kind}"] = {
                "videos": len(videos),
                "right in float32, %": 100 * (before.argmax(-1) == labels).float().mean().item(),
                "right in int8, %": 100 * (after.argmax(-1) == labels).float().mean().item(),
                "same label, %": 100 * (before.argmax(-1) == after.argmax(-1)).float().mean().item(),
                "change of a probability, mean": change.mean().item(),
                "change of a probability, largest": change.max().item(),
            }
    return rows


# Speed ---------------------------------------------------------------------------------------------------------------


def build(engine: str, model: PreTrainedModel, folder: Path) -> Callable[[torch.Tensor], object]:
    """A function from uint8 videos to the model's output, computed by one of `ENGINES`."""
    if engine == "eager":
        return model
    if engine == "channels last":
        return copy.deepcopy(model).to(memory_format=torch.channels_last)
    if engine == "bfloat16":
        return copy.deepcopy(model).bfloat16()
    if engine == "torch.compile":
        torch._dynamo.config.allow_rnn = True
        return torch.compile(copy.deepcopy(model), dynamic=False)
    if engine == "torch.export":
        export(model, folder / "model.pt2", "torch-export")
        program = torch.export.load(folder / "model.pt2").module()
        return lambda videos: program(
            pixel_values_videos=videos, frame_mask=torch.ones(videos.shape[:2], dtype=torch.bool)
        )
    if engine == "ONNX Runtime":
        export(model, folder / "model.onnx")
        return ONNXModel(folder / "model.onnx", model.config)
    calibration = [video for video, _ in synthetic(CALIBRATION_SEED, 4, model.config.image_size)]
    return quantise(model, folder, calibration)


@torch.inference_mode()
def speed(work: Path, names: list[str], engines: list[str], repeats: int) -> dict:
    """Milliseconds of a forward, its share of the speed of a matrix product, and its speed relative to eager."""
    matrix = torch.randn(2048, 2048)
    tables = {}
    for name, model in models().items():
        if name not in names:
            continue
        model.eval()
        size = model.config.image_size
        runs = {}
        for engine in engines:
            print(f"  {name}: {engine}", flush=True)
            folder = work / name / engine
            folder.mkdir(parents=True)
            with torch.inference_mode(False), torch.no_grad():
                runs[engine] = build(engine, model, folder)
        for batch in (1, 8):
            videos = torch.randint(0, 256, (batch, 64, 3, size, size), dtype=torch.uint8)
            with FlopCounterMode(display=False) as counter:
                model(videos)
            flops = counter.get_total_flops()
            functions = {engine: (lambda run=run, videos=videos: run(videos)) for engine, run in runs.items()}
            functions[LIMIT] = lambda: torch.matmul(matrix, matrix)
            seconds = take_turns(functions, repeats)
            limit = [2 * 2048**3 / second for second in seconds[LIMIT]]
            rows = {}
            for engine in engines:
                # Within a turn, so that other load on the machine affects both.
                share = [100 * flops / second / top for second, top in zip(seconds[engine], limit)]
                rows[engine] = {
                    "milliseconds": summary([1000 * second for second in seconds[engine]]),
                    "share of the limit, %": summary(share),
                }
                if "eager" in seconds:
                    rows[engine]["times as fast as eager"] = ratio(seconds["eager"], seconds[engine])
            tables[f"{name}, {batch} video{'s' * (batch > 1)}"] = rows
    return tables


def _figure(value) -> str:
    if isinstance(value, dict):
        digits = 0 if value["median"] >= 10 else 2
        return f"{value['median']:.{digits}f} ({value['low']:.{digits}f}..{value['high']:.{digits}f})"
    return str(value) if isinstance(value, int) else f"{value:.1f}" if value >= 1 else f"{value:.4f}"


def render(results: dict[str, dict]) -> str:
    """The tables of docs/benchmarks.md."""
    tables = dict(results["speed"]["tables"])
    rest = {name: rows for name, rows in tables.items() if name != HEADLINE} | results["accuracy"]["tables"]
    machine = results["speed"]["machine"]
    texts = [_table(HEADLINE, tables[HEADLINE])] if HEADLINE in tables else []
    texts += [f"Measured with {measured_with(machine)}.", "### All other tables of engines"]
    return "\n\n".join([*texts, *(_table(name, rows) for name, rows in rest.items())])


def _table(title: str, rows: dict[str, dict]) -> str:
    columns = list(next(iter(rows.values())))
    return markdown_table((title, *columns), [(name, *map(_figure, row.values())) for name, row in rows.items()])


def main(argv: list[str] | None = None):
    """Measures and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.engines", __doc__, EXAMPLES)
    parser.add_argument("--repeats", type=int, default=20, help="turns, at least 2")
    parser.add_argument(
        "--models", nargs="*", choices=MODELS, default=MODELS, help="models to time; none: no timing (default: all)"
    )
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=ENGINES, help="engines to time (default: all)"
    )
    parser.add_argument("--test-videos", type=int, default=140, help="synthetic videos to test int8 with; 0: no test")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    path = arguments.output_dir / FILE
    if not arguments.render:
        measure_all(path, arguments)
    results = load_results(path)
    print(render(results))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("engines", render(results))


def measure_all(path: Path, arguments: argparse.Namespace):
    """Measures speed and accuracy and adds them to the results."""
    where = {**machine("onnxruntime"), "repeats": arguments.repeats}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.models:
            tables = speed(work, arguments.models, arguments.engines, arguments.repeats)
            write_result(path, "speed", {"machine": where, "tables": tables})
        if arguments.test_videos:
            tables = {"int8 against float32": accuracy(work, arguments.test_videos)}
            write_result(path, "accuracy", {"machine": where, "tables": tables})


if __name__ == "__main__":
    main()
