# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Videos of an audit: which can be opened, and their fingerprint."""

import hashlib

from training.data.checks import open_videos, report_bad_videos
from training.data.labelled_videos import LabelledVideos


def open_audit_videos(videos: LabelledVideos, on_bad_video: str, on_damage: str) -> dict[int, Exception]:
    """Opens all videos and adds the columns of [`open_videos`] to them.

    Args:
        videos ([`LabelledVideos`]): videos of the audit.
        on_bad_video (`"error"` or `"skip"`): what to do if one cannot be opened.
        on_damage: see [`open_videos`].

    Returns:
        `dict[int, Exception]`: why a video cannot be opened, by its number.

    Raises:
        ValueError, OSError: if one cannot be opened and `on_bad_video="error"`; or if none can.
    """
    errors = open_videos(videos, on_damage)
    report_bad_videos(list(errors.values()), len(videos), on_bad_video)
    return errors


def fingerprint(videos: LabelledVideos) -> str:
    """blake2b-64 of ids, contents and labels of videos."""
    hashes = videos.columns["content_hash"]
    lines = (f"{name}\t{value}\t{label}\n" for name, value, label in zip(videos.sample_ids, hashes, videos.labels))
    return hashlib.blake2b("".join(lines).encode(), digest_size=8).hexdigest()


__all__ = ["fingerprint", "open_audit_videos"]
