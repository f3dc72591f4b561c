# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np

from modeling_rdfer.trainer.sampler import BalancedSampler


def test_balanced_sampler():
    labels = [0] * 90 + [1] * 9 + [2]
    sampler = BalancedSampler(labels, seed=3)
    sampler.set_epoch(1)
    drawn = list(sampler)
    assert len(drawn) == 100
    counts = np.bincount(np.asarray(labels)[drawn], minlength=3)
    assert counts.max() - counts.min() <= 1
    times = np.bincount(drawn, minlength=100)
    assert times[:90].max() == 1 and set(times[90:99]) <= {3, 4}  # none again before all have come
    assert list(sampler) == drawn
    sampler.set_epoch(2)
    assert list(sampler) != drawn
