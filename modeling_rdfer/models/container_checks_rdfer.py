# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Checks a file before it is decoded: whether it is another kind of file than a video, and whether it is complete."""

import re
import struct

# The first bytes of a file tell its type.
HEAD_BYTES = 4096
# Names of files that hold many JPEG images, one after the other, and begin as one image does.
JPEG_STREAM_SUFFIXES = (".mjpeg", ".mjpg")


def is_animated_png(head: bytes) -> bool:
    """Tells from its first bytes whether a PNG file has several pictures (APNG)."""
    return head.startswith(b"\x89PNG") and b"acTL" in head


def is_multipart_jpeg(head: bytes) -> bool:
    """Tells from its first bytes whether a file is what a network camera sends: JPEG images with headers between."""
    start = head.lstrip(b"\r\n")[:500].lower()
    return start.startswith(b"--") and re.search(rb"\r?\ncontent-type:\s*image/jpe?g\r?\n", start) is not None


def image_type(head: bytes) -> str | None:
    """Names the type of a still image from its first bytes; returns `None` if the file is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG") and not is_animated_png(head):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "BMP"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    return None


def other_file_type(head: bytes) -> str | None:
    """Names the type of a file that is not a video, from its first bytes; returns `None` if it may be a video.

    FFmpeg does not refuse such files: it also plays images and text.
    """
    if image := image_type(head):
        return f"a {image} image"
    try:
        text = head.decode("utf-8") if len(head) < HEAD_BYTES else head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return None
    if all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text):
        return f"a text file that starts with {text[:30]!r}"
    return None


def missing_part(file, size: int) -> str | None:
    """Compares a file with what its own headers announce (MP4/MOV, Matroska/WebM, AVI, FLV, GIF).

    Args:
        file (binary file object): the file, at its start.
        size (`int`): its size in bytes.

    Returns:
        `str`: what is missing, for an error message; `None` if nothing is known to be missing.
    """
    announced, has_index = None, True
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        announced, has_index = _mp4_size_and_index(file, size)
    elif head[:4] == b"\x1aE\xdf\xa3":
        announced = _matroska_size(file)
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        value = int.from_bytes(head[4:8], "little")
        announced = value if 0 < value < 0xFFFFFFFF else None  # some writers count the 8 bytes of this header too
    elif head[:3] == b"FLV":
        announced = _flv_size(file)
    elif head[:4] == b"GIF8":
        file.seek(max(0, size - 16))
        if not file.read().rstrip(b"\0").endswith(b";"):
            return "a GIF without its end mark (it is truncated)"
    if announced is not None and announced > size:
        return f"only {size:,} of the {announced:,} bytes that its header announces (it is truncated)"
    if not has_index:
        return "an MP4 file without its index (no moov box; it is truncated or was not finished)"
    return None


def _mp4_size_and_index(file, size: int) -> tuple[int | None, bool]:
    """Bytes that the boxes of an MP4 file announce if that is more than `size`, and whether it has an index."""
    announced, has_index, position = None, False, 0
    while position + 8 <= size:
        file.seek(position)
        box = file.read(16)
        length, kind = int.from_bytes(box[:4], "big"), box[4:8]
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        elif length == 0:
            length = size - position  # up to the end of the file
        if length < 8:
            break
        has_index |= kind in (b"moov", b"moof")
        if kind in (b"moov", b"moof", b"mdat", b"free") and position + length > size:
            announced = position + length
        position += length
    return announced, has_index


def _matroska_size(file) -> int | None:
    """Bytes that the segment of a Matroska or WebM file announces."""
    file.seek(0)
    header = file.read(4096)
    segment = header.find(b"\x18S\x80g")
    if segment < 0 or segment + 12 >= len(header):
        return None
    first = header[segment + 4]
    num_bytes = 9 - first.bit_length()  # the leading zero bits give the length of the number
    value = int.from_bytes(header[segment + 4 : segment + 4 + num_bytes], "big") & ((1 << 7 * num_bytes) - 1)
    if not first or value == (1 << 7 * num_bytes) - 1:  # all ones: unknown, as in live recordings
        return None
    return segment + 4 + num_bytes + value


def _flv_size(file) -> int | None:
    """Bytes that the script data of an FLV file announces."""
    file.seek(0)
    _, found, value = file.read(4096).partition(b"filesize\0")  # followed by a double
    return int(struct.unpack(">d", value[:8])[0]) if found and len(value) >= 8 else None
