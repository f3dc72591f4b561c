# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import io
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.dataset_replicas import (
    FERPLUS_VOTES,
    draw_face,
    ferplus_csv,
    ferplus_folders,
    ferplus_parquet,
    labels_of,
)
from training.datasets import dataset_options, ferplus, load
from training.datasets.ferplus import LABELS, VOTES

WRITERS = {"parquet": ferplus_parquet, "csv": ferplus_csv, "folders": ferplus_folders}


def pixels_of(row) -> np.ndarray:
    image = row["image"]
    return np.asarray(Image.open(io.BytesIO(image["bytes"]) if isinstance(image, dict) else image))


def test_rows_have_image_votes_shares_and_fer_2013s_label(tmp_path):
    splits = load("ferplus", ferplus_parquet(tmp_path))
    assert list(splits) == ["train", "validation"]
    assert splits["train"].features["label"].names == LABELS == VOTES[:7]
    assert labels_of(splits["train"]) == {"fer0000000": "neutral", "fer0000001": "happiness"}
    assert labels_of(splits["validation"]) == {"fer0028638": "fear", "fer0028639": "surprise"}
    row = splits["train"][1]
    assert row["path"] == row["image"]["path"] == "fer0000001.png"
    assert np.array_equal(pixels_of(row), np.asarray(draw_face(1)))
    assert row["votes"] == FERPLUS_VOTES["train"]["fer0000001"]
    assert splits["train"].features["votes"].length == 10
    # Shares of the labels only: the votes for contempt and for unknown are not among them.
    assert row["soft_label"] == pytest.approx([0, 5 / 8, 1 / 8, 1 / 8, 1 / 8, 0, 0])
    assert list(splits["train"]["fer2013_label"]) == [None, "angry"]
    assert list(load("ferplus", ferplus_parquet(tmp_path, ["test"]))) == ["train", "validation", "test"]


def test_which_images_count_is_a_choice(tmp_path):
    ferplus_parquet(tmp_path)
    assert dataset_options("ferplus")["keep"] == ("majority", "plurality", "all")
    by_plurality = {"fer0000000": "neutral", "fer0000001": "happiness", "fer0000003": "sadness"}
    assert labels_of(load("ferplus", tmp_path, keep="plurality")["train"]) == by_plurality
    tied = {"fer0000002": "neutral", "fer0000004": "neutral", "fer0000006": "neutral"}
    assert labels_of(load("ferplus", tmp_path, keep="all")["train"]) == by_plurality | tied
    with pytest.raises(ValueError, match="keep='most'"):
        load("ferplus", tmp_path, keep="most")


def test_contempt_can_be_the_eighth_label(tmp_path):
    train = load("ferplus", ferplus_parquet(tmp_path), contempt=True)["train"]
    assert train.features["label"].names == [*LABELS, "contempt"]
    assert labels_of(train)["fer0000004"] == "contempt"
    assert train[1]["soft_label"] == pytest.approx([0, 5 / 9, 1 / 9, 1 / 9, 1 / 9, 0, 0, 1 / 9])


def test_the_authors_layouts_give_the_same_images_and_labels(tmp_path):
    parquet = load("ferplus", ferplus_parquet(tmp_path / "parquet", FERPLUS_VOTES), keep="all")
    lists = load("ferplus", ferplus_csv(tmp_path / "csv"), keep="all")
    boxes = load("ferplus", ferplus_folders(tmp_path / "folders"), keep="all")
    plain = load("ferplus", ferplus_folders(tmp_path / "clone" / "data", with_box=False).parent, keep="all")
    for split, expected in parquet.items():
        for found in (lists[split], boxes[split], plain[split]):
            assert labels_of(found) == labels_of(expected)
            assert list(found["votes"]) == list(expected["votes"])
            assert all(np.array_equal(pixels_of(a), pixels_of(b)) for a, b in zip(found, expected))
    assert list(lists["train"]["fer2013_label"]) == ["angry", "disgust", "fear", "happy", "sad", "neutral"]
    assert lists["train"]["path"][0] == "fer0000000.png"
    assert boxes["train"]["path"][0] == "FER2013Train/fer0000000.png"
    assert boxes["train"]["image"][0] == str(tmp_path / "folders" / "FER2013Train" / "fer0000000.png")
    assert "fer2013_label" not in boxes["train"].column_names


@pytest.mark.parametrize("layout", WRITERS)
def test_how_many_images_are_kept_is_reported(tmp_path, caplog, monkeypatch, layout):
    monkeypatch.setattr(logging.getLogger("training.datasets.ferplus"), "propagate", True)
    load("ferplus", WRITERS[layout](tmp_path / layout))
    assert "keep=majority: 2 of the 7 images of train are kept" in caplog.text


def test_broken_parquet_files_are_named_with_the_reason(tmp_path):
    root = ferplus_parquet(tmp_path / "ferplus")
    file = root / "train.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["votes"]), file)
    with pytest.raises(ValueError, match=r"train\.parquet lacks the columns \['votes'\]; it has \['image'"):
        load("ferplus", root)
    votes = [*FERPLUS_VOTES["train"].values()]
    votes[3] = votes[3][:9]
    pq.write_table(table.set_column(1, "votes", pa.array(votes)), file)
    with pytest.raises(ValueError, match=r"train\.parquet, row 3: expected 10 numbers of votes .*found \[0, 0, 0, 4"):
        load("ferplus", root)
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"train\.parquet is no intact Parquet file"):
        load("ferplus", root)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.parquet and validation\.parquet"):
        load("ferplus", root)


