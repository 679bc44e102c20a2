"""The expressions of the head model on one person, by the names that ARKit gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.lids import openings
from vrn.avatar.lip_rings import RINGS, lip_rings
from vrn.avatar.model import HeadModel
from vrn.avatar.neck import free_of_neck

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# the model's expressions in its order
# fmt: off
EXPRESSIONS = (
    "browDownLeft", "browDownRight", "browInnerUpLeft", "browInnerUpRight", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuffLeft", "cheekPuffRight", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
BOTH = ("browInnerUp", "cheekPuff")  # ARKit's names of what the model has for each side
NAMES = (*EXPRESSIONS, *BOTH)
BLINKS = ("eyeBlinkRight", "eyeBlinkLeft")  # in the order of `openings`
SOCKET_CM = 1.2  # how far behind the lids the head lies in the eyes, where eyeballs cover it


def shapes_of(model: HeadModel, neutral: Floats) -> Singles:
    """(45 + 2, v, 3) float32 - cm, head frame: how each of NAMES moves the vertices of this person.

    neutral : (v, 3) float64 - the person's neutral head, cm. A closed eye closes on it exactly; the neck's rim stays,
    and so does what shows behind the lips, as upper teeth do. The expressions of both sides of ARKit are the sums
    of the two.
    """
    shapes = model.shapes.at()[model.identities :]
    for name, opening in zip(BLINKS, openings(model), strict=True):
        blink = shapes[EXPRESSIONS.index(name)]
        blink[:] = opening.closed(neutral + blink) - neutral
    for opening in openings(model):
        shapes[:, opening.inside] = 0
    shapes[:, lip_rings(model).inward > RINGS] = 0
    shapes *= free_of_neck(model).astype(np.float32)[:, None]
    both = [sum(shapes[EXPRESSIONS.index(name + side)] for side in ("Left", "Right")) for name in BOTH]
    return np.concatenate([shapes, np.asarray(both)])


def weights_of(expression: Floats) -> Floats:
    """(45 + 2,) - of NAMES, for the model's expressions (45,): what both sides share goes to ARKit's own name."""
    weights = np.concatenate([expression, np.zeros(len(BOTH))])
    for number, name in enumerate(BOTH):
        sides = [EXPRESSIONS.index(name + side) for side in ("Left", "Right")]
        shared = weights[sides].min()
        weights[sides] -= shared
        weights[len(EXPRESSIONS) + number] = shared
    return weights


def with_sockets(model: HeadModel, head: Floats) -> Floats:
    """The head with the eyes drawn in behind the lids, to make room for eyeballs; (v, 3) cm, head frame."""
    head = head.copy()
    for opening in openings(model):
        rim = head[opening.loop]
        away = np.linalg.norm(head[opening.inside][:, None] - rim, axis=2).min(1)
        head[opening.inside, 2] -= SOCKET_CM * np.minimum(away / 0.3, 1)
    return head
