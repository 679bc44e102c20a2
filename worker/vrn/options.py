"""What a caller may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vrn.meshing.surface import Detail


class Format(StrEnum):
    """A mesh file's format; the value is its extension without the dot."""

    PLY = "ply"
    OBJ = "obj"
    GLB = "glb"
    STL = "stl"


@dataclass(frozen=True)
class Options:
    """Options of a reconstruction.

    Attributes
    ----------
    format : of the files
    detail : how fine the surface is
    all_faces : every face by descending size, not the largest only
    scene : one file with all faces in place instead of one file a face
    textured : a texture picture instead of vertex colours; OBJ (then a ZIP) and GLB
    printable : a solid with a flat back to print; an STL always is one
    smoothing : rounds of Taubin smoothing; the surface is smooth without. Not for solids, whose base is to stay flat
    """

    format: Format = Format.PLY
    detail: Detail = Detail.STANDARD
    all_faces: bool = False
    scene: bool = False
    textured: bool = False
    printable: bool = False
    smoothing: int = 0

    @property
    def solid(self) -> bool:
        """Whether the mesh must be printable."""
        return self.printable or self.format is Format.STL
