"""Every kind of photo that is accepted comes out as the same upright sRGB picture; every other says what to do."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage import data as pictures

from selfie3d_photo import Limits, PhotoError, PhotoInfo, PhotoReason, decode, decode_bytes, inspect
from selfie3d_photo.decoding import decode_here
from tests.photos import as_heic, as_heic_of_10_bits


def picture() -> NDArray[np.uint8]:
    """A part of the astronaut whose four corners differ: (96, 128, 3)."""
    return np.ascontiguousarray(pictures.astronaut()[20:116, 150:278])


def encode(image: Image.Image, name: str, **options: Any) -> bytes:
    if name == "HEIC":
        return as_heic(image, **{key: value for key, value in options.items() if key != "lossless"})
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def png(**options: Any) -> bytes:
    return encode(Image.fromarray(picture()), "PNG", **options)


def mean_difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def test_png_and_lossless_webp_come_out_exactly() -> None:
    image = Image.fromarray(picture())
    np.testing.assert_array_equal(decode(encode(image, "PNG")).rgb, picture())
    np.testing.assert_array_equal(decode(encode(image, "WEBP", lossless=True)).rgb, picture())


def test_jpeg_baseline_and_progressive_come_out_close() -> None:
    for progressive in (False, True):
        photo = decode(encode(Image.fromarray(picture()), "JPEG", quality=95, progressive=progressive))
        assert mean_difference(photo.rgb, picture()) < 3
        assert photo.info.media_type == "image/jpeg"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "HEIC", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_exif_orientations_come_out_upright(name: str, orientation: int) -> None:
    # What a camera stores for each orientation tag so that the viewer sees `picture` (EXIF 2.32, table 6).
    upright = picture()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, quality=95, lossless=True)
    rgb = decode(data).rgb
    assert rgb.shape == upright.shape
    assert mean_difference(rgb, upright) < 4


def smooth() -> NDArray[np.uint8]:
    """The picture without what a reduction takes away: (96, 128, 3)."""
    small = Image.fromarray(picture()).reduce(4)
    return np.asarray(small.resize((128, 96), Image.Resampling.BICUBIC))


def means(rgb: NDArray[np.uint8], count: int) -> NDArray[np.float64]:
    """(height / count, width / count, 3): means of count x count px."""
    height, width = rgb.shape[:2]
    return rgb.reshape(height // count, count, width // count, count, 3).mean((1, 3))


@pytest.mark.parametrize(("side", "reduced"), [(0, 1), (128, 1), (65, 1), (64, 2), (33, 2), (32, 4), (16, 8), (1, 8)])
def test_a_jpeg_is_reduced_as_far_as_the_wanted_side_allows(side: int, reduced: int) -> None:
    photo = decode(encode(Image.fromarray(smooth()), "JPEG", quality=95), side=side)
    assert photo.reduced == reduced
    assert photo.rgb.shape == (96 // reduced, 128 // reduced, 3)
    assert mean_difference(photo.rgb, means(smooth(), reduced)) < 2.5
    assert (photo.info.width, photo.info.height) == (128, 96)


@pytest.mark.parametrize(("height", "width", "reduced"), [(96, 124, 4), (94, 128, 2), (95, 128, 1), (96, 127, 1)])
def test_a_jpeg_is_never_reduced_to_a_part_of_a_pixel(height: int, width: int, reduced: int) -> None:
    photo = decode(encode(Image.fromarray(picture()[:height, :width]), "JPEG"), side=1)
    assert photo.reduced == reduced
    assert photo.rgb.shape == (height // reduced, width // reduced, 3)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "HEIC", "AVIF"])
def test_other_photos_come_whole_whatever_side_is_wanted(name: str) -> None:
    photo = decode(encode(Image.fromarray(picture()), name), side=1)
    assert photo.reduced == 1
    assert photo.rgb.shape == (96, 128, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(smooth()), "JPEG", exif=exif, quality=95)
    whole, half = decode(data), decode(data, side=64)
    assert half.reduced == 2
    assert mean_difference(half.rgb, means(whole.rgb, 2)) < 1.5


def test_a_reduced_jpeg_keeps_its_colours() -> None:
    image = Image.fromarray(smooth())
    for data in (
        encode(image.convert("CMYK"), "JPEG", quality=95),
        encode(image.convert("L"), "JPEG", quality=95),
        encode(image, "JPEG", quality=95, icc_profile=_linear_profile()),
        encode(image, "JPEG", quality=95, progressive=True),
        encode(image, "JPEG", quality=95, subsampling=0),
    ):
        whole, half = decode(data), decode(data, side=64)
        assert half.reduced == 2
        assert mean_difference(half.rgb, means(whole.rgb, 2)) < 1.5


@pytest.mark.parametrize("tile", [0, 64])
def test_heic_comes_out_close_whole_and_in_tiles(tile: int) -> None:
    data = encode(Image.fromarray(picture()), "HEIC", quality=90, tile=tile)
    assert (b"grid" in data) == bool(tile)
    photo = decode(data)
    assert mean_difference(photo.rgb, picture()) < 4
    assert photo.info.media_type == "image/heic"


def test_heic_of_10_bits_keeps_its_brightness() -> None:
    assert mean_difference(decode(as_heic_of_10_bits(picture(), quality=95)).rgb, picture()) < 2


def test_avif_comes_out_close_and_transparency_lies_over_white() -> None:
    photo = decode(encode(Image.fromarray(picture()), "AVIF", quality=90))
    assert mean_difference(photo.rgb, picture()) < 4
    assert photo.info.media_type == "image/avif"
    rgba = np.dstack([picture(), np.full(picture().shape[:2], 255, np.uint8)])
    rgba[:48, :, 3] = 0
    for name in ("AVIF", "HEIC"):
        rgb = decode(encode(Image.fromarray(rgba), name, quality=95)).rgb
        assert (rgb[:40] > 250).all()
        assert mean_difference(rgb[56:], picture()[56:]) < 4


@pytest.mark.parametrize("name", ["HEIC", "AVIF"])
def test_the_profile_of_a_phone_is_applied(name: str) -> None:
    flat = np.full((64, 64, 3), 55, np.uint8)
    rgb = decode(encode(Image.fromarray(flat), name, icc_profile=_linear_profile(), quality=95)).rgb
    assert abs(int(rgb[32, 32, 0]) - 128) <= 3


def test_a_heic_with_several_pictures_is_its_main_one() -> None:
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(picture()[::2, ::2])))
    file.add_from_pillow(Image.fromarray(picture()))
    file.save(buffer, quality=90, primary_index=1)
    assert mean_difference(decode(buffer.getvalue()).rgb, picture()) < 4


def test_damaged_exif_does_not_hide_the_pixels() -> None:
    data = png(exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    np.testing.assert_array_equal(decode(data).rgb, picture())


def test_grey_becomes_three_equal_channels() -> None:
    grey = Image.fromarray(picture()).convert("L")
    rgb = decode(encode(grey, "PNG")).rgb
    np.testing.assert_array_equal(rgb, np.repeat(np.asarray(grey)[..., None], 3, 2))


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    rgb = decode(encode(Image.fromarray(ramp), "PNG")).rgb
    assert np.abs(rgb[..., 0].astype(float) - ramp / 257).max() <= 1


def test_sixteen_bit_colour_keeps_its_brightness() -> None:
    # Written by hand (PNG specification, 11.2.2: colour type 2, bit depth 16), since Pillow cannot write it.
    wide = picture().astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    height, width = wide.shape[:2]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.abs(decode(data).rgb.astype(int) - picture()).max() <= 1


def test_palette_and_transparency_lie_over_white() -> None:
    rgba = np.dstack([picture(), np.full(picture().shape[:2], 255, np.uint8)])
    rgba[:48, :, 3] = 0
    for image in (Image.fromarray(rgba), Image.fromarray(rgba).quantize(256)):
        rgb = decode(encode(image, "PNG")).rgb
        assert (rgb[:48] == 255).all()
        assert mean_difference(rgb[48:], picture()[48:]) < 8
    palette = Image.fromarray(picture()).quantize(256)
    assert mean_difference(decode(encode(palette, "PNG")).rgb, picture()) < 8


def test_cmyk_jpeg_is_not_inverted() -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    assert mean_difference(decode(encode(cmyk, "JPEG", quality=95)).rgb, picture()) < 4


def test_the_icc_profile_is_applied() -> None:
    # Linear light: grey 55 of 255 in the file is 128 in sRGB.
    profile = _linear_profile()
    flat = np.full((64, 64, 3), 55, np.uint8)
    rgb = decode(encode(Image.fromarray(flat), "PNG", icc_profile=profile)).rgb
    assert abs(int(rgb[0, 0, 0]) - 128) <= 2


def test_a_useless_icc_profile_is_passed_over() -> None:
    np.testing.assert_array_equal(decode(png(icc_profile=b"no profile")).rgb, picture())


@pytest.mark.parametrize("transparent", [False, True])
def test_a_profile_of_grey_is_applied_to_grey_pictures_only(transparent: bool) -> None:
    flat = Image.fromarray(np.full((64, 64), 55, np.uint8)).convert("LA" if transparent else "L")
    rgb = decode(encode(flat, "PNG", icc_profile=_linear_grey_profile())).rgb
    assert abs(int(rgb[0, 0, 0]) - 128) <= 2
    colour = Image.fromarray(picture()).convert("RGBA" if transparent else "RGB")
    np.testing.assert_array_equal(decode(encode(colour, "PNG", icc_profile=_linear_grey_profile())).rgb, picture())


def _linear_grey_profile() -> bytes:
    """The least that a profile of grey with a gamma of 1 must hold (ICC.1:2022, 7.2 and 8.4.2)."""
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50, in parts of 65536
    tags = {
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(8),
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
    }
    table, body = b"", b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4sI4s4s4s12s4s", 132 + len(table) + len(body), b"", 0x02400000, b"mntr", b"GRAY", b"XYZ ",
                         struct.pack(">6H", 2020, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    return header.ljust(68, b"\0") + white.ljust(60, b"\0") + struct.pack(">I", len(tags)) + table + body


def _linear_profile() -> bytes:
    """sRGB's primaries with a gamma of 1: the tone curves of Pillow's sRGB profile replaced (ICC.1:2022, 10.18)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    for i in range(count):
        tag, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            curve = b"curv" + bytes(4) + struct.pack(">I", 0)
            profile[offset : offset + size] = curve + bytes(size - len(curve))
    return bytes(profile)


