# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The decoder that is asked for is used, and imported only then."""

import os
import subprocess
import sys

import pytest

from modeling_rdfer.models.decoder_choice_rdfer import decoder_in_use
from modeling_rdfer.models.video_decoding_rdfer import open_video
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.decoding


def test_decoder_in_use_names_the_decoder_and_the_reason(monkeypatch):
    monkeypatch.delenv("RDFER_VIDEO_DECODER", raising=False)
    assert decoder_in_use() == decoder_in_use("pyav") == ("pyav", None)
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "torchcodec")
    name, reason = decoder_in_use()
    assert (name == "torchcodec" and reason is None) or (name is None and "torchcodec cannot be used" in reason)
    monkeypatch.setenv("RDFER_VIDEO_DECODER", "opencv")
    with pytest.raises(ValueError, match="RDFER_VIDEO_DECODER is 'opencv'; expected one of auto, torchcodec, pyav"):
        decoder_in_use()


def test_the_decoder_asked_for_is_used(decoder, plain_mp4):
    assert open_video(plain_mp4).backend == decoder


def test_importing_costs_no_decoder():
    code = (
        "import sys, torchvision; before = set(sys.modules)\n"  # older versions of torchvision import av
        "import modeling_rdfer; print([m for m in ('av', 'torchcodec') if m in set(sys.modules) - before])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert result.stdout.strip() == "[]"
