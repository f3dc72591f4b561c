# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Downloads videos from the addresses that the service was told to allow."""

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from .limits import Limits, Refused


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to an address that is not allowed."""

    def redirect_request(self, *arguments):
        return None


def check_prefixes(prefixes: list[str]):
    """Raises ValueError for a prefix that does not end its host: `https://a.org` also begins `https://a.org.evil`."""
    for prefix in prefixes:
        if not re.match(r"https?://[^/@?#]+/", prefix):
            expected = "http:// or https://, a host and a path, for example https://media.example.org/"
            raise ValueError(f"--allow-url {prefix}: expected {expected}")


def download(url: str, prefixes: list[str], limits: Limits) -> bytes:
    """Downloads a video.

    Args:
        url (`str`): its address.
        prefixes (`list[str]`): what an address may begin with.
        limits (`Limits`): its `max_bytes` and `timeout` apply.

    Returns:
        `bytes`: the content.

    Raises:
        Refused: if the address is not allowed, redirects, or cannot be downloaded; or if the video is too large.
    """
    parts = urllib.parse.unquote(url).replace("\\", "/").split("/")
    if not url.startswith(tuple(prefixes)) or ".." in parts:
        raise Refused("url_not_allowed", "The address does not begin with one that this service allows.")
    deadline, content = time.monotonic() + limits.timeout, bytearray()
    try:
        with urllib.request.build_opener(_NoRedirects).open(url, timeout=limits.timeout) as reply:
            while chunk := reply.read1(1 << 20):
                content += chunk
                if len(content) > limits.max_bytes:
                    raise Refused("too_large", f"The limit is {limits.max_bytes} bytes.")
                if time.monotonic() > deadline:
                    raise Refused("download_failed", f"The download took longer than {limits.timeout:g} seconds.")
    except (OSError, ValueError, http.client.HTTPException) as error:
        found = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise Refused("download_failed", f"The address cannot be downloaded ({found}).") from error
    return bytes(content)


__all__ = ["check_prefixes", "download"]
