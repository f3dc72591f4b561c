# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reading videos for training: originals against videos prepared by `training.prepare`, loading against the training
step of preset `small`, and the memory of streaming. All data is generated, in a temporary folder. Runs take turns in
one process: medians with quartiles.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import resize_frames
from modeling_rdfer.trainer.collator import collate_videos
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, load_results, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, machine, measure, peak_megabytes
from training.data.labelled_videos import LabelledVideos
from training.data.streaming import StreamingVideoDataset
from training.data.video_dataset import VideoDataset
from training.data.video_shards import load_shards
from training.datasets import load
from training.datasets.crema_d import LABELS
from training.preparing.dataset import prepare_dataset
from training.running.script_parser import ScriptParser

ACTORS = (1001, 1019, 1037, 1055, 1073)  # one in each fold
FILE = "data_loading.jsonl"
LABEL2ID = {name: number for number, name in enumerate(LABELS)}
BATCH_SIZE = 8
EXAMPLES = "example: python -m training.benchmarks.data_loading --clips 10 --output-dir output/data_loading"


def write_1080p(root: Path, clips: int):
    """CREMA-D's layout with parts of a real clip, enlarged to 1440 x 1080 (same aspect ratio), 90 frames each."""
    import av

    (root / "VideoMP4").mkdir(parents=True)
    with open_video(CLIP) as video:
        for clip in range(clips):
            frames = video.get_frames(range(60 * clip % 600, 60 * clip % 600 + 90))
            with av.open(str(root / "VideoMP4" / f"{clip_name(clip)}.mp4"), "w") as container:
                stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = 1440, 1080, "yuv420p"
                for frame in frames:
                    large = resize_frames(frame[None], (1080, 1440))[0].permute(1, 2, 0).contiguous().numpy()
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
                container.mux(stream.encode())


def write_frame_folders(root: Path, clips: int):
    """CREMA-D's layout with folders of 90 JPEG frames of 224 x 224: the middle of a real clip."""
    with open_video(CLIP) as video:
        for clip in range(clips):
            folder = root / "face_aligned" / clip_name(clip)
            folder.mkdir(parents=True)
            frames = video.get_frames(range(60 * clip % 600, 60 * clip % 600 + 90))
            for number, frame in enumerate(resize_frames(frames[..., 50:350], (224, 224))):
                Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{number:05}.jpg", quality=95)


def clip_name(number: int) -> str:
    """A clip's name as in CREMA-D: the actors in turn, each with all expressions."""
    codes = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    sentence = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number // 30]
    return f"{ACTORS[number % 5]}_DF{sentence}_{codes[number // 5 % 6]}_XX"


def map_all(function, items):
    """Calls a function with each item."""
    for item in items:
        function(item)


def epoch(dataset):
    """Reads all examples of a dataset."""
    for number in range(len(dataset)):
        dataset[number]


def originals_against_prepared(folder: Path, clips: int, repeats: int) -> dict:
    """Reading an epoch in one process, and the augmentation, which costs the same for both."""
    results = {}
    for kind, write in (("1440x1080 videos", write_1080p), ("224x224 JPEG folders", write_frame_folders)):
        root, out = folder / kind.split()[0], folder / f"{kind.split()[0]}-prepared"
        write(root, clips)
        prepare_dataset("crema_d", root, out)
        faces = kind.endswith("videos")
        processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint(), do_face_crop=faces)
        videos = {
            "originals": LabelledVideos.from_dataset(load("crema_d", root)["train"], "train"),
            "prepared": LabelledVideos.from_dataset(load("hub", out, config="fold_1")["train"], "train"),
        }
        read = {name: VideoDataset(source, LABEL2ID, processor) for name, source in videos.items()}
        frames = torch.stack([read["prepared"][number]["pixel_values_videos"] for number in range(4)])
        functions = {name: lambda dataset=dataset: epoch(dataset) for name, dataset in read.items()}
        functions["augmentation of either"] = partial(map_all, read["prepared"].augment, frames)
        times = measure(functions, repeats)
        counts = {"augmentation of either": len(frames)}
        result = {
            f"{name}, ms a video": {q: 1000 * t / counts.get(name, len(videos["originals"])) for q, t in time.items()}
            for name, time in times.items()
        }
        result["originals : prepared"] = times["originals"]["median"] / times["prepared"]["median"]
        original, ready, augmented = (result[f"{name}, ms a video"]["median"] for name in functions)
        result["originals : prepared, both augmented"] = (original + augmented) / (ready + augmented)
        files = [path for path in root.rglob("*") if path.is_file()]
        result["originals, KB a video"] = sum(path.stat().st_size for path in files) / clips / 1024
        result["prepared, KB a video"] = sum(f.stat().st_size for f in out.rglob("*.parquet")) / clips / 1024
        results[kind] = result
    return results


