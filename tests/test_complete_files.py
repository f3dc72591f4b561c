# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.trainer.sample_record import SampleRecord
from modeling_rdfer.trainer.sample_table import write_sample_table
from tests.helpers.full_disk import file_size_limit
from training.reports.plots import write_confusion


def test_a_file_is_as_it_was_if_there_is_no_room(tmp_path):
    file = tmp_path / "results.json"
    write_atomically(file, "{}\n")
    with file_size_limit(1000), pytest.raises(OSError):
        write_atomically(file, "x" * 2000)
    with pytest.raises(KeyError):
        write_atomically(file, lambda handle: {}[handle])
    assert file.read_text() == "{}\n" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", ["table", "picture"])
def test_tables_and_pictures_are_complete_or_not_there(tmp_path, kind):
    def write():
        if kind == "picture":
            write_confusion([[1, 0], [0, 1]], ["happy", "sad"], tmp_path)
        else:
            record = SampleRecord(torch.tensor([0, 1, 1]), 2, running_mean_decay=0.9)
            write_sample_table(tmp_path, record, ["happy", "sad"], {})

    with file_size_limit(1000), pytest.raises(OSError):
        write()
    names = {"picture": ["confusion_matrix.json"], "table": []}  # the former fits
    assert [path.name for path in tmp_path.iterdir()] == names[kind]
    write()
