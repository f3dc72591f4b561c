# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import torch

from modeling_rdfer.trainer.sample_record import SamplePredictions
from modeling_rdfer.trainer.verdicts import NOISY, VerdictThresholds
from training.auditing.report import judge, rule_of
from training.auditing.scoring import Audit
from training.auditing.video_cards import Cards
from training.data.labelled_videos import LabelledVideos


def audit_of(probability: torch.Tensor, out_of_sample: bool) -> Audit:
    """An audit of videos labelled a and b by turns, with these probabilities of the label."""
    count = len(probability)
    labels = torch.arange(count) % 2
    probabilities = torch.stack([1 - probability, probability], 1)
    probabilities[labels == 0] = probabilities[labels == 0].flip(1)
    videos = LabelledVideos([None] * count, ["ab"[label] for label in labels], [str(n) for n in range(count)])
    predictions = SamplePredictions(
        index=torch.arange(count),
        loss=-probability.log(),
        agreement=torch.ones(count),
        clip_std=torch.zeros(count),
        probabilities=probabilities,
        num_valid_clips=torch.full((count,), 4),
    )
    folds = 5 if out_of_sample else None
    return Audit(videos, ["a", "b"], predictions, {}, "a model", out_of_sample, Cards(0), dict, folds=folds)


def test_less_is_asked_of_a_verdict_out_of_sample():
    # 100 supported labels of rising certainty; the last three are contradicted, ever more surely.
    log_odds = torch.cat([torch.linspace(0.1, 10, 100), torch.tensor([-2.0, -5.0, -8.0])])
    noisy = {}
    for out_of_sample in (False, True):
        audit = audit_of(log_odds.sigmoid(), out_of_sample)
        record = judge(audit, VerdictThresholds())
        noisy[out_of_sample] = (record.partition == NOISY).nonzero().flatten().tolist()
        assert f"speak for the label in {'35' if out_of_sample else '60'}%" in " ".join(rule_of(audit, record))
    assert noisy == {False: [102], True: [101, 102]}
