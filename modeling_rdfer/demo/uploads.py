# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Keeps uploaded videos until they are analysed.

Gradio's own upload names files by their content, so two visitors with the same video share one file, and it keeps
them. Here every upload is a separate file, which is deleted after the analysis in any case. `RefuseForms` keeps all
others out, whatever addresses Gradio has for them.
"""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .limits import MAX_BYTES, MESSAGES, Refused

# Largest number of videos on the disk.
MAX_UPLOADS = 100
# An upload is deleted after this time if its visitor left before the analysis, or if it stopped arriving.
FORGOTTEN_SECONDS = 900


class Uploads:
    """Store of uploaded videos: files with random names in a temporary folder.

    Args:
        folder (`str` or `Path`): an empty folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    async def receive(self, request: Request) -> JSONResponse:
        """Stores the body of a POST request as a video.

        Args:
            request (`Request`): its content type is `application/octet-stream`.

        Returns:
            `JSONResponse`: `{"upload": token}`; or `{"refused": key of MESSAGES}` with status 400, 413, 415 or 503.
        """
        # Browsers do not let pages of other sites send this type without the server's permission.
        if request.headers.get("content-type") != "application/octet-stream":
            return JSONResponse({"refused": "failed"}, 415)
        if int(request.headers.get("content-length") or 0) > MAX_BYTES:
            return JSONResponse({"refused": "too_large"}, 413)
        if sum(1 for _ in self.folder.iterdir()) >= MAX_UPLOADS:
            return JSONResponse({"refused": "busy"}, 503)
        token = secrets.token_hex(16)
        path, size = self.folder / f"{token}.part", 0
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MAX_BYTES:
                        return JSONResponse({"refused": "too_large"}, 413)
                    file.write(chunk)
            path.rename(self.folder / token)
        except (ClientDisconnect, FileNotFoundError):  # not found: so slow that it was deleted as forgotten
            return JSONResponse({"refused": "failed"}, 400)
        finally:
            path.unlink(missing_ok=True)
        return JSONResponse({"upload": token})

    @contextmanager
    def claim(self, token: str) -> Iterator[Path]:
        """Gives the path of an upload, as a context that deletes the file at its end. It can be entered only once.

        Args:
            token (`str`): what `receive` returned; or a key of `MESSAGES`, the reason why the page sent nothing.

        Yields:
            `Path`: the video.

        Raises:
            Refused: if there is no such upload.
        """
        if not re.fullmatch("[0-9a-f]{32}", token):
            raise Refused(token if token in MESSAGES else "gone")
        path = self.folder / f"{token}.taken"
        try:
            (self.folder / token).rename(path)
        except FileNotFoundError:
            raise Refused("gone") from None
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def delete_forgotten(self):
        """Deletes uploads that are older than `FORGOTTEN_SECONDS` and are not being analysed."""
        for path in self.folder.iterdir():
            if not path.name.endswith(".taken"):
                try:
                    if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
                        path.unlink()
                except FileNotFoundError:  # claimed in the meantime
                    pass


class RefuseForms:
    """ASGI middleware that refuses forms with files. The page sends none.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send):
        """Answers a form with status 415, and hands on everything else."""
        app: ASGIApp = self.app
        if scope["type"] == "http" and Headers(scope=scope).get("content-type", "").lower().startswith("multipart/"):
            app = JSONResponse({"error": "Send videos to rdfer/upload."}, 415)
        await app(scope, receive, send)


__all__ = ["FORGOTTEN_SECONDS", "RefuseForms", "Uploads"]
