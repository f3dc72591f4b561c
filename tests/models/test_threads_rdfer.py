# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Threads within threads share those of torch."""

from concurrent.futures import ThreadPoolExecutor

import torch

from modeling_rdfer.models.threads_rdfer import map_in_threads


def test_threads_within_threads_share_those_of_torch(three_threads):
    torch.set_num_threads(8)

    def inside(_):
        return torch.get_num_threads()

    def outside(_):
        return torch.get_num_threads(), *map_in_threads(inside, range(4), 2)

    for _ in range(20):
        assert list(map_in_threads(outside, range(4), 2)) == [(4, 2, 2, 2, 2)] * 4
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 8
