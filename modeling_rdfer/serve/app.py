# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The addresses of the service, its queue and its life."""

import asyncio
import gc
import json
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

import uvicorn
from fastapi import Depends, FastAPI, Query, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from .. import __version__
from ..disclaimer import NOT_FOR
from ..inference.loading import Engine
from ..models.package_data_rdfer import required_file
from .download import check_prefixes, download
from .limits import REASONS, Limits, Refused
from .live import LiveSessions
from .metrics import Metrics
from .ongoing import STOP_SECONDS, Ongoing
from .workers import Worker

# A form has some bytes around its video.
FORM_BYTES = 64 * 1024
RETRY_SECONDS = 5
MULTIPART = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["video"],
                "properties": {"video": {"type": "string", "format": "binary"}},
            }
        }
    },
}


class Service:
    """The queue in front of the processes that answer. Its coroutines run in one event loop.

    Args:
        limits (`Limits`): limits of the service.
        model, device, engine: see [`load`].

    Raises:
        ValueError: if the model cannot be loaded.
    """

    def __init__(self, limits: Limits, model: str | None, device: str | None, engine: Engine):
        self.limits, self.metrics = limits, Metrics()
        self.workers: list[Worker] = []
        try:
            for _ in range(limits.workers):
                self.workers.append(Worker(limits, model, device, engine))
            for worker in self.workers:
                self.facts = worker.wait_until_ready()
        except BaseException:  # also where a signal ends it
            self.close()
            raise
        self.live = LiveSessions(limits, model, device, engine, self.facts)
        self._threads = ThreadPoolExecutor(limits.workers)
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in self.workers:
            self._free.put_nowait(worker)
        # Requests that are received or wait for a worker; those that are being analysed.
        self._waiting, self._running = Ongoing(), Ongoing()

    @property
    def is_stopping(self) -> bool:
        """Whether new requests are refused."""
        return self._waiting.is_stopping

    async def reply(
        self, request: Request, receive: Callable[[], Awaitable[tuple[UploadFile | bytes, str]]], options: dict
    ) -> Response:
        """Answers a request.

        Args:
            request (`Request`): the request.
            receive (`Callable`): gets the video and its name; called only if the service has room for them.
            options (`dict`): options of [`predict`].

        Returns:
            `Response`: the answers, or `{"error": {"code", "message"}}`.
        """
        start, outcome, num_bytes = time.monotonic(), "answered", 0
        try:
            async with AsyncExitStack() as held:
                async with self._waiting.one():
                    if len(self._waiting) + len(self._running) > self.limits.workers + self.limits.max_waiting:
                        raise Refused("busy", f"Too many videos are waiting. Try again in {RETRY_SECONDS} seconds.")
                    video, name = await held.enter_async_context(_received(receive, self.limits.timeout))
                    num_bytes = len(video) if isinstance(video, bytes) else video.size or 0
                    worker = await self._free.get()
                held.callback(self._free.put_nowait, worker)
                async with self._running.one():
                    return JSONResponse(await self._ask(worker, request, video, name, options))
        except ClientDisconnect:
            outcome = "left"
            return Response(status_code=400)  # which nobody receives
        except Refused as refused:
            outcome = refused.reason
            headers = {"Retry-After": str(RETRY_SECONDS)} if refused.reason in ("busy", "stopping") else None
            content = {"error": {"code": refused.reason, "message": refused.message}}
            return JSONResponse(content, REASONS[refused.reason], headers)
        finally:
            self.metrics.count(outcome, time.monotonic() - start, num_bytes)

    async def _ask(
        self, worker: Worker, request: Request, video: UploadFile | bytes, name: str, options: dict
    ) -> dict:
        if await request.is_disconnected():
            raise ClientDisconnect
        # Only now in memory: what waits is a file.
        content = video if isinstance(video, bytes) else await video.read()
        return await asyncio.get_running_loop().run_in_executor(self._threads, worker.ask, content, name, options)

    def stop(self, seconds: float):
        """Refuses all requests but those that are being analysed, and these after some seconds; ends live sessions."""
        self._waiting.stop(0)
        self._running.stop(seconds)
        self.live.sessions.stop(0)

    def metrics_text(self) -> str:
        """Returns all numbers in the text format of Prometheus."""
        restarts = sum(worker.restarts for worker in self.workers)
        live = len(self.live.sessions), self.live.num_frames, self.live.num_dropped
        return self.metrics.text(len(self._running), len(self._waiting), restarts, live)

    def close(self):
        """Ends the processes."""
        for worker in self.workers:
            worker.close()


