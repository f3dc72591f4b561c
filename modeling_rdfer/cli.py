# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The `rdfer` command: predict, timeline, live, demo, serve, export, env."""

import argparse
import functools
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import PIL.Image
import torch
from transformers.utils import logging

from . import __version__
from .complete_files import write_atomically
from .disclaimer import NOT_FOR
from .inference.explain import overlay
from .inference.export import SUFFIXES, export
from .inference.face_stream import Window
from .inference.json_answers import answers_document, model_facts, timeline_document, window_document
from .inference.live import LiveRecognizer
from .inference.live_source import LiveSource
from .inference.live_window import LiveWindow
from .inference.loading import load
from .inference.predict import predict
from .inference.predict_shards import SHARD_SIZE, predict_shards
from .inference.scores import UNCERTAIN
from .inference.timeline import timeline
from .models.package_data_rdfer import embedded_checkpoint
from .models.video_decoding_rdfer import VIDEO_SUFFIXES, decoder_in_use
from .plots import plot_timeline
from .timeline_tables import write_timeline_csv, write_timeline_parquet


def _videos_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)


def _predict_many(arguments) -> int:
    if len(arguments.videos) != 1:
        raise ValueError("--out takes one folder of videos, or one text file that lists them.")
    if arguments.json or arguments.top_k:
        raise ValueError("--json and --top-k do not go with --out: its files hold the scores of all labels.")
    if arguments.heatmaps is not None:
        raise ValueError("--heatmaps does not go with --out, whose files hold no pictures.")
    counts = predict_shards(
        arguments.videos[0],
        arguments.out,
        ray=arguments.ray,
        shard_size=arguments.shard_size,
        progress=sys.stderr.isatty(),
        model=arguments.model,
        min_confidence=arguments.min_confidence,
        device=arguments.device,
        engine=arguments.engine,
        batch_size=arguments.batch_size,
        do_face_crop=arguments.face_crop,
        on_missing_face=arguments.on_missing_face,
        face=arguments.face,
        sampling=arguments.sampling,
        on_damage=arguments.on_damage,
    )
    print(f"{counts.videos} videos predicted, {counts.failed} of them could not be read: {arguments.out}")
    return 0


def _predict(arguments) -> int:
    if arguments.out:
        return _predict_many(arguments)
    if arguments.ray:
        raise ValueError("--ray needs --out, the folder for the answers.")
    videos = []
    for video in arguments.videos:
        # A folder without video files is one video, made of frame images. A dict keeps several images apart, of which
        # a list would be one video.
        videos.extend({"path": name} for name in (Path(video).is_dir() and _videos_in(Path(video))) or [video])
    answers = predict(
        videos,
        arguments.model,
        top_k=arguments.top_k,
        min_confidence=arguments.min_confidence,
        device=arguments.device,
        engine=arguments.engine,
        batch_size=arguments.batch_size,
        do_face_crop=arguments.face_crop,
        on_missing_face=arguments.on_missing_face,
        face=arguments.face,
        sampling=arguments.sampling,
        on_damage=arguments.on_damage,
        on_error="report",
        return_heatmaps=arguments.heatmaps is not None,
        progress=len(videos) > 1 and sys.stderr.isatty(),
    )
    assert isinstance(answers, list)  # as `videos` is one
    failed = [answer for answer in answers if "error" in answer]
    if arguments.heatmaps is not None:
        _write_heatmaps(answers, Path(arguments.heatmaps))
    if arguments.json:
        document = answers_document(answers, model_facts(arguments.model, arguments.device, arguments.engine))
        text = json.dumps(document, indent=2, ensure_ascii=False)
        print(text if _can_print(text) else json.dumps(document, indent=2))
    else:
        for answer in answers:
            if "error" not in answer:
                _print_table(answer)
        for answer in failed:
            print(f"error: {answer['error']}", file=sys.stderr)
    if failed and len(videos) > 1:
        print(f"{len(failed)} of {len(videos)} videos could not be read", file=sys.stderr)
    return 1 if failed else 0


