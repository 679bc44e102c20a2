"""A HEIC's or AVIF's size, found by walking its boxes (ISO/IEC 14496-12 and 23008-12) with a bound on the work.

The size is that of the primary item; how large the coded pictures are that it is made of, only a decoder knows. So
these formats are decoded in a process with limits of its own: see `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.info import PhotoInfo
from selfie3d_photo.look import Look, damaged

Span = tuple[int, int]  # offsets: of a box's first byte behind its header, and behind its last

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
AVIF_BRANDS = frozenset({b"avif"})
FILMS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1", b"avis"})  # as the major brand: an image sequence
MAX_FTYP = 256  # bytes; with 60 compatible brands
PIXEL_BYTES = 16.0  # 3 of them of the process that waits for the pixels; a 4:4:4 AVIF took 10 in the child
LARGE = 1  # in place of a size: it follows in 64 bits
REST = 0  # in place of a size: to the end of the file


def heif_format(data: bytes) -> str | None:
    """HEIC or AVIF by the brands in the file's first box; None for another file. Raises PhotoError for a film."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), MAX_FTYP, len(data))
    major = data[8:12]
    if major in FILMS:
        raise PhotoError(PhotoReason.ANIMATED, "The picture is animated: send one still frame.")
    brands = {major, *(data[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & HEIC_BRANDS else None


def read_heif(look: Look, format: str) -> PhotoInfo:
    """The header. Raises PhotoError."""
    meta, has_data = None, False
    for kind, span in _boxes(look, 0, len(look)):
        if kind == b"meta":
            meta = (span[0] + 4, span[1])  # behind version and flags
        has_data = has_data or kind == b"mdat"
        if meta and has_data:  # what phones put behind it is not looked at by anybody
            break
    if meta is None:
        raise damaged()
    width, height = _primary_size(look, meta)
    return PhotoInfo(format, width, height, PIXEL_BYTES)


def _primary_size(look: Look, meta: Span) -> tuple[int, int]:
    """(width, height) of the primary item by its property `ispe`, before it is turned or cropped."""
    properties = _first(look, meta, b"iprp")
    primary = _primary_item(look, meta)
    wanted = set[int]()
    for kind, span in _boxes(look, *properties):
        if kind == b"ipma":
            wanted |= _properties_of(look, span, primary)
    for index, (kind, (at, _)) in enumerate(_boxes(look, *_first(look, properties, b"ipco")), 1):
        if kind == b"ispe" and index in wanted:
            return look.number_at(at + 4, 4), look.number_at(at + 8, 4)
    raise damaged()


def _primary_item(look: Look, meta: Span) -> int:
    at, _ = _first(look, meta, b"pitm")
    return look.number_at(at + 4, 2 if look.number_at(at, 1) == 0 else 4)


def _properties_of(look: Look, span: Span, item: int) -> set[int]:
    """Indices, from 1, of the item's properties, of an association table `ipma`."""
    at, end = span[0] + 8, span[1]
    id_bytes = 2 if look.number_at(span[0], 1) == 0 else 4
    index_bytes = 2 if look.number_at(span[0] + 1, 3) & 1 else 1
    for _ in range(look.number_at(span[0] + 4, 4)):
        if at >= end:
            raise damaged()
        number, count = look.number_at(at, id_bytes), look.number_at(at + id_bytes, 1)
        at += id_bytes + 1
        if number == item:
            essential = 1 << (8 * index_bytes - 1)  # a flag in front of each index
            indices = [look.number_at(at + i * index_bytes, index_bytes) for i in range(count)]
            return {index & ~essential for index in indices}
        at += count * index_bytes
    return set()


def _first(look: Look, span: Span, wanted: bytes) -> Span:
    """The first box of a kind. Raises PhotoError when there is none."""
    for kind, found in _boxes(look, *span):
        if kind == wanted:
            return found
    raise damaged()


def _boxes(look: Look, at: int, end: int) -> Iterator[tuple[bytes, Span]]:
    """(kind, span) of the boxes between two offsets. Raises PhotoError for one that does not fit."""
    while at + 8 <= end:
        size, kind, start = look.number_at(at, 4), look.bytes_at(at + 4, 4), at + 8
        if size == LARGE:
            size, start = look.number_at(start, 8), at + 16
        elif size == REST:
            size = end - at
        if size < start - at or at + size > end:
            raise damaged("The file is damaged or cut short: send the original file.")
        yield kind, (start, at + size)
        at += size
