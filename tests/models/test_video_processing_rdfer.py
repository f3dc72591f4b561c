# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The video processor: sampling, padding, every kind of input, face crops, saving; and transformers' common tests."""

import copy
import json
import logging
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.testing_utils import check_json_file_has_correct_format
from transformers.video_utils import VideoMetadata

from modeling_rdfer.inference.predict import predict
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError, open_video
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from tests.helpers.paths import CHECKPOINT, DATA
from tests.helpers.video_fixtures import make
from tests.helpers.videos import CLIP, numbers_of, picture, write_video

pytestmark = pytest.mark.decoding

DETECTOR = CHECKPOINT / "face_detector.safetensors"


def tensor_video(num_frames, height=48, width=80):
    return torch.tensor(np.stack([picture(number, height, width) for number in range(num_frames)])).permute(0, 3, 1, 2)


@pytest.fixture(scope="session")
def short_mp4(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", num_frames=10)


# Output --------------------------------------------------------------------------------------------------------------


def test_output_of_the_real_clip(decoder):
    inputs = RDFERVideoProcessor()(CLIP, return_metadata=True)
    assert inputs["pixel_values_videos"].shape == (1, 64, 3, 112, 112)
    assert inputs["pixel_values_videos"].dtype == torch.uint8
    assert inputs["frame_mask"].shape == (1, 64) and inputs["frame_mask"].dtype == torch.bool
    assert inputs["frame_mask"].all()
    (metadata,) = inputs["video_metadata"]
    assert metadata.frames_indices == [int((i + 0.5) * 765 / 64) for i in range(64)]
    assert metadata.pts_seconds == pytest.approx([index / 25 for index in metadata.frames_indices])
    assert metadata.timestamps == metadata.pts_seconds
    assert (metadata.total_num_frames, metadata.width, metadata.height) == (765, 400, 300)
    assert (metadata.video_backend, metadata.name) == (decoder, str(CLIP))


@pytest.mark.parametrize("return_tensors, kind", [("pt", torch.Tensor), ("np", np.ndarray), (None, torch.Tensor)])
def test_return_tensors(return_tensors, kind):
    inputs = RDFERVideoProcessor(num_frames=4)([tensor_video(9), tensor_video(2)], return_tensors=return_tensors)
    assert isinstance(inputs["pixel_values_videos"], kind) and isinstance(inputs["frame_mask"], kind)
    assert tuple(inputs["pixel_values_videos"].shape) == (2, 4, 3, 112, 112)


def test_frames_of_the_model_input_are_the_resized_frames():
    video = tensor_video(3)
    pixels = RDFERVideoProcessor(num_frames=3)(video)["pixel_values_videos"][0]
    expected = torch.nn.functional.interpolate(video.float(), (112, 112), mode="bilinear")
    assert (pixels.float() - expected).abs().mean() < 1


@pytest.mark.parametrize("length", [*range(1, 20), 63, 64, 65, 200])
def test_sampling_and_padding_for_every_length(length):
    processor = RDFERVideoProcessor(num_frames=8, size={"height": 24, "width": 40})
    video = torch.arange(length, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 48, 80)
    inputs = processor(video)
    taken = inputs["pixel_values_videos"][0, :, 0, 0, 0].tolist()
    if length >= 8:
        assert taken == [int((i + 0.5) * length / 8) for i in range(8)]
        assert inputs["frame_mask"][0].all()
    else:
        assert taken == [*range(length), *[length - 1] * (8 - length)]
        assert inputs["frame_mask"][0].tolist() == [True] * length + [False] * (8 - length)


def test_short_file(decoder, short_mp4):
    inputs = RDFERVideoProcessor(num_frames=16)(short_mp4, return_metadata=True)
    assert numbers_of(inputs["pixel_values_videos"][0]) == [*range(10), *[9] * 6]
    assert inputs["frame_mask"][0].sum() == 10
    assert inputs["video_metadata"][0].frames_indices == list(range(10))
    assert inputs["video_metadata"][0].pts_seconds == pytest.approx([i / 25 for i in range(10)])


def test_num_frames_of_a_call():
    inputs = RDFERVideoProcessor()(tensor_video(30), num_frames=5)
    assert numbers_of(inputs["pixel_values_videos"][0]) == [3, 9, 15, 21, 27]


def test_all_frames():
    inputs = RDFERVideoProcessor()([tensor_video(7), tensor_video(3)], do_sample_frames=False)
    assert inputs["pixel_values_videos"].shape == (2, 7, 3, 112, 112)
    assert inputs["frame_mask"].sum(1).tolist() == [7, 3]
    assert numbers_of(inputs["pixel_values_videos"][1]) == [0, 1, 2, 2, 2, 2, 2]


def test_frames_per_second(decoder, short_mp4):
    processor = RDFERVideoProcessor()
    inputs = processor(short_mp4, fps=10, return_metadata=True)  # 0.4 s
    assert inputs["video_metadata"][0].frames_indices == [1, 3, 6, 8]
    assert inputs["frame_mask"].shape == (1, 4)
    with pytest.raises(ValueError, match="fps=10 needs the frame rate"):
        processor(tensor_video(5), fps=10)
    with pytest.raises(ValueError, match="exclude each other"):
        processor(short_mp4, fps=10, num_frames=4)
    inputs = processor(tensor_video(10), video_metadata={"fps": 5, "total_num_frames": 10}, return_metadata=True)
    assert inputs["video_metadata"][0].pts_seconds == pytest.approx([i / 5 for i in range(10)])


def test_variable_frame_rate_reports_true_times(decoder, tmp_path):
    times_ms = [0, 20, 50, 400, 410, 1000, 1033, 1500, 2400, 2500]
    path = write_video(tmp_path / "vfr.mp4", num_frames=10, times_ms=times_ms)
    metadata = RDFERVideoProcessor(num_frames=5)(path, return_metadata=True)["video_metadata"][0]
    assert metadata.frames_indices == [1, 3, 5, 7, 9]
    assert metadata.pts_seconds == pytest.approx([0.02, 0.4, 1.0, 1.5, 2.5], abs=1e-3)


def test_sampling_in_time(decoder, video_folder, short_mp4, tmp_path):
    path = make("gap", video_folder)  # 100 frames in 64 s, of which one stays for 60 s
    by_frames, in_time = (RDFERVideoProcessor(num_frames=16, sampling=sampling) for sampling in ("frames", "time"))
    in_time.save_pretrained(tmp_path)
    in_time = RDFERVideoProcessor.from_pretrained(tmp_path)
    inputs = in_time(path, return_tensors="pt", return_metadata=True)
    assert inputs["video_metadata"][0].frames_indices == [9] * 15 + [50]
    assert inputs["video_metadata"][0].pts_seconds == pytest.approx([0.36] * 15 + [62], abs=1e-3)
    assert inputs["frame_mask"].all()
    assert torch.equal(inputs["pixel_values_videos"][0, 0], inputs["pixel_values_videos"][0, 14])
    metadata = by_frames(path, return_metadata=True)["video_metadata"][0]
    assert metadata.frames_indices[:3] == [3, 9, 15] and len(set(metadata.frames_indices)) == 16
    metadata = in_time(path, fps=0.5, num_frames=None, return_metadata=True)["video_metadata"][0]
    assert metadata.frames_indices == [9] * 30 + [25, 75]
    # At a constant frame rate, and without times, it is the same.
    for video, total in ((CLIP, 765), (short_mp4, 10), (make("alpha_vp9", video_folder), 25), (tensor_video(30), 30)):
        for num_frames in (1, 7, 9, total - 1, total, total + 1):
            options = {"num_frames": num_frames, "return_metadata": True}
            expected, found = (
                processor(video, **options)["video_metadata"][0].frames_indices for processor in (by_frames, in_time)
            )
            assert found == expected
    lead_in = RDFERVideoProcessor(num_frames=8, sampling="time", do_face_crop=True)
    metadata = lead_in(make("black_lead_in", video_folder), return_metadata=True)["video_metadata"][0]
    assert metadata.frames_indices[0] == 125 + 15 // 16 and metadata.frames_indices[-1] == 125 + 15 * 15 // 16


def test_floats_on_request():
    video = tensor_video(4)
    plain = RDFERVideoProcessor(num_frames=4)(video)["pixel_values_videos"].float()
    scaled = RDFERVideoProcessor(num_frames=4)(video, do_rescale=True)["pixel_values_videos"]
    assert torch.allclose(scaled, plain / 255)
    processor = RDFERVideoProcessor(num_frames=4, do_rescale=True, do_normalize=True)
    normalised = processor(video, image_mean=[0.5, 0.4, 0.3], image_std=[0.1, 0.2, 0.4])["pixel_values_videos"]
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in ([0.5, 0.4, 0.3], [0.1, 0.2, 0.4]))
    assert torch.allclose(normalised, (plain / 255 - mean) / std, atol=1e-5)


