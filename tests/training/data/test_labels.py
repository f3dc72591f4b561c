# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import logging

import pytest

from modeling_rdfer.models.labels_rdfer import canonical_label
from training.data.labels import map_labels

DFEW = ["happy", "sad", "neutral", "anger", "surprise", "disgust", "fear"]
WORDS = ["Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"]


def test_labels_are_compared_by_name(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("training.data.labels"), "propagate", True)
    assert canonical_label("Angry") == canonical_label("anger") == canonical_label(" ANG ")
    assert canonical_label("smiling") == canonical_label("happy")
    assert canonical_label("fear_anger") == canonical_label("Angry_Fearful")
    assert map_labels(WORDS, DFEW) == dict(zip(WORDS, DFEW))
    ravdess = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    with pytest.raises(ValueError, match=r"\['calm'\] have no counterpart among \['happy'"):
        map_labels(ravdess, DFEW)
    mapped = map_labels(ravdess, DFEW, leave_out=True)
    assert mapped["surprised"] == "surprise" and mapped["angry"] == "anger" and "calm" not in mapped
    assert "Labels ['calm'] are left out" in caplog.text
    with pytest.raises(ValueError, match="have no counterpart"):
        map_labels(["bored"], DFEW, leave_out=True)
    with pytest.raises(ValueError, match="'happy' and 'joy' mean the same"):
        map_labels(WORDS, ["happy", "joy"])
