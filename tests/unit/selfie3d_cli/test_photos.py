"""Which photos there are, and what their meshes are called."""

from pathlib import Path

import pytest

from selfie3d_cli.errors import UsageError
from selfie3d_cli.photos import MESH_SUFFIXES, OutputPaths, PhotoFile, find_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "a.jpg", "notes.txt", "sub/deep/c.webp", "sub/a.jpeg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def test_folders_give_their_photos_sorted_and_files_are_taken_as_they_are(folder: Path) -> None:
    found = find_photos([folder / "notes.txt", folder, Path("not/there.jpg")])
    names = ["notes.txt", "a.jpg", "a.png", "b.JPG", "sub/a.jpeg", "sub/deep/c.webp", "there.jpg"]
    assert [str(photo.relative) for photo in found] == names
    assert [photo.path for photo in found[1:6]] == [folder / name for name in names[1:6]]


def test_a_folder_without_photos_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="no photos"):
        find_photos([tmp_path])


def test_meshes_mirror_the_folder_and_never_meet(folder: Path, tmp_path: Path) -> None:
    photos = find_photos([folder, folder / "sub" / "a.jpeg", folder / "a.jpg"])
    target = OutputPaths(tmp_path / "out", MESH_SUFFIXES, photos)
    paths = [target.path(photo, 0, ".ply").relative_to(tmp_path / "out") for photo in photos]
    assert [str(path) for path in paths] == [
        "a.ply",
        "a.png.ply",
        "b.ply",
        "sub/a.ply",
        "sub/deep/c.ply",
        "a.jpeg.ply",
        "a.ply",  # the same photo, given twice
    ]
    assert all((tmp_path / "out" / path).parent.is_dir() for path in paths)
    assert target.path(photos[0], 0, ".ply") == tmp_path / "out" / "a.ply"


def test_three_photos_of_one_name_get_numbers(tmp_path: Path) -> None:
    photos = [PhotoFile(tmp_path / str(number) / "me.jpg", Path("me.jpg")) for number in range(4)]
    target = OutputPaths(tmp_path, MESH_SUFFIXES, photos)
    names = [target.path(photo, 0, ".ply").name for photo in photos]
    assert names == ["me.ply", "me.jpg.ply", "me_2.ply", "me_3.ply"]


@pytest.mark.parametrize(("index", "name"), [(0, "face.v1.ply"), (1, "face.v1-2.ply"), (9, "face.v1-10.ply")])
def test_further_faces_are_numbered(tmp_path: Path, index: int, name: str) -> None:
    photo = PhotoFile(tmp_path / "face.v1.jpg", Path("face.v1.jpg"))
    assert OutputPaths(tmp_path, MESH_SUFFIXES, [photo]).path(photo, index, ".ply") == tmp_path / name
    assert OutputPaths(tmp_path / "face.v1.ply", MESH_SUFFIXES, [photo]).path(photo, index, ".ply") == tmp_path / name


def test_one_file_holds_one_photo(tmp_path: Path) -> None:
    photos = [PhotoFile(tmp_path / name, Path(name)) for name in ("a.jpg", "b.jpg")]
    with pytest.raises(UsageError, match="2 photos: give a folder"):
        OutputPaths(tmp_path / "face.ply", MESH_SUFFIXES, photos)


def test_a_folder_that_looks_like_a_file_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "meshes.ply").mkdir()
    photos = [PhotoFile(tmp_path / name, Path(name)) for name in ("a.jpg", "b.jpg")]
    target = OutputPaths(tmp_path / "meshes.ply", MESH_SUFFIXES, photos)
    assert target.path(photos[1], 0, ".ply") == tmp_path / "meshes.ply" / "b.ply"


def test_no_photo_is_ever_overwritten(folder: Path) -> None:
    photos = find_photos([folder])
    target = OutputPaths(folder, {".png"}, photos)
    paths = [target.path(photo, 0, ".png") for photo in photos]
    assert paths[0] == folder / "a-selfie3d.png"
    assert {path.resolve() for path in paths}.isdisjoint(photo.path for photo in photos)
    assert len(set(paths)) == len(paths)
