# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Limits of the demo, and the messages about refused videos."""

import html

MAX_BYTES = 100 * 1024 * 1024
MAX_SECONDS = 120.0
MAX_PIXELS = 4096 * 2304

MESSAGES = {
    "": ("Choose a video first", "Drop a video into the box, record one, or use the example."),
    "too_large": (
        "This file is too large",
        f"The limit is {MAX_BYTES >> 20} MB. Cut the video or save it at a lower resolution. Faces of 100 pixels "
        "are enough.",
    ),
    "too_long": (
        "This video is too long",
        f"The limit is {MAX_SECONDS:.0f} seconds. Cut out the part you are interested in, or run <code>rdfer "
        "timeline</code> on your own computer, which has no limit.",
    ),
    "too_big": (
        "The frames of this video are too large",
        f"The limit is {MAX_PIXELS / 1e6:.1f} million pixels. Save the video at a lower resolution. Faces of "
        "100 pixels are enough.",
    ),
    "busy": ("The server is busy", "Please try again in a few minutes."),
    "failed": ("The upload did not arrive", "The connection was cut. Please try again."),
    "gone": ("The upload was deleted", "It was analysed before, or it waited too long. Please send it again."),
    "broken": (
        "Something went wrong on the server",
        "Your video has been deleted. Please try again.",
    ),
    "no_face": (
        "No face was found in this video",
        "The face should look towards the camera, be well lit, and take at least a twentieth of the picture's width.",
    ),
}


class Refused(Exception):
    """The reason why a video gets no answer.

    Args:
        key (`str`): key of `MESSAGES`, or `"unreadable"`.
        detail (`str`, *optional*, defaults to `""`): what is wrong with this video.
    """

    def __init__(self, key: str, detail: str = ""):
        super().__init__(key)
        self.key, self.detail = key, detail


def message_html(refused: Refused) -> str:
    """Returns the message about a refused video as HTML."""
    title, text = MESSAGES.get(refused.key, ("This file could not be read as a video", ""))
    detail = refused.detail
    if refused.key == "unreadable":
        detail = f"What was found: {detail}."
        text = "Send a video file that plays on your computer, for example MP4, WebM or MOV."
    return (
        f'<div class="rdfer-message" role="alert" data-reason="{html.escape(refused.key)}"><h3>{title}</h3>'
        f"<p>{html.escape(detail)} {text}</p></div>"
    )


__all__ = ["MAX_BYTES", "MAX_PIXELS", "MAX_SECONDS", "MESSAGES", "Refused", "message_html"]
