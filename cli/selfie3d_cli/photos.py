"""Which photos there are, and what their meshes are called."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from selfie3d_cli.errors import UsageError

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif"}
MESH_SUFFIXES = {".ply", ".obj", ".glb", ".stl", ".usdz", ".zip"}


@dataclass(frozen=True)
class PhotoFile:
    """A photo, and its path below the folder that was given: its name alone where it was given itself."""

    path: Path
    relative: Path


def find_photos(arguments: list[Path]) -> list[PhotoFile]:
    """The files as given, and in their place every photo in and below the folders, sorted by path.

    A file is taken whatever its name; one that is not there fails later, by itself. Raises UsageError for a folder
    without photos.
    """
    found: list[PhotoFile] = []
    for argument in arguments:
        if not argument.is_dir():
            found.append(PhotoFile(argument, Path(argument.name)))
            continue
        inside = sorted(
            path for path in argument.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
        )
        if not inside:
            raise UsageError(f"{argument}: no photos in this folder; they end in {', '.join(sorted(PHOTO_SUFFIXES))}.")
        found += [PhotoFile(path, path.relative_to(argument)) for path in inside]
    return found


class OutputPaths:
    """Where the files of each photo go: no two to the same place, and none over a photo.

    output : the file or folder that was asked for; None: the current folder
    suffixes : an output that ends in one of these, and is no folder, is a file
    photos : all that are given
    together : they give one mesh, which is called after the first of them
    """

    def __init__(
        self, output: Path | None, suffixes: set[str], photos: list[PhotoFile], *, together: bool = False
    ) -> None:
        self._output = output or Path()
        self._photos = {photo.path.resolve() for photo in photos}
        self._taken: dict[Path, Path] = {}
        self.is_file = self._output.suffix.lower() in suffixes and not self._output.is_dir()
        if self.is_file and len(photos) > 1 and not together:
            raise UsageError(f"{output} is one file, and there are {len(photos)} photos: give a folder.")

    def path(self, photo: PhotoFile, index: int, extension: str) -> Path:
        """The file for a face of a photo; its folder is made.

        index : of the face, from 0; the largest face has the plain name, the next ends in -2
        extension : with the dot
        """
        stem = self._output.with_suffix("") if self.is_file else self._stem(photo)
        number = "" if index == 0 else f"-{index + 1}"
        path = stem.with_name(f"{stem.name}{number}{extension}")
        if path.resolve() in self._photos:
            path = path.with_name(f"{stem.name}{number}-selfie3d{extension}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _stem(self, photo: PhotoFile) -> Path:
        """The photo's name without its ending; with it, then numbered, where another photo has that name already."""
        plain = self._output / photo.relative.with_suffix("")
        numbered = (plain.with_name(f"{plain.name}_{number}") for number in count(2))
        names = chain([plain, self._output / photo.relative], numbered)
        return next(name for name in names if self._taken.setdefault(name, photo.path) == photo.path)
