"""Which of several photos of one person are left out, and why.

A photo is left out only by comparison with the others, and one always stays. Two photos cannot tell which of them is
covered, so that is asked of three and more. The limits are measured: docs/snapshots.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.photo_view import LeftOut
from vrn.avatar.model import HeadModel, load_model
from vrn.avatar.photo_head import PhotoHead, face_vertices

Floats = NDArray[np.float64]

BLURRED = 0.5  # sharpness over that of the sharpest photo, under which a photo is left out
STRANGE_MM = 2.5  # between the shapes of two faces, above which they surely are two people's
COVERED = 0.25  # share of the face whose colours differ from those of all others
OTHER_COLOUR = 60.0  # sRGB, root of the summed squares: the colour of something else
FEWEST = 300  # vertices that photos must show in common before anything is said about covers
CM_TO_MM = 10.0
DARKEST = 4.0  # sRGB, added before logarithms are taken


def left_out(snapshots: Sequence[PhotoHead]) -> dict[int, LeftOut]:
    """{index: why} of the photos to leave out."""
    kept, out = list(snapshots), dict[int, LeftOut]()
    for reason, worst in (
        (LeftOut.BLURRED, _blurred),
        (LeftOut.DIFFERENT_PERSON, _strange),
        (LeftOut.COVERED, _covered),
    ):
        while len(kept) > 1 and (found := worst(kept)) is not None:
            out[found.index] = reason
            kept.remove(found)
    return out


def _blurred(kept: Sequence[PhotoHead]) -> PhotoHead | None:
    best = max(each.sharpness for each in kept)
    worst = min(kept, key=lambda each: each.sharpness)
    return worst if worst.sharpness < BLURRED * best else None


def _strange(kept: Sequence[PhotoHead]) -> PhotoHead | None:
    """The photo whose shape is furthest from that of all others; of two the one that is trusted less."""
    distances = [identity_mm(each, [other for other in kept if other is not each]) for each in kept]
    if max(distances) <= STRANGE_MM:
        return None
    return min(kept, key=lambda each: each.trust) if len(kept) == 2 else kept[int(np.argmax(distances))]


def identity_mm(one: PhotoHead, others: Sequence[PhotoHead]) -> float:
    """mm, root mean square between the shape of a face and the mean shape of others, by the identity fits."""
    mean = np.average([each.identity for each in others], axis=0, weights=[each.trust + 1e-9 for each in others])
    difference = one.identity - mean
    return float(CM_TO_MM * np.sqrt(difference @ _metric(one.model) @ difference))


def _metric(model: HeadModel) -> Floats:
    return _bundled_metric() if model is load_model() else metric(model)


@lru_cache(maxsize=1)
def _bundled_metric() -> Floats:
    return metric(load_model())


def metric(model: HeadModel) -> Floats:
    """(i, i) cm^2 - mean squared move of the face's vertices by differences of identity, size and place apart."""
    at = face_vertices(model)
    shapes = model.shapes.at(at)[: model.identities].astype(np.float64)
    place = model.neutral[at].astype(np.float64)
    place -= place.mean(0)
    moves = [np.broadcast_to(axis, place.shape) for axis in np.eye(3)]
    moves += [np.cross(axis, place) for axis in np.eye(3)] + [place]
    basis = np.linalg.qr(np.stack(moves).reshape(7, -1).T)[0]
    flat = shapes.reshape(model.identities, -1)
    flat = flat - (flat @ basis) @ basis.T
    return np.asarray(flat @ flat.T / len(at))


def _covered(kept: Sequence[PhotoHead]) -> PhotoHead | None:
    if len(kept) < 3:
        return None
    shares = [covered_share(each, [other for other in kept if other is not each]) for each in kept]
    worst = int(np.argmax(shares))
    return kept[worst] if shares[worst] > COVERED else None


def covered_share(one: PhotoHead, others: Sequence[PhotoHead]) -> float:
    """Share of the face, where the photo and another show it, whose colour is unlike that of every other photo."""
    at = face_vertices(one.model)
    evened = even_exposure([one, *others])
    seen = np.stack([each.seen[at] > 0.5 for each in (one, *others)])
    away = np.stack([np.linalg.norm(evened[0][at] - colours[at], axis=1) for colours in evened[1:]])
    away = np.where(seen[1:], away, np.inf).min(0)
    both = seen[0] & np.isfinite(away)
    return float((away[both] > OTHER_COLOUR).mean()) if both.sum() >= FEWEST else 0.0


def even_exposure(snapshots: Sequence[PhotoHead]) -> list[NDArray[np.float32]]:
    """The photos' colours (v, 3) with the difference in exposure to the first one taken out."""
    return [each.colours * gain for each, gain in zip(snapshots, exposure_gains(snapshots), strict=True)]


def exposure_gains(snapshots: Sequence[PhotoHead]) -> NDArray[np.float32]:
    """(n, 3) - what to multiply the channels of each photo by, so that they agree with the first where they overlap.

    Least squares over all pairs of photos of the logarithms of the median ratio on the skin that both show.
    """
    count, at = len(snapshots), face_vertices(snapshots[0].model)
    system, wanted = [1e3 * np.eye(count)[:1], 1e-3 * np.eye(count)], [np.zeros((count + 1, 3))]
    for i, j in combinations(range(count), 2):
        one, other = snapshots[i], snapshots[j]
        both = at[(one.seen[at] > 0.5) & (other.seen[at] > 0.5)]
        if len(both) < FEWEST:
            continue
        ratio = np.median(np.log(other.colours[both] + DARKEST) - np.log(one.colours[both] + DARKEST), axis=0)
        weight = np.sqrt(len(both))
        system.append(weight * (np.eye(count)[i : i + 1] - np.eye(count)[j : j + 1]))
        wanted.append(weight * ratio[None])
    gains = np.linalg.lstsq(np.vstack(system), np.vstack(wanted), rcond=None)[0]
    return np.exp(gains).astype(np.float32)
