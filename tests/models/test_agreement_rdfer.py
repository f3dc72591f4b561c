# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import torch

from modeling_rdfer import clip_agreement, distinct_clips
from tests.helpers.tiny_models import assert_same


def test_agreement_is_the_share_of_the_most_frequent_class():
    def logits(*classes):
        return torch.nn.functional.one_hot(torch.tensor(classes), 5).float()

    clip_logits = torch.stack([logits(1, 1, 1, 1), logits(1, 1, 2, 1), logits(0, 0, 3, 3), logits(0, 1, 2, 3)])
    assert clip_agreement(clip_logits).tolist() == [1.0, 0.75, 0.5, 0.25]
    clip_mask = torch.tensor([[1, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    assert_same(clip_agreement(clip_logits, clip_mask), torch.tensor([1.0, 0.5, 2 / 3, 0.25]))


def test_copies_are_no_distinct_clips():
    indices = torch.tensor([[[0, 1], [0, 1], [0, 2], [5, 6]], [[0, 0], [0, 0], [0, 0], [0, 0]]])
    assert distinct_clips(indices).tolist() == [[True, False, True, True], [True, False, False, False]]