def loading_against_training(folder: Path, repeats: int) -> dict:
    """Loading a batch of 8 (augmented, one process) against a training step of preset small."""
    processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint(), do_face_crop=False)
    shards = load_shards(str(folder / "1440x1080-prepared"), "train", "fold_1")
    stream = StreamingVideoDataset(shards, LABEL2ID, processor, training=True)
    model = RDFERForVideoClassification(RDFERConfig.from_preset("small", id2label=dict(enumerate(LABELS)))).train()
    optimizer = torch.optim.AdamW(model.parameters())
    dataset = VideoDataset(
        LabelledVideos.from_dataset(load("hub", folder / "1440x1080-prepared", config="fold_1")["train"], "train"),
        LABEL2ID,
        processor,
        True,
    )

    def load_batch():
        return collate_videos([dataset[number % len(dataset)] for number in range(BATCH_SIZE)])

    def stream_batch():
        return next(iter(stream.batches(BATCH_SIZE, collate_videos)))

    batch = load_batch()
    batch.pop("sample_index")

    def step():
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    times = measure(
        {"load a batch": load_batch, "stream the first batch": stream_batch, "training step": step}, repeats
    )
    result = {f"{name}, ms": {q: 1000 * t for q, t in time.items()} for name, time in times.items()}
    result["training step : load a batch"] = times["training step"]["median"] / times["load a batch"]["median"]
    return result


def stream_once(prepared: str):
    """Streams a set and prints the peak resident memory in MB; run in a process of its own."""
    processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint(), do_face_crop=False)
    stream = StreamingVideoDataset(load_shards(prepared, "train"), LABEL2ID, processor, training=True)
    for _ in stream.batches(BATCH_SIZE, collate_videos):
        pass
    print(peak_megabytes())


def memory_of_streaming(folder: Path, counts: tuple[int, ...] = (100, 1000, 3000)) -> dict:
    """Peak resident memory of a process that streams sets of copies of the prepared videos."""
    import datasets

    one = datasets.load_dataset(str(folder / "1440x1080-prepared"), "fold_1", split="train")
    one = one.cast_column("video", datasets.Video(decode=False))
    result = {}
    for count in counts:
        out = folder / f"stream-{count}"
        (out / "data").mkdir(parents=True)
        many = one.select([number % len(one) for number in range(count)])
        many = many.remove_columns("sample_id").add_column("sample_id", [str(number) for number in range(count)])
        many = many.cast_column("video", datasets.Video())
        for shard in range(0, count, 50):
            part = many.select(range(shard, min(count, shard + 50)))
            part.to_parquet(str(out / "data" / f"train-{shard:05}.parquet"), batch_size=32)
        run = subprocess.run(
            [sys.executable, "-m", "training.benchmarks.data_loading", "--stream", str(out)],
            capture_output=True,
            text=True,
            check=True,
        )
        result[f"{count} videos, peak MB"] = float(run.stdout.split()[-1])
        shutil.rmtree(out)
    peaks = list(zip(counts, result.values()))
    for (few, low), (many, high) in zip(peaks, peaks[1:]):
        result[f"slope from {few} to {many}, KB a video"] = (high - low) * 1024 / (many - few)
    return result


def _rows(value: dict, name: str = "") -> list[tuple[str, str]]:
    """Rows of a table: nested names joined, medians with quartiles."""
    found = []
    for key, entry in value.items():
        label = f"{name}: {key}" if name else key
        if isinstance(entry, dict) and "median" not in entry:
            found += _rows(entry, label)
        elif isinstance(entry, dict):
            found.append((label, f"{entry['median']:.1f} ({entry['low']:.1f}..{entry['high']:.1f})"))
        else:
            found.append((label, f"{entry:.2f}"))
    return found


PARTS = (originals_against_prepared, loading_against_training, memory_of_streaming)


def render(results: dict[str, dict]) -> str:
    """The tables of docs/benchmarks.md."""
    parts = []
    for part in PARTS:
        if part.__name__ in results:
            table = markdown_table(("", "median (quartiles)"), _rows(results[part.__name__]["figures"]))
            parts += [f"{part.__doc__.strip().removesuffix('.')}:", table]
            where = results[part.__name__]["machine"]
    return "\n\n".join([*parts, f"Measured with {measured_with(where)}."])


def main(argv: list[str] | None = None):
    """Measures and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.data_loading", __doc__, EXAMPLES)
    parser.add_argument("--clips", type=int, default=10, help="generated clips of each kind")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--stream", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    if arguments.stream:
        return stream_once(arguments.stream)
    path = arguments.output_dir / FILE
    if not arguments.render:
        torch.manual_seed(0)
        where = {**machine("datasets", "pyarrow"), "clips": arguments.clips}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, options in zip(PARTS, ((arguments.clips, arguments.repeats), (arguments.repeats,), ())):
                write_result(path, part.__name__, {"machine": where, "figures": part(folder, *options)})
    print(render(load_results(path)))
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("data_loading", render(load_results(path)))


if __name__ == "__main__":
    main()
