# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The addresses of the service, its queue and its life."""

import asyncio
import json
import math
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
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
        self.workers = [Worker(limits, model, device, engine) for _ in range(limits.workers)]
        try:
            for worker in self.workers:
                self.facts = worker.wait_until_ready()
        except ValueError:
            self.close()
            raise
        self.live = LiveSessions(limits, model, device, engine, self.facts)
        self._threads = ThreadPoolExecutor(limits.workers)
        # None instead of a worker wakes up a request that waits when the service stops.
        self._free: asyncio.Queue[Worker | None] = asyncio.Queue()
        for worker in self.workers:
            self._free.put_nowait(worker)
        self.is_stopping, self.inside, self.running = False, 0, 0

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
            if self.is_stopping:
                raise Refused("stopping", "The service is being stopped.")
            if self.inside >= self.limits.workers + self.limits.max_waiting:
                raise Refused("busy", f"Too many videos are waiting. Try again in {RETRY_SECONDS} seconds.")
            self.inside += 1
            try:
                async with _received(receive, self.limits.timeout) as (video, name):
                    num_bytes = len(video) if isinstance(video, bytes) else video.size or 0
                    return JSONResponse(await self._answer(request, video, name, options))
            finally:
                self.inside -= 1
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

    async def _answer(self, request: Request, video: UploadFile | bytes, name: str, options: dict) -> dict:
        worker = None if self.is_stopping else await self._free.get()
        if worker is None:
            raise Refused("stopping", "The service is being stopped, and this video was still waiting.")
        self.running += 1
        try:
            if await request.is_disconnected():
                raise ClientDisconnect
            # Only now in memory: what waits is a file.
            content = video if isinstance(video, bytes) else await video.read()
            run = asyncio.get_running_loop().run_in_executor
            return await run(self._threads, worker.ask, content, name, options)
        finally:
            self.running -= 1
            self._free.put_nowait(worker)

    def stop(self):
        """Refuses new requests and those that wait. Those that are being analysed go on."""
        self.is_stopping = self.live.is_stopping = True
        for _ in range(self.inside - self.running):
            self._free.put_nowait(None)

    def metrics_text(self) -> str:
        """Returns all numbers in the text format of Prometheus."""
        restarts = sum(worker.restarts for worker in self.workers)
        live = self.live.running, self.live.num_frames, self.live.num_dropped
        return self.metrics.text(self.running, self.inside - self.running, restarts, live)

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
                video = await asyncio.to_thread(download, address.url, allow_urls, limits)
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
        """Called for the signals that end the server."""
        self._service.stop()
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
    """Answers requests until the process is interrupted or terminated. What is being analysed then is answered.

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
        service = Service(limits, model, device, engine)
        try:
            # Requests that are being analysed end after `timeout` at most. Who asked is not logged.
            grace = math.ceil(limits.timeout) + 5
            config = uvicorn.Config(
                build_app(service, allow_urls),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=grace,
                ws_max_size=limits.live_frame_bytes,
                ws_max_queue=4,  # what waits beyond these stays with the client
            )
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # after the server has stopped
            address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
            print(f"Listening at {address} and described at {address}/docs. Press Ctrl+C to stop.", flush=True)
            _Server(config, service).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            service.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


__all__ = ["Service", "build_app", "serve"]
