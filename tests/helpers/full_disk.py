# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A disk that is full, for files of this process."""

import resource
from contextlib import contextmanager


@contextmanager
def file_size_limit(num_bytes: int):
    """Files of this process cannot grow beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
