# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The error about checkpoints."""


class CheckpointReadError(OSError):
    """A file of a checkpoint cannot be used. The message names the checkpoint, the file and the reason."""


__all__ = ["CheckpointReadError"]
