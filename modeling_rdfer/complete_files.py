# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Files that are complete or not there at all: written beside their place, and moved when complete."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

# Suffix of files that a killed process has left.
UNFINISHED_SUFFIX = ".unfinished"


def write_atomically(file: Path | str, contents: Callable | str):
    """Writes a file. It is complete or as it was before, even if the disk gets full or the machine stops.

    Args:
        file (`Path` or `str`): the file, in a folder that exists.
        contents (`Callable` or `str`): is called with a binary handle and writes to it; or the text, for UTF-8.

    Raises:
        OSError: if there is no room for it.
    """
    file = Path(file)
    # Machines that share a folder can have processes of the same number.
    unfinished = file.with_name(f"{file.name}.{uuid.uuid4().hex[:12]}{UNFINISHED_SUFFIX}")
    try:
        with open(unfinished, "wb") as handle:
            if isinstance(contents, str):
                handle.write(contents.encode())
            else:
                contents(handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(unfinished, file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


__all__ = ["UNFINISHED_SUFFIX", "write_atomically"]
