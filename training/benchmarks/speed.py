# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Speed and memory on a CPU, compared with alternatives and with the limit of the machine. Five parts: latency (one
video, file to label), forward (the networks alone), folder (many videos), training, scaling (peak memory; cost against
the length and the number of videos). Runs that are compared take turns in one process; each run of `scaling` has a
process of its own. Models that are compared have random weights, which take as long as trained ones.

The videos are made from the real clip of the tests and kept in --cache. A part is a line of results/speed.jsonl.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.video import r3d_18
from tqdm.auto import tqdm
from transformers import (
    ResNetBackbone,
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEVideoProcessor,
    pipeline,
)
from transformers.utils import logging

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
    cli,
    predict,
)
from modeling_rdfer.models import video_processing_rdfer
from modeling_rdfer.models.package_data_rdfer import embedded_checkpoint
from modeling_rdfer.models.video_backbone_rdfer import VideoBackbonePreTrainedModel
from modeling_rdfer.models.video_decoding_rdfer import VideoSource, open_video
from modeling_rdfer.models.video_processing_rdfer import FACE_MAX_SIDE
from modeling_rdfer.models.video_source_rdfer import resize_frames
from modeling_rdfer.trainer.collator import collate_videos
from training.benchmarks.shared.results import RESULTS, RESULTS_HELP, read_lines, write_result
from training.benchmarks.shared.tables import markdown_table, measured_with, write_tables
from training.benchmarks.shared.timing import CLIP, Stopwatch, machine, peak_megabytes, ratio, summary, take_turns
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import VideoDataset
from training.running.script_parser import ScriptParser

FILE = "speed.jsonl"
EXAMPLES = """examples:
  python -m training.benchmarks.speed                    all parts; about 20 minutes on two cores
  python -m training.benchmarks.speed --only forward     one of them
  python -m training.benchmarks.speed --render           only writes the tables
"""
LABELS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
VIDEOMAE = "VideoMAE-base"
CLIPS = ("2 s 224x224.mp4", "30 s 400x300.mp4", "10 min 1080p.mp4")
LENGTHS = (2, 10, 30, 120, 600)  # seconds of video
COUNTS = (10, 100, 1000)  # videos
FOLDERS, FOLDER_CLIPS = 5, 40  # one folder a turn


