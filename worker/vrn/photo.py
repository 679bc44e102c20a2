"""The photo as the pipeline looks at it: a large JPEG at half of its size or less, as long as nothing is lost by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Mesh, Options
from selfie3d_photo import Limits, decode
from vrn.finder.face import AlignedFace

LEAST_SIDE = 1280  # px, long side: twice that of the finder's first search
LEAST_FACE = 360  # px of a face, sqrt(width * height) of its box: crops and colours then average 4 x 4 px and more


class ScaledPhoto:
    """A photo, reduced or whole.

    Attributes
    ----------
    rgb : (height, width, 3) uint8 - the view's own frame
    reduced : photo px per px of the view
    """

    def __init__(self, data: bytes, limits: Limits, options: Options) -> None:
        """Decode it. Raises selfie3d_photo.PhotoError. A texture wants all of its pixels."""
        self._data, self._limits = data, limits
        self._decode(0 if options.needs_texture else LEAST_SIDE)

    @property
    def is_whole(self) -> bool:
        """Whether it has all of the photo's pixels."""
        return self.reduced == 1

    def suffices(self, faces: Sequence[AlignedFace]) -> bool:
        """Whether these faces, in the view's frame, look the same in the whole photo."""
        return self.is_whole or all(np.sqrt(np.prod(face.box_px[2:])) >= LEAST_FACE for face in faces)

    def enlarge(self) -> None:
        """From now on, all of the photo's pixels."""
        if not self.is_whole:
            self._decode(0)

    def face_in_photo(self, face: AlignedFace) -> AlignedFace:
        """A face of the view in the photo frame."""
        return replace(face, landmarks_px=face.landmarks_px * self.reduced + self._offset)

    def mesh_in_photo(self, mesh: Mesh) -> Mesh:
        """A mesh with the matrix to the view, with the one to the photo frame."""
        matrix = self.reduced * mesh.mesh_to_photo
        matrix[:3, 3] += self._offset
        matrix[3] = mesh.mesh_to_photo[3]
        return replace(mesh, mesh_to_photo=matrix)

    @property
    def _offset(self) -> NDArray[np.float64]:
        """Photo px: the centre of the first pixel of the view."""
        middle = (self.reduced - 1) / 2
        return np.array([middle, middle, 0.0])

    def _decode(self, side: int) -> None:
        photo = decode(self._data, self._limits, side)
        self.rgb, self.reduced = photo.rgb, photo.reduced
