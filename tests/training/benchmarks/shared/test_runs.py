# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer import RDFERForVideoClassification
from training.benchmarks.shared.runs import mute, new_config, tell_identity_only


@pytest.mark.parametrize(
    "muted, short, long", [(("long_term",), True, False), (("short_term",), False, True), ((), True, True)]
)
def test_a_muted_stream_stays_at_zero(muted, short, long):
    torch.manual_seed(0)
    model = RDFERForVideoClassification(new_config(image_size=32, detector_image_size=32))
    if muted:
        mute(model, muted)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(2):
        model(torch.randint(0, 256, (2, 8, 3, 32, 32), dtype=torch.uint8), labels=torch.tensor([1, 2])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    size = model.config.hidden_size
    weights = model.fusion_classifier.weight
    assert bool(model.short_term_classifier.weight.any()) == short
    assert (bool(weights[:, :size].any()), bool(weights[:, size:].any())) == (short, long)


def test_an_identity_summary_tells_the_expression_only():
    torch.manual_seed(0)
    model = RDFERForVideoClassification(new_config(image_size=32, detector_image_size=32)).eval()
    tell_identity_only(model)
    told = []
    model.rdfer.summary_projection.register_forward_pre_hook(lambda module, arguments: told.append(arguments[0]))
    with torch.no_grad():
        outputs = model(torch.randint(0, 256, (3, 8, 3, 32, 32), dtype=torch.uint8))
    expected = torch.zeros(3, model.config.detector_hidden_size)
    expected[torch.arange(3), outputs.detector_logits.argmax(-1)] = 1
    assert torch.equal(told[0], expected)