# ---------------------------------------------------------------------------------------------------------------------
# Videos
# ---------------------------------------------------------------------------------------------------------------------
def write_video(path: Path, frames):
    """Encodes uint8 frames `(3, H, W)` with x264: 25 per second, with B-frames and a key frame every 250 frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
                stream.height, stream.width, stream.pix_fmt = *frame.shape[-2:], "yuv420p"
            picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_repeated(path: Path, source: Path, seconds: float):
    """Copies the packets of a video repeatedly until a length in seconds is reached."""
    import av

    with av.open(str(path), "w") as container, av.open(str(source)) as original:
        from_stream = original.streams.video[0]
        stream = container.add_stream_from_template(from_stream)
        offset = 0
        while offset * from_stream.time_base < seconds:
            original.seek(0, stream=from_stream)
            for packet in original.demux(from_stream):
                if packet.size:
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    container.mux(packet)
            offset += from_stream.duration


def make_videos(work: Path):
    """Makes the videos that the parts read, unless they are there."""
    for folder in range(FOLDERS):
        (work / f"folder {folder}").mkdir(parents=True, exist_ok=True)

    def make(name: str, write: Callable, *arguments):
        if not (work / name).exists():
            write(work / "unfinished.mp4", *arguments)
            (work / "unfinished.mp4").rename(work / name)

    def cut(first: int, count: int) -> torch.Tensor:
        return video.get_frames([number % len(video) for number in range(first, first + count)])

    def large():
        for first in range(0, len(video), 15):
            for frame in resize_frames(cut(first, 15), (1080, 1440)):
                yield F.pad(frame, (240, 240), value=128)

    with open_video(CLIP) as video:
        make(CLIPS[0], write_video, resize_frames(cut(0, 50)[..., 50:350], (224, 224)))
        make(CLIPS[1], write_repeated, CLIP, 30)
        make("30 s 1080p.mp4", write_video, large())
        make(CLIPS[2], write_repeated, work / "30 s 1080p.mp4", 600)
        for seconds in LENGTHS:
            if seconds < 30:
                make(f"{seconds} s.mp4", write_video, cut(0, 25 * seconds))
            else:
                make(f"{seconds} s.mp4", write_repeated, CLIP, seconds)
        for number in range(FOLDERS * FOLDER_CLIPS):
            start = 15 * number % len(video)  # 51 different ones
            make(f"start {start}.mp4", lambda path, start=start: write_video(path, cut(start, 75)))
            source = work / f"start {start}.mp4"
            make(f"folder {number % FOLDERS}/{number:03}.mp4", partial(shutil.copyfile, source))


def folder_clips(work: Path) -> list[str]:
    """Paths of the clips of all folders."""
    return sorted(str(path) for path in work.glob("folder */*.mp4"))


# ---------------------------------------------------------------------------------------------------------------------
# Systems
# ---------------------------------------------------------------------------------------------------------------------
def _rdfer(preset: str):
    return RDFERForVideoClassification(RDFERConfig.from_preset(preset, id2label=LABELS))


def _aen(preset: str):
    return AENForVideoClassification(AENConfig.from_preset(preset, id2label=LABELS))


def _videomae(**options):
    return VideoMAEForVideoClassification(VideoMAEConfig(num_labels=len(LABELS), **options))


def _timesformer():
    return TimesformerForVideoClassification(TimesformerConfig(num_labels=len(LABELS)))


def _sampled_frames(videos: int, size: int = 112):
    return torch.randint(0, 256, (videos, 64, 3, size, size), dtype=torch.uint8)


# Name -> function that makes the model, function that makes the input for a number of videos.
NETWORKS = {
    "RDFER small": (partial(_rdfer, "small"), partial(_sampled_frames, size=48)),
    "RDFER base": (partial(_rdfer, "base"), _sampled_frames),
    "RDFER paper": (partial(_rdfer, "paper"), _sampled_frames),
    "AEN base": (partial(_aen, "base"), _sampled_frames),
    VIDEOMAE: (_videomae, lambda videos: torch.randn(videos, 16, 3, 224, 224)),
    "VideoMAE-small": (
        partial(_videomae, hidden_size=384, num_attention_heads=6, intermediate_size=1536),
        lambda videos: torch.randn(videos, 16, 3, 224, 224),
    ),
    "TimeSformer-base": (_timesformer, lambda videos: torch.randn(videos, 8, 3, 224, 224)),
    "R3D-18": (partial(r3d_18, num_classes=len(LABELS)), lambda videos: torch.randn(videos, 3, 16, 112, 112)),
}


def _rdfer_pipeline(make_model, **options):
    model = make_model()
    size = {"height": model.config.image_size, "width": model.config.image_size}
    processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint(), size=size, **options)
    # The pipeline collates batches with a `feature_extractor`.
    return pipeline("video-classification", model=model, video_processor=processor, feature_extractor=processor)


def _videomae_pipeline():
    processor = VideoMAEVideoProcessor(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, do_sample_frames=True
    )
    return pipeline("video-classification", model=_videomae().eval(), video_processor=processor)


def _rdfer_small():
    return RDFERForVideoClassification.from_pretrained(embedded_checkpoint())


PIPELINES = {
    "RDFER small": partial(_rdfer_pipeline, _rdfer_small),
    "RDFER small, no face crop": partial(_rdfer_pipeline, _rdfer_small, do_face_crop=False),
    "RDFER base": partial(_rdfer_pipeline, lambda: _rdfer("base").eval()),
    VIDEOMAE: _videomae_pipeline,
}


# ---------------------------------------------------------------------------------------------------------------------
# Parts: each returns tables {title: {row: {column: figure}}}; a figure is a number, or median and quartiles
# ---------------------------------------------------------------------------------------------------------------------
def compared(seconds: dict[str, list[float]], reference: str, per: int = 1) -> dict:
    """Rows with milliseconds (per item of `per` items) and the speed relative to the reference."""
    return {
        name: {
            "ms": summary([1000 * value / per for value in values]),
            f"times as fast as {reference}": ratio(seconds[reference], values),
        }
        for name, values in seconds.items()
    }


def latency(work: Path, repeats: int) -> dict:
    """Time from file to label of one video, and where it goes."""
    classifiers = {name: make() for name, make in PIPELINES.items()}
    base = classifiers["RDFER base"]
    for part in (base.model, base.video_processor):
        part.save_pretrained(work / "base")
    for name, model in (("small", None), ("base", str(work / "base"))):
        classifiers[f"RDFER {name}, ONNX Runtime"] = partial(predict, model=model, engine="onnx")
    tables = {}
    for clip in CLIPS:
        path, name = str(work / clip), clip.removesuffix(".mp4")
        long = clip == CLIPS[-1]
        turns = min(repeats, 3) if long else repeats
        functions = {system: partial(classify, path) for system, classify in classifiers.items()}
        seconds = take_turns(functions, turns, warm_up=0 if long else 1)
        tables[f"Latency, file to label: {name}"] = compared(seconds, VIDEOMAE)
        tables[f"Where the time goes: {name}"] = where_time_goes(classifiers, path, turns)
        if long:
            tables[f"Decoding for one label: {name}"] = against_ffmpeg(path, turns)
    return tables


def where_time_goes(classifiers: dict, path: str, turns: int) -> dict:
    """Milliseconds of the parts of a pipeline's call."""
    rows = {}
    for system in ("RDFER small", "RDFER base"):
        classify = classifiers[system]
        places = [
            (video_processing_rdfer, "open_video", "open: the index of frames"),
            (VideoSource, "get_frames", "decode, first face detections"),
            (video_processing_rdfer, "track_faces", "further face detections, crop"),
            (video_processing_rdfer, "crop_faces", "further face detections, crop"),
            (VideoBackbonePreTrainedModel, "_normalise", "normalise"),
            (classify.model, "forward", "forward"),
        ]
        parts = {}
        for _ in range(turns):
            watch = Stopwatch()
            with watch.on(places):
                watch.timed(classify, "rest")(path)
            for part, value in watch.seconds.items():
                parts.setdefault(part, []).append(1000 * value)
        for part in dict.fromkeys([*(part for _, _, part in places), "rest"]):
            rows.setdefault(part, {})[f"{system}, ms"] = summary(parts[part])
    return rows


