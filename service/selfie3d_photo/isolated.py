"""Decoding in a process of its own, with limits of its own.

The header of a HEIC or AVIF does not tell how large the coded pictures in it are, and their decoders are large and
young. So a child decodes it: its memory ends where the header's estimate ends, its time is bounded, it can write no
file, and whatever happens to it is a damaged photo and nothing worse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.info import RGB_BYTES, PhotoInfo

MAX_LINE = 4096  # bytes of the child's first line
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # the child only moves pixels with NumPy


def decode_isolated(data: bytes, info: PhotoInfo, most_bytes: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8, upright sRGB. Raises PhotoError.

    most_bytes : of memory that the child and the finished picture may take
    """
    most_bytes -= RGB_BYTES * info.pixels
    command = [sys.executable, "-m", "selfie3d_photo.child", info.format, info.width, info.height, most_bytes]
    path = os.pathsep.join(filter(None, sys.path))
    child = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **QUIET, "PYTHONPATH": path},
    )
    try:
        with child:
            try:
                return _exchange(child, data, info)
            finally:
                child.kill()
    except PhotoError:
        raise
    except (OSError, EOFError, ValueError) as error:  # it died, or answered nonsense
        raise damaged(info) from error


def damaged(info: PhotoInfo) -> PhotoError:
    """The refusal of a file whose pixels cannot be had."""
    return PhotoError(PhotoReason.CORRUPT, f"The {info.format} file is damaged or cut short: send the original file.")


def _exchange(child: subprocess.Popen[bytes], data: bytes, info: PhotoInfo) -> NDArray[np.uint8]:
    """The photo in; one line and the pixels out. The child reads all before it answers."""
    assert child.stdin
    assert child.stdout
    child.stdin.write(data)
    child.stdin.close()
    answer: dict[str, Any] = json.loads(child.stdout.readline(MAX_LINE))
    if "reason" in answer:
        raise PhotoError(PhotoReason(answer["reason"]), str(answer["message"]))
    height, width = int(answer["height"]), int(answer["width"])
    if min(height, width) < 1 or height * width > info.pixels:
        raise ValueError("not the picture that the header tells of")
    rgb = np.empty((height, width, RGB_BYTES), np.uint8)
    _fill(child.stdout, rgb)
    return rgb


def _fill(source: IO[bytes], rgb: NDArray[np.uint8]) -> None:
    """Read the pixels to their place. Raises EOFError."""
    left = rgb.data.cast("B")
    while left:
        count = source.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]
