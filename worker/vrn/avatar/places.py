"""Where the points of a head's surface lie on the neutral head: scalp or skin, ear, neck, eye or mouth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.features import at_eyes_or_lips, at_nostrils
from vrn.avatar.lip_rings import lip_rings
from vrn.avatar.model import EYE_PART, MOUTH_PART, HeadModel
from vrn.avatar.neighbours import Neighbours
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

HAIRLINE = np.array([0.0, 1.0, -0.87, -1.9], np.float32)  # on the neutral head, cm: positive above and behind it
HAIRLINE_CM = (-0.6, 0.9)  # over which skin becomes hair
FRINGE_CM = -3.5  # the same, from where on a fringe may hang
BROWS_CM = 3.2  # y on the neutral head, above brows and temples
EAR_SIDE_CM = (6.0, 6.6)  # |x| on the neutral head from which a place may belong to an ear
EAR_CENTRE_CM, EAR_RADII_CM = (0.9, -0.5), (3.2, 2.5)  # of an ellipse around the ears: y and z on the neutral head
EAR_RIM = (0.95, 1.2)  # in radii
JAW = np.array([0.0, 1.0, -0.45, 12.0], np.float32)  # on the neutral head, cm: negative under the jaw
HOLLOW_SHADE, SHADES = 2.0, (0.55, 1.06)  # less light per cm of hollow; the least and the most
SIDE_SHADE, SIDE_CM = 0.1, (-6.0, 0.0)  # less light on the sides of a head and on its neck; -z on the neutral head


@dataclass(frozen=True)
class Places:
    """n points of the surface, and where they lie on the neutral head.

    Attributes
    ----------
    points, normals : (n, 3) float32 - head crop frame
    near : the head model's vertices next to each
    neutral : (n, 3) float32 - its place on the neutral head, cm
    hair : (n,) float32 - 0..1, how much of the place is scalp
    shade : (n,) float32 - how light a place is, 1 in front on an even surface, less in a hollow and at the sides
    bare : (n,) bool - an ear or the neck, which are skin whatever lies over them in the photo
    mouth, eye : (n,) bool - inside the mouth, on an eyeball
    inward : (n,) float32 - on the inner side of the lips and in the mouth: see `LipRings`
    folded : (n,) bool - at the eyes or the lips, where the skin has small folds
    nostril : (n,) bool - at the nostrils and the nose's wings
    """

    points: Floats
    normals: Floats
    near: Neighbours
    neutral: Floats
    hair: Floats
    shade: Floats
    bare: NDArray[np.bool_]
    mouth: NDArray[np.bool_]
    eye: NDArray[np.bool_]
    inward: Floats
    folded: NDArray[np.bool_]
    nostril: NDArray[np.bool_]

    @property
    def nearest(self) -> NDArray[np.intp]:
        """(n,) - the head model's vertex closest to each point."""
        return self.near.index[:, 0]

    def smoothed(self, values: Floats) -> Floats:
        """(n,) float32 - values (n,) averaged around each vertex of the head model, and interpolated."""
        count = int(self.near.index.max()) + 1
        sums = [np.bincount(self.nearest, weights, count) for weights in (values, np.ones_like(values))]
        total, points = self.near.mean(np.stack(sums, 1)).T
        return np.asarray(total / points, np.float32)

    @property
    def skin(self) -> Floats:
        """(n,) float32 - 0..1, how much of the place is skin."""
        return (1 - self.hair) * ~self.mouth * ~self.eye

    @classmethod
    def of(cls, model: HeadModel, near: Neighbours, points: Floats, normals: Floats) -> Self:
        """near : the model's vertices next to the points."""
        means = near.mean(np.column_stack([model.neutral, model.hollow, lip_rings(model).inward]))
        nearest, neutral, hollow = near.index[:, 0], np.ascontiguousarray(means[:, :3]), means[:, 3]
        on_ear = ear(neutral)
        return cls(
            points,
            normals,
            near,
            neutral,
            _above_hairline(neutral) * (1 - on_ear),
            np.clip(1 - HOLLOW_SHADE * hollow, *SHADES) * (1 - SIDE_SHADE * smoothstep(-neutral[:, 2], SIDE_CM)),
            (on_ear > 0.5) | (neutral @ JAW[:3] + JAW[3] < 0),
            _of_part(model, MOUTH_PART)[nearest],
            _of_part(model, EYE_PART)[nearest],
            means[:, 4].astype(np.float32),
            at_eyes_or_lips(model)[nearest],
            at_nostrils(model)[nearest],
        )


def under_fringe(neutral: Floats) -> NDArray[np.bool_]:
    """(n,) - whether places (n, 3) of the neutral head are scalp, or forehead over which hair hangs if there is any."""
    return np.asarray((neutral @ HAIRLINE[:3] + HAIRLINE[3] > FRINGE_CM) & (neutral[:, 1] > BROWS_CM))


def scalp(neutral: Floats) -> Floats:
    """(n,) float32 0..1 - whether places (n, 3) of the neutral head lie above the hairline and on no ear."""
    return _above_hairline(neutral) * (1 - ear(neutral))


def _above_hairline(neutral: Floats) -> Floats:
    return smoothstep(neutral @ HAIRLINE[:3] + HAIRLINE[3], HAIRLINE_CM)


def ear(neutral: Floats) -> Floats:
    """(n,) float32 0..1 - whether places (n, 3) of the neutral head belong to an ear."""
    inside = smoothstep(np.abs(neutral[:, 0]), EAR_SIDE_CM)
    y, z = ((neutral[:, 1 + k] - EAR_CENTRE_CM[k]) / EAR_RADII_CM[k] for k in (0, 1))
    return np.asarray(inside * (1 - smoothstep(np.sqrt(y * y + z * z), EAR_RIM)), np.float32)


@lru_cache(maxsize=2)
def _of_part(model: HeadModel, part: int) -> NDArray[np.bool_]:
    """(v,) - which vertices touch only triangles of a part."""
    others = np.zeros(len(model.neutral), bool)
    others[model.triangles[model.parts != part]] = True
    return ~others