@asynccontextmanager
async def _received(receive, timeout: float):
    """A video as long as it is needed, and its name. An uploaded file has no name on the disk and is deleted here."""
    try:
        async with asyncio.timeout(timeout):
            video, name = await receive()
    except TimeoutError as error:
        raise Refused("slow_upload", f"The video did not arrive within {timeout:g} seconds.") from error
    try:
        yield video, name
    finally:
        if isinstance(video, UploadFile):
            await video.close()


async def _in_daemon_thread(function: Callable, *arguments):
    """As `asyncio.to_thread`, but a call that hangs does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def finish(give: Callable, result):
        if not future.done():  # nobody waits any more
            give(result)

    def run():
        try:
            outcome = future.set_result, function(*arguments)
        except Exception as error:
            outcome = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=run, daemon=True).start()
    return await future


class VideoAddress(BaseModel):
    """Body of a request that names the address of a video."""

    url: str


def _options(
    face: Annotated[
        str, Query(pattern="^(largest|all|[0-9]{1,4})$", description="a number counts from 0")
    ] = "largest",
    face_crop: Annotated[bool | None, Query(description="false for videos of cropped faces")] = None,
    top_k: Annotated[int | None, Query(ge=1, description="number of labels; all by default")] = None,
    min_confidence: Annotated[
        float | None, Query(gt=0, le=1, description="the label is uncertain if the best score is below")
    ] = None,
    sampling: Literal["frames", "time"] | None = None,
    on_missing_face: Literal["error", "full_frame"] | None = None,
    on_damage: Literal["error", "use_readable"] | None = None,
) -> dict:
    """Options of [`predict`], from the query of a request."""
    return {
        "face": int(face) if face.isdecimal() else face,
        "do_face_crop": face_crop,
        "top_k": top_k,
        "min_confidence": min_confidence,
        "sampling": sampling,
        "on_missing_face": on_missing_face,
        "on_damage": on_damage,
    }


def _receive_form(request: Request, limits: Limits):
    """A function that receives the video of a multipart form and its name."""

    async def receive() -> tuple[UploadFile, str]:
        too_large = Refused("too_large", f"The limit is {limits.max_bytes} bytes.")
        most, size = limits.max_bytes + FORM_BYTES, 0
        if int(request.headers.get("content-length") or 0) > most:
            raise too_large

        async def counted():
            nonlocal size
            message = await request.receive()
            size += len(message.get("body", b""))
            if size > most:
                raise too_large
            return message

        try:
            form = await Request(request.scope, counted).form(max_files=1, max_fields=0)
        except HTTPException as error:
            raise Refused("bad_request", f"The form cannot be read: {error.detail}") from error
        video = form.get("video")
        if not isinstance(video, UploadFile):
            await form.close()
            raise Refused("bad_request", "Send multipart/form-data with the video as a file in the field 'video'.")
        # Only for the answer and for messages.
        return video, PurePosixPath((video.filename or "video").replace("\\", "/")).name[-200:] or "video"

    return receive


def build_app(service: Service, allow_urls: list[str]) -> FastAPI:
    """Builds the addresses of the service.

    Args:
        service (`Service`): answers the requests.
        allow_urls (`list[str]`): what addresses of videos may begin with; if empty, only uploads are taken.

    Returns:
        `FastAPI`: the application.
    """
    app = FastAPI(title="rdfer", version=__version__, description=f"The emotion that a face shows. {NOT_FOR}")
    schema = json.loads(required_file("inference/answer_schema.json").read_text(encoding="utf-8"))
    failure = {"description": "`error.code` and `error.message` say why there is no answer."}
    responses: dict[int | str, dict] = {status: failure for status in sorted(set(REASONS.values()))}
    responses[200] = {"description": "The answers.", "content": {"application/json": {"schema": schema}}}
    limits = service.limits

    @app.post("/v1/predict", responses=responses, openapi_extra={"requestBody": MULTIPART})
    async def predict_upload(request: Request, options: Annotated[dict, Depends(_options)]) -> Response:
        """Classifies the emotion in an uploaded video. Nothing of it is kept."""
        return await service.reply(request, _receive_form(request, limits), options)

    if allow_urls:

        @app.post("/v1/predict-url", responses=responses)
        async def predict_url(
            request: Request, address: VideoAddress, options: Annotated[dict, Depends(_options)]
        ) -> Response:
            """Classifies the emotion in a video at an address that this service was told to allow."""

            async def receive():
                video = await _in_daemon_thread(download, address.url, allow_urls, limits)
                return video, PurePosixPath(urlsplit(address.url).path).name[-200:] or "video"

            return await service.reply(request, receive, options)

    @app.websocket("/v1/live")
    async def live(
        socket: WebSocket,
        window: Annotated[float, Query(gt=0, le=10)] = 1.0,
        step: Annotated[float, Query(gt=0, le=10)] = 0.5,
        min_confidence: Annotated[float | None, Query(gt=0, le=1)] = None,
        face_crop: bool | None = None,
    ):
        """Answers about frames as they come."""
        options = {"window": window, "step": step, "min_confidence": min_confidence, "do_face_crop": face_crop}
        await service.live.run(socket, options)

    @app.get("/health")
    async def health() -> JSONResponse:
        """Says whether the service takes videos, and which model answers."""
        status = "stopping" if service.is_stopping else "ok"
        content = {"status": status, "version": __version__, "model": service.facts}
        return JSONResponse(content, 503 if service.is_stopping else 200)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        """Numbers for Prometheus."""
        return PlainTextResponse(service.metrics_text(), media_type="text/plain; version=0.0.4")

    return app


class _Server(uvicorn.Server):
    """Tells the service at once that it has to stop, not only after the last answer."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig, frame):
        """Called for the signals that end the server. From the second one on, nothing is waited for."""
        seconds = 0.0 if self.should_exit else STOP_SECONDS
        # A signal can come while the loop changes its own state.
        asyncio.get_running_loop().call_soon_threadsafe(self._service.stop, seconds)
        if not self.should_exit:
            super().handle_exit(sig, frame)


