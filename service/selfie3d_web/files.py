"""The page's committed files, in memory and packed once; nothing is read while the server runs."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from selfie3d_web.problem import Problem

STATIC = Path(__file__).parent / "static"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
TYPES[".webmanifest"] = "application/manifest+json"
PACKED = {".js", ".css", ".html", ".svg", ".webmanifest"}


@dataclass(frozen=True)
class File:
    """A file as it is sent. packed : gzip, where that is smaller."""

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str

    @classmethod
    @cache
    def read(cls, path: Path) -> File:
        """From the disk."""
        content = path.read_bytes()
        packed = gzip.compress(content, mtime=0) if path.suffix in PACKED else None
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return cls(content, packed, kind, hashlib.sha256(content).hexdigest()[:32])


class Files:
    """Everything in `static/` by name."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {str(path.relative_to(folder)): File.read(path) for path in folder.rglob("*") if path.is_file()}

    async def serve(self, request: Request) -> Response:
        """/static/NAME."""
        return self.response(request, request.path_params["name"])

    def response(self, request: Request, name: str) -> Response:
        """A file, or that it has not changed. Raises Problem."""
        file = self._files.get(name)
        if file is None:
            raise Problem(404, "There is no such page.")
        packs = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{file.etag}{"-gzip" if packs else ""}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        if packs:
            headers["Content-Encoding"] = "gzip"
        content = file.packed if packs else file.content
        return Response(content, headers=headers, media_type=file.media_type)
