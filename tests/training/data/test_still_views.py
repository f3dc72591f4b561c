# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import torch

from training.data.still_views import random_views, video_of_still


def test_views_differ_and_depend_on_the_generator_only():
    image = torch.arange(48 * 48, dtype=torch.float).view(48, 48).mul(255 / 48**2).to(torch.uint8)
    one, same = (
        random_views(image.expand(6, 3, -1, -1), (32, 32), torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert one.shape == (6, 3, 32, 32) and one.min() >= 0 and one.max() <= 255
    assert torch.equal(one, same)
    assert len({view.numpy().tobytes() for view in one}) == 6
    # Each still shows the image: darker above than below, whatever the crop, roll and light.
    assert (one[:, 0, :8].mean((1, 2)) < one[:, 0, -8:].mean((1, 2)) - 50).all()


def test_a_video_of_a_still_is_padded_with_its_last_view():
    frames = torch.randint(0, 255, (6, 3, 16, 16), dtype=torch.uint8)
    video, mask = video_of_still(frames, 4, torch.Generator().manual_seed(0))
    assert video.shape == frames.shape and video.dtype == torch.uint8
    assert mask.tolist() == [True] * 4 + [False] * 2
    assert torch.equal(video[4], video[3]) and torch.equal(video[5], video[3])
    assert video_of_still(frames[:2], 4, torch.Generator().manual_seed(0))[1].tolist() == [True, True]
