# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The window of `rdfer live --show`, on a screen in memory."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import PIL.ImageGrab
import pytest

from modeling_rdfer.cli import main
from modeling_rdfer.inference.live_window import COLOUR, LiveWindow
from tests.helpers.paths import DATA

pytest.importorskip("tkinter")


@pytest.fixture(scope="module")
def _running_screen():
    """One for all tests: Tk stays connected, and ends the process if it uses a screen that is gone."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no screen in memory: apt-get install xvfb")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server, open(reader) as ready:
        os.close(writer)
        yield f":{ready.readline().strip()}"
        server.kill()


@pytest.fixture
def screen(_running_screen, monkeypatch):
    monkeypatch.setenv("DISPLAY", _running_screen)
    return _running_screen


def test_it_shows_the_frame_and_the_answer(screen):
    frame = np.full((200, 300, 3), (10, 20, 200), np.uint8)
    with closing(LiveWindow()) as window:
        window.show(frame, [SimpleNamespace(box=(100, 80, 180, 160), label="happy")])
        seen = np.asarray(PIL.ImageGrab.grab(xdisplay=screen))
        left, top = window._root.winfo_rootx(), window._root.winfo_rooty()
        shown = seen[top : top + 200, left : left + 300, :3]
        assert (shown[120, 140] == frame[0, 0]).all() and (shown[80, 140] == COLOUR).all()
        assert (shown[55:78, 100:160] == COLOUR).all(-1).sum() > 20  # the label
        window.show(np.zeros((2000, 4000, 3), np.uint8), [])  # more than the screen has
        assert window._root.winfo_width() == 640
        assert window.is_open


@pytest.mark.parametrize("event", ["<q>", "<Escape>", "the button"])
def test_it_ends_the_command(screen, event, monkeypatch, capsys):
    show = LiveWindow.show

    def show_and_press(self, *arguments):
        show(self, *arguments)
        self._root.focus_force()
        self._root.update()
        if event == "the button":
            self._root.tk.eval(self._root.protocol("WM_DELETE_WINDOW"))  # what a window manager has Tk run
        else:
            self._root.event_generate(event)

    monkeypatch.setattr(LiveWindow, "show", show_and_press)
    assert main(["live", "--show", "--url", str(DATA / "cap13_edit2.mp4")]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("1 frames, ")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="has a display of another kind")
def test_without_a_display_it_is_one_error(monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", "")
    assert main(["live", "--show", "--url", str(DATA / "cap13_edit2.mp4")]) == 1
    assert "error: --show can open no window: " in capsys.readouterr().err
