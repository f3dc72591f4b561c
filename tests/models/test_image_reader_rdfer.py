# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Videos that are folders or lists of images, or arrays."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_rdfer import RDFERVideoProcessor
from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoReadError
from tests.helpers.videos import HEIGHT, WIDTH, message_of, numbers_of, picture

pytestmark = pytest.mark.decoding


@pytest.fixture
def frame_folder(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, suffix in enumerate(["png", "PNG", "bmp", "webp", "jpg", "jpeg", "png", "png", "png", "png", "png"]):
        options = {"quality": 98} if suffix in ("jpg", "jpeg") else {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(picture(number)).save(folder / f"frame_{number}.{suffix}", **options)
    (folder / "._frame_0.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("not a frame")
    (folder / "more.png").mkdir()
    return folder


def test_folder_is_read_in_natural_order(frame_folder):
    video = open_video(frame_folder)
    assert (video.num_frames, video.height, video.width, video.pts_seconds) == (11, HEIGHT, WIDTH, None)
    assert numbers_of(video.get_frames(range(11))) == list(range(11))
    assert numbers_of(open_video(str(frame_folder)).get_frames([10, 2])) == [10, 2]


def test_folder_of_frames_that_differ_in_size(tmp_path):
    for number, (height, width) in enumerate([(48, 80), (96, 160), (47, 79)]):
        Image.fromarray(picture(number, height, width)).save(tmp_path / f"{number}.png")
    video = open_video(tmp_path)
    assert video.get_frames([0, 1, 2]).shape == (3, 3, 48, 80)
    assert numbers_of(video.get_frames([2, 1, 0], size=(40, 60))) == [2, 1, 0]


def test_folder_without_images(tmp_path):
    assert "an empty folder" in message_of(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    assert "a folder without images (1 other entries)" in message_of(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no image", "half"], ids=["empty", "text", "half"])
def test_folder_with_a_corrupt_image(frame_folder, content):
    bad = frame_folder / "frame_6.png"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2] if content == "half" else content)
    message = message_of(frame_folder)
    assert "frame_6.png" in message and "an image that cannot be read" in message


def test_image_modes_become_rgb(tmp_path):
    rgba = np.dstack([picture(0), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[-1, -1] = (10, 20, 30, 0)
    deep = Image.fromarray((picture(2)[..., 0].astype(np.uint16) << 8) + 7)
    images = [
        Image.fromarray(rgba),
        Image.fromarray(picture(1)).convert("L"),
        deep,
        Image.fromarray(picture(3)).quantize(),
    ]
    frames = open_video(images).get_frames(range(4))
    assert numbers_of(frames) == [0, 1, 2, 3]
    assert frames[0, :, -1, -1].tolist() == [255, 255, 255]  # transparent: white
    assert torch.equal(frames[1, 0], frames[1, 2])


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise for display
    Image.fromarray(picture(0)).save(tmp_path / "0.png", exif=exif)
    assert open_video(tmp_path).get_frames([0]).shape == (1, 3, WIDTH, HEIGHT)


def test_lists_of_frames(frame_folder):
    paths = [str(frame_folder / "frame_2.bmp"), frame_folder / "frame_10.png"]
    assert numbers_of(open_video(paths).get_frames([0, 1])) == [2, 10]
    arrays = [picture(3), torch.tensor(picture(4)).permute(2, 0, 1), Image.fromarray(picture(5))]
    assert numbers_of(open_video(arrays).get_frames([0, 1, 2])) == [3, 4, 5]
    assert numbers_of(open_video([picture(3)[..., 2]]).get_frames([0])) == [3]
    assert numbers_of(open_video(paths[0]).get_frames([0])) == [2]  # one image: a video of one frame
    assert "missing.png" in message_of([paths[0], "missing.png"])
    assert "element 1" in message_of([picture(0), 7])
    assert "an empty list" in message_of([])


# One image -----------------------------------------------------------------------------------------------------------

FORMATS = {"JPEG": "jpg", "PNG": "png", "BMP": "bmp", "WebP": "webp", "TIFF": "tiff"}


def image_file(kind: str) -> bytes:
    """A picture that stands on its side; where the format says so, it is to be rotated for display."""
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WebP") else {}
    file = io.BytesIO()
    Image.fromarray(picture(3)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_is_a_video_of_one_frame(tmp_path, kind):
    content = image_file(kind)
    named, unnamed = tmp_path / f"face.{FORMATS[kind]}", tmp_path / "upload"
    named.write_bytes(content)
    unnamed.write_bytes(content)
    expected = open_video(named).get_frames([0])
    size = (HEIGHT, WIDTH) if kind in ("BMP", "TIFF") else (WIDTH, HEIGHT)
    assert expected.shape == (1, 3, *size)
    rows = [{"bytes": content, "path": None}, {"bytes": content, "path": "x.png"}, {"bytes": None, "path": str(named)}]
    for source in (str(unnamed), content, io.BytesIO(content), *rows):
        video = open_video(source)
        assert (video.num_frames, video.backend, video.height, video.width) == (1, "images", *size)
        assert torch.equal(video.get_frames([0]), expected)
    inputs = RDFERVideoProcessor(num_frames=4)(rows[0], return_tensors="pt")
    assert inputs["pixel_values_videos"].shape == (1, 4, 3, 112, 112)
    assert inputs["frame_mask"].tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_image_gives_one_clear_error(tmp_path, kind):
    content = image_file(kind)
    half = content[: len(content) // 2]
    (tmp_path / "face.jpg").write_bytes(half)
    message = "an image that cannot be read .*expected an intact image"
    for source, name in ((tmp_path / "face.jpg", "face.jpg"), ({"bytes": half, "path": "fer.png"}, "'fer.png'")):
        with pytest.raises(VideoReadError, match=f"{name}.*{message}"):
            open_video(source).get_frames([0])
    with pytest.raises(VideoReadError, match=f"<{len(half)} bytes>.*{message}"):
        open_video(half).get_frames([0])
    with pytest.raises(VideoReadError, match=r"'fer\.png'.*\(its content is in no known format\)"):
        open_video({"bytes": b"no image", "path": "fer.png"})


# Arrays --------------------------------------------------------------------------------------------------------------

PIXELS = np.stack([picture(number) for number in range(6)])


@pytest.mark.parametrize("kind", ["tensor", "numpy"])
@pytest.mark.parametrize("layout", ["TCHW", "THWC"])
def test_arrays(kind, layout):
    pixels = PIXELS.transpose(0, 3, 1, 2) if layout == "TCHW" else PIXELS
    array = torch.tensor(pixels) if kind == "tensor" else pixels
    expected = torch.tensor(PIXELS).permute(0, 3, 1, 2)
    for same in (array, array / 255, (array / 255).astype(np.float32) if kind == "numpy" else array.half() / 255):
        video = open_video(same)
        assert (video.num_frames, video.height, video.width, video.backend) == (6, HEIGHT, WIDTH, "array")
        assert torch.equal(video.get_frames(range(6)), expected)
    assert torch.equal(open_video(array[::2] if kind == "tensor" else array[::-1]).get_frames([0]),
                       expected[[0 if kind == "tensor" else 5]])  # fmt: skip
    wide = array.to(torch.int64) if kind == "tensor" else array.astype(np.uint16)
    assert torch.equal(open_video(wide).get_frames([1, 4]), expected[[1, 4]])
    one_frame = open_video(array[2])
    assert one_frame.num_frames == 1 and torch.equal(one_frame.get_frames([0]), expected[[2]])


def test_grey_and_alpha_arrays():
    grey = open_video(PIXELS[..., 2:]).get_frames([4])
    assert numbers_of(grey) == [4] and torch.equal(grey[0, 0], grey[0, 1])
    alpha = np.concatenate([PIXELS, np.full_like(PIXELS[..., :1], 255)], -1)
    alpha[:, 0, 0, 3] = 0
    frames = open_video(alpha).get_frames(range(6))
    assert numbers_of(frames) == list(range(6)) and (frames[:, :, 0, 0] == 255).all()


def test_layout_decides_if_the_shape_does_not():
    array = torch.arange(3 * 3 * 5 * 3, dtype=torch.uint8).reshape(3, 3, 5, 3)
    assert torch.equal(open_video(array, layout="channels_last").get_frames([1])[0], array[1].permute(2, 0, 1))
    assert torch.equal(open_video(array, layout="channels_first").get_frames([1])[0], array[1])
    # Frames of a list, too, also those of height 1 and grey ones of width 3.
    for height in (3, 1):
        frame = array[0, :height]
        last = open_video([frame], layout="channels_last").get_frames([0])[0]
        assert torch.equal(last, frame.permute(2, 0, 1))
    grey = open_video([array[0, ..., 0]], layout="channels_last").get_frames([0])[0]
    assert torch.equal(grey, array[:1, ..., 0].expand(3, -1, -1))


@pytest.mark.parametrize("shape", [(5, 3, 20, 3), (5, 3, 3, 3), (5, 1, 20, 3), (5, 3, 20, 1), (5, 4, 3, 4)])
def test_frames_that_can_be_read_in_two_ways_are_refused(shape):
    message = r"axis 1 or axis 3 can hold the channels; expected input_data_format 'channels_first' or 'channels_last'"
    for source in (np.zeros(shape, np.uint8), torch.zeros(shape), list(np.zeros(shape, np.uint8))):
        with pytest.raises(VideoReadError, match=message):
            open_video(source, name="my clip")
    inputs = RDFERVideoProcessor(num_frames=4)(np.zeros(shape, np.uint8), input_data_format="channels_last")
    assert inputs["pixel_values_videos"].shape == (1, 4, 3, 112, 112)


def test_colours_of_opencv():
    colours = PIXELS.copy()
    colours[..., 2] = 77
    expected = torch.tensor(colours).permute(0, 3, 1, 2)
    bgr = colours[..., ::-1]
    opaque = np.concatenate([bgr, np.full_like(bgr[..., :1], 255)], -1)
    for source in (bgr, bgr / 255, torch.tensor(bgr.copy()).permute(0, 3, 1, 2), opaque, list(bgr), list(opaque)):
        frames = open_video(source, channel_order="bgr").get_frames(range(6))
        assert torch.equal(frames, expected)
        assert not torch.equal(open_video(source).get_frames(range(6)), expected)
    # Images and files state their colours, and grey has none.
    images = [Image.fromarray(frame) for frame in colours]
    assert torch.equal(open_video([images[0], bgr[1]], channel_order="bgr").get_frames([0, 1]), expected[:2])
    grey = open_video(colours[..., :1], channel_order="bgr").get_frames([4])
    assert torch.equal(grey[0, 1], expected[4, 0])
    with pytest.raises(ValueError, match="channel_order is 'brg'; expected 'rgb' or 'bgr'"):
        open_video(bgr, channel_order="brg")


@pytest.mark.parametrize(
    "array, found",
    [
        (torch.zeros(0, 3, 8, 8), r"nothing in shape \(0, 3, 8, 8\)"),
        (np.zeros((2, 0, 8, 3), np.uint8), "nothing in shape"),
        (torch.full((2, 3, 8, 8), float("nan")), "NaN pixels"),
        (torch.where(torch.arange(8) == 3, float("nan"), 0.5).expand(90, 3, 8, 8), "NaN pixels"),
        (torch.full((2, 3, 8, 8), 200.0), r"float pixels from 200 to 200; expected .*of 0\.\.255: divided by 255"),
        (torch.linspace(-2, 2, 384).reshape(2, 3, 8, 8), "float pixels from -2 to 2"),
        (np.full((2, 8, 8, 3), 300, np.int32), "pixels from 300 to 300"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.bool), "bool"),
        (np.zeros((2, 8, 8, 3), object), "dtype object"),
        (torch.zeros(2, 5, 8, 8), "no axis of 1, 3 or 4 channels"),
        (torch.zeros(8, 8), "2 axes"),
        (torch.zeros(1, 2, 3, 8, 8), "5 axes"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_video(array, found):
    with pytest.raises(VideoReadError, match=rf"my clip.*{found}"):
        video = open_video(array, name="my clip")
        video.get_frames(range(video.num_frames))
