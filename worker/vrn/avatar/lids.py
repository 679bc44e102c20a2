"""Eyes that close: the upper lid of a person comes down as far as that person's eye is open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial import cKDTree

from vrn.avatar.model import EYE_PART, FACE_PART, HeadModel
from vrn.avatar.raster import crossings, foremost
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

LID_CM = (0.35, 1.2)  # from the eye's rim, over which the skin follows the lid less and less
AROUND_CM = 2.2  # from the middle of an eye, all that can cover it
STEP_CM, ROWS = 0.02, 120  # of the picture in which the open part of an eye is measured
OVERLAP_CM = 0.05  # by which a lid goes further than it must
SPREAD = (7, 2.0)  # columns over which the opening is widened and smoothed
ROUNDS = 8


@dataclass(frozen=True)
class Opening:
    """The lids of an eye on the head model.

    Attributes
    ----------
    inside : the vertices of the eye within the lids' rim
    loop : the rim's vertices, in order around
    around : (t, 3) - the triangles near the eye
    of_eye : (t,) bool - which of them are the eye's
    upper, lower : the vertices of the lids
    upper_share, lower_share : how far each of them follows its lid's edge, 0..1
    """

    inside: Integers
    loop: Integers
    around: NDArray[np.int64]
    of_eye: NDArray[np.bool_]
    upper: Integers
    upper_share: Floats
    lower: Integers
    lower_share: Floats

    def closed(self, head: Floats) -> Floats:
        """The head, (v, 3) cm, with this eye, which is nearly closed, shut: nothing of it shows from in front.

        The upper lid comes down; where that is not enough, in the corners, the lower one comes up.
        """
        head = head.copy()
        for turn in range(ROUNDS):
            places, gaps = self.gaps(head)
            if not gaps.any():
                break
            wide = gaussian_filter1d(maximum_filter1d(np.where(gaps > 0, gaps + OVERLAP_CM, 0), SPREAD[0]), SPREAD[1])
            head[self.upper, 1] -= self.upper_share * np.interp(head[self.upper, 0], places, wide)
            if turn >= ROUNDS // 2:
                head[self.lower, 1] += self.lower_share * np.interp(head[self.lower, 0], places, wide)
        return head

    def gaps(self, head: Floats) -> tuple[Floats, Floats]:
        """At which x, (n,) cm, how much of the eye shows from in front, (n,) cm."""
        return self.visible(head)[:2]

    def visible(self, head: Floats) -> tuple[Floats, Floats, Floats]:
        """As `gaps`, and how high the eye begins to show, (n,) cm; any height where it does not."""
        low, high = head[self.loop, 0].min(), head[self.loop, 0].max()
        columns = int((high - low) / STEP_CM) + 1
        top = head[self.loop, 1].mean() + ROWS * STEP_CM / 2
        place = np.stack([(head[:, 0] - low) / STEP_CM, (top - head[:, 1]) / STEP_CM, head[:, 2]], 1)
        size = max(columns, ROWS)
        shown, _, _ = foremost(crossings(place, self.around, ROWS, size), ROWS, size)
        visible = (shown >= 0) & self.of_eye[shown]
        visible = visible[:, :columns]
        return low + STEP_CM * np.arange(columns), visible.sum(0) * STEP_CM, top - STEP_CM * visible.argmax(0)


@lru_cache(maxsize=1)
def openings(model: HeadModel) -> tuple[Opening, Opening]:
    """The right eye's (x < 0) and the left one's."""
    left = model.neutral[model.triangles[:, 0], 0] > 0
    eyes = model.parts == EYE_PART
    return _opening(model, model.triangles[eyes & ~left]), _opening(model, model.triangles[eyes & left])


def _opening(model: HeadModel, triangles: NDArray[np.int64]) -> Opening:
    points = model.neutral.astype(np.float64)
    loop = _loop(triangles)
    centre = points[loop].mean(0)
    near = (np.linalg.norm(points[model.triangles] - centre, axis=2) < AROUND_CM).any(1)
    inside = np.setdiff1d(triangles, loop)
    of_eye = (model.parts == EYE_PART)[near]
    upper = loop[points[loop, 1] > centre[1]]
    lids = _lid(model, upper, np.setdiff1d(loop, upper)), _lid(model, np.setdiff1d(loop, upper), upper)
    return Opening(inside, loop, model.triangles[near], of_eye, *lids[0], *lids[1])


def _lid(model: HeadModel, rim: Integers, other: Integers) -> tuple[Integers, Floats]:
    """The skin that follows one part of the rim, and how far it does."""
    points = model.neutral.astype(np.float64)
    skin = np.setdiff1d(model.triangles[model.parts == FACE_PART], other)
    away, from_other = (cKDTree(points[part]).query(points[skin])[0] for part in (rim, other))
    share = (1 - smoothstep(away, LID_CM)) * (away < from_other)
    lid = np.flatnonzero(share > 0)
    return skin[lid], share[lid].astype(float)


def _loop(triangles: NDArray[np.int64]) -> Integers:
    """The border of a patch, in its order."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    known = set(map(tuple, edges))
    after = {a: b for a, b in edges if (b, a) not in known}
    loop = [min(after)]
    while len(loop) < len(after):
        loop.append(after[loop[-1]])
    return np.array(loop)
