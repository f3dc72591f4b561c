# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A window with live frames and the answers about them.

It is Tk's and not OpenCV's, whose `imshow` never returns on Linux once PyAV is imported.
"""

import numpy as np
import PIL.Image
import PIL.ImageDraw

from .face_stream import Window

COLOUR = (80, 200, 80)


class LiveWindow:
    """A window, until it is closed, or its user presses q or Escape.

    Attributes:
        is_open (`bool`): whether it is still there; known after each frame.

    Raises:
        ValueError: if Python has no Tk, or there is no display.
    """

    def __init__(self):
        try:
            import tkinter

            import PIL.ImageTk
        except ImportError as error:
            needed = "--show needs Tk, which most Pythons have; on Debian and Ubuntu: apt-get install python3-tk"
            raise ValueError(f"{needed} ({error})") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ValueError(f"--show can open no window: {error}") from error
        self._root.title("rdfer live")
        self._new_photo, self._label = PIL.ImageTk.PhotoImage, tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self.is_open = True
        self._root.protocol("WM_DELETE_WINDOW", self._end)
        for key in ("<q>", "<Escape>"):
            self._root.bind(key, self._end)

    def _end(self, _=None):
        self.is_open = False

    def show(self, frame: np.ndarray, answers: list[Window]):
        """Shows a frame with answers.

        Args:
            frame (`np.ndarray` of shape `(height, width, 3)`): uint8 RGB. It is made smaller if the screen is.
            answers (`list[Window]`): the latest ones; their boxes are in pixels of the frame.
        """
        picture = PIL.Image.fromarray(frame)
        draw = PIL.ImageDraw.Draw(picture)
        for answer in answers:
            left, top = 0.0, 0.0
            if answer.box is not None:
                left, top = answer.box[:2]
                draw.rectangle(answer.box, outline=COLOUR, width=2)
            draw.text((left, max(0, top - 22)), answer.label or "", COLOUR, font_size=18)
        picture.thumbnail((self._root.winfo_screenwidth(), self._root.winfo_screenheight()))
        self._photo = self._new_photo(picture, master=self._root)  # Tk does not keep it
        self._label.configure(image=self._photo)
        self._root.update()

    def close(self):
        """Closes it."""
        self._root.destroy()


__all__ = ["LiveWindow"]
