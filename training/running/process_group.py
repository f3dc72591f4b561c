# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""End of a training in several processes."""

import gc

from accelerate import PartialState


def end_process_group():
    """Ends the process group after a training that succeeded, so that no process is aborted while Python shuts down.

    A group that a model still refers to lives on until then, and its threads can abort the process when they need
    Python (pytorch/pytorch#179291). So models that nothing refers to are freed first.
    """
    gc.collect()
    PartialState().destroy_process_group()


__all__ = ["end_process_group"]
