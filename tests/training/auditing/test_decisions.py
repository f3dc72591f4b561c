# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.training_options import FAST, TINY
from training import train
from training.auditing.decisions import COLUMNS, apply_decisions, decisions_hash
from training.data.labelled_videos import LabelledVideos, content_hash


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Folders of frames: three happy, three sad."""
    root, generator = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for label in ("happy", "sad"):
        for video in range(3):
            folder = root / "train" / label / str(video)
            folder.mkdir(parents=True)
            for number in range(4):
                frame = generator.integers(0, 255, (32, 32, 3)).astype(np.uint8)
                Image.fromarray(frame).save(folder / f"{number}.png")
    return root


def decide(file: Path, root: Path, *decisions, **changed) -> Path:
    """Writes decisions, each (sample_id, decision, label)."""
    with open(file, "w", newline="") as handle:
        rows = csv.DictWriter(handle, COLUMNS)
        rows.writeheader()
        for name, decision, label in decisions:
            row = {"sample_id": name, "decision": decision, "label": label, "given_label": name.split("/")[0]}
            rows.writerow({**row, "content_hash": content_hash(root / "train" / name), **changed})
    return file


def run(root, out, decisions, *more):
    source = ["--dataset", str(root / "train"), "--output_dir", str(out), "--decisions", str(decisions)]
    return train.main([*source, "--num_train_epochs", "1", *TINY, *FAST, *more])


def test_decisions_are_applied_counted_and_on_the_card(root, tmp_path, capsys):
    decided = [("happy/0", "keep", ""), ("happy/1", "relabel", "Sadness"), ("happy/2", "relabel", "sad")]
    file = decide(tmp_path / "decisions.csv", root, *decided, ("sad/0", "drop", ""))
    run(root, tmp_path / "out", file)
    assert "1 kept, 2 relabelled, 1 dropped" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out" / "sample_table.parquet").to_pylist()
    labels = {row["sample_id"]: row["given_label"] for row in rows}
    assert labels == {"happy/0": "happy", "happy/1": "sad", "happy/2": "sad", "sad/1": "sad", "sad/2": "sad"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"`{decisions_hash(file)}`: keep 1, relabel 2, drop 1" in card and str(tmp_path) not in card
    assert "5 videos" in card


def test_stale_decisions_are_refused_by_row(root, tmp_path):
    shutil.copytree(root / "train", tmp_path / "train")
    names = [
        ("happy/0", "relabel", "sad"),
        ("gone/0", "drop", ""),
        ("happy/1", "relabel", "bored"),
        ("sad/1", "keep", ""),
    ]
    file = decide(tmp_path / "decisions.csv", root, *names)
    text = file.read_text().replace(",sad,keep", ",fear,keep")
    file.write_text(text.replace(f"gone/0,{content_hash(root / 'train' / 'gone/0') or ''}", "gone/0,00"))
    shutil.copy(tmp_path / "train" / "happy" / "1" / "0.png", tmp_path / "train" / "happy" / "0" / "5.png")
    with pytest.raises(SystemExit) as error:
        run(tmp_path, tmp_path / "out", file)
    message = str(error.value)
    assert message.startswith("error: ") and "4 of the decisions cannot be used" in message
    for part in (
        "row 2: happy/0 has another content",
        "row 3: gone/0 is not in the dataset",
        "row 4: happy/1 has the new label 'bored', expected one of ['happy', 'sad']",
        "row 5: sad/1 was labelled 'fear', now 'sad'",
    ):
        assert part in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "row, message",
    [
        ("happy/0,x,happy,maybe,", "row 2: decision 'maybe'"),
        ("happy/0,x,happy,relabel,", "row 2: relabel with label ''"),
        ("happy/0,x,happy,drop,sad", "row 2: drop with label 'sad'"),
        ("happy/0,x,happy,drop,\nhappy/0,x,happy,keep,", "row 3: happy/0 was already decided on in row 2"),
        (",x,happy,drop,", "row 2: no sample_id"),
    ],
)
def test_files_that_say_what_they_cannot(root, tmp_path, row, message):
    file = tmp_path / "decisions.csv"
    file.write_text(",".join(COLUMNS) + f"\n{row}\n")
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        run(root, tmp_path / "out", file)


def test_other_files_and_streams_are_refused(root, tmp_path):
    file = tmp_path / "decisions.csv"
    file.write_text("sample_id,label\na,b\n")
    with pytest.raises(SystemExit, match="lacks the columns \\['content_hash', 'given_label', 'decision'\\]"):
        run(root, tmp_path / "out", file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SystemExit, match="error: .*decisions.csv is no CSV file in UTF-8"):
        run(root, tmp_path / "out", file)
    with pytest.raises(SystemExit, match="error: .*nothing.csv"):
        run(root, tmp_path / "out", tmp_path / "nothing.csv")
    with pytest.raises(SystemExit, match="--streaming reads .*: --decisions"):
        train.main(
            ["--dataset", "user/name", "--streaming", "true", "--decisions", str(file)]
            + ["--output_dir", str(tmp_path), *FAST]
        )


def test_decisions_on_other_parts_of_the_dataset_are_left_out(tmp_path):
    """One file serves all folds: a fold's test videos keep their labels."""
    videos = LabelledVideos(["x", "y"], ["happy", "sad"], ["a", "b"], {"content_hash": ["1", None]})
    file = tmp_path / "decisions.csv"
    file.write_text(",".join(COLUMNS) + "\na,1,happy,drop,\nc,3,sad,drop,\nb,,sad,relabel,happy\n")
    left, counts = apply_decisions(videos, file, elsewhere={"c"})
    assert (left.sample_ids, left.labels, left.label_names) == (["b"], ["happy"], ["happy", "sad"])
    assert counts == {"keep": 0, "relabel": 1, "drop": 1, "elsewhere": 1}
    with pytest.raises(ValueError, match="row 3: c is not in the dataset"):
        apply_decisions(videos, file)
    assert videos.labels == ["happy", "sad"]
