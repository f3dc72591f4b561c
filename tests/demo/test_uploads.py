# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import os
import time

import pytest

pytest.importorskip("starlette")

from modeling_rdfer.demo.limits import Refused
from modeling_rdfer.demo.uploads import FORGOTTEN_SECONDS, Uploads


def test_forgotten_uploads_are_deleted(tmp_path):
    old = FORGOTTEN_SECONDS + 60
    for name, age in (("a" * 32, old), ("b" * 32, 60), ("c" * 32 + ".taken", old), ("d" * 32 + ".part", old)):
        (tmp_path / name).write_text("video")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    Uploads(tmp_path).delete_forgotten()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b" * 32, "c" * 32 + ".taken"]


def test_an_upload_is_claimed_once_and_deleted(tmp_path):
    uploads, token = Uploads(tmp_path), "0" * 32
    (tmp_path / token).write_text("video")
    with uploads.claim(token) as path:
        assert path.read_text() == "video"
        with pytest.raises(Refused, match="gone"), uploads.claim(token):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("token", "key"), [("too_long", "too_long"), ("../secret", "gone"), ("", "")])
def test_the_page_sends_a_reason_instead_of_a_token(tmp_path, token, key):
    with pytest.raises(Refused) as refused, Uploads(tmp_path).claim(token):
        pass
    assert refused.value.key == key
