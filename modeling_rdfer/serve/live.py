# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Sessions over WebSocket: frames come as images, answers go back while they come."""

import asyncio
import functools
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import PIL.Image
import PIL.ImageOps
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..inference.json_answers import SCHEMA_VERSION, window_document
from ..inference.live import LiveRecognizer
from ..inference.loading import Engine
from .limits import Limits, Refused
from .ongoing import Ongoing

FORMATS = ("JPEG", "PNG", "WEBP")
# Why a session ends -> code of the WebSocket protocol: policy violation, try again later, service restart.
CLOSE_CODES = {"bad_request": 1008, "idle": 1008, "busy": 1013, "stopping": 1012}
# Seconds for a client to take the reason.
CLOSE_SECONDS = 1.0


class LiveSessions:
    """Answers about the frames of some clients at the same time. Its coroutines run in one event loop.

    Args:
        limits (`Limits`): limits of the service.
        model, device, engine: see [`load`].
        facts (`dict`): what `model_facts` returned.

    Attributes:
        sessions (`Ongoing`): those that go on.
        num_frames (`int`): frames that were received.
        num_dropped (`int`): frames among them that were dropped, since others came before they could be looked at.
    """

    def __init__(self, limits: Limits, model: str | None, device: str | None, engine: Engine, facts: dict):
        self._limits, self._facts = limits, facts
        self._where: dict[str, Any] = {"model": model, "device": device, "engine": engine}
        self._threads = ThreadPoolExecutor(limits.live_sessions)
        self.sessions = Ongoing()
        self.num_frames = self.num_dropped = 0

    async def run(self, socket: WebSocket, options: dict):
        """Answers a client until it leaves, sends nothing for too long, or breaks the protocol.

        Args:
            socket (`WebSocket`): the connection, not accepted yet.
            options (`dict`): options of [`LiveRecognizer`].
        """
        if not _is_same_site(socket):
            await socket.close(1008)  # before it is accepted: status 403
            return
        await socket.accept()
        try:
            try:
                async with self.sessions.one():
                    if len(self.sessions) > self._limits.live_sessions:
                        found = f"There are {self._limits.live_sessions} sessions, which is the most."
                        raise Refused("busy", f"{found} Try again later.")
                    await self._answer(socket, options)
            except Refused as refused:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await socket.send_text(json.dumps(_error(refused)))
                    await socket.close(CLOSE_CODES[refused.reason])
        except (WebSocketDisconnect, TimeoutError):  # it has left, or takes nothing
            pass

    async def _answer(self, socket: WebSocket, options: dict):
        session = _Session(socket, self._limits)
        try:
            recognizer = await self._in_thread(functools.partial(LiveRecognizer, **self._where, **options))
        except ValueError as error:
            raise Refused("bad_request", str(error)) from error
        start = {"window_seconds": options["window"], "step_seconds": options["step"]}
        await socket.send_text(json.dumps({"schema_version": SCHEMA_VERSION, "model": self._facts, **start}))

        async def reply():
            while True:
                number, content, moment = await session.newest()
                document: dict = {"frame": number}
                try:
                    windows = await self._in_thread(self._look_at, recognizer, content, moment)
                    document["windows"] = [window_document(window) for window in windows]
                except Refused as refused:
                    document |= _error(refused)
                document["num_dropped"] = session.num_dropped
                await socket.send_text(json.dumps(document))

        tasks = {asyncio.create_task(session.receive()), asyncio.create_task(reply())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.num_frames += session.num_frames
            self.num_dropped += session.num_dropped

    async def _in_thread(self, function: Callable, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _look_at(self, recognizer: LiveRecognizer, content: bytes, moment: float) -> list:
        try:
            with PIL.Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > self._limits.max_pixels:
                    found = f"{image.width} x {image.height} pixels"
                    raise Refused("too_big", f"The frame has {found}; the limit is {self._limits.max_pixels}.")
                frame = np.array(PIL.ImageOps.exif_transpose(image).convert("RGB"))
        # What Pillow raises for damaged images of these formats.
        except (OSError, ValueError, SyntaxError, IndexError, PIL.Image.DecompressionBombError) as error:
            raise Refused("unreadable", f"The message is no image ({', '.join(FORMATS)}): {error}") from error
        return recognizer.update(frame, moment)


class _Session:
    """The frames of one client: the newest one waits until the one before it is done with."""

    def __init__(self, socket: WebSocket, limits: Limits):
        self._socket, self._limits = socket, limits
        self._waiting: tuple[int, bytes, float] | None = None
        self._has_frame = asyncio.Event()
        self.num_frames = self.num_dropped = 0

    async def receive(self):
        """Takes messages until the client leaves; raises WebSocketDisconnect or Refused."""
        clock, given = asyncio.get_running_loop().time, None
        deadline = clock() + self._limits.live_idle
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._socket.receive()
            except TimeoutError as error:
                raise Refused("idle", f"No frame came for {self._limits.live_idle:g} seconds.") from error
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1000)
            if (text := message.get("text")) is not None:
                given = _time_in(text)
                continue
            self.num_dropped += self._waiting is not None
            self._waiting = self.num_frames, message["bytes"], time.monotonic() if given is None else given
            self._has_frame.set()
            self.num_frames, given, deadline = self.num_frames + 1, None, clock() + self._limits.live_idle

    async def newest(self) -> tuple[int, bytes, float]:
        """Waits for a frame; returns its number, content and time."""
        await self._has_frame.wait()
        self._has_frame.clear()
        assert self._waiting is not None
        frame, self._waiting = self._waiting, None
        return frame


def _time_in(text: str) -> float:
    try:
        return float(json.loads(text)["time_seconds"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused("bad_request", 'A text message must be {"time_seconds": number}, before a frame.') from error


def _error(refused: Refused) -> dict:
    return {"error": {"code": refused.reason, "message": refused.message}}


def _is_same_site(socket: WebSocket) -> bool:
    """Whether it is no browser that shows a page of another site: any page may connect to this computer."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


__all__ = ["LiveSessions"]