def serve(
    model: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_urls: list[str] | None = None,
    device: str | None = None,
    engine: Engine = "torch",
    limits: Limits | None = None,
):
    """Answers requests until the process is interrupted or terminated. What is being analysed then has 5 s.

    Args:
        model, device, engine: see [`load`].
        host (`str`, *optional*, defaults to `"127.0.0.1"`): address to listen at; this computer only by default.
        port (`int`, *optional*, defaults to 8000): port to listen at; 0 for any free one.
        allow_urls (`list[str]`, *optional*): what addresses of videos to download may begin with; none by default.
        limits (`Limits`, *optional*): sizes, times and numbers.

    Raises:
        ValueError: if the model cannot be loaded, or an entry of `allow_urls` does not name a whole host.
        OSError: if the port is taken.
    """
    limits, allow_urls = limits or Limits(), allow_urls or []
    check_prefixes(allow_urls)
    with socket.create_server((host, port), family=_family(host)) as listening:
        # While the model is loaded, and after the server has stopped.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        service = Service(limits, model, device, engine)
        try:
            # Who asked is not logged.
            config = uvicorn.Config(
                build_app(service, allow_urls),
                log_level="warning",
                access_log=False,
                # Then all have a reply; only who does not take it is still connected.
                timeout_graceful_shutdown=math.ceil(STOP_SECONDS) + 1,
                ws_max_size=limits.live_frame_bytes,
                ws_max_queue=4,  # what waits beyond these stays with the client
            )
            address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
            print(f"Listening at {address} and described at {address}/docs. Press Ctrl+C to stop.", flush=True)
            _Server(config, service).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            service.close()
            # Or Python looks through all objects of PyTorch as it ends, for seconds if others use the processor, too.
            gc.freeze()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


__all__ = ["Service", "build_app", "serve"]