def test_other_sizes():
    processor = RDFERVideoProcessor(num_frames=2)
    video = tensor_video(4)
    assert processor(video, size={"height": 30, "width": 20})["pixel_values_videos"].shape[-2:] == (30, 20)
    assert processor(video, size={"shortest_edge": 24})["pixel_values_videos"].shape[-2:] == (24, 40)
    cropped = processor(video, size={"shortest_edge": 24}, do_center_crop=True, crop_size=16)
    assert cropped["pixel_values_videos"].shape[-2:] == (16, 16)
    same = processor(video, do_resize=False)["pixel_values_videos"]
    assert torch.equal(same[0], video[[1, 3]])
    two = [video, tensor_video(4, 32, 32)]
    assert [tuple(x.shape) for x in processor(two, do_resize=False)["pixel_values_videos"]] == [
        (2, 3, 48, 80),
        (2, 3, 32, 32),
    ]
    with pytest.raises(ValueError, match=r"differ in size, \[\(32, 32\), \(48, 80\)\]"):
        processor(two, do_resize=False, return_tensors="pt")


# Input ---------------------------------------------------------------------------------------------------------------


def test_every_kind_of_video_in_one_list(decoder, short_mp4, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(11):
        Image.fromarray(picture(number)).save(folder / f"frame_{number}.png")
    images = [Image.fromarray(picture(number)) for number in range(5)]
    batch = [
        short_mp4,
        str(short_mp4),
        short_mp4.read_bytes(),
        {"bytes": short_mp4.read_bytes(), "path": "short.mp4"},
        {"bytes": None, "path": str(short_mp4)},
        tensor_video(6),
        tensor_video(6).permute(0, 2, 3, 1).numpy(),
        tensor_video(6) / 255,
        images,
        [folder / f"frame_{number}.png" for number in (0, 1, 2)],
        folder,
    ]
    inputs = RDFERVideoProcessor(num_frames=12)(batch)
    lengths = [10, 10, 10, 10, 10, 6, 6, 6, 5, 3, 11]
    assert inputs["frame_mask"].sum(1).tolist() == lengths
    for row, length in zip(inputs["pixel_values_videos"], lengths):
        assert numbers_of(row[:length]) == list(range(length))


def test_what_is_one_video_and_what_are_several():
    processor = RDFERVideoProcessor(num_frames=4)
    images = [Image.fromarray(picture(number)) for number in range(3)]
    for one in (images, [picture(0), picture(1)], tensor_video(3), images[0], [tensor_video(3)]):
        assert len(processor(one)["frame_mask"]) == 1
    assert len(processor([images, images])["frame_mask"]) == 2
    assert len(processor([[images, images], [images]])["frame_mask"]) == 3
    assert len(processor(torch.stack([tensor_video(3), tensor_video(3)]))["frame_mask"]) == 2
    with pytest.raises(ValueError, match="An empty list of videos"):
        processor([])


def test_a_bad_video_of_a_batch_is_named(short_mp4, tmp_path):
    processor = RDFERVideoProcessor(num_frames=4)
    with pytest.raises(FileNotFoundError, match="absent.mp4"):
        processor([short_mp4, tmp_path / "absent.mp4"])
    with pytest.raises(VideoReadError, match=r"videos\[1\].*NaN"):
        processor([short_mp4, torch.full((2, 3, 8, 8), float("nan"))])


def test_wrong_options_are_refused():
    for options in ({"on_missing_face": "skip"}, {"face": "smallest"}, {"do_face_crop": "yes"}):
        with pytest.raises(Exception, match=next(iter(options))):
            RDFERVideoProcessor(**options)
        with pytest.raises(Exception, match=next(iter(options))):
            RDFERVideoProcessor()(tensor_video(2), **options)
    with pytest.raises(ValueError, match="num_frames is 0; expected at least 1"):
        RDFERVideoProcessor()(tensor_video(2), num_frames=0)


def _process(path):
    return RDFERVideoProcessor(num_frames=4)(path)["pixel_values_videos"]


def test_worker_processes(decoder, short_mp4):
    """In forked workers of a parent that has decoded, as in data loaders, and in spawned ones."""
    expected = _process(short_mp4)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            results = pool.map(_process_to_numpy, [short_mp4] * 2)
        assert all(np.array_equal(result, expected.numpy()) for result in results)


def _process_to_numpy(path):
    torch.set_num_threads(1)
    return _process(path).numpy()


# Faces ---------------------------------------------------------------------------------------------------------------


needs_detector = pytest.mark.skipif(not DETECTOR.is_file(), reason="face detector weights are not built yet")


@pytest.fixture(scope="session")
def reference():
    return np.load(DATA / "face_expression_reference.npz")


@needs_detector
def test_face_crop_follows_the_face_of_the_real_clip(decoder, reference):
    """The crops must be those around the hand-checked boxes of the reference."""
    inputs = RDFERVideoProcessor(num_frames=765)(CLIP, do_face_crop=True)
    crops = inputs["pixel_values_videos"][0]
    for seconds, expected in zip(reference["seconds"], reference["crops"]):
        crop = crops[round(float(seconds) * 25)].float()
        # Mean difference: about 10 from the crop of the same frame, 60 from the whole frame.
        assert (crop - torch.tensor(expected).permute(2, 0, 1)).abs().mean() < 25


@needs_detector
def test_short_video_is_tracked_on_its_real_frames_only(reference):
    frames = RDFERVideoProcessor(do_resize=False, num_frames=5)(CLIP)["pixel_values_videos"][0]
    inputs = RDFERVideoProcessor(num_frames=16)(frames, do_face_crop=True)
    assert inputs["frame_mask"].sum() == 5
    assert (inputs["pixel_values_videos"][0, 4:] == inputs["pixel_values_videos"][0, 4]).all()
    assert not torch.equal(inputs["pixel_values_videos"][0, 4], inputs["pixel_values_videos"][0, 3])


@needs_detector
def test_no_face(caplog, short_mp4):
    processor = RDFERVideoProcessor(num_frames=4, do_face_crop=True)
    with pytest.raises(VideoReadError, match=r"short.mp4.*no face"):
        processor(short_mp4)
    logging.getLogger("transformers").addHandler(caplog.handler)  # transformers does not propagate
    try:
        inputs = processor(short_mp4, on_missing_face="full_frame")
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert [record.levelname for record in caplog.records if "short.mp4" in record.message] == ["WARNING"]
    whole = processor(short_mp4, do_face_crop=False)
    assert torch.equal(inputs["pixel_values_videos"], whole["pixel_values_videos"])


@pytest.fixture(scope="session")
def two_faces():
    """The real face twice, the left one smaller, (12, 3, 300, 700)."""
    frames = RDFERVideoProcessor(do_resize=False, num_frames=12)(CLIP)["pixel_values_videos"][0]
    small = torch.nn.functional.interpolate(frames.float(), (225, 300), mode="bilinear").round().to(torch.uint8)
    return torch.cat([torch.nn.functional.pad(small, (0, 0, 75, 0)), frames], -1)


@needs_detector
def test_lead_ins_of_one_colour_are_not_sampled(decoder, video_folder):
    processor = RDFERVideoProcessor(num_frames=16, do_face_crop=True)
    for colour in ("black", "white"):
        path = make(f"{colour}_lead_in", video_folder)
        inputs = processor(path, return_tensors="pt", return_metadata=True)
        (metadata,) = inputs["video_metadata"]
        assert len(metadata.frames_indices) == 15 and metadata.frames_indices[0] == 125
        assert metadata.pts_seconds[0] == pytest.approx(5) and metadata.total_num_frames == 140
        # 0.6 s of surprise after 5 s of black, whose score was 0.50.
        (first, *_) = predict(path)["predictions"]
        assert first["label"] == "surprise" and first["score"] > 0.9
    # At the end, too, and in a video of more frames than are sampled.
    frames = open_video(CLIP).get_frames(range(20))
    black = torch.zeros(60, *frames.shape[1:], dtype=torch.uint8)
    video = torch.cat([black, frames, black])
    (metadata,) = processor(video, return_metadata=True)["video_metadata"]
    indices = metadata.frames_indices
    assert len(indices) == 16 and 60 <= indices[0] < indices[-1] < 80
    # All frames are kept where none are sampled, and where there is nothing else.
    metadata = processor(video, do_sample_frames=False, return_metadata=True)["video_metadata"][0]
    assert metadata.frames_indices == list(range(140))
    metadata = processor(black, on_missing_face="full_frame", return_metadata=True)["video_metadata"][0]
    assert len(metadata.frames_indices) == 16


def test_which_face(two_faces):
    processor = RDFERVideoProcessor(num_frames=12, do_face_crop=True)
    everyone = processor([two_faces[..., 300:], two_faces], face="all", return_tensors="pt")
    assert everyone["video_index"].tolist() == [0, 1, 1] and everyone["video_index"].dtype == torch.int64
    assert everyone["pixel_values_videos"].shape == (3, 12, 3, 112, 112)
    rows = everyone["pixel_values_videos"][1:]
    assert torch.equal(processor(two_faces)["pixel_values_videos"][0], rows[0])
    assert "video_index" not in processor(two_faces)
    assert torch.equal(processor(two_faces, face=1)["pixel_values_videos"][0], rows[1])
    # Two sizes of one face: the crops are alike.
    assert (rows[0].float() - rows[1].float()).abs().mean() < 15
    with pytest.raises(VideoReadError, match=r"found 2 face\(s\); expected a face number 2"):
        processor(two_faces, face=2)


@needs_detector
def test_margin_and_size_of_the_crop(two_faces):
    processor = RDFERVideoProcessor(num_frames=2, do_face_crop=True, size={"height": 60, "width": 60})
    narrow, wide = (processor(two_faces, face_margin=m)["pixel_values_videos"][0].float() for m in (1.0, 2.0))
    assert narrow.shape == (2, 3, 60, 60)
    enlarged = torch.nn.functional.interpolate(wide[..., 15:45, 15:45], (60, 60), mode="bilinear")
    assert (enlarged - narrow).abs().mean() < 15  # half of the crop with twice the margin
    with pytest.raises(ValueError, match="do_face_crop needs do_resize=True and size="):
        processor(two_faces, size={"shortest_edge": 60})


# Saving and loading --------------------------------------------------------------------------------------------------


@needs_detector
def test_detector_travels_with_the_checkpoint(tmp_path, monkeypatch, two_faces):
    first, second = tmp_path / "first", tmp_path / "second"
    RDFERVideoProcessor(num_frames=4, do_face_crop=True).save_pretrained(first)
    assert {"face_detector.safetensors", "video_preprocessor_config.json"} <= {path.name for path in first.iterdir()}
    assert "detector" not in (first / "video_preprocessor_config.json").read_text()
    # As if the package were not installed.
    monkeypatch.setattr("modeling_rdfer.models.video_processing_rdfer.packaged_file", lambda name: None)
    with pytest.raises(ValueError, match="there is no face_detector.safetensors"):
        RDFERVideoProcessor(do_face_crop=True)(two_faces)
    loaded = RDFERVideoProcessor.from_pretrained(first)
    expected = loaded(two_faces)["pixel_values_videos"]
    loaded.save_pretrained(second)
    loaded.save_pretrained(second)  # onto itself
    loaded.save_pretrained(first)
    for folder in (first, second, str(second), second / "video_preprocessor_config.json"):
        assert torch.equal(RDFERVideoProcessor.from_pretrained(folder)(two_faces)["pixel_values_videos"], expected)
    for twin in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert torch.equal(twin(two_faces)["pixel_values_videos"], expected)
        assert len(pickle.dumps(twin)) < 5000  # a path, not weights
    shutil.copy(first / "video_preprocessor_config.json", tmp_path)
    assert RDFERVideoProcessor.from_pretrained(tmp_path).num_frames == 4  # loads without the weights


# In the shape of transformers' tests/test_video_processing_common.py -------------------------------------------------


OPTIONS = {
    "do_resize": True,
    "size": {"shortest_edge": 20},
    "do_center_crop": True,
    "crop_size": {"height": 18, "width": 18},
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
    "do_sample_frames": False,
    "do_face_crop": False,
    "face_margin": 1.5,
    "face": 1,
    "on_missing_face": "full_frame",
}


def video_inputs(kind, num_frames=8, channels=3, batch_size=5):
    random = np.random.default_rng(0)
    videos = []
    for _ in range(batch_size):
        height, width = random.integers(30, 80, 2)
        video = random.integers(0, 256, (num_frames, height, width, channels), dtype=np.uint8)
        if kind == "pil":
            video = [Image.fromarray(frame) for frame in video]
        elif kind == "pt":
            video = torch.tensor(video).permute(0, 3, 1, 2)
        elif kind == "nested":
            video = list(video)
        videos.append(video)
    return videos


def test_to_json_string():
    loaded = json.loads(RDFERVideoProcessor(**OPTIONS).to_json_string())
    assert {key: loaded[key] for key in OPTIONS} == OPTIONS
    assert not any(key.startswith("_") for key in loaded)


def test_json_file(tmp_path):
    first = RDFERVideoProcessor(**OPTIONS)
    first.to_json_file(tmp_path / "processor.json")
    assert RDFERVideoProcessor.from_json_file(tmp_path / "processor.json").to_dict() == first.to_dict()


def test_from_dict_with_kwargs():
    processor = RDFERVideoProcessor.from_dict(OPTIONS)
    assert dict(processor.size) == {"shortest_edge": 20}
    assert dict(processor.crop_size) == {"height": 18, "width": 18}
    processor = RDFERVideoProcessor.from_dict(OPTIONS, size={"shortest_edge": 42}, crop_size=84, num_frames=7)
    assert dict(processor.size) == {"shortest_edge": 42} and processor.num_frames == 7
    assert dict(processor.crop_size) == {"height": 84, "width": 84}


def test_from_and_save_pretrained(tmp_path):
    first = RDFERVideoProcessor(**OPTIONS)
    check_json_file_has_correct_format(first.save_pretrained(tmp_path)[0])
    assert RDFERVideoProcessor.from_pretrained(tmp_path).to_dict() == first.to_dict()
    assert RDFERVideoProcessor.from_pretrained(tmp_path, face_margin=2.0).face_margin == 2.0


def test_init_without_params():
    processor = RDFERVideoProcessor()
    assert (processor.num_frames, processor.do_rescale, processor.do_normalize) == (64, False, False)
    assert dict(processor.size) == {"height": 112, "width": 112}


def test_explicit_none_is_kept(tmp_path):
    processor = RDFERVideoProcessor(**{**OPTIONS, "do_resize": None})
    assert processor.to_dict()["do_resize"] is None
    processor.save_pretrained(tmp_path)
    assert RDFERVideoProcessor.from_pretrained(tmp_path).do_resize is None


def test_none_in_a_call_means_the_default():
    processor = RDFERVideoProcessor(num_frames=4)
    expected = processor(tensor_video(9))
    for key in ("do_resize", "do_sample_frames", "num_frames", "size", "do_convert_rgb", "resample"):
        inputs = processor(tensor_video(9), **{key: None})
        assert torch.equal(inputs["pixel_values_videos"], expected["pixel_values_videos"])


@pytest.mark.parametrize("kind, channels", [("pil", 3), ("np", 3), ("pt", 3), ("nested", 3), ("pil", 4), ("np", 4)])
def test_call(kind, channels):
    videos = video_inputs(kind, channels=channels)
    processor = RDFERVideoProcessor(**OPTIONS)
    layout = {"input_data_format": "channels_last"} if channels == 4 else {}
    alone = processor(videos[0], return_tensors="pt", **layout)["pixel_values_videos"]
    assert alone.shape == (1, 8, 3, 18, 18) and alone.dtype == torch.float32
    together = processor(videos, return_tensors="pt", **layout)["pixel_values_videos"]
    assert together.shape == (5, 8, 3, 18, 18)
    assert torch.equal(together[0], alone[0])


def test_all_kinds_of_frames_give_the_same_pixels():
    processor = RDFERVideoProcessor(**OPTIONS)
    results = [processor(video_inputs(kind))["pixel_values_videos"] for kind in ("pil", "np", "pt", "nested")]
    assert all(torch.equal(result, results[0]) for result in results)


def test_arrays_of_opencv(tmp_path):
    rgb = np.stack([picture(number) for number in range(4)])
    images = [Image.fromarray(frame) for frame in rgb]
    expected = RDFERVideoProcessor(num_frames=4)(images)["pixel_values_videos"]
    processor = RDFERVideoProcessor(num_frames=4, channel_order="bgr")
    processor.save_pretrained(tmp_path)
    processor = RDFERVideoProcessor.from_pretrained(tmp_path)
    bgr = rgb[..., ::-1]
    for videos in (bgr, list(bgr), images, [bgr], [list(bgr)]):
        assert torch.equal(processor(videos)["pixel_values_videos"], expected)
        if videos is not images:
            assert not torch.equal(processor(videos, channel_order="rgb")["pixel_values_videos"], expected)
    assert torch.equal(RDFERVideoProcessor(num_frames=4)(bgr, channel_order="bgr")["pixel_values_videos"], expected)


def test_call_sample_frames():
    videos = video_inputs("pt")
    processor = RDFERVideoProcessor(**OPTIONS)
    for batch in (videos[0], videos):
        assert processor(batch, return_tensors="pt", num_frames=3)["pixel_values_videos"].shape[1] == 8
    processor.do_sample_frames = True
    for batch in (videos[0], videos):
        assert processor(batch, return_tensors="pt", num_frames=3)["pixel_values_videos"].shape[1] == 3
    with pytest.raises(ValueError):
        processor.sample_frames(metadata=VideoMetadata(total_num_frames=8), fps=3)
    for metadata in ({"duration": 2.0, "total_num_frames": 8, "fps": 4}, VideoMetadata(8, fps=4, duration=2.0)):
        inputs = processor(videos[0], return_tensors="pt", fps=3, video_metadata=[[metadata]])
        assert inputs["pixel_values_videos"].shape[1] == 6
        inputs = processor(videos, return_tensors="pt", fps=3, video_metadata=[[metadata]] * 5)
        assert inputs["pixel_values_videos"].shape[1] == 6
    with pytest.raises(ValueError, match="5 videos but 1 entries of video_metadata"):
        processor(videos, video_metadata=[{"total_num_frames": 8}])


def test_cast_of_the_batch():
    processor = RDFERVideoProcessor(**OPTIONS)
    inputs = processor(video_inputs("pt"), return_tensors="pt").to(torch.float16)
    assert inputs["pixel_values_videos"].dtype == torch.float16 and inputs["frame_mask"].dtype == torch.bool
    inputs = RDFERVideoProcessor()(video_inputs("pt"), return_tensors="pt").to("cpu", torch.bfloat16)
    assert inputs["pixel_values_videos"].dtype == torch.uint8  # normalised by the model


def test_attributes_of_one_processor_do_not_change_another():
    first, second = RDFERVideoProcessor(), RDFERVideoProcessor()
    first.size["height"] = 7
    first.face = "all"
    assert second.size["height"] == 112 and RDFERVideoProcessor().size["height"] == 112 and second.face == "largest"