def against_ffmpeg(path: str, turns: int) -> dict:
    """Reading the 64 frames for one label at the size of the face detector: this package and the ffmpeg command."""
    with open_video(path) as video:
        indices = RDFERVideoProcessor().sample_frames(argparse.Namespace(total_num_frames=len(video)), 64).tolist()
        times = video.pts_seconds
    scale = f"scale={FACE_MAX_SIDE}:-2:flags=bilinear"
    output = ["-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-y", os.devnull]

    def ours():
        with open_video(path) as video:
            video.get_frames(indices, max_side=FACE_MAX_SIDE)

    def ffmpeg(*options):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *options, *output], check=True)

    def one_pass():
        wanted = "+".join(f"eq(n,{index})" for index in indices)
        ffmpeg("-i", path, "-vf", f"select='{wanted}',{scale}")

    def seek(index):
        # ffmpeg gives the first frame at or after the time, so a little less than the frame's time.
        ffmpeg("-ss", f"{max(0.0, times[index] - 0.01):.3f}", "-i", path, "-frames:v", "1", "-vf", scale)

    def seeks(at_once):
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(seek, indices))

    functions = {"this package": ours}
    if shutil.which("ffmpeg"):
        functions["ffmpeg, one pass that selects"] = one_pass
        functions["ffmpeg -ss for each frame, one by one"] = partial(seeks, 1)
        functions["ffmpeg -ss for each frame, one a core at once"] = partial(seeks, machine()["cores"])
    seconds = take_turns(functions, turns, warm_up=0)
    return {
        name: {
            "ms": summary([1000 * value for value in values]),
            "time of this package relative to it": ratio(seconds["this package"], values),
        }
        for name, values in seconds.items()
    }


