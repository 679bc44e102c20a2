"""The body of an upload, piece by piece: a photo as it is, or a multipart form with fields and then the photos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from selfie3d_jobs import Reason
from selfie3d_web.problem import Problem

MAX_PHOTO_BYTES = 20 * 1024 * 1024
MAX_PHOTOS_BYTES = 3 * MAX_PHOTO_BYTES  # of all photos of one person, in a form
MAX_OVERHEAD = 64 * 1024  # of a form, around the photos
MAX_FIELDS = 64  # more than there are options
MAX_FIELD_BYTES = 2048  # the longest webhook_url
MULTIPART = "multipart/form-data"
DAMAGED = "The form is damaged or cut short."
PHOTO = "photo"  # name of the form's files
Piece = bytes | None  # of photos; None: the next one begins


class Body:
    """One request's body, read once, with bounds on its size and on how long each piece may take.

    seconds : wait for the next piece
    most : bytes of its photos
    """

    def __init__(self, request: Request, seconds: float, most: int = MAX_PHOTO_BYTES) -> None:
        """Raises Problem for a body that says itself that it is too long, or has no length one could read."""
        self._stream = aiter(request.stream())
        self._seconds = seconds
        self._left = most + MAX_OVERHEAD
        declared = request.headers.get("content-length", "0")
        if not declared.isdigit():
            raise Problem(400, "Content-Length must be a number.")
        if int(declared) > self._left:
            raise Problem.of_reason(Reason.PHOTO_TOO_LARGE)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, as it comes. Raises Problem; ClientDisconnect when the sender goes away."""
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    piece = await anext(self._stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Problem.of_reason(Reason.UPLOAD_STALLED) from error
            self._left -= len(piece)
            if self._left < 0:
                raise Problem.of_reason(Reason.PHOTO_TOO_LARGE)
            if piece:
                yield piece

    async def drain(self) -> None:
        """Read what is left, so that a sender who has not finished hears the answer instead of a reset."""
        try:
            async for _ in self.pieces():
                pass
        except (Problem, ClientDisconnect):
            return


def is_form(content_type: str) -> bool:
    """Whether the body is a multipart form."""
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_type() == MULTIPART


class Form:
    """A multipart form whose photos come last: `fields` is whole when the first one begins."""

    def __init__(self, content_type: str, body: Body) -> None:
        """Raises Problem when the type names no boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _malformed("A form's Content-Type must name its boundary.")
        self.fields: list[tuple[str, str]] = []
        self._pieces = body.pieces()
        self._photo: list[Piece] = []
        self._has_photo = self._in_photo = self._ended = False
        self._name, self._value, self._header = b"", bytearray(), (bytearray(), bytearray())
        self._parser = self._make_parser(boundary)

    async def read_fields(self) -> None:
        """Read on until the photo begins. Raises Problem when there is none."""
        while not self._has_photo:
            if not await self._read():
                raise Problem.of_reason(Reason.PHOTO_EMPTY, f"The form has no file named {PHOTO}.", field=PHOTO)

    async def photos(self) -> AsyncIterator[Piece]:
        """The photos' bytes. Raises Problem for what comes behind them, or when the form breaks off."""
        more = True
        while more:
            for piece in self._photo:
                yield piece
            self._photo.clear()
            more = await self._read()
        for piece in self._photo:
            yield piece

    async def _read(self) -> bool:
        piece = await anext(self._pieces, None)
        try:
            if piece is not None:
                self._parser.write(piece)
                return True
            self._parser.finalize()
        except FormParserError as error:
            raise _malformed(DAMAGED) from error
        if not self._ended:  # the parser itself takes half a photo for a whole one
            raise _malformed(DAMAGED)
        return False

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_begin": self._on_header_begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            return MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise _malformed("The form's boundary is too long.") from error

    def _on_part_begin(self) -> None:
        self._name = b""
        self._value.clear()

    def _on_header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def _on_header_end(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            self._name = parse_options_header(bytes(self._header[1]))[1].get(b"name", b"")

    def _on_headers_finished(self) -> None:
        self._in_photo = self._name == PHOTO.encode()
        if self._has_photo:
            if not self._in_photo:
                raise _malformed(f"The files named {PHOTO} must be the last parts of the form.")
            self._photo.append(None)
        self._has_photo = self._has_photo or self._in_photo
        if not self._in_photo and len(self.fields) == MAX_FIELDS:
            raise _malformed(f"A form has at most {MAX_FIELDS} fields.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_photo:
            self._photo.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise _malformed(f"A field has at most {MAX_FIELD_BYTES} bytes; the file is named {PHOTO}.")

    def _on_part_end(self) -> None:
        if not self._in_photo:
            self.fields.append((self._name.decode(errors="replace"), self._value.decode(errors="replace")))
        self._in_photo = False

    def _on_end(self) -> None:
        self._ended = True


def _malformed(detail: str) -> Problem:
    return Problem.of_reason(Reason.REQUEST_MALFORMED, detail)
