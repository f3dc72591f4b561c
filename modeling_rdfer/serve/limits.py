# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Limits of the service, and the reasons why it gives no answer."""

from dataclasses import dataclass

# Reason -> status of the HTTP reply.
REASONS = {
    "bad_request": 400,
    "url_not_allowed": 403,
    "slow_upload": 408,
    "too_large": 413,
    "too_long": 422,
    "too_big": 422,
    "unreadable": 422,
    "no_face": 422,
    "broken": 500,
    "download_failed": 502,
    "busy": 503,
    "stopping": 503,
    "timeout": 504,
}


class Refused(Exception):
    """There is no answer.

    Args:
        reason (`str`): key of `REASONS`.
        message (`str`): what is wrong, and what is expected.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Limits:
    """What the service accepts, and how much it does at a time.

    Attributes:
        max_bytes (`int`): largest video.
        max_seconds (`float`): longest video.
        max_pixels (`int`): most pixels of a frame.
        workers (`int`): processes, each of which answers one video at a time.
        max_waiting (`int`): requests that may wait beside those; further ones are refused at once.
        timeout (`float`): seconds for one video, after which its process is ended; also for receiving it.
        live_sessions (`int`): clients that may send live frames at the same time; further ones are refused.
        live_frame_bytes (`int`): largest image of a live frame.
        live_idle (`float`): seconds without a frame after which a session ends.
    """

    max_bytes: int = 100 * 1024 * 1024
    max_seconds: float = 120.0
    max_pixels: int = 4096 * 2304
    workers: int = 2
    max_waiting: int = 32
    timeout: float = 60.0
    live_sessions: int = 2
    live_frame_bytes: int = 2 * 1024 * 1024
    live_idle: float = 30.0


__all__ = ["REASONS", "Limits", "Refused"]
