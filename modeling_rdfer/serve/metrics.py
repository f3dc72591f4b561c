# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Counts what the service does, in the text format of Prometheus."""

from collections import Counter

from .limits import REASONS

# Upper ends in seconds of the classes that times are counted in.
_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Numbers since the start of the service. All methods are called from one thread."""

    def __init__(self):
        self._outcomes = Counter(dict.fromkeys(["answered", "left", *REASONS], 0))
        self._seconds: list[float] = [0.0, 0.0]  # their number and their sum
        self._buckets = Counter(dict.fromkeys(_BUCKETS, 0))
        self._bytes = 0

    def count(self, outcome: str, seconds: float, num_bytes: int):
        """Counts a request.

        Args:
            outcome (`str`): "answered", "left" (the client did not wait), or a key of `REASONS`.
            seconds (`float`): from its start to its answer.
            num_bytes (`int`): size of the video.
        """
        self._outcomes[outcome] += 1
        self._bytes += num_bytes
        if outcome == "answered":
            self._seconds = [self._seconds[0] + 1, self._seconds[1] + seconds]
            self._buckets.update(bucket for bucket in _BUCKETS if seconds <= bucket)

    def text(self, running: int, waiting: int, restarts: int, live: tuple[int, int, int]) -> str:
        """Returns all numbers.

        Args:
            running, waiting, restarts (`int`): requests that are being analysed; requests that are received or wait;
                processes that were replaced.
            live (`tuple[int, int, int]`): live sessions; frames of sessions that ended; dropped ones among them.

        Returns:
            `str`: text format 0.0.4 of Prometheus.
        """
        number, total = self._seconds
        lines = ["# HELP rdfer_requests_total Videos by outcome.", "# TYPE rdfer_requests_total counter"]
        lines += [f'rdfer_requests_total{{outcome="{name}"}} {value}' for name, value in self._outcomes.items()]
        lines += [
            "# HELP rdfer_answer_seconds Time from the start of a request to its answer.",
            "# TYPE rdfer_answer_seconds histogram",
            *(f'rdfer_answer_seconds_bucket{{le="{end}"}} {self._buckets[end]}' for end in _BUCKETS),
            f'rdfer_answer_seconds_bucket{{le="+Inf"}} {number:.0f}',
            f"rdfer_answer_seconds_sum {total:.3f}",
            f"rdfer_answer_seconds_count {number:.0f}",
        ]
        for name, kind, text, value in (
            ("rdfer_received_bytes_total", "counter", "Bytes of all videos.", self._bytes),
            ("rdfer_running", "gauge", "Videos that are being analysed.", running),
            ("rdfer_waiting", "gauge", "Videos that are being received or wait.", waiting),
            ("rdfer_process_restarts_total", "counter", "Processes that were replaced.", restarts),
            ("rdfer_live_sessions", "gauge", "Clients that send live frames.", live[0]),
            ("rdfer_live_frames_total", "counter", "Live frames of sessions that ended.", live[1]),
            ("rdfer_live_dropped_total", "counter", "Dropped ones among these frames.", live[2]),
        ):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(lines) + "\n"


__all__ = ["Metrics"]
