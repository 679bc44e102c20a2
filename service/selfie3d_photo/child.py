"""`python -m selfie3d_photo.child FORMAT WIDTH HEIGHT MOST_BYTES`: a photo on stdin, a line and its pixels on stdout.

See `isolated`, which starts it. The line is JSON: {"height", "width"}, or {"reason", "message"} and no pixels.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from selfie3d_photo.decoding import decode_here, load_codec
from selfie3d_photo.errors import PhotoError
from selfie3d_photo.info import PhotoInfo

CPU_SECONDS = 60  # 64 megapixels take 10 on a slow core
DATA_PAGES = 5  # column of /proc/self/statm: data and stack


def main() -> None:
    """Decode one photo."""
    name, width, height, most_bytes = sys.argv[1], *map(int, sys.argv[2:])
    out = sys.stdout.buffer
    try:
        load_codec(name)
        limit(most_bytes)
        rgb = decode_here(sys.stdin.buffer.read(), PhotoInfo(name, width, height))
    except PhotoError as error:
        out.write(json.dumps({"reason": error.reason, "message": str(error)}).encode() + b"\n")
        return
    out.write(json.dumps({"height": rgb.shape[0], "width": rgb.shape[1]}).encode() + b"\n")
    out.write(rgb.data)


def limit(most_bytes: int) -> None:
    """Bound what this process may still take; only Linux keeps the bound on memory."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        own = int(statm.read_text().split()[DATA_PAGES]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (own + most_bytes, own + most_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
