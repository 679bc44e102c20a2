"""No bytes crash, hang or bloat the photo decoder: it answers with a photo or a PhotoError."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from skimage import data as pictures

from selfie3d_photo import MEBIBYTE, Limits, Look, PhotoError, PhotoReason, decode, decode_bytes, inspect
from selfie3d_photo.look import MAX_STEPS
from tests.faults.mutation import EDITS, SLOWEST_MS, Edits, bounded_memory, mutate
from tests.photos import as_heic, as_heic_of_10_bits
from tests.stack import ROOT

QUICK, SOAK = 3_000, 100_000  # mutated files
QUICK_CHILDREN, SOAK_CHILDREN = 60, 5_000  # the same, each with a process


def encode(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def seed_files() -> list[bytes]:
    colour = Image.fromarray(np.ascontiguousarray(pictures.astronaut()[20:84, 150:214]))
    exif = Image.Exif()
    exif[0x0112] = 6
    transparent = colour.convert("RGBA")
    return [
        encode(colour, "JPEG", exif=exif),
        encode(colour, "JPEG", progressive=True),
        encode(colour.convert("CMYK"), "JPEG"),
        encode(colour, "PNG", exif=exif),
        encode(colour.quantize(16), "PNG", transparency=0),
        encode(colour.convert("I;16"), "PNG"),
        encode(transparent, "PNG"),
        encode(colour, "WEBP"),
        encode(transparent, "WEBP", lossless=True, exif=exif),
        encode(colour, "PNG", save_all=True, append_images=[colour.rotate(90)]),
    ]


def isolated_seed_files() -> list[bytes]:
    """Photos that a child decodes: each costs a process."""
    colour = Image.fromarray(np.ascontiguousarray(pictures.astronaut()[20:84, 150:214]))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        as_heic(colour, exif=exif),
        as_heic(colour.convert("RGBA"), tile=32),
        as_heic_of_10_bits(np.asarray(colour)),
        encode(colour, "AVIF", exif=exif),
        encode(colour.convert("RGBA"), "AVIF"),
    ]


SEEDS = seed_files()
ISOLATED_SEEDS = isolated_seed_files()


def answer(data: bytes) -> PhotoReason | None:
    """None for a photo, else the reason; anything else is the bug that is looked for."""
    try:
        inspect(data)
        rgb = decode(data).rgb
    except PhotoError as error:
        return error.reason
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.dtype == np.uint8
    return None


@pytest.fixture(name="bounded_memory")
def own_memory_is_bounded() -> Iterator[None]:
    with bounded_memory():
        yield


def fuzz(examples: int) -> None:
    @settings(max_examples=examples, deadline=SLOWEST_MS, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(SEEDS), EDITS)
    def run(seed: bytes, edits: Edits) -> None:
        answer(mutate(seed, edits))

    run()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds in damaged metadata
@pytest.mark.usefixtures("bounded_memory")
def test_damaged_files_get_an_answer() -> None:
    fuzz(QUICK)


def fuzz_children(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(ISOLATED_SEEDS), EDITS)
    def run(seed: bytes, edits: Edits) -> None:
        answer(mutate(seed, edits))

    run()


@pytest.mark.usefixtures("bounded_memory")
def test_damaged_headers_of_heic_and_avif_get_an_answer() -> None:
    @settings(max_examples=QUICK, deadline=SLOWEST_MS, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(ISOLATED_SEEDS), EDITS)
    def run(seed: bytes, edits: Edits) -> None:
        with suppress(PhotoError):
            inspect(mutate(seed, edits))

    run()


@pytest.mark.usefixtures("bounded_memory")
def test_damaged_heic_and_avif_files_get_an_answer() -> None:
    fuzz_children(QUICK_CHILDREN)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("bounded_memory")
def test_thousands_of_damaged_heic_and_avif_files_get_an_answer() -> None:
    fuzz_children(SOAK_CHILDREN)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("bounded_memory")
def test_a_hundred_thousand_damaged_files_get_an_answer() -> None:
    fuzz(SOAK)


def png(side: int, body: bytes, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    more = chunk(b"zTXt", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(SEEDS[2])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_claiming(side: int) -> bytes:
    """An extended WebP header (RFC 9649, 2.7) over a small picture."""
    small = SEEDS[7][12:]
    canvas = (side - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + small
    return b"RIFF" + struct.pack("<I", len(body)) + body


def heif_claiming(data: bytes, side: int) -> bytes:
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", side, side) + data[at + 8 :]


@pytest.mark.parametrize(
    "bomb",
    [
        png(30_000, zlib.compress(bytes(1 << 22))),
        jpeg_claiming(65_500, 65_500),
        webp_claiming(16_384),
        heif_claiming(ISOLATED_SEEDS[0], 2**32 - 1),
        heif_claiming(ISOLATED_SEEDS[3], 2**32 - 1),
    ],
    ids=["PNG", "JPEG", "WebP", "HEIC", "AVIF"],
)
@pytest.mark.usefixtures("bounded_memory")
def test_a_bomb_of_each_format_is_refused_by_its_header(bomb: bytes) -> None:
    assert answer(bomb) in {PhotoReason.TOO_MANY_PIXELS, PhotoReason.CORRUPT}


@pytest.mark.usefixtures("bounded_memory")
def test_compressed_text_that_unpacks_to_gigabytes_is_refused() -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(1 << 28), 9)
    assert answer(png(64, zlib.compress(bytes(64 * (1 + 3 * 64))), text)) is PhotoReason.CORRUPT


def test_a_picture_with_another_file_behind_or_inside_it_is_only_a_picture() -> None:
    archive = b"PK\x03\x04" + bytes(64) + b"<script>alert(1)</script>"
    plain = decode(SEEDS[3]).rgb
    np.testing.assert_array_equal(decode(SEEDS[3] + archive).rgb, plain)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<?php system('id') ?>")
    hidden = encode(Image.fromarray(plain), "PNG", pnginfo=info)
    np.testing.assert_array_equal(decode(hidden).rgb, plain)


def test_text_that_only_begins_like_a_picture_is_refused() -> None:
    for magic in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP"):
        assert answer(magic + b"%!PS-Adobe-3.0 (polyglot)" * 40) is PhotoReason.CORRUPT


@pytest.mark.parametrize("bits", [b"\xff\xc4\x00\x02", b"\xff\xdb\x00\x01", b"\xff\xe1\x00\x00"])
def test_jpeg_segments_of_impossible_length_are_refused_or_skipped(bits: bytes) -> None:
    data = SEEDS[0]
    assert answer(data[:2] + bits + data[2:]) in {None, PhotoReason.CORRUPT}


FULL = 20 << 20  # bytes, the largest file that is taken
PNG_HEAD = SEEDS[3][:33]
SCAN = SEEDS[1].index(b"\xff\xda")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


NEAR_THE_LIMIT = {
    "five million JPEG segments": b"\xff\xd8" + b"\xff\xe0\0\x02" * (FULL // 4 - 1),
    "JPEG fill bytes alone": b"\xff\xd8\xff" + b"\xff" * (FULL - 3),
    "three hundred EXIF segments": b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65527)) * 300 + SEEDS[1][2:],
    "a thousand JPEG scans": SEEDS[1][:-2] + SEEDS[1][SCAN : SCAN + 12] * 1000 + b"\xff\xd9",
    "a million PNG chunks": PNG_HEAD + chunk(b"tEXt", b"") * ((FULL - 33) // 12),
    "a million PNG pixel chunks": PNG_HEAD + chunk(b"IDAT", b"x") * ((FULL - 33) // 13),
    "a PNG profile that unpacks to 256 MiB": PNG_HEAD
    + chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 28), 9))
    + SEEDS[3][33:],
    "a million WebP chunks": b"RIFF"
    + struct.pack("<I", FULL - 8)
    + b"WEBPVP8X\x0a\0\0\0"
    + bytes(10)
    + b"junk\0\0\0\0" * ((FULL - 30) // 8)
    + bytes((FULL - 30) % 8),
}


@pytest.mark.parametrize("case", NEAR_THE_LIMIT)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("bounded_memory")
def test_a_hostile_file_near_the_limit_gets_an_answer_for_bounded_work(case: str) -> None:
    data, look = NEAR_THE_LIMIT[case], Look(NEAR_THE_LIMIT[case])
    assert len(data) <= FULL
    with suppress(PhotoError):  # what the front door lets through, the worker answers
        inspect(data, look=look)
    assert look.steps <= MAX_STEPS + 1
    assert answer(data) in {None, PhotoReason.CORRUPT}


def large(name: str, width: int, height: int, **options: Any) -> bytes:
    options.setdefault("quality", 60)
    mode = options.pop("mode", "RGB")
    picture = Image.fromarray(np.ascontiguousarray(pictures.astronaut())).convert(mode)
    return encode(picture.resize((width, height), Image.Resampling.NEAREST), name, **options)


KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"name": "JPEG"},
    "progressive JPEG without subsampling": {"name": "JPEG", "progressive": True, "subsampling": 0},
    "progressive CMYK JPEG": {"name": "JPEG", "progressive": True, "mode": "CMYK"},
    "PNG": {"name": "PNG", "compress_level": 1},
    "transparent PNG": {"name": "PNG", "compress_level": 1, "mode": "RGBA"},
    "lossy WebP": {"name": "WEBP", "method": 0},
    "lossless WebP": {"name": "WEBP", "method": 0, "lossless": True, "quality": 0},
    "transparent WebP": {"name": "WEBP", "method": 0, "mode": "RGBA"},
    "AVIF": {"name": "AVIF", "speed": 10},
    "transparent AVIF without subsampling": {"name": "AVIF", "speed": 10, "mode": "RGBA", "subsampling": "4:4:4"},
}


def check_memory_is_as_estimated(kind: str, width: int, height: int) -> None:
    data = large(width=width, height=height, **KINDS[kind])
    with bounded_memory(most=decode_bytes(inspect(data), len(data))):
        assert decode(data).rgb.shape == (height, width, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_takes_no_more_memory_than_the_header_foretells(kind: str) -> None:
    check_memory_is_as_estimated(kind, 4000, 3000)


@pytest.mark.timeout(600)
def test_a_heic_of_a_phone_s_size_is_decoded_within_the_memory_that_its_header_foretells() -> None:
    rgb = np.ascontiguousarray(np.tile(pictures.astronaut(), (4, 5, 1)))
    for data in (as_heic(Image.fromarray(rgb), tile=512, quality=30), as_heic_of_10_bits(rgb[:1024], quality=30)):
        info = inspect(data)
        with bounded_memory(most=3 * info.pixels + (32 << 20)):  # the child keeps the rest, or dies of it
            assert decode(data).rgb.shape == (info.height, info.width, 3)


def flat_webp() -> bytes:
    """A legal photo: 64 megapixels in half a megabyte at most."""
    return encode(Image.new("RGB", (8000, 8000), (200, 150, 120)), "WEBP", method=0)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", [*NEAR_THE_LIMIT, "a flat WebP of 8000 x 8000"])
def test_what_hostile_files_cost_is_shown(case: str, tmp_path: Path, figures: dict[str, float]) -> None:
    """For the table in docs/threat-model.md; bounded by counts above, and here by what no machine changes: memory."""
    file = tmp_path / "photo"
    file.write_bytes(NEAR_THE_LIMIT.get(case) or flat_webp())
    for act, most in (("inspect", 2.0), ("decode", Limits().max_decode_bytes / MEBIBYTE)):
        command = [sys.executable, "-m", "tests.faults.cost", act, str(file)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        found = json.loads(run.stdout)
        figures[f"{case}, {act}: CPU s"] = found["seconds"]
        figures[f"{case}, {act}: MiB"] = found["mebibytes"]
        assert found["mebibytes"] < most


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_at_64_megapixels_decoding_takes_no_more_than_the_header_foretells(kind: str) -> None:
    check_memory_is_as_estimated(kind, 8000, 7500)