def reason_of(data: bytes, limits: Limits | None = None, check: Callable[..., object] = inspect) -> PhotoReason:
    with pytest.raises(PhotoError) as error:
        check(data, limits or Limits())
    assert len(str(error.value)) > 20
    return error.value.reason


def test_empty_and_too_many_bytes_are_refused() -> None:
    assert reason_of(b"") is PhotoReason.EMPTY
    assert reason_of(png(), Limits(max_bytes=100)) is PhotoReason.TOO_LARGE


def test_what_is_no_picture_or_no_accepted_one_is_refused_by_name() -> None:
    assert reason_of(b"hello, this is text") is PhotoReason.UNSUPPORTED
    gif = encode(Image.fromarray(picture()), "GIF")
    with pytest.raises(PhotoError, match="GIF is not supported"):
        inspect(gif)
    assert reason_of(encode(Image.fromarray(picture()), "TIFF")) is PhotoReason.UNSUPPORTED


def test_a_wrong_magic_before_good_data_is_refused() -> None:
    assert reason_of(b"\xff\xd8\xff" + png()[3:]) is PhotoReason.CORRUPT


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "HEIC", "AVIF"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
def test_a_file_cut_short_is_refused(name: str, share: float) -> None:
    data = encode(Image.fromarray(picture()), name)
    assert reason_of(data[: int(len(data) * share)]) is PhotoReason.CORRUPT


