# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The videos of a folder or of a text file, in shards of equal size, on any file system of fsspec."""

import hashlib
import os
from array import array

import fsspec

from ..models.video_decoding_rdfer import VIDEO_SUFFIXES


def absolute(path: str) -> str:
    """The absolute path of a local file or folder; what has a protocol stays as it is."""
    return path if "://" in path else os.path.abspath(path)


class VideoList:
    """Names of videos: of all video files in a folder, or of the lines of a text file.

    Only the position of each shard in the text file is kept in memory, so a list of a hundred million videos takes
    some megabytes.

    Args:
        source (`str`): a folder, or a text file with a path or URL in each line; local or with a protocol of fsspec,
            as `s3://`. Relative paths start at the file's folder.
        shard_size (`int`): videos in a shard; the last one may have fewer.

    Attributes:
        digest (`str`): hash of all names in their order.

    Raises:
        OSError: if there is no such folder or file.
        ValueError: if it names no video.
    """

    def __init__(self, source: str, shard_size: int):
        source = absolute(source)
        self.source, self.shard_size = source, shard_size
        self._names: list[str] | None = None  # of a folder
        self._offsets = array("q")  # of the first line of each shard
        self._length = 0
        filesystem, path = fsspec.core.url_to_fs(source)
        digest = hashlib.sha256()
        if filesystem.isdir(path):
            found = filesystem.ls(path, detail=False)
            self._names = sorted(
                filesystem.unstrip_protocol(name) if "://" in source else name
                for name in found
                if name.lower().endswith(tuple(VIDEO_SUFFIXES))
            )
            self._length = len(self._names)
            for name in self._names:
                digest.update(name.encode(errors="surrogateescape") + b"\n")
        else:
            with filesystem.open(path, "rb") as file:
                offset = 0
                for line in file:
                    if line.strip():
                        if self._length % shard_size == 0:
                            self._offsets.append(offset)
                        self._length += 1
                        digest.update(line.strip() + b"\n")
                    offset += len(line)
        self.digest = digest.hexdigest()
        if not self._length:
            raise ValueError(f"{source} names no video.")

    def __len__(self) -> int:
        """Number of videos."""
        return self._length

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return -(-len(self) // self.shard_size)

    def shard(self, number: int) -> list[str]:
        """Returns the names of the videos in a shard, which are read from the text file for it."""
        first = number * self.shard_size
        if self._names is not None:
            return self._names[first : first + self.shard_size]
        names: list[str] = []
        with fsspec.open(self.source, "rb") as file:
            file.seek(self._offsets[number])
            for line in file:
                if line.strip():
                    name = line.strip().decode(errors="surrogateescape")
                    names.append(name if "://" in name else os.path.join(os.path.dirname(self.source), name))
                if len(names) == self.shard_size:
                    break
        return names


__all__ = ["VideoList", "absolute"]