def forward(work: Path, repeats: int) -> dict:
    """Time of the networks alone, for one video."""
    functions, flops = {}, {}

    def add(name, model, inputs):
        model.eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(inputs)
        functions[name], flops[name] = partial(model, inputs), counter.get_total_flops()

    for name, (make, videos) in NETWORKS.items():
        add(name, make(), videos(1))
    base = RDFERConfig.from_preset("base")
    frames = torch.randn(16, 3, 112, 112).contiguous(memory_format=torch.channels_last)
    add("ResNet-18 alone, 16 frames of 112x112", ResNetBackbone(base.backbone_config), frames)
    matrix = torch.randn(2048, 2048)
    limit = "matrix product 2048x2048 (the limit)"
    functions[limit], flops[limit] = partial(torch.matmul, matrix, matrix), 2 * 2048**3
    with torch.inference_mode():
        seconds = take_turns(functions, repeats)
    rows = compared(seconds, VIDEOMAE)
    for name, row in rows.items():
        row["G multiply-adds"] = flops[name] / 2e9
        speed = [flops[name] / value for value in seconds[name]]
        row["share of the limit, %"] = ratio(
            [100 * value for value in speed], [flops[limit] / value for value in seconds[limit]]
        )
    del rows[limit][f"times as fast as {VIDEOMAE}"]
    return {"Forward of one video": rows}


def folder(work: Path, repeats: int) -> dict:
    """Time of many videos, in every way to pass them."""
    classify, count = PIPELINES["RDFER small"](), FOLDER_CLIPS
    folders = {}  # number of the next folder of each function

    def turn(name, function):
        def run():
            folders[name] = (folders.get(name, -1) + 1) % FOLDERS
            return function(work / f"folder {folders[name]}")

        return run

    def files(path):
        return [str(file) for file in sorted(path.iterdir())]

    def command(*options):
        def run(path):
            with contextlib.redirect_stdout(io.StringIO()):
                if cli.main(["predict", str(path), "--json", *options]):
                    raise RuntimeError(f"rdfer predict {path} failed")

        return run

    one_by_one = "predict() of each file"
    functions = {
        one_by_one: lambda path: [predict(file) for file in files(path)],
        "rdfer predict FOLDER": command(),
        "rdfer predict FOLDER --batch-size 8": command("--batch-size", "8"),
        "pipeline, one by one": lambda path: [classify(file) for file in files(path)],
        "pipeline(files, batch_size=8)": lambda path: classify(files(path), batch_size=8),
        "pipeline(files, batch_size=8, num_workers=2)": lambda path: classify(
            files(path), batch_size=8, num_workers=2
        ),
    }
    functions = {name: turn(name, function) for name, function in functions.items()}
    seconds = take_turns(functions, FOLDERS, warm_up=1)
    rows = compared(seconds, one_by_one, per=count)
    return {f"Many videos: {FOLDERS} folders of {count} clips, 3 s of 400x300, time of one clip": rows}


