# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json
import re
import shutil

import pytest

from modeling_rdfer.demo.answer import _curve, analyse
from modeling_rdfer.inference.timeline import Window
from tests.helpers.paths import AEN_CHECKPOINT, CHECKPOINT, DATA


@pytest.mark.parametrize(("checkpoint", "chooses"), [(CHECKPOINT, True), (AEN_CHECKPOINT, False)])
def test_the_answer_names_where_the_clips_of_each_family_come_from(checkpoint, chooses):
    answer = analyse(DATA / "cap13_edit2.mp4", str(checkpoint), lambda *_, **__: None)
    assert ("where the key expression of the video shows" in answer) == chooses
    assert ("spread evenly over the video" in answer) != chooses


def test_the_answer_says_whether_the_checkpoint_is_calibrated(tmp_path):
    checkpoint = shutil.copytree(CHECKPOINT, tmp_path / "calibrated")
    config = json.loads((checkpoint / "config.json").read_text())
    for temperature in (None, 5.0):
        (checkpoint / "config.json").write_text(json.dumps({**config, "calibration_temperature": temperature}))
        answer = analyse(DATA / "cap13_edit2.mp4", str(checkpoint), lambda *_, **__: None)
        assert ("Its calibrated probability" in answer) == (temperature is not None)
        assert ("not calibrated" in answer) == (temperature is None)


def test_curves_have_gaps_where_no_face_is_visible():
    faces = [True, True, False, True]
    windows = [Window(start, start + 1.0, {"happy": 0.5} if face else None) for start, face in enumerate(faces)]
    first, second = _curve(windows, "happy")
    assert first == "0.0,100.0 125.0,100.0 375.0,100.0 500.0,100.0"
    assert re.findall(r"(\S+),", second) == ["750.0", "875.0", "1000.0"]
