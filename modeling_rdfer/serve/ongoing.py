# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What goes on in the service, and how it ends when the service stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .limits import Refused

# Seconds for what is being analysed when the service stops. Docker kills a container 10 seconds after SIGTERM.
STOP_SECONDS = 5.0


class Ongoing:
    """Requests or sessions of one kind that go on. All methods are called in one event loop.

    Attributes:
        is_stopping (`bool`): whether new ones are refused.
    """

    def __init__(self):
        self._ends: set[asyncio.Timeout] = set()
        self.is_stopping = False

    def __len__(self) -> int:
        return len(self._ends)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Counts what happens within; raises Refused there when the service stops, and here if it has stopped."""
        if self.is_stopping:
            raise Refused("stopping", "The service is being stopped.")
        try:
            async with asyncio.timeout(None) as end:
                self._ends.add(end)
                try:
                    yield
                finally:
                    self._ends.remove(end)
        except TimeoutError as error:
            raise Refused("stopping", "The service was stopped before the answer was ready.") from error

    def stop(self, seconds: float):
        """Refuses new ones, and ends those that still go on after some seconds. A second call can end them earlier."""
        self.is_stopping = True
        when = asyncio.get_running_loop().time() + seconds
        for end in self._ends:
            if not end.expired():
                end.reschedule(when)


__all__ = ["STOP_SECONDS", "Ongoing"]
