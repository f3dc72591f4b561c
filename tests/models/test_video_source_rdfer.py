# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Frames are read in several threads, reported as they come, and resized on the way; errors name the video."""

import gc
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import textwrap

import av
import pytest
import torch

from modeling_rdfer.models.video_decoding_rdfer import open_video
from modeling_rdfer.models.video_source_rdfer import VideoNotFoundError, VideoReadError, resize_frames
from tests.helpers.paths import ROOT
from tests.helpers.videos import numbers_of, write_video

pytestmark = pytest.mark.decoding


def test_error_can_be_pickled():
    for error in (VideoReadError("a.mp4", "nothing"), VideoNotFoundError("a.mp4", "no such file")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error) and "'a.mp4'" in str(error)


def test_index_out_of_range(decoder, plain_mp4):
    with pytest.raises(IndexError, match=r"plain.mp4: frames 0\.\.40 were asked for, it has 0\.\.39"):
        open_video(plain_mp4).get_frames([0, 40])


def test_size_and_max_side_are_the_resize_of_the_full_frames(decoder, plain_mp4):
    video = open_video(plain_mp4)
    full = video.get_frames([1, 30])
    assert torch.equal(video.get_frames([1, 30], size=(20, 24)), resize_frames(full, (20, 24)))
    assert torch.equal(video.get_frames([1, 30], size=lambda x: x[..., :7]), full[..., :7])
    assert torch.equal(video.get_frames([1, 30], max_side=40), resize_frames(full, (24, 40)))
    assert torch.equal(video.get_frames([1, 30], max_side=80), full)


@pytest.mark.parametrize(
    "file, settings",
    [
        ("long.mp4", {"options": {"g": "12", "bf": "3"}}),
        ("long_open_gop.mkv", {"options": {"x264-params": "open-gop=1:keyint=10:bframes=4:b-pyramid=strict"}}),
        ("long.mov", {"codec": "mpeg4", "options": {"bf": "2", "g": "10"}}),
        ("long.webm", {"codec": "libvpx-vp9", "options": {"g": "10"}}),
        ("long_turned.mp4", {"options": {"g": "12"}, "rotation": 90}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_several_threads_read_the_same_frames_of_a_long_video(decoder, video_folder, three_threads, file, settings):
    path = write_video(video_folder / file, num_frames=60, **settings)
    expected = open_video(path).get_frames(range(60))
    random_numbers = random.Random(0)
    with open_video(path) as video:
        readers, parts = zip(*video._split(list(range(2, 60, 5))))
        assert len(set(map(id, readers))) == len(parts) == 3
        assert [index for part in parts for index in part] == list(range(2, 60, 5))
        for _ in range(12):
            indices = random_numbers.sample(range(60), random_numbers.randint(2, 9))
            assert torch.equal(video.get_frames(indices), expected[indices]), indices
            small = video.get_frames(indices, size=(16, 24))
            assert torch.equal(small, resize_frames(expected[indices], (16, 24)))
        assert len(video._split(list(range(60)))) == 1  # dense frames need one reader only
        video.close()
        open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        gc.disable()
        for _ in range(3):
            video.get_frames(range(2, 60, 5))
        gc.enable()
        assert open_files == (len(os.listdir("/proc/self/fd")) if open_files else 0)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("indices", [range(2, 40, 5), range(40), [9]], ids=["sparse", "all", "one"])
def test_positions_are_reported_as_frames_come(decoder, video_folder, three_threads, num_threads, indices):
    torch.set_num_threads(num_threads)
    path = write_video(video_folder / "reported.mp4", num_frames=40, options={"g": "12"})
    reported = []

    def meanwhile(frames, places):
        reported.extend((place, number) for place in places for number in numbers_of(frames[place : place + 1]))

    with open_video(path) as video:
        assert numbers_of(video.get_frames(indices, meanwhile=meanwhile)) == list(indices)
        assert sorted(reported) == list(enumerate(indices))  # each once, and it was there
        with pytest.raises(ZeroDivisionError):
            video.get_frames(indices, meanwhile=lambda frames, places: 1 / 0)


@pytest.mark.parametrize("damaged", [(1, 12), (24, 36), (48, 60)], ids=["first", "middle", "last"])
def test_damage_in_one_of_several_parts_is_named(decoder, video_folder, three_threads, damaged):
    path = write_video(video_folder / f"damaged{damaged[0]}.mp4", num_frames=60, options={"g": "12", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in packets[slice(*damaged)]:
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    with open_video(path) as video:
        with pytest.raises(VideoReadError, match=re.escape(f"{str(path)!r}")):
            video.get_frames(range(2, 60, 5), meanwhile=lambda frames, places: list(places))
        assert numbers_of(video.get_frames([14, 43])) == [14, 43]


# Memory --------------------------------------------------------------------------------------------------------------

MEASURE = """
    import sys, torch
    torch.set_num_threads(1)
    from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
    RDFERVideoProcessor()(sys.argv[1])
    # Not getrusage: its peak is inherited from the process that started this one.
    print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the peak memory from /proc")
def test_ten_minutes_of_1080p_take_little_more_memory_than_ten_seconds_of_360p(decoder, tmp_path):
    small = write_video(tmp_path / "small.mp4", num_frames=250, height=360, width=640)
    part = write_video(tmp_path / "part.mp4", num_frames=50, height=1080, width=1920, options={"preset": "veryfast"})
    large = tmp_path / "large.mp4"
    with av.open(str(large), "w") as target:
        stream, offset = None, 0
        for _ in range(300):  # 300 times 2 s
            with av.open(str(part)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        target.mux(packet)
                offset += int(2 / source.streams.video[0].time_base)
    video = open_video(large)
    assert video.num_frames == 15_000 and video.duration_seconds == pytest.approx(600, abs=1)
    peaks = []
    for path in (small, large):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(path)]
        result = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        peaks.append(int(result.stdout))
    print(f"peak RSS: {peaks[0] / 1024:.0f} MB for 10 s of 360p, {peaks[1] / 1024:.0f} MB for 10 min of 1080p")
    assert peaks[1] < 1.3 * peaks[0]
    shutil.rmtree(tmp_path)
