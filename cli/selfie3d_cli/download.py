"""One file over HTTP, checked before it takes its place."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlparse

from selfie3d.types.atomic_file import replacing
from selfie3d_cli.errors import CommandError

TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 20  # bytes
MAX_BYTES = 2 << 30  # of one file; the largest published one has 0.24 GB

Advance = Callable[[int, int | None], None]  # bytes done, bytes in all if known


def published_prefix(name: str) -> str:
    """The start of the SHA-256 in a file name such as ``s3fd-619a316812.pth``, as torch.hub writes it, or nothing."""
    found = re.search(r"-([a-f0-9]{8,})\.", name)
    return found.group(1) if found else ""


def download(url: str, path: Path, prefix: str, advance: Advance) -> None:
    """Fetch `url` to `path`; the file is there whole and right, or not at all.

    prefix : what the SHA-256 must begin with; empty takes any

    Raises CommandError when the address is not http(s), does not answer, breaks off or sends another file.
    """
    if urlparse(url).scheme not in ("http", "https"):
        raise CommandError(f"{url}: only http and https are fetched.")
    request = urllib.request.Request(url, headers={"User-Agent": "selfie3d"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response, replacing(path) as part:
            with part.open("wb") as file:
                digest = _copy(response, file, advance)
            if not digest.startswith(prefix):
                raise CommandError(f"{url}: expected a SHA-256 of {prefix}..., found {digest}. Nothing was kept.")
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise CommandError(f"{url} cannot be fetched to {path}: {reason}") from error


def _copy(response: http.client.HTTPResponse, file: BinaryIO, advance: Advance) -> str:
    """Copy the body; its SHA-256. Raises HTTPException when it breaks off or is too long."""
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    digest, done = hashlib.sha256(), 0
    while chunk := response.read(CHUNK):
        done += len(chunk)
        if done > MAX_BYTES:
            raise http.client.HTTPException(f"more than {MAX_BYTES} bytes")
        file.write(chunk)
        digest.update(chunk)
        advance(done, total)
    if total is not None and done != total:
        raise http.client.HTTPException(f"broke off after {done} of {total} bytes")
    return digest.hexdigest()
