"""Preview pictures: the one that goes with a result, the sheet of four views, and the turntable."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import Mesh, Pose, Preview
from vrn.render.render import SUPERSAMPLING, render

THREE_QUARTER = 40.0  # degrees
PROFILE = 85.0  # degrees; a little of the other brow keeps it readable
PREVIEW_PX = 384
PREVIEW_YAW = 20.0  # degrees; shows the depth, and little of what the photo does not
SHEET_PX = 320  # one view of the sheet
TURNTABLE_PX = 240
TURNTABLE_FRAMES = 24
FRAME_MS = 100
MARGIN = 1.04  # share of the mesh's reach


def draw_preview(mesh: Mesh, size: int = PREVIEW_PX) -> Preview:
    """WebP of the upright head, turned a little to the side that the photo shows; one sample a pixel: it is quick."""
    (picture,) = view(mesh, _seen_side(mesh) * PREVIEW_YAW, size, supersampling=1)
    out = BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=85, method=0)
    return Preview.of(out.getvalue(), "image/webp", size, size)


def preview_sheet(mesh: Mesh, size: int = SHEET_PX) -> bytes:
    """PNG of the head three-quarter to both sides, frontal and in profile; above coloured, below as clay.

    The head is turned upright by its pose, however it was held in the photo. `size` is px per view.
    """
    yaws = (-THREE_QUARTER, 0.0, THREE_QUARTER, _seen_side(mesh) * PROFILE)
    columns = [np.concatenate(view(mesh, yaw, size, clay=(False, True))) for yaw in yaws]
    return _encode(np.concatenate(columns, 1))


def turntable(mesh: Mesh, size: int = TURNTABLE_PX, frames: int = TURNTABLE_FRAMES, kind: str = "WEBP") -> bytes:
    """An endless animation, once around: `kind` WEBP or GIF, (size, size) px."""
    yaws = np.arange(frames) * 360 / frames
    pictures = [Image.fromarray(view(mesh, float(yaw), size)[0]) for yaw in yaws]
    out = BytesIO()
    pictures[0].save(
        out, kind, save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0, method=0, quality=80
    )
    return out.getvalue()


def view(
    mesh: Mesh, yaw: float, size: int, clay: tuple[bool, ...] = (False,), supersampling: int = SUPERSAMPLING
) -> list[NDArray[np.uint8]]:
    """The upright head turned by `yaw` degrees (positive = the nose points to the right)."""
    rotation = Pose(yaw, 0.0, 0.0).rotation @ mesh.pose.rotation.T @ mesh.axes
    reach = float(np.linalg.norm(np.asarray(mesh.size_mm)[1:])) / 2 * MARGIN
    return render(mesh, rotation, size, reach_mm=reach, clay=clay, supersampling=supersampling)


def _seen_side(mesh: Mesh) -> int:
    """1 when the nose points to the right of the photo, else -1: turned on that way, the head shows what was seen."""
    return 1 if mesh.pose.yaw >= 0 else -1


def _encode(picture: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
