# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import io
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERVideoProcessor,
    VideoReadError,
    predict,
    timeline,
)
from modeling_rdfer.cli import main
from modeling_rdfer.inference.loading import load
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.video_fixtures import make

CLIP = DATA / "cap13_edit2.mp4"


def scores_of(predictions: list[dict]) -> dict[str, float]:
    return {prediction["label"]: prediction["score"] for prediction in predictions}


def test_predict_one_video(expected):
    answer = predict(CLIP)
    assert answer["file"] == str(CLIP)
    assert scores_of(answer["predictions"]) == pytest.approx(expected, abs=1e-5)
    scores = [prediction["score"] for prediction in answer["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["agreement"] == 1.0
    assert answer["label"] == answer["predictions"][0]["label"]


def test_an_apng_named_as_a_still_image_is_a_video(tmp_path):
    path = make("animation_apng", tmp_path)
    answer = predict(path)
    pixels = RDFERVideoProcessor.from_pretrained(CHECKPOINT)([path, path], return_tensors="pt")["pixel_values_videos"]
    (alone,) = pipeline("video-classification", model=str(CHECKPOINT))(str(path), top_k=1)
    assert answer["predictions"][0]["score"] == pytest.approx(alone["score"], abs=1e-5)
    assert answer["label"] == alone["label"] and len(pixels) == 2


def test_readable_frames_of_a_damaged_video_are_used_if_asked(tmp_path, capsys):
    path = make("end_missing", tmp_path)
    assert "truncated" in predict(path, on_error="report")["error"]
    answer = predict(path, on_damage="use_readable")
    assert (answer["num_readable"] + answer["num_unreadable"], answer["label"]) == (25, "neutral")
    assert 8 < answer["num_readable"] < 20
    (window,) = timeline(path, on_damage="use_readable")
    assert window.end_seconds == pytest.approx(answer["num_readable"] / 25) and window.label == "neutral"
    assert main(["predict", str(path)]) == 1
    assert main(["predict", str(path), "--on-damage", "use_readable"]) == 0
    assert f"(damaged: {answer['num_readable']} of 25 frames used)" in capsys.readouterr().out
    intact = predict(CLIP, on_damage="use_readable")
    assert "num_unreadable" not in intact


def test_arrays_and_lists_of_images_give_the_answer_of_the_same_frames():
    frames = open_video(CLIP).get_frames(range(0, 64, 4))
    rgb = frames.permute(0, 2, 3, 1).numpy()
    expected = scores_of(predict(rgb)["predictions"])
    images = [Image.fromarray(frame) for frame in rgb]
    for video in (frames, rgb / 255, list(rgb), list(frames / 255), images):
        assert scores_of(predict(video)["predictions"]) == pytest.approx(expected, abs=1e-5)
    for bgr in (rgb[..., ::-1], list(rgb[..., ::-1])):
        assert scores_of(predict(bgr, channel_order="bgr")["predictions"]) == pytest.approx(expected, abs=1e-5)
        assert scores_of(predict(bgr)["predictions"]) != pytest.approx(expected, abs=1e-5)
    # A pipeline takes a list for a batch, so frames in a list need a list around it.
    classify = pipeline("video-classification", model=str(CHECKPOINT), top_k=7)
    for answer in (classify(rgb), classify([images])[0], classify([list(rgb)])[0]):
        assert scores_of(answer) == pytest.approx(expected, abs=1e-5)
    classify.video_processor.channel_order = "bgr"
    assert scores_of(classify(rgb[..., ::-1])) == pytest.approx(expected, abs=1e-5)


def test_a_frame_that_stays_counts_for_its_time_if_asked(tmp_path, capsys):
    path = make("gap", tmp_path)  # a surprise for 60 s, and a neutral face in most of the frames
    assert predict(path)["label"] == "neutral"
    assert predict(path, sampling="time")["label"] == "surprise"
    assert main(["predict", str(path), "--sampling", "time", "--top-k", "1"]) == 0
    assert "  surprise  " in capsys.readouterr().out
    windows = timeline(path, window=10.0, step=10.0)
    assert [window.label for window in windows[:5]] == ["surprise"] * 5 and windows[-1].label == "neutral"


def test_a_calibrated_checkpoint_gives_calibrated_scores_everywhere(tmp_path):
    checkpoint = shutil.copytree(CHECKPOINT, tmp_path / "calibrated")
    config = json.loads((checkpoint / "config.json").read_text())
    outputs = {}
    for temperature in (None, 8.0):
        (checkpoint / "config.json").write_text(json.dumps({**config, "calibration_temperature": temperature}))
        answer = predict(CLIP, str(checkpoint), return_clips=True)
        outputs[temperature] = scores_of(answer["predictions"]), answer["clips"][0]["score"]
    (plain, plain_clip), (scores, clip) = outputs[None], outputs[8.0]
    powers = {label: score ** (1 / 8) for label, score in plain.items()}
    assert scores == pytest.approx({label: power / sum(powers.values()) for label, power in powers.items()}, rel=1e-3)
    assert clip < plain_clip
    piped = pipeline("video-classification", model=str(checkpoint), top_k=7)(str(CLIP))
    assert scores_of(piped) == pytest.approx(scores, abs=1e-5)
    (window,) = timeline(CLIP, str(checkpoint), window=40.0)
    assert window.scores == pytest.approx(scores, abs=0.01)  # it follows the face in other frames


def test_an_answer_below_min_confidence_is_uncertain(noise_video):
    answer = predict(noise_video, do_face_crop=False)
    best = answer["predictions"][0]["score"]
    for least, label in ((best - 1e-3, answer["label"]), (best + 1e-3, "uncertain")):
        # Nothing but the label changes, however few predictions are shown.
        expected = {**answer, "label": label, "predictions": answer["predictions"][:1]}
        assert predict(noise_video, do_face_crop=False, min_confidence=least, top_k=1) == expected


@pytest.mark.parametrize("wrong", [0, -0.5, 1.5, float("nan")])
def test_a_wrong_min_confidence_is_explained(wrong):
    with pytest.raises(ValueError, match="min_confidence must be above 0 and at most 1"):
        predict(CLIP, min_confidence=wrong)


def test_predict_returns_the_clips_that_it_classified():
    """Clips are sorted in time. Classified alone, each gets the label and score that `predict` reports for it."""
    answer = predict(CLIP, return_clips=True)
    model, _ = load()
    clips = answer.pop("clips")
    assert answer == predict(CLIP) and len(clips) == 4
    seconds = [time for clip in clips for time in clip["seconds"]]
    assert seconds == sorted(seconds) and seconds[0] >= 0 and seconds[-1] < 30.6
    for clip in clips:
        assert clip["frames"].shape == (4, 3, 48, 48) and clip["frames"].dtype == torch.uint8
        with torch.no_grad():
            alone = model(pixel_values_videos=clip["frames"][None]).logits.softmax(-1)[0]
        assert clip["label"] == model.config.id2label[alone.argmax().item()]
        assert clip["score"] == pytest.approx(alone.max().item(), abs=1e-3)

    one_frame = np.full((1, 3, 112, 112), 90, np.uint8)
    (clip,) = predict(one_frame, do_face_crop=False, return_clips=True)["clips"]
    assert clip["seconds"] is None


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_predict_many_keeps_order_and_goes_on_after_a_bad_file(expected, noise_video, tmp_path, batch_size):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos = [CLIP, broken, noise_video, CLIP, tmp_path / "missing.mp4"]
    answers = predict(videos, batch_size=batch_size, on_error="report", top_k=2)
    assert [answer["file"] for answer in answers] == [str(video) for video in videos]
    assert ["error" in answer for answer in answers] == [False, True, True, False, True]
    for answer in answers:
        if "error" in answer:
            assert Path(answer["file"]).name in answer["error"] and "predictions" not in answer
        else:
            assert len(answer["predictions"]) == 2
            assert answer["predictions"][0]["score"] == pytest.approx(max(expected.values()), abs=1e-5)


@pytest.fixture
def threads():
    """Several threads of torch, as for users. The other tests use one."""
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(1)


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_predict_in_threads_gives_what_one_by_one_gives(threads, tmp_path):
    """Different videos and a broken one get the same answers in the same order; torch keeps its number of threads."""
    frames = RDFERVideoProcessor(do_resize=False, num_frames=765)(CLIP, return_tensors="pt").pixel_values_videos[0]
    videos = [frames[start : start + 20] for start in range(0, 760, 95)]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos.insert(3, broken)
    expected = [predict(video, on_error="report") for video in videos]
    assert (
        len({max(scores_of(answer.get("predictions", [{"label": "", "score": 0}])).values()) for answer in expected})
        == 9
    )
    for batch_size in (1, 3):
        answers = predict(videos, on_error="report", batch_size=batch_size)
        for answer, one in zip(answers, expected, strict=True):
            assert answer["file"] == one["file"] and answer.get("error") == one.get("error")
            if "error" not in one:
                assert scores_of(answer["predictions"]) == pytest.approx(scores_of(one["predictions"]), abs=1e-4)
    assert torch.get_num_threads() == threads_of_a_new_thread() == threads


class CountedFile(io.BytesIO):
    opened = 0

    def read(self, *arguments):
        CountedFile.opened += 1
        return super().read(*arguments)


def test_predict_starts_no_further_videos_after_an_error(threads, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rest = [CountedFile(CLIP.read_bytes()) for _ in range(30)]
    with pytest.raises(VideoReadError, match="broken.mp4"):
        predict([CLIP, tmp_path / "broken.mp4", *rest])
    assert CountedFile.opened <= 2 * threads


def test_predict_stops_on_ctrl_c():
    script = f"""
import os, signal, threading, torch
from modeling_rdfer import predict
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
torch.set_num_threads(2)
predict({str(CLIP)!r})
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    predict([{str(CLIP)!r}] * 5000)
except KeyboardInterrupt:
    print("stopped", torch.get_num_threads())
"""
    # The timeout ends a deadlock, or a run that goes on with 5,000 videos.
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert result.stdout == "stopped 2\n", result.stderr


def test_predict_raises_by_default(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.mp4"):
        predict(tmp_path / "missing.mp4")
    with pytest.raises(VideoReadError, match="missing.mp4"):
        predict([CLIP, tmp_path / "missing.mp4"])


def test_predict_reports_anything_that_is_no_video():
    answers = predict([CLIP, None, 5], on_error="report")
    assert ["error" in answer for answer in answers] == [False, True, True]
    with pytest.raises(ValueError, match="'ignore'"):
        predict([CLIP], on_error="ignore")


def test_predict_takes_one_video_and_several_as_the_processor_does():
    import av
    from PIL import Image

    frames = [frame.to_ndarray(format="rgb24") for frame in av.open(str(CLIP)).decode(video=0)][:6]
    one = predict(np.stack(frames))
    assert isinstance(one, dict)
    assert predict([Image.fromarray(frame) for frame in frames])["predictions"] == one["predictions"]
    two = predict(torch.from_numpy(np.stack([frames, frames[::-1]])))
    assert len(two) == 2 and two[0]["predictions"] == one["predictions"]
    assert len(predict(iter([CLIP, CLIP]))) == 2
    assert len(predict([CLIP])) == 1


def test_predict_follows_the_face_of_the_checkpoint(tmp_path):
    shutil.copytree(CHECKPOINT, tmp_path / "second")
    processor = RDFERVideoProcessor.from_pretrained(tmp_path / "second", face=1)
    processor.save_pretrained(tmp_path / "second")
    with pytest.raises(VideoReadError, match="1 face"):
        predict(CLIP, model=str(tmp_path / "second"))


def test_predict_on_full_frames(noise_video):
    with pytest.raises(VideoReadError, match="no face"):
        predict(noise_video)
    whole = predict(noise_video, do_face_crop=False)["predictions"]
    assert predict(noise_video, on_missing_face="full_frame")["predictions"] == whole


def test_predict_every_face():
    """The clip beside a part of itself from another time: two faces of different size with different expressions."""
    import av

    frames = [frame.to_ndarray(format="rgb24") for frame in av.open(str(CLIP)).decode(video=0)]
    canvas = np.full((30, 300, 640, 3), 200, dtype=np.uint8)
    canvas[:, :, :400] = frames[560:590]
    canvas[:, 60:180, 440:600] = [frame[::2, ::2][0:120, 10:170] for frame in (frames[75:88] * 3)[:30]]
    large, small = predict(canvas, face="all", top_k=1)
    assert (large["face"], large["predictions"][0]["label"]) == (0, "neutral")
    assert (small["face"], small["predictions"][0]["label"]) == (1, "surprise")
    assert predict(canvas, face=1, top_k=1)["predictions"] == small["predictions"]
    assert predict(canvas, top_k=1)["predictions"][0]["label"] == "neutral"
    with pytest.raises(VideoReadError, match="2 face"):
        predict(canvas, face=2)


def test_predict_with_another_checkpoint(tmp_path):
    model = RDFERForVideoClassification(RDFERConfig.from_preset("tiny", id2label={0: "calm", 1: "excited"}))
    model.save_pretrained(tmp_path)
    RDFERVideoProcessor(num_frames=8, size={"height": 56, "width": 56}).save_pretrained(tmp_path)
    answer = predict(CLIP, model=str(tmp_path))
    assert set(scores_of(answer["predictions"])) == {"calm", "excited"}
    assert sum(scores_of(answer["predictions"]).values()) == pytest.approx(1)


@pytest.mark.parametrize("temperature", [None, 2.5])
def test_predict_returns_the_sentiment_of_aen(tmp_path, temperature):
    labels = {0: "happy", 1: "sad", 2: "bored", 3: "surprise", 4: "angry"}
    config = AENConfig.from_preset("tiny", id2label=labels, emotion_groups={"bored": "negative"})
    model = AENForVideoClassification(config)
    # Happy is the most probable label, and negative the most probable group.
    torch.nn.init.zeros_(model.frame_classifier.weight)
    model.frame_classifier.bias.data = torch.tensor([0.35, 0.25, 0.15, 0.1, 0.15]).log()
    model.config.calibration_temperature = temperature
    model.save_pretrained(tmp_path)
    RDFERVideoProcessor(num_frames=16, size={"height": 56, "width": 56}, do_face_crop=False).save_pretrained(tmp_path)
    frames = np.zeros((16, 56, 56, 3), np.uint8)
    answer = predict(frames, model=str(tmp_path))
    sentiment = answer["sentiment"]
    assert answer["predictions"][0]["label"] == "happy" and sentiment["label"] == "negative"
    scores = scores_of(answer["predictions"])
    assert sentiment["score"] == pytest.approx(scores["sad"] + scores["bored"] + scores["angry"])
    assert scores["happy"] / scores["sad"] == pytest.approx((0.35 / 0.25) ** (1 / (temperature or 1)))
    assert predict(frames, model=str(tmp_path), top_k=1)["sentiment"] == sentiment
    assert "sentiment" not in predict(frames, do_face_crop=False)  # RDFER has none
