# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Writes videos of several people."""

import av

LEFT = slice(0, 300)  # columns


def write_pictures(path, pictures):
    """Writes pictures (H, W, 3), uint8, as a video of 25 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
