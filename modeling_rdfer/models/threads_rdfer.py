# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Maps a function in threads that share torch's own threads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

# One thread at a time may change torch's number of threads for new threads, see `_use_threads`.
_THREAD_COUNT_LOCK = threading.Lock()


def map_in_threads(function: Callable, items: Sequence, workers: int) -> Iterator:
    """Maps a function over items like `map`, but in several threads, among which torch's own threads are divided.

    At most two finished results for each thread are kept. If the iteration ends early, by an error or Ctrl-C, no
    further item is started.

    Args:
        function (`Callable`): called with one item.
        items (`Sequence`): what to map over.
        workers (`int`): number of threads; with 1, everything runs in the calling thread.

    Returns:
        `Iterator`: the results, in the order of `items`.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    share = max(1, torch.get_num_threads() // workers)
    with ThreadPoolExecutor(workers, initializer=_use_threads, initargs=(share,)) as pool:
        pending = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _use_threads(count: int):
    """Makes torch use `count` threads for what the calling thread computes, without effect on other threads.

    `torch.set_num_threads` also sets the number that new threads start with. That one is restored from a helper
    thread, which ends here.
    """
    with _THREAD_COUNT_LOCK, ThreadPoolExecutor(1) as helper:
        default = helper.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        torch.get_num_threads()  # a thread adopts the default when it first asks, and keeps it from then on
        helper.submit(torch.set_num_threads, default).result()