def _write_heatmaps(answers: list[dict], folder: Path):
    """Writes a picture for each answer, a row of key frames for each clip, and removes the clips from the answers."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, answer in enumerate(answers):
        clips = answer.pop("clips", None)
        if clips is None:  # a video that could not be read
            continue
        rows = [overlay(clip["frames"], clip["heatmaps"]).permute(2, 0, 3, 1).flatten(1, 2) for clip in clips]
        picture = PIL.Image.fromarray(torch.cat(rows).numpy())
        picture = picture.resize((3 * picture.width, 3 * picture.height))
        # The number keeps videos of the same name in several folders, and faces of one video, apart.
        name = os.fsencode(Path(answer["file"]).stem).decode(errors="replace")
        file = folder / f"{number:04d}_{name}.png"
        write_atomically(file, functools.partial(picture.save, format="PNG"))
        print(f"wrote {file}", file=sys.stderr)


def _can_print(text: str) -> bool:
    """False if the output has no such characters, or if they stand for bytes of a file's name that are not UTF-8."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")  # `io.StringIO` has no encoding
    except UnicodeEncodeError:
        return False
    return True


def _print_table(answer: dict):
    face = f"  (face {answer['face']})" if "face" in answer else ""
    if "num_unreadable" in answer:
        num_frames = answer["num_readable"] + answer["num_unreadable"]
        face += f"  (damaged: {answer['num_readable']} of {num_frames} frames used)"
    elif "damaged_file" in answer["warnings"]:
        face += "  (damaged)"
    sentiment = "  sentiment {label} {score:.4f}".format(**answer["sentiment"]) if "sentiment" in answer else ""
    name = answer["file"]
    if not (name.isprintable() and _can_print(name)):  # it may hold line breaks and control characters
        name = ascii(name)
    print(f"{name}{face}  {answer['label']}  agreement of the clips {answer['agreement']:.2f}{sentiment}")
    width = max(len(prediction["label"]) for prediction in answer["predictions"])
    for prediction in answer["predictions"]:
        bar = "#" * round(40 * prediction["score"])
        print(f"  {prediction['label']:<{width}}  {prediction['score']:.4f}  {bar}".rstrip())


