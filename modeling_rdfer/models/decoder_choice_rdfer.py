# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Chooses the video decoder: PyAV or torchcodec."""

import functools
import os
import re

DECODERS = ("auto", "torchcodec", "pyav")
DECODER_VARIABLE = "RDFER_VIDEO_DECODER"


# Neither decoder is imported with this file: torchcodec alone would add 60 ms to the import of the package.
@functools.cache
def load_torchcodec():
    """Returns (module, None), or (None, why torchcodec cannot decode here)."""
    try:
        import torchcodec.decoders
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    if getattr(torchcodec, "ffmpeg_major_version", True) is not None:
        return torchcodec, None
    problem = "it found no FFmpeg"
    try:
        torchcodec.decoders.VideoDecoder(b"")
    except (ImportError, OSError, RuntimeError) as error:
        causes = re.findall(r"^(?:OSError|ImportError|RuntimeError): (.+)$", str(error), flags=re.MULTILINE)
        # torchcodec tries every FFmpeg version; "no such file" only means that this version is not installed.
        causes = [cause for cause in causes if not cause.startswith("Could not load this library")]
        others = [cause for cause in causes if not re.match(r"libav\w+\.so\S*: cannot open shared object file", cause)]
        if causes and not others:
            problem = "FFmpeg's shared libraries (libavutil and others) are not installed (`apt-get install ffmpeg`)"
        else:
            problem = others[0] if others else str(error).strip().splitlines()[0]
    return None, problem


@functools.cache
def load_pyav():
    """Returns (module, None), or (None, why PyAV cannot be used here)."""
    try:
        import av
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"{type(error).__name__}: {error}"
    return av, None


def decoder_in_use(decoder: str = "auto") -> tuple[str | None, str | None]:
    """Tells which decoder reads video files.

    Args:
        decoder (`str`, *optional*, defaults to `"auto"`): `"auto"`, `"torchcodec"` or `"pyav"`. With `"auto"` the
            environment variable `RDFER_VIDEO_DECODER` decides; if it is not set, PyAV is used, on the CPU.

    Returns:
        `tuple[str | None, str | None]`: the decoder's name, and `None`; or `None`, and why it cannot be used.

    Raises:
        ValueError: if `decoder` or the variable has another value.
    """
    asked = "decoder"
    if decoder == "auto" and os.environ.get(DECODER_VARIABLE):
        asked, decoder = DECODER_VARIABLE, os.environ[DECODER_VARIABLE]
    if decoder not in DECODERS:
        raise ValueError(f"{asked} is {decoder!r}; expected one of {', '.join(DECODERS)}.")
    name, (module, problem) = ("torchcodec", load_torchcodec()) if decoder == "torchcodec" else ("pyav", load_pyav())
    return (None, f"{name} cannot be used: {problem}") if module is None else (name, None)
