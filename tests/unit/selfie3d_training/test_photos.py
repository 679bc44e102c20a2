from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from selfie3d_training.errors import DataError
from selfie3d_training.photos import Photos, decode, encode


def test_photos_are_read_by_their_number(data: Path) -> None:
    photos = Photos(data)
    assert len(photos) == 24
    image = photos.image(7)
    assert image.shape == (200, 200, 3)
    assert image.dtype == np.uint8
    assert not np.array_equal(image, photos.image(8))


def test_validation_photos_and_bad_fits_are_never_trained_on(data: Path) -> None:
    photos = Photos(data)
    train, val = photos.ids("train"), photos.ids("val")
    assert not set(train) & set(val)
    assert val.tolist() == [0, 4, 8, 12, 16, 20]
    assert 23 not in train
    assert 23 in photos.ids("train", max_disagreement=1.0)


def test_labels_are_those_of_the_file(data: Path) -> None:
    labels = Photos(data).labels
    with np.load(data / "labels.npz") as arrays:
        np.testing.assert_allclose(labels.landmarks, arrays["landmarks68"])
        np.testing.assert_allclose(labels.yaw, arrays["yaw_deg"], rtol=1e-6)


@pytest.mark.parametrize("name", ["faces-0.tar", "labels.npz", "index.csv"])
def test_a_folder_without_one_of_its_files_is_refused(data: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(data, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(DataError, match=name.replace("-0", r"-\*")):
        Photos(tmp_path / "copy")


def test_rows_and_photos_must_be_equally_many(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "copy")
    with (tmp_path / "copy" / "index.csv").open("a") as file:
        file.write("24,train\n")
    with pytest.raises(DataError, match="24 photos, 25 rows"):
        Photos(tmp_path / "copy")


def test_labels_that_lack_an_array_are_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "copy")
    with np.load(data / "labels.npz") as arrays:
        np.savez(tmp_path / "copy" / "labels.npz", **{k: v for k, v in arrays.items() if k != "rotation"})
    with pytest.raises(DataError, match="rotation"):
        Photos(tmp_path / "copy")


def test_colours_survive_encoding_in_their_order() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    assert np.abs(decode(encode(red, 95)).astype(int) - red).max() < 8


def test_bytes_that_are_no_picture_are_refused() -> None:
    with pytest.raises(DataError):
        decode(b"no picture")
