# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.

import csv

import numpy as np
import pytest

from training.synthetic.__main__ import main


def test_command_line(tmp_path, capsys):
    command = ["--output-dir", str(tmp_path / "data"), "--videos", "14", "--noise", "0.3", "--size", "32"]
    command += ["--num_frames", "12", "14", "--splits", "0.5", "0", "0.5"]  # hyphens and underscores are the same
    main(command)
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    with (tmp_path / "data" / "truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    flipped = np.mean([row["is_noisy"] == "True" for row in rows if row["split"] == "train"])
    assert table["train"] == ["7", *["1"] * 7, f"{flipped:.1%}", table["train"][-1]]
    assert table["test"][:9] == ["7", *["1"] * 7, "0.0%"] and table["all"][0] == "14"
    with pytest.raises(SystemExit, match="error: .*seed is 0 there and 1 asked for"):
        main([*command, "--seed", "1"])
