# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import json

import numpy as np
import pytest

from training.synthetic import LABELS, make_truths, noise_matrix


def identity_rows():
    return {label: {label: 1.0} for label in LABELS}


def test_a_json_matrix_goes_by_name(tmp_path):
    rows = identity_rows() | {"fear": {"surprise": 0.75, "fear": 0.25}}
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(dict(reversed(rows.items()))))
    matrix = noise_matrix(noise_type=path)
    assert matrix[LABELS.index("fear"), LABELS.index("surprise")] == 0.75
    assert np.trace(matrix) == 6.25
    truths = make_truths(280, 0, noise_type=str(path))
    assert {(t.true_label, t.given_label) for t in truths if t.is_noisy} == {("fear", "surprise")}
    assert np.mean([t.is_noisy for t in truths if t.true_label == "fear"]) == pytest.approx(0.75, abs=0.06)


def test_a_csv_matrix_goes_by_name(tmp_path):
    names = list(reversed(LABELS))
    lines = [",".join(["true", *names])]
    for true in LABELS:
        row = {true: 1.0} if true != "sad" else {"sad": 0.4, "neutral": 0.6}
        lines.append(",".join([true, *(str(row.get(given, 0)) for given in names)]))
    path = tmp_path / "noise.csv"
    path.write_text("\n".join(lines))
    expected = np.eye(7)
    expected[LABELS.index("sad")] = 0
    expected[LABELS.index("sad"), [LABELS.index("sad"), LABELS.index("neutral")]] = 0.4, 0.6
    np.testing.assert_allclose(noise_matrix(noise_type=path), expected)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fear": {"fear": 0.5, "surprise": 0.3}}, "row 'fear' adds up to 0.8, expected 1"),
        ({"fear": {"fear": 0.5, "suprise": 0.5}}, "unknown class 'suprise'"),
        ({"anger": {"anger": 1.0}}, r"unknown: \['anger'\]"),
        ({"fear": {"fear": 1.5, "sad": -0.5}}, "fear -> fear is 1.5"),
        ({"fear": {"fear": "much"}}, "fear -> fear is 'much'"),
        ({"fear": 1.0}, "expected"),
    ],
)
def test_a_wrong_matrix_is_refused(tmp_path, change, message):
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(identity_rows() | change))
    with pytest.raises(ValueError, match=message) as error:
        noise_matrix(noise_type=path)
    assert "noise.json" in str(error.value)


def test_a_matrix_with_a_missing_class_and_other_mistakes(tmp_path):
    path = tmp_path / "noise.json"
    rows = identity_rows()
    del rows["happy"]
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"missing: \['happy'\]"):
        noise_matrix(noise_type=path)
    path.write_text(json.dumps(identity_rows()))
    with pytest.raises(ValueError, match=r"noise is 0\.3, but the matrix file"):
        noise_matrix(0.3, path)
    with pytest.raises(FileNotFoundError, match="symetric"):
        noise_matrix(0.3, "symetric")
    table = tmp_path / "noise.csv"
    table.write_text("true," + ",".join(LABELS) + "\nfear,1,0\n")
    with pytest.raises(ValueError, match="row 'fear' has 2 values, the header 7 classes"):
        noise_matrix(noise_type=table)
