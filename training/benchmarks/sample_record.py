# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The sample record of large training sets: memory, size on disk, and the time of update, verdicts and table after an
epoch, by number of samples. Predictions are drawn: 7 labels, 30 % of them wrong.
"""

import statistics
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from modeling_rdfer.trainer.losses import cross_entropy
from modeling_rdfer.trainer.sample_record import RECORD_NAME, SamplePredictions, SampleRecord
from modeling_rdfer.trainer.sample_table import SAMPLE_TABLE_NAME, write_sample_table
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import machine, take_turns
from training.running.script_parser import ScriptParser

FILE = "sample_record.jsonl"
LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
EXAMPLES = "example: python -m training.benchmarks.sample_record --samples 1000 --output-dir output/sample_record"


def draw_predictions(labels: torch.LongTensor, generator: torch.Generator) -> SamplePredictions:
    """Predictions of an epoch for labels of which 30 % are wrong: sure of the right label, with noise."""
    count = len(labels)
    wrong = torch.rand(count, generator=generator) < 0.3
    logits = torch.randn(count, len(LABELS), generator=generator)
    logits[torch.arange(count), (labels + wrong) % len(LABELS)] += 4
    return SamplePredictions(
        index=torch.arange(count),
        loss=cross_entropy(logits, labels),
        agreement=torch.randint(1, 5, (count,), generator=generator) / 4,
        clip_std=torch.rand(count, generator=generator),
        probabilities=logits.softmax(1),
        num_valid_clips=torch.full((count,), 4),
    )


def _megabytes(tensors) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def measure_record(count: int, repeats: int) -> dict[str, float]:
    """Figures of a record of `count` samples: seconds and megabytes by name."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, len(LABELS), (count,), generator=generator)
    predictions = draw_predictions(labels, generator)
    record = SampleRecord(labels, len(LABELS))
    record.update(predictions)
    columns = {
        "sample_id": [f"folder/video_{number:09}" for number in range(count)],
        "path": [f"/data/folder/video_{number:09}.mp4" for number in range(count)],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = take_turns(
            {
                "verdicts, s": lambda: record.load_state_dict(record.state_dict()),
                "update and verdicts, s": lambda: record.update(predictions),
                "write the table, s": lambda: write_sample_table(folder, record, LABELS, columns),
                "write the record, s": lambda: save_file(record.state_dict(), folder / RECORD_NAME),
            },
            repeats,
        )
        sizes = {file: (folder / file).stat().st_size / 1e6 for file in (RECORD_NAME, SAMPLE_TABLE_NAME)}
    kept = [record.given_labels, record.partition, record.weights, record.doubt, *record.state_dict().values()]
    return {
        "record in memory, MB": _megabytes(kept),
        "predictions of an epoch in memory, MB": _megabytes(predictions.state_dict().values()),
        "record in a checkpoint, MB": sizes[RECORD_NAME],
        "table, MB": sizes[SAMPLE_TABLE_NAME],
        **{name: statistics.median(values) for name, values in times.items()},
    }


def render(results: dict[str, dict]) -> str:
    """The table of docs/benchmarks.md."""
    runs = sorted(results.values(), key=lambda run: run["samples"])
    rows = [(name, *(f"{run['figures'][name]:.3g}" for run in runs)) for name in runs[0]["figures"]]
    table = markdown_table(("samples", *(f"{run['samples']:,}" for run in runs)), rows)
    return f"{table}\n\nMeasured with {measured_with(runs[0]['machine'])}."


def main(argv: list[str] | None = None):
    """Measures and writes the table, as the command line says."""
    parser = ScriptParser("benchmarks.sample_record", __doc__, EXAMPLES)
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="sizes of the training set"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the table of docs/benchmarks.md")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    path = arguments.output_dir / FILE
    for count in () if arguments.render else arguments.samples:
        figures = measure_record(count, arguments.repeats)
        write_result(
            path, str(count), {"samples": count, "machine": machine("pyarrow", "scikit-learn"), "figures": figures}
        )
    print(render(load_results(path)))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("sample_record", render(load_results(path)))


if __name__ == "__main__":
    main()
