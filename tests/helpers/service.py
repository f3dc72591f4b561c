# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`rdfer serve` in a process, and requests to it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.helpers.paths import ROOT

BOUNDARY = "b0undary"


def form(content: bytes, name: str = "clip.mp4", field: str = "video") -> bytes:
    """A multipart form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


class ServiceProcess:
    """A service in a process, with a temporary folder of its own.

    Args:
        folder (`Path`): an empty folder for what it writes.
        options: options of the command.
        cwd (`Path`): folder that it runs in.
        environment: further variables.
    """

    def __init__(self, folder: Path, *options: str, cwd: Path = ROOT, **environment: str):
        self.temporary, self.log = folder / "temporary", folder / "log.txt"
        self.temporary.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
        environment["TMPDIR"] = str(self.temporary)
        command = [sys.executable, "-m", "modeling_rdfer", "serve", "--port", "0", *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 600
        while not (found := re.search(r"Listening at (http://\S+)", self.log.read_text())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        self.url = found[1]

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str):
        """Status, headers and body of a reply."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=300)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        status, _, body = self.request("GET", path)
        return status, body.decode()

    def predict(self, content: bytes, query: str = "", **options: str) -> tuple[int, dict]:
        """Status and document for a video."""
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        status, _, body = self.request("POST", f"/v1/predict{query}", form(content, **options), Content_Type=kind)
        return status, json.loads(body)

    def metric(self, name: str) -> float:
        """A number of /metrics."""
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.M)[1])

    def files(self) -> list[str]:
        """Files that it has left in its temporary folder."""
        return [path.name for path in self.temporary.rglob("*") if path.is_file()]

    def children(self) -> list[int]:
        """Process ids of its processes."""
        command = ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(self.process.pid)]
        found = subprocess.run(command, capture_output=True, text=True)
        return [int(line.split()[0]) for line in found.stdout.splitlines() if "spawn_main" in line]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it; returns its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)