def training(work: Path, repeats: int) -> dict:
    """Time of a training step, and of reading for training."""
    turns, videos = min(repeats, 3), 2
    functions = {}
    for name, (make, inputs) in NETWORKS.items():
        functions[name] = _training_step(make().train(), inputs(videos))
    rows = compared(take_turns(functions, turns), VIDEOMAE, per=videos)

    paths = folder_clips(work)[:48]
    labels = [LABELS[number % len(LABELS)] for number in range(len(paths))]
    processor = RDFERVideoProcessor.from_pretrained(embedded_checkpoint())
    label2id = {label: number for number, label in enumerate(LABELS)}
    dataset = VideoDataset(LabelledVideos(paths, labels, paths), label2id, processor, training=True)

    def epoch(workers):
        for _ in DataLoader(dataset, batch_size=8, num_workers=workers, collate_fn=collate_videos):
            pass

    none = "in the process itself"
    loading = {none: partial(epoch, 0), "1 worker": partial(epoch, 1), "2 workers": partial(epoch, 2)}
    return {
        f"Training step, batch of {videos}, time of one video": rows,
        "Reading for training with face crop and augmentation, 3 s of 400x300, time of one video": compared(
            take_turns(loading, turns), none, per=len(paths)
        ),
    }


def _training_step(model, inputs) -> Callable:
    optimizer = torch.optim.AdamW(model.parameters())
    labels = torch.arange(len(inputs)) % len(LABELS)
    options = {}
    if isinstance(model, AENForVideoClassification):
        options["frame_targets"] = torch.full((*inputs.shape[:2], len(LABELS)), 1 / len(LABELS))

    def step():
        if hasattr(model, "config"):
            loss = model(inputs, labels=labels, **options).loss
        else:
            loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def scaling(work: Path, repeats: int) -> dict:
    """Peak memory, and time and memory against the length and the number of videos."""

    def alone(*task) -> dict:
        command = [sys.executable, "-m", "training.benchmarks.speed", "--cache", str(work), "--task", *map(str, task)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{run.stderr}")
        return json.loads(run.stdout.splitlines()[-1])

    memory = {"libraries imported": alone("nothing")}
    for name in PIPELINES:
        memory[f"{name}: file to label"] = alone("pipeline", name)
    for name in NETWORKS:
        memory[f"{name}: training step of 2 videos"] = alone("training", name)
    memory = {name: {"MB": result["peak"]} for name, result in memory.items()}
    lengths = {seconds: alone("length", seconds) for seconds in LENGTHS}
    counts = {count: alone("count", count) for count in COUNTS}
    return {
        "Peak memory of a process": memory,
        "RDFER small against the length of a video (400x300)": slopes(lengths, "s of video"),
        "`rdfer predict` against the number of videos (3 s of 400x300)": slopes(counts, "videos"),
    }


def slopes(results: dict[int, dict], unit: str) -> dict:
    """Rows with time and memory by size, and how much more each further unit takes."""
    rows = {}
    for number, (size, result) in enumerate(results.items()):
        row = rows[f"{size:,} {unit}"] = {"ms": 1000 * result["seconds"], "peak MB": result["peak"]}
        if number:
            before = list(results)[number - 1]
            row["ms more for each"] = 1000 * (result["seconds"] - results[before]["seconds"]) / (size - before)
            row["KB more for each"] = 1024 * (result["peak"] - results[before]["peak"]) / (size - before)
    return rows


def task(work: Path, kind: str, value: str | None) -> dict:
    """One measurement of `scaling`, in a process of its own: seconds and peak memory in MB."""
    if kind == "nothing":
        return {"peak": peak_megabytes()}
    if kind == "pipeline":
        PIPELINES[value]()(str(work / CLIPS[1]))
        return {"peak": peak_megabytes()}
    if kind == "training":
        make, inputs = NETWORKS[value]
        _training_step(make().train(), inputs(2))()
        return {"peak": peak_megabytes()}
    if kind == "length":
        path = str(work / f"{value} s.mp4")
        seconds = take_turns({"": partial(predict, path)}, 3)[""]
        return {"seconds": summary(seconds)["median"], "peak": peak_megabytes()}
    clips = folder_clips(work)
    paths = [clips[number % len(clips)] for number in range(int(value))]
    predict(paths[:2])
    seconds = take_turns({"": partial(predict, paths)}, 1, warm_up=0)[""]
    return {"seconds": seconds[0], "peak": peak_megabytes()}


PARTS = {part.__name__: part for part in (latency, forward, folder, training, scaling)}


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------
# Tables that the page shows first: part, beginning of the title, rows (all if empty).
HEADLINES = (
    ("latency", f"Latency, file to label: {CLIPS[1].removesuffix('.mp4')}", ()),
    ("latency", "Decoding for one label", ()),
    ("forward", "Forward of one video", ()),
    ("folder", "Many videos", ()),
    ("training", "Training step", ("RDFER small", "RDFER base", "AEN base", VIDEOMAE, "TimeSformer-base", "R3D-18")),
)


def _figure(value) -> str:
    if isinstance(value, dict):
        return f"{_figure(value['median'])} ({_figure(value['low'])}..{_figure(value['high'])})"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def render_table(title: str, rows: dict[str, dict]) -> str:
    """A table with its title, as Markdown."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [
        (name, *(_figure(row[column]) if column in row else "" for column in columns)) for name, row in rows.items()
    ]
    return f"{title}:\n\n{markdown_table(('', *columns), cells)}"


def _measured_with(lines: list[dict]) -> str:
    machines = [{name: value for name, value in line["machine"].items() if name != "load"} for line in lines]
    return f"Measured with {'; '.join(dict.fromkeys(map(measured_with, machines)))}."


def render(lines: list[dict]) -> str:
    """The tables of docs/benchmarks.md: the most important ones, then all the others, then those of other machines."""
    by_machine = {}
    for line in lines:
        by_machine.setdefault(line["machine"]["processor"], {})[line["name"]] = line
    first, *others = by_machine.values()
    shown, rest = [], []
    for part, beginning, rows in HEADLINES:
        for title, table in first.get(part, {}).get("tables", {}).items():
            if title.startswith(beginning):
                shown.append((title, {row: table[row] for row in rows or table}))
    for part in PARTS:
        rest += [table for table in first.get(part, {}).get("tables", {}).items() if table not in shown]
    texts = [*(render_table(*table) for table in shown), _measured_with(list(first.values()))]
    texts += ["### All other tables of this machine", *(render_table(*table) for table in rest)]
    for parts in others:
        name = next(iter(parts.values()))["machine"]["processor"]
        texts.append(f"### On another processor: {name}")
        texts += [render_table(*table) for line in parts.values() for table in line["tables"].items()]
        texts.append(_measured_with(list(parts.values())))
    return "\n\n".join(texts)


def main(argv: list[str] | None = None):
    """Measures and writes the tables, as the command line says."""
    parser = ScriptParser("benchmarks.speed", __doc__, EXAMPLES)
    parser.add_argument("--only", choices=PARTS, nargs="+", help="parts to run (default: all)")
    parser.add_argument("--repeats", type=int, default=10, help="turns; at most 3 for slow parts")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--cache", type=Path, default=Path("output/speed"), help="folder of the videos")
    parser.add_argument("--output-dir", type=Path, default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--render", action="store_true", help="only write the tables of docs/benchmarks.md")
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.task:
        return print(json.dumps(task(arguments.cache, *[*arguments.task, None][:2])))
    path = arguments.output_dir / FILE
    if not arguments.render:
        make_videos(arguments.cache)
        for part in tqdm(arguments.only or list(PARTS), unit="part"):
            tables = PARTS[part](arguments.cache, arguments.repeats)
            write_result(path, part, {"machine": machine(), "tables": tables})
            tqdm.write("\n\n".join(render_table(*table) for table in tables.items()) + "\n")
    if arguments.output_dir.resolve() == RESULTS:
        write_tables("speed", render(read_lines(path)))


if __name__ == "__main__":
    main()