@pytest.mark.parametrize("name", ["PNG", "WEBP", "AVIF"])
def test_an_animation_is_refused(name: str) -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    data = encode(frames[0], name, save_all=True, append_images=frames[1:])
    assert reason_of(data) is PhotoReason.ANIMATED


def test_a_phones_jpeg_with_a_second_picture_is_a_photo() -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::2, ::2].copy())]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert inspect(data).format == "JPEG"
    assert mean_difference(decode(data).rgb, picture()) < 6


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    # A PNG whose header claims side x side pixels and whose data would unpack to as much.
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20), 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert reason_of(bomb) is PhotoReason.TOO_MANY_PIXELS


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(Image.fromarray(picture()), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    assert reason_of(data[:-2] + data[scan : scan + 12] * 200 + data[-2:]) is PhotoReason.CORRUPT


def test_a_photo_too_small_for_a_face_is_refused() -> None:
    assert reason_of(encode(Image.fromarray(picture()[:20]), "PNG")) is PhotoReason.TOO_SMALL


def test_damage_behind_the_header_is_found_by_decoding() -> None:
    data = bytearray(png())
    data[len(data) // 2] ^= 0x55
    assert inspect(bytes(data)).width == 128
    assert reason_of(bytes(data), check=decode) is PhotoReason.CORRUPT


@pytest.mark.parametrize("name", ["HEIC", "AVIF"])
def test_damage_to_the_pixels_of_a_phone_s_photo_is_found_by_decoding(name: str) -> None:
    data = encode(Image.fromarray(picture()), name)
    start = data.index(b"mdat") + 4
    assert reason_of(data[:start] + bytes(len(data) - start), check=decode) is PhotoReason.CORRUPT


@pytest.mark.slow
def test_a_picture_larger_than_its_header_says_costs_the_child_its_life_and_nobody_else() -> None:
    data = bytearray(as_heic(Image.new("RGB", (4096, 4096)), quality=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 64, 64)
    assert inspect(bytes(data)).width == 64
    assert reason_of(bytes(data), check=decode) is PhotoReason.CORRUPT


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true"])
def test_a_child_that_dies_or_says_nothing_is_a_damaged_photo(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(picture()), "HEIC")
    monkeypatch.setattr(sys, "executable", program)
    for size in (len(data), 5 << 20):  # what fits into the pipe, and what does not
        assert reason_of(data.ljust(size, b"\0"), check=decode) is PhotoReason.CORRUPT


def test_a_child_is_bound_in_memory_time_and_files() -> None:
    code = (
        "import resource as r; from selfie3d_photo.child import limit; limit(50 << 20)\n"
        "assert r.getrlimit(r.RLIMIT_FSIZE) == r.getrlimit(r.RLIMIT_CORE) == (0, 0)\n"
        "assert r.getrlimit(r.RLIMIT_CPU)[0] <= 60\n"
        "bytearray(40 << 20)\n"
        "try: bytearray(60 << 20)\n"
        "except MemoryError: print('bound')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "bound\n"


def test_a_place_without_the_heic_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(PhotoError, match="HEIC cannot be read here") as error:
        decode_here(encode(Image.fromarray(picture()), "HEIC"), PhotoInfo("HEIC", 128, 96))
    assert error.value.reason is PhotoReason.UNSUPPORTED


def test_scans_hidden_behind_a_comment_are_counted_before_decoding() -> None:
    # A false end marker inside a comment, as one who wants the count to stop there would write it.
    data = encode(Image.fromarray(picture()), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    padding = b"\xff\xfe\xff\xff" + b"\xff\xd9" * 32766 + b"\0"
    bomb = data[:-2] + padding * 8 + data[scan : scan + 12] * 200 + data[-2:]
    assert inspect(bomb).format == "JPEG"
    assert reason_of(bomb, check=decode) is PhotoReason.CORRUPT


def test_a_photo_over_the_memory_budget_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png()
    needed = decode_bytes(inspect(data), len(data))
    assert decode(data, Limits(max_decode_bytes=needed)).rgb.shape == (96, 128, 3)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("The library saw the photo."))
    with pytest.raises(PhotoError, match=r"scale it down or save it as a plain JPEG") as error:
        decode(data, Limits(max_decode_bytes=needed - 1))
    assert error.value.reason is PhotoReason.TOO_MANY_PIXELS


def test_a_picture_whose_two_readers_disagree_is_refused() -> None:
    # A second IHDR: Pillow would take its size, the budget was for the first.
    data = png()
    big = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + big + struct.pack(">I", zlib.crc32(b"IHDR" + big))
    assert reason_of(data[:33] + chunk + data[33:], check=decode) is PhotoReason.CORRUPT