def replace_in(file, old: str, new: str):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_broken_lists_of_the_authors_are_named_with_the_reason(tmp_path):
    images, votes = (ferplus_csv(tmp_path / "lists") / name for name in ("fer2013.csv", "fer2013new.csv"))
    good = images.read_text(), votes.read_text()

    def check(file, old: str, new: str, message: str):
        images.write_text(good[0])
        votes.write_text(good[1])
        replace_in(file, old, new)
        with pytest.raises(ValueError, match=message):
            load("ferplus", tmp_path / "lists")

    check(votes, "contempt", "scorn", r"fer2013new\.csv lacks the columns \['contempt'\]")
    check(images, "pixels", "image", r"fer2013\.csv lacks the columns \['pixels'\]")
    check(votes, "0,5,1,1,1,0,0,1,1,0", "0,5,1,1,1,0,0,1,1", r"fer2013new\.csv, line 4: expected 10 numbers of votes")
    check(votes, "0,5,1,1,1,0,0,1,1,0", "0,many,1,1,1,0,0,1,1,0", "line 4: expected 10 numbers of votes .*many")
    check(images, "0,30 30", "0,30", r"fer2013\.csv, line 2: expected 48x48 = 2,304 pixels .*2,303 numbers")
    check(images, "0,30 30", "0,30 300", r"fer2013\.csv, line 2: expected .* pixels from 0 to 255")
    check(images, "\n0,30", "\n7,30", r"fer2013\.csv, line 2 has emotion '7'")
    check(votes, "PublicTest", "PrivateTest", r"fer2013\.csv, line 10 has Usage 'PublicTest', .*new\.csv, line 10 has")
    last = good[1].splitlines()[-1]
    check(votes, last, "", "line 12 has Usage 'PrivateTest', the end of the other has None: expected the same rows")


def test_folders_with_other_images_than_their_list(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("training.datasets.ferplus"), "propagate", True)
    root = ferplus_folders(tmp_path / "folders")
    draw_face(5).save(root / "FER2013Train" / "fer0000099.png")
    assert len(load("ferplus", root)["train"]) == 2
    assert "lacks 1 images of its folder, which are left out: fer0000099.png" in caplog.text
    (root / "FER2013Train" / "fer0000001.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the 2 clips of train are not there: fer0000001"):
        load("ferplus", root)
    assert labels_of(load("ferplus", root, on_missing="skip")["train"]) == {"fer0000000": "neutral"}
    replace_in(root / "FER2013Valid" / "label.csv", ",10,0,0,0", ",10,0,0")
    with pytest.raises(ValueError, match=r"FER2013Valid/label\.csv, line 1: expected 10 numbers of votes"):
        load("ferplus", root)


def test_labels_of_fer_2013_itself(tmp_path):
    train = load("ferplus", ferplus_parquet(tmp_path / "parquet"), label_source="fer2013")["train"]
    # Those that are known, whatever the votes; under FER+'s names of the labels.
    known = [f"fer{number:07d}" for number in (1, 3, 5)]
    assert labels_of(train) == dict.fromkeys(known, "anger") and train.features["label"].names == LABELS
    assert train[0]["votes"] == FERPLUS_VOTES["train"]["fer0000001"]
    both = load("ferplus", ferplus_csv(tmp_path / "csv"), label_source="fer2013")
    assert labels_of(both["train"])["fer0000003"] == "happiness"  # the fourth in its list has emotion 3
    (tmp_path / "csv" / "fer2013new.csv").unlink()
    alone = load("ferplus", tmp_path / "csv", label_source="fer2013")
    # Also what is not a face, the second row, for which FER+ has no name.
    assert [LABELS[label] for label in alone["train"]["label"][:4]] == ["anger", "anger", "disgust", "fear"]
    assert alone["train"][0]["sample_id"] == "row00000" and "votes" not in alone["train"].column_names
    assert np.array_equal(pixels_of(alone["train"][0]), np.asarray(draw_face(0)))
    with pytest.raises(FileNotFoundError, match=r"fer2013new\.csv"):
        load("ferplus", tmp_path / "csv")
    with pytest.raises(ValueError, match="none of the images of train has a label; FER-2013's labels"):
        load("ferplus", ferplus_folders(tmp_path / "folders"), label_source="fer2013")


def test_what_most_people_chose_is_written(tmp_path, capsys):
    root = ferplus_parquet(tmp_path / "data")
    ferplus.main(["--root", str(root), "--majorities", str(tmp_path / "crowd.csv")])
    lines = (tmp_path / "crowd.csv").read_text().split()
    votes = {name: counts for split in ("train", "validation") for name, counts in FERPLUS_VOTES[split].items()}
    clear = {name: counts for name, counts in votes.items() if 2 * max(counts[:7]) > sum(counts)}
    assert lines[0] == "sample_id,label" and 0 < len(clear) < len(votes)
    assert lines[1:] == [f"{name},{LABELS[counts.index(max(counts))]}" for name, counts in clear.items()]
    assert f"{len(clear)} images" in capsys.readouterr().out
