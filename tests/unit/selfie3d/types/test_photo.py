"""The photo as the caller has it."""

import io
from pathlib import Path

import pytest

from selfie3d.types.photo import PhotoSource, photo_bytes


@pytest.mark.parametrize("photo", [b"abc", bytearray(b"abc"), memoryview(b"abc"), io.BytesIO(b"abc")])
def test_bytes_and_files_are_taken(photo: PhotoSource) -> None:
    assert photo_bytes(photo) == b"abc"


def test_paths_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    assert photo_bytes(path) == photo_bytes(str(path)) == b"abc"
    with pytest.raises(FileNotFoundError):
        photo_bytes(tmp_path / "b.jpg")


@pytest.mark.parametrize("photo", [io.StringIO("abc"), 7, None])
def test_other_things_are_refused(photo: PhotoSource) -> None:
    with pytest.raises(TypeError, match="binary mode"):
        photo_bytes(photo)
