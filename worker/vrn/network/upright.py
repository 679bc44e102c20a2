"""The network of the face sees heads that stand: lying and hanging ones are turned by quarters for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vrn.crop import resample
from vrn.finder.face import AlignedFace
from vrn.meshing.field import Field


def upright_field(network: Callable[[NDArray[np.uint8]], Field], image: NDArray[np.uint8], face: AlignedFace) -> Field:
    """The field over the face's crop. The grid of columns is square and centred, so that turning it back is exact.

    network : (192, 192, 3) uint8 RGB crop -> field
    image : (height, width, 3) uint8 - RGB, photo frame
    """
    quarters = round(face.roll / (np.pi / 2))
    field = network(np.ascontiguousarray(np.rot90(resample(image, face.crop), quarters)))
    return replace(field, values=np.ascontiguousarray(np.rot90(field.values, -quarters, (1, 2))))
