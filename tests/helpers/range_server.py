# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A web server that can send parts of files, as cloud storage does."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Sends and counts the requested bytes of a file; without `ranges` whole files only, as Python's server does."""

    ranges, sent = True, 0

    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not (self.ranges and wanted and path.is_file()):
            return super().send_head()
        start, stop = int(wanted[1]), int(wanted[2] or path.stat().st_size - 1) + 1
        data = path.read_bytes()[start:stop]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        RangeHandler.sent += len(data)
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serves a folder on a free port; gives its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(RangeHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
