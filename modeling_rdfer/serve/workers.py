# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Processes that answer videos. One that takes too long or crashes is replaced; the others go on."""

import logging
import multiprocessing
import signal
import threading
from contextlib import closing
from multiprocessing.connection import Connection

import torch
from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from ..inference.json_answers import answers_document, model_facts
from ..inference.loading import Engine
from ..inference.predict import predict
from ..models.video_decoding_rdfer import VideoReadError, open_video
from .limits import Limits, Refused

logger = logging.getLogger(__name__)

# Seconds to start Python, import PyTorch and load the model.
START_TIMEOUT = 300.0


class Worker:
    """A process that answers one video at a time.

    Its methods block. They are called from one thread at a time, apart from `close`.

    Args:
        limits (`Limits`): limits of the service.
        model, device, engine: see [`load`].
    """

    def __init__(self, limits: Limits, model: str | None, device: str | None, engine: Engine):
        self._arguments, self._timeout = (limits, model, device, engine), limits.timeout
        self.restarts, self._is_closed, self._lock = 0, False, threading.Lock()
        self._start()

    def _start(self):
        # Not forked: threads of PyTorch and locks that are held would be copied.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that the connection ends with the process
        self._facts = None

    def wait_until_ready(self) -> dict:
        """Waits for the model to be loaded and returns its `model_facts`; raises ValueError if it cannot be loaded."""
        if self._facts is None:
            try:
                if not self._connection.poll(START_TIMEOUT):
                    raise ValueError(f"A process of the service has not started in {START_TIMEOUT:.0f} s.")
                kind, content = self._connection.recv()
            except (EOFError, OSError) as error:
                raise ValueError("A process of the service ended as it started; see its output above.") from error
            if kind == "failed":
                raise ValueError(content)
            self._facts = content
        return self._facts

    def ask(self, video: bytes, name: str, options: dict) -> dict:
        """Classifies a video.

        Args:
            video (`bytes`): content of the file.
            name (`str`): its name, for the answer.
            options (`dict`): options of [`predict`].

        Returns:
            `dict`: the answers, as `answers_document` returns them.

        Raises:
            Refused: if there is no answer; after `"timeout"` and `"broken"` a new process has been started.
        """
        if not self._process.is_alive():  # it ended while it had nothing to do
            self._restart()
        try:
            self.wait_until_ready()
            self._connection.send((name, options))
            self._connection.send_bytes(video)
            if not self._connection.poll(self._timeout):
                self._restart()
                raise Refused("timeout", f"The analysis took longer than {self._timeout:g} seconds and was ended.")
            kind, content = self._connection.recv()
        except (EOFError, OSError, ValueError) as error:
            self._restart()
            raise Refused("broken", "The process that analysed this video ended. Others are not affected.") from error
        if kind == "refused":
            raise Refused(*content)
        return content

    def _restart(self):
        with self._lock:
            if self._is_closed:
                return
            logger.warning("A process of the service is replaced.")
            self._process.kill()
            self._process.join()
            self._connection.close()
            self.restarts += 1
            self._start()

    def close(self):
        """Ends the process at once, whatever it does: it has nothing to save. `ask`, if it waits, raises Refused."""
        with self._lock:
            self._is_closed = True
            self._process.kill()
            self._process.join()


def _work(connection: Connection, limits: Limits, model: str | None, device: str | None, engine: Engine):
    """Main function of a process: answers until the connection ends."""
    # Ctrl+C and service managers signal all processes at once; this one goes on until its server is done with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    transformers_logging.disable_progress_bar()  # it would be in the log
    # By default a semaphore of the system, which a process that is killed leaves behind.
    tqdm.set_lock(threading.RLock())
    torch.set_num_threads(max(1, torch.get_num_threads() // limits.workers))
    try:
        facts = model_facts(model, device, engine)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        connection.send(("failed", str(error)))
        return
    connection.send(("ready", facts))
    where = {"model": model, "device": device, "engine": engine}
    while True:
        try:
            name, options = connection.recv()
            video = connection.recv_bytes()
        except EOFError:  # the server is gone
            return
        reply: tuple[str, dict | tuple[str, str]]
        try:
            reply = ("answered", _answer(video, name, limits, {**where, **options}, facts))
        except Refused as refused:
            reply = ("refused", (refused.reason, refused.message))
        except Exception:
            logger.exception("A video could not be analysed")
            reply = ("refused", ("broken", "Something went wrong in the analysis."))
        del video
        connection.send(reply)


def _answer(video: bytes, name: str, limits: Limits, options: dict, facts: dict) -> dict:
    # With its bytes given, the path is a name only and never opened.
    source = {"bytes": video, "path": name}
    try:
        with closing(open_video(source, on_damage=options.get("on_damage") or "error")) as opened:
            if (opened.duration_seconds or 0.0) > limits.max_seconds:
                found = f"{opened.duration_seconds:.0f} seconds; the limit is {limits.max_seconds:g}"
                raise Refused("too_long", f"The video has {found}.")
            if opened.height * opened.width > limits.max_pixels:
                found = f"{opened.width} x {opened.height} pixels; the limit is {limits.max_pixels / 1e6:.1f} million"
                raise Refused("too_big", f"The frames have {found}.")
        answers = predict([source], **options)
    except VideoReadError as error:
        raise Refused("no_face" if error.args[1].startswith("no face") else "unreadable", str(error)) from error
    assert isinstance(answers, list)  # as a list was passed
    return answers_document(answers, facts)


__all__ = ["Worker"]