def _live(arguments) -> int:
    recognizer = LiveRecognizer(
        arguments.model,
        window=arguments.window,
        step=arguments.step,
        min_confidence=arguments.min_confidence,
        device=arguments.device,
        engine=arguments.engine,
        do_face_crop=arguments.face_crop,
    )
    given = [name for name in ("source", "camera", "url") if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise ValueError("give one source: --camera, --url or -")
    camera = arguments.camera if given else "0"
    count, shown = 0, []
    with ExitStack() as opened:
        window = opened.enter_context(closing(LiveWindow())) if arguments.show else None
        print("waiting for the first frames; Ctrl-C ends", file=sys.stderr)
        source = opened.enter_context(closing(LiveSource(camera, arguments.url)))
        print(f"reading {source.name}", file=sys.stderr)
        try:
            for frame, seconds in source:
                count += 1
                answers = recognizer.update(frame, seconds)
                _print_live(answers, arguments.json)
                shown = answers or shown
                if window is not None:
                    window.show(frame, shown)
                    if not window.is_open:
                        break
        except KeyboardInterrupt:
            pass
        finally:  # also of a source that breaks off
            _print_live(recognizer.finish(), arguments.json)
    print(f"{count} frames, {source.num_dropped} more dropped", file=sys.stderr)
    return 0


def _print_live(answers: list[Window], as_json: bool):
    for answer in answers:
        if as_json:
            line = json.dumps(window_document(answer))
        else:
            person = "whole frame" if answer.person is None else f"person {answer.person}"
            score = max((answer.scores or {}).values())
            line = f"{answer.end_seconds:8.1f} s  {person}  {answer.label} {score:.2f}"
            line += f"  agreement {answer.agreement:.2f}" + "".join(f"  ({code})" for code in answer.warnings)
        print(line, flush=True)


def _timeline(arguments) -> int:
    out = Path(arguments.out)
    if not out.suffix:
        out = out.with_suffix(".png")
    # Check the output first: reading a long video takes minutes.
    kind, pictures = out.suffix.lower(), (".png", ".svg", ".pdf", ".jpg")
    if kind not in (*pictures, ".csv", ".parquet", ".json"):
        raise ValueError(f"--out {arguments.out}: the name must end in {', '.join(pictures)}, .csv, .parquet or .json")
    if kind in pictures and importlib.util.find_spec("matplotlib") is None:
        raise ValueError("the picture needs matplotlib: pip install 'modeling-rdfer[plot]', or use --out NAME.csv")
    if kind == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow, or use --out NAME.csv")
    everyone = arguments.face == "all"
    windows = timeline(
        arguments.video,
        arguments.model,
        window=arguments.window,
        step=arguments.step,
        min_confidence=arguments.min_confidence,
        device=arguments.device,
        engine=arguments.engine,
        do_face_crop=arguments.face_crop,
        face=arguments.face,
        on_damage=arguments.on_damage,
        progress=True,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    written = [str(out)]
    if kind in (".json", ".parquet"):
        facts = model_facts(arguments.model, arguments.device, arguments.engine)
        if kind == ".parquet":
            write_timeline_parquet(windows, out, facts, arguments.video)
        else:
            document = timeline_document(windows, facts, arguments.video, arguments.window, arguments.step)
            write_atomically(out, json.dumps(document, indent=2) + "\n")
    else:
        table = out.with_suffix(".csv")
        write_timeline_csv(windows, table, with_people=everyone)
        if kind != ".csv":
            plot_timeline(windows, out, title=Path(arguments.video).name)
            written.append(str(table))
    without_face = sum(window.scores is None for window in windows)
    uncertain = sum(window.label == UNCERTAIN for window in windows)
    note = f", {without_face} of them without a face" if without_face else ""
    note += f", {uncertain} of them uncertain" if uncertain else ""
    if everyone:
        people = len({window.person for window in windows})
        note += f" of {people} {'person' if people == 1 else 'people'}"
    print(f"{len(windows)} windows{note}: wrote {' and '.join(written)}")
    return 0


def _demo(arguments) -> int:
    if importlib.util.find_spec("gradio") is None:
        raise ValueError("the demo needs Gradio: pip install 'modeling-rdfer[demo]'")
    if arguments.port is not None:
        if arguments.port > 65535:
            raise ValueError(f"--port {arguments.port}: ports go up to 65535")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", arguments.port)) == 0:
                raise ValueError(f"--port {arguments.port} is used by another program; choose another port")
    from .demo.page import launch_demo

    launch_demo(arguments.model, server_name="127.0.0.1", server_port=arguments.port)
    return 0


def _serve(arguments) -> int:
    needed = ("fastapi", "uvicorn", "python_multipart", "websockets")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"the service needs {' and '.join(missing)}: pip install 'modeling-rdfer[serve]'")
    from .serve.app import serve
    from .serve.limits import Limits

    serve(
        arguments.model,
        host=arguments.host,
        port=arguments.port,
        allow_urls=arguments.allow_url,
        device=arguments.device,
        engine=arguments.engine,
        limits=Limits(
            max_bytes=int(arguments.max_megabytes * 1024 * 1024),
            max_seconds=arguments.max_seconds,
            workers=arguments.workers,
            max_waiting=arguments.max_waiting,
            timeout=arguments.timeout,
            live_sessions=arguments.live_sessions,
        ),
    )
    return 0


def _export(arguments) -> int:
    model, processor = load(arguments.model, "cpu")
    out = Path(arguments.out or f"rdfer{SUFFIXES[arguments.format]}")
    difference = export(model, out, arguments.format, processor)
    size = out.stat().st_size / 1e6
    print(f"wrote {out} ({size:.1f} MB); its probabilities differ from the model's own by at most {difference:.1e}")
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _env(arguments) -> int:
    try:
        decoder, problem = decoder_in_use()
    except ValueError as error:  # a wrong value of RDFER_VIDEO_DECODER
        decoder, problem = None, str(error)
    lines = {"platform": platform.platform(), "python": platform.python_version()}
    for package in (
        *("modeling-rdfer", "torch", "torchvision", "transformers", "torchcodec", "av", "numpy", "safetensors"),
        *("huggingface-hub", "onnxruntime", "matplotlib", "gradio", "timm", "datasets", "accelerate", "evaluate"),
    ):
        lines[package] = _version(package)
    lines["GPU"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    lines["CPU threads"] = str(torch.get_num_threads())
    lines["embedded checkpoint"] = embedded_checkpoint()
    lines["video decoder"] = decoder or f"none, videos cannot be read: {problem}"
    lines["torchcodec finds FFmpeg"] = decoder_in_use("torchcodec")[1] or "yes"
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
    return 0 if decoder else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rdfer", description=f"Recognises the emotion that a face shows in a video. {NOT_FOR}"
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add_command(name, function, text, examples):
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(function=function)
        return command

    def add_model_options(command):
        command.add_argument("--model", help="folder or name on the Hub (default: the embedded rdfer-small)")
        command.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if one is available)")
        command.add_argument(
            "--engine",
            choices=["torch", "onnx"],
            default="torch",
            help="onnx: ONNX Runtime on the CPU; the model is exported once, on first use (default: torch)",
        )
        command.add_argument(
            "--face-crop",
            action=argparse.BooleanOptionalAction,
            help="find and crop the face; --no-face-crop is for videos of cropped faces (default: the checkpoint's)",
        )

    def add_on_damage(command):
        command.add_argument(
            "--on-damage",
            choices=["error", "use_readable"],
            help="a damaged video file is an error, or its readable frames are used (default: the checkpoint's)",
        )

    def add_min_confidence(command):
        command.add_argument(
            "--min-confidence",
            type=_positive(float, most=1),
            metavar="X",
            help="the label is 'uncertain' if the best score is below X, above 0 and at most 1 (default: never)",
        )

    command = add_command(
        "predict",
        _predict,
        "classify the emotion in videos",
        [
            "rdfer predict clip.mp4",
            "rdfer predict face.jpg other.png                     still images, an answer for each",
            "rdfer predict recordings/ --json > answers.json      all video files in a folder",
            "rdfer predict frames/0001/ --no-face-crop            a folder of face images is one video",
            "rdfer predict meeting.mp4 --face all --top-k 1       an answer for each face",
            "rdfer predict clip.mp4 --min-confidence 0.7          'uncertain' if the best score is below 0.7",
            "rdfer predict clip.mp4 --engine onnx                 with ONNX Runtime, faster on a CPU",
            "rdfer predict list.txt --out answers                 many videos: Parquet files, goes on if interrupted",
            "rdfer predict list.txt --out answers --ray           the same on a Ray cluster",
        ],
    )
    command.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="video or image file, URL, folder of videos or frames"
    )
    add_model_options(command)
    add_on_damage(command)
    command.add_argument("--top-k", type=_positive(int), help="number of labels in an answer (default: all)")
    add_min_confidence(command)
    command.add_argument(
        "--batch-size", type=_positive(int), default=1, help="videos in one call of the model (default: 1)"
    )
    command.add_argument(
        "--face",
        type=_face,
        help="largest, all, or a number from 0, the largest face first (default: the checkpoint's)",
    )
    command.add_argument(
        "--on-missing-face",
        choices=["error", "full_frame"],
        help="what to do if no face is found (default: the checkpoint's)",
    )
    command.add_argument(
        "--sampling",
        choices=["frames", "time"],
        help="sample evenly by the number of frames or in time, for videos with gaps (default: the checkpoint's)",
    )
    command.add_argument(
        "--heatmaps",
        metavar="FOLDER",
        help="write a picture of each video's key frames that shows what speaks for the label",
    )
    command.add_argument(
        "--json", action="store_true", help="print a JSON document with further facts instead of tables"
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="for many videos: write the answers as Parquet files into a folder, or go on with those that are missing "
        "there; VIDEO is one folder of videos or a text file with a path or URL in each line",
    )
    command.add_argument(
        "--shard-size",
        type=_positive(int),
        default=SHARD_SIZE,
        help=f"videos in a file of --out (default: {SHARD_SIZE})",
    )
    command.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="with --out: predict on the Ray cluster at ADDRESS, or on that of this computer, or on all its cores",
    )

    command = add_command(
        "timeline",
        _timeline,
        "draw the emotion over time and write it as a table",
        [
            "rdfer timeline talk.mp4 --out talk.png               also writes talk.csv",
            "rdfer timeline talk.mp4 --window 0.5 --step 0.2 --out talk.svg",
            "rdfer timeline talk.mp4 --out talk.csv               the table only; also .parquet",
            "rdfer timeline talk.mp4 --out talk.json              a document for programs, with further facts",
            "rdfer timeline talk.mp4 --face all --out talk.png    a row for each person",
            "rdfer timeline talk.mp4 --min-confidence 0.7         'uncertain' where the best score is below 0.7",
        ],
    )
    command.add_argument("video", metavar="VIDEO", help="video file or URL")
    command.add_argument(
        "--out",
        default="timeline.png",
        metavar="FILE",
        help="picture (.png, .svg, .pdf, .jpg; a .csv file is written, too), .csv, .parquet or .json file to write "
        "(default: timeline.png)",
    )
    command.add_argument(
        "--window", type=_positive(float), default=2.0, help="length of a window in seconds (default: 2)"
    )
    command.add_argument(
        "--step", type=_positive(float), default=0.5, help="seconds between the starts of two windows (default: 0.5)"
    )
    command.add_argument(
        "--face",
        choices=["largest", "all"],
        default="largest",
        help="the largest person of the whole video, or all (default: largest)",
    )
    add_min_confidence(command)
    add_model_options(command)
    add_on_damage(command)

    command = add_command(
        "live",
        _live,
        "recognise expressions in a camera, a stream or a pipe, as the frames come",
        [
            "rdfer live                                           the first camera",
            "rdfer live --url rtsp://192.168.0.9/stream           a stream; also http://... and a file that grows",
            "ffmpeg -i talk.mp4 -f matroska - | rdfer live -      standard input",
            "rdfer live --json > answers.jsonl                    a JSON line for each answer",
            "rdfer live --show                                    in a window",
        ],
    )
    command.add_argument(
        "source", nargs="?", choices=["-"], metavar="-", help="read standard input (MPEG-TS, Matroska, MJPEG, ...)"
    )
    command.add_argument("--camera", help="number of the camera (default: 0); on Windows its name")
    command.add_argument("--url", help="stream, or file that may still grow, to read instead of a camera")
    command.add_argument(
        "--window", type=_positive(float), default=1.0, help="seconds that an answer is about (default: 1)"
    )
    command.add_argument(
        "--step",
        type=_positive(float),
        default=1.0,
        help="seconds from answer to answer, at most --window (default: 1)",
    )
    command.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object a line, as in windows of `rdfer timeline --out x.json`",
    )
    command.add_argument(
        "--show", action="store_true", help="show the picture with the answers in a window; q or Escape ends"
    )
    add_min_confidence(command)
    add_model_options(command)

    command = add_command(
        "demo",
        _demo,
        "analyse videos on a page in your browser, served on this computer only",
        [
            "rdfer demo                                           open the address that it prints",
            "rdfer demo --model out --model user/checkpoint       with further models to choose from",
        ],
    )
    command.add_argument(
        "--port", type=_positive(int), help="port on 127.0.0.1 (default: the first free one from 7860)"
    )
    command.add_argument(
        "--model",
        action="append",
        help="folder or name on the Hub to choose from besides rdfer-small; may be repeated, the first is the default",
    )

    command = add_command(
        "serve",
        _serve,
        "answer about videos over HTTP, served on this computer only",
        [
            "rdfer serve                                          curl -F video=@a.mp4 127.0.0.1:8000/v1/predict",
            "rdfer serve --workers 4 --max-seconds 30",
            "rdfer serve --allow-url https://media.example.org/   also videos at addresses that begin so",
            "rdfer serve --host 0.0.0.0                           for all who reach this computer: there is no login",
        ],
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    command.add_argument("--port", type=_port, default=8000, help="port to listen at, 0 for any (default: 8000)")
    command.add_argument("--model", help="folder or name on the Hub (default: the embedded rdfer-small)")
    command.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if one is available)")
    command.add_argument("--engine", choices=["torch", "onnx"], default="torch", help="default: torch")
    command.add_argument(
        "--allow-url",
        action="append",
        metavar="PREFIX",
        help="download videos whose address begins with PREFIX; may be repeated (default: only uploads)",
    )
    command.add_argument(
        "--workers", type=_positive(int), default=2, help="videos at the same time, a process for each (default: 2)"
    )
    command.add_argument(
        "--max-waiting", type=_positive(int), default=32, help="further videos that may wait (default: 32)"
    )
    command.add_argument("--max-megabytes", type=_positive(float), default=100, help="largest video (default: 100)")
    command.add_argument("--max-seconds", type=_positive(float), default=120, help="longest video (default: 120)")
    command.add_argument(
        "--timeout", type=_positive(float), default=60, help="seconds for the analysis of a video (default: 60)"
    )
    command.add_argument(
        "--live-sessions", type=_positive(int), default=2, help="clients that send live frames (default: 2)"
    )

    command = add_command(
        "export",
        _export,
        "write a model as a file for ONNX Runtime or torch.export.load, and check its answers",
        [
            "rdfer export --out rdfer.onnx                        the embedded rdfer-small",
            "rdfer export --model out --out mine.onnx",
            "rdfer export --format torch-export --out rdfer.pt2",
        ],
    )
    command.add_argument("--model", help="folder or name on the Hub (default: the embedded rdfer-small)")
    command.add_argument("--format", choices=list(SUFFIXES), default="onnx", help="default: onnx")
    command.add_argument("--out", metavar="FILE", help="file to write (default: rdfer.onnx or rdfer.pt2)")

    add_command("env", _env, "print versions and the video decoder in use", ["rdfer env"])
    return parser


def _positive(kind, most: float = math.inf):
    def convert(text: str):
        value = kind(text)
        if not 0 < value <= most:
            at_most = "" if most == math.inf else f" and at most {most}"
            raise argparse.ArgumentTypeError(f"must be above 0{at_most}, got {text}")
        return value

    convert.__name__ = kind.__name__  # argparse shows this name in its messages
    return convert


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got {text!r}")
    return int(text)


def _face(text: str) -> str | int:
    if text in ("largest", "all"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected largest, all, or a number from 0, got {text!r}")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Runs the `rdfer` command.

    Args:
        argv (`list[str]`, *optional*): arguments; those of the process by default.

    Returns:
        `int`: exit status, 0; after an error 1; after Ctrl-C 130.
    """
    arguments = _parser().parse_args(argv)
    logging.disable_progress_bar()  # loading 3 MB of weights needs none
    try:
        status = arguments.function(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130  # as shells count it
    except BrokenPipeError:
        # Whoever reads the answers has seen enough, such as `head`. Nothing must be written any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    # A missing checkpoint, device, folder or package, a video that cannot be read, contradictory options.
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
