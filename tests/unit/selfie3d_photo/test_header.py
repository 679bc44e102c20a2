"""The header readers agree with Pillow on real files, and their work has a bound on hostile ones."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures

from selfie3d_photo import Look, PhotoError, PhotoReason, inspect
from selfie3d_photo.look import MAX_BYTES, MAX_STEPS
from tests.photos import as_heic

MIB = 1 << 20
FULL = 20 * MIB
PORTRAIT = Image.fromarray(np.ascontiguousarray(pictures.astronaut()[:300, :200]))


def encode(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


REAL = {
    "baseline": encode(PORTRAIT, "JPEG"),
    "progressive": encode(PORTRAIT, "JPEG", progressive=True),
    "grey": encode(PORTRAIT.convert("L"), "JPEG"),
    "CMYK": encode(PORTRAIT.convert("CMYK"), "JPEG"),
    "with a trailer": encode(PORTRAIT, "JPEG") + bytes(range(256)) * 1000,
    "PNG": encode(PORTRAIT, "PNG"),
    "palette": encode(PORTRAIT.quantize(16), "PNG"),
    "grey PNG": encode(PORTRAIT.convert("I;16"), "PNG"),
    "lossy WebP": encode(PORTRAIT, "WEBP"),
    "lossless WebP": encode(PORTRAIT, "WEBP", lossless=True),
    "extended WebP": encode(PORTRAIT.convert("RGBA"), "WEBP", exif=Image.Exif().tobytes()),
    "HEIC": as_heic(PORTRAIT),
    "HEIC in tiles": as_heic(PORTRAIT, tile=64),
    "AVIF": encode(PORTRAIT, "AVIF"),
    "transparent AVIF": encode(PORTRAIT.convert("RGBA"), "AVIF"),
}

PNG_HEAD = encode(PORTRAIT, "PNG")[:33]
JPEG = REAL["baseline"]
SCAN = JPEG.index(b"\xff\xda")
HOSTILE = {
    "JPEG of five million empty segments": b"\xff\xd8" + b"\xff\xe0\0\x02" * (FULL // 4 - 1),
    "JPEG of padding": b"\xff\xd8\xff" + b"\xff" * (FULL - 3),
    "JPEG of junk between markers": b"\xff\xd8\xff\xe0\0\x02" + b"\xff\0" * (FULL // 2 - 3),
    "JPEG of restart markers": b"\xff\xd8" + b"\xff\xd0" * (FULL // 2 - 1),
    "JPEG of tables": b"\xff\xd8" + (b"\xff\xdb\0\x43" + bytes(65)) * (FULL // 69),
    "JPEG of large segments without an end": b"\xff\xd8" + (b"\xff\xe1\xff\xff" + bytes(65533)) * 319,
    "JPEG of a thousand scans": JPEG[:-2] + JPEG[SCAN : SCAN + 14] * 1000 + b"\xff\xd9",
    "JPEG of scan data that never ends": JPEG[:-2] + b"\xff\0" * 10_000_000,
    "PNG of empty chunks": PNG_HEAD + chunk(b"tEXt", b"") * ((FULL - 33) // 12),
    "PNG of pixels in crumbs": PNG_HEAD + chunk(b"IDAT", b"x") * ((FULL - 33) // 13),
    "WebP of empty chunks": riff(b"VP8X\x0a\0\0\0" + bytes(10) + b"junk\0\0\0\0" * ((FULL - 40) // 8)),
}
HEAD = REAL["HEIC"][: REAL["HEIC"].index(b"meta") - 4]  # the box of brands


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def meta(*boxes: bytes) -> bytes:
    return HEAD + box(b"meta", bytes(4) + b"".join(boxes)) + box(b"mdat", bytes(100))


PITM = box(b"pitm", bytes(4) + b"\0\1")
ISPE = box(b"ispe", bytes(4) + struct.pack(">II", 300, 200))
HOSTILE |= {
    "HEIC of empty boxes": HEAD + box(b"free", b"") * ((FULL - len(HEAD)) // 8),
    "HEIC of boxes in its header": meta(box(b"free", b"") * (FULL // 9)),
    "HEIC of properties": meta(PITM, box(b"iprp", box(b"ipco", ISPE * (FULL // 21)))),
    "HEIC of associations": meta(
        PITM, box(b"iprp", box(b"ipco", ISPE) + box(b"ipma", bytes(4) + b"\0\x20\0\0" + b"\0\2\1\x81" * 4_000_000))
    ),
    "HEIC with a box of no size": HEAD + struct.pack(">I", 7) + b"meta" + bytes(100),
    "HEIC with a box of 2**63 bytes": HEAD + struct.pack(">I", 1) + b"meta" + struct.pack(">Q", 1 << 63) + bytes(100),
    "HEIC without a header": HEAD + box(b"mdat", bytes(1000)),
    "HEIC without a main picture": meta(box(b"iprp", box(b"ipco", ISPE) + box(b"ipma", bytes(8)))),
    "HEIC without a size": meta(PITM, box(b"iprp", box(b"ipco", b"") + box(b"ipma", bytes(4) + b"\0\0\0\1\0\1\1\1"))),
}
GRACE = 64 * 1024  # bytes allocated for a file of 20 MiB, beyond a copy of its last 64 KiB


@pytest.mark.parametrize("case", REAL)
def test_the_size_is_what_pillow_says(case: str) -> None:
    info = inspect(REAL[case])
    with Image.open(io.BytesIO(REAL[case])) as image:
        assert (info.format.replace("HEIC", "HEIF"), info.width, info.height) == (image.format, *image.size)


@pytest.mark.parametrize("name", ["HEIC", "HEIC in tiles"])
@pytest.mark.parametrize("wide", [False, True])
def test_the_main_picture_s_size_is_found_among_others(name: str, wide: bool) -> None:
    other = box(b"ispe", bytes(4) + struct.pack(">II", 64, 64))
    flags, index = (b"\0\0\0\1", b"\0\2\x80\1") if wide else (bytes(4), b"\2\x81")
    item = [b"\0\1\2" + index, b"\0\2\1" + (b"\x80\3" if wide else b"\x83")]
    ipma = box(b"ipma", flags + struct.pack(">I", 2) + b"".join(item))
    assert inspect(meta(PITM, box(b"iprp", box(b"ipco", ISPE + box(b"pixi", bytes(8)) + other) + ipma))).width == 300
    assert inspect(REAL[name]).height == 300


@pytest.mark.parametrize("case", [*REAL, *HOSTILE])
def test_looking_at_a_file_is_bounded_whatever_it_holds(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = REAL.get(case) or HOSTILE[case]
    assert len(data) <= FULL
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("The library saw the photo."))
    look = Look(data)
    tracemalloc.start()
    try:
        if case in REAL:
            inspect(data, look=look)
        else:
            with pytest.raises(PhotoError) as error:
                inspect(data, look=look)
            assert error.value.reason is PhotoReason.CORRUPT
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert look.steps <= MAX_STEPS + 1
    assert look.touched <= MAX_BYTES + 2 * 64 * 1024
    assert most < 64 * 1024 + GRACE


def test_real_photos_take_few_looks() -> None:
    for data in REAL.values():
        look = Look(data)
        inspect(data, look=look)
        assert look.steps < 100


@pytest.mark.parametrize("case", ["baseline", "progressive", "PNG", "lossy WebP", "lossless WebP", "HEIC", "AVIF"])
def test_a_file_that_is_plainly_cut_is_refused_in_front(case: str) -> None:
    data = REAL[case]
    for share in (0.02, 0.3, 0.5, 0.7, 0.9, 0.97):
        with pytest.raises(PhotoError) as error:
            inspect(data[: int(len(data) * share)])
        assert error.value.reason is PhotoReason.CORRUPT
