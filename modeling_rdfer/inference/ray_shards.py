# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Work that is divided into shards, done by the machines of a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def require_package(package: str):
    """Raises ImportError, which says what to install, if a package of the extra `ray` is missing."""
    try:
        __import__(package)
    except ImportError as error:
        raise ImportError(f"This needs {package}: pip install 'modeling-rdfer[ray]'") from error


class _Actor:
    """What an actor of Ray keeps: it makes the worker once, and calls it with the number of a shard for each row."""

    def __init__(self, make_worker: Callable, arguments: tuple):
        self.worker = make_worker(*arguments)

    def __call__(self, row: dict) -> dict:
        return self.worker(int(row["shard"]))._asdict()


def map_on_ray(make_worker: Callable, arguments: tuple, numbers: Sequence[int], address: str) -> Iterator[dict]:
    """Does shards on a Ray cluster. Each actor has one core, or one GPU if the cluster has some.

    Ray repeats the shards of a machine that died: a worker has to pass over what is there already.

    Args:
        make_worker (`Callable`): called with `arguments` in each actor. It returns the worker, which is called with
            the number of a shard and returns a NamedTuple of numbers and strings.
        arguments (`tuple`): are pickled. Paths in them have to be absolute, as actors have other working folders.
        numbers (sequence of `int`): the shards, at least one.
        address (`str`): address of the cluster, or `"auto"` for the one that runs on this computer, or else a new one
            with all its cores.

    Yields:
        `dict`: the fields of the NamedTuple of each shard, as they are done, in any order.

    Raises:
        ImportError: if Ray is not installed.
    """
    require_package("ray")
    import ray
    from ray.data import ActorPoolStrategy

    is_ours = not ray.is_initialized()
    if is_ours:
        # None: the cluster that RAY_ADDRESS names or that runs on this computer, or a new one.
        ray.init(None if address == "auto" else address, log_to_driver=False, include_dashboard=False)
    try:
        resources = ray.cluster_resources()
        num_gpus = int(resources.get("GPU", 0))
        num_actors = max(1, min(num_gpus or int(resources.get("CPU", 1)), len(numbers)))
        # A block is what an actor gets at a time, and what is repeated if a machine dies.
        shards = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
        shards.context.enable_progress_bars = False
        # The rows are tiny. With the default of 128 MB, small object stores have no room for the results of a task.
        shards.context.target_max_block_size = 2**20
        actor: Any = _Actor  # Ray's types know functions only
        results = shards.map(
            actor,
            fn_constructor_args=(make_worker, arguments),
            num_cpus=0 if num_gpus else 1,
            num_gpus=1 if num_gpus else 0,
            compute=ActorPoolStrategy(min_size=1, max_size=num_actors),
        )
        yield from results.iter_rows()
    finally:
        if is_ours:
            ray.shutdown()


__all__ = ["map_on_ray", "require_package"]
