# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The figures of the paper, from real runs of small checkpoints."""

import json
import re
from collections import Counter
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from scipy.stats import norm

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERVideoProcessor
from modeling_rdfer.models.agreement_rdfer import distinct_clips
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT
from training import evaluate, figures
from training.data.labelled_videos import LabelledVideos
from training.data.video_dataset import ScoringVideoDataset, VideoDataset
from training.datasets import load
from training.reports.figure_data import collect_figure_data
from training.reports.plots import plot_confusions
from training.synthetic.__main__ import main as draw_videos

LABELS = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
FILES = ["agreement", "confusion_matrix", "strips", "tsne"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    command = ["--output-dir", str(root), "--videos", "24", "--size", "64", "--num-frames", "20", "36"]
    draw_videos([*command, "--splits", "0", "0", "1"])
    return root / "test"


@pytest.fixture(scope="module")
def drawn(videos, tmp_path_factory) -> Path:
    return draw(videos, tmp_path_factory.mktemp("drawn"))


def draw(videos, out, *options, model=CHECKPOINT) -> Path:
    arguments = ["--model", str(model), "--dataset", str(videos), "--output-dir", str(out), "--device", "cpu"]
    figures.main([*arguments, "--no-face_crop", *options])
    return out


def texts(svg: Path) -> list[str]:
    """The words of an SVG file, for those who search or listen to it."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())]


def test_all_figures_tell_what_the_model_predicts(videos, drawn):
    """Counted again from the model's outputs, one video at a time."""
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT).eval()
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT, do_face_crop=False)
    dataset = VideoDataset(
        LabelledVideos.from_dataset(load("videofolder", videos)["train"], "test"), model.config.label2id, processor
    )
    counts, hits = Counter(), Counter()
    for example in dataset:
        with torch.no_grad():
            outputs = model(example["pixel_values_videos"][None], frame_mask=example["frame_mask"][None])
        level = None
        if distinct_clips(outputs.key_frame_indices).all():
            level = max(Counter(outputs.clip_logits[0].argmax(-1).tolist()).values())
        counts[level] += 1
        hits[level] += outputs.logits.argmax().item() == example["labels"]
    facts = json.loads((drawn / "figures.json").read_text())
    assert {row["clips"]: row["videos"] for row in facts["levels"]} == counts and len(counts) >= 2
    assert {row["clips"]: row["correct"] for row in facts["levels"]} == hits
    assert facts["videos"] == len(dataset) == counts.total()

    words = {name: texts(drawn / f"{name}.svg") for name in FILES}
    z = norm.ppf(0.975)
    for row in facts["levels"]:
        title = f"agreement {row['clips'] / 4:.2f} ({row['clips']} of 4 clips)"
        number, share = row["videos"], row["correct"] / row["videos"]
        plural = "s" * (number != 1)
        assert any(text.startswith(f"{title}: {number} video{plural}") for text in words["strips"])
        shown = facts["strips"][title]
        assert len(shown) == min(3, number) and all(text in words["strips"] for text in shown)
        assert f"{row['correct']} of {number}" in words["agreement"]
        # Wilson, 1927
        centre = (share + z * z / (2 * number)) / (1 + z * z / number)
        spread = z / (1 + z * z / number) * np.sqrt(share * (1 - share) / number + z * z / (4 * number**2))
        assert row["interval"] == pytest.approx([centre - spread, centre + spread])
        if row["clips"] >= 2 and number >= 5:
            assert f"{number} videos, perplexity {min(30, (number - 1) / 3):.3g}" in words["tsne"]
    assert set(LABELS) <= set(words["confusion_matrix"]) and set(LABELS) <= set(words["tsne"])
    assert sum(text == f"given: {label}" for text in words["strips"] for label in LABELS) == sum(
        map(len, facts["strips"].values())
    )
    assert facts["war"] == pytest.approx(hits.total() / counts.total())
    for name in FILES:
        with Image.open(drawn / f"{name}.png") as image:
            assert min(image.size) > 300 and np.asarray(image.convert("L")).std() > 10


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_videos(videos, drawn, tmp_path):
    draw(videos, tmp_path / "again", "--num-workers", "1")
    draw(videos, tmp_path / "batches", "--batch_size", "3")
    for file in sorted(drawn.iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name
        # On some processors a batch of another size is rounded differently, and t-SNE makes another picture of it.
        if file.stem != "tsne":
            assert file.read_bytes() == (tmp_path / "batches" / file.name).read_bytes(), file.name
    draw(videos, tmp_path / "other", "--seed", "1", "--only", "strips", "--videos_per_level", "2")
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["figures.json", "strips.png", "strips.svg"]
    first, other = (json.loads((folder / "figures.json").read_text()) for folder in (drawn, tmp_path / "other"))
    assert other["strips"] != first["strips"] and all(len(shown) <= 2 for shown in other["strips"].values())
    assert other["levels"] == first["levels"]


def test_strips_show_the_frames_and_answers_of_the_clips(videos, drawn):
    name = next(iter(json.loads((drawn / "figures.json").read_text())["strips"].values()))[0]
    model = RDFERForVideoClassification.from_pretrained(CHECKPOINT).eval()
    processor = RDFERVideoProcessor.from_pretrained(CHECKPOINT, do_face_crop=False)
    found = LabelledVideos.from_dataset(load("videofolder", videos)["train"], "test")
    one = found.select([found.sample_ids.index(name)])
    data = collect_figure_data(model, ScoringVideoDataset(one, model.config.label2id, processor), videos_per_level=1)
    (((_, _, shown),),) = data.shown.values()
    with torch.no_grad():
        inputs = processor(one.sources[0], return_tensors="pt")
        outputs = model(**inputs)
    frames = inputs["pixel_values_videos"][0][outputs.key_frame_indices[0]].permute(0, 1, 3, 4, 2)
    assert (np.stack(shown.frames) == frames.numpy()).all()
    answers = outputs.clip_logits[0].argmax(-1).tolist()
    assert shown.clips == [model.config.id2label[answer] for answer in answers]
    assert shown.key_expression == model.config.id2label[outputs.detector_logits.argmax().item()]
    assert (shown.given, shown.sample_id) == (name.split("/")[0], name)
    positions = np.stack(shown.positions)
    last = inputs["frame_mask"].sum().item() - 1
    assert positions * last == pytest.approx(outputs.key_frame_indices[0].numpy())
    assert shown.saliency[0].min() >= 0 and shown.saliency.max() <= 1


def test_aen_has_all_figures_but_no_key_expression(videos, tmp_path):
    draw(videos, tmp_path, "--batch_size", "16", model=AEN_CHECKPOINT)
    words = texts(tmp_path / "strips.svg")
    assert any(text.startswith("AEN has no key expression detector") for text in words)
    assert not any(text.startswith("key expression:") for text in words)
    assert all((tmp_path / f"{name}.{suffix}").exists() for name in FILES for suffix in ("png", "svg"))
    # The same accuracy as by the script for evaluation.
    arguments = ["--model", str(AEN_CHECKPOINT), "--dataset", str(videos), "--device", "cpu", "--no-face_crop"]
    results = evaluate.main([*arguments, "--output_dir", str(tmp_path / "evaluated")])
    facts = json.loads((tmp_path / "figures.json").read_text())
    assert (facts["war"], facts["uar"]) == (results["eval_war"], results["eval_uar"])


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A model with labels of its own for videos of few frames."""
    out = tmp_path_factory.mktemp("odd")
    torch.manual_seed(0)
    config = RDFERConfig.from_preset("tiny", id2label=["happy", "$sad$ & <fear>_3"], image_size=32)
    RDFERForVideoClassification(config).save_pretrained(out)
    RDFERVideoProcessor(num_frames=8, size={"height": 32, "width": 32}, do_face_crop=False).save_pretrained(out)
    return out


def frames_of(folder: Path, count: int):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (32, 32), (30 * number, 90, 60)).save(folder / f"{number}.png")


def test_one_video_of_one_frame(odd, tmp_path):
    frames_of(tmp_path / "videos" / "happy" / "a", 1)
    draw(tmp_path / "videos", tmp_path / "out", model=odd)
    assert any(text.startswith("fewer than 4 distinct clips: 1 video") for text in texts(tmp_path / "out/strips.svg"))
    words = texts(tmp_path / "out" / "tsne.svg")
    assert words.count("no video") == 3 and any(text.startswith("Not shown: 1 of lower") for text in words)
    (row,) = json.loads((tmp_path / "out" / "figures.json").read_text())["levels"]
    assert (row["clips"], row["agreement"], row["videos"]) == (None, None, 1)


def test_levels_with_too_few_or_equal_videos_say_so(odd, tmp_path, capsys):
    for number in range(7):
        frames_of(tmp_path / "equal" / "happy" / str(number), 8)
    draw(tmp_path / "equal", tmp_path / "out", "--only", "tsne", model=odd)
    words = texts(tmp_path / "out" / "tsne.svg")
    assert {"7 videos:", "all alike"} <= set(words)
    assert "7 videos, too few (below 5) or alike" in capsys.readouterr().out
    frames_of(tmp_path / "few" / "happy" / "a", 8)
    draw(tmp_path / "few", tmp_path / "out", "--only", "tsne", model=odd)
    assert {"1 video:", "too few for t-SNE", "(at least 5)"} <= set(texts(tmp_path / "out" / "tsne.svg"))


def test_odd_names_unknown_labels_and_bad_videos(odd, tmp_path, capsys):
    rows = [("a", "happy"), ("b", "$sad$ & <fear>_3"), ("c", "boredom"), ("d", "happy")]
    for name, _ in rows:
        frames_of(tmp_path / "videos" / name, 8)
    (tmp_path / "videos" / "d" / "4.png").write_bytes(b"no image")
    listed = tmp_path / "labels.csv"
    listed.write_text("path,label\n" + "".join(f"videos/{name},{label}\n" for name, label in rows))
    command = ["--model", str(odd), "--dataset", str(listed), "--output-dir", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(SystemExit):
        figures.main(command)
    assert "--on-unknown-label skip leaves their videos out" in capsys.readouterr().err
    command += ["--on_unknown_label", "skip"]
    with pytest.raises(SystemExit):
        figures.main(command)
    message = capsys.readouterr().err
    assert re.search(r"videos/d.*--on-bad-video skip", message.replace("\n", " "))
    facts = figures.main([*command, "--on_bad_video", "skip"])
    assert facts["videos"] == 2 and facts["left_out_labels"] == {"boredom": 1}
    assert "$sad$ & <fear>_3" in texts(tmp_path / "out" / "confusion_matrix.svg")
    assert "given: $sad$ & <fear>_3" in texts(tmp_path / "out" / "strips.svg")


def test_cells_of_a_confusion_matrix_contrast(tmp_path):
    names = [str(number) for number in range(11)]
    # Shares from 0 to 100 % in the first column.
    plot_confusions({"": ([[n, 10 - n, *[0] * 9] for n in range(11)], names)}, tmp_path / "matrix.svg")
    cells = re.findall(r"<text style=\"([^\"]*)\"[^>]*>(\d+)%</text>", (tmp_path / "matrix.svg").read_text())
    assert len(cells) == 121
    shade = colormaps["Greys"]

    def luminance(colour):
        return sum(w * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4) for w, x in zip(WEIGHTS, colour))

    for style, share in cells:
        pair = luminance(shade(int(share) / 100)), 1.0 if "fill: #ffffff" in style else 0.0
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, share


WEIGHTS = (0.2126, 0.7152, 0.0722)
