"""Several photos' heads of one person become one, where all of them meet: on the neutral head, vertex by vertex.

Every photo's volume is what its moved head encloses, and every vertex of that head has its place on the neutral one.
So the fields are fused as displacements of these places, with pose and expression taken off: a mean of occupancies
would thin an ear that two photos put a millimetre apart, a mean of places does not. A vertex listens to each photo by
how well that one shows it. At last the reference photo's expression and pose are put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import upright
from vrn.avatar.fit import HeadPose
from vrn.avatar.model import HeadModel
from vrn.avatar.photo_head import PhotoHead, expression_of, face_vertices
from vrn.avatar.whole_head import WholeHead

Floats = NDArray[np.float64]

UNSEEN = 0.5  # what a photo has to say about a vertex that it does not show, against 1.5 about one that it shows well
ROUNDS = 2  # of registration onto the mean
SMOOTHING = 10  # passes over the weights, so that the surface has no step where a photo's sight ends


@dataclass(frozen=True)
class FusedHead:
    """The head of all photos.

    Attributes
    ----------
    whole : in the head crop of the reference, with its expression
    reference : the photo with the largest share; the mesh is laid over it
    shares : (n,) - of each photo in the head, together 1
    """

    whole: WholeHead
    reference: PhotoHead
    shares: Floats


def fuse(snapshots: Sequence[PhotoHead]) -> FusedHead:
    """snapshots : of one person, at least one."""
    weights = weights_of(snapshots)
    shares = weights.mean(1)
    reference = snapshots[int(np.argmax(shares))]
    if len(snapshots) == 1:
        return FusedHead(reference.whole, reference, shares)
    neutral = fused_neutral(reference.model, snapshots, reference, weights)
    identity = shares @ np.stack([each.identity for each in snapshots])
    return FusedHead(_posed(neutral, identity, reference), reference, shares)


def weights_of(snapshots: Sequence[PhotoHead]) -> Floats:
    """(n, v) - of each photo at each vertex, together 1."""
    trust = np.array([each.trust for each in snapshots])
    trust = np.maximum(trust / max(trust.max(), 1e-12), 1e-6)
    raw = trust[:, None] * (UNSEEN + np.stack([each.seen for each in snapshots]))
    weights = _smoothed(raw / raw.sum(0), snapshots[0].model)
    return np.asarray(weights / weights.sum(0))


def fused_neutral(
    model: HeadModel, snapshots: Sequence[PhotoHead], reference: PhotoHead, weights: Floats
) -> NDArray[np.float64]:
    """(v, 3) cm, head frame - the weighted mean of the photos' neutral heads, registered onto one another."""
    skin = face_vertices(model)
    heads = [each.neutral for each in snapshots]
    mean = reference.neutral
    for _ in range(ROUNDS):
        heads = [registered(head, mean, skin) for head in heads]
        mean = np.einsum("nv,nvc->vc", weights, np.stack(heads))
    return mean


def registered(points: Floats, onto: Floats, at: NDArray[np.intp]) -> Floats:
    """Points (n, 3) moved by the similarity that brings those of `at` closest to their counterparts."""
    scale, rotation, translation = similarity(points[at], onto[at])
    return np.asarray(scale * points @ rotation.T + translation)


def similarity(points: Floats, onto: Floats) -> tuple[float, Floats, Floats]:
    """Least squares after Umeyama 1991: scale, (3, 3) rotation and (3,) translation."""
    centre, onto_centre = points.mean(0), onto.mean(0)
    u, s, vt = np.linalg.svd((onto - onto_centre).T @ (points - centre))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / ((points - centre) ** 2).sum())
    return scale, rotation, onto_centre - scale * rotation @ centre


def _posed(neutral: Floats, identity: Floats, reference: PhotoHead) -> WholeHead:
    """The fused head with the reference's expression, laid over the reference's own head."""
    model, fitted, whole = reference.model, reference.fitted, reference.whole
    shown = neutral + expression_of(model, fitted)
    skin = face_vertices(model)
    skin = skin[reference.seen[skin] > 0.5] if (reference.seen[skin] > 0.5).sum() > 100 else skin
    scale, rotation, translation = similarity(shown[skin], upright(whole.vertices)[skin])
    vertices = upright(scale * shown @ rotation.T + translation)
    coefficients = fitted.coefficients.copy()
    coefficients[0, : model.identities] = identity
    pose = HeadPose(np.array([scale]), rotation[None], translation[None], coefficients)
    plane = model.neck_plane(coefficients[0]) @ np.linalg.inv(pose.matrices()[0])
    return WholeHead(vertices, model, np.asarray(plane), whole.crop, pose)


def _smoothed(values: Floats, model: HeadModel) -> Floats:
    """(n, v) averaged over the neighbours on the mesh, again and again."""
    a, b = np.concatenate([model.triangles[:, [0, 1]], model.triangles[:, [1, 2]], model.triangles[:, [2, 0]]]).T
    count = np.maximum(np.bincount(a, minlength=values.shape[1]), 1)
    for _ in range(SMOOTHING):
        around = np.stack([np.bincount(a, row[b], values.shape[1]) / count for row in values])
        values = (values + around) / 2
    return values
