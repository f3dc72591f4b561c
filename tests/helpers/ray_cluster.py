# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A Ray cluster of two nodes with one core each on this machine."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class RayCluster:
    """Starts the nodes; each is a process group of its own, so that it can be killed as a machine is.

    Args:
        folder (`str`): for the logs of Ray, which limits the length of its name.

    Attributes:
        address (`str`): address of the cluster.
        environment (`dict`): environment for processes that connect to it.
    """

    def __init__(self, folder: str):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        # Ray lowers the priority of its workers; beside other programs they would then hardly run.
        self.environment = os.environ | {"RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
        # Its own: if a cluster was ever started here, Ray finds a token in the home folder, and `ray.init` ignores it.
        self.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        head = ["--head", "--port", str(port), "--include-dashboard", "false", "--temp-dir", folder]
        self.nodes = [self._start(*head)]
        self._wait_for(1)
        self.add_node()
        self._wait_for(2)

    def _start(self, *options) -> subprocess.Popen:
        options = [*options, "--num-cpus", "1", "--num-gpus", "0", "--object-store-memory", "200000000"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *options]
        return subprocess.Popen(
            command,
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _wait_for(self, count: int):
        code = f"import ray; ray.init({self.address!r}, logging_level='error'); "
        code += "print('nodes', sum(node['Alive'] for node in ray.nodes()))"
        for _ in range(30):
            run = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, text=True)
            if f"nodes {count}" in run.stdout:
                return
            time.sleep(1)
        raise RuntimeError(f"The cluster did not start: {run.stderr[-2000:]}")

    def add_node(self):
        self.nodes.append(self._start("--address", self.address))

    def kill_node(self):
        """Kills the node that was added last with all its processes."""
        self._kill(self.nodes.pop())

    def stop(self):
        while self.nodes:
            self.kill_node()

    @staticmethod
    def _kill(node: subprocess.Popen):
        import psutil

        # The workers are in sessions of their own.
        processes = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for process in processes:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        node.wait()
