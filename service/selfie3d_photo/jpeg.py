"""A JPEG's size, found by walking its markers (ITU-T T.81, annex B) with a bound on the work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from selfie3d_photo.info import MEGAPIXEL, RGB_BYTES, PhotoInfo
from selfie3d_photo.look import Look, damaged

MAX_SEGMENTS = 512  # photos have fewer than 200, most of them pieces of a depth map in XMP
MAX_FILL = 4096  # bytes of padding or junk in front of one marker
MAX_SCANS = 100  # a progressive JPEG has about 10; each one costs a pass over all pixels
MAX_SCAN_PIXELS = 20 * 64 * MEGAPIXEL  # scans * pixels
TAIL_BYTES = 64 * 1024
FRONT_SCAN_BYTES = 256 * 1024  # of the entropy-coded data, where the front door counts scans

STANDALONE = frozenset({0x01, *range(0xD0, 0xD8), 0xD8, 0xD9})  # markers without a length: TEM, RSTn, SOI, EOI
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
SOS, EOI = 0xDA, 0xD9
NOT_FF = re.compile(rb"[^\xff]")
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what is neither a stuffed byte, a restart marker nor fill


@dataclass(frozen=True)
class _Frame:
    """SOFn. samples : of a pixel, averaged over the components' sampling factors."""

    progressive: bool
    width: int
    height: int
    components: int
    samples: float


def read_jpeg(look: Look) -> PhotoInfo:
    """The header, up to the first scan. Raises PhotoError."""
    at, frame = 2, None
    for _ in range(MAX_SEGMENTS):
        code, at = _next_marker(look, at)
        if code in STANDALONE:
            continue
        if code < 0xC0:
            raise damaged()
        length = look.number_at(at, 2)
        if length < 2:
            raise damaged()
        if code in FRAMES:
            if frame:
                raise damaged()
            frame = _read_frame(look, code, at)
        if code == SOS:
            if frame is None:
                raise damaged()
            return _info(frame, look.number_at(at + 2, 1), at + length)
        at += length
    raise damaged("The JPEG has too many segments for a photo: save it again.")


def check_scans(look: Look, info: PhotoInfo, most_bytes: int | None = None) -> bool:
    """Whether the picture's end was reached; its scans up to there are few enough. Raises PhotoError.

    most_bytes : how far to look; None: to the end of the file
    """
    allowed = min(MAX_SCANS, MAX_SCAN_PIXELS // max(1, info.pixels))
    at, scans = info.scans_at, 1
    end = len(look) if most_bytes is None else min(len(look), at + most_bytes)
    for _ in range(4 * MAX_SCANS + MAX_SEGMENTS):
        found = MARKER.search(look.data, at, end)
        look.count((found.end() if found else end) - at)
        if found is None or found.end() + 2 > len(look):
            return found is not None and found[0][1] == EOI
        if found[0][1] == EOI:
            return True
        scans += found[0][1] == SOS
        if scans > allowed:
            break
        at = min(end, found.end() + max(2, look.number_at(found.end(), 2)))
    raise damaged("The JPEG has too many scans: save it again as a plain JPEG.")


def check_end(look: Look, info: PhotoInfo) -> None:
    """Refuse a file with too many scans, or that plainly ends inside one, by a piece of it in front and one behind.

    Entropy-coded data holds 0xFF before 0x00 or a restart marker only. What a phone puts behind the picture (a
    preview, a film) has other pairs or holds the end marker in front of itself. Raises PhotoError.
    """
    if check_scans(look, info, FRONT_SCAN_BYTES):
        return
    start = max(info.scans_at, len(look) - TAIL_BYTES)
    tail = look.data[start:]
    look.count(len(tail))
    is_seen_whole = info.scans_at + FRONT_SCAN_BYTES >= len(look)
    if is_seen_whole or (b"\xff\x00" in tail and not MARKER.search(tail)):
        raise damaged("The JPEG file is damaged or cut short: send the original file.")


def _next_marker(look: Look, at: int) -> tuple[int, int]:
    """(code, offset behind it) of the next marker; padding and junk in front of it are passed over."""
    start = look.data.find(b"\xff", at, at + MAX_FILL)
    if start < 0:
        raise damaged()
    found = NOT_FF.search(look.data, start + 1, start + 1 + MAX_FILL)
    if found is None:
        raise damaged()
    look.count(found.end() - at)
    if found[0] == b"\0":
        return _next_marker_after_junk(look, found.end())
    return found[0][0], found.end()


def _next_marker_after_junk(look: Look, at: int) -> tuple[int, int]:
    found = MARKER.search(look.data, at, at + MAX_FILL)
    if found is None:
        raise damaged()
    look.count(found.end() - at)
    return found[0][1], found.end()


def _read_frame(look: Look, code: int, at: int) -> _Frame:
    precision, height, width, components = (look.number_at(at + i, n) for i, n in ((2, 1), (3, 2), (5, 2), (7, 1)))
    if precision != 8 or components not in (1, 3, 4):
        raise damaged("The JPEG is of a kind that no camera makes: save it again as a plain JPEG.")
    table = look.bytes_at(at + 8, 3 * components)
    factors = [(pair >> 4, pair & 15) for pair in table[1::3]]
    if not all(1 <= factor <= 4 for pair in factors for factor in pair):
        raise damaged()
    largest = max(h for h, _ in factors) * max(v for _, v in factors)
    return _Frame(code in PROGRESSIVE, width, height, components, sum(h * v for h, v in factors) / largest)


def _info(frame: _Frame, scan_components: int, scans_at: int) -> PhotoInfo:
    """libjpeg keeps all coefficients, 2 bytes each, until the last scan, when a pixel's parts come in several."""
    buffered = frame.progressive or scan_components < frame.components
    result = 1 if frame.components == 1 else 4
    pixel = result + max(RGB_BYTES, 2 * frame.samples if buffered else 0)
    return PhotoInfo("JPEG", frame.width, frame.height, pixel, scans_at)
