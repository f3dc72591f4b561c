# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.dataset_replicas import FERPLUS_VOTES, draw_face, ferplus_parquet, labels_of
from training.datasets import dataset_options, load
from training.datasets.ferplus import LABELS, VOTES


def test_rows_have_image_votes_shares_and_fer_2013s_label(tmp_path):
    splits = load("ferplus", ferplus_parquet(tmp_path))
    assert list(splits) == ["train", "validation"]
    assert splits["train"].features["label"].names == LABELS == VOTES[:7]
    assert labels_of(splits["train"]) == {"fer0000000": "neutral", "fer0000001": "happiness"}
    assert labels_of(splits["validation"]) == {"fer0028638": "fear", "fer0028639": "surprise"}
    row = splits["train"][1]
    assert row["path"] == row["image"]["path"] == "fer0000001.png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), np.asarray(draw_face(1)))
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
